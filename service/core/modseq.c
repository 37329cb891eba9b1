#include "service/core/modseq.h"

int modseq_raise(struct batch *b, struct arena *a, struct id user)
{
    struct set *raise = arena_alloc(a, sizeof *raise);
    int slot = batch_slot(b);

    *raise = ADD_SLOT("modseq", 1, slot);
    batch_update(b, &user_kind, user, NULL, 0, raise, 1);
    return slot;
}
