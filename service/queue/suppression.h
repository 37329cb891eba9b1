/* service/queue/suppression.h - addresses that get no mail of an account.
 *
 * A row for each account, address, stream and topic: its id is made of them, so what is asked of a recipient is one
 * read by an id, and two that add the same meet in one row. Local parts are compared without case. The stronger reason
 * stays, and of one that is there already the later end. Nothing of it is cached: what was removed lets mail through at
 * once, on every node. What has expired does not count, and is swept.
 *
 * An account's own mail to other servers is judged at acceptance and, when it has waited, before it leaves; mail that
 * users submit is not, and mail for mailboxes here only by what its reader has said through a link in such a mail. What
 * suppresses by itself: that, a server that says for good that it
 * does not know the recipient or the domain, reports and complaints that come back to a token of ours. Nothing that is
 * ours (sandbox, test mode, local mailboxes, DNS) does.
 *
 *     suppression_look(svc, arena, list, n, e)       what is there already
 *     suppression_add(batch, arena, &list[i])        with whatever else the batch says; it makes no batch fail */
#ifndef SERVICE_SUPPRESSION_H
#define SERVICE_SUPPRESSION_H
#include "service/core/call.h"
#include "service/queue/attempt.h"

/* From the weakest to the strongest: what people and servers have said stands above what was typed or brought along. */
enum suppression_reason {
    SUPPRESSED_NOT,
    SUPPRESSED_IMPORT,
    SUPPRESSED_MANUAL,
    SUPPRESSED_BOUNCE,
    SUPPRESSED_UNSUBSCRIBE,
    SUPPRESSED_COMPLAINT,
    SUPPRESSION_REASONS
};
enum suppression_reason suppression_reason_of(struct bytes name); /* SUPPRESSED_NOT for none */
/* One bit of a `bypass`: bounces and unsubscriptions can be passed over, nothing else. 0: none. */
unsigned suppression_bypass(enum suppression_reason r);

#define SUPPRESSION_TEXT_MAX  1000 /* bytes of `text` */
#define SUPPRESSION_TOPIC_MAX 100

/* ---- judged ---- */

/* An address that somebody gives, as it is kept here. ERR_SYNTAX. */
bool suppression_email(struct bytes text, struct arena *a, struct bytes *out, struct err *e);
/* Which mail it is: of a stream, about a topic, or NO_ID and NO_BYTES. */
struct suppression_scope {
    struct id account, stream;
    struct bytes topic;
    unsigned bypass; /* bits of what is passed over */
};
/* Which of the addresses do not get it: out[i] is the strongest row, of a zero id where none holds. The addresses are
 * in the form that deliveries have. One trip for 64 of what there is to ask: of each address whether it gets mail of
 * the account, and where the mail is of a stream, or about a topic, whether of these. */
bool suppression_find(struct service *svc, struct arena *a, const struct suppression_scope *scope,
                      const struct bytes *emails, size_t n, struct suppression_row *out, struct err *e);

/* How a delivery ends that is not sent for it: the reason stands in its last attempt. */
const struct verdict *suppression_verdict(struct arena *a, const struct suppression_row *row);

/* ---- added ---- */

struct suppressing {
    struct id account_id;
    struct bytes email; /* as a delivery or a request has it */
    enum suppression_reason reason;
    struct id stream_id; /* of unsubscriptions alone */
    struct bytes topic;
    struct id delivery_id, message_id; /* that told, or none */
    struct bytes text;                 /* what was said, for people; cut to SUPPRESSION_TEXT_MAX */
    int64_t expires_at;                /* 0: never */
    /* What suppression_look has found. */
    struct suppression_row row; /* to be written, or what is there and stays as it is */
    struct suppression_row was;
    bool there; /* and not expired */
    bool adds;  /* there is something to write */
};
/* One trip for 64 of them. */
bool suppression_look(struct service *svc, struct arena *a, struct suppressing *list, size_t n, struct err *e);
/* Adds it, with its event, to the batch; nothing where as strong a one is there. It never expires (expires_at is
 * 0). It holds for whatever becomes of the row meanwhile, so no batch fails by it: of two at once the stronger one
 * stays, and both may be told as an event. */
void suppression_add(struct batch *b, struct arena *a, const struct suppressing *s);
/* The same on condition that what was looked at is still so, for who has to say what it was that he did. */
void suppression_add_exact(struct batch *b, struct arena *a, const struct suppressing *s);
/* "suppression.created" or "suppression.deleted". */
void suppression_tell(struct batch *b, struct arena *a, const struct suppression_row *row, struct id message,
                      const char *type);

/* ---- the resource ---- */

/* ERR_SCOPE for those without the scope, and for keys that see a part of the account only. */
bool suppression_may(struct call *c);
/* What was given of one, as what is to be added. What is wrong are faults at `where` and the member. */
void suppression_given(struct call *c, const struct suppression_row *row, const char *where, struct suppressing *s);

struct suppression_list_in {
    struct page page;
    struct bytes email, reason, stream;
    int64_t since;
};
struct suppression_list_out {
    struct suppression_row *rows;
    size_t n;
    struct page_out page;
};
bool suppression_list(struct call *c, const struct suppression_list_in *in, struct suppression_list_out *out);

/* The whole list as CSV (base/csv.h), oldest first: what is added meanwhile stands at the end, and a row that becomes
 * another moves there, so that none is left out. The page is none, and its filters are those of the list.
 *
 *     suppression_export_begin(c, &in, &x)
 *     do
 *         suppression_export(c, &x, &out)          the next rows, after a line of names; c->arena may be rewound
 *     while (!x.ended) */
#define SUPPRESSION_EXPORT_MOST ((size_t)768 * 1024) /* of one piece */
struct suppression_exporting {
    bool ended, begun;
    struct query query;
    struct bytes reason;
    struct id stream;
    size_t place_n;
    char place[1024];
};
bool suppression_export_begin(struct call *c, const struct suppression_list_in *in, struct suppression_exporting *x);
bool suppression_export(struct call *c, struct suppression_exporting *x, struct buf *out);

#define SUPPRESSIONS_AT_ONCE 1000
/* One, or `many` of them; a fault is told at /email, or at /data/3/email. */
struct suppression_create_in {
    const struct suppression_row *rows; /* of each what was given */
    size_t n;
    bool many;
    bool both; /* one was given beside them: a fault */
};
struct suppression_create_out {
    struct suppression_row *rows; /* as they are now */
    size_t n;
    bool many;
    size_t added; /* which were not there before; others may have got a stronger reason, or a later end */
};
bool suppression_create(struct call *c, const struct suppression_create_in *in, struct suppression_create_out *out);
struct suppression_get_in {
    struct bytes id;
};
bool suppression_get(struct call *c, const struct suppression_get_in *in, struct suppression_row *out);
struct suppression_delete_in {
    struct bytes id;
};
bool suppression_delete(struct call *c, const struct suppression_delete_in *in, void *out);

/* All there is of one address: `suppressed` when one holds for the whole account. */
struct suppression_check_in {
    struct bytes email;
};
struct suppression_check_out {
    struct bytes email; /* as it is kept */
    bool suppressed;
    struct suppression_row *rows;
    size_t n;
};
bool suppression_check(struct call *c, const struct suppression_check_in *in, struct suppression_check_out *out);
/* Of all streams and topics, too. What is not there is no fault. */
struct suppression_remove_in {
    const struct bytes *emails;
    size_t n;
};
struct suppression_remove_out {
    int64_t removed; /* rows */
};
bool suppression_remove(struct call *c, const struct suppression_remove_in *in, struct suppression_remove_out *out);
#endif
