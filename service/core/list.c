/* service/core/list.c - the lists of the API: a page of rows, bounded in what is looked at and in what is answered.
 *
 * What an index finds is read at once. Where filters pick from it, nobody knows how far the next row that fits is: so
 * the index is read in chunks of the few fields that the filters need, each chunk a job of its own, so that others come
 * between; the memory of a chunk is given back before the next. After api.list_look rows the answer says how far it
 * came. The rows that fit are loaded by their ids.
 * What rows show (shown.h) is what filters judge, what is counted, and what cursors name. */
#include "service/core/list.h"
#include "base/params.h"
#include "store/value.h"

#define LIST_STANDARD 20
#define LIST_MOST     100

/* ---- pages ---- */

static void turn(char *rows, size_t n, size_t size, struct arena *a)
{
    char *spare = arena_alloc(a, size);

    for (size_t i = 0; i < n / 2; i++) {
        char *left = rows + i * size, *right = rows + (n - 1 - i) * size;

        memcpy(spare, left, size);
        memcpy(left, right, size);
        memcpy(right, spare, size);
    }
}

bool list_page(struct call *c, struct query *q, const struct page *page)
{
    int limit = page->limit ? page->limit : LIST_STANDARD;

    if (limit < 1 || limit > LIST_MOST)
        call_fault(c, "/limit", "out_of_range", "limit is from 1 to %d", LIST_MOST);
    if (page->after.p && page->before.p)
        call_fault(c, "/before", "conflicting", "Only one of after and before can be given");
    q->descending = !page->before.p;
    q->after = page->before.p ? page->before : page->after;
    q->limit = (size_t)limit + 1; /* one more tells whether there are more */
    if (q->after.p && !store_cursor_check(q, q->after))
        call_fault(c, page->before.p ? "/before" : "/after", "invalid_cursor", "Not a cursor of this list");
    return call_check(c);
}

void list_turn(struct call *c, const struct page *page, struct list_end *end, void *rows, size_t n, size_t size,
               struct page_out *out)
{
    bool up = page->before.p;

    *out = (struct page_out){ 0 };
    if (up)
        turn(rows, n, size, c->arena);
    out->searched_to = end->searched_to;
    if (up) {
        out->has_more = n > 0 || end->more;
        out->next = n ? end->first : end->more ? end->last : NO_BYTES;
        out->previous = end->more ? end->last : NO_BYTES;
        return;
    }
    out->has_more = end->more;
    out->next = end->more ? end->last : NO_BYTES;
    out->previous = page->after.p && n ? end->first : NO_BYTES;
}

/* ---- looking ---- */

static bool is_field(const struct query *q, size_t i, const char *name)
{
    return strcmp(q->conds[i].field, name) == 0;
}

/* Does the index look this condition up? The leading fields that are held fast, bounds of the next one, and what says
 * that the index holds the rows. */
static bool looked_up(const struct query *q, const struct index *x, size_t cond)
{
    bool fast = true;

    if (x && x->when && is_field(q, cond, x->when))
        return true;
    for (size_t i = 0; x && fast && i < INDEX_FIELDS && x->fields[i]; i++) {
        if (is_field(q, cond, x->fields[i]))
            return q->conds[cond].compare != ONE_OF;
        fast = false;
        for (size_t k = 0; k < q->n_conds; k++)
            fast = fast || (is_field(q, k, x->fields[i]) && q->conds[k].compare == IS);
    }
    return false;
}

/* Moves the filters out of q: their number. */
static size_t take_filters(struct query *q, struct cond *filters)
{
    const struct index *x = q->index ? kind_index(q->kind, q->index) : NULL;
    struct query whole = *q;
    size_t n = 0;

    q->n_conds = 0;
    for (size_t i = 0; i < whole.n_conds; i++)
        if (looked_up(&whole, x, i))
            q->conds[q->n_conds++] = whole.conds[i];
        else
            filters[n++] = whole.conds[i];
    return n;
}

static void add_name(const char **names, const char *name)
{
    size_t n = 0;

    while (names[n] && strcmp(names[n], name) != 0)
        n++;
    names[n] = name;
}

/* What filters, cursors and what is shown need. */
static void narrow(struct look *l, const struct cond *filters, size_t n)
{
    const struct index *x = l->query.index ? kind_index(l->query.kind, l->query.index) : NULL;

    add_name(l->names, "id");
    for (size_t i = 0; x && i < INDEX_FIELDS && x->fields[i]; i++)
        add_name(l->names, x->fields[i]);
    for (size_t i = 0; i < n; i++)
        add_name(l->names, filters[i].field);
    if (l->shown)
        add_name(l->names, l->shown->field);
    l->query.only = l->names;
}

