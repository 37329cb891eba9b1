#include "service/queue/nudges.h"
#include "service/core/follow.h"
#include "service/identity/stream.h"
#include "service/queue/routing.h"
#include "service/queue/suspension.h"

static bool name_kind(const struct nudge_row *rows, size_t n, const struct kind *kind)
{
    for (size_t i = 0; i < n; i++)
        if (bytes_equal(rows[i].what, bytes_of(kind->name)))
            return true;
    return false;
}

static bool read_all(struct service *svc, struct err *e)
{
    routing_changed(svc);
    streams_changed(svc);
    return suspensions_load(svc, e);
}

static bool nudged(struct service *svc, const void *rows, size_t n, struct arena *a, struct err *e)
{
    bool streams = name_kind(rows, n, &stream_kind);
    bool stopped = streams || name_kind(rows, n, &suspension_kind) || name_kind(rows, n, &account_kind);

    if (streams)
        streams_changed(svc);
    if (name_kind(rows, n, &route_kind))
        routing_changed(svc);
    if (stopped && !suspensions_load(svc, e))
        return false;
    return suspensions_end_past(svc, a, e);
}

void nudges_follow(struct service *svc)
{
    static const struct following how = { .kind = &nudge_kind,
                                          .wait_ms = 250, /* and how soon the end of a suspension is noticed */
                                          .arena = (size_t)16 * 1024 * 1024,
                                          .all = read_all,
                                          .rows = nudged };

    follow(svc, &how);
}
