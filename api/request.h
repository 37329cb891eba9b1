/* api/request.h - inside api/: one request from the fiber's side.
 *
 * request_run logs in, checks scope and body, runs the operation's handler and answers (api/answer.c). A handler
 * returns false with r->call.err filled, or has called one of the answer_ functions. All it makes lies in
 * r->call.arena. */
#ifndef API_REQUEST_H
#define API_REQUEST_H
#include "api/exchange.h"
#include "api/form.h"
#include "api/route.h"
#include "base/crypt.h"
#include "service/box/entry.h"
#include "service/core/idempotency.h"
#include "service/core/member.h"
#include "service/identity/auth.h"
#include "service/message/feed.h"

/* An answer that may become larger than API_UNSENT: api/large.c. */
struct large {
    bool begun;                            /* its head is on the way */
    bool counted;                          /* in the door's budget */
    bool stalled;                          /* the client took no more: what is made further is only counted */
    size_t at, made;                       /* of the answer: left or in `rest`; made this time */
    struct crypt_key sent_hash, made_hash; /* of these */
    struct buf rest;                       /* of a piece that has begun to leave */
    struct err err;                        /* why no more is sent */
};

struct request {
    struct call call;
    struct exchange *x;
    const struct route *route;
    const char *method;
    struct bytes path, query_text;
    struct bytes parameter[ROUTE_PARAMETERS];
    struct bytes authorization, content_type, content_encoding, forwarded_for, forwarded_proto, other_account, key,
        accept, last_event, if_match, host, user_agent, accept_language, purpose;
    bool is_streamed, is_form, collected_read;
    struct bytes json; /* of the collected body: what is read as JSON */
    struct form form;  /* with is_form */
    bool malformed;    /* as HTTP: 400 invalid_request */
    bool is_unix;      /* came by the unix socket, from this uid */
    unsigned uid;
    struct json_object *query, *body;
    struct idempotency idempotency;
    const struct members *kept; /* what a kept answer shows */
    int64_t began;

    struct arena_mark before; /* the operation: what it made is forgotten once its answer is made */
    bool operated;            /* that mark is set */
    int status;
    struct buf out;
    struct bytes fixed;        /* an answer that outlives us, instead of out */
    const char *type, *policy; /* policy: of HTML, what it may do; NULL: nothing */
    struct bytes location, allow, disposition, etag;
    bool replayed, is_error;
    const char *code; /* of an error that has no enum err_code */
    struct content_out content;
    struct large large;
    bool (*goes_on)(struct request *r, struct err *e); /* writes a body that does not end soon, or is long; or NULL */
    void *going;                                       /* its own; what it makes next lies in `place` */
    struct follower *follower;                         /* the answer goes on with what is new, from `place` on */
    struct buf place;
    bool from_end; /* the place that was asked for is none here */
};

/* ---- for api/connection.c ---- */
struct request *request_new(struct exchange *x);
void request_run(struct request *r); /* its head is in r->x */
/* Answers without looking at it any further. */
void request_refuse(struct request *r, const struct err *e);
void request_free(struct request **r);

/* Runs the operation again for an answer that was dropped. Only one that changes nothing. */
bool request_repeat(struct request *r);
/* Frees what the answer was made of, before a client is waited for. */
void request_forget(struct request *r);

/* ---- api/answer.c ---- */
/* Sends what the handler or problem_write left in r. */
void request_answer(struct request *r);
void answer_begin(struct request *r, int64_t size); /* its head; -1: of unknown size */
/* For struct idempotency: what is kept of an answer. */
bool answer_render(void *request, const void *out, struct buf *answer, struct bytes *location);
/* The answer that was kept, instead of doing it again. */
void answer_replay(struct request *r);

/* ---- api/large.c ---- */
void large_init(struct request *r);                       /* r->out of a GET: it never holds more than API_UNSENT */
bool large_check(const struct request *r, struct err *e); /* ERR_MEMORY: the door has no more */
bool large_send(struct request *r, struct err *e);        /* what is not sent yet of one that has begun */
void large_clear(struct request *r);
/* ---- api/follow.c ---- */
bool follow_answer(struct request *r); /* instead of a page of events */

/* ---- api/head.c: the header ---- */
void head_read(struct request *r);
/* Does the client ask for this type by its name? */
bool head_accepts(const struct request *r, const char *type);

/* ---- api/login.c ---- */
bool request_login(struct request *r);

/* ---- for handlers ---- */
struct bytes query_text(const struct request *r, const char *name); /* NO_BYTES when not given */
bool query_bool(const struct request *r, const char *name);
int64_t query_int(const struct request *r, const char *name, int64_t otherwise);
int64_t query_time(const struct request *r, const char *name); /* 0 when not given */
struct page query_page(const struct request *r);
/* What the body names of the members, into `given`: see service/core/member.h. */
uint64_t body_members(const struct request *r, const struct members *m, void *given);
struct bytes body_text(const struct request *r, const char *name);
int64_t time_of(struct bytes text); /* RFC 3339; 0 for what is none, or absent */
bool body_bool(const struct request *r, const char *name);
int64_t body_int(const struct request *r, const char *name);
int64_t body_time(const struct request *r, const char *name); /* 0 when not given */
struct source body_source(struct request *r);                 /* of a body that is taken as it comes */

/* A POST makes something: tells what its kept answer (Idempotency-Key) will be. Before the service function. */
void answer_kept(struct request *r, int status, const struct members *m);
bool answer_object(struct request *r, int status, const struct members *m, const void *row);
bool answer_list(struct request *r, const struct page_out *page, const struct members *m, const void *rows, size_t n,
                 size_t size);
/* The same around values that the caller writes into `data` between the two. */
void answer_list_begin(struct request *r, struct jw *w);
bool answer_list_end(struct jw *w, const struct page_out *page);
bool answer_done(struct request *r); /* 204 */
bool answer_text(struct request *r, const char *type, struct bytes text);
bool answer_content(struct request *r, const char *type, const struct content_out *content);

/* ---- api/public.c ---- */
/* What went wrong, as a page: both texts are ours. */
void public_problem(struct request *r, const char *title, const char *detail);

/* ---- api/problem.c ---- */
/* The answer for r->call.err (RFC 9457). */
void problem_write(struct request *r);
/* "/errors/{code}" as HTML; false for an unknown one. */
bool problem_page(struct bytes code, struct buf *out);
void problem_list(struct jw *w);
#endif
