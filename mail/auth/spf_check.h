/* mail/auth/spf_check.h - may this host send for that domain? check_host() of RFC 7208, whole: macros, ptr, exp, the
 * limits of 4.6.4. Pure: the DNS is mail/lookups.h.
 *
 *     do
 *         spf_check(&asked, &lookups, &verdict);
 *     while (it noted new questions: they are answered)
 * One question comes with each round, since what a record needs is known only when those before it have not matched: a
 * receiver asks no more than that. mail/spf.h looks at the same records with their owner's eyes.
 *
 * Of two identities HELO and MAIL FROM (2.3, 2.4): spf_of_helo and spf_of_mail_from fill what is asked. */
#ifndef MAIL_AUTH_SPF_CHECK_H
#define MAIL_AUTH_SPF_CHECK_H
#include "base/network.h"
#include "mail/auth/result.h"
#include "mail/lookups.h"

struct spf_asked {
    struct network ip;
    struct bytes sender; /* local@domain */
    struct bytes domain; /* whose record is asked: A-labels */
    struct bytes helo;
    struct bytes host; /* ours: %{r}; NO_BYTES: "unknown" */
    int64_t now;       /* wall ms: %{t} */
};

struct spf_verdict {
    enum auth_result result;
    struct bytes mechanism;   /* the term that decided, as it stands; NO_BYTES: none did */
    struct bytes explanation; /* AUTH_FAIL: the domain's own words for the sender; NO_BYTES: none */
    struct bytes why;         /* temperror, permerror: what is wrong */
    unsigned terms, voids;    /* what it cost, of SPF_LOOKUPS_MAX and SPF_VOID_MAX (mail/spf.h) */
};

/* "postmaster@HELO". False: the name cannot have a record (an address literal, one label), which is AUTH_NONE. */
bool spf_of_helo(struct spf_asked *q, struct arena *a, struct bytes helo);
/* The envelope's sender; a null one, "", is that of HELO. */
bool spf_of_mail_from(struct spf_asked *q, struct arena *a, struct bytes helo, struct bytes mail_from);

/* False: a question is open, and nothing is decided. Texts lie in the book's arena. */
bool spf_check(const struct spf_asked *q, struct lookups *l, struct spf_verdict *out);

/* "Received-SPF: pass (…) client-ip=…; …" (RFC 7208 9.1), with CRLF. `identity`: "mailfrom" or "helo". */
void spf_received(const struct spf_asked *q, const struct spf_verdict *v, const char *identity, struct buf *out);
#endif
