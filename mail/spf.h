/* mail/spf.h - SPF records (RFC 7208) as their owner should see them: do they let our addresses send, would a receiver
 * take them at all, and how they are changed without taking anything from others. Pure: what the DNS says comes from
 * mail/lookups.h.
 *
 *     spf_judge(&lookups, name, &us, &view);
 * Macros are not expanded: a term that has one counts as a lookup and matches nothing. */
#ifndef MAIL_SPF_H
#define MAIL_SPF_H
#include "base/network.h"
#include "mail/lookups.h"

#define SPF_LOOKUPS_MAX   10 /* RFC 7208 4.6.4 */
#define SPF_VOID_MAX      2
#define SPF_ADDRESSES_MAX 16

/* Who has to pass. */
struct spf_sender {
    struct bytes term;               /* what lets all of it pass: "a:mail.example.org" */
    const struct network *addresses; /* n 0: not known */
    size_t n;
};

enum spf_result {
    SPF_PENDING, /* more has to be looked up first */
    SPF_UNKNOWN, /* the DNS does not answer: `why` */
    SPF_NO_RECORD,
    SPF_BROKEN,   /* receivers answer permerror: `why` */
    SPF_STRANGER, /* `why`: the address that does not pass */
    SPF_FINE
};

struct spf_view {
    enum spf_result result;
    struct bytes why;
    struct bytes *records; /* the TXT records that are SPF's, as found */
    size_t n;
    unsigned lookups;  /* that it costs a receiver at most */
    struct bytes drop; /* SPF_BROKEN: an include of its own that leads nowhere, without which it may be right */
};

void spf_judge(struct lookups *l, struct bytes name, const struct spf_sender *who, struct spf_view *out);

/* One record out of those found (n 0: none) with our term in it: every sender that is in them stays. Two records become
 * one, which is what RFC 7208 4.5 wants. Where ours would be one lookup too many (view->lookups), its addresses stand
 * for it. */
struct bytes spf_merge(struct arena *a, const struct spf_view *view, const struct spf_sender *who);
#endif
