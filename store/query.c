/* store/query.c - plans and cursors.
 *
 * No engine chooses an index: the query names it, and it is checked here that the conditions imply what a partial index
 * holds. So a query costs the same on both engines, and none becomes a scan when the data grows. Cursors come from
 * strangers: each byte is judged, a place has one text, and the mark keeps those of another list out. */
#include "store/query.h"
#include <assert.h>
#include <sodium.h>

enum { MARK = 4, IDENTITY = 8, B64 = sodium_base64_VARIANT_URLSAFE_NO_PADDING };

/* ---- order ---- */

static const struct cond *cond_is(const struct query *q, const char *field)
{
    for (size_t i = 0; i < q->n_conds; i++)
        if (q->conds[i].compare == IS && strcmp(q->conds[i].field, field) == 0)
            return &q->conds[i];
    return NULL;
}

static void order_of(const struct query *q, struct plan *p)
{
    const struct kind *k = q->kind;
    bool has_id = false;

    p->n_order = p->fixed = 0;
    for (size_t i = 0; p->index && i < INDEX_FIELDS && p->index->fields[i]; i++) {
        const struct field *f = field_for(k, p->index->fields[i], NULL);

        p->order[p->n_order++] = f;
        has_id = has_id || f == k->fields;
    }
    if (!has_id)
        p->order[p->n_order++] = k->fields;
    while (p->fixed < p->n_order && cond_is(q, p->order[p->fixed]->name))
        p->fixed++;
}

static bool value_listed(const struct index *x, const struct value *v)
{
    for (size_t i = 0; x->values[i]; i++)
        if (bytes_equal(v->bytes, bytes_of(x->values[i])))
            return true;
    return false;
}

static bool cond_implies(const struct index *x, const struct cond *c)
{
    if (c->compare == ONE_OF) {
        for (size_t i = 0; i < c->n_list; i++)
            if (x->values ? !value_listed(x, &c->list[i]) : value_is_null(&c->list[i]))
                return false;
        return c->n_list > 0;
    }
    if (x->values)
        return c->compare == IS && value_listed(x, &c->value);
    if (c->compare == IS_NOT)
        return value_is_null(&c->value) || (c->value.type == FIELD_INT && c->value.number == 0);
    /* An INT's "not zero" follows from a bound only on the right side of zero. */
    if (c->value.type == FIELD_INT)
        return (c->compare == IS && c->value.number) || (c->compare == ABOVE && c->value.number >= 0) ||
               (c->compare == AT_LEAST && c->value.number > 0);
    return c->compare != IS || !value_is_null(&c->value);
}

static bool when_is_implied(const struct query *q, const struct index *x)
{
    if (!x || !x->when)
        return true;
    for (size_t i = 0; i < q->n_conds; i++)
        if (strcmp(q->conds[i].field, x->when) == 0 && cond_implies(x, &q->conds[i]))
            return true;
    return false;
}

/* ---- cursors ---- */

/* FNV-1a over the names: a cursor of one list is no cursor of another. */
static uint32_t mark_of(const char *kind, const char *index)
{
    uint32_t h = 2166136261u;

    for (const char *s = kind; *s; s++)
        h = (h ^ (uint8_t)*s) * 16777619u;
    h = (h ^ '/') * 16777619u;
    for (const char *s = index; *s; s++)
        h = (h ^ (uint8_t)*s) * 16777619u;
    return h;
}

static void add_mark(struct buf *b, uint32_t mark)
{
    for (int i = MARK - 1; i >= 0; i--)
        buf_addc(b, (char)(mark >> (8 * i)));
}

static void add_number(struct buf *b, uint64_t n, int size)
{
    for (int i = size - 1; i >= 0; i--)
        buf_addc(b, (char)(n >> (8 * i)));
}

