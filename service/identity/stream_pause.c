/* service/identity/stream_pause.c - streams that are paused and go on again, by hand or by what their recipients say.
 * Who is to know (service/queue/suspension.h) hears of it by a nudge, people by an event. */
#include "service/core/nudge.h"
#include "service/core/retry.h"
#include "service/core/state.h"
#include "service/identity/stream_day.h"
#include "service/identity/stream_private.h"

#define REASON_MAX 1000

static struct bytes event_data(struct arena *a, const struct stream_row *row, struct bytes author, struct bytes reason,
                               struct bytes more)
{
    struct bytes json;
    struct buf out;
    struct jw w;

    buf_init(&out, 16384);
    jw_init(&w, &out);
    jw_object(&w);
    jw_key_id(&w, "stream_id", stream_kind.prefix, row->id);
    jw_key_text(&w, "slug", row->slug);
    jw_key_text(&w, "author", author);
    jw_key_text(&w, "reason", reason);
    if (more.p)
        jw_key_raw(&w, "complaints", more);
    jw_object_end(&w);
    json = arena_copy(a, buf_bytes(&out));
    buf_clear(&out);
    return json;
}

static void tell(struct batch *b, struct arena *a, const struct stream_row *row, const char *type, struct bytes data)
{
    struct event_row *event = arena_alloc(a, sizeof *event);

    *event = (struct event_row){ .id = id_new(),
                                 .account_id = row->account_id,
                                 .type = bytes_of(type),
                                 .mode = BYTES("live"),
                                 .at = clock_wall(),
                                 .data = data };
    event->expires_at = event->at + PARAM_INT(event, keep);
    batch_insert(b, &event_kind, event, NULL, 0);
}

void stream_pause_add(struct batch *b, struct arena *a, const struct stream_row *row, struct bytes author,
                      struct bytes reason, struct bytes more)
{
    struct cond *going = arena_alloc(a, sizeof *going);
    struct set *set = arena_alloc(a, sizeof *set);

    *going = COND("paused_at", IS, V_TIME(0));
    *set = SET("paused_at", V_TIME(clock_wall()));
    batch_update(b, &stream_kind, row->id, going, 1, set, 1);
    tell(b, a, row, "stream.paused", event_data(a, row, author, reason, more));
    nudge_add(b, a, &stream_kind);
}

static void resume_add(struct call *c, struct batch *b, const struct stream_row *row, struct bytes author,
                       struct bytes reason)
{
    struct cond *same = arena_alloc(c->arena, sizeof *same);
    struct set *sets = arena_array(c->arena, 2, sizeof *sets);

    *same = COND("paused_at", IS, V_TIME(row->paused_at));
    sets[0] = SET("paused_at", V_TIME(0));
    sets[1] = SET("resumed_at", V_TIME(clock_wall()));
    batch_update(b, &stream_kind, row->id, same, 1, sets, 2);
    stream_day_reset(b, c->arena, row);
    tell(b, c->arena, row, "stream.resumed", event_data(c->arena, row, author, reason, NO_BYTES));
    nudge_add(b, c->arena, &stream_kind);
}

struct pausing {
    struct bytes name, reason;
    bool pause;
    struct stream_row *out;
};

static bool pause_once(struct call *c, void *arg, bool *again)
{
    struct pausing *w = arg;
    struct batch *b = batch_new(c->arena);

    if (!stream_find(c, w->name, w->out))
        return false;
    if (w->pause && !w->out->paused_at)
        stream_pause_add(b, c->arena, w->out, c->who->name, w->reason, NO_BYTES);
    else if (!w->pause && w->out->paused_at)
        resume_add(c, b, w->out, c->who->name, w->reason);
    w->out->paused_at = w->pause ? clock_wall() : 0;
    if ((!batch_count(b) && !c->idempotency) || call_commit(c, b, w->out, w->out->id))
        return true;
    *again = c->err.code == ERR_CONFLICT;
    return false;
}

static bool pause(struct call *c, struct pausing *w)
{
    if (w->reason.n > REASON_MAX || bytes_has_ctl_line(w->reason))
        call_fault(c, "/reason", "too_long", "At most %d bytes, in one line", REASON_MAX);
    if (!call_check(c) || !retry_run(c, w->name, pause_once, w))
        return false;
    streams_changed(c->svc);
    return true;
}

bool stream_pause(struct call *c, const struct stream_pause_in *in, struct stream_row *out)
{
    struct pausing w = { in->id, in->reason, true, out };

    return pause(c, &w);
}

bool stream_resume(struct call *c, const struct stream_resume_in *in, struct stream_row *out)
{
    struct pausing w = { in->id, in->reason, false, out };

    return pause(c, &w);
}
