/* delivery/plan.c - from a domain, or a relay, to the hosts that are tried, by asking DNS; what the answers come to is
 * delivery/mx.h's. Domains whose mail goes to the same hosts share a way. */
#include "base/clock.h"
#include "base/log.h"
#include "base/params.h"
#include "delivery/engine_private.h"
#include "delivery/hash.h"
#include "net/interfaces.h"
#include "service/queue/ourselves.h"

#define SMTP_PORT    25
#define PLAN_MS      60000 /* for all questions of one plan */
#define LATER_MS     5000  /* how long it is believed that DNS does not answer */
#define OWN_EVERY_MS 60000
#define OWN_AGAIN_MS 5000 /* the store was away */
#define PLAN_ARENA   ((size_t)1024 * 1024)
#define OWN_ARENA    ((size_t)4 * 1024 * 1024)

/* ---- our own addresses ---- */

/* Other fibers look at the tables while this one waits for the store: they are changed in one go. */
static void own_take(struct engine *e, const struct ourselves *o)
{
    e->n_own = o->n_addresses < OWN_MOST ? o->n_addresses : OWN_MOST;
    if (e->n_own)
        memcpy(e->own, o->addresses, e->n_own * sizeof *e->own);
    e->n_own_names = 0;
    for (size_t i = 0; i < o->n_names && e->n_own_names < OWN_NAMES_MOST; i++) {
        size_t n = o->names[i].n;

        if (n > sizeof e->own_names->text)
            continue;
        memcpy(e->own_names[e->n_own_names].text, o->names[i].p, n);
        e->own_names[e->n_own_names++].n = n;
    }
}

void own_refresh(struct engine *e, bool now)
{
    struct ourselves o;
    struct err why = { 0 };
    struct arena *a;

    if (!now && clock_monotonic() < e->next_own)
        return;
    e->next_own = clock_monotonic() + OWN_EVERY_MS;
    e->has_v6 = interfaces_have_ipv6();
    a = arena_new(OWN_ARENA);
    if (!ourselves_find(e->svc, a, &o, &why)) {
        log_warn("delivery", LOG_TEXT("result", "addresses of other nodes not read"), LOG_TEXT("reason", why.message));
        e->next_own = clock_monotonic() + OWN_AGAIN_MS;
    }
    if (!why.code || !e->n_own)
        own_take(e, &o);
    arena_free(&a);
}

bool own_is_name(const struct engine *e, struct bytes name)
{
    for (size_t i = 0; i < e->n_own_names; i++)
        if (bytes_equal_nocase((struct bytes){ e->own_names[i].text, e->own_names[i].n }, name))
            return true;
    return false;
}

/* ---- plans ---- */

static enum mx_family family(void)
{
    static const char *const names[] = {
        [MX_AUTO] = "auto", [MX_V4] = "v4", [MX_V6] = "v6", [MX_V4_FIRST] = "v4_first"
    };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (bytes_equal(PARAM_TEXT(delivery, family), bytes_of(names[i])))
            return (enum mx_family)i;
    return MX_AUTO;
}

static void rules_of(struct engine *e, const struct site *s, struct mx_rules *out)
{
    struct bytes *names = arena_array(s->asking, e->n_own_names + 1, sizeof *names);

    for (size_t i = 0; i < e->n_own_names; i++) /* the table may be another one while we wait for DNS */
        names[i] = arena_copy(s->asking, (struct bytes){ e->own_names[i].text, e->own_names[i].n });
    *out = (struct mx_rules){ .family = family(),
                              .has_v4 = true,
                              .has_v6 = e->has_v6,
                              .seed = hash_text((uint64_t)clock_monotonic(), site_name(s)),
                              .own = e->own,
                              .n_own = e->n_own,
                              .own_names = names,
                              .n_own_names = e->n_own_names,
                              .any_port =
                                  s->route.way == ROUTE_RELAY && (s->route.port != SMTP_PORT || s->route.private_net),
                              .deny = PARAM_TEXT(delivery, deny),
                              .allow = PARAM_TEXT(delivery, allow),
                              .private_route = s->route.private_net,
                              .unusable = s->unusable };
}

