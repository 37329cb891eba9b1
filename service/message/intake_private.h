/* service/message/intake_private.h - what the files of the intake share. */
#ifndef SERVICE_INTAKE_PRIVATE_H
#define SERVICE_INTAKE_PRIVATE_H
#include "base/budget.h"
#include "mail/auth/results.h"
#include "mail/dkim_sign.h"
#include "mail/mime.h"
#include "service/body/body.h"
#include "service/body/filing.h"
#include "service/box/summary.h"
#include "service/message/intake.h"
#include "service/message/returned.h"
#include "service/queue/bundle.h"
#include "service/queue/outcome.h"
#include "service/queue/report.h"

/* ---- the plan of one accept batch ---- */

/* One account that gets a row of its own. */
struct party {
    struct message_row row;
    struct bundle told; /* its events, while the batch is built */
};

struct target {
    const struct recipient *recipient;
    struct verdict verdict;
    const struct verdict *suppressed; /* NULL: it is not */
    struct delivery_row delivery;
    struct directory_user user; /* of a mailbox */
    bool filed;                 /* by this batch; `filing` says where in it */
    bool shares;                /* the mailbox of an earlier recipient: no entry of its own */
    size_t party;               /* of the mailbox */
    int first_op;
    int64_t size;                   /* of the entry */
    struct returned *returned;      /* mail that came back: no delivery of its own */
    const struct target *from;      /* the address that sends it on to this one; NULL: it was asked for */
    enum cause refused;             /* why it is not tried; CAUSES: it is */
    const struct delivery_row *was; /* of a message that begins now: the delivery that waited; NULL: a new one */
    size_t owner;                   /* party whose delivery it is */
};

struct plan {
    struct party *parties;
    size_t n_parties;
    struct target *targets;
    size_t n;
    bool sent_copy;
    struct directory_user sender;
    int sent_op;
    int64_t sent_size;
    bool keeps; /* somebody will be able to read the body */
};

/* ---- the intake ---- */

/* A message that was accepted before and begins now (release.h): its row, and what waited for each recipient. */
struct again {
    const struct message_row *message; /* NULL: it is new */
    const struct delivery_row *waited; /* one for each of in.recipients */
    const struct body_row *body;       /* as it was read; NULL: it is read */
};

struct intake {
    struct intake_in in;
    struct again again;
    struct arena *arena, *parts; /* of this intake alone; parts: of the MIME index */
    struct budget *budget;
    size_t charged; /* taken from it for head and body */
    struct body_writer *body;
    struct mime *mime;
    const struct mime_index *index;
    struct buf head;      /* what has come of the header, until its end is found */
    struct buf rewritten; /* the header as it is kept, where that differs */
    struct header_scan head_scan;
    bool head_done;
    int64_t size_max, now;
    struct id message_id;
    struct id domain_id;    /* of From, when it is ours to send */
    struct bytes untrusted; /* a domain of sender or author that mail may not leave for; NO_BYTES: it may */
    bool undated;           /* it gets its Date when it begins */
    bool disowned;          /* by now its sender may not send it any more */
    struct bytes trace, people;
    struct summary summary;
    struct bytes summary_sealed; /* its JSON under the content key */
    bool header_8bit;
    bool in_body;         /* what comes is behind the header */
    int64_t line;         /* bytes of the present line so far */
    int64_t longest_line; /* as in struct message_row, like these */
    bool body_8bit, foreign_dkim, needs_utf8;
    struct intake_sign {
        bool wanted;                /* it goes further than our own mailboxes, and its author's domain is ours */
        struct domain_row domain;   /* id, account and name */
        struct dkim_fields *fields; /* the header as it is kept */
        struct dkim_body body;      /* what has come of the body */
        struct bytes feedback;      /* the Feedback-ID field, or NO_BYTES */
        struct bytes lines;         /* what is written before the header: signatures, feedback, a Date that is late */
        bool hold;                  /* a key does not open: what leaves waits for somebody to act */
    } sign;
    struct intake_origin {
        bool wanted;         /* another server sent it, and it is looked at where it comes from */
        struct arena *arena; /* of answers and results */
        struct network ip;
        struct spf_asked spf;
        struct verifier *verifier;
        enum auth_result author; /* AUTH_PASS: `from` is its domain */
        struct bytes from, author_why;
        bool several; /* fields From */
        struct spf_verdict spf_verdict;
        struct verified verified;
        struct dmarc_verdict dmarc;
        struct bytes reasons[8];
        size_t n_reasons;
        bool junk;         /* it is laid into Junk */
        struct bytes json; /* `auth` of the API; NO_BYTES: it was not looked at */
    } origin;
    /* From intake_end on. */
    struct plan plan;
    struct arena_mark planned; /* of the arena: what is behind it goes when the batch is built again */
    size_t tries;              /* how often it may be mended */
    struct endings ended;      /* what is over as soon as it is accepted, and what its sender is told of that */
    struct report *report;
    int first_op, end_op; /* its operations in the batch that was built last */
};

