/* mail/address.h - addresses: SMTP paths (RFC 5321 4.1.2, RFC 6531) and header mailboxes (RFC 5322 3.4, RFC 6532).
 * Pure functions over borrowed bytes. Limits: an address has 254 octets with its domain in A-labels, since a path has
 * 256 with its brackets (RFC 5321 4.5.3.1.3); the local part of one that is given to us to write has 64 (4.5.3.1.1). */
#ifndef MAIL_ADDRESS_H
#define MAIL_ADDRESS_H
#include "base/arena.h"
#include "base/err.h"
#include "mail/limits.h"

#define ADDRESS_MAX 254

struct address {
    struct bytes name;   /* display name, decoded UTF-8; NO_BYTES when absent */
    struct bytes local;  /* without quotes and escapes where these are not needed */
    struct bytes domain; /* as given; NO_BYTES only for the null path */
    struct bytes email;  /* local@domain, quoted where needed: what we show and send */
    bool utf8;           /* local or domain beyond ASCII: needs SMTPUTF8 */
    struct bytes group;  /* address_list_parse: the name of the group that it stands in, NO_BYTES when it is in none */
};

/* The bare address `a@b` (addr-spec without comments and folding; domain a host name, U-label or [literal]).
 * ERR_SYNTAX says what is wrong. */
bool address_parse(struct bytes text, struct arena *a, struct address *out, struct err *e);
/* `Name <a@b>`, `"Name" <a@b>`, `a@b` or `a@b (Name)` exactly one mailbox, for API fields. */
bool mailbox_parse(struct bytes text, struct arena *a, struct address *out, struct err *e);
/* A header's address list with groups, comments, folding, obsolete syntax (RFC 5322 4.4) as far as it makes sense; what
 * cannot be read is skipped and counted. At most `max` addresses. */
struct address_list {
    struct address *list;
    size_t n, faults;
    size_t groups;      /* "Name: a@b;" and other ':' and ';' where an address has none */
    struct bytes fault; /* the first that could not be read, as it stands there */
};
void address_list_parse(struct bytes value, size_t max, struct mail_limits limits, struct arena *a,
                        struct address_list *out);
/* "<…>" of MAIL FROM / RCPT TO: *rest is what stands behind it (parameters). A source route is dropped (RFC 5321 C).
 * PATH_SENDER, for MAIL: "<>" is allowed (local, domain and email are NO_BYTES), a domain that is no host name
 * ("hp_laser.x", "a..b"), and a local part that should have been quoted ("ana lopez@b"). Otherwise `<Postmaster>`
 * without domain is allowed (domain NO_BYTES). PATH_BARE: brackets may be missing, and a name may stand before them.
 * Blanks around and inside the brackets do not count. The local part may be longer than 64 octets and have its dots
 * anywhere; `email` is written as it should have been, quoted. */
enum path_how { PATH_SENDER = 1, PATH_BARE = 2 };
bool path_parse(struct bytes text, unsigned how, struct arena *a, struct address *out, struct bytes *rest,
                struct err *e);
/* A domain in the form we compare and keep: lower case, IDNA2008 A-labels (libidn2, non-transitional), no final dot.
 * ERR_SYNTAX for what is no host name (LDH labels of 1-63, 253 in all). Literals are returned as they are. */
bool domain_normalize(struct bytes domain, struct arena *a, struct bytes *out, struct err *e);
/* Is a name that domain, or one below it? Without regard to case. */
bool domain_is_within(struct bytes name, struct bytes domain);
/* The same as domain_normalize for people to read: U-labels for A-labels. False where an A-label is none. */
bool domain_unicode(struct bytes domain, struct arena *a, struct bytes *out);
/* local@domain in the form we compare and keep: domain normalized, local part lower case (our mailboxes are case-blind;
 * for others' domains only the domain is changed: pass `fold_local` false). ERR_SYNTAX when that is no address or is
 * too long for a path. */
bool address_normalize(const struct address *in, bool fold_local, struct arena *a, struct bytes *out, struct err *e);
/* local part without "+tag": NO_BYTES when there is no tag. */
struct bytes address_untagged(struct bytes local);
/* The address with its domain in A-labels, where only the domain is beyond ASCII: mail that can be written without
 * SMTPUTF8 is (RFC 6531 3.2). Any other text stays as it is. */
struct bytes address_to_ascii(struct bytes email, struct arena *a);
/* `"Name" <a@b>` for a header: name encoded (RFC 2047) or quoted as needed, the address as address_to_ascii has it. */
void address_write(struct buf *out, const struct address *addr);
#endif
