/* service/message/intake.h - one door for all mail: message_accept and what leads to it.
 *
 *     recipient_check for each RCPT, sender_check for MAIL (recipient.h)
 *     struct intake *k;
 *     intake_begin(c, &in, &k)        as bytes arrive: intake_append(k, c, chunk)
 *     intake_commit(&k, c, &out)      durable in one batch: body, message, deliveries, entries, counters, events
 *     intake_drop(&k)                 forgets; what was put already is swept
 *
 * intake_commit is message_accept: when it returns true the mail is safe, and for up to accept.local_max (32) local
 * mailboxes it is filed. Bytes are CRLF text exactly as they shall be kept. Memory of an intake is bounded (1.5
 * MiB whatever the size of the mail), and counted in the door's budget: ERR_MEMORY when that is used up. RFC
 * 5321 4.1.1.4, 6.3 (loops), RFC 6409 8 (submission). */
#ifndef SERVICE_INTAKE_H
#define SERVICE_INTAKE_H
#include "mail/build.h"
#include "service/message/recipient.h"

enum message_source { SOURCE_API, SOURCE_SUBMISSION, SOURCE_SMTP, SOURCE_SYSTEM };

struct intake_in {
    enum message_source source;
    struct bytes envelope_from;         /* NO_BYTES: the null path */
    const struct recipient *recipients; /* at least one */
    size_t n_recipients;
    struct received received; /* id, date and for_address are filled in here; host too; helo NO_BYTES: no line */
    bool utf8; /* SMTPUTF8 was asked for, or we composed it: 8 bits in its header are UTF-8 as of RFC 6532 */
    struct bytes ret, envid; /* DSN (RFC 3461), or NO_BYTES */
    int64_t expected;        /* declared size or 0 */
    struct id message_id;    /* NO_ID: a new one */
    bool file_later; /* local recipients are filed by due.h, however few: none of their quotas can refuse the batch */
    /* API only */
    struct bytes tags, metadata;        /* JSON or NO_BYTES */
    const struct named_value *tag_list; /* the same tags, for the lists by tag */
    size_t n_tags;
    struct bytes people; /* JSON of from, to, cc, bcc, reply_to; NO_BYTES: taken from the header */
    bool token_path;     /* no envelope sender was named */
    bool dsn_wanted, no_store, save_to_sent, require_tls;
    struct bytes sent_address; /* whose Sent, with save_to_sent */
    int64_t expires_after;     /* seconds, 0: delivery.expires_after */
    struct bytes priority;     /* high|normal|bulk, or NO_BYTES */
    struct id stream_id;       /* or none */
    struct bytes stream;       /* its slug, for Feedback-ID; NO_BYTES: not known */
    struct bytes topic;        /* what it is about, as one unsubscribes from it; or NO_BYTES */
    bool unsubscribes;         /* it says how */
    struct id template_id;     /* what it was made of, or none */
    int64_t template_version;
    struct id batch_id;   /* the request of many that it came with, or none */
    int64_t scheduled_at; /* it begins then: until then its recipients wait, see release.h. 0: now */
    int64_t tracking;     /* bits of enum tracking_bit */
    unsigned bypass;      /* suppressions that are passed over: bits of suppression_bypass */
};

struct recipient_out {
    struct id delivery_id;
    struct bytes email, status; /* delivered|captured|bounced|queued */
};

struct intake_out {
    struct id message_id, account_id;
    struct bytes header_message_id, mode, status;
    int64_t created_at, size;
    struct recipient_out *recipients;
    size_t n_recipients;
};

struct intake;
bool intake_begin(struct call *c, const struct intake_in *in, struct intake **out);
/* ERR_TOO_LARGE past message.size_max, ERR_INVALID (NUL, line over smtp.line_max: checked by the SMTP door), ERR_BUSY,
 * ERR_MEMORY. After false only intake_drop. */
bool intake_append(struct intake *k, struct call *c, struct bytes chunk);
bool intake_commit(struct intake **k, struct call *c, struct intake_out *out);
void intake_drop(struct intake **k);

/* intake_commit in its parts, for a batch that holds more than this mail: a report in the batch that ends a delivery,
 * many mails under one Idempotency-Key.
 *
 *     intake_end(k, c)                         for each mail, once: all its bytes have come
 *     for (;;) {
 *         b = batch_new(arena)                 anew for each try
 *         intake_build(k, c, b, &out)          for each mail
 *         if (call_commit(c, b, answer, ref))
 *             break;
 *         if (!intake_mend(k, c, batch_failure(b)))       of none of the mails: the batch has failed, c->err says why
 *             return false;
 *     }
 *     intake_done(k, c)                        for each mail, then intake_drop
 * All with one call, whose arena holds `out`. Rows of the batch lie in the intakes: they stay until it is committed. */
bool intake_end(struct intake *k, struct call *c);
bool intake_build(struct intake *k, struct call *c, struct batch *b, struct intake_out *out);
/* True when the failure (ERR_CONFLICT in c->err, which is cleared) was one operation of this mail, and one that it can
 * do without: a Sent copy; of what we compose a recipient whose mailbox is full or gone, which then bounces. */
bool intake_mend(struct intake *k, struct call *c, struct batch_failure f);
void intake_done(struct intake *k, struct call *c);
#endif
