/* service/queue/delivery_act.c - what is done by hand with one delivery. The rules are in act.h; here it is found,
 * judged and changed on condition that it is as it was judged by, and looked at again when it is not. */
#include "service/core/idempotency.h"
#include "service/core/state.h"
#include "service/queue/act.h"
#include "service/queue/delivery.h"

static bool refuse(struct call *c, enum act_fit fit, const struct delivery_row *d)
{
    if (fit == ACT_IN_FLIGHT)
        return err_set(&c->err, ERR_IN_FLIGHT,
                       "It is being delivered at this moment: try again when its attempt is over");
    if (fit == ACT_HELD)
        return err_set(&c->err, ERR_CONFLICT, "It is held: release it");
    if (fit == ACT_WAITS)
        return err_set(&c->err, ERR_CONFLICT, "Its message is scheduled: move or cancel that");
    return err_set(&c->err, ERR_CONFLICT, "It is over: %.*s", SHOW(d->status));
}

/* What it was judged by has changed meanwhile: it is looked at again. */
#define TRIES 8

static bool act_once(struct call *c, struct acts *x, const struct delivery_row *row, bool *again)
{
    struct batch *b = batch_new(c->arena);

    acts_end(x);
    x->list.n = 0;
    acts_take(x, row, c->arena);
    if (!acts_ready(c->svc, x, &c->err) || !acts_add(x, b, c->arena, store_now(c->store), &c->err))
        return false;
    if (call_commit(c, b, NULL, row->id)) {
        acts_tell(c->svc, x);
        return true;
    }
    *again = c->err.code == ERR_CONFLICT && acts_mend(x, batch_failure(b));
    return false;
}

static bool act_by(struct call *c, struct acts *x, struct bytes id, struct delivery_row *row)
{
    bool again = true;

    for (int i = 0; again && i < TRIES; i++) {
        enum act_fit fit;

        c->err = (struct err){ 0 };
        if (!delivery_find(c, id, row))
            return false;
        fit = act_judge(x->order->act, row, store_now(c->store));
        if (fit == ACT_SO_ALREADY)
            return true;
        if (fit != ACT_FITS)
            return refuse(c, fit, row);
        again = false;
        if (act_once(c, x, row, &again))
            return delivery_find(c, id, row);
    }
    return again ? err_again(c, ERR_IN_FLIGHT, "Others keep changing it") : false;
}

static bool act_on(struct call *c, const struct order *o, struct bytes id, struct delivery_row *row)
{
    struct message_row m;
    struct acts x;
    bool gone, ok;

    if (!delivery_find(c, id, row) || !message_of(c->svc, row, c->arena, &m, &gone, &c->err))
        return false;
    acts_begin(&x, o, &m, c->arena, 1);
    x.list.message_gone = gone;
    ok = act_by(c, &x, id, row);
    acts_end(&x);
    return ok;
}

static bool act(struct call *c, enum act what, const struct delivery_act_in *in, struct delivery_view *out)
{
    const struct order o = { .act = what, .reason = in->reason, .author = c->who ? c->who->name : NO_BYTES };
    struct bytes id = in->id;
    struct delivery_row row;
    struct id done;

    if (!call_may(c, SCOPE_DELIVERIES_WRITE))
        return false;
    if (idempotency_again(c, &done)) {
        if (!delivery_find(c, id_text(c->arena, delivery_kind.prefix, done), &row))
            return false;
    } else if (!act_on(c, &o, id, &row)) {
        return false;
    }
    delivery_show(c, &row, out);
    return true;
}

bool delivery_retry(struct call *c, const struct delivery_act_in *in, struct delivery_view *out)
{
    return act(c, ACT_RETRY, in, out);
}

bool delivery_hold(struct call *c, const struct delivery_act_in *in, struct delivery_view *out)
{
    return act(c, ACT_HOLD, in, out);
}

bool delivery_release(struct call *c, const struct delivery_act_in *in, struct delivery_view *out)
{
    return act(c, ACT_RELEASE, in, out);
}

bool delivery_bounce(struct call *c, const struct delivery_act_in *in, struct delivery_view *out)
{
    return act(c, ACT_BOUNCE, in, out);
}
