/* mail/auth/spf_check.c - check_host() (RFC 7208 4): one record after the other, term after term, until one matches.
 *
 * The book answers or says that it does not know yet, and then the whole walk ends as UNDECIDED: the next one begins
 * again from the top, and costs microseconds. Recursion (include, redirect) is as deep as the ten terms that may cost
 * a look-up. A name that cannot stand in the DNS is asked of nobody: it does not exist. */
#include "mail/address.h"
#include "mail/auth/spf_private.h"
#include "mail/chars.h"
#include "mail/spf.h"

enum { NAMES_MAX = 10, LABEL_MAX = 63 };

enum match { NO_MATCH, MATCH, UNDECIDED, STOPS /* walk->stopped says how */ };

struct spf_walk {
    struct lookups *l;
    const struct spf_asked *q;
    struct spf_verdict *out;
    enum auth_result stopped;
    struct bytes domain;    /* of the record at hand */
    struct bytes validated; /* %{p} of that domain; NO_BYTES: not asked for yet */
    bool open;              /* a question is */
};

static enum auth_result check_host(struct spf_walk *w, struct bytes domain, bool first);

/* ---- the DNS ---- */

static bool is_name(struct bytes name)
{
    struct bytes label, rest = bytes_ends(name, BYTES(".")) ? bytes_head(name, name.n - 1) : name;

    if (!rest.n || rest.n > LOOKUP_NAME_MAX)
        return false;
    while (rest.p) {
        bytes_cut(rest, '.', &label, &rest);
        if (!label.n || label.n > LABEL_MAX)
            return false;
    }
    return true;
}

static struct bytes without_dot(struct bytes name)
{
    return bytes_ends(name, BYTES(".")) ? bytes_head(name, name.n - 1) : name;
}

static const struct lookup *ask(struct spf_walk *w, struct bytes name, enum lookup_type type)
{
    static const struct lookup no_name = { .result = LOOKUP_NONE, .no_name = true };
    const struct lookup *q = is_name(name) ? lookups_find(w->l, without_dot(name), type) : &no_name;

    w->open = w->open || q->result == LOOKUP_PENDING;
    return q;
}

static enum match stop(struct spf_walk *w, enum auth_result how, struct bytes why)
{
    w->stopped = how;
    if (!w->out->why.p)
        w->out->why = why;
    return STOPS;
}

/* What an answer is to a term: NO_MATCH when it can be looked at. Empty ones are counted (4.6.4). */
static enum match heard(struct spf_walk *w, const struct lookup *q, bool counts)
{
    if (q->result == LOOKUP_PENDING)
        return UNDECIDED;
    if (q->result == LOOKUP_FAILED)
        return stop(w, AUTH_TEMPERROR, arena_bytesf(w->l->arena, "%.*s: %.*s", SHOW(q->name), SHOW(q->why)));
    if (counts && q->result == LOOKUP_NONE && ++w->out->voids > SPF_VOID_MAX)
        return stop(w, AUTH_PERMERROR,
                    arena_bytesf(w->l->arena, "more than %d names have no records (RFC 7208 4.6.4)", SPF_VOID_MAX));
    return NO_MATCH;
}

static bool has_address(const struct lookup *q, const struct network *ip, int length)
{
    for (size_t i = 0; i < q->n; i++) {
        struct network one;

        if (!network_parse_address(q->values[i], &one))
            continue;
        one.length = length;
        if (network_holds(&one, ip))
            return true;
    }
    return false;
}

static const struct lookup *ask_addresses(struct spf_walk *w, struct bytes name)
{
    return ask(w, name, network_is_ipv4(&w->q->ip) ? LOOKUP_A : LOOKUP_AAAA);
}

/* ---- names of the host (5.5) ---- */

static struct bytes reverse_name(struct spf_walk *w)
{
    const struct network *ip = &w->q->ip;
    struct spf_macros m = { .q = w->q };

    return spf_expand(&m, network_is_ipv4(ip) ? BYTES("%{ir}.in-addr.arpa") : BYTES("%{ir}.ip6.arpa"), w->l->arena);
}

/* Of the names that the host's address leads to, those that lead back, one after the other: the first that `is`
 * accepts. Errors are passed over. False: a question is open. */
static bool find_name(struct spf_walk *w, bool (*is)(struct bytes name, struct bytes domain), struct bytes domain,
                      struct bytes *out)
{
    const struct lookup *ptr = ask(w, reverse_name(w), LOOKUP_PTR);

    *out = NO_BYTES;
    if (ptr->result == LOOKUP_PENDING)
        return false;
    for (size_t i = 0; i < ptr->n && i < NAMES_MAX; i++) {
        struct bytes name = without_dot(ptr->values[i]);
        const struct lookup *q;

        if (!is(name, domain))
            continue;
        q = ask_addresses(w, name);
        if (q->result == LOOKUP_PENDING)
            return false;
        if (has_address(q, &w->q->ip, 128)) {
            *out = name;
            return true;
        }
    }
    return true;
}

