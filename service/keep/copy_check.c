/* service/keep/copy_check.c - two stores read side by side, and compared. */
#include "service/keep/copy_private.h"
#include "store/value.h"

static struct bytes name_of(const struct kind *k, const void *row, struct arena *a)
{
    return id_text(a, k->prefix, value_of(&k->fields[0], row).id);
}

static bool differ(const struct kind *k, const void *row, const char *how, struct arena *a, struct err *e)
{
    return err_set(
        e, ERR_CONFLICT,
        "%s %.*s %s: one of the stores was changed meanwhile, or is damaged. Stop every server, empty TO, and "
        "copy again",
        k->name, SHOW(name_of(k, row, a)), how);
}

static bool same_rows(const struct kind *k, const void *x, const void *y, struct arena *a, struct err *e)
{
    int order = id_compare(value_of(&k->fields[0], x).id, value_of(&k->fields[0], y).id);

    if (order)
        return differ(k, k->watched || order < 0 ? x : y,
                      k->watched  ? "stands elsewhere in the feed of TO"
                      : order < 0 ? "is missing in TO"
                                  : "is only in TO",
                      a, e);
    for (size_t i = 1; i < k->n_fields; i++) {
        struct value from = value_of(&k->fields[i], x), to = value_of(&k->fields[i], y);

        if (value_is_null(&from) != value_is_null(&to) || value_compare(&from, &to) != 0)
            return differ(k, x, arena_printf(a, "differs in %s", k->fields[i].name), a, e);
    }
    return true;
}

/* Both next rows: *more is false when both stores have ended. */
static bool compare_next(struct walk *from, struct walk *to, bool *more, struct err *e)
{
    const void *x, *y;
    struct err why = { 0 };

    if (!walk_row(from, &x, &why))
        return copy_at("FROM", &why, e);
    if (!walk_row(to, &y, &why))
        return copy_at("TO", &why, e);
    *more = x && y;
    if (x && y)
        return same_rows(from->kind, x, y, from->arena, e);
    if (x)
        return differ(from->kind, x, "is missing in TO", from->arena, e);
    return !y || differ(from->kind, y, "is only in TO", from->arena, e);
}

static bool compare(struct walk *from, struct walk *to, const struct copy_options *o, int64_t *rows, struct err *e)
{
    bool more = true;

    for (*rows = 0; more; *rows += more) {
        if (o->tell && from->next == from->n)
            o->tell(o->arg, COPY_CHECK, from->kind->name, *rows);
        if (!compare_next(from, to, &more, e))
            return false;
    }
    return true;
}

static bool compare_kind(struct store *from, struct store *to, const struct kind *k, const struct copy_options *o,
                         struct copy_report *out, struct err *e)
{
    struct walk f, t;
    bool ok;

    walk_begin(&f, from, k, NO_BYTES);
    walk_begin(&t, to, k, NO_BYTES);
    out->counts[out->n].kind = k->name;
    ok = compare(&f, &t, o, &out->counts[out->n].rows, e);
    out->n += ok;
    walk_end(&f);
    walk_end(&t);
    return ok;
}

bool copy_check(struct store *from, struct store *to, const struct copy_options *o, struct copy_report *out,
                struct err *e)
{
    out->n = 0;
    for (const struct kind *const *k = all_kinds; *k; k++)
        if (*k != &copy_kind && !compare_kind(from, to, *k, o, out, e))
            return false;
    return compare_kind(from, to, &chunk_kind, o, out, e);
}
