/* delivery/inherit.c - what other nodes are told of ways that are not as new ones: which are not open, for who asks
 * there, and how far they are, for who sends next. A node that takes over would else try hosts that are known to be
 * dead, and hurry those that have asked for less; how wide a way was that nothing is wrong with it finds out again. */
#include "base/clock.h"
#include "base/json.h"
#include "delivery/engine_private.h"
#include "service/queue/path_state.h"

#define NOTE_EVERY_MS 10000
#define NOTES_AT_ONCE 16
#define NOTE_ARENA    ((size_t)1024 * 1024)
#define TAKE_ARENA    ((size_t)16 * 1024 * 1024)
#define PERCENT       100 /* of a window */

/* ---- written ---- */

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

/* How far the store's clock, which all nodes have, is ahead of ours. */
static int64_t ahead(struct engine *e)
{
    return queue_now(e->svc) - clock_monotonic();
}

static struct bytes kept_json(struct engine *e, const struct path *p, struct arena *a)
{
    struct path_kept k;
    struct bytes json;
    struct buf out;
    struct jw w;

    path_keep(p, ahead(e), &k);
    buf_init(&out, 1024);
    jw_init(&w, &out);
    jw_object(&w);
    jw_key_text(&w, "state", bytes_of(path_state_text(k.state)));
    jw_key_int(&w, "window", (int64_t)(k.window * PERCENT));
    jw_key_int(&w, "failures", k.failures);
    jw_key_int(&w, "deaths", k.deaths);
    jw_key_int(&w, "crowded", k.crowded);
    jw_key_int(&w, "until", k.until);
    jw_key_int(&w, "quiet", k.quiet);
    jw_key_int(&w, "crowded_at", k.crowded_at);
    jw_object_end(&w);
    json = arena_copy(a, buf_bytes(&out));
    buf_clear(&out);
    return json;
}

static void note(struct engine *e, struct way *w, bool as_new)
{
    struct arena *a = arena_new(NOTE_ARENA);
    struct noting *x = arena_alloc(a, sizeof *x);

    *x = (struct noting){ .engine = e, .arena = a, .note = { .name = arena_copy(a, way_name(w)) } };
    if (!as_new) {
        x->note.state = way_json(w, a);
        x->note.kept = kept_json(e, &w->path, a);
        name_sites(e, w, a, &x->note);
    }
    if (!engine_spawn(e, note_fiber, x))
        arena_free(&a);
}

void way_forgotten(struct engine *e, struct way *w)
{
    note(e, w, true);
}

/* What is worth another note: the state, how often it died, and that it was told to go slower. */
static unsigned mark_of(const struct way *w, int64_t now)
{
    enum way_state state = way_state(w, now);

    if (state == WAY_OPEN && !path_is_narrow(&w->path, now))
        return 0;
    return 1u + (unsigned)state + 16u * (w->path.crowded != 0) + 32u * (unsigned)w->path.deaths;
}

void ways_note(struct engine *e, int64_t now)
{
    size_t n = 0;

    for (struct way *w = e->ways; w && n < NOTES_AT_ONCE; w = w->hh.next) {
        unsigned mark = mark_of(w, now);

        if (mark == w->noted || now < w->note_at)
            continue;
        note(e, w, mark == 0);
        w->noted = mark;
        w->note_at = now + NOTE_EVERY_MS;
        n++;
    }
}

/* ---- read ---- */

static enum path_state state_of(struct bytes text)
{
    for (int i = PATH_OPEN; i <= PATH_PROBE; i++)
        if (bytes_equal(text, bytes_of(path_state_text((enum path_state)i))))
            return (enum path_state)i;
    return PATH_OPEN;
}

static int64_t number_of(struct json_object *o, const char *name)
{
    return json_object_get_int64(json_member(o, name));
}

static void restore(struct engine *e, struct way *w, struct bytes json)
{
    struct json_object *o = NULL;
    struct err ignored = { 0 };
    struct path_kept k;

    if (!json.p || !json_read(json, &o, &ignored))
        return;
    k = (struct path_kept){ .state = state_of(json_text(o, "state")),
                            .window = (double)number_of(o, "window") / PERCENT,
                            .failures = (int)number_of(o, "failures"),
                            .deaths = (int)number_of(o, "deaths"),
                            .crowded = (int)number_of(o, "crowded"),
                            .until = number_of(o, "until"),
                            .quiet = number_of(o, "quiet"),
                            .crowded_at = number_of(o, "crowded_at") };
    json_object_put(o);
    path_restore(&w->path, ahead(e), &k);
    log_info("delivery", LOG_BYTES("path", way_name(w)), LOG_TEXT("state", path_state_text(w->path.state)),
             LOG_TEXT("result", "taken over"));
}

void way_inherit(struct engine *e, struct way *w)
{
    for (size_t i = 0; i < e->n_inherited; i++)
        if (bytes_equal(e->inherited[i].name, way_name(w))) {
            restore(e, w, e->inherited[i].kept);
            e->inherited[i] = e->inherited[--e->n_inherited];
            return;
        }
}

void inheritance_free(struct engine *e)
{
    arena_free(&e->inherited_arena);
    e->inherited = NULL;
    e->n_inherited = 0;
}

bool ways_inherit(struct engine *e, struct err *err)
{
    struct arena *a = arena_new(TAKE_ARENA);
    struct path_note *list = NULL;
    size_t n = 0;
    bool ok = path_states_take(e->svc, a, &list, &n, err);

    inheritance_free(e);
    e->inherited_arena = a;
    e->inherited = list;
    e->n_inherited = list ? n : 0;
    for (struct way *w = e->ways; w; w = w->hh.next)
        way_inherit(e, w);
    return ok;
}
