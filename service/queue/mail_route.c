/* service/queue/mail_route.c - which route takes a recipient's mail. Everything given must match, and of those that do
 * the account's come first, then the lower position, then the older row: the order in which people list them. */
#include "service/queue/mail_route.h"
#include <stdlib.h>

static const char *const ways[] = {
    [ROUTE_MX] = "mx", [ROUTE_RELAY] = "relay", [ROUTE_CAPTURE] = "capture", [ROUTE_HOLD] = "hold"
};
static const char *const levels[] = {
    [ROUTE_TLS_MAY] = "may", [ROUTE_TLS_NONE] = "none", [ROUTE_TLS_REQUIRE] = "require", [ROUTE_TLS_VERIFY] = "verify"
};

static bool look_up(const char *const *names, unsigned n, struct bytes text, unsigned *out)
{
    for (unsigned i = 0; i < n; i++)
        if (bytes_equal(text, bytes_of(names[i]))) {
            *out = i;
            return true;
        }
    return false;
}

bool route_way_read(struct bytes text, enum route_way *out)
{
    unsigned at;

    if (!look_up(ways, sizeof ways / sizeof *ways, text, &at))
        return false;
    *out = (enum route_way)at;
    return true;
}

bool route_tls_read(struct bytes text, enum route_tls *out)
{
    unsigned at;

    if (!look_up(levels, sizeof levels / sizeof *levels, text, &at))
        return false;
    *out = (enum route_tls)at;
    return true;
}

const char *route_way_text(enum route_way way)
{
    return ways[way];
}

const char *route_tls_text(enum route_tls tls)
{
    return levels[tls];
}

bool mail_route_domain_matches(struct bytes pattern, struct bytes domain)
{
    if (!bytes_starts(pattern, BYTES("*")))
        return bytes_equal_nocase(pattern, domain);
    if (pattern.n == 1)
        return domain.n > 0;
    pattern = bytes_from(pattern, 1); /* ".x.example" */
    return pattern.p[0] == '.' && domain.n > pattern.n && bytes_ends_nocase(domain, pattern);
}

/* "name" is the name of "name=value", too: as lists by tag take it. */
static bool has_tag(const struct route_query *q, struct bytes tag)
{
    for (size_t i = 0; i < q->n_tags; i++) {
        struct bytes name = bytes_head(q->tags[i], bytes_find(q->tags[i], '='));

        if (bytes_equal(q->tags[i], tag) || bytes_equal(name, tag))
            return true;
    }
    return false;
}

bool mail_route_matches(const struct mail_route *r, const struct route_query *q)
{
    if (!id_is_none(r->account) && !id_equal(r->account, q->account))
        return false;
    return (!r->domain.p || mail_route_domain_matches(r->domain, q->domain)) &&
           (!r->sender_domain.p || mail_route_domain_matches(r->sender_domain, q->sender_domain)) &&
           (!r->tag.p || has_tag(q, r->tag)) && (!r->class || r->class == q->class) &&
           (!r->source.p || bytes_equal(r->source, q->source));
}

bool mail_route_asks_message(const struct mail_route *r)
{
    return r->sender_domain.p || r->tag.p || r->source.p;
}

/* ---- of several ---- */

static int in_order(const void *x, const void *y)
{
    const struct mail_route *a = x, *b = y;
    int by = id_compare(a->account, b->account); /* none is below all */

    if (!by)
        by = a->position < b->position ? -1 : a->position > b->position;
    return by ? by : id_compare(a->id, b->id);
}

void mail_routes_sort(struct mail_route *routes, size_t n)
{
    if (n)
        qsort(routes, n, sizeof *routes, in_order);
}

/* Those of one account, or with NO_ID the operator's. */
static const struct mail_route *part_of(const struct mail_route *all, size_t n_all, struct id account, size_t *n)
{
    size_t low = 0, high = n_all, end;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (id_compare(all[middle].account, account) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (end = low; end < n_all && id_equal(all[end].account, account); end++)
        continue;
    *n = end - low;
    return n_all ? all + low : NULL;
}

static const struct mail_route *first(const struct mail_route *list, size_t n, const struct route_query *q,
                                      bool by_flow)
{
    for (size_t i = 0; i < n; i++)
        if (!(by_flow && mail_route_asks_message(&list[i])) && mail_route_matches(&list[i], q))
            return &list[i];
    return NULL;
}

static const struct mail_route *look(const struct mail_route *all, size_t n_all, const struct route_query *q,
                                     bool by_flow)
{
    size_t n;
    const struct mail_route *list = part_of(all, n_all, q->account, &n), *found = first(list, n, q, by_flow);

    if (found)
        return found;
    list = part_of(all, n_all, NO_ID, &n);
    return first(list, n, q, by_flow);
}

const struct mail_route *mail_route_find(const struct mail_route *routes, size_t n, const struct route_query *q)
{
    return look(routes, n, q, false);
}

const struct mail_route *mail_route_of_flow(const struct mail_route *routes, size_t n, const struct route_query *q)
{
    return look(routes, n, q, true);
}

static const struct mail_route *by_id(const struct mail_route *all, size_t n_all, struct id account, struct id id)
{
    size_t n;
    const struct mail_route *list = part_of(all, n_all, account, &n);

    for (size_t i = 0; i < n; i++)
        if (id_equal(list[i].id, id))
            return &list[i];
    return NULL;
}

const struct mail_route *mail_route_by_id(const struct mail_route *routes, size_t n, struct id account, struct id id)
{
    const struct mail_route *found = by_id(routes, n, account, id);

    return found ? found : by_id(routes, n, NO_ID, id);
}

static bool ask_message(const struct mail_route *all, size_t n_all, struct id account)
{
    size_t n;
    const struct mail_route *list = part_of(all, n_all, account, &n);

    for (size_t i = 0; i < n; i++)
        if (mail_route_asks_message(&list[i]))
            return true;
    return false;
}

bool mail_routes_ask_message(const struct mail_route *routes, size_t n, struct id account)
{
    return ask_message(routes, n, account) || ask_message(routes, n, NO_ID);
}

void mail_route_copy(struct arena *a, const struct mail_route *r, struct mail_route *out)
{
    struct bytes *hosts = arena_array(a, r->n_hosts ? r->n_hosts : 1, sizeof *hosts);

    *out = *r;
    out->domain = arena_copy(a, r->domain);
    out->sender_domain = arena_copy(a, r->sender_domain);
    out->tag = arena_copy(a, r->tag);
    out->source = arena_copy(a, r->source);
    out->auth_user = arena_copy(a, r->auth_user);
    out->auth_sealed = arena_copy(a, r->auth_sealed);
    out->auth_file = arena_copy(a, r->auth_file);
    for (size_t i = 0; i < r->n_hosts; i++)
        hosts[i] = arena_copy(a, r->hosts[i]);
    out->hosts = hosts;
}
