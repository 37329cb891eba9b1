#include "service/core/precondition.h"

struct bytes precondition_tag(struct arena *a, int64_t version)
{
    return arena_bytesf(a, "\"%lld\"", (long long)version);
}

bool precondition_holds(struct call *c, struct bytes if_match, int64_t version)
{
    struct bytes tag = precondition_tag(c->arena, version), rest = if_match, item;

    if (!if_match.p)
        return true;
    while (rest.n) {
        bytes_cut(rest, ',', &item, &rest);
        item = bytes_trim(item);
        if (bytes_equal(item, tag) || bytes_equal(item, BYTES("*"))) /* a weak one never matches (8.8.3.2) */
            return true;
    }
    return err_set(&c->err, ERR_PRECONDITION, "It has version %lld by now: read it again, then change that",
                   (long long)version);
}
