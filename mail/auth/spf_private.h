/* mail/auth/spf_private.h - inside mail/auth/: the terms of an SPF record (RFC 7208 5, 6, 12) and macros (7). */
#ifndef MAIL_AUTH_SPF_PRIVATE_H
#define MAIL_AUTH_SPF_PRIVATE_H
#include "mail/auth/spf_check.h"

enum spf_kind {
    SPF_ALL,
    SPF_INCLUDE,
    SPF_A,
    SPF_MX,
    SPF_PTR,
    SPF_IP4,
    SPF_IP6,
    SPF_EXISTS,
    SPF_REDIRECT,
    SPF_EXP,
    SPF_OTHER /* a modifier of no meaning */
};

struct spf_term {
    enum spf_kind kind;
    struct bytes whole;
    enum auth_result result; /* of its qualifier */
    struct bytes domain;     /* domain-spec, with macros; NO_BYTES: the current one */
    struct network network;  /* SPF_IP4, SPF_IP6 */
    int prefix4, prefix6;    /* SPF_A, SPF_MX */
};

enum { SPF_TERMS_MAX = 1000 }; /* of one record; a TXT of LOOKUP_VALUE_MAX cannot have many more */

/* All terms of a record that begins with "v=spf1"; false names in *bad what is no term (RFC 7208 4.6). */
bool spf_terms(struct bytes record, struct arena *a, struct spf_term **out, size_t *n, struct bytes *bad);

/* Macros put in. `domain`: the current one. `validated`: %{p}. NO_BYTES: the text is none, or too long. */
struct spf_macros {
    const struct spf_asked *q;
    struct bytes domain, validated;
    bool explains; /* %{c} %{r} %{t} are allowed, and blanks */
};
/* *last: where its last macro ends; 0: it has none. */
bool spf_macro_ok(struct bytes text, bool explains, size_t *last);
bool spf_macro_asks_name(struct bytes text); /* it has a %{p} */
struct bytes spf_expand(const struct spf_macros *m, struct bytes text, struct arena *a);
#endif
