/* service/message/plan_again.c - the batch in which a message begins that was accepted before: what is there already is
 * written on condition that nobody has changed it since it was read, where acceptance inserts. */
#include "service/message/intake_private.h"

#define SETS_MOST 24

static size_t add_count(struct set *sets, size_t n, const char *name, int64_t difference)
{
    if (!difference)
        return n;
    sets[n] = ADD(name, difference);
    return n + 1;
}

/* Of the deliveries that were open before all are counted anew. */
static size_t add_counts(const struct intake *k, const struct message_row *m, struct set *sets, size_t n)
{
    n = add_count(sets, n, "n_open", m->n_open - (int64_t)k->in.n_recipients);
    n = add_count(sets, n, "n_held", m->n_held);
    n = add_count(sets, n, "n_delivered", m->n_delivered);
    n = add_count(sets, n, "n_captured", m->n_captured);
    n = add_count(sets, n, "n_failed", m->n_failed);
    return add_count(sets, n, "n_cancelled", m->n_cancelled);
}

static size_t add_content(const struct message_row *m, struct set *sets, size_t n)
{
    sets[n++] = SET("subject", V_BYTES(m->subject));
    sets[n++] = SET("wrapped_key", V_BYTES(m->wrapped_key));
    sets[n++] = SET("wrap", V_TEXT(m->wrap));
    sets[n++] = SET("content_until", V_TIME(m->content_until));
    sets[n++] = SET("trace", V_BYTES(m->trace));
    sets[n++] = SET("size", V_INT(m->size));
    sets[n++] = SET("to_sign", V_BOOL(m->to_sign));
    sets[n++] = SET("needs_utf8", V_BOOL(m->needs_utf8));
    sets[n++] = SET("sent_at", V_TIME(m->sent_at));
    return n;
}

void again_message(struct intake *k, const struct party *party, struct batch *b)
{
    const struct message_row *was = k->again.message, *m = &party->row;
    struct cond *ours = arena_array(k->arena, 2, sizeof *ours);
    struct set *sets = arena_array(k->arena, SETS_MOST, sizeof *sets);
    size_t n = add_content(m, sets, 0);

    ours[0] = COND("token", IS, V_INT(was->token));
    ours[1] = COND("release_at", IS_NOT, V_TIME(0));
    sets[n++] = SET("release_at", V_TIME(0));
    sets[n++] = SET("lease_until", V_TIME(0));
    sets[n++] = SET("expires_at", V_TIME(m->expires_at));
    n = add_counts(k, m, sets, n);
    batch_update(b, &message_kind, m->id, ours, 2, sets, n);
}

void again_delivery(struct intake *k, const struct target *t, const struct delivery_row *now, struct batch *b)
{
    struct set *sets = arena_array(k->arena, SETS_MOST, sizeof *sets);
    size_t n = 0;

    sets[n++] = SET("status", V_TEXT(now->status));
    sets[n++] = SET("kind", V_TEXT(now->kind));
    sets[n++] = SET("user_id", V_ID(now->user_id));
    sets[n++] = SET("entry_id", V_ID(now->entry_id));
    sets[n++] = SET("guest_id", V_ID(now->guest_id));
    sets[n++] = SET("domain_id", V_ID(now->domain_id));
    sets[n++] = SET("attempts", V_INT(now->attempts));
    sets[n++] = SET("last", V_JSON(now->last));
    sets[n++] = SET("due_at", V_TIME(now->due_at));
    sets[n++] = SET("flow", V_TEXT(now->flow));
    sets[n++] = SET("send_at", V_TIME(now->send_at));
    sets[n++] = SET("expires_at", V_TIME(now->expires_at));
    sets[n++] = SET("held_at", V_TIME(now->held_at));
    sets[n++] = SET("final_at", V_TIME(now->final_at));
    sets[n++] = SET("keep_until", V_TIME(now->keep_until));
    sets[n++] = SET("wrapped_key", V_BYTES(now->wrapped_key));
    sets[n++] = SET("wrap", V_TEXT(now->wrap));
    batch_update(b, &delivery_kind, now->id, delivery_unchanged(t->was, k->arena), DELIVERY_UNCHANGED, sets, n);
}
