/* service/template/template_version.c - published versions: made of a draft, listed, put back into it; and copies.
 *
 * Publishing is judged by the draft as it was read, on condition that nobody changed it meanwhile; what it uses is
 * frozen into the version's row, so that a mail says tomorrow what it said when it was tested. */
#include "base/clock.h"
#include "base/params.h"
#include "service/core/member.h"
#include "service/core/retry.h"
#include "service/template/compiled.h"
#include "service/template/template.h"

static void show_size(struct jw *w, const void *row)
{
    const struct template_version_row *v = row;

    jw_int(w, (int64_t)(v->subject.n + v->html.n + v->text.n + v->amp_html.n));
}

static const struct member template_version_list_[] = {
    { .name = "version", .type = MEMBER_INT, .offset = offsetof(struct template_version_row, number), .column = true },
    MEMBER(ID, template_version_row, template_id, .prefix = "tpl"),
    MEMBER(ID, template_version_row, account_id, .prefix = "acc"),
    MEMBER(TEXT, template_version_row, name, .column = true),
    MEMBER(TEXT, template_version_row, dialect),
    MEMBER(TEXT, template_version_row, subject, .column = true),
    MEMBER(TIME, template_version_row, published_at, .column = true),
};
MEMBERS(template_version, .object = "template_version", .kind = &template_version_kind);

static const struct member template_version_full_list_[] = {
    { .name = "size", .type = MEMBER_OWN, .show = show_size },
    MEMBER(ID, template_version_row, layout_id, .prefix = "lay"),
    MEMBER(TEXT, template_version_row, html),
    MEMBER(TEXT, template_version_row, text),
    MEMBER(TEXT, template_version_row, amp_html),
    { .name = "from", .type = MEMBER_JSON, .offset = offsetof(struct template_version_row, sender) },
    MEMBER(JSON, template_version_row, reply_to, .otherwise = "[]"),
    MEMBER(JSON, template_version_row, headers, .otherwise = "[]"),
    MEMBER(JSON, template_version_row, variables, .otherwise = "[]"),
    MEMBER(JSON, template_version_row, sample, .otherwise = "{}"),
    MEMBER(TEXT, template_version_row, layout_html),
    MEMBER(TEXT, template_version_row, layout_text),
    MEMBER(JSON, template_version_row, partials, .otherwise = "[]"),
};
MEMBERS(template_version_full, .object = "template_version", .base = &template_version_members);

/* ---- which ---- */

static bool no_version(struct call *c)
{
    return err_set(&c->err, ERR_MISSING, "No such version of the template");
}

bool template_version_named(struct call *c, const struct template_row *row, struct bytes version, int64_t *number,
                            bool *draft)
{
    *draft = !version.p || bytes_equal(version, BYTES("draft"));
    *number = 0;
    if (*draft)
        return true;
    if (!bytes_equal(version, BYTES("published")))
        return (bytes_to_int(version, number) && *number > 0) || no_version(c);
    *number = row->published_version;
    return *number || err_set(&c->err, ERR_MISSING, "The template was never published");
}

bool template_version_find(struct call *c, struct id template, int64_t number, struct template_version_row *out)
{
    const struct value values[] = { V_ID(template), V_INT(number) };

    return store_get_by(c->store, &template_version_kind, "number", values, 2, c->arena, out, &c->err) ||
           (call_was_missing(c) && no_version(c));
}

/* ---- publishing ---- */

struct publishing {
    struct bytes name;
    struct template_row *out;
};

static bool is_empty(struct call *c, const struct template_row *row)
{
    if (row->html.p || row->text.p)
        return false;
    call_fault(c, "/html", "required", "One of html and text is required");
    return !call_check(c);
}

/* The version that there is one too many of. */
static bool drop_oldest(struct call *c, struct batch *b, const struct template_row *row)
{
    int64_t number = row->published_version - PARAM_INT(template, versions_max);
    struct query q = { .kind = &template_version_kind, .index = "number", .n_conds = 2, .limit = 100 };
    static const char *const only[] = { "id", "template_id", "number", NULL };
    struct template_version_row *rows;
    size_t n;

    q.only = only;
    q.conds[0] = COND("template_id", IS, V_ID(row->id));
    q.conds[1] = COND("number", AT_MOST, V_INT(number));
    if (number <= 0)
        return true;
    if (!store_find(c->store, &q, c->arena, (void **)&rows, &n, &c->err))
        return false;
    for (size_t i = 0; i < n; i++)
        batch_delete(b, &template_version_kind, rows[i].id, NULL, 0);
    return true;
}

static bool write_version(struct call *c, const struct template_version_row *v, struct template_row *row, bool *again)
{
    const struct cond same = COND("version", IS, V_INT(row->version));
    struct batch *b = batch_new(c->arena);
    struct set sets[4];

    row->published_version = v->number;
    row->draft_version = v->number + 1;
    row->published_at = v->published_at;
    row->version++;
    sets[0] = SET("published_version", V_INT(row->published_version));
    sets[1] = SET("draft_version", V_INT(row->draft_version));
    sets[2] = SET("published_at", V_TIME(row->published_at));
    sets[3] = SET("version", V_INT(row->version));
    batch_update(b, &template_kind, row->id, &same, 1, sets, 4);
    batch_insert(b, &template_version_kind, v, NULL, 0);
    if (!drop_oldest(c, b, row))
        return false;
    if (call_commit(c, b, row, row->id))
        return true;
    *again = c->err.code == ERR_CONFLICT;
    return false;
}

