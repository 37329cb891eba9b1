/* delivery/client.h - the dialogue with one host, over any stream: a socket, TLS on it, or memory in tests (RFC 5321).
 *
 *     struct client *c = client_new(&stream, BYTES("mail.example.org"));
 *     client_greet(c, tls_wanted, &answer)            its greeting, EHLO or HELO: client_offer says what it can do
 *     client_start_tls(c, &wish, &result, &answer)    what it offered before is forgotten, EHLO again
 *     client_login(c, user, password, &answer)
 *     client_send(c, &envelope, each)                 as often as the host takes another message
 *     client_quit(&c, true), or client_drop(&c)
 *
 * Each step has a time limit in all, however slowly bytes drip (RFC 5321 4.5.3.2; delivery.timeout_*). What was
 * answered, or why there is no answer, is in struct answer; its texts lie in the arena that was given. After anything
 * but an answer in its place the connection is of no use: client_is_usable says so. The bytes of the message come from
 * a source as they are to be on the wire, dots doubled, the last line ended, the last dot not there. A client belongs
 * to one fiber. */
#ifndef DELIVERY_CLIENT_H
#define DELIVERY_CLIENT_H
#include "delivery/offer.h"
#include "delivery/script.h"
#include "net/tls_client.h"

/* Who answered, to what. */
enum step {
    STEP_CONNECT,
    STEP_GREETING,
    STEP_HELLO, /* EHLO, HELO */
    STEP_STARTTLS,
    STEP_AUTH,
    STEP_MAIL,
    STEP_RCPT,
    STEP_DATA, /* up to the last byte before the dot */
    STEP_DOT,
    STEP_RSET,
    STEPS
};
const char *step_text(enum step s); /* "RCPT" */

enum answered {
    ANSWER_REPLY,    /* `reply` */
    ANSWER_CLOSED,   /* the connection ended */
    ANSWER_TIMEOUT,  /* nothing, or too little, in time */
    ANSWER_PROTOCOL, /* no reply, or one that cannot be here: `reply.text` says what came */
    ANSWER_TLS,      /* the handshake failed */
    ANSWER_CONTENT,  /* the source of the bytes failed, or ended by itself: nothing was delivered */
    ANSWER_STOPPED,  /* we were told to stop before the dot: nothing was delivered */
    ANSWER_WAITS     /* one recipient too many for this transaction: send it in the next */
};

struct answer {
    enum step at;
    enum answered what;
    struct reply reply; /* code 0 without one */
};

struct client;
/* Takes the stream. */
struct client *client_new(struct stream **s, struct bytes ehlo, struct arena *a);
void client_drop(struct client **c); /* hangs up; *c may be NULL */
/* QUIT, and where it is `heard` a second for its answer (RFC 5321 4.1.1.10) */
void client_quit(struct client **c, bool heard);

/* Where texts of answers go from now on: of the transaction. */
void client_arena(struct client *c, struct arena *a);
/* Where what is said and heard is noted from now on; NULL: nowhere. */
void client_script(struct client *c, struct script *s);
/* `tls_wanted`: HELO, which offers none, is no way out. True: the host is ready for mail. */
bool client_greet(struct client *c, bool tls_wanted, struct answer *out);
bool client_start_tls(struct client *c, const struct tls_wish *wish, struct tls_result *result, struct answer *out);
/* TLS before the greeting (RFC 8314 3.3): comes before client_greet. */
bool client_begin_tls(struct client *c, const struct tls_wish *wish, struct tls_result *result, struct answer *out);
/* AUTH PLAIN, else LOGIN (RFC 4954). */
bool client_login(struct client *c, struct bytes user, struct bytes password, struct answer *out);

const struct offer *client_offer(const struct client *c);
/* The names that the host gave itself, of its greeting and its EHLO: empty where it gave none. */
struct bytes client_greeted_as(const struct client *c);
struct bytes client_named_as(const struct client *c);
struct stream *client_stream(struct client *c);
size_t client_messages(const struct client *c); /* taken on this connection */
/* May the next message go here? Not after silence, 421, a fault of protocol, or an RSET without 250; not when the host
 * has hung up or said something unasked since. */
bool client_is_usable(struct client *c);

struct source_of {
    /* *piece is empty at the end and valid until the next call. False: it cannot be sent. */
    bool (*next)(void *ctx, struct bytes *piece, struct err *e);
    void *ctx;
};

struct envelope {
    struct bytes sender; /* empty: the null path */
    const struct needs *needs;
    const struct manner *how;
    const struct offer_rcpt *to;
    size_t n;
    struct source_of content;
    bool chunked; /* by BDAT, which is offered (RFC 3030): the content has its dots once */
    /* Asked before the dot, from which on the message may be delivered: false stops. NULL: yes. */
    bool (*may_finish)(void *ctx);
    /* Asked behind the dot, before its answer is heard: what is said at once of the next message, or NULL. It is then
     * the next to be sent, or taken back, and stays until that is done. NULL: nothing. */
    const struct envelope *(*follow)(void *ctx);
    void *ctx;
};

/* Sends one message to each recipient: each[i] is the answer to MAIL or RCPT where that was a refusal, else what came
 * of the text. True: at least one has taken it. */
bool client_send(struct client *c, const struct envelope *e, struct answer *each);
/* MAIL and RCPT of this one were said behind the message before; NULL: of none. */
const struct envelope *client_has_said(const struct client *c);
/* Hears what is answered to it, and undoes it. */
void client_take_back(struct client *c);
/* The error of the content, after ANSWER_CONTENT. */
const struct err *client_err(const struct client *c);
/* After an answer that is not a reply: may the host have taken the message all the same? */
bool answer_is_ambiguous(const struct answer *x);
#endif
