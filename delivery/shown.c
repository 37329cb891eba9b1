/* delivery/shown.c - what is told of paths to whoever asks, from any thread: a fiber of the engine's loop answers, so
 * that nothing of it is locked. For the other nodes it is written down which paths are not open, and which are
 * again. */
#include "base/clock.h"
#include "base/json.h"
#include "delivery/engine_private.h"
#include "service/queue/path_state.h"

struct asking {
    struct engine *engine;
    const struct bytes *sites;
    size_t n;
    struct arena *arena; /* the asker's, who waits */
    struct bytes *out;
    struct waiter answered;
};

static const char *state_of(const struct way *w, int64_t now)
{
    if (w->stopped)
        return "suspended";
    if (now < w->shut_until)
        return "shut";
    return w->path.state == PATH_OPEN ? "open" : w->path.state == PATH_DEAD ? "dead" : "probe";
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
    jw_key_text(&j, "state", bytes_of(state_of(w, now)));
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

/* ---- for other nodes ---- */

#define NOTE_EVERY_MS 10000
#define NOTES_AT_ONCE 16
#define NOTE_ARENA    ((size_t)1024 * 1024)

struct noting {
    struct engine *engine;
    struct arena *arena;
    struct path_note note;
};

static void note_fiber(void *arg)
{
    struct noting *x = arg;
    struct engine *e = x->engine;
    struct arena *a = x->arena;
    struct err why = { 0 };

    if (!path_state_note(e->svc, a, &x->note, &why))
        log_warn("delivery", LOG_TEXT("result", "the state of a path not written down"),
                 LOG_TEXT("reason", why.message));
    arena_free(&a);
    engine_left(e);
}

/* A relay is for every domain. */
static void name_sites(struct engine *e, const struct way *w, struct arena *a, struct path_note *out)
{
    struct bytes *sites = arena_array(a, PATH_SITES_MOST, sizeof *sites);

    for (struct site *s = e->sites; s && out->n < PATH_SITES_MOST; s = s->hh.next)
        if (s->way == w)
            sites[out->n++] = s->domain.n ? arena_copy(a, s->domain) : BYTES("*");
    out->sites = sites;
}

void way_note(struct engine *e, struct way *w, const char *state)
{
    struct arena *a = arena_new(NOTE_ARENA);
    struct noting *x = arena_alloc(a, sizeof *x);

    *x = (struct noting){ .engine = e, .arena = a, .note = { .name = arena_copy(a, way_name(w)) } };
    if (state) {
        x->note.state = way_json(w, a);
        name_sites(e, w, a, &x->note);
    }
    if (!engine_spawn(e, note_fiber, x))
        arena_free(&a);
}

void ways_note(struct engine *e, int64_t now)
{
    size_t n = 0;

    for (struct way *w = e->ways; w && n < NOTES_AT_ONCE; w = w->hh.next) {
        const char *state = state_of(w, now);

        state = strcmp(state, "open") == 0 ? NULL : state;
        if (state == w->noted || now < w->note_at)
            continue;
        way_note(e, w, state);
        w->noted = state;
        w->note_at = now + NOTE_EVERY_MS;
        n++;
    }
}
