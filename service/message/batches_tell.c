/* service/message/batches_tell.c - events of a batch: which of its messages could not be rendered. A send by itself is
 * answered so; who gets an answer of a thousand may look at it, or not. */
#include "base/clock.h"
#include "base/params.h"
#include "service/core/state.h"
#include "service/message/batches_private.h"

static bool is_of_template(struct bytes pointer)
{
    struct bytes rest = bytes_from(pointer, BYTES("/messages/").n);

    return bytes_starts(bytes_from(rest, bytes_find(rest, '/')), BYTES("/template"));
}

static bool was_not_rendered(const struct batch_item *item)
{
    for (size_t i = 0; item->err.code && i < item->n_faults; i++)
        if (is_of_template(item->faults[i].pointer))
            return true;
    return false;
}

static struct bytes data_of(const struct batch_run *x, size_t i)
{
    const struct batch_item *item = &x->items[i];
    struct buf out;
    struct jw w;

    buf_init(&out, 256 * 1024);
    jw_init(&w, &out);
    jw_object(&w);
    jw_key_id(&w, "batch_id", batch_kind.prefix, x->row.id);
    jw_key_int(&w, "index", (int64_t)i);
    jw_key(&w, "errors");
    faults_show(&w, item->faults, item->n_faults);
    jw_object_end(&w);
    return arena_take(x->work, &out);
}

void run_tell(struct batch_run *x, struct batch *b)
{
    const char *mode = x->call->who->test ? "test" : service_is_live(x->call->svc) ? "live" : "sandbox";
    int64_t now = clock_wall();

    for (size_t i = 0; i < x->in->n; i++) {
        struct event_row *event;

        if (!was_not_rendered(&x->items[i]))
            continue;
        event = arena_alloc(x->work, sizeof *event);
        *event = (struct event_row){ .id = id_new(),
                                     .account_id = x->call->account,
                                     .type = BYTES("email.rendering_failed"),
                                     .mode = bytes_of(mode),
                                     .at = now,
                                     .data = data_of(x, i),
                                     .expires_at = now + PARAM_INT(event, keep) };
        batch_insert(b, &event_kind, event, NULL, 0);
    }
}
