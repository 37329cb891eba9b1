/* service/queue/attempt.h - one attempt to deliver, and what it comes to: what `last` of a delivery and its events
 * show.
 *
 * Whoever makes an attempt says what was asked and answered (struct attempt) and what follows (struct verdict);
 * ending.h writes it down. Where no other server answers, the answer is one of ours: a row of the table of causes. */
#ifndef SERVICE_ATTEMPT_H
#define SERVICE_ATTEMPT_H
#include "base/arena.h"

/* How a delivery stands, or ends. */
enum outcome {
    OUTCOME_QUEUED,
    OUTCOME_DELIVERED,
    OUTCOME_CAPTURED, /* mail to the outside, in the sandbox */
    OUTCOME_BOUNCED,
    OUTCOME_DEFERRED,
    OUTCOME_EXPIRED,
    OUTCOME_CANCELLED,
    OUTCOME_FAILED,
    OUTCOME_HELD,       /* until somebody ends it, or its time does */
    OUTCOME_SUPPRESSED, /* the account sends nothing there: service/queue/suppression.h */
    OUTCOMES
};

/* Milliseconds of each step; 0: it was not taken. */
struct attempt_delays {
    int64_t queue, connect, tls, data;
};

/* Texts are borrowed; NO_BYTES: there was none. */
struct attempt {
    int64_t at; /* when it was answered; 0: at the time it is written down */
    struct bytes mx, ip, source;
    struct bytes tls; /* JSON {version, cipher, policy, verified}; NO_BYTES: none */
    bool tls_verified;
    struct bytes command; /* that was answered */
    int code;
    struct bytes enhanced, text; /* the answer (RFC 5321 4.2, RFC 3463) */
    struct bytes cause, permanence, rule;
    struct attempt_delays delays;
    bool dsn; /* who took it knows DSN, and tells the sender of its delivery (RFC 3461) */
};

struct verdict {
    enum outcome outcome;
    const struct attempt *attempt; /* NULL: nothing was tried */
    int64_t next_at;               /* DEFERRED: when it is tried again */
    bool by_hand;                  /* `attempt` says why, but nobody was asked: it counts as none */
};

/* Why a delivery stands or ends as it does, where no other server has said so. */
enum cause {
    CAUSE_WAITS,           /* a local mailbox past accept.local_max */
    CAUSE_LEAVES,          /* for another server: delivery/ takes it there */
    CAUSE_FILED,           /* or played so by sandbox.test, or by a test key */
    CAUSE_SANDBOX,         /* this server sends nothing outside */
    CAUSE_NO_USER,         /* 5.1.1 */
    CAUSE_MAILBOX_FULL,    /* 5.2.2 */
    CAUSE_PLAYED_REFUSAL,  /* bounced@sandbox.test */
    CAUSE_PLAYED_DEFERRAL, /* deferred@ and expired@sandbox.test */
    CAUSE_TIME_OVER,
    CAUSE_NO_TLS, /* that, and TLS as it has to be was what it lacked */
    CAUSE_CANCELLED,
    CAUSE_CONTENT_GONE, /* its message or content is no longer there */
    CAUSE_FORWARDED,    /* sent on: what becomes of it there are other deliveries */
    CAUSE_LOOP,         /* it would be sent on in a circle */
    CAUSE_UNVERIFIED,   /* sent on from a domain that may not leave the machine */
    CAUSE_UNTRUSTED,    /* by the time it was to begin its domain may not leave the machine */
    CAUSE_NO_SENDER,    /* by then its sender may not send so any more */
    CAUSE_UNSIGNED,     /* a DKIM key does not open */
    CAUSE_STUCK,        /* ending it failed again and again */
    CAUSE_SUPPRESSED,
    CAUSE_BY_HAND, /* somebody has ended it */
    CAUSE_HELD,    /* somebody, or a suspension, keeps it back */
    CAUSE_RELEASED,
    CAUSES
};
struct verdict verdict_of(enum cause cause, int64_t now);

/* The JSON object that `last` is: at, mx, ip, tls, command, code, enhanced, text, cause, permanence; source, rule and
 * delays of an attempt that has them. */
struct bytes attempt_json(const struct attempt *t, int64_t now, struct arena *a);
#endif
