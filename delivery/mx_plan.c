/* delivery/mx_plan.c - addresses of the names: what may be connected to, in order, or why nothing is left.
 *
 * First all is collected with its reason to be dropped, then one place says what an empty plan means: several reasons
 * may hold at once, and what can pass by itself (a resolver that fails) must win over what cannot. */
#include "delivery/mx.h"

enum { EACH_MAX = 16, WHY_MAX = 900 };

struct name_state {
    struct mx_host four[EACH_MAX], six[EACH_MAX];
    size_t n4, n6;
    bool later, own, dropped; /* it failed for now; it is ours; it is ours or stands behind what is */
    bool any;                 /* it has addresses, whatever we make of them */
    bool denied, family;      /* and some of a denied network; some of a family that we do not use */
    const char *fault;        /* why it is not used; NULL: it is */
};

struct planning {
    const struct mx_names *names;
    const struct mx_rules *rules;
    struct name_state *each;
    struct mx_plan *out;
    size_t total4, total6;
    bool looped; /* we are among the hosts */
    /* Of the hosts that are left beside us: */
    bool denied, family, later, empty;
};

static bool is_own_address(const struct mx_rules *r, const struct network *address)
{
    for (size_t i = 0; i < r->n_own; i++)
        if (network_holds(&r->own[i], address))
            return true;
    return false;
}

bool mx_own_name(const struct mx_rules *rules, struct bytes name)
{
    if (bytes_ends(name, BYTES(".")))
        name.n--;
    for (size_t i = 0; i < rules->n_own_names; i++)
        if (bytes_equal_nocase(rules->own_names[i], name))
            return true;
    return false;
}

static bool is_denied(const struct mx_rules *r, const struct network *address)
{
    return !r->private_route && network_list_reaches(r->deny, address) && !network_list_holds(r->allow, address);
}

static bool is_usable(const struct mx_rules *r, const struct network *address)
{
    return network_is_ipv4(address) ? r->has_v4 && r->family != MX_V6 : r->has_v6 && r->family != MX_V4;
}

static void add_host(struct planning *p, size_t i, const struct mx_host *h)
{
    struct name_state *s = &p->each[i];
    bool four = network_is_ipv4(&h->address);

    s->any = true;
    if (is_denied(p->rules, &h->address)) {
        s->denied = true;
        s->fault = "only addresses of denied networks";
    } else if (!is_usable(p->rules, &h->address)) {
        s->family = true;
    } else if (four && s->n4 < EACH_MAX) {
        s->four[s->n4++] = *h;
    } else if (!four && s->n6 < EACH_MAX) {
        s->six[s->n6++] = *h;
    }
}

static void read_answer(struct planning *p, size_t i, const struct dns_answer *answer)
{
    const struct mx_name *name = &p->names->list[i];
    struct name_state *s = &p->each[i];

    if (!answer)
        return;
    s->later |= answer->result == DNS_FAILED || answer->result == DNS_TIMEOUT || answer->result == DNS_BOGUS;
    if (answer->result != DNS_FOUND)
        return;
    if (answer->ttl < p->out->ttl)
        p->out->ttl = answer->ttl;
    for (size_t k = 0; k < answer->n; k++) {
        struct mx_host h = { name->name, answer->canonical, { { 0 }, 0 }, name->preference, answer->secure };

        if (!network_from_raw(answer->records[k].data, &h.address))
            continue;
        s->own |= is_own_address(p->rules, &h.address);
        add_host(p, i, &h);
    }
}

static void read_name(struct planning *p, size_t i, const struct mx_addresses *addresses)
{
    struct name_state *s = &p->each[i];

    s->own = mx_own_name(p->rules, p->names->list[i].name);
    if (p->names->list[i].unusable) {
        s->fault = "not a host name";
        return;
    }
    read_answer(p, i, addresses->a);
    read_answer(p, i, addresses->aaaa);
    if (s->n4 + s->n6)
        s->fault = NULL;
    else if (s->later)
        s->fault = "could not be resolved now";
    else if (!s->any)
        s->fault = "no address";
    else if (!s->fault)
        s->fault = "only addresses of a family that is not used here";
}

/* RFC 5321 5.1: ourselves, and whatever is no better. Of a fixed list only what is ours. */
static void find_own(struct planning *p, unsigned *from)
{
    *from = UINT32_MAX;
    for (size_t i = 0; i < p->names->n && !p->rules->any_port; i++)
        if (p->each[i].own && p->names->list[i].preference < *from)
            *from = p->names->list[i].preference;
    p->looped = *from != UINT32_MAX;
}

static void drop_own(struct planning *p)
{
    unsigned from;

    find_own(p, &from);
    for (size_t i = 0; i < p->names->n; i++) {
        struct name_state *s = &p->each[i];

        s->dropped = p->names->fixed ? p->looped && s->own : p->names->list[i].preference >= from;
        if (s->dropped) {
            s->n4 = s->n6 = 0;
            s->fault = s->own ? "this server itself" : "no better than this server";
            continue;
        }
        p->denied |= s->denied;
        p->family |= s->family;
        p->later |= s->later;
        p->empty |= !s->any && !s->later;
    }
}

static void take(struct planning *p, const struct mx_host *h)
{
    size_t *left = network_is_ipv4(&h->address) ? &p->total4 : &p->total6;

    if (!*left)
        return;
    --*left;
    p->out->hosts[p->out->n++] = *h;
}

