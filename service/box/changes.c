/* service/box/changes.c - the changes of one mailbox in pages, exact beside whoever changes it meanwhile.
 *
 * The batches of a user commit in the order of their modseq (modseq.h): whoever reads one number has missed nothing
 * below it. So the user's number is read first, and a page ends there or before, at `end`. Then entries: what came, by
 * the uids of the mailbox, which rise with the numbers of arrival; what changed, by an index in that order. What left
 * is read behind them and is all there, unless the sweep has just taken it: then gone_floor, which is read last, says
 * so. An entry that changes meanwhile has a number behind the page, and comes with another one.
 *
 * Changes of the user's other mailboxes stand in between, so a page is bounded in what it looks at, too. A batch gives
 * all that it changes one number: pages end between numbers. */
#include "service/box/changes.h"
#include "base/params.h"
#include "service/box/entry_private.h"
#include "service/identity/access.h"
#include "store/value.h"
#include <assert.h>

#define LIMIT_STANDARD 20
#define LIMIT_MOST     100
/* Rows looked at, and rows that one batch may have changed. */
#define LOOK       1000
#define BATCH_MOST 20000
/* Entries loaded in one trip. */
#define LOAD 32

/* Rows of one kind behind a number, in its order, with none of a batch missing. */
struct span {
    const struct kind *kind;
    const char *index, *number; /* the field that orders it */
    const char *const *only;
    struct cond conds[3];
    size_t n_conds;
    void *rows;
    size_t n;
    int64_t end; /* all up to it are here */
};

struct pick {
    struct id id;
    int64_t modseq;
    struct entry_row *row; /* NULL: it has left meanwhile */
};

struct page_of {
    struct call *c;
    struct mailbox_row box;
    int64_t since, end;
    size_t limit;
    bool more;
    struct pick *picks;
    size_t n;
};

/* ---- reading ---- */

static int64_t number_at(const struct span *s, size_t i)
{
    return value_of(kind_field(s->kind, s->number), (const char *)s->rows + i * s->kind->size).number;
}

static void drop_last(struct span *s, int64_t number)
{
    while (s->n && number_at(s, s->n - 1) == number)
        s->n--;
}

/* There are more rows: it ends before the last number, or is the first number's alone. */
static bool end_between(struct call *c, struct query *q, struct span *s)
{
    int64_t first = number_at(s, 0), last = number_at(s, s->n - 1);

    if (first != last) {
        drop_last(s, last);
        s->end = last - 1;
        return true;
    }
    s->end = last;
    q->limit = BATCH_MOST;
    if (!store_find(c->store, q, c->arena, &s->rows, &s->n, &c->err))
        return false;
    while (s->n && number_at(s, s->n - 1) != first)
        s->n--;
    return true;
}

static bool read_span(struct page_of *p, struct span *s)
{
    struct query q = { .kind = s->kind, .index = s->index, .n_conds = s->n_conds, .limit = LOOK, .only = s->only };
    struct call *c = p->c;
    bool cut;

    memcpy(q.conds, s->conds, sizeof s->conds);
    s->end = INT64_MAX;
    return store_find_some(c->store, &q, (size_t)PARAM_INT(api, page_bytes), c->arena, &s->rows, &s->n, &cut,
                           &c->err) &&
           ((!cut && s->n < LOOK) || end_between(c, &q, s));
}

/* The user's number, and the floor below which it is not known what left. */
static bool read_user(struct page_of *p, int64_t *modseq, int64_t *floor)
{
    static const char *const only[] = { "id", "modseq", "gone_floor", NULL };
    struct query q = { .kind = &user_kind, .n_conds = 1, .limit = 1, .only = only };
    struct call *c = p->c;
    const struct user_row *rows;
    void *found;
    size_t n;

    q.conds[0] = COND("id", IS, V_ID(p->box.user_id));
    if (!store_find(c->store, &q, c->arena, &found, &n, &c->err))
        return false;
    if (!n)
        return err_set(&c->err, ERR_MISSING, "No such mailbox");
    rows = found;
    *modseq = rows->modseq;
    *floor = rows->gone_floor;
    return true;
}

static void end_at(struct page_of *p, int64_t end)
{
    if (end >= p->end)
        return;
    p->end = end;
    p->more = true;
}

/* ---- entries ---- */

static bool is_picked(const struct page_of *p, struct id id)
{
    for (size_t i = 0; i < p->n; i++)
        if (id_equal(p->picks[i].id, id))
            return true;
    return false;
}

/* One of the mailbox, in the order of numbers; false when the page is full. */
static bool pick(struct page_of *p, const struct entry_row *row, int64_t number)
{
    if (!id_equal(row->mailbox_id, p->box.id) || is_picked(p, row->id))
        return true;
    if (p->n >= p->limit && number != p->picks[p->n - 1].modseq) {
        end_at(p, number - 1);
        return false;
    }
    p->picks[p->n++] = (struct pick){ .id = row->id, .modseq = number };
    return true;
}

