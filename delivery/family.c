/* delivery/family.c - which groups of hosts have addresses of both families and were reached by IPv4: their IPv6 is
 * refused or hangs, and not every mail is to find that out anew. It is remembered for delivery.family_memory from when
 * it was found, however often IPv4 works meanwhile: then IPv6 is tried again. */
#include "base/clock.h"
#include "base/params.h"
#include "delivery/engine_private.h"

#define FAMILIES_MAX 20000

struct family_row {
    UT_hash_handle hh;
    int64_t until; /* monotonic */
    size_t n;
    char way[];
};

static struct family_row *family_find(const struct engine *e, struct bytes way)
{
    struct family_row *row;

    HASH_FIND(hh, e->families, way.p, way.n, row);
    return row;
}

bool family_is_v4(const struct engine *e, struct bytes way)
{
    const struct family_row *row = family_find(e, way);

    return row && clock_monotonic() < row->until;
}

static void family_forget(struct engine *e, struct family_row *row)
{
    HASH_DEL(e->families, row);
    free(row);
}

static void remember(struct engine *e, struct bytes way)
{
    struct family_row *row = family_find(e, way);

    if (!row) {
        if (HASH_COUNT(e->families) >= FAMILIES_MAX)
            family_forget(e, e->families); /* the oldest */
        row = calloc(1, sizeof *row + way.n);
        if (!row)
            die("out of memory: families");
        memcpy(row->way, way.p, way.n);
        row->n = way.n;
        HASH_ADD(hh, e->families, way, row->n, row);
    }
    row->until = clock_monotonic() + PARAM_INT(delivery, family_memory);
}

/* Plans have an order: those of the way are made anew. A host that was passed over, since it failed of late, says
 * nothing of its family. */
void family_worked(struct engine *e, const struct site *s, const struct network *address, bool v6_failed)
{
    struct bytes way = way_name(s->way);
    bool v4 = network_is_ipv4(address);
    struct family_row *row;

    if (v4 == family_is_v4(e, way) || (v4 && !v6_failed))
        return;
    if (v4)
        remember(e, way);
    else if ((row = family_find(e, way)) != NULL)
        family_forget(e, row);
    for (struct site *x = e->sites; x; x = x->hh.next)
        if (x->way == s->way)
            site_stale(x);
}

void families_free(struct engine *e)
{
    while (e->families)
        family_forget(e, e->families);
}
