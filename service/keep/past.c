/* service/keep/past.c - what is past its time, from the old end and in turns behind it: see past.h.
 *
 * A place moves on with what was found, whether or not it could be deleted: what others were changing meanwhile is met
 * again by the turn that looks at everything. */
#include "service/keep/past.h"
#include "base/params.h"
#include "service/core/state.h"

struct past_places {
    struct {
        struct id oldest; /* up to it all have gone, but for what others were changing */
        struct id seen;   /* up to it this turn has looked */
    } of[PAST_KINDS];
};

struct past_places *past_places_new(void)
{
    struct past_places *p = calloc(1, sizeof *p);

    if (!p)
        die("out of memory: places of the sweep");
    return p;
}

void past_places_free(struct past_places **p)
{
    free(*p);
    *p = NULL;
}

void past_begin(struct past *p, const struct past_kind *of)
{
    *p = (struct past){ .of = of };
}

static struct id id_at(const struct past *p, const void *rows, size_t i)
{
    struct id id;

    memcpy(&id, (const char *)rows + i * p->of->kind->size, sizeof id);
    return id;
}

/* A slice of rows behind a place, past or not. */
static bool read_slice(const struct past *p, struct service *svc, struct id behind, struct arena *a, void **rows,
                       size_t *n, struct err *e)
{
    struct query q = {
        .kind = p->of->kind, .only = p->of->only, .limit = (size_t)PARAM_INT(sweep, slice), .n_conds = 0
    };

    if (!id_is_none(behind))
        q.conds[q.n_conds++] = COND("id", ABOVE, V_ID(behind));
    arena_reset(a);
    return store_find(svc->store, &q, a, rows, n, e);
}

static bool is_past(const struct past *p, const void *row, int64_t now)
{
    int64_t when;

    memcpy(&when, (const char *)row + kind_field(p->of->kind, p->of->field)->offset, sizeof when);
    return when && when <= now;
}

/* From the old end: rows up to the first one that lives. */
static bool next_oldest(struct past *p, struct service *svc, struct arena *a, void **rows, size_t *n, struct err *e)
{
    struct id *oldest = &svc->past->of[p->of->number].oldest;
    int64_t now = store_now(svc->store);
    size_t found, gone = 0;

    if (!read_slice(p, svc, *oldest, a, rows, &found, e))
        return false;
    while (gone < found && is_past(p, (char *)*rows + gone * p->of->kind->size, now))
        gone++;
    if (gone)
        *oldest = id_at(p, *rows, gone - 1);
    p->scans = gone < found || found == 0;
    *n = gone;
    return true;
}

/* Only rows that stay are steps: those that go make room, so a round never stops in the middle of them. */
static bool is_over(const struct past *p)
{
    return p->over || p->looked >= (size_t)PARAM_INT(sweep, steps);
}

/* Behind the youngest the next turn begins at the old end, where clocks of other nodes may have put something too. */
static void move_on(struct past *p, struct service *svc, const void *rows, size_t found)
{
    if (found == (size_t)PARAM_INT(sweep, slice)) {
        svc->past->of[p->of->number].seen = id_at(p, rows, found - 1);
    } else {
        svc->past->of[p->of->number].seen = NO_ID;
        svc->past->of[p->of->number].oldest = NO_ID;
        p->over = true;
    }
}

/* From where the last round stopped: those that are past, moved together. */
static bool next_seen(struct past *p, struct service *svc, struct arena *a, void **rows, size_t *n, struct err *e)
{
    size_t size = p->of->kind->size, found;
    int64_t now = store_now(svc->store);
    char *to;

    if (!read_slice(p, svc, svc->past->of[p->of->number].seen, a, rows, &found, e))
        return false;
    move_on(p, svc, *rows, found);
    to = *rows;
    for (size_t i = 0; i < found; i++) {
        const char *from = (char *)*rows + i * size;

        if (!is_past(p, from, now))
            continue;
        memmove(to, from, size);
        to += size;
    }
    *n = (size_t)(to - (char *)*rows) / size;
    p->looked += found - *n;
    return true;
}

bool past_next(struct past *p, struct service *svc, struct arena *a, void **rows, size_t *n, struct err *e)
{
    *n = 0;
    while (*n == 0 && !is_over(p) && !svc->stopping)
        if (!(p->scans ? next_seen : next_oldest)(p, svc, a, rows, n, e))
            return false;
    return true;
}
