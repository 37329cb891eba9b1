/* mail/spf.c - check_host() of RFC 7208 4.6 for a few addresses of our own, and what all of a record costs.
 *
 * Two walks over one record. `matches` is a receiver's: the first term that matches decides, for one address. `cost`
 * goes through every term, since mail of others who send for the domain passes ours by: limits that only they would
 * meet break the record all the same. A walk that needs an answer goes on without it, so that each round asks for all
 * that can be known to be needed. */
#include "mail/spf.h"
#include "mail/chars.h"
#include <string.h>

enum { DEPTH_MAX = 10, TERMS_MAX = 200, LOOKUPS_STOP = 40 };

enum verdict { V_NEUTRAL, V_PASS, V_FAIL, V_NONE, V_PENDING, V_UNKNOWN, V_BROKEN };

struct walk {
    struct lookups *l;
    struct network address;
    struct bytes why, drop;
    unsigned lookups, voids;
    bool pending;
    int depth;
};

struct term {
    char qualifier;
    struct bytes name, value; /* "a", "mail.example.org/24"; of modifiers: "redirect", its value */
    bool modifier;
};

static enum verdict check(struct walk *w, struct bytes domain);

static bool is_spf(struct bytes text)
{
    return bytes_starts_nocase(text, BYTES("v=spf1")) && (text.n == 6 || text.p[6] == ' ');
}

static size_t records_of(struct walk *w, const struct lookup *txt, struct bytes **out)
{
    size_t n = 0;

    *out = arena_array(w->l->arena, txt->n, sizeof **out);
    for (size_t i = 0; i < txt->n; i++)
        if (is_spf(txt->values[i]))
            (*out)[n++] = txt->values[i];
    return n;
}

/* The next term of a record, which loses it. False at the end. */
static bool next_term(struct bytes *rest, struct term *t)
{
    struct bytes word;
    size_t colon, equals;

    do {
        if (!rest->n)
            return false;
        bytes_cut(*rest, ' ', &word, rest);
    } while (!word.n);
    colon = bytes_find(word, ':');
    equals = bytes_find(word, '=');
    *t = (struct term){ .qualifier = '+', .modifier = equals < word.n && equals < colon };
    if (!t->modifier && strchr("+-~?", word.p[0])) {
        t->qualifier = word.p[0];
        word = bytes_from(word, 1);
    }
    if (t->modifier) {
        bytes_cut(word, '=', &t->name, &t->value);
    } else {
        size_t end = bytes_find(word, ':');

        end = end < word.n ? end : bytes_find(word, '/');
        t->name = bytes_head(word, end);
        t->value = bytes_from(word, end < word.n && word.p[end] == ':' ? end + 1 : end);
    }
    return true;
}

static bool is(const struct term *t, const char *name)
{
    return bytes_equal_nocase(t->name, bytes_of(name));
}

/* "mail.example.org/24//64": the domain, and the prefix for the family of the address; -1: wrong. */
static struct bytes domain_and_prefix(const struct walk *w, struct bytes value, struct bytes domain, int *prefix)
{
    bool four = network_is_ipv4(&w->address);
    struct bytes name, rest, v4 = NO_BYTES, v6 = NO_BYTES, mine;
    int64_t n = four ? 32 : 128;

    if (bytes_cut(value, '/', &name, &rest)) {
        size_t at = 0;

        while (at + 1 < rest.n && (rest.p[at] != '/' || rest.p[at + 1] != '/'))
            at++;
        if (bytes_starts(rest, BYTES("/")))
            v6 = bytes_from(rest, 1);
        else if (at + 1 < rest.n)
            v4 = bytes_head(rest, at), v6 = bytes_from(rest, at + 2);
        else
            v4 = rest;
    }
    mine = four ? v4 : v6;
    if (mine.n && (!bytes_to_int(mine, &n) || n < 0 || n > (four ? 32 : 128)))
        n = -1;
    *prefix = (int)n;
    return name.n ? name : domain;
}

static enum verdict broken(struct walk *w, struct bytes why)
{
    if (!w->why.p)
        w->why = why;
    return V_BROKEN;
}

static enum verdict said(struct walk *w, const struct lookup *answer)
{
    if (answer->result == LOOKUP_PENDING) {
        w->pending = true;
        return V_PENDING;
    }
    if (answer->result == LOOKUP_FAILED) {
        w->why = arena_bytesf(w->l->arena, "%.*s: %.*s", SHOW(answer->name), SHOW(answer->why));
        return V_UNKNOWN;
    }
    w->voids += answer->result == LOOKUP_NONE;
    return V_NEUTRAL;
}

/* Of a name: is our address among its own, as far as the prefix goes? */
static enum verdict by_host(struct walk *w, struct bytes host, int prefix, bool counts)
{
    bool four = network_is_ipv4(&w->address);
    const struct lookup *answer = lookups_find(w->l, host, four ? LOOKUP_A : LOOKUP_AAAA);
    unsigned voids = w->voids;
    enum verdict v = said(w, answer);