/* What came and what changed, by number, as far as both are known: an entry by its first. */
static void merge(struct page_of *p, const struct span *came, const struct span *changed)
{
    const struct entry_row *a = came->rows, *b = changed->rows;
    bool more = true;

    p->picks = arena_array(p->c->arena, came->n + changed->n + 1, sizeof *p->picks);
    for (size_t i = 0, k = 0; more && (i < came->n || k < changed->n);) {
        bool first = k == changed->n || (i < came->n && a[i].arrived_modseq <= b[k].changed_modseq);
        const struct entry_row *row = first ? &a[i++] : &b[k++];
        int64_t number = first ? row->arrived_modseq : row->changed_modseq;

        more = number <= p->end && pick(p, row, number);
    }
}

static bool load_some(struct page_of *p, size_t from, size_t n)
{
    struct entry_row *rows = arena_array(p->c->arena, n, sizeof *rows);
    struct id ids[LOAD];

    for (size_t i = 0; i < n; i++)
        ids[i] = p->picks[from + i].id;
    if (!store_get_many(p->c->store, &entry_kind, ids, n, p->c->arena, rows, &p->c->err))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!id_is_none(rows[i].id) && id_equal(rows[i].mailbox_id, p->box.id))
            p->picks[from + i].row = &rows[i];
    return true;
}

/* As far as a page goes in bytes. */
static bool load(struct page_of *p)
{
    size_t most = (size_t)PARAM_INT(api, page_bytes), began = arena_used(p->c->arena), at = 0;

    while (at < p->n) {
        size_t n = p->n - at < LOAD ? p->n - at : LOAD;

        if (at && arena_used(p->c->arena) - began >= most && p->picks[at].modseq != p->picks[at - 1].modseq) {
            end_at(p, p->picks[at].modseq - 1);
            p->n = at;
            return true;
        }
        if (!load_some(p, at, n))
            return false;
        at += n;
    }
    return true;
}

static const char *const of_arrival[] = { "id", "mailbox_id", "uid", "arrived_modseq", NULL };

/* The first entry from that uid on, or the last one of all (uid 0); *there is false when there is none. */
static bool look_at(struct page_of *p, int64_t uid, struct entry_row *out, bool *there)
{
    struct query q = { .kind = &entry_kind, .index = "uid", .n_conds = 2, .limit = 1, .only = of_arrival };
    void *rows;
    size_t n;

    q.conds[0] = COND("mailbox_id", IS, V_ID(p->box.id));
    q.conds[1] = COND("uid", AT_LEAST, V_INT(uid));
    q.descending = uid == 0;
    if (!store_find(p->c->store, &q, p->c->arena, &rows, &n, &p->c->err))
        return false;
    *there = n > 0;
    if (n)
        *out = *(const struct entry_row *)rows;
    return true;
}

/* From which uid on all came behind the number: a search by halves, as both rise together. */
static bool first_behind(struct page_of *p, int64_t *uid)
{
    struct entry_row row = { .uid = 0 };
    int64_t low = 1, high;
    bool there;

    if (!look_at(p, 0, &row, &there))
        return false;
    high = row.uid + 1;
    if (!there || row.arrived_modseq <= p->since)
        low = high; /* none */
    while (low < high) {
        int64_t middle = low + (high - low) / 2;

        if (!look_at(p, middle, &row, &there))
            return false;
        if (!there || row.arrived_modseq > p->since)
            high = middle;
        else
            low = row.uid + 1;
    }
    *uid = low;
    return true;
}

static bool read_entries(struct page_of *p)
{
    static const char *const of_change[] = { "id", "user_id", "mailbox_id", "changed_modseq", NULL };
    struct span came = { .kind = &entry_kind, .index = "uid", .number = "arrived_modseq", .only = of_arrival };
    struct span changed = { .kind = &entry_kind, .index = "changed", .number = "changed_modseq", .only = of_change };
    int64_t uid;

    if (!first_behind(p, &uid))
        return false;
    came.conds[0] = COND("mailbox_id", IS, V_ID(p->box.id));
    came.conds[1] = COND("uid", AT_LEAST, V_INT(uid));
    came.n_conds = 2;
    changed.conds[0] = COND("user_id", IS, V_ID(p->box.user_id));
    changed.conds[1] = COND("changed_modseq", ABOVE, V_INT(p->since));
    changed.conds[2] = COND("changed_at", IS_NOT, V_TIME(0));
    changed.n_conds = 3;
    if (!read_span(p, &came) || !read_span(p, &changed))
        return false;
    end_at(p, came.end);
    end_at(p, changed.end);
    merge(p, &came, &changed);
    return load(p);
}

/* ---- what left ---- */

static int by_id(const void *a, const void *b)
{
    return id_compare(*(const struct id *)a, *(const struct id *)b);
}

/* Ids of one row behind one another. */
static size_t take_ids(const struct change_row *row, struct id *ids)
{
    if (row->entry_ids.n)
        memcpy(ids, row->entry_ids.p, row->entry_ids.n);
    return row->entry_ids.n / sizeof *ids;
}