/* A byte "is there", then 16 bytes, 8 bytes, or two of length and the text. */
static void add_value(struct buf *b, const struct value *v)
{
    bool null = value_is_null(v);

    buf_addc(b, null ? 0 : 1);
    if (null)
        return;
    switch (v->type) {
    case FIELD_ID: buf_add(b, (struct bytes){ (const char *)v->id.b, sizeof v->id.b }); break;
    case FIELD_TEXT:
    case FIELD_BYTES:
    case FIELD_JSON:
        add_number(b, v->bytes.n, 2);
        buf_add(b, v->bytes);
        break;
    case FIELD_INT:
    case FIELD_BOOL:
    case FIELD_TIME: add_number(b, (uint64_t)v->number, 8); break;
    }
}

static bool take_bytes(struct bytes *in, size_t n, struct bytes *out)
{
    if (in->n < n)
        return false;
    *out = bytes_head(*in, n);
    *in = bytes_from(*in, n);
    return true;
}

static bool take_number(struct bytes *in, size_t size, uint64_t *n)
{
    struct bytes raw;

    if (!take_bytes(in, size, &raw))
        return false;
    *n = 0;
    for (size_t i = 0; i < size; i++)
        *n = *n << 8 | (uint8_t)raw.p[i];
    return true;
}

static bool take_text(struct bytes *in, struct value *v)
{
    uint64_t n;

    return take_number(in, 2, &n) && take_bytes(in, (size_t)n, &v->bytes) &&
           (v->type != FIELD_TEXT || (bytes_is_utf8(v->bytes) && bytes_find(v->bytes, 0) == v->bytes.n));
}

static bool take_value(struct bytes *in, bool may_be_null, struct value *v)
{
    uint64_t there, n = 0;
    struct bytes raw;

    if (!take_number(in, 1, &there) || there > 1 || (!there && !may_be_null))
        return false;
    if (!there)
        return true;
    switch (v->type) {
    case FIELD_ID:
        if (!take_bytes(in, sizeof v->id.b, &raw))
            return false;
        memcpy(v->id.b, raw.p, sizeof v->id.b);
        break;
    case FIELD_TEXT:
    case FIELD_BYTES:
    case FIELD_JSON: return take_text(in, v);
    case FIELD_INT:
    case FIELD_BOOL:
    case FIELD_TIME:
        if (!take_number(in, 8, &n))
            return false;
        v->number = (int64_t)n;
        break;
    }
    return !value_is_null(v); /* one text for one place */
}

static struct bytes encode(struct bytes raw, struct arena *a)
{
    size_t room = sodium_base64_encoded_len(raw.n, B64);
    char *text = arena_alloc(a, room);

    sodium_bin2base64(text, room, (const unsigned char *)raw.p, raw.n, B64);
    return bytes_of(text);
}

/* Into `out`, which has room for 3/4 of CURSOR_MAX. */
static bool decode(struct bytes text, char *out, struct bytes *raw)
{
    size_t n = 0;
    const char *end = NULL;

    if (!text.p || text.n > CURSOR_MAX)
        return false;
    if (sodium_base642bin((unsigned char *)out, CURSOR_MAX, text.p, text.n, NULL, &n, &end, B64) != 0 ||
        end != text.p + text.n)
        return false;
    *raw = (struct bytes){ out, n };
    return true;
}

static bool read_cursor(struct plan *p, struct bytes raw)
{
    const struct kind *k = p->query->kind;
    uint64_t mark;

    if (!take_number(&raw, MARK, &mark) || mark != mark_of(k->name, p->index ? p->index->name : "id"))
        return false;
    for (size_t i = 0; i < p->n_order; i++) {
        p->from[i] = (struct value){ .type = p->order[i]->type };
        if (!take_value(&raw, field_may_be_null(k, p->order[i]), &p->from[i]))
            return false;
    }
    return raw.n == 0;
}

struct bytes store_cursor(const struct query *q, const void *row, struct arena *a)
{
    struct plan p = { .query = q, .index = q->index ? kind_index(q->kind, q->index) : NULL };
    struct buf b;
    struct bytes out;