    if (!counts)
        w->voids = voids;
    for (size_t i = 0; v == V_NEUTRAL && i < answer->n; i++) {
        struct network one;

        if (!network_parse_address(answer->values[i], &one))
            continue;
        one.length = prefix + (four ? 96 : 0);
        if (network_holds(&one, &w->address))
            return V_PASS;
    }
    return v;
}

static enum verdict by_mx(struct walk *w, struct bytes domain, int prefix)
{
    const struct lookup *answer = lookups_find(w->l, domain, LOOKUP_MX);
    enum verdict v = said(w, answer);

    for (size_t i = 0; v == V_NEUTRAL && i < answer->n && i < SPF_LOOKUPS_MAX; i++) {
        enum verdict one = V_NEUTRAL;
        struct bytes host;
        unsigned preference;

        if (lookup_mx(answer->values[i], &preference, &host) && host.n)
            one = by_host(w, host, prefix, false);
        v = one == V_PENDING ? V_NEUTRAL : one; /* the others are asked for in the same round */
    }
    return v;
}

static enum verdict by_include(struct walk *w, struct bytes domain)
{
    enum verdict v = check(w, domain);

    if (v == V_NONE && w->depth == 1)
        w->drop = domain;
    if (v == V_NONE)
        return broken(w, arena_bytesf(w->l->arena, "it includes %.*s, which has no SPF record", SHOW(domain)));
    return v == V_FAIL ? V_NEUTRAL : v;
}

static enum verdict by_network(struct walk *w, struct term *t)
{
    struct network net;

    if (!network_parse(t->value, &net) || network_is_ipv4(&net) != is(t, "ip4"))
        return broken(w, arena_bytesf(w->l->arena, "\"%.*s:%.*s\" is no address", SHOW(t->name), SHOW(t->value)));
    return network_holds(&net, &w->address) ? V_PASS : V_NEUTRAL;
}

static bool costs_lookup(const struct term *t)
{
    return t->modifier ? is(t, "redirect")
                       : is(t, "include") || is(t, "a") || is(t, "mx") || is(t, "ptr") || is(t, "exists");
}

static bool has_macro(struct bytes text)
{
    return bytes_find(text, '%') < text.n;
}

/* Does a mechanism match? */
static enum verdict matches(struct walk *w, struct term *t, struct bytes domain)
{
    struct bytes name;
    int prefix;

    if (has_macro(t->value) || is(t, "ptr"))
        return V_NEUTRAL;
    if (is(t, "all"))
        return V_PASS;
    if (is(t, "ip4") || is(t, "ip6"))
        return by_network(w, t);
    if (is(t, "include") && t->value.n)
        return by_include(w, t->value);
    if (is(t, "exists") && t->value.n) {
        enum verdict v = said(w, lookups_find(w->l, t->value, LOOKUP_A));

        return v == V_NEUTRAL && lookups_find(w->l, t->value, LOOKUP_A)->n ? V_PASS : v;
    }
    name = domain_and_prefix(w, t->value, domain, &prefix);
    if (prefix >= 0 && is(t, "a"))
        return by_host(w, name, prefix, true);
    if (prefix >= 0 && is(t, "mx"))
        return by_mx(w, name, prefix);
    return broken(w, arena_bytesf(w->l->arena, "\"%.*s\" is nothing that SPF knows", SHOW(t->name)));
}

static enum verdict by_qualifier(char q)
{
    return q == '+' ? V_PASS : q == '-' || q == '~' ? V_FAIL : V_NEUTRAL;
}

/* Nothing is gained by going on. */
static enum verdict far_too_dear(struct walk *w)
{
    return broken(w, arena_bytesf(w->l->arena, "it costs more than %d lookups, and %d are allowed (RFC 7208 4.6.4)",
                                  LOOKUPS_STOP, SPF_LOOKUPS_MAX));
}

/* What is known of a record while its terms are walked. */
struct progress {
    enum verdict decided, fault; /* by the first that matched; V_NEUTRAL: none is at fault */
    bool matched, all;
    struct bytes redirect;
};

/* What is broken is worse than what nobody knows. */
static void note_fault(struct progress *p, enum verdict v)
{
    if ((v == V_BROKEN || v == V_UNKNOWN) && p->fault != V_BROKEN)
        p->fault = v;
}

static void take_term(struct walk *w, struct term *t, struct bytes domain, struct progress *p)
{
    enum verdict v;

    w->lookups += costs_lookup(t) && !(t->modifier && p->all);
    if (t->modifier && is(t, "redirect"))
        p->redirect = t->value;
    if (t->modifier || p->all)
        return;
    p->all = is(t, "all");
    v = matches(w, t, domain);
    note_fault(p, v);
    if (v == V_PASS && !p->matched) {
        p->matched = true;
        p->decided = by_qualifier(t->qualifier);
    }
}

static void take_redirect(struct walk *w, struct progress *p)
{
    enum verdict v;

    if (!p->redirect.n || p->all || has_macro(p->redirect))
        return;
    v = check(w, p->redirect);
    if (v == V_NONE)
        v = broken(w, arena_bytesf(w->l->arena, "it redirects to %.*s, which has no SPF record", SHOW(p->redirect)));
    note_fault(p, v);
    p->decided = p->matched ? p->decided : v;
}

