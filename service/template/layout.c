/* service/template/layout.c - layouts as rows. Each text is compiled before it is kept, in whichever dialect it is
 * right in: it is read in the dialect of the template that it stands around. */
#include "service/template/layout.h"
#include "base/clock.h"
#include "base/params.h"
#include "service/core/member.h"
#include "service/core/precondition.h"
#include "service/template/compiled.h"

static bool find(struct call *c, struct bytes name, void *out)
{
    const struct layout_row *row = out;
    struct id id;

    if (!call_may(c, SCOPE_TEMPLATES))
        return false;
    return (id_parse("lay", name, &id) || err_set(&c->err, ERR_MISSING, "No such layout")) &&
           store_get(c->store, &layout_kind, id, c->arena, out, &c->err) &&
           (id_equal(row->account_id, c->account) || err_set(&c->err, ERR_MISSING, "No such layout"));
}

static bool rule_version(struct call *c, const void *given, void *row)
{
    (void)c;
    (void)given;
    ((struct layout_row *)row)->version++;
    return true;
}

static bool rule_updated_at(struct call *c, const void *given, void *row)
{
    (void)c;
    (void)given;
    ((struct layout_row *)row)->updated_at = clock_wall();
    return true;
}

static const struct member layout_list_[] = {
    MEMBER(ID, layout_row, id, .prefix = "lay", .column = true),
    MEMBER(ID, layout_row, account_id, .prefix = "acc"),
    MEMBER(TEXT, layout_row, name, .given = MADE | CHANGED, .most = 200, .column = true),
    MEMBER(TEXT, layout_row, html, .given = MADE | CHANGED),
    MEMBER(TEXT, layout_row, text, .given = MADE | CHANGED),
    MEMBER(INT, layout_row, version, .hidden = true, .rule = rule_version),
    MEMBER(TIME, layout_row, created_at),
    MEMBER(TIME, layout_row, updated_at, .rule = rule_updated_at, .column = true),
};
MEMBERS(layout, .object = "layout", .path = "/v1/layouts/", .kind = &layout_kind);

static void no_nul(struct call *c, const char *pointer, struct bytes text)
{
    if (bytes_find(text, '\0') < text.n)
        call_fault(c, pointer, "invalid_characters", "No NUL may stand here");
}

static bool check_whole(struct call *c, const struct layout_row *row)
{
    no_nul(c, "/html", row->html);
    no_nul(c, "/text", row->text);
    if (!row->html.p && !row->text.p)
        call_fault(c, "/html", "required", "One of html and text is required");
    if (row->html.n + row->text.n > (size_t)PARAM_INT(template, size_max))
        call_fault(c, "/html", "limit_reached", "A layout has at most %lld bytes",
                   (long long)PARAM_INT(template, size_max));
    return call_check(c) && compiled_check(c, "/html", row->html, TEMPLATE_HTML, true) &&
           compiled_check(c, "/text", row->text, TEMPLATE_TEXT, true) && call_check(c);
}

bool layout_list(struct call *c, const struct layout_list_in *in, struct layout_list_out *out)
{
    struct query q = { .kind = &layout_kind, .index = "account", .n_conds = 1 };

    *out = (struct layout_list_out){ 0 };
    if (!call_may(c, SCOPE_TEMPLATES))
        return false;
    q.conds[0] = COND("account_id", IS, V_ID(c->account));
    return call_list(c, &q, &in->page, (void **)&out->rows, &out->n, &out->page);
}

bool layout_get(struct call *c, const struct layout_get_in *in, struct layout_row *out)
{
    return find(c, in->id, out);
}

static void count_in(struct call *c, struct batch *b, int64_t n)
{
    struct set *sets = arena_alloc(c->arena, sizeof *sets);

    *sets = n > 0 ? ADD_BOUND("layouts", n, NULL, PARAM_INT(template, layouts_max)) : ADD("layouts", n);
    batch_update(b, &account_kind, c->account, NULL, 0, sets, 1);
}

bool layout_create(struct call *c, const struct layout_create_in *in, struct layout_row *out)
{
    struct batch *b = batch_new(c->arena);

    *out = (struct layout_row){ .id = id_new(),
                                .account_id = c->account,
                                .name = BYTES(""),
                                .version = 1,
                                .created_at = clock_wall(),
                                .updated_at = clock_wall() };
    if (!call_may(c, SCOPE_TEMPLATES) || !members_apply(c, &layout_members, &in->given, in->named, out) ||
        !check_whole(c, out))
        return false;
    batch_insert(b, &layout_kind, out, NULL, 0);
    count_in(c, b, 1);
    if (call_commit(c, b, out, out->id))
        return true;
    if (c->err.code != ERR_CONFLICT || batch_failure(b).fault != FAULT_BOUND)
        return false;
    c->err = (struct err){ 0 };
    call_fault(c, "", "limit_reached", "An account has at most %lld layouts",
               (long long)PARAM_INT(template, layouts_max));
    return call_check(c);
}

struct change {
    struct layout_row row;
    struct bytes if_match;
};

static bool finish(struct call *c, const void *given, uint64_t named, void *out)
{
    const struct change *change = given;
    const struct layout_row *row = out;

    return precondition_holds(c, change->if_match, named ? row->version - 1 : row->version) && check_whole(c, row);
}

bool layout_update(struct call *c, const struct layout_update_in *in, struct layout_row *out)
{
    static const char *const judged[] = { "version", NULL };
    const struct change change = { in->given, in->if_match };
    struct patch patch = { .members = &layout_members,
                           .given = &change,
                           .named = in->named,
                           .id = in->id,
                           .find = find,
                           .finish = finish,
                           .same = judged };

    if (patch.named)
        patch.named |= members_named(&layout_members, "version,updated_at");
    return members_patch(c, &patch, out);
}

static bool is_used(struct call *c, struct id layout, bool *used)
{
    static const char *const only[] = { "id", "layout_id", NULL };
    struct query q = { .kind = &template_kind, .index = "layout", .n_conds = 1, .limit = 1, .only = only };
    void *rows;
    size_t n;

    q.conds[0] = COND("layout_id", IS, V_ID(layout));
    if (!store_find(c->store, &q, c->arena, &rows, &n, &c->err))
        return false;
    *used = n > 0;
    return true;
}

bool layout_delete(struct call *c, const struct layout_delete_in *in, void *out)
{
    struct batch *b = batch_new(c->arena);
    struct layout_row row;
    struct cond same;
    bool used = false;

    (void)out;
    if (!find(c, in->id, &row) || !precondition_holds(c, in->if_match, row.version) || !is_used(c, row.id, &used))
        return false;
    if (used)
        return err_set(&c->err, ERR_IN_USE, "A template has this layout");
    same = COND("version", IS, V_INT(row.version));
    batch_delete(b, &layout_kind, row.id, &same, 1);
    count_in(c, b, -1);
    return call_commit(c, b, NULL, row.id);
}