/* The r-th address of a host, from one on that the seed chooses: not everybody begins with the first. */
static const struct mx_host *turn(const struct mx_host *list, size_t n, size_t r, uint64_t seed)
{
    return r < n ? &list[(r + seed) % n] : NULL;
}

static bool begins_with_v4(const struct mx_rules *r)
{
    return r->family == MX_V4_FIRST || r->warming || r->v4_worked;
}

/* All addresses of one family and preference: the first of each host, then the second of each. */
static size_t gather(const struct planning *p, size_t from, size_t to, bool four, const struct mx_host **out)
{
    size_t n = 0;

    for (size_t r = 0; r < EACH_MAX; r++)
        for (size_t i = from; i < to; i++) {
            const struct name_state *s = &p->each[i];
            const struct mx_host *h =
                four ? turn(s->four, s->n4, r, p->rules->seed) : turn(s->six, s->n6, r, p->rules->seed);

            if (h)
                out[n++] = h;
        }
    return n;
}

static void order_preference(struct planning *p, size_t from, size_t to)
{
    const struct mx_host *list[2][MX_NAMES_MAX * EACH_MAX];
    bool v4 = begins_with_v4(p->rules);
    size_t n0 = gather(p, from, to, v4, list[0]), n1 = gather(p, from, to, !v4, list[1]), i = 0, k = 0;

    while (i < n0 || k < n1) {
        if (i < n0)
            take(p, list[0][i++]);
        if (p->rules->family == MX_V4_FIRST && i < n0)
            continue;
        if (k < n1)
            take(p, list[1][k++]);
    }
}

/* Ten addresses, five of each family where there are as many. */
static void balance(struct planning *p)
{
    size_t n4 = 0, n6 = 0, half = MX_ADDRESSES_MAX / 2;

    for (size_t i = 0; i < p->names->n; i++) {
        n4 += p->each[i].n4;
        n6 += p->each[i].n6;
    }
    p->total4 = n6 >= half ? half : MX_ADDRESSES_MAX - n6;
    p->total6 = n4 >= half ? half : MX_ADDRESSES_MAX - n4;
}

static void order(struct planning *p)
{
    const struct mx_name *list = p->names->list;
    size_t to = 0;

    balance(p);
    for (size_t from = 0; from < p->names->n; from = to) {
        for (to = from; to < p->names->n && list[to].preference == list[from].preference;)
            to++;
        order_preference(p, from, to);
    }
}

static enum mx_verdict empty_verdict(const struct planning *p)
{
    bool often = p->rules->unusable + 1 >= MX_UNUSABLE_MAX;

    if (p->later)
        return p->looped ? MX_UNUSABLE : MX_TEMPORARY;
    if (p->denied)
        return MX_DENIED;
    if (p->family)
        return MX_NO_FAMILY;
    if (p->looped && !p->empty)
        return MX_LOOP;
    if (p->names->implicit)
        return MX_NO_HOST;
    return often ? MX_GIVEN_UP : MX_UNUSABLE;
}

static void explain(struct planning *p, struct arena *a)
{
    struct buf why;

    buf_init(&why, WHY_MAX);
    for (size_t i = 0; i < p->names->n; i++)
        if (p->each[i].fault)
            buf_addf(&why, "%s%.*s: %s", why.n ? "; " : "", SHOW(p->names->list[i].name), p->each[i].fault);
    p->out->why = arena_copy(a, why.n ? buf_bytes(&why) : BYTES(""));
    buf_clear(&why);
}

static void clamp_ttl(struct mx_plan *out)
{
    if (out->ttl > MX_TTL_MAX_S)
        out->ttl = MX_TTL_MAX_S;
    if (out->ttl < MX_TTL_MIN_S)
        out->ttl = MX_TTL_MIN_S;
}

void mx_plan(const struct mx_names *names, const struct mx_addresses *addresses, const struct mx_rules *rules,
             struct arena *a, struct mx_plan *out)
{
    struct planning p = { .names = names, .rules = rules, .out = out };

    *out = (struct mx_plan){ .verdict = names->verdict, .why = BYTES(""), .ttl = names->ttl };
    if (out->verdict == MX_OK) {
        out->hosts = arena_array(a, MX_ADDRESSES_MAX, sizeof *out->hosts);
        p.each = arena_array(a, names->n, sizeof *p.each);
        for (size_t i = 0; i < names->n; i++)
            read_name(&p, i, &addresses[i]);
        drop_own(&p);
        order(&p);
        explain(&p, a);
        out->partial = p.later;
        if (!out->n)
            out->verdict = empty_verdict(&p);
    }
    clamp_ttl(out);
}

void mx_plan_literal(const struct network *address, const struct mx_rules *rules, struct arena *a, struct mx_plan *out)
{
    char shown[NETWORK_TEXT];
    struct bytes name = arena_bytesf(a, "[%.*s]", SHOW(network_show(address, shown)));

    *out = (struct mx_plan){ .ttl = MX_TTL_MAX_S, .why = BYTES("") };
    out->hosts = arena_alloc(a, sizeof *out->hosts);
    out->hosts[0] = (struct mx_host){ name, name, *address, 0, false };
    if (is_own_address(rules, address) && !rules->any_port)
        out->verdict = MX_LOOP;
    else if (is_denied(rules, address))
        out->verdict = MX_DENIED;
    else if (!is_usable(rules, address))
        out->verdict = MX_NO_FAMILY;
    else
        out->n = 1;
}
