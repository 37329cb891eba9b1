/* mail/prefetch.c - few rows, asked seldom and never while a reader waits: each is looked at in turn. What of a file is
 * not understood is refused by name, so that a slip does not go unseen. */
#include "mail/prefetch.h"
#include "mail/chars.h"
#include <json-c/linkhash.h>

static bool wrong(size_t number, const char *what, const char *name, struct err *e)
{
    return err_set(e, ERR_INVALID, "prefetcher %zu: %s \"%.60s\"", number + 1, what, name);
}

static bool read_agents(struct bytes *texts, size_t n, size_t number, struct prefetcher *out, struct err *e)
{
    for (size_t i = 0; i < n; i++)
        if (texts[i].n > PREFETCH_PATTERN_MAX || bytes_has_ctl_line(texts[i]))
            return wrong(number, "too long, or of several lines, in", "agents", e);
    out->agents = texts;
    out->n_agents = n;
    return true;
}

static bool read_networks(struct bytes *texts, size_t n, size_t number, struct arena *a, struct prefetcher *out,
                          struct err *e)
{
    struct network *list = arena_array(a, n ? n : 1, sizeof *list);

    for (size_t i = 0; i < n; i++)
        if (!network_parse(texts[i], &list[i]))
            return wrong(number, "no network in", "networks", e);
    out->networks = list;
    out->n_networks = n;
    return true;
}

static bool read_member(const char *name, struct json_object *value, size_t number, struct arena *a,
                        struct prefetcher *out, struct err *e)
{
    struct bytes key = bytes_of(name), *texts;
    size_t n;

    if (bytes_equal(key, BYTES("name")) && json_object_is_type(value, json_type_string)) {
        out->name = arena_copy(a, bytes_of(json_object_get_string(value)));
        return (out->name.n && out->name.n <= 64) || wrong(number, "not understood:", name, e);
    }
    if (!json_object_is_type(value, json_type_array) || !json_object_array_length(value) ||
        json_object_array_length(value) > PREFETCH_LIST_MAX)
        return wrong(number, "not understood, or no list of 1 to 1000 texts:", name, e);
    for (size_t i = 0; i < json_object_array_length(value); i++)
        if (!json_object_is_type(json_object_array_get_idx(value, i), json_type_string))
            return wrong(number, "something else than texts in", name, e);
    texts = json_texts(a, value, &n);
    if (bytes_equal(key, BYTES("agents")))
        return read_agents(texts, n, number, out, e);
    return bytes_equal(key, BYTES("networks")) ? read_networks(texts, n, number, a, out, e)
                                               : wrong(number, "not understood:", name, e);
}

bool prefetcher_read(struct json_object *o, size_t number, struct arena *a, struct prefetcher *out, struct err *e)
{
    *out = (struct prefetcher){ 0 };
    if (!json_object_is_type(o, json_type_object))
        return wrong(number, "an object is wanted, not", json_object_to_json_string(o), e);
    json_object_object_foreach(o, name, value)
    {
        if (!read_member(name, value, number, a, out, e))
            return false;
    }
    return (out->name.n && (out->n_agents || out->n_networks)) ||
           wrong(number, "must have", "name, and agents or networks", e);
}

/* What stands behind the last `*` is tried again one further on: never more than text times pattern. */
static bool fits(struct bytes pattern, struct bytes text)
{
    size_t p = 0, t = 0, star = SIZE_MAX, from = 0;

    while (t < text.n) {
        if (p < pattern.n && pattern.p[p] == '*') {
            star = ++p;
            from = t;
        } else if (p < pattern.n && char_lower(pattern.p[p]) == char_lower(text.p[t])) {
            p++;
            t++;
        } else if (star != SIZE_MAX) {
            p = star;
            t = ++from;
        } else {
            return false;
        }
    }
    while (p < pattern.n && pattern.p[p] == '*')
        p++;
    return p == pattern.n;
}

static bool matches(const struct prefetcher *one, struct bytes agent, const struct network *address)
{
    bool of_agents = !one->n_agents, of_networks = !one->n_networks;

    for (size_t i = 0; i < one->n_agents && !of_agents; i++)
        of_agents = fits(one->agents[i], agent);
    for (size_t i = 0; of_agents && address && i < one->n_networks && !of_networks; i++)
        of_networks = network_holds(&one->networks[i], address);
    return of_agents && of_networks;
}

const struct prefetcher *prefetcher_find(const struct prefetcher *list, size_t n, struct bytes agent,
                                         const struct network *address)
{
    for (size_t i = 0; i < n; i++)
        if (matches(&list[i], agent, address))
            return &list[i];
    return NULL;
}