/* What left and is not there again, each once. */
static size_t distinct(struct id *ids, size_t n, const struct id *there, size_t n_there)
{
    size_t out = 0;

    qsort(ids, n, sizeof *ids, by_id);
    for (size_t i = 0; i < n; i++)
        if ((!out || !id_equal(ids[i], ids[out - 1])) && !bsearch(&ids[i], there, n_there, sizeof *ids, by_id))
            ids[out++] = ids[i];
    return out;
}

static size_t those_there(const struct page_of *p, struct id *ids)
{
    size_t n = 0;

    for (size_t i = 0; i < p->n; i++)
        if (p->picks[i].row && p->picks[i].modseq <= p->end)
            ids[n++] = p->picks[i].id;
    qsort(ids, n, sizeof *ids, by_id);
    return n;
}

static bool of_page(const struct page_of *p, const struct change_row *row)
{
    return row->modseq <= p->end && id_equal(row->mailbox_id, p->box.id);
}

static bool read_vanished(struct page_of *p, struct mailbox_changes_out *out)
{
    static const char *const only[] = { "id", "user_id", "mailbox_id", "modseq", "entry_ids", NULL };
    struct span s = { .kind = &change_kind, .index = "user", .number = "modseq", .only = only };
    struct arena *a = p->c->arena;
    const struct change_row *rows;
    struct id *ids, *there;
    size_t n = 0, most = 0;

    s.conds[0] = COND("user_id", IS, V_ID(p->box.user_id));
    s.conds[1] = COND("modseq", ABOVE, V_INT(p->since));
    s.n_conds = 2;
    if (!read_span(p, &s))
        return false;
    end_at(p, s.end);
    rows = s.rows;
    for (size_t i = 0; i < s.n; i++)
        most += of_page(p, &rows[i]) ? rows[i].entry_ids.n / sizeof *ids : 0;
    ids = arena_array(a, most + 1, sizeof *ids);
    there = arena_array(a, p->n + 1, sizeof *there);
    for (size_t i = 0; i < s.n; i++)
        n += of_page(p, &rows[i]) ? take_ids(&rows[i], ids + n) : 0;
    out->n_vanished = distinct(ids, n, there, those_there(p, there));
    out->vanished = arena_array(a, out->n_vanished + 1, sizeof *out->vanished);
    for (size_t i = 0; i < out->n_vanished; i++)
        out->vanished[i] = id_text(a, entry_kind.prefix, ids[i]);
    return true;
}

/* ---- the page ---- */

static bool too_old(struct page_of *p)
{
    return err_set(&p->c->err, ERR_STATE_TOO_OLD, "What left since %lld is no longer known: list the mailbox anew",
                   (long long)p->since);
}

static bool show(struct page_of *p, bool created, struct entry_view **views, size_t *n)
{
    struct entry_row *rows = arena_array(p->c->arena, p->n + 1, sizeof *rows);

    *n = 0;
    for (size_t i = 0; i < p->n; i++) {
        const struct entry_row *row = p->picks[i].row;

        if (row && p->picks[i].modseq <= p->end && (row->arrived_modseq > p->since) == created)
            rows[(*n)++] = *row;
    }
    *views = arena_array(p->c->arena, *n + 1, sizeof **views);
    return entry_show(p->c, p->box.user_id, rows, *n, *views);
}

/* The floor is the user's. A mailbox that rests may stand below it, and nothing has left it since its own number: who
 * asks from there on has missed nothing. */
static bool read_page(struct page_of *p, struct mailbox_changes_out *out)
{
    int64_t floor, ignored;

    if (!read_user(p, &p->end, &floor))
        return false;
    if (p->since > p->end)
        return too_old(p);
    if (!read_entries(p) || !read_vanished(p, out) || !read_user(p, &ignored, &floor))
        return false;
    return p->since >= floor || p->since >= p->box.modseq || too_old(p);
}

bool mailbox_changes(struct call *c, const struct mailbox_changes_in *in, struct mailbox_changes_out *out)
{
    struct page_of p = { .c = c, .since = in->since, .limit = (size_t)(in->limit ? in->limit : LIMIT_STANDARD) };

    *out = (struct mailbox_changes_out){ 0 };
    if (in->since < 0)
        call_fault(c, "/since", "required", "The number since when: `modseq` of the mailbox or of the last answer");
    if (in->limit < 0 || in->limit > LIMIT_MOST)
        call_fault(c, "/limit", "out_of_range", "limit is from 1 to %d", LIMIT_MOST);
    if (!call_check(c) || !access_mailbox(c, in->id, SCOPE_MAIL_READ, &p.box) || !read_page(&p, out) ||
        !show(&p, true, &out->created, &out->n_created) || !show(&p, false, &out->updated, &out->n_updated))
        return false;
    out->modseq = p.end;
    out->has_more = p.more;
    return (!out->n_created && !out->n_updated) || access_audit(c, p.box.user_id);
}
