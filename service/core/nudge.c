#include "service/core/nudge.h"
#include "base/clock.h"

void nudge_add(struct batch *b, struct arena *a, const struct kind *kind)
{
    struct nudge_row *row = arena_alloc(a, sizeof *row);
    int64_t now = clock_wall();

    *row = (struct nudge_row){ .id = id_new(), .what = bytes_of(kind->name), .at = now };
    row->expires_at = now + NUDGE_KEEP_MS;
    batch_insert(b, &nudge_kind, row, NULL, 0);
}
