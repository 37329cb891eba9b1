/* mail/auth/dmarc.c - the walk up the tree, the policy that it finds, and alignment (RFC 9989 4.4, 4.10).
 *
 * One walk serves for both, the author's policy and organization; identities that passed have walks of their own when
 * they are not the author's domain itself. A name that nobody answers for leaves open what stands there: what depends
 * on it is temperror, what does not is decided all the same. */
#include "mail/auth/dmarc.h"
#include "mail/address.h"
#include "mail/header.h"

enum { WALK_MAX = 8, WALK_LABELS = 7, AUTHORS_MAX = 100 };

struct step {
    struct bytes domain;
    bool there, failed; /* one valid record; nobody knows */
    struct dmarc_record record;
};

struct walk {
    struct step steps[WALK_MAX];
    size_t n;  /* those that count: the walk stops at psd=n, and above its start at psd=y */
    bool open; /* a question is */
    bool failed;
    struct bytes why;
    struct bytes organization;
};

static size_t count_labels(struct bytes name)
{
    size_t n = 1;

    for (size_t i = 0; i < name.n; i++)
        n += name.p[i] == '.';
    return n;
}

static struct bytes parent_of(struct bytes name)
{
    return bytes_from(name, bytes_find(name, '.') + 1);
}

/* 4.10 steps 3 to 7: the name, its last seven labels (or one fewer), and so on. */
static size_t targets(struct bytes name, struct bytes out[WALK_MAX])
{
    size_t labels = count_labels(name), n = 0;

    out[n++] = name;
    while (labels > 1 && n < WALK_MAX) {
        do {
            name = parent_of(name);
            labels--;
        } while (labels > WALK_LABELS);
        out[n++] = name;
    }
    return n;
}

/* Several records are none. */
static void read_step(struct step *s, const struct lookup *txt)
{
    struct dmarc_record record;

    s->failed = txt->result == LOOKUP_FAILED;
    for (size_t i = 0, found = 0; i < txt->n; i++) {
        if (!dmarc_record_read(txt->values[i], &record))
            continue;
        s->there = found++ == 0;
        s->record = record;
    }
}

/* 4.10.2: whose organization the walk has come to. */
static struct bytes organization_of(const struct walk *w)
{
    struct bytes last = NO_BYTES;

    for (size_t i = 0; i < w->n; i++) {
        const struct step *s = &w->steps[i];

        if (!s->there)
            continue;
        if (s->record.psd == 'n')
            return s->domain;
        if (s->record.psd == 'y' && i > 0) { /* the domain one label below it, of the name that the walk began with */
            struct bytes start = w->steps[0].domain;

            while (count_labels(start) > count_labels(s->domain) + 1)
                start = parent_of(start);
            return start;
        }
        last = s->domain;
    }
    return last.p ? last : w->steps[0].domain;
}

static void walk(struct lookups *l, struct bytes domain, struct walk *w)
{
    struct bytes names[WALK_MAX];
    size_t n = targets(domain, names);

    *w = (struct walk){ .n = 0 };
    for (size_t i = 0; i < n; i++) {
        struct bytes name = arena_bytesf(l->arena, "_dmarc.%.*s", SHOW(names[i]));

        if (lookups_find(l, name, LOOKUP_TXT)->result == LOOKUP_PENDING)
            w->open = true;
    }
    for (size_t i = 0; i < n && !w->open; i++) {
        const struct lookup *txt = lookups_find(l, arena_bytesf(l->arena, "_dmarc.%.*s", SHOW(names[i])), LOOKUP_TXT);
        struct step *s = &w->steps[w->n++];

        s->domain = names[i];
        read_step(s, txt);
        if (s->failed && !w->failed) {
            w->failed = true;
            w->why = arena_bytesf(l->arena, "%.*s: %.*s", SHOW(txt->name), SHOW(txt->why));
        }
        if (s->there && (s->record.psd == 'n' || (s->record.psd == 'y' && i > 0)))
            break;
    }
    if (!w->open)
        w->organization = organization_of(w);
}

/* ---- policy ---- */

/* 4.4: at the author's domain, at its organization, or at the public suffix above that. NULL: none; *failed: whether
 * there is one is not known. */