/* Addresses of the names, and what follows. */
static void ask_addresses(struct site *s, const struct mx_names *names, const struct mx_rules *rules, int64_t until,
                          struct mx_plan *out)
{
    struct mx_addresses *all = arena_array(s->asking, names->n + 1, sizeof *all);
    struct dns_answer *answers = arena_array(s->asking, 2 * names->n + 1, sizeof *answers);

    for (size_t i = 0; i < names->n; i++) {
        if (names->list[i].unusable)
            continue;
        if (rules->has_v4 && rules->family != MX_V6) {
            dns_ask(s->asking, names->list[i].name, DNS_A, until, &answers[2 * i]);
            all[i].a = &answers[2 * i];
        }
        if (rules->has_v6 && rules->family != MX_V4) {
            dns_ask(s->asking, names->list[i].name, DNS_AAAA, until, &answers[2 * i + 1]);
            all[i].aaaa = &answers[2 * i + 1];
        }
    }
    mx_plan(names, all, rules, s->asking, out);
}

/* The name of the way of a group: its provider's, where one is known by the best of its hosts. */
static struct bytes way_of(const struct site *s, struct bytes group, struct bytes host, const struct provider **p)
{
    *p = host.n && s->route.way == ROUTE_MX ? rules_provider(s->rules->rules, host) : NULL;
    return *p ? arena_bytesf(s->asking, "provider %.*s", SHOW((*p)->name)) : group;
}

static void ask_names(struct site *s, struct bytes domain, struct mx_rules *rules, int64_t until,
                      struct mx_names *names, struct mx_plan *out)
{
    const struct provider *ignored;
    struct dns_answer mx;

    dns_ask(s->asking, domain, DNS_MX, until, &mx);
    mx_names(domain, &mx, rules->seed, s->asking, names);
    if (names->verdict == MX_OK && s->route.way == ROUTE_MX)
        rules->v4_worked =
            family_is_v4(s->engine, way_of(s, mx_group(names, s->asking), names->list[0].name, &ignored));
    if (names->verdict == MX_OK)
        ask_addresses(s, names, rules, until, out);
    else
        *out = (struct mx_plan){ .verdict = names->verdict, .why = mx.why, .ttl = names->ttl };
}

/* One host of a relay route, at the end of what is known. */
static void add_host(struct site *s, struct bytes host, struct mx_rules *rules, int64_t until)
{
    struct mx_host *both = arena_array(s->asking, 2 * MX_ADDRESSES_MAX, sizeof *both);
    struct network address;
    struct mx_names names;
    struct mx_plan one;

    if (mx_literal(host, &address)) {
        mx_plan_literal(&address, rules, s->asking, &one);
    } else if (s->route.mx_lookup) {
        ask_names(s, host, rules, until, &names, &one);
    } else {
        mx_names_of(&host, 1, s->asking, &names);
        ask_addresses(s, &names, rules, until, &one);
    }
    if (one.verdict != MX_OK || s->plan.n + one.n > MX_ADDRESSES_MAX) {
        if (!s->plan.n)
            s->plan = one;
        return;
    }
    if (s->plan.n)
        memcpy(both, s->plan.hosts, s->plan.n * sizeof *both);
    memcpy(both + s->plan.n, one.hosts, one.n * sizeof *both);
    one.n += s->plan.n;
    one.hosts = both;
    s->plan = one;
}

static void ask_relay(struct site *s, struct mx_rules *rules, int64_t until)
{
    rules->v4_worked = family_is_v4(s->engine, site_name(s));
    s->plan = (struct mx_plan){ .verdict = MX_TEMPORARY, .why = BYTES("the relay has no host") };
    for (size_t i = 0; i < s->route.n_hosts; i++)
        add_host(s, s->route.hosts[i], rules, until);
}

/* *group: what domains that share hosts have in common. */
static void ask_mx(struct site *s, struct mx_rules *rules, int64_t until, struct bytes *group)
{
    struct bytes domain = s->domain;
    struct network address;
    struct mx_names names;

    *group = domain;
    if (mx_literal(domain, &address)) {
        mx_plan_literal(&address, rules, s->asking, &s->plan);
        return;
    }
    ask_names(s, domain, rules, until, &names, &s->plan);
    if (names.verdict == MX_OK)
        *group = mx_group(&names, s->asking);
}