static bool is_any(struct bytes name, struct bytes domain)
{
    (void)name;
    (void)domain;
    return true;
}

/* %{p} (7.3): the domain itself before names below it before any other. */
static bool validate(struct spf_walk *w)
{
    static bool (*const wishes[])(struct bytes, struct bytes) = { bytes_equal_nocase, domain_is_within, is_any };

    for (size_t i = 0; i < 3; i++) {
        if (!find_name(w, wishes[i], w->domain, &w->validated))
            return false;
        if (w->validated.p)
            return true;
    }
    w->validated = BYTES("unknown");
    return true;
}

/* ---- domain-spec ---- */

/* Labels go from the left until it is short enough (7.3). */
static struct bytes shortened(struct bytes name)
{
    name = without_dot(name);
    while (name.n > LOOKUP_NAME_MAX) {
        size_t dot = bytes_find(name, '.');

        name = bytes_from(name, dot < name.n ? dot + 1 : name.n);
    }
    return name;
}

/* False: a question is open. */
static bool target_of(struct spf_walk *w, const struct spf_term *t, struct bytes *out)
{
    struct spf_macros m = { .q = w->q, .domain = w->domain };

    *out = w->domain;
    if (!t->domain.p)
        return true;
    if (spf_macro_asks_name(t->domain) && !w->validated.p && !validate(w))
        return false;
    m.validated = w->validated;
    *out = shortened(spf_expand(&m, t->domain, w->l->arena));
    return true;
}

/* ---- mechanisms ---- */

static enum match by_host(struct spf_walk *w, struct bytes name, const struct spf_term *t, bool counts)
{
    const struct lookup *q = ask_addresses(w, name);
    enum match m = heard(w, q, counts);
    int length = network_is_ipv4(&w->q->ip) ? t->prefix4 + 96 : t->prefix6;

    return m == NO_MATCH && has_address(q, &w->q->ip, length) ? MATCH : m;
}

static enum match by_mx(struct spf_walk *w, struct bytes name, const struct spf_term *t)
{
    const struct lookup *q = ask(w, name, LOOKUP_MX);
    enum match m = heard(w, q, true);

    if (m == NO_MATCH && q->n > NAMES_MAX)
        return stop(w, AUTH_PERMERROR,
                    arena_bytesf(w->l->arena, "%.*s has more than %d MX (RFC 7208 4.6.4)", SHOW(name), NAMES_MAX));
    for (size_t i = 0; m == NO_MATCH && i < q->n; i++) {
        struct bytes host;
        unsigned preference;

        if (lookup_mx(q->values[i], &preference, &host) && host.n)
            m = by_host(w, host, t, false);
    }
    return m;
}

static enum match by_ptr(struct spf_walk *w, struct bytes domain)
{
    struct bytes name;

    if (!find_name(w, domain_is_within, domain, &name))
        return UNDECIDED;
    return name.p ? MATCH : NO_MATCH;
}

static enum match by_exists(struct spf_walk *w, struct bytes name)
{
    const struct lookup *q = ask(w, name, LOOKUP_A);
    enum match m = heard(w, q, true);

    return m == NO_MATCH && q->n ? MATCH : m;
}

/* 5.2: what the other record says of the host; its words and its term are not ours. */
static enum match by_include(struct spf_walk *w, struct bytes name)
{
    struct bytes domain = w->domain, validated = w->validated;
    enum auth_result r = check_host(w, name, false);

    w->domain = domain;
    w->validated = validated;
    if (w->open)
        return UNDECIDED;
    if (r == AUTH_TEMPERROR || r == AUTH_PERMERROR)
        return stop(w, r, NO_BYTES);
    if (r == AUTH_NONE)
        return stop(w, AUTH_PERMERROR, arena_bytesf(w->l->arena, "%.*s has no SPF record to be included", SHOW(name)));
    return r == AUTH_PASS ? MATCH : NO_MATCH;
}

static enum match count_term(struct spf_walk *w)
{
    if (++w->out->terms > SPF_LOOKUPS_MAX)
        return stop(w, AUTH_PERMERROR,
                    arena_bytesf(w->l->arena, "more than %d terms ask the DNS (RFC 7208 4.6.4)", SPF_LOOKUPS_MAX));
    return NO_MATCH;
}

static enum match by_dns(struct spf_walk *w, const struct spf_term *t)
{
    struct bytes name;
    enum match m = count_term(w);

    if (m != NO_MATCH)
        return m;
    if (!target_of(w, t, &name))
        return UNDECIDED;
    switch (t->kind) {
    case SPF_INCLUDE: return by_include(w, name);
    case SPF_A: return by_host(w, name, t, true);
    case SPF_MX: return by_mx(w, name, t);
    case SPF_PTR: return by_ptr(w, name);
    default: return by_exists(w, name);
    }
}

static enum match matches(struct spf_walk *w, const struct spf_term *t)
{
    bool four = network_is_ipv4(&w->q->ip);