static const struct step *policy_of(const struct walk *w, bool *failed)
{
    const struct step *at_organization = NULL, *at_suffix = NULL;

    *failed = w->steps[0].failed;
    if (w->steps[0].there || *failed)
        return *failed ? NULL : &w->steps[0];
    for (size_t i = 1; i < w->n; i++) {
        const struct step *s = &w->steps[i];

        if (s->there && bytes_equal(s->domain, w->organization))
            at_organization = s;
        else if (s->there && s->record.psd == 'y')
            at_suffix = s;
    }
    *failed = w->failed;
    return at_organization ? at_organization : at_suffix;
}

/* Is the author's domain in the DNS? False: the question is open. */
static bool exists(struct lookups *l, struct bytes domain, bool *out)
{
    const struct lookup *q = lookups_find(l, domain, LOOKUP_A);

    *out = !q->no_name;
    return q->result != LOOKUP_PENDING;
}

static enum dmarc_policy or_else(enum dmarc_policy one, enum dmarc_policy other)
{
    return one != DMARC_UNSAID ? one : other;
}

/* What holds for this domain. False: a question is open. */
static bool choose(struct lookups *l, const struct step *s, struct dmarc_verdict *out)
{
    const struct dmarc_record *r = &s->record;
    bool own = bytes_equal(s->domain, out->from), there = true;

    out->tag = "p";
    out->policy = r->p;
    if (own)
        return true;
    if (r->np != DMARC_UNSAID && !exists(l, out->from, &there))
        return false;
    out->tag = !there ? "np" : r->sp != DMARC_UNSAID ? "sp" : "p";
    out->policy = !there ? r->np : or_else(r->sp, r->p);
    return true;
}

/* 4.4: without a p= that can be read, or with an sp= or np= that cannot, it says none, if it wants reports. */
static bool is_policy(const struct dmarc_record *r)
{
    return r->p != DMARC_UNSAID && !r->sp_wrong && !r->np_wrong;
}

/* ---- alignment ---- */

/* An organization is the name itself or one above it: so where the author's is known, what does not stand below that is
 * none of it, and where it is not, what ends in another top-level domain. Nothing is asked then. Else whoever forges an
 * author could add a signature of a domain whose servers do not answer, and nobody would know any more. */
static bool may_be_aligned(const struct walk *author, struct bytes name)
{
    struct bytes from = author->steps[0].domain;

    return domain_is_within(name,
                            author->failed ? bytes_from(from, bytes_find_last(from, '.') + 1) : author->organization);
}

enum aligned { NOT_ALIGNED, ALIGNED, ALIGNMENT_OPEN, ALIGNMENT_UNKNOWN };

static enum aligned aligned(struct lookups *l, const struct walk *author, struct bytes domain, bool strict,
                            struct walk *room)
{
    struct bytes from = author->steps[0].domain, name;
    struct err e = { 0 };

    if (!domain.n || !domain_normalize(domain, l->arena, &name, &e))
        return NOT_ALIGNED;
    if (bytes_equal(name, from))
        return ALIGNED;
    if (strict || !may_be_aligned(author, name))
        return NOT_ALIGNED;
    walk(l, name, room);
    if (room->open)
        return ALIGNMENT_OPEN;
    if (room->failed || author->failed)
        return ALIGNMENT_UNKNOWN;
    return bytes_equal(room->organization, author->organization) ? ALIGNED : NOT_ALIGNED;
}

struct judging {
    struct lookups *l;
    const struct walk *author;
    struct walk *room;
    bool open, temporary;
};

/* True: it passed, and is the author's. */
static bool counts(struct judging *j, const struct dmarc_identity *id, bool strict)
{
    enum aligned how;

    if (id->result != AUTH_PASS && id->result != AUTH_TEMPERROR)
        return false;
    how = aligned(j->l, j->author, id->domain, strict, j->room);
    j->open = j->open || how == ALIGNMENT_OPEN;
    if (how == ALIGNMENT_UNKNOWN || (how == ALIGNED && id->result == AUTH_TEMPERROR))
        j->temporary = true;
    return how == ALIGNED && id->result == AUTH_PASS;
}

