/* mail/classify.h - what a refusal means: cause and permanence of an SMTP reply or of what a report says, by rules.
 *
 *     struct classifier *c = NULL;
 *     classifier_new(own_rules, &c, e);         NO_BYTES: the shipped ones alone
 *     struct meaning m = classify(c, &(struct refusal){ .code = 550, .enhanced = BYTES("5.1.1"), .text = text });
 *     classifier_free(&c);
 * delivery/verdict.h (replies) and mail/bounce.h (reports) both ask here, so that one refusal means the same whichever
 * way it came. Pure: no clock, no file. A classifier never changes: any number of threads may ask one; who loads other
 * rules makes another. The reply's own words are never changed or kept.
 *
 * The first rule that matches decides: own rules before shipped ones, those of the provider before those of all, the
 * order of the file within. The shipped file asks in this order: words that overrule a code, enhanced codes that tell
 * (RFC 3463, RFC 5248, IANA), words, the vaguer codes. What says nothing more than "refused" is WHY_UNDETERMINED, with
 * the permanence of its first digit.
 *
 * Rules are JSON, mail/classify_rules.json is the shipped file:
 *     {"rules": [{"id": "yahoo-ts", "provider": "yahoo", "phase": "any", "code": "4|5", "enhanced": "4.7.0",
 *                 "match": ["[TS0*]"], "cause": "reputation", "permanence": "block"}, ...]}
 * id and cause are wanted. provider: a name that the caller knows the receiver by. phase: connect, hello, mail, rcpt,
 * data, untold (a report that does not say which) or any. code: alternatives, beginnings of the code ("4", "55"), which
 * is the first digit of the enhanced one where there is no other. enhanced: alternatives, beginnings up to a dot
 * ("5.7", "x.1.1": of either class). match: any of the patterns, found anywhere in the text, case-blind, runs of white
 * space being one space; `*` stands for any text, there is no other sign, so that matching takes linear time whoever
 * writes the rules or the text. permanence left out: what the first digit says (5 permanent, 4 temporary), with no code
 * undetermined. */
#ifndef MAIL_CLASSIFY_H
#define MAIL_CLASSIFY_H
#include "base/bytes.h"
#include "base/err.h"

#define WHY_LIST(X) /* as api.md and events write them */                                                              \
    X(UNDETERMINED, "undetermined")                                                                                    \
    X(UNKNOWN_USER, "unknown_user")                                                                                    \
    X(INACTIVE_USER, "inactive_user")                                                                                  \
    X(MAILBOX_FULL, "mailbox_full")                                                                                    \
    X(UNKNOWN_DOMAIN, "unknown_domain")                                                                                \
    X(BAD_DESTINATION, "bad_destination")                                                                              \
    X(NETWORK, "network")                                                                                              \
    X(DNS, "dns")                                                                                                      \
    X(TLS, "tls")                                                                                                      \
    X(AUTH, "auth") /* SPF, DKIM, DMARC, names of the sender's host; SMTP AUTH of a relay */                           \
    X(POLICY, "policy")                                                                                                \
    X(SPAM_CONTENT, "spam_content")                                                                                    \
    X(VIRUS, "virus")                                                                                                  \
    X(REPUTATION, "reputation")                                                                                        \
    X(RATE, "rate")                                                                                                    \
    X(GREYLIST, "greylist")                                                                                            \
    X(TOO_LARGE, "too_large")                                                                                          \
    X(PROTOCOL, "protocol")                                                                                            \
    X(SENDER_REJECTED, "sender_rejected")                                                                              \
    X(SYSTEM, "system")                                                                                                \
    X(RELAY_DENIED, "relay_denied")                                                                                    \
    X(LOOP, "loop")                                                                                                    \
    X(EXPIRED, "expired")                                                                                              \
    X(SUPPRESSED, "suppressed")

enum why {
#define X(name, text) WHY_##name,
    WHY_LIST(X)
#undef X
        WHYS
};

enum permanence {
    PERMANENCE_UNDETERMINED,
    PERMANENCE_PERMANENT, /* this mail will not be taken for this recipient, however often it is tried */
    PERMANENCE_TEMPORARY, /* the same mail may be taken later */
    PERMANENCE_BLOCK,     /* who sends is refused, from here or with this mail, not the recipient: another source may do
                             better */
    PERMANENCES
};

struct bytes why_text(enum why why);
bool why_of(struct bytes text, enum why *out);
struct bytes permanence_text(enum permanence p); /* "permanent", "temporary", "block", "undetermined" */
bool permanence_of(struct bytes text, enum permanence *out);

/* What was answered: zero where not known. */
enum refused_at {
    REFUSED_ANYWHERE, /* not known: a report */
    REFUSED_CONNECT,  /* the greeting */
    REFUSED_HELLO,    /* EHLO, HELO, STARTTLS, AUTH */
    REFUSED_MAIL,
    REFUSED_RCPT,
    REFUSED_DATA, /* DATA, BDAT or the dot */
};
struct refusal {
    enum refused_at at;
    int code;              /* 250 … 599 */
    struct bytes enhanced; /* "5.1.1" */
    struct bytes text;     /* the words, one line or several; at most CLASSIFY_TEXT_MAX bytes are looked at */
    struct bytes provider; /* as rules name it */
};

struct meaning {
    enum why why;
    enum permanence permanence;
    const char *rule; /* its id; "code" where none matched. Lives as long as the classifier */
};

#define CLASSIFY_TEXT_MAX  4096
#define CLASSIFY_RULES_MAX 2000 /* of own rules; patterns of one: 200 */

struct classifier;
/* `own`: rules that come before the shipped ones; NO_BYTES: none. ERR_BAD_JSON, ERR_INVALID: the message names the
 * rule and what is wrong with it (an unknown member, cause, phase or permanence; no id; an id given twice). */
bool classifier_new(struct bytes own, struct classifier **out, struct err *e);
/* The same; *faulty: the number of the rule with the fault, from 1; 0: it is none of one rule. */
bool classifier_read(struct bytes own, struct classifier **out, size_t *faulty, struct err *e);
void classifier_free(struct classifier **c);       /* *c may be NULL */
const struct classifier *classifier_shipped(void); /* made at first use, never freed */
struct meaning classify(const struct classifier *c, const struct refusal *r);

/* The recipient takes no mail at all, from nobody: what puts an address on the suppression list. */
bool meaning_suppresses(struct meaning m);
#endif
