/* service/message/message_private.h - what the files about messages share. */
#ifndef SERVICE_MESSAGE_PRIVATE_H
#define SERVICE_MESSAGE_PRIVATE_H
#include "service/box/summary.h"
#include "service/message/message.h"
#include "service/queue/outcome.h"

/* A send by JSON on its way to the intake. */
struct sending {
    const struct message_send_in *in;
    struct id message;     /* the id that it gets */
    struct id batch;       /* the request of many that it comes with, or none */
    struct id template_id; /* what it was made of, or none */
    int64_t template_version;
    struct stream_row stream; /* a zero id: of none */
    struct {
        struct bytes url;                 /* what {{unsubscribe_url}} stands for; NO_BYTES: nothing */
        const struct named_value *fields; /* of the header: what is written beside the request's own */
        size_t n_fields;
    } unsubscribe;
    const struct rendering *rendering; /* of that; NULL: none */
    bool uncounted;                    /* takes nothing of the sender's allowance */
    struct compose mail;
    struct recipient *recipients; /* each once */
    size_t n;
    int64_t tracking;   /* bits of enum tracking_bit */
    struct bytes links; /* what links of ours begin with, when something is tracked */
};
/* Renders the template that it names: s->in is then a request that says what it says. Faults are noted. */
bool send_template(struct call *c, struct sending *s);
/* Finds its stream: s->in is then a request that says what the stream says of it. Faults are noted. */
bool send_stream(struct call *c, struct sending *s);
/* How its recipient unsubscribes; before it is rendered, which may say so. ERR_NO_PUBLIC_URL. */
bool send_unsubscribe(struct call *c, struct sending *s);
/* Notes fields of the request, or of its template, that say the same. */
void send_unsubscribe_check(struct call *c, const struct sending *s);
/* Every rule for it: all faults at once, then who may send. What is prepared lies in the call's arena. */
bool send_prepare(struct call *c, struct sending *s);
/* What only acceptance itself would find out, for who must know before: mail that would leave in live mode is of a
 * domain that may. ERR_UNVERIFIED. */
bool send_may_leave(struct call *c, const struct sending *s);
/* {"opens": …, "clicks": …} of bits of enum tracking_bit. */
void tracking_show(struct jw *w, int64_t bits);
/* What of it is tracked. ERR_NO_PUBLIC_URL. */
bool send_tracking(struct call *c, struct sending *s);
/* Makes the mail one that is tracked, once its recipients are known: its text and HTML then lie in *out. Reads HTML. */
struct tracked_parts {
    struct buf html, text, made;
};
void send_track(struct call *c, const struct sending *s, struct compose *m, struct tracked_parts *out);
void tracked_parts_clear(struct tracked_parts *p);
/* What is composed, but for what a parent says (thread_find). */
void send_describe(struct call *c, struct sending *s);
bool send_write(struct call *c, const struct sending *s, struct buf *out);
/* What the intake is told of it. Much of it is still the request's. */
struct intake_in send_intake(struct call *c, const struct sending *s);
/* Composes it and hands it in: intake_commit, or intake_end and so on, are next. */
bool send_hand_in(struct call *c, const struct sending *s, struct intake **out);
/* message/rfc822 through the API. */
bool send_raw(struct call *c, const struct message_send_in *in, struct intake_out *out);
/* One recipient of an API send; a fault at `where` when it is no address. */
bool send_recipient(struct call *c, const struct address *address, const char *where, struct recipient *out);
/* An address that is named again (as deliveries keep it: domain without case, users of ours as the directory finds
 * them) is the same recipient: the list becomes that of different ones, in order. Its new length. */
size_t send_unique(struct call *c, struct recipient *list, size_t n);
/* Source and Received line of what comes by HTTP. */
void send_received(struct call *c, struct intake_in *k);

/* What a mail that answers `given` (one of our ids, or a Message-ID) says in In-Reply-To and References; NO_BYTES when
 * the parent has no id that could stand there (RFC 5322 3.6.4), a fault at /in_reply_to for what is neither. False when
 * the store failed. */
struct thread {
    bool found;
    struct bytes in_reply_to, references;
};
bool thread_find(struct call *c, struct bytes given, struct thread *out);

/* A message of the account by id; test keys see test mail only. */
bool message_find(struct call *c, struct bytes id, struct message_row *out);
/* One that was sent: mail that came in is its recipients', and nobody else erases or cancels it. */
bool message_find_sent(struct call *c, struct bytes id, struct message_row *out);
/* message_cancel as a part of something larger: no answer is kept, and nothing to cancel is no failure. Raises the
 * counts of deliveries that were, and that are being delivered. */
bool message_cancel_quietly(struct call *c, struct id id, size_t *cancelled, size_t *busy);
/* The deliveries of a message that wait for its time. */
bool message_waiting(struct store *st, struct id message, struct arena *a, struct delivery_row **rows, size_t *n,
                     struct err *e);
void message_show(struct call *c, const struct message_row *row, struct message_view *out);
#endif
