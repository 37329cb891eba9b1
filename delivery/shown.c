/* delivery/shown.c - what is told of paths to whoever asks, from any thread: a fiber of the engine's loop answers, so
 * that nothing of it is locked. */
#include "base/clock.h"
#include "base/json.h"
#include "delivery/engine_private.h"

struct asking {
    struct engine *engine;
    const struct bytes *sites;
    size_t n;
    struct arena *arena; /* the asker's, who waits */
    struct bytes *out;
    struct waiter answered;
};

enum way_state way_state(const struct way *w, int64_t now)
{
    static const enum way_state of[] = { [PATH_OPEN] = WAY_OPEN, [PATH_DEAD] = WAY_DEAD, [PATH_PROBE] = WAY_PROBE };

    return w->stopped ? WAY_SUSPENDED : now < w->shut_until ? WAY_SHUT : of[w->path.state];
}

static struct bytes state_text(enum way_state s)
{
    static const struct bytes texts[] = { [WAY_OPEN] = BYTES_ROW("open"),
                                          [WAY_DEAD] = BYTES_ROW("dead"),
                                          [WAY_PROBE] = BYTES_ROW("probe"),
                                          [WAY_SHUT] = BYTES_ROW("shut"),
                                          [WAY_SUSPENDED] = BYTES_ROW("suspended") };

    return texts[s];
}

/* When that ends by time alone, by the wall; 0: it does not. */
static int64_t until_of(const struct way *w, int64_t now)
{
    int64_t until = now < w->shut_until ? w->shut_until : w->path.state == PATH_DEAD ? w->path.until : 0;

    return until > now ? clock_wall() + until - now : 0;
}

struct bytes way_json(struct way *w, struct arena *a)
{
    int64_t now = clock_monotonic();
    struct bytes json;
    struct buf out;
    struct jw j;

    buf_init(&out, 16384);
    jw_init(&j, &out);
    jw_object(&j);
    jw_key_text(&j, "name", way_name(w));
    jw_key_text(&j, "state", state_text(way_state(w, now)));
    jw_key_int(&j, "window", path_window(&w->path, now));
    jw_key_int(&j, "busy", w->path.busy);
    jw_key_int(&j, "connections", w->path.open);
    jw_key_int(&j, "failures", w->path.failures);
    jw_key_time(&j, "until", until_of(w, now));
    jw_object_end(&j);
    json = arena_copy(a, buf_bytes(&out));
    buf_clear(&out);
    return json;
}

static void answer(void *arg)
{
    struct asking *x = arg;
    struct engine *e = x->engine;

    for (size_t i = 0; i < x->n; i++) {
        struct way *w = site_way(e, x->sites[i], x->arena);

        x->out[i] = w ? way_json(w, x->arena) : NO_BYTES;
    }
    waiter_wake(&x->answered);
    engine_left(e);
}

void shown_paths(struct outlet *o, const struct bytes *sites, size_t n, struct arena *a, struct bytes *out)
{
    struct asking x = { .engine = (struct engine *)(void *)o, .sites = sites, .n = n, .arena = a, .out = out };

    if (engine_stops(x.engine))
        return;
    waiter_init(&x.answered);
    if (engine_spawn(x.engine, answer, &x))
        waiter_wait(&x.answered);
}