void hosts_join(struct engine *e, struct site *s, struct bytes group)
{
    const struct provider *p;
    int most = (int)PARAM_INT(delivery, path_max);
    struct bytes name = way_of(s, group, s->plan.n ? s->plan.hosts[0].name : NO_BYTES, &p),
                 alone = arena_bytesf(s->asking, "site %.*s", SHOW(site_name(s)));

    if (s->plan.verdict != MX_OK) /* it is no host's fault */
        name = alone;
    else if (way_resume(e, alone)) /* DNS answers again */
        site_hasten(s);
    s->way = way_get(e, name);
    s->way->sites++;
    s->way->path.max = p && p->connections && p->connections < most ? p->connections : most;
    s->way->per_connection = (int)PARAM_INT(delivery, per_connection);
    if (p && p->per_connection && p->per_connection < s->way->per_connection)
        s->way->per_connection = p->per_connection;
    s->way->tls_required = p && p->tls_required;
    snprintf(s->way->provider, sizeof s->way->provider, "%.*s", SHOW(p ? p->name : BYTES("")));
    way_update(e, s->way);
}

static void guard(struct engine *e, struct site *s)
{
    bool suspect = false;

    if (s->route.way == ROUTE_MX)
        s->plan.verdict = mx_guard(&e->guard, s->domain, s->plan.verdict, &suspect);
    if (suspect)
        log_error("delivery", LOG_TEXT("result", "the resolver is suspect"), LOG_BYTES("domain", s->domain),
                  LOG_TEXT("reason", "it finds no domain at all: mail waits"));
    s->unusable = s->plan.verdict == MX_UNUSABLE ? s->unusable + 1 : 0;
}

struct bytes own_why(struct engine *e, struct bytes domain, struct bytes why, struct arena *a)
{
    struct bytes note = domain.n ? ourselves_domain(e->svc, domain, a) : NO_BYTES;

    return !note.p ? why : arena_bytesf(a, "%.*s%s%.*s", SHOW(why), why.n ? "; " : "", SHOW(note));
}

/* What was asked for goes, and of the plan as much stays as is looked at: there may be a site for each domain. */
static void keep(struct site *s)
{
    struct mx_host *hosts = arena_array(s->arena, s->plan.n + 1, sizeof *hosts);

    for (size_t i = 0; i < s->plan.n; i++) {
        hosts[i] = s->plan.hosts[i];
        hosts[i].name = arena_copy(s->arena, hosts[i].name);
        hosts[i].canonical = arena_copy(s->arena, hosts[i].canonical);
    }
    s->plan.hosts = hosts;
    s->plan.why = arena_copy(s->arena, s->plan.why);
    arena_free(&s->asking);
}

void hosts_find(struct engine *e, struct site *s)
{
    struct bytes group = site_name(s);
    int64_t until = clock_monotonic() + PLAN_MS, lasts;
    struct mx_rules rules;

    own_refresh(e, false);
    s->asking = arena_new(PLAN_ARENA);
    s->rules = rules_take(e->svc);
    rules_of(e, s, &rules);
    if (s->route.way == ROUTE_MX)
        ask_mx(s, &rules, until, &group);
    else if (s->route.way == ROUTE_RELAY)
        ask_relay(s, &rules, until);
    guard(e, s);
    if (s->plan.verdict == MX_LOOP)
        s->plan.why = own_why(e, s->domain, s->plan.why, s->asking);
    lasts = (int64_t)s->plan.ttl * 1000;
    if (lasts < MX_TTL_MIN_S * 1000)
        lasts = MX_TTL_MIN_S * 1000;
    if (s->plan.verdict == MX_TEMPORARY || s->plan.verdict == MX_UNUSABLE)
        lasts = LATER_MS;
    s->until = clock_monotonic() + lasts;
    hosts_join(e, s, group);
    keep(s);
}
