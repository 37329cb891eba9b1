/* mail/rules.h - what is known of the world's mail servers, as data: which provider an MX host belongs to and what
 * it bears, what replies mean (mail/classify.h), and who loads the pictures of mails that nobody reads
 * (mail/prefetch.h).
 *
 *     {"providers": [{"name": "google", "mx": [".google.com", ".googlemail.com"], "tls": "require", "connections": 5,
 *                     "per_connection": 50}, ...],
 *      "rules": [{"id": "yahoo-ts", "provider": "yahoo", "code": "4|5", "match": ["[TS0*]"], "cause": "reputation",
 *                 "permanence": "block"}, ...]}
 *
 * A provider is found by the name of an MX host: an entry of "mx" that begins with a dot matches whatever stands below
 * it (so ".google.com" is "alt1.aspmx.l.google.com", and never "notgoogle.com"), another one the host itself, ASCII
 * case-blind. The first that matches counts, own before shipped (mail/providers.json). "connections" and
 * "per_connection" (messages) are ceilings for a group; "tls" is "may" or "require". "rules" are mail/classify.h's,
 * whose "provider" is a name from here. What is not known is refused by name, so that a slip does not go unseen.
 *
 * A struct rules never changes: any thread may ask; who loads another file makes another. Pure. */
#ifndef MAIL_RULES_H
#define MAIL_RULES_H
#include "mail/classify.h"
#include "mail/prefetch.h"

enum phase {
    PHASE_CONNECT,
    PHASE_GREETING,
    PHASE_EHLO,
    PHASE_TLS, /* STARTTLS, the handshake, EHLO behind it */
    PHASE_AUTH,
    PHASE_MAIL,
    PHASE_RCPT,
    PHASE_DATA,
    PHASE_DOT, /* from the content's end on */
};

enum { RULES_PROVIDERS_MAX = 1000, RULES_SUFFIXES_MAX = 100, PROVIDER_NAME_MAX = 64 };

struct rules;
/* `own`: a file that comes before the shipped ones; NO_BYTES: those alone. ERR_BAD_JSON, ERR_INVALID: says what, and
 * *line where that stands (from 1; 0: in no line of its own). */
bool rules_read(struct bytes own, struct rules **out, size_t *line, struct err *e);
void rules_free(struct rules **r);       /* *r may be NULL */
const struct rules *rules_shipped(void); /* made at first use, never freed */

struct provider {
    struct bytes name;
    bool tls_required;
    int connections, per_connection; /* 0: not said */
};
/* NULL for `r`: the shipped ones. NULL: a host of no provider. */
const struct provider *rules_provider(const struct rules *r, struct bytes mx_host);

/* What a reply means in a phase; the enhanced code and text are reply.h's. mx_host NO_BYTES: not known. */
struct rules_query {
    enum phase phase;
    int code;
    struct bytes enhanced, text, mx_host;
};
/* Whose program it is that asks for a picture or a link without a reader; NULL: a reader's, as far as is known. */
const struct prefetcher *rules_prefetcher(const struct rules *r, struct bytes agent, const struct network *address);
const struct classifier *rules_classifier(const struct rules *r);
struct meaning rules_classify(const struct rules *r, const struct rules_query *q);
#endif