/* Notes those of a chunk that fit, until one more than the page has is found: that one is not looked at. */
static size_t note_fits(struct call *c, struct look *l, const struct found *f, const struct id *fits)
{
    for (size_t i = 0; i < f->n; i++) {
        if (id_is_none(fits[i]) || (l->n && id_equal(fits[i], l->ids[l->n - 1])))
            continue;
        if (l->n == l->limit) {
            l->full = true;
            return i;
        }
        l->ids[l->n] = fits[i];
        l->of[l->n] = f->of ? f->of[i] : fits[i];
        buf_add(&l->places, store_cursor(&l->query, f->rows + i * l->query.kind->size, c->arena));
        l->ends[l->n++] = l->places.n;
    }
    return f->n;
}

/* When a row was made: its id says so, but one that is made of what the row is of. */
static int64_t made_at(const struct query *q, const void *row)
{
    const struct index *x = q->index ? kind_index(q->kind, q->index) : NULL;
    bool tells = false;

    for (size_t i = 0; x && i < INDEX_FIELDS && x->fields[i]; i++)
        tells = tells || strcmp(x->fields[i], "created_at") == 0;
    return tells ? value_of(kind_field(q->kind, "created_at"), row).number
                 : id_time(value_of(&q->kind->fields[0], row).id);
}

/* Looks at one chunk, and forgets it. */
static bool look_chunk(struct call *c, struct look *l, size_t most)
{
    struct arena_mark mark = arena_mark(c->arena);
    struct found f;
    struct id *fits;
    size_t n;

    l->query.limit = l->looked ? LOOK_CHUNK : l->limit + 1;
    if (l->query.limit > most - l->looked)
        l->query.limit = most - l->looked;
    l->query.after = l->place.n ? buf_bytes(&l->place) : l->after;
    if (!shown_find(c, &l->query, l->shown, 0, &f))
        return false;
    l->end = !f.more;
    fits = arena_array(c->arena, f.n, sizeof *fits);
    if (f.n && !l->take(c, l, f.rows, f.n, fits))
        return false;
    n = note_fits(c, l, &f, fits);
    l->looked += n;
    if (n) {
        const char *last = f.rows + (n - 1) * l->query.kind->size;

        l->last_at = made_at(&l->query, last);
        buf_reset(&l->place);
        buf_add(&l->place, store_cursor(&l->query, last, c->arena));
    }
    arena_rewind(c->arena, mark);
    return true;
}

bool look_run(struct call *c, struct look *l, struct list_end *end)
{
    size_t most = (size_t)PARAM_INT(api, list_look);
    bool ok = true;

    l->after = l->query.after;
    buf_init(&l->place, LOOK_PLACE);
    buf_init(&l->places, (size_t)LOOK_MOST * LOOK_PLACE);
    while (ok && !l->end && !l->full && l->looked < most)
        ok = look_chunk(c, l, most);
    end->more = l->full || !l->end;
    if (end->more && l->n < l->limit)
        end->searched_to = l->last_at;
    end->last = l->full ? look_place(c, l, l->n - 1) : arena_copy(c->arena, buf_bytes(&l->place));
    if (l->n)
        end->first = look_place(c, l, 0);
    return ok;
}

void look_end(struct look *l)
{
    buf_clear(&l->place);
    buf_clear(&l->places);
}

struct bytes look_place(struct call *c, const struct look *l, size_t i)
{
    size_t from = i ? l->ends[i - 1] : 0;

    return arena_copy(c->arena, bytes_head(bytes_from(buf_bytes(&l->places), from), l->ends[i] - from));
}

static const char *row_of(const struct kind *k, const char *rows, size_t n, struct id id)
{
    for (size_t i = 0; i < n; i++)
        if (id_equal(shown_id(k, rows, i), id))
            return rows + i * k->size;
    return NULL;
}

/* The rows of what fits, each once. */
static bool load_rows(struct call *c, const struct look *l, const struct kind *k, struct found *f)
{
    struct value *list = arena_array(c->arena, l->n, sizeof *list);
    struct query q = { .kind = k, .n_conds = 1 };
    void *rows;

    for (size_t i = 0; i < l->n; i++)
        if (!i || !id_equal(l->of[i], l->of[i - 1]))
            list[q.limit++] = V_ID(l->of[i]);
    q.descending = q.limit < 2 || id_compare(list[0].id, list[1].id) > 0;
    q.conds[0] = COND_ONE_OF("id", list, q.limit);
    if (!store_find_some(c->store, &q, (size_t)PARAM_INT(api, page_bytes), c->arena, &rows, &f->n, &f->more, &c->err))
        return false;
    f->rows = rows;
    return true;
}

