/* mail/publish_private.h - what the files of mail/publish know of one another. */
#ifndef MAIL_PUBLISH_PRIVATE_H
#define MAIL_PUBLISH_PRIVATE_H
#include "mail/publish.h"
#include "mail/spf.h"

struct publish {
    const struct publish_domain *d;
    struct lookups *l;
    struct arena *a;
    struct publish_out *out;
    /* Who sends: the addresses of our name, and the ones that were told. */
    struct spf_sender us;
    struct network addresses[SPF_ADDRESSES_MAX];
    bool us_pending;
    struct bytes us_unknown; /* why our own name cannot be looked up */
};

struct publish_record *publish_add(struct publish *p, enum publish_purpose purpose, const char *type, struct bytes name,
                                   struct bytes value);
void publish_found(struct publish *p, struct publish_record *r, struct bytes value);
/* PENDING and TEMPORARY by an answer; true: it was neither. */
bool publish_answered(struct publish *p, struct publish_record *r, const struct lookup *answer);
/* MISSING, with the words for it; looks whether it stands where a provider put it that adds the domain by itself. */
void publish_missing(struct publish *p, struct publish_record *r);
/* WRONG: the words of `why`, then what to publish. */
void publish_wrong(struct publish *p, struct publish_record *r, struct bytes why);
/* Is the host of a MX ours, by its name or an address? *pending: it has to be looked up first. */
bool publish_is_us(struct publish *p, struct bytes host, bool *pending);

void publish_spf(struct publish *p, struct publish_record *r, struct bytes name);
void publish_return_path(struct publish *p);
void publish_mx(struct publish *p);
void publish_dmarc(struct publish *p);
#endif
