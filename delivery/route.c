/* delivery/route.c - see route.h. */
#include "delivery/route.h"

bool route_domain_matches(struct bytes pattern, struct bytes domain)
{
    if (!bytes_starts(pattern, BYTES("*")))
        return bytes_equal_nocase(pattern, domain);
    if (pattern.n == 1)
        return domain.n > 0;
    pattern = bytes_from(pattern, 1); /* ".x.example" */
    return pattern.p[0] == '.' && domain.n > pattern.n && bytes_ends_nocase(domain, pattern);
}

static bool has_tag(const struct route_query *q, struct bytes tag)
{
    for (size_t i = 0; i < q->n_tags; i++)
        if (bytes_equal(q->tags[i], tag))
            return true;
    return false;
}

bool route_matches(const struct route *r, const struct route_query *q)
{
    if (r->disabled || !(id_is_none(r->account) || id_equal(r->account, q->account)))
        return false;
    return (!r->domain.p || route_domain_matches(r->domain, q->domain)) &&
           (!r->sender_domain.p || route_domain_matches(r->sender_domain, q->sender_domain)) &&
           (!r->tag.p || has_tag(q, r->tag)) && (!r->class || r->class == q->class) &&
           (!r->source.p || bytes_equal(r->source, q->source));
}

/* The account's before the operator's, then by position, then the older one. */
static bool before(const struct route *a, const struct route *b)
{
    if (id_is_none(a->account) != id_is_none(b->account))
        return id_is_none(b->account);
    return a->position != b->position ? a->position < b->position : id_compare(a->id, b->id) < 0;
}

const struct route *route_find(const struct route *routes, size_t n, const struct route_query *q)
{
    const struct route *best = NULL;

    for (size_t i = 0; i < n; i++)
        if (route_matches(&routes[i], q) && (!best || before(&routes[i], best)))
            best = &routes[i];
    return best;
}
