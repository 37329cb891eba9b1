/* mail/auth/dmarc.h - DMARC as of RFC 9989: whose policy holds for an author's domain, and is one of the identities
 * that passed SPF or DKIM the author's? Organizations are found by the walk up the tree (4.10), never by a list of
 * suffixes.
 *
 *     do
 *         dmarc_check(&asked, &lookups, &verdict);
 *     while (it noted new questions: they are answered)
 * Pure: the DNS is mail/lookups.h. A walk asks eight names at most, all in one round. Records of RFC 7489 are read:
 * what is gone (pct, rf, ri) is shown or passed over; pct=0 meant what t=y means now. */
#ifndef MAIL_AUTH_DMARC_H
#define MAIL_AUTH_DMARC_H
#include "mail/auth/result.h"
#include "mail/lookups.h"

enum dmarc_policy { DMARC_NONE, DMARC_QUARANTINE, DMARC_REJECT, DMARC_UNSAID };

#define DMARC_URIS_MAX 20

struct dmarc_record {
    struct bytes text;
    enum dmarc_policy p, sp, np;                           /* DMARC_UNSAID: not there, or nothing known */
    bool p_wrong, sp_wrong, np_wrong;                      /* it is there, and none of the three words */
    bool strict_dkim, strict_spf;                          /* adkim=s, aspf=s */
    bool testing;                                          /* t=y, or pct=0 */
    char psd;                                              /* 'y', 'n', 'u' */
    int pct;                                               /* 100 when not said */
    struct bytes fo;                                       /* "0" when not said */
    struct bytes rua[DMARC_URIS_MAX], ruf[DMARC_URIS_MAX]; /* without "!10m" */
    size_t n_rua, n_ruf;
};

struct bytes dmarc_policy_text(enum dmarc_policy p); /* "none", "quarantine", "reject"; NO_BYTES: unsaid */
/* False: it does not begin with v=DMARC1, and is no record. Anything else that is wrong is passed over (4.7). */
bool dmarc_record_read(struct bytes text, struct dmarc_record *out);

struct dmarc_identity {
    struct bytes domain;
    enum auth_result result; /* AUTH_PASS and AUTH_TEMPERROR count */
};

struct dmarc_asked {
    struct bytes from; /* the author's domain, A- or U-labels */
    const struct dmarc_identity *dkim;
    size_t n_dkim;
    struct dmarc_identity spf; /* of MAIL FROM, or HELO where that is null; domain NO_BYTES: none */
};

struct dmarc_verdict {
    enum auth_result result;       /* none, pass, fail, temperror, permerror */
    enum dmarc_policy policy;      /* that holds for the author's domain; DMARC_UNSAID with none */
    enum dmarc_policy disposition; /* what is asked for this mail: DMARC_NONE unless it failed and policy is applied */
    struct bytes from;             /* A-labels */
    struct bytes policy_domain;    /* where the record stands, without _dmarc */
    struct bytes organization;     /* of the author's domain */
    const char *tag;               /* that said the policy: "p", "sp", "np" */
    const struct dmarc_record *record; /* NULL: none */
    struct bytes dkim, spf;            /* who is aligned; NO_BYTES: nobody */
    struct bytes why;
};

/* False: a question is open. Texts lie in the book's arena. */
bool dmarc_check(const struct dmarc_asked *q, struct lookups *l, struct dmarc_verdict *out);
/* The author's domain from a header: one From with one domain in it (5.3.1). AUTH_PASS, or what DMARC then is, and why:
 * permerror without exactly one From or a domain in it, none when its addresses are of several domains. A hundred
 * addresses are too many. */
enum auth_result dmarc_author(struct bytes header, struct arena *a, struct bytes *domain, struct bytes *why);
#endif