/* The header has come whole: checks it (one From that may be used, and Sender, no loop), removes Bcc and Resent-Bcc and
 * adds what a submission lacks. *out is what is kept of it, `head` itself or in k->rewritten. */
bool intake_header(struct intake *k, struct call *c, struct bytes head, struct bytes *out);
/* The half of it that is judged again when a message begins later: who sends it, and for which domain. */
bool intake_author(struct intake *k, struct call *c, struct bytes header, struct address *from);
/* Received line, summary and so on, once all bytes are there. */
void intake_describe(struct intake *k);

/* What is to be signed, once the header is there (kept: as it leaves); the body as it comes; and the signatures, which
 * become part of k->trace. ERR_HEADERS_TOO_LARGE; ERR_UNSIGNED with dkim.on_failure reject. */
bool intake_sign_header(struct intake *k, struct call *c, struct bytes kept);
void intake_sign_body(struct intake *k, struct bytes piece);
bool intake_sign(struct intake *k, struct call *c);
void intake_sign_drop(struct intake *k);

/* Where it comes from, of what another server sends: begun with the envelope, fed as it comes (the header as it came,
 * before anything is changed), and judged before the plan. ERR_FORGED: it is refused; ERR_UNSURE: put off. */
enum origin_fate { ORIGIN_TAKEN, ORIGIN_JUNK, ORIGIN_PUT_OFF, ORIGIN_REFUSED };
void intake_origin_begin(struct intake *k, struct call *c);
void intake_origin_header(struct intake *k, struct bytes head);
void intake_origin_body(struct intake *k, struct bytes piece);
bool intake_origin(struct intake *k, struct call *c);
void intake_origin_drop(struct intake *k);
/* Asks for names that it will want, without waiting. */
void intake_ahead_spf(struct intake *k);
void intake_ahead_keys(struct intake *k);

/* Does it wait for its time? */
bool intake_waits(const struct intake *k);
/* That time, else now. */
int64_t intake_begins(const struct intake *k);
/* What it was accepted in. */
struct bytes intake_mode(const struct intake *k, const struct call *c);
bool intake_is_live(const struct intake *k, const struct call *c);

/* Sent by somebody here, not come in. */
bool intake_is_outbound(const struct intake *k);
/* What we compose, or is sent on: recipients that are missing or full bounce by themselves, and refuse nothing. */
bool intake_is_lenient(const struct intake *k, const struct target *t);

/* In place of intake_begin to intake_end, for a message that begins now; `key` is its content's. *out is to be dropped
 * in any case. */
bool intake_again(struct call *c, const struct intake_in *in, const struct again *again, const struct crypt_key *key,
                  struct intake **out);
/* All that leads to the batch is known: decides. */
bool intake_plan(struct intake *k, struct call *c);

/* Makes a target of every recipient, and of every address that the mail is sent on to. */
bool plan_targets(struct intake *k, struct call *c, struct plan *p);
/* Decides what becomes of every recipient. */
bool plan_accept(struct intake *k, struct call *c, struct plan *p);
/* Counters, wrapped keys, times: once every outcome is certain; anew after one has changed. */
void plan_finish(struct intake *k, struct call *c, struct plan *p);
bool plan_build(struct intake *k, struct call *c, struct plan *p, struct batch *b);
/* In place of inserts, for a message that begins now: its row, and one that waited, on condition that both are as they
 * were read. */
void again_message(struct intake *k, const struct party *party, struct batch *b);
void again_delivery(struct intake *k, const struct target *t, const struct delivery_row *now, struct batch *b);
/* The report of what is over at once. */
bool plan_report(struct intake *k, struct call *c, struct plan *p, struct batch *b);
#endif
