/* mail/auth/signature_fields.c - the fields of a header by their names.
 *
 * h= may name a field hundreds of times, and a header may hold thousands that a stranger chose: they are sorted by name
 * once (no hash, whose collisions he could choose too), and a name is looked up by halves. Each group has a place of
 * its own, the field that a walk takes next; a walk begins anew by its number, and nothing is cleaned. */
#include "mail/auth/signature_private.h"
#include "mail/chars.h"
#include <stdlib.h>

struct field_name {
    struct bytes name;
    size_t field;
    /* of the first of a group: */
    size_t count, left; /* `left`: of walk `turn` */
    unsigned turn;
};

static int compare_names(struct bytes a, struct bytes b)
{
    for (size_t i = 0; i < a.n && i < b.n; i++) {
        int d = (unsigned char)char_lower(a.p[i]) - (unsigned char)char_lower(b.p[i]);

        if (d)
            return d;
    }
    return a.n < b.n ? -1 : a.n > b.n;
}

static int compare(const void *one, const void *two)
{
    const struct field_name *a = one, *b = two;
    int d = compare_names(a->name, b->name);

    return d ? d : a->field < b->field ? -1 : 1;
}

void fields_read(struct fields *f, struct bytes header, struct arena *a)
{
    struct bytes rest = header;
    struct header h;
    size_t n = 0;

    *f = (struct fields){ .turn = 0 };
    while (header_next(&rest, &h))
        n++;
    f->list = arena_array(a, n + 1, sizeof *f->list);
    f->names = arena_array(a, n + 1, sizeof *f->names);
    for (rest = header; f->n < n && header_next(&rest, &f->list[f->n]); f->n++)
        f->names[f->n] = (struct field_name){ .name = f->list[f->n].name, .field = f->n };
    qsort(f->names, f->n, sizeof *f->names, compare);
    for (size_t i = 0, first = 0; i < f->n; i++) {
        if (compare_names(f->names[i].name, f->names[first].name) != 0)
            first = i;
        f->names[first].count++;
    }
}

void fields_begin(struct fields *f)
{
    f->turn++;
}

/* The first of its group, or NULL. */
static struct field_name *find(const struct fields *f, struct bytes name)
{
    size_t low = 0, high = f->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (compare_names(f->names[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < f->n && compare_names(f->names[low].name, name) == 0 ? &f->names[low] : NULL;
}

const struct header *fields_next(struct fields *f, struct bytes name)
{
    struct field_name *first = find(f, name);

    if (first && first->turn != f->turn) {
        first->turn = f->turn;
        first->left = first->count;
    }
    return first && first->left ? &f->list[first[--first->left].field] : NULL;
}

size_t fields_count(const struct fields *f, struct bytes name)
{
    const struct field_name *first = find(f, name);

    return first ? first->count : 0;
}