    order_of(q, &p);
    buf_init(&b, CURSOR_MAX / 4 * 3);
    add_mark(&b, mark_of(q->kind->name, p.index ? p.index->name : "id"));
    for (size_t i = 0; i < p.n_order; i++) {
        struct value v = value_of(p.order[i], row);

        add_value(&b, &v);
    }
    assert(!b.overflowed);
    out = encode(buf_bytes(&b), a);
    buf_clear(&b);
    return out;
}

/* What it says, into p->from; `room` is as for decode. */
static bool cursor_read(const struct query *q, struct bytes cursor, char *room, struct plan *p)
{
    struct bytes raw;

    *p = (struct plan){ .query = q, .index = q->index ? kind_index(q->kind, q->index) : NULL };
    order_of(q, p);
    return decode(cursor, room, &raw) && read_cursor(p, raw);
}

bool store_cursor_check(const struct query *q, struct bytes cursor)
{
    char *room = malloc(CURSOR_MAX);
    struct plan p;
    bool ok;

    if (!room)
        die("out of memory: a cursor");
    ok = cursor_read(q, cursor, room, &p);
    free(room);
    return ok;
}

bool store_cursor_read(const struct query *q, struct bytes cursor, struct arena *a, void *row)
{
    struct plan p;

    if (!cursor_read(q, cursor, arena_alloc(a, CURSOR_MAX), &p))
        return false;
    for (size_t i = 0; i < p.n_order; i++)
        value_put(p.order[i], row, &p.from[i]);
    return true;
}

struct bytes watch_cursor(const struct kind *k, int64_t identity, struct bytes place, struct arena *a)
{
    struct buf b;
    struct bytes out;

    buf_init(&b, WATCH_PLACE_MAX + MARK + IDENTITY);
    add_mark(&b, mark_of(k->name, "watch"));
    add_number(&b, (uint64_t)identity, IDENTITY);
    buf_add(&b, place);
    assert(!b.overflowed);
    out = encode(buf_bytes(&b), a);
    buf_clear(&b);
    return out;
}

bool watch_cursor_read(const struct kind *k, int64_t identity, struct bytes cursor, struct arena *a,
                       struct bytes *place)
{
    uint64_t mark, of;

    *place = BYTES("");
    if (!cursor.p)
        return true;
    return cursor.n <= WATCH_CURSOR_MAX && decode(cursor, arena_alloc(a, CURSOR_MAX), place) &&
           take_number(place, MARK, &mark) && mark == mark_of(k->name, "watch") && take_number(place, IDENTITY, &of) &&
           of == (uint64_t)identity;
}

/* ---- plans ---- */

static bool read_after(struct plan *p, struct arena *a, struct err *e)
{
    struct bytes after = p->query->after, raw;
    char *room;

    p->behind = after.p != NULL;
    if (!p->behind)
        return true;
    if (after.n <= CURSOR_MAX) {
        room = arena_alloc(a, CURSOR_MAX);
        if (decode(after, room, &raw) && read_cursor(p, raw))
            return true;
    }
    return err_set(e, ERR_INVALID, "not a cursor of this list");
}

bool plan_make(const struct query *q, struct arena *a, struct plan *p, struct err *e)
{
    const struct kind *k = q->kind;

    *p = (struct plan){ .query = q };
    assert(q->n_conds <= QUERY_CONDS);
    if (q->index && strcmp(q->index, "id") != 0) {
        p->index = kind_index(k, q->index);
        if (!p->index)
            return err_set(e, ERR_INTERNAL, "kind %s has no index %s", k->name, q->index);
        if (p->index->feed)
            return err_set(e, ERR_INTERNAL, "%s.%s is in order of commit", k->name, q->index);
    }
    for (size_t i = 0; i < q->n_conds; i++) {
        cond_field(k, &q->conds[i]);
        if (q->conds[i].compare == ONE_OF && q->conds[i].n_list > LIST_MAX)
            return err_set(e, ERR_INTERNAL, "%s.%s: a list of %zu", k->name, q->conds[i].field, q->conds[i].n_list);
    }
    if (!when_is_implied(q, p->index))
        return err_set(e, ERR_INTERNAL, "%s: no condition implies that %s holds the rows", k->name, p->index->name);
    order_of(q, p);
    for (size_t i = p->fixed; i < p->n_order; i++)
        if (!field_has_order(p->order[i]))
            return err_set(e, ERR_INTERNAL, "%s.%s: bytes have no order", k->name, p->order[i]->name);
    return read_after(p, a, e);
}

