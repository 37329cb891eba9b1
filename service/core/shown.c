/* service/core/shown.c - rows as they are shown: see shown.h.
 *
 * The place of a page is the id of something shown. Going down, its row lies behind it, or is it. Going up the row lies
 * before what it still has to show, so the query begins below the row; of both, what lies before the place is left out.
 */
#include "service/core/shown.h"
#include "store/value.h"

struct id shown_id(const struct kind *k, const char *rows, size_t i)
{
    return value_of(&k->fields[0], rows + i * k->size).id;
}

struct id shown_row(struct id id)
{
    id.b[sizeof id.b - 1] &= (uint8_t) ~(SHOWN_MOST - 1);
    return id;
}

/* The id before it. */
static struct id id_below(struct id id)
{
    for (size_t i = sizeof id.b; i-- > 0;)
        if (id.b[i]-- != 0)
            break;
    return id;
}

/* From where rows are read, and behind which id they are shown. One more going up, since of the first nothing may be
 * left to show. */
static bool begin_below(struct call *c, struct query *q, struct id *behind)
{
    char *row = arena_alloc(c->arena, q->kind->size);
    struct id of;

    if (!store_cursor_read(q, q->after, c->arena, row))
        return err_set(&c->err, ERR_INVALID, "Not a cursor of this list");
    *behind = shown_id(q->kind, row, 0);
    of = shown_row(*behind);
    if (q->descending || id_is_none(of))
        return true;
    value_put(&q->kind->fields[0], row, &V_ID(id_below(of)));
    q->after = store_cursor(q, row, c->arena);
    q->limit++;
    return true;
}

static bool is_behind(const struct query *q, struct id id, struct id place)
{
    int order = id_compare(id, place);

    return id_is_none(place) || (q->descending ? order < 0 : order > 0);
}

/* What one row shows behind the place, in reading order. */
static void show_row(const struct query *q, const char *parts, size_t n, struct id behind, struct found *f)
{
    size_t size = q->kind->size;

    for (size_t i = 0; i < n; i++) {
        size_t part = q->descending ? n - 1 - i : i;

        if (is_behind(q, shown_id(q->kind, parts, part), behind))
            memcpy(f->rows + f->n++ * size, parts + part * size, size);
    }
}

static void show_rows(struct call *c, const struct query *q, const struct shown *as, struct id behind, struct found *f)
{
    size_t size = q->kind->size, most = 0, n = f->n;
    const char *rows = f->rows;
    char *parts = arena_array(c->arena, SHOWN_MOST, size);
    struct id *of;

    for (size_t i = 0; i < n; i++)
        most += as->show(rows + i * size, NULL);
    of = arena_array(c->arena, most, sizeof *of);
    *f = (struct found){ .rows = arena_array(c->arena, most, size), .of = of, .more = f->more };
    for (size_t i = 0; i < n; i++) {
        size_t from = f->n;

        show_row(q, parts, as->show(rows + i * size, parts), behind, f);
        for (size_t k = from; k < f->n; k++)
            of[k] = shown_id(q->kind, rows, i);
    }
}

bool shown_find(struct call *c, const struct query *q, const struct shown *as, size_t bytes, struct found *f)
{
    struct query at = *q;
    struct id behind = NO_ID;
    bool cut;

    if (as && q->after.p && !begin_below(c, &at, &behind))
        return false;
    do {
        void *rows;

        *f = (struct found){ 0 };
        if (!store_find_some(c->store, &at, bytes, c->arena, &rows, &f->n, &cut, &c->err))
            return false;
        f->rows = rows;
        f->more = cut || f->n == at.limit;
        if (as && f->n) {
            at.after = store_cursor(&at, f->rows + (f->n - 1) * at.kind->size, c->arena);
            show_rows(c, q, as, behind, f);
        }
    } while (f->more && !f->n); /* all of it was shown before */
    return true;
}

size_t shown_bytes(const struct kind *k, const char *row)
{
    size_t n = k->size;

    for (size_t i = 0; i < k->n_fields; i++)
        n += value_of(&k->fields[i], row).bytes.n;
    return n;
}