    switch (t->kind) {
    case SPF_ALL: return MATCH;
    case SPF_IP4: return four && network_holds(&t->network, &w->q->ip) ? MATCH : NO_MATCH;
    case SPF_IP6: return !four && network_holds(&t->network, &w->q->ip) ? MATCH : NO_MATCH;
    case SPF_REDIRECT:
    case SPF_EXP:
    case SPF_OTHER: return NO_MATCH;
    default: return by_dns(w, t);
    }
}

/* ---- what the domain tells the sender (6.2) ---- */

static bool is_ascii(struct bytes text)
{
    return bytes_plain(text) == text.n;
}

/* What goes wrong with it is passed over; a question may be left open. */
static void explain(struct spf_walk *w, const struct spf_term *exp)
{
    struct spf_macros m = { .q = w->q, .domain = w->domain, .explains = true };
    const struct lookup *q;
    struct bytes name;

    if (!target_of(w, exp, &name))
        return;
    q = ask(w, name, LOOKUP_TXT);
    if (q->n != 1 || !is_ascii(q->values[0]))
        return;
    if (spf_macro_asks_name(q->values[0]) && !w->validated.p && !validate(w))
        return;
    m.validated = w->validated;
    w->out->explanation = spf_expand(&m, q->values[0], w->l->arena);
}

/* ---- records ---- */

static bool is_spf(struct bytes text)
{
    return bytes_starts_nocase(text, BYTES("v=spf1")) && (text.n == 6 || text.p[6] == ' ');
}

static const struct spf_term *find_term(const struct spf_term *list, size_t n, enum spf_kind kind)
{
    for (size_t i = 0; i < n; i++)
        if (list[i].kind == kind)
            return &list[i];
    return NULL;
}

/* 6.1: as if the other record stood here. */
static enum auth_result redirect(struct spf_walk *w, const struct spf_term *t, bool first)
{
    enum auth_result r;
    struct bytes name;

    if (count_term(w) == STOPS)
        return w->stopped;
    if (!target_of(w, t, &name))
        return AUTH_NONE;
    r = check_host(w, name, first);
    if (w->open || r != AUTH_NONE)
        return r;
    stop(w, AUTH_PERMERROR, arena_bytesf(w->l->arena, "%.*s has no SPF record to redirect to", SHOW(name)));
    return w->stopped;
}

/* `first`: it is the record of the domain that was asked about, or one that it redirects to. */
static enum auth_result walk_terms(struct spf_walk *w, const struct spf_term *list, size_t n, bool first)
{
    const struct spf_term *t;

    for (size_t i = 0; i < n; i++) {
        enum match m = matches(w, &list[i]);

        if (m == UNDECIDED)
            return AUTH_NONE;
        if (m == STOPS)
            return w->stopped;
        if (m == NO_MATCH)
            continue;
        if (first)
            w->out->mechanism = list[i].whole;
        t = find_term(list, n, SPF_EXP);
        if (first && list[i].result == AUTH_FAIL && t)
            explain(w, t);
        return list[i].result;
    }
    t = find_term(list, n, SPF_REDIRECT);
    return t ? redirect(w, t, first) : AUTH_NEUTRAL;
}

static enum auth_result walk_record(struct spf_walk *w, struct bytes record, bool first)
{
    struct spf_term *list;
    struct bytes bad;
    size_t n;

    if (spf_terms(record, w->l->arena, &list, &n, &bad))
        return walk_terms(w, list, n, first);
    stop(w, AUTH_PERMERROR, arena_bytesf(w->l->arena, "\"%.*s\" of %.*s is no term", SHOW(bad), SHOW(w->domain)));
    return w->stopped;
}

/* 4.3 to 4.5. While a question is open the result is AUTH_NONE and w->open. */
static enum auth_result check_host(struct spf_walk *w, struct bytes domain, bool first)
{
    const struct lookup *q = ask(w, domain, LOOKUP_TXT);
    struct bytes record = NO_BYTES;
    enum match m = heard(w, q, !first);

    w->domain = without_dot(domain);
    w->validated = NO_BYTES;
    if (m == UNDECIDED)
        return AUTH_NONE;
    if (m == STOPS)
        return w->stopped;
    for (size_t i = 0; i < q->n; i++) {
        if (!is_spf(q->values[i]))
            continue;
        if (record.p) {
            stop(w, AUTH_PERMERROR, arena_bytesf(w->l->arena, "%.*s has several SPF records", SHOW(domain)));
            return w->stopped;
        }
        record = q->values[i];
    }
    return record.p ? walk_record(w, record, first) : AUTH_NONE;
}

bool spf_check(const struct spf_asked *q, struct lookups *l, struct spf_verdict *out)
{
    struct spf_walk w = { .l = l, .q = q, .out = out };

    *out = (struct spf_verdict){ .result = AUTH_NONE };
    if (!is_name(q->domain) || bytes_find(without_dot(q->domain), '.') >= without_dot(q->domain).n)
        return true; /* 4.3: no name of several labels */
    out->result = check_host(&w, q->domain, true);
    if (!w.open)
        return true;
    *out = (struct spf_verdict){ .result = AUTH_NONE };
    return false;
}
