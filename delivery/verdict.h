/* delivery/verdict.h - what follows from what happened: one function for all that may happen to an attempt.
 *
 *     verdict_judge(&situation, &rules, &judgement)
 *     judgement_attempt(&judgement, &attempt)       its part of service/queue/attempt.h; the engine fills in the rest
 *     (struct verdict){ judgement.outcome, &attempt, judgement.retry_at }
 *
 * | what happened                       | what follows                                     | code and cause       |
 * | no connection, lost before MAIL     | other host; none left: deferred                  | 4.4.1 network        |
 * | greeting, EHLO, STARTTLS 4xx        | other host; none left: deferred                  | by rules             |
 * | the same with 5xx                   | likewise; the 3rd time after 4 h bounced         | by rules, block      |
 * | TLS policy not met                  | other host; none left: deferred                  | 4.7.5 tls            |
 * |   with REQUIRETLS                   | other host; none left: failed                    | 5.7.30 tls           |
 * | login refused (AUTH; 530, 535)      | deferred, the route is to be suspended           | 4.7.8 auth           |
 * | MAIL, RCPT, DATA, dot 4xx           | deferred                                         | by rules             |
 * | the same with 5xx                   | bounced                                          | by rules             |
 * |   and permanence block              | deferred block_tries times in 24 h, then bounced | by rules             |
 * | 452, 552, 4.5.3 at a later RCPT     | next transaction, at once, no attempt            | by rules             |
 * | 552 at the first RCPT               | deferred (RFC 5321 4.5.3.1.10)                   | by rules             |
 * | 1xx, 3xx, 503, garbage, 2xx for 354 | deferred, connection closed                      | 4.5.0 protocol       |
 * | 421 anywhere                        | as 4xx, connection closed                        | by rules             |
 * | lost between MAIL and the dot       | other host; none left: deferred                  | 4.4.2 network        |
 * | lost or no answer behind the dot    | deferred, ambiguous                              | 4.4.2 network        |
 * | a bare CR or LF in the content      | bounced                                          | 5.6.0 protocol       |
 * and of a plan or an offer what mx.h and offer.h say. Pure: times are passed in. */
#ifndef DELIVERY_VERDICT_H
#define DELIVERY_VERDICT_H
#include "delivery/mx.h"
#include "delivery/offer.h"
#include "delivery/path.h"
#include "delivery/retry.h"
#include "mail/rules.h"
#include "service/queue/attempt.h"

enum trouble {
    TROUBLE_NONE,    /* there is a reply */
    TROUBLE_CONNECT, /* refused, unreachable */
    TROUBLE_TIMEOUT,
    TROUBLE_LOST,    /* end of file or reset */
    TROUBLE_GARBAGE, /* REPLY_BROKEN, or input where none was due */
    TROUBLE_TLS,     /* the policy cannot be met here: refused, not offered, not verified */
    TROUBLE_NEWLINE, /* our content has a bare CR or LF */
    TROUBLE_LOOP,    /* the peer bears our name */
};

struct situation {
    enum phase phase;
    enum trouble trouble;
    const struct reply *reply; /* TROUBLE_NONE: it; else NULL */
    struct bytes why;     /* for people, what went wrong where there is no reply: "connection refused"; or NO_BYTES */
    struct bytes mx_host; /* for rules of its provider; NO_BYTES: none */
    bool last_host;       /* no other is left in this attempt */
    bool rcpt_taken;      /* RCPT: another recipient of this transaction was accepted before */
    bool require_tls;     /* the message's REQUIRETLS */
    bool source_known;    /* greylisting: it was tried from this source before */
    /* Attempts of this delivery that ended in a block before, and when the first of them was; 0: none. */
    int64_t blocks, first_block_at;
    struct retry_in retry; /* now, expires_at, n, hash; the rest is filled in here */
};

struct verdict_rules {
    const struct rules *own; /* NULL: the shipped ones */
    const struct retry_rules *retry;
    int64_t block_tries; /* delivery.block_tries */
};

/* What the engine does besides writing down the outcome. */
enum next {
    NEXT_NOTHING,
    NEXT_HOST,        /* tries another host in this attempt; what is said here is kept in case that none does better */
    NEXT_TRANSACTION, /* sends to the recipient again at once, first in its transaction: no attempt */
};

struct judgement {
    enum outcome outcome; /* DELIVERED, DEFERRED, BOUNCED, FAILED, EXPIRED */
    int code;             /* of the reply, or the one that we give; 0: there was no reply */
    struct bytes enhanced, text, cause, permanence, rule;
    int64_t retry_at; /* DEFERRED */
    bool ambiguous;   /* it may have been delivered */
    enum next next;
    bool close;            /* the connection is not to be used again */
    bool suspend_route;    /* AUTH was refused */
    bool keep_source;      /* greylisted: the next attempt is from the same source */
    bool other_source;     /* block: from another one, where there is one */
    enum path_event event; /* what the path is told */
    char text_memory[1024], enhanced_memory[16];
};

/* A positive reply is one to RCPT (250, 251, 252: it is what the dot's reply makes of it) or to the dot, which is
 * DELIVERED; 354 to DATA and 220 and 250 before are not to be judged. */
void verdict_judge(const struct situation *s, const struct verdict_rules *rules, struct judgement *out);
/* There is no plan (any mx_verdict but MX_OK); `why` is plan.why, s says when it is tried again. */
void verdict_of_plan(enum mx_verdict v, struct bytes why, const struct situation *s, const struct verdict_rules *rules,
                     struct judgement *out);
/* No host offers what the message needs: permanent. */
void verdict_of_refusal(enum offer_refusal r, struct judgement *out);
/* What time or an operator ends, or cannot be sent any more. */
enum verdict_ours { VERDICT_EXPIRED, VERDICT_NO_TLS, VERDICT_BOUNCED_BY_HAND, VERDICT_CONTENT_GONE, VERDICT_UNSIGNED };
void verdict_ours(enum verdict_ours why, struct judgement *out);

/* Fills code, enhanced, text, cause, permanence and rule, which lie in the judgement or live as long as the classifier.
 */
void judgement_attempt(const struct judgement *j, struct attempt *out);
#endif
