/* service/queue/path_state.c - what the engine writes down of paths that are not as new ones: see path_state.h. There
 * are few of them, so a look reads all and finds each site by the lists. A path that is as a new one again is written
 * as one without a state, and goes with the sweep. */
#include "service/queue/path_state.h"
#include "base/clock.h"
#include "base/json.h"
#include "service/core/secrets.h"

#define NOTES_MOST  1000 /* read at once */
#define COMMIT_MS   10000
#define KEEP_MS     ((int64_t)24 * 3600 * 1000)
#define NOTES_ARENA ((size_t)16 * 1024 * 1024)

static struct bytes list_of(const struct path_note *note, struct arena *a)
{
    struct bytes json;
    struct buf out;
    struct jw w;

    buf_init(&out, (size_t)PATH_SITES_MOST * 300);
    jw_init(&w, &out);
    jw_array(&w);
    for (size_t i = 0; i < note->n && i < PATH_SITES_MOST; i++)
        jw_text(&w, note->sites[i]);
    jw_array_end(&w);
    json = out.overflowed ? BYTES("[]") : arena_copy(a, buf_bytes(&out));
    buf_clear(&out);
    return json;
}

bool path_state_note(struct service *svc, struct arena *a, const struct path_note *note, struct err *e)
{
    struct path_row *row = arena_alloc(a, sizeof *row);
    struct set *sets = arena_array(a, 5, sizeof *sets);
    struct batch *b = batch_new(a);
    int64_t now = store_now(svc->store);

    *row = (struct path_row){ .id = id_of_name(svc, "path", note->name), .name = note->name, .state = note->state };
    row->sites = list_of(note, a);
    row->kept = note->kept;
    row->at = now;
    row->expires_at = note->state.p ? now + KEEP_MS : now; /* the sweep takes it */
    sets[0] = SET("state", V_JSON(row->state));
    sets[1] = SET("sites", V_JSON(row->sites));
    sets[2] = SET("at", V_TIME(row->at));
    sets[3] = SET("expires_at", V_TIME(row->expires_at));
    sets[4] = SET("kept", V_JSON(row->kept));
    batch_raise(b, &path_kind, row, NULL, sets, 5);
    return store_commit(svc->store, b, clock_monotonic() + COMMIT_MS, e);
}

static bool find_notes(struct service *svc, struct arena *a, struct path_row **rows, size_t *n, struct err *e)
{
    struct query q = { .kind = &path_kind, .limit = NOTES_MOST };
    void *found;

    if (!store_find(svc->store, &q, a, &found, n, e))
        return false;
    *rows = found;
    return true;
}

bool path_states_take(struct service *svc, struct arena *a, struct path_note **out, size_t *n, struct err *e)
{
    struct path_row *rows = NULL;
    struct batch *b = batch_new(a);

    *n = 0;
    if (!find_notes(svc, a, &rows, n, e))
        return false;
    *out = arena_array(a, *n + 1, sizeof **out);
    for (size_t i = 0; i < *n; i++) {
        (*out)[i] = (struct path_note){ .name = rows[i].name, .state = rows[i].state, .kept = rows[i].kept };
        batch_delete(b, &path_kind, rows[i].id, NULL, 0);
    }
    return !*n || store_commit(svc->store, b, clock_monotonic() + COMMIT_MS, e) ||
           e->code == ERR_CONFLICT; /* the sweep was there */
}

/* Is the site one of the list? */
static bool names(struct json_object *list, struct bytes site)
{
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct bytes name = bytes_of(json_object_get_string(json_object_array_get_idx(list, i)));

        if (bytes_equal(name, site) || bytes_equal(name, BYTES("*")))
            return true;
    }
    return false;
}

void path_states_find(struct service *svc, const struct bytes *sites, size_t n, struct arena *a, struct bytes *out)
{
    struct path_row *rows = NULL;
    struct err ignored = { 0 };
    size_t n_rows = 0;

    if (!find_notes(svc, a, &rows, &n_rows, &ignored))
        return;
    for (size_t k = 0; k < n_rows; k++) {
        struct json_object *list = NULL;

        if (!rows[k].state.p || !json_read(rows[k].sites, &list, &ignored))
            continue;
        for (size_t i = 0; i < n; i++)
            if (!out[i].p && names(list, sites[i]))
                out[i] = rows[k].state;
        json_object_put(list);
    }
}