/* Every term is walked, so that its cost is known; the first that matched is the verdict. */
static enum verdict walk_terms(struct walk *w, struct bytes record, struct bytes domain)
{
    struct progress p = { .decided = V_NEUTRAL, .fault = V_NEUTRAL };
    struct bytes rest = bytes_from(record, 6);
    struct term t;

    for (int i = 0; next_term(&rest, &t) && i < TERMS_MAX && w->lookups <= LOOKUPS_STOP; i++)
        take_term(w, &t, domain, &p);
    if (w->lookups > LOOKUPS_STOP)
        return far_too_dear(w);
    take_redirect(w, &p);
    return p.fault == V_NEUTRAL ? p.decided : p.fault;
}

static enum verdict check(struct walk *w, struct bytes domain)
{
    const struct lookup *txt = lookups_find(w->l, domain, LOOKUP_TXT);
    struct bytes *records;
    enum verdict v;
    size_t n;

    if (w->depth == DEPTH_MAX)
        return broken(w, BYTES("its includes lead to one another without an end"));
    if (w->lookups > LOOKUPS_STOP)
        return far_too_dear(w);
    v = said(w, txt);
    if (v != V_NEUTRAL)
        return v == V_PENDING ? V_NEUTRAL : v; /* pending is remembered: the rest is walked */
    n = records_of(w, txt, &records);
    if (n == 0)
        return V_NONE;
    if (n > 1)
        return broken(w, arena_bytesf(w->l->arena, "%.*s has %zu SPF records, and one is allowed (RFC 7208 4.5)",
                                      SHOW(domain), n));
    w->depth++;
    v = walk_terms(w, records[0], domain);
    w->depth--;
    return v;
}

/* Our own term, before anything that ends the record: it lets us pass whatever its addresses are. */
static bool names_us(struct bytes record, const struct spf_sender *who)
{
    struct bytes word, rest = bytes_from(record, 6);

    while (rest.n) {
        bytes_cut(rest, ' ', &word, &rest);
        word = bytes_starts(word, BYTES("+")) ? bytes_from(word, 1) : word;
        if (bytes_equal_nocase(word, who->term))
            return true;
        if (word.n && bytes_ends_nocase(word, BYTES("all")) && word.n <= 4)
            return false;
    }
    return false;
}

static bool too_dear(struct walk *w)
{
    if (w->lookups > SPF_LOOKUPS_MAX)
        broken(w, arena_bytesf(w->l->arena, "it costs %u lookups, and %d are allowed (RFC 7208 4.6.4)", w->lookups,
                               SPF_LOOKUPS_MAX));
    else if (w->voids > SPF_VOID_MAX)
        broken(w, arena_bytesf(w->l->arena, "%u of its names have no records, and %d are allowed (RFC 7208 4.6.4)",
                               w->voids, SPF_VOID_MAX));
    return w->lookups > SPF_LOOKUPS_MAX || w->voids > SPF_VOID_MAX;
}

static enum spf_result judge_address(struct lookups *l, struct bytes name, const struct network *address,
                                     struct spf_view *out)
{
    struct walk w = { .l = l, .address = *address };
    char text[NETWORK_TEXT];
    enum verdict v = check(&w, name);

    out->lookups = w.lookups > out->lookups ? w.lookups : out->lookups;
    if (v == V_UNKNOWN || v == V_BROKEN || (!w.pending && too_dear(&w))) {
        out->why = w.why;
        out->drop = w.drop;
        return v == V_UNKNOWN ? SPF_UNKNOWN : SPF_BROKEN;
    }
    if (w.pending)
        return SPF_PENDING;
    if (v == V_PASS)
        return SPF_FINE;
    if (!out->why.p)
        out->why = arena_copy(l->arena, network_show(address, text));
    return SPF_STRANGER;
}

void spf_judge(struct lookups *l, struct bytes name, const struct spf_sender *who, struct spf_view *out)
{
    static const struct network nobody = { { 0 }, 128 };
    const struct lookup *txt = lookups_find(l, name, LOOKUP_TXT);
    struct walk w = { .l = l };
    bool named, strange = false;

    *out = (struct spf_view){ .result = SPF_PENDING };
    if (txt->result == LOOKUP_PENDING)
        return;
    out->n = records_of(&w, txt, &out->records);
    out->result = SPF_NO_RECORD;
    if (txt->result == LOOKUP_FAILED) {
        out->result = SPF_UNKNOWN;
        out->why = arena_bytesf(l->arena, "%.*s: %.*s", SHOW(name), SHOW(txt->why));
    }
    if (!out->n)
        return;
    named = out->n == 1 && names_us(out->records[0], who);
    out->result = SPF_FINE;
    for (size_t i = 0; i < who->n || i == 0; i++) {
        enum spf_result one = judge_address(l, name, who->n ? &who->addresses[i] : &nobody, out);

        if (one == SPF_BROKEN || one == SPF_UNKNOWN || one == SPF_PENDING) {
            out->result = one;
            return;
        }
        strange = strange || one == SPF_STRANGER;
    }
    if (strange && !named)
        out->result = SPF_STRANGER;
}
