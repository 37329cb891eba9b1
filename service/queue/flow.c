#include "service/queue/flow.h"

#define HURRY_MS 3600000 /* a message that has no longer than this is hurried */

struct bytes queue_flow(struct arena *a, struct bytes site, char class, struct id account, struct id stream)
{
    char one[ID_TEXT + 1], two[ID_TEXT + 1] = "-";

    id_format("", account, one);
    if (!id_is_none(stream))
        id_format("", stream, two);
    return arena_bytesf(a, "%.*s/%c/%s/%s", SHOW(site), class, one, two);
}

char queue_class_read(struct bytes name)
{
    return bytes_equal(name, BYTES("high"))     ? QUEUE_HURRIED
           : bytes_equal(name, BYTES("normal")) ? QUEUE_NORMAL
           : bytes_equal(name, BYTES("bulk"))   ? QUEUE_BULK
                                                : 0;
}

char queue_class(struct bytes priority, int64_t expires_after)
{
    char class = queue_class_read(priority);

    if (class)
        return class;
    return expires_after && expires_after <= HURRY_MS ? QUEUE_HURRIED : QUEUE_NORMAL;
}

bool flow_read(struct bytes flow, struct flow_name *out)
{
    struct bytes class, rest;

    if (flow.n > FLOW_MAX || !bytes_cut(flow, '/', &out->site, &rest) || !bytes_cut(rest, '/', &class, &rest) ||
        !bytes_cut(rest, '/', &out->account, &rest))
        return false;
    bytes_cut(rest, '/', &out->stream, &out->route);
    out->class = class.n == 1 ? *class.p : '\0';
    return out->site.n && (out->class == QUEUE_HURRIED || out->class == QUEUE_NORMAL || out->class == QUEUE_BULK);
}

struct bytes flow_by(struct arena *a, struct bytes flow, struct id route)
{
    char text[ID_TEXT + 1];
    struct flow_name name;

    if (!flow_read(flow, &name))
        return flow;
    flow = bytes_head(flow, (size_t)(name.stream.p + name.stream.n - flow.p));
    return id_is_none(route) ? arena_copy(a, flow)
                             : arena_bytesf(a, "%.*s/%.*s", SHOW(flow), SHOW(id_format("", route, text)));
}
