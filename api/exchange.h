/* api/exchange.h - inside api/: one HTTP request and its answer on a connection; all of it belongs to that connection's
 * fiber.
 *
 * The body is read when somebody wants it: whole (exchange_collect) or in pieces (exchange_piece), with its framing and
 * its content coding taken off. An answer is begun (exchange_answer), given its fields, and then its body. What is left
 * of a request's body when it was answered decides whether the connection can be kept. */
#ifndef API_EXCHANGE_H
#define API_EXCHANGE_H
#include "api/line.h"
#include "http/body.h"
#include "http/status.h"
#include "http/unpack.h"

struct request;

struct exchange {
    struct api *api;
    struct line *line;
    struct request *request; /* lies in its own arena */
    struct http_head head;
    struct http_body body;
    struct unpack *unpack; /* the body is packed by gzip */
    struct bytes packed;   /* of the last piece, not unpacked yet */
    size_t in_max, in_total;
    struct buf in;    /* the collected body */
    size_t counted;   /* its memory, of api.body_memory */
    bool continued;   /* 100 was said, or need not be */
    bool lost;        /* nobody knows where the next request begins */
    bool keep;        /* the connection, after the answer */
    bool chunked;     /* the answer */
    bool no_body;     /* of the answer: HEAD, 204 */
    bool broken;      /* the answer did not get through */
    int64_t out_left; /* of an answer with a length */
};

/* The limits that are set now. */
struct http_limits exchange_limits(void);
/* What follows a head that was read. */
void exchange_begin(struct exchange *x);
/* The next piece of the body, valid until the next call; empty at the end. ERR_TOO_LARGE (x->in_max), ERR_TIMEOUT
 * (api.request_deadline), ERR_BAD_JSON or ERR_HEADERS_TOO_LARGE (malformed), ERR_CLOSED. */
bool exchange_piece(struct exchange *x, struct bytes *piece, struct err *e);
/* Reads the whole body into x->in. The same, and ERR_BUSY (api.body_memory). */
bool exchange_collect(struct exchange *x, struct err *e);
/* Adds to x->in, counted like all that is collected. ERR_BUSY (api.body_memory). */
bool exchange_keep(struct exchange *x, struct bytes piece, struct err *e);
/* Frees the collected body early, once it has been read. */
void exchange_forget_body(struct exchange *x);

/* size: of the body, -1: unknown. Then any exchange_field, then exchange_fields_end. Whether the client still listens
 * is told by exchange_write alone. */
void exchange_answer(struct exchange *x, int status, int64_t size);
void exchange_field(struct exchange *x, const char *name, struct bytes value);
void exchange_fields_end(struct exchange *x);
/* Of a body of unknown size: writes of a piece what leaves at once; *taken of it did. The rest has to follow before
 * anything else: what leaves until then (_more), or all of it (_rest). */
bool exchange_offer(struct exchange *x, struct bytes piece, size_t *taken, struct err *e);
bool exchange_offer_more(struct exchange *x, struct bytes rest, int64_t until, size_t *taken, struct err *e);
bool exchange_offer_rest(struct exchange *x, struct bytes rest, struct err *e);
bool exchange_write(struct exchange *x, struct bytes piece, struct err *e); /* ERR_CLOSED, ERR_TIMEOUT */
void exchange_write_end(struct exchange *x, bool failed);
/* Reads over what is left of the request; false when the connection cannot be kept. */
bool exchange_settle(struct exchange *x);
void exchange_clear(struct exchange *x);
#endif
