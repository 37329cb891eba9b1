/* service/template/partial.c - partials as rows, known by their names. A PUT says all of one; where others put the same
 * meanwhile it looks again. */
#include "service/template/partial.h"
#include "base/clock.h"
#include "base/params.h"
#include "service/core/member.h"
#include "service/core/precondition.h"
#include "service/core/retry.h"
#include "service/template/compiled.h"

#define PARTIAL_NAME_MAX 64

static const struct member partial_list_[] = {
    MEMBER(ID, partial_row, account_id, .prefix = "acc"),
    MEMBER(TEXT, partial_row, name, .column = true),
    MEMBER(TEXT, partial_row, html, .given = MADE),
    MEMBER(TEXT, partial_row, text, .given = MADE),
    MEMBER(TIME, partial_row, created_at),
    MEMBER(TIME, partial_row, updated_at, .column = true),
};
MEMBERS(partial, .object = "partial", .kind = &partial_kind);

static bool find(struct call *c, struct bytes name, struct partial_row *out)
{
    const struct value values[] = { V_ID(c->account), V_TEXT(name) };

    return store_get_by(c->store, &partial_kind, "name", values, 2, c->arena, out, &c->err) ||
           (call_was_missing(c) && err_set(&c->err, ERR_MISSING, "No such partial"));
}

static bool name_is_right(struct bytes name)
{
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
              (i && c == '-')))
            return false;
    }
    return name.n && name.n <= PARTIAL_NAME_MAX;
}

bool partial_list(struct call *c, const struct partial_list_in *in, struct partial_list_out *out)
{
    struct query q = { .kind = &partial_kind, .index = "account", .n_conds = 1 };

    *out = (struct partial_list_out){ 0 };
    if (!call_may(c, SCOPE_TEMPLATES))
        return false;
    q.conds[0] = COND("account_id", IS, V_ID(c->account));
    return call_list(c, &q, &in->page, (void **)&out->rows, &out->n, &out->page);
}

bool partial_get(struct call *c, const struct partial_get_in *in, struct partial_row *out)
{
    return call_may(c, SCOPE_TEMPLATES) && find(c, in->name, out);
}

static bool check_whole(struct call *c, const struct partial_put_in *in)
{
    if (!name_is_right(in->name))
        call_fault(c, "/name", "invalid_name", "1 to %d letters, digits, - and _", PARTIAL_NAME_MAX);
    if (!in->html.p && !in->text.p)
        call_fault(c, "/html", "required", "One of html and text is required");
    if (bytes_find(in->html, '\0') < in->html.n)
        call_fault(c, "/html", "invalid_characters", "No NUL may stand here");
    if (bytes_find(in->text, '\0') < in->text.n)
        call_fault(c, "/text", "invalid_characters", "No NUL may stand here");
    if (in->html.n + in->text.n > (size_t)PARAM_INT(template, size_max))
        call_fault(c, "/html", "limit_reached", "A partial has at most %lld bytes",
                   (long long)PARAM_INT(template, size_max));
    return call_check(c) && compiled_check(c, "/html", in->html, TEMPLATE_HTML, false) &&
           compiled_check(c, "/text", in->text, TEMPLATE_TEXT, false) && call_check(c);
}

static void count_in(struct call *c, struct batch *b, int64_t n)
{
    struct set *sets = arena_alloc(c->arena, sizeof *sets);

    *sets = n > 0 ? ADD_BOUND("partials", n, NULL, PARAM_INT(template, partials_max)) : ADD("partials", n);
    batch_update(b, &account_kind, c->account, NULL, 0, sets, 1);
}

struct putting {
    const struct partial_put_in *in;
    struct partial_row *out;
};

static bool make(struct call *c, struct partial_row *row, bool *again)
{
    struct batch *b = batch_new(c->arena);
    struct batch_failure f;

    row->id = id_new();
    row->version = 1;
    row->created_at = row->updated_at;
    batch_insert(b, &partial_kind, row, NULL, 0);
    count_in(c, b, 1);
    if (call_commit(c, b, row, row->id))
        return true;
    f = batch_failure(b);
    *again = c->err.code == ERR_CONFLICT && f.fault == FAULT_UNIQUE;
    if (c->err.code != ERR_CONFLICT || f.fault != FAULT_BOUND)
        return false;
    c->err = (struct err){ 0 };
    call_fault(c, "", "limit_reached", "An account has at most %lld partials",
               (long long)PARAM_INT(template, partials_max));
    return call_check(c);
}

static bool replace(struct call *c, const struct partial_row *was, const struct partial_row *row, bool *again)
{
    const struct cond same = COND("version", IS, V_INT(was->version));
    const struct set sets[] = { SET("html", V_TEXT(row->html)), SET("text", V_TEXT(row->text)),
                                SET("version", V_INT(row->version)), SET("updated_at", V_TIME(row->updated_at)) };
    struct batch *b = batch_new(c->arena);

    batch_update(b, &partial_kind, row->id, &same, 1, sets, 4);
    if (call_commit(c, b, row, row->id))
        return true;
    *again = c->err.code == ERR_CONFLICT;
    return false;
}

static bool put_once(struct call *c, void *arg, bool *again)
{
    struct putting *p = arg;
    struct partial_row was = { .version = 0 };
    bool there = find(c, p->in->name, &was);

    if (!there && !call_was_missing(c))
        return false;
    if (!precondition_holds(c, p->in->if_match, was.version))
        return false;
    *p->out = there ? was : (struct partial_row){ .account_id = c->account, .name = p->in->name };
    p->out->html = p->in->html;
    p->out->text = p->in->text;
    p->out->updated_at = clock_wall();
    p->out->version++;
    return there ? replace(c, &was, p->out, again) : make(c, p->out, again);
}

bool partial_put(struct call *c, const struct partial_put_in *in, struct partial_row *out)
{
    struct putting p = { in, out };

    return call_may(c, SCOPE_TEMPLATES) && check_whole(c, in) && retry_run(c, in->name, put_once, &p);
}

bool partial_delete(struct call *c, const struct partial_delete_in *in, void *out)
{
    struct batch *b = batch_new(c->arena);
    struct partial_row row;
    struct cond same;

    (void)out;
    if (!call_may(c, SCOPE_TEMPLATES) || !find(c, in->name, &row) || !precondition_holds(c, in->if_match, row.version))
        return false;
    same = COND("version", IS, V_INT(row.version));
    batch_delete(b, &partial_kind, row.id, &same, 1);
    count_in(c, b, -1);
    return call_commit(c, b, NULL, row.id);
}
