/* api/exchange.h - inside api/: one HTTP request and its answer, between libmicrohttpd's thread and a fiber.
 *
 * libmicrohttpd calls exchange_head once the header is there; request_begin (api/request.h) then says what to do with
 * the body. The connection is suspended while the fiber works and resumed when there is something to do for it. Who
 * holds an exchange: its connection, its fiber and its streamed response; the last one frees it.
 *
 * What the library does before we see anything, and we cannot change: a bare LF ends a header line, a literal NUL ends
 * the request line's target, folded header lines are joined, a client that shuts its sending side down is taken for
 * gone, and a wrong Content-Length (400), a header over its memory limit (431) or a chunk's extension over it (500) is
 * answered with a page of its own. What is caught here: two Content-Lengths, one beside Transfer-Encoding, other
 * codings, doubled headers that we read, %00, and time. */
#ifndef API_EXCHANGE_H
#define API_EXCHANGE_H
#include "base/bytes.h"
#include "base/err.h"
#include "net/stream.h"
#include "net/wait.h"
#include "service/entry.h"
#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

struct api;
struct request;

/* One connection; a list of them is looked through for those that are too slow. */
struct line {
    struct line *before, *after;
    struct api *api;
    int fd;
    struct peer peer;
    bool is_unix;
    unsigned uid; /* of the unix socket's peer */
    bool tls;
    atomic_bool reading;      /* part of a request is there: 408 when it is late */
    atomic_bool unread;       /* an answer went out before the request's body was read */
    atomic_int_least64_t due; /* monotonic ms: cut then */
};

enum body_plan {
    BODY_DROP,    /* read and forgotten: refused, or none is wanted */
    BODY_COLLECT, /* kept whole; the fiber starts when it is there */
    BODY_WAIT,    /* the fiber starts at once; bytes are taken when it asks (exchange_accept) */
    BODY_REFUSE   /* answer without reading it; the connection ends */
};

struct exchange {
    struct api *api;
    struct line *line;
    struct MHD_Connection *mhd;
    struct request *request; /* lies in its own arena */
    struct bytes target;     /* owned: path and query as they came */
    atomic_int holders;
    bool begun, queued;
    enum body_plan plan;
    pthread_mutex_t lock; /* for what follows; held for moments only */
    struct buf in;
    size_t in_max, in_total, counted; /* counted: of api.body_memory */
    size_t in_step;                   /* wait when so much is not yet taken; 0: collect */
    enum err_code in_error;           /* ERR_TOO_LARGE, ERR_BUSY: the rest is dropped */
    bool in_end, gone, suspended, closed_door, started;
    struct waiter *waiting; /* the fiber */
    unsigned status;
    struct MHD_Response *response;
    struct buf out; /* streamed answer */
    size_t out_at;
    bool out_end, out_failed;
};

/* ---- libmicrohttpd's side ---- */
struct exchange *exchange_new(struct api *api, const char *target);
enum MHD_Result exchange_head(struct exchange *x, const char *method);
enum MHD_Result exchange_bytes(struct exchange *x, const char *data, size_t *n);
enum MHD_Result exchange_complete(struct exchange *x);
void exchange_gone(struct exchange *x); /* the connection lets go */

/* ---- the fiber's side ---- */
/* From now on the body is taken; `step` 0 collects up to `max` bytes, else the fiber is given pieces. */
void exchange_accept(struct exchange *x, size_t max, size_t step);
/* Waits for the whole body. ERR_TOO_LARGE, ERR_BUSY (api.body_memory), ERR_CLOSED. */
bool exchange_collect(struct exchange *x, struct err *e);
/* The next piece, swapped into *piece (a buf of the caller); empty at the end. */
bool exchange_piece(struct exchange *x, struct buf *piece, struct err *e);
/* Hands the response over (it takes the reference). */
void exchange_answer(struct exchange *x, unsigned status, struct MHD_Response *response);
/* A response whose body comes by exchange_write; size -1: unknown. */
struct MHD_Response *exchange_stream(struct exchange *x, int64_t size);
bool exchange_write(struct exchange *x, struct bytes piece, struct err *e); /* ERR_CLOSED when the client went away */
void exchange_write_end(struct exchange *x, bool failed);
void exchange_drop(struct exchange *x);
/* Frees the collected body early, once it has been read. */
void exchange_forget_body(struct exchange *x);
#endif