/* Is `mine` made needless by `theirs`, a bound of the same field in the same direction? */
static bool looser(const struct cond *mine, const struct cond *theirs)
{
    bool up = mine->compare == ABOVE || mine->compare == AT_LEAST;
    bool down = mine->compare == BELOW || mine->compare == AT_MOST;
    int order;

    if (!(up && theirs->compare == ABOVE) && !(down && theirs->compare == BELOW))
        return false;
    order = value_compare(&mine->value, &theirs->value);
    return up ? order <= 0 : order >= 0;
}

static void pass_add(struct pass *out, const struct field *f, enum compare compare, const struct value *v)
{
    struct cond c = { .field = f->name, .compare = compare, .value = *v };

    /* Of two bounds SQLite seeks by one, maybe by the looser: it gets only the tighter where that is this one. */
    for (size_t i = 0; i < out->n; i++)
        if (out->fields[i] == f && looser(&out->conds[i], &c)) {
            out->conds[i] = c;
            return;
        }
    out->conds[out->n] = c;
    out->fields[out->n++] = f;
}

static void pass_conds(const struct plan *p, struct pass *out)
{
    out->empty = false;
    out->n = p->query->n_conds;
    for (size_t i = 0; i < out->n; i++) {
        out->conds[i] = p->query->conds[i];
        out->fields[i] = kind_field(p->query->kind, p->query->conds[i].field);
    }
}

size_t plan_passes(const struct plan *p)
{
    return p->behind ? 2 * (p->n_order - p->fixed) : 1;
}

/* Level n_order - 1 (the id) comes first; of each level the even pass holds values, the odd one nulls. */
bool plan_pass(const struct plan *p, size_t i, struct pass *out)
{
    size_t level = p->n_order - 1 - i / 2;
    const struct field *f;
    struct value null = { 0 };
    bool from_null;

    if (i >= plan_passes(p))
        return false;
    f = p->order[level];
    null.type = f->type;
    from_null = value_is_null(&p->from[level]);
    pass_conds(p, out);
    out->order_from = p->fixed;
    if (!p->behind)
        return true;
    out->order_from = level;
    for (size_t j = p->fixed; j < level; j++)
        pass_add(out, p->order[j], IS, &p->from[j]);
    if (i % 2 == 0 && p->query->descending && !from_null)
        pass_add(out, f, BELOW, &p->from[level]);
    else if (i % 2 == 0 && !p->query->descending)
        pass_add(out, f, from_null ? IS_NOT : ABOVE, &p->from[level]);
    else if (i % 2 == 1 && p->query->descending && !from_null && field_may_be_null(p->query->kind, f))
        pass_add(out, f, IS, &null);
    else
        out->empty = true;
    return true;
}

/* ---- claims ---- */

static size_t listed_cond(const struct query *q)
{
    size_t at = 0;

    while (at < q->n_conds && q->conds[at].compare != ONE_OF)
        at++;
    assert(at < q->n_conds);
    return at;
}

size_t claim_parts(const struct claim *c)
{
    return c->each ? c->query.conds[listed_cond(&c->query)].n_list : 1;
}

bool claim_part(const struct claim *c, size_t i, size_t left, struct query *q)
{
    struct cond *listed;

    *q = c->query;
    q->limit = left;
    if (c->each) {
        listed = &q->conds[listed_cond(q)];
        *listed = COND(listed->field, IS, listed->list[i]);
        q->limit = c->each[i] < left ? c->each[i] : left;
    }
    return q->limit > 0;
}