static bool publish_once(struct call *c, void *arg, bool *again)
{
    struct publishing *p = arg;
    struct template_version_row v;
    struct compiled *k = NULL;

    if (!template_find(c, p->name, p->out) || is_empty(c, p->out))
        return false;
    v = template_draft(p->out);
    v.id = id_new();
    v.number = p->out->draft_version;
    v.published_at = clock_wall();
    if (!compiled_freeze(c, &v) || !compiled_make(c, &v, "", &k))
        return false;
    compiled_put(&k);
    return write_version(c, &v, p->out, again);
}

bool template_publish(struct call *c, const struct template_publish_in *in, struct template_row *out)
{
    struct publishing p = { in->id, out };

    return template_may(c) && retry_run(c, in->id, publish_once, &p);
}

/* ---- versions ---- */

bool template_version_list(struct call *c, const struct template_version_list_in *in,
                           struct template_version_list_out *out)
{
    static const char *const only[] = { "id",      "account_id", "template_id",  "number", "name",
                                        "dialect", "subject",    "published_at", NULL };
    struct query q = { .kind = &template_version_kind, .index = "template", .n_conds = 1, .only = only };
    struct template_row row;

    *out = (struct template_version_list_out){ 0 };
    if (!template_may(c) || !template_find_short(c, in->id, &row))
        return false;
    q.conds[0] = COND("template_id", IS, V_ID(row.id));
    return call_list(c, &q, &in->page, (void **)&out->rows, &out->n, &out->page);
}

bool template_version_get(struct call *c, const struct template_version_get_in *in, struct template_version_row *out)
{
    struct template_row row;
    int64_t number = 0;
    bool draft = false;

    if (!template_may(c) || !template_find_short(c, in->id, &row) ||
        !template_version_named(c, &row, in->version, &number, &draft))
        return false;
    return draft ? no_version(c) : template_version_find(c, row.id, number, out);
}

struct restoring {
    const struct template_version_row *version;
    struct bytes name;
    struct template_row *out;
};

static void say_again(struct template_row *row, const struct template_version_row *v)
{
    row->name = v->name, row->dialect = v->dialect, row->layout_id = v->layout_id;
    row->subject = v->subject, row->html = v->html, row->text = v->text, row->amp_html = v->amp_html;
    row->sender = v->sender, row->reply_to = v->reply_to, row->headers = v->headers;
    row->variables = v->variables, row->sample = v->sample;
    row->updated_at = clock_wall();
    row->version++;
}

static bool restore_once(struct call *c, void *arg, bool *again)
{
    struct restoring *p = arg;
    struct template_row *row = p->out;
    struct batch *b = batch_new(c->arena);
    struct cond same;

    if (!template_find(c, p->name, row))
        return false;
    same = COND("version", IS, V_INT(row->version));
    say_again(row, p->version);
    const struct set sets[] = {
        SET("name", V_TEXT(row->name)),           SET("dialect", V_TEXT(row->dialect)),
        SET("layout_id", V_ID(row->layout_id)),   SET("subject", V_TEXT(row->subject)),
        SET("html", V_TEXT(row->html)),           SET("text", V_TEXT(row->text)),
        SET("amp_html", V_TEXT(row->amp_html)),   SET("sender", V_JSON(row->sender)),
        SET("reply_to", V_JSON(row->reply_to)),   SET("headers", V_JSON(row->headers)),
        SET("variables", V_JSON(row->variables)), SET("sample", V_JSON(row->sample)),
        SET("version", V_INT(row->version)),      SET("updated_at", V_TIME(row->updated_at)),
    };
    batch_update(b, &template_kind, row->id, &same, 1, sets, sizeof sets / sizeof *sets);
    if (call_commit(c, b, row, row->id))
        return true;
    *again = c->err.code == ERR_CONFLICT;
    return false;
}

/* A layout that is gone since stands in the version's row, and not in the draft that comes back. */
static bool layout_is_there(struct call *c, struct template_version_row *v)
{
    struct layout_row layout;

    if (id_is_none(v->layout_id) || store_get(c->store, &layout_kind, v->layout_id, c->arena, &layout, &c->err))
        return true;
    v->layout_id = NO_ID;
    return call_was_missing(c);
}

bool template_version_restore(struct call *c, const struct template_version_get_in *in, struct template_row *out)
{
    struct template_version_row v;
    struct restoring p = { &v, in->id, out };

    return template_version_get(c, in, &v) && layout_is_there(c, &v) && retry_run(c, in->id, restore_once, &p);
}

/* ---- copies ---- */

bool template_duplicate(struct call *c, const struct template_duplicate_in *in, struct template_row *out)
{
    struct template_change given = { .row = { .alias = in->alias, .name = in->name } };
    uint64_t named = members_named(&template_members, in->name.p ? "alias,name" : "alias");

    if (!template_may(c) || !template_find(c, in->id, out))
        return false;
    out->published_version = out->published_at = 0;
    return members_apply(c, &template_members, &given, named, out) && call_check(c) && template_add(c, out);
}