static bool judge(const struct dmarc_asked *q, struct judging *j, struct dmarc_verdict *out)
{
    const struct dmarc_record *r = out->record;

    for (size_t i = 0; i < q->n_dkim; i++)
        if (counts(j, &q->dkim[i], r->strict_dkim) && !out->dkim.p)
            out->dkim = q->dkim[i].domain;
    if (counts(j, &q->spf, r->strict_spf))
        out->spf = q->spf.domain;
    if (out->dkim.p || out->spf.p)
        out->result = AUTH_PASS;
    else if (j->open)
        return false;
    else
        out->result = j->temporary ? AUTH_TEMPERROR : AUTH_FAIL;
    if (out->result == AUTH_TEMPERROR)
        out->why = j->author->why.p ? j->author->why : BYTES("an identity that may be the author's is not known yet");
    if (out->result == AUTH_FAIL) {
        out->why = BYTES("no identity that passed is the author's");
        out->disposition = r->testing ? DMARC_NONE : out->policy;
    }
    return !j->open;
}

static void end_with(struct dmarc_verdict *out, enum auth_result r, struct bytes why)
{
    out->result = r;
    out->why = why;
}

/* The author's walk is done: the record that holds. False: a question is open. */
static bool find_policy(struct lookups *l, const struct walk *w, struct dmarc_verdict *out)
{
    struct dmarc_record *record;
    const struct step *s;
    bool failed;

    out->organization = w->organization;
    s = policy_of(w, &failed);
    if (!s) {
        end_with(out, failed ? AUTH_TEMPERROR : AUTH_NONE, failed ? w->why : BYTES("there is no policy"));
        return true;
    }
    out->policy_domain = s->domain;
    if (!is_policy(&s->record) && !s->record.n_rua) {
        end_with(out, AUTH_NONE, BYTES("the record has no policy that can be read, and wants no reports"));
        return true;
    }
    record = arena_alloc(l->arena, sizeof *record);
    *record = s->record;
    out->record = record;
    if (is_policy(record))
        return choose(l, s, out);
    out->policy = DMARC_NONE;
    out->tag = "p";
    return true;
}

bool dmarc_check(const struct dmarc_asked *q, struct lookups *l, struct dmarc_verdict *out)
{
    struct walk *author = arena_alloc(l->arena, sizeof *author), *room = arena_alloc(l->arena, sizeof *room);
    struct judging j = { .l = l, .author = author, .room = room };
    struct err e = { 0 };

    *out = (struct dmarc_verdict){ .policy = DMARC_UNSAID };
    if (!domain_normalize(q->from, l->arena, &out->from, &e) || bytes_starts(out->from, BYTES("["))) {
        end_with(out, AUTH_PERMERROR, BYTES("the author's domain is none"));
        return true;
    }
    walk(l, out->from, author);
    if (author->open || !find_policy(l, author, out))
        return false;
    return !out->record || judge(q, &j, out);
}

enum auth_result dmarc_author(struct bytes header, struct arena *a, struct bytes *domain, struct bytes *why)
{
    struct address_list list;
    struct header h;
    struct err e = { 0 };

    *domain = NO_BYTES;
    *why = BYTES("the mail has not exactly one From");
    if (header_count(header, "From") != 1 || !header_find(header, "From", 0, &h))
        return AUTH_PERMERROR;
    address_list_parse(h.value, AUTHORS_MAX, (struct mail_limits){ .header_value = h.value.n }, a, &list);
    *why = BYTES("From has more addresses than are looked at");
    if (list.n == AUTHORS_MAX) /* who stands behind them is not known */
        return AUTH_PERMERROR;
    *why = BYTES("From has no address with a domain");
    for (size_t i = 0; i < list.n; i++) {
        struct bytes one;

        if (!domain_normalize(list.list[i].domain, a, &one, &e))
            return AUTH_PERMERROR;
        if (domain->p && !bytes_equal(one, *domain)) {
            *domain = NO_BYTES;
            *why = BYTES("From has addresses of several domains (RFC 9989 5.3.1)");
            return AUTH_NONE;
        }
        *domain = one;
    }
    return domain->p ? AUTH_PASS : AUTH_PERMERROR;
}
