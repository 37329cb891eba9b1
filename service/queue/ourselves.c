/* service/queue/ourselves.c - see ourselves.h. A node that ended is one of us for a day yet: it may only be at rest. */
#include "service/queue/ourselves.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/params.h"
#include "service/core/node.h"
#include "service/core/state.h"
#include "service/identity/directory.h"

#define NODES_MOST 1000
#define ADDRESSES  ((size_t)NODE_ADDRESSES_MOST * 8)
#define KNOWN_MS   ((int64_t)24 * 3600 * 1000)

static void add_address(struct ourselves *o, const struct network *address)
{
    for (size_t i = 0; i < o->n_addresses; i++)
        if (network_holds(&o->addresses[i], address))
            return;
    if (o->n_addresses < ADDRESSES)
        o->addresses[o->n_addresses++] = *address;
}

static void add_name(struct ourselves *o, struct bytes name, struct arena *a)
{
    struct err ignored = { 0 };
    struct bytes plain;

    if (!name.n || o->n_names > NODES_MOST)
        return;
    if (!domain_normalize(name, a, &plain, &ignored))
        plain = arena_copy(a, name);
    for (size_t i = 0; i < o->n_names; i++)
        if (bytes_equal(o->names[i], plain))
            return;
    o->names[o->n_names++] = plain;
}

static void add_node(struct ourselves *o, const struct node_row *row, struct arena *a)
{
    struct json_object *load = NULL;
    struct err ignored = { 0 };
    struct network address;
    struct bytes *texts;
    size_t n;

    if (!row->load.p || !json_read(row->load, &load, &ignored))
        return;
    add_name(o, json_text(load, "hostname"), a);
    texts = json_texts(a, json_member(load, "addresses"), &n);
    for (size_t i = 0; i < n; i++)
        if (network_parse(texts[i], &address))
            add_address(o, &address);
    json_object_put(load);
}

bool ourselves_find(struct service *svc, struct arena *a, struct ourselves *out, struct err *e)
{
    struct query q = { .kind = &node_kind, .limit = NODES_MOST };
    struct network *mine = arena_array(a, NODE_ADDRESSES_MOST, sizeof *mine);
    int64_t since = store_now(svc->store) - KNOWN_MS;
    struct node_row *rows;
    void *found;
    size_t n;

    *out = (struct ourselves){ .addresses = arena_array(a, ADDRESSES, sizeof *out->addresses),
                               .names = arena_array(a, NODES_MOST + 1, sizeof *out->names) };
    add_name(out, PARAM_TEXT(server, hostname), a);
    n = node_addresses(mine, NODE_ADDRESSES_MOST);
    for (size_t i = 0; i < n; i++)
        add_address(out, &mine[i]);
    if (!store_find(svc->store, &q, a, &found, &n, e))
        return false;
    rows = found;
    for (size_t i = 0; i < n; i++)
        if (rows[i].seen_at > since && !id_equal(rows[i].id, svc->node))
            add_node(out, &rows[i], a);
    return true;
}

struct bytes ourselves_domain(struct service *svc, struct bytes domain, struct arena *a)
{
    struct directory_domain d;
    struct call c;

    call_init(&c, svc, a, "delivery");
    if (!directory_domain(&c, domain, &d))
        return NO_BYTES;
    if (!d.inbound)
        return arena_bytesf(a,
                            "%.*s is a domain here that keeps no mailboxes: set its inbound to mailboxes, or its MX to "
                            "where its mail is kept",
                            SHOW(domain));
    if (!d.verified)
        return arena_bytesf(a,
                            "%.*s is a domain here that is not verified: once its records are, mail for it is kept "
                            "here",
                            SHOW(domain));
    return NO_BYTES;
}