/* Whole rows of what fits, in its order, those that are gone left out; *cut: the page was full before all. */
static bool list_load(struct call *c, const struct look *l, const struct kind *k, void **rows, size_t *loaded,
                      bool *cut)
{
    size_t most = (size_t)PARAM_INT(api, page_bytes), bytes = 0;
    char *out = arena_array(c->arena, l->n + 1, k->size);
    char *parts = l->shown ? arena_array(c->arena, SHOWN_MOST, k->size) : NULL;
    struct found f = { 0 };

    *rows = out;
    *loaded = 0;
    if (l->n && !load_rows(c, l, k, &f))
        return false;
    *cut = f.more;
    for (size_t at = 0; at < l->n; at++) {
        const char *row = row_of(k, f.rows, f.n, l->of[at]);

        if (!row && *cut && *loaded)
            break; /* the next page begins here */
        if (row && l->shown)
            row = row_of(k, parts, l->shown->show(row, parts), l->ids[at]);
        if (!row)
            continue;
        memcpy(out + (*loaded)++ * k->size, row, k->size);
        bytes += l->shown ? shown_bytes(k, row) : 0;
        if (bytes >= most) {
            *cut = true;
            break;
        }
    }
    return true;
}

/* Loads what fits, as far as the page goes. */
bool look_load(struct call *c, const struct look *l, const struct kind *k, void **rows, size_t *n, struct list_end *end)
{
    struct id last;
    size_t at;
    bool cut;

    if (!list_load(c, l, k, rows, n, &cut))
        return false;
    if (!cut || !*n)
        return true;
    last = shown_id(k, *rows, *n - 1);
    for (at = 0; !id_equal(l->ids[at], last);)
        at++;
    end->more = end->more || at + 1 < l->n;
    end->last = look_place(c, l, at);
    end->searched_to = 0;
    return true;
}

/* ---- a list of rows of one kind ---- */

struct picked {
    struct look look;
    struct cond filters[QUERY_CONDS];
    const struct field *fields[QUERY_CONDS];
    size_t n_filters;
};

static bool pick(struct call *c, struct look *l, const void *rows, size_t n, struct id *fits)
{
    const struct picked *p = (const struct picked *)l;
    size_t size = l->query.kind->size;

    (void)c;
    for (size_t i = 0; i < n; i++) {
        const char *row = (const char *)rows + i * size;
        bool holds = true;

        for (size_t k = 0; holds && k < p->n_filters; k++)
            holds = cond_holds(p->fields[k], &p->filters[k], row);
        fits[i] = holds ? value_of(&l->query.kind->fields[0], row).id : NO_ID;
    }
    return true;
}

static bool filtered(struct call *c, const struct query *q, struct picked *p, void **rows, size_t *n,
                     struct list_end *end)
{
    bool ok;

    p->look.query = *q;
    p->look.limit = q->limit - 1;
    p->look.take = pick;
    for (size_t i = 0; i < p->n_filters; i++)
        p->fields[i] = kind_field(q->kind, p->filters[i].field);
    narrow(&p->look, p->filters, p->n_filters);
    ok = look_run(c, &p->look, end) && look_load(c, &p->look, q->kind, rows, n, end);
    look_end(&p->look);
    return ok;
}

/* How many of what is shown fill the page: what lies in few rows may be long. */
static size_t fill(const struct query *q, const struct found *f)
{
    size_t most = (size_t)PARAM_INT(api, page_bytes), n = 0;

    for (size_t bytes = 0; n < f->n && n < q->limit - 1 && bytes < most; n++)
        bytes += shown_bytes(q->kind, f->rows + n * q->kind->size);
    return n;
}

static bool direct(struct call *c, const struct query *q, const struct shown *as, void **rows, size_t *n,
                   struct list_end *end)
{
    struct found f;

    if (!shown_find(c, q, as, (size_t)PARAM_INT(api, page_bytes), &f))
        return false;
    *rows = f.rows;
    *n = as ? fill(q, &f) : f.n - (f.n == q->limit);
    end->more = f.more || *n < f.n;
    if (!*n)
        return true;
    end->first = store_cursor(q, f.rows, c->arena);
    end->last = store_cursor(q, f.rows + (*n - 1) * q->kind->size, c->arena);
    return true;
}

bool call_list(struct call *c, struct query *q, const struct page *page, void **rows, size_t *n, struct page_out *out)
{
    return call_list_shown(c, q, NULL, page, rows, n, out);
}

bool call_list_shown(struct call *c, struct query *q, const struct shown *as, const struct page *page, void **rows,
                     size_t *n, struct page_out *out)
{
    struct picked *p = arena_alloc(c->arena, sizeof *p);
    struct list_end end = { 0 };

    *out = (struct page_out){ 0 };
    *n = 0;
    if (!list_page(c, q, page))
        return false;
    p->look.shown = as;
    p->n_filters = take_filters(q, p->filters);
    if (p->n_filters ? !filtered(c, q, p, rows, n, &end) : !direct(c, q, as, rows, n, &end))
        return false;
    list_turn(c, page, &end, *rows, *n, q->kind->size, out);
    return true;
}
