/* service/core/member.c - changes by the table of members.
 *
 * A PATCH reads the row, applies what was named by each member's rule, and writes only those fields: two requests that
 * change different fields both stand. What a rule judged by, or merged with, is a condition of the batch; when it has
 * changed all is judged anew. */
#include "service/core/member.h"
#include "service/core/retry.h"
#include "store/value.h"
#include <assert.h>

static size_t member_find(const struct members *m, struct bytes name)
{
    for (size_t i = 0; i < m->n; i++)
        if (bytes_equal(name, bytes_of(m->all[i].name)))
            return i;
    die("%s has no member %.*s", m->object, SHOW(name));
}

uint64_t members_named(const struct members *m, const char *names)
{
    struct bytes rest = bytes_of(names), name;
    uint64_t named = 0;

    while (rest.n) {
        bytes_cut(rest, ',', &name, &rest);
        named |= UINT64_C(1) << member_find(m, name);
    }
    return named;
}

/* ---- taking values over ---- */

static size_t size_of(enum member_type type)
{
    switch (type) {
    case MEMBER_ID: return sizeof(struct id);
    case MEMBER_TEXT:
    case MEMBER_JSON: return sizeof(struct bytes);
    case MEMBER_BOOL: return sizeof(bool);
    case MEMBER_INT:
    case MEMBER_TIME:
    case MEMBER_BIT: return sizeof(int64_t);
    case MEMBER_OWN: break;
    }
    return 0;
}

static void check_text(struct call *c, const struct member *x, struct bytes text)
{
    if (x->most && (text.n > x->most || bytes_has_ctl_line(text)))
        call_fault(c, arena_printf(c->arena, "/%s", x->name), "too_long", "At most %zu bytes, in one line", x->most);
}

static void take_plain(struct call *c, const struct member *x, const char *given, char *row)
{
    int64_t n = 0, before;

    if (x->type == MEMBER_INT || x->type == MEMBER_BIT)
        memcpy(&n, given + x->offset, sizeof n);
    if (x->type == MEMBER_TEXT)
        check_text(c, x, *(const struct bytes *)(const void *)(given + x->offset));
    else if (x->type == MEMBER_INT && n < 0)
        call_fault(c, arena_printf(c->arena, "/%s", x->name), "out_of_range", "At least 0");
    if (x->type != MEMBER_BIT) {
        memcpy(row + x->offset, given + x->offset, size_of(x->type));
        return;
    }
    memcpy(&before, row + x->offset, sizeof before);
    n = n & x->bit ? before | x->bit : before & ~x->bit;
    memcpy(row + x->offset, &n, sizeof n);
}

bool members_apply(struct call *c, const struct members *m, const void *given, uint64_t named, void *row)
{
    for (size_t i = 0; i < m->n; i++) {
        if (!(named >> i & 1))
            continue;
        if (!m->all[i].rule)
            take_plain(c, &m->all[i], given, row);
        else if (!m->all[i].rule(c, given, row))
            return false;
    }
    return true;
}

/* ---- writing ---- */

static const struct field *field_of(const struct members *m, const struct member *x)
{
    return kind_field(m->kind, x->field ? x->field : x->name);
}

static void require_same(struct cond *conds, size_t *n, const struct field *f, const void *before)
{
    assert(*n < QUERY_CONDS);
    conds[(*n)++] = COND(f->name, IS, value_of(f, before));
}

/* The named fields in one batch, while what the change was judged by is as it was. */
static bool write_named(struct call *c, const struct patch *p, const void *before, const void *row, bool *again)
{
    const struct members *m = p->members;
    struct batch *b = batch_new(c->arena);
    struct cond conds[QUERY_CONDS];
    struct set sets[MEMBERS_MAX];
    size_t n_conds = 0, n = 0;
    struct id id = value_of(&m->kind->fields[0], before).id;

    for (const char *const *same = p->same; same && *same; same++)
        require_same(conds, &n_conds, kind_field(m->kind, *same), before);
    for (size_t i = 0; i < m->n; i++) {
        const struct field *f = p->named >> i & 1 ? field_of(m, &m->all[i]) : NULL;

        if (!f)
            continue;
        sets[n++] = SET(f->name, value_of(f, row));
        if (m->all[i].merged)
            require_same(conds, &n_conds, f, before);
    }
    batch_update(b, m->kind, id, conds, n_conds, sets, n);
    if (p->also)
        p->also(c, b);
    if (call_commit(c, b, row, id))
        return true;
    *again = c->err.code == ERR_CONFLICT && batch_failure(b).operation == 0;
    return false;
}

struct patching {
    const struct patch *patch;
    void *before, *row;
};

static bool patch_once(struct call *c, void *arg, bool *again)
{
    const struct patching *w = arg;
    const struct patch *p = w->patch;

    if (!p->find(c, p->id, w->row))
        return false;
    memcpy(w->before, w->row, p->members->kind->size);
    if (!members_apply(c, p->members, p->given, p->named, w->row) || !call_check(c) ||
        (p->finish && !p->finish(c, p->given, p->named, w->row)))
        return false;
    return !p->named || write_named(c, p, w->before, w->row, again);
}

bool members_patch(struct call *c, const struct patch *p, void *row)
{
    struct patching w = { p, arena_alloc(c->arena, p->members->kind->size), row };

    return retry_run(c, p->id, patch_once, &w);
}
