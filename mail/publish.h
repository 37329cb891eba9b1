/* mail/publish.h - what a domain publishes in the DNS so that its mail is believed and comes in: each record as it
 * should be, how it stands, and the exact change that mends it. Pure: what the DNS says is in mail/lookups.h.
 *
 *     publish_judge(&domain, &lookups, arena, &out);
 *     ... while it noted new questions: answer them, and judge again
 * Ownership: TXT, our token. DKIM: TXT, one for each key (RFC 6376 3.6.1). SPF: TXT (RFC 7208), in which our term
 * stands beside those of others. Return path, to which reports come back: a CNAME of our host, or MX and SPF of its
 * own. DMARC: TXT, of the domain or one above it (RFC 9989 4.10, by the tree). MX, when it has mailboxes here. */
#ifndef MAIL_PUBLISH_H
#define MAIL_PUBLISH_H
#include "mail/lookups.h"

enum publish_purpose {
    PUBLISH_OWNERSHIP,
    PUBLISH_DKIM,
    PUBLISH_SPF,
    PUBLISH_RETURN_PATH,
    PUBLISH_DMARC,
    PUBLISH_MX,
    PUBLISH_PURPOSES
};
enum publish_status { PUBLISH_OK, PUBLISH_WRONG, PUBLISH_MISSING, PUBLISH_PENDING, PUBLISH_TEMPORARY };

#define PUBLISH_RETURN_LABEL "rp"
#define PUBLISH_FOUND_MAX    10
#define PUBLISH_VALUE_MAX    1000 /* bytes shown of a value that was found */
#define PUBLISH_DKIM_MAX     20
#define PUBLISH_RECORDS_MAX  (PUBLISH_DKIM_MAX + 8)

enum publish_key { PUBLISH_KEY_NEXT, PUBLISH_KEY_ACTIVE, PUBLISH_KEY_RETIRING, PUBLISH_KEY_REVOKED };

struct publish_dkim {
    struct bytes name, record; /* where it stands, and the text that is to stand there */
    enum publish_key state;
};

struct publish_domain {
    struct bytes name;      /* A-labels, lower case */
    struct bytes token;     /* what shows ownership */
    struct bytes host;      /* our own name; NO_BYTES: we have none that others could look up */
    struct bytes addresses; /* ours beside those of that name, comma separated */
    bool inbound;           /* it has mailboxes here */
    const struct publish_dkim *dkim;
    size_t n_dkim;
};

struct publish_record {
    enum publish_purpose purpose;
    const char *type;
    struct bytes name, value; /* value NO_BYTES: it cannot be told yet, `fix` says why */
    bool has_priority;
    unsigned priority; /* MX */
    enum publish_status status;
    struct bytes found[PUBLISH_FOUND_MAX];
    size_t n_found;
    struct bytes fix; /* NO_BYTES: nothing to do */
    size_t dkim;      /* PUBLISH_DKIM: which */
};

enum publish_proof { PUBLISH_PROVED, PUBLISH_DISPROVED, PUBLISH_UNPROVED /* the DNS does not say: as it was */ };

struct publish_out {
    struct publish_record records[PUBLISH_RECORDS_MAX];
    size_t n;
    /* Ownership or an active key of ours is there, and SPF or the return path is right. */
    enum publish_proof proof;
    bool return_path; /* reports would come back by it */
};

void publish_judge(const struct publish_domain *d, struct lookups *l, struct arena *a, struct publish_out *out);

const char *publish_purpose_name(enum publish_purpose purpose);
const char *publish_status_name(enum publish_status status);
bool publish_for_receiving(enum publish_purpose purpose); /* else for sending */
#endif
