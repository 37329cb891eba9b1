/* service/message/message_schedule.c - moves a message that waits for its time, with what depends on that time. Of a
 * move and a claim (release.h) at once one wins: each is on condition of what it was judged by. */
#include "service/core/state.h"
#include "service/message/message_private.h"
#include "service/message/release.h"
#include "service/message/send_check.h"
#include "service/queue/ending.h"

#define TRIES 8 /* as often it is looked at again because something of it has changed */

static bool judge(struct call *c, const struct message_row *m)
{
    if (!m->scheduled_at)
        return err_set(&c->err, ERR_CONFLICT, "It was not scheduled");
    if (!m->n_open)
        return err_set(&c->err, ERR_CONFLICT, "It is over");
    if (!m->release_at || m->lease_until > store_now(c->store))
        return err_set(&c->err, ERR_IN_FLIGHT, "It has begun");
    return true;
}

/* What was counted from the old time is counted from the new one. */
static void add_message(struct call *c, struct message_row *m, int64_t at, struct batch *b)
{
    struct cond *same = arena_array(c->arena, 2, sizeof *same);
    struct set *sets = arena_array(c->arena, 5, sizeof *sets);
    int64_t by = at - m->scheduled_at;

    same[0] = COND("token", IS, V_INT(m->token));
    same[1] = COND("release_at", IS, V_TIME(m->release_at));
    sets[0] = SET("scheduled_at", V_TIME(at));
    sets[1] = SET("release_at", V_TIME(at));
    sets[2] = SET("lease_until", V_TIME(0));
    sets[3] = SET("expires_at", V_TIME(m->expires_at + by));
    sets[4] = SET("content_until", V_TIME(m->content_until ? m->content_until + by : 0));
    batch_update(b, &message_kind, m->id, same, 2, sets, 5);
    m->scheduled_at = at;
    batch_insert(b, &event_kind, event_scheduled(c->arena, m, store_now(c->store)), NULL, 0);
}

static void add_delivery(struct call *c, const struct delivery_row *d, int64_t at, struct batch *b)
{
    struct set *sets = arena_array(c->arena, 2, sizeof *sets);

    sets[0] = SET("send_at", V_TIME(at));
    sets[1] = SET("expires_at", V_TIME(d->expires_at + at - d->send_at));
    batch_update(b, &delivery_kind, d->id, delivery_unchanged(d, c->arena), DELIVERY_UNCHANGED, sets, 2);
}

static bool move_once(struct call *c, struct message_row *m, int64_t at)
{
    struct batch *b = batch_new(c->arena);
    struct delivery_row *rows;
    size_t n;

    if (!message_waiting(c->store, m->id, c->arena, &rows, &n, &c->err))
        return false;
    add_message(c, m, at, b);
    for (size_t i = 0; i < n; i++)
        add_delivery(c, &rows[i], at, b);
    return arena_check(c->arena, &c->err) && store_commit(c->store, b, c->deadline, &c->err);
}

static bool move(struct call *c, struct bytes id, int64_t at)
{
    struct arena_mark before = arena_mark(c->arena);

    for (int i = 0; i < TRIES; i++) {
        struct message_row m;

        arena_rewind(c->arena, before);
        c->err = (struct err){ 0 };
        if (!message_find_sent(c, id, &m) || !judge(c, &m))
            return false;
        if (move_once(c, &m, at)) {
            release_poke(c->svc);
            return true;
        }
        if (c->err.code != ERR_CONFLICT)
            return false;
    }
    return err_again(c, ERR_IN_FLIGHT, "Others keep changing it");
}

bool message_update(struct call *c, const struct message_update_in *in, struct message_view *out)
{
    int64_t at = in->scheduled_at;
    struct message_row row;

    if (!call_may(c, SCOPE_SEND))
        return false;
    schedule_check(c, at);
    if (!call_check(c) || (in->moves && !move(c, in->id, at ? at : store_now(c->store))) ||
        !message_find_sent(c, in->id, &row))
        return false;
    message_show(c, &row, out);
    return true;
}
