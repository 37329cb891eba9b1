/* service/template/template.c - templates as rows: drafts made, changed, found by id or alias, and removed.
 *
 * A member's rule looks at it alone; whether the whole is a template is asked once all members are taken, by compiling
 * it on a worker. Layout and partials are not looked at then: they may come later, and are compiled with it when it is
 * published. */
#include "service/template/template.h"
#include "mail/address.h"
#include "mail/template/template.h"
#include "service/box/summary.h"
#include "service/core/member.h"
#include "service/core/path_name.h"
#include "service/core/precondition.h"
#include "service/core/state.h"
#include "service/template/compiled.h"
#include "service/template/declared.h"

static bool missing(struct call *c)
{
    return err_set(&c->err, ERR_MISSING, "No such template");
}

bool template_may(struct call *c)
{
    return call_may(c, SCOPE_TEMPLATES);
}

/* ---- finding ---- */

static bool by_id(struct call *c, struct id id, struct template_row *row)
{
    return store_get(c->store, &template_kind, id, c->arena, row, &c->err) &&
           (id_equal(row->account_id, c->account) || missing(c));
}

bool template_find(struct call *c, struct bytes name, void *out)
{
    const struct value values[] = { V_ID(c->account), V_TEXT(name) };
    struct id id;

    if (id_parse("tpl", name, &id))
        return by_id(c, id, out);
    return store_get_by(c->store, &template_kind, "alias", values, 2, c->arena, out, &c->err) ||
           (call_was_missing(c) && missing(c));
}

bool template_find_short(struct call *c, struct bytes name, struct template_row *row)
{
    static const char *const only[] = { "id", "account_id", "alias", "published_version", NULL };
    struct query q = { .kind = &template_kind, .n_conds = 1, .limit = 1, .only = only };
    struct id id;
    void *rows;
    size_t n;

    if (id_parse("tpl", name, &id)) {
        q.conds[0] = COND("id", IS, V_ID(id));
    } else {
        q.index = "alias";
        q.conds[0] = COND("account_id", IS, V_ID(c->account));
        q.conds[q.n_conds++] = COND("alias", IS, V_TEXT(name));
    }
    if (!store_find(c->store, &q, c->arena, &rows, &n, &c->err))
        return false;
    if (n == 0 || !id_equal(((const struct template_row *)rows)->account_id, c->account))
        return missing(c);
    *row = *(const struct template_row *)rows;
    return true;
}

static bool find_mine(struct call *c, struct bytes name, void *out)
{
    return template_may(c) && template_find(c, name, out);
}

/* ---- the members ---- */

static bool rule_alias(struct call *c, const void *given, void *row)
{
    struct bytes alias = ((const struct template_row *)given)->alias;

    ((struct template_row *)row)->alias = alias;
    if (alias.p && !path_name_ok(alias, template_kind.prefix))
        call_fault(c, "/alias", "invalid_alias", PATH_NAME_RULE);
    return true;
}

static bool rule_layout_id(struct call *c, const void *given, void *row)
{
    struct id id = ((const struct template_row *)given)->layout_id;
    struct layout_row layout;

    ((struct template_row *)row)->layout_id = id;
    if (id_is_none(id) ||
        (store_get(c->store, &layout_kind, id, c->arena, &layout, &c->err) && id_equal(layout.account_id, c->account)))
        return true;
    if (c->err.code && !call_was_missing(c))
        return false;
    call_fault(c, "/layout_id", "not_found", "No such layout");
    return true;
}

/* An address as a text or an object, in the form that is shown. */
static bool write_address(struct call *c, struct json_object *value, const char *pointer, struct jw *w)
{
    bool object = json_object_is_type(value, json_type_object);
    struct bytes text =
        object ? json_text(value, "email")
               : (struct bytes){ json_object_get_string(value), (size_t)json_object_get_string_len(value) };
    struct address address = { .name = NO_BYTES };
    struct err e = { 0 };

    if (!(object ? address_parse : mailbox_parse)(text, c->arena, &address, &e))
        return call_fault(c, pointer, "invalid_address", "%s", e.message);
    if (object)
        address.name = json_text(value, "name");
    summary_address(w, &address);
    return true;
}

static void write_addresses(struct call *c, struct json_object *value, struct jw *w)
{
    bool list = json_object_is_type(value, json_type_array);
    size_t n = list ? json_object_array_length(value) : 1;

    jw_array(w);
    for (size_t i = 0; i < n; i++)
        if (!write_address(c, list ? json_object_array_get_idx(value, i) : value,
                           list ? arena_printf(c->arena, "/reply_to/%zu", i) : "/reply_to", w))
            break;
    jw_array_end(w);
}

/* JSON of an address, or of several, as it is kept. */
static bool addresses_rule(struct call *c, struct bytes given, bool list, struct bytes *out)
{
    struct json_object *value = NULL;
    struct buf text;
    struct jw w;

    *out = NO_BYTES;
    if (!given.p)
        return true;
    if (!json_read(given, &value, &c->err))
        return false;
    buf_init(&text, 256 * 1024);
    jw_init(&w, &text);
    if (list)
        write_addresses(c, value, &w);
    else
        write_address(c, value, "/from", &w);
    *out = arena_copy(c->arena, buf_bytes(&text));
    buf_clear(&text);
    json_object_put(value);
    return true;
}

static bool rule_from(struct call *c, const void *given, void *row)
{
    return addresses_rule(c, ((const struct template_row *)given)->sender, false,
                          &((struct template_row *)row)->sender);
}

static bool rule_reply_to(struct call *c, const void *given, void *row)
{
    return addresses_rule(c, ((const struct template_row *)given)->reply_to, true,
                          &((struct template_row *)row)->reply_to);
}

static bool rule_variables(struct call *c, const void *given, void *row)
{
    struct bytes json = ((const struct template_row *)given)->variables;

    ((struct template_row *)row)->variables = json;
    return declared_check(c, json);
}

static bool rule_version(struct call *c, const void *given, void *row)
{
    (void)c;
    (void)given;
    ((struct template_row *)row)->version++;
    return true;
}

static bool rule_updated_at(struct call *c, const void *given, void *row)
{
    (void)c;
    (void)given;
    ((struct template_row *)row)->updated_at = clock_wall();
    return true;
}

static void show_published_version(struct jw *w, const void *row)
{
    int64_t n = ((const struct template_row *)row)->published_version;

    if (n)
        jw_int(w, n);
    else
        jw_null(w);
}

static const struct member template_list_[] = {
    MEMBER(ID, template_row, id, .prefix = "tpl", .column = true),
    MEMBER(ID, template_row, account_id, .prefix = "acc"),
    MEMBER(TEXT, template_row, alias, .given = MADE | CHANGED, .rule = rule_alias, .column = true),
    MEMBER(TEXT, template_row, name, .given = MADE | CHANGED, .most = 200, .column = true),
    MEMBER(TEXT, template_row, dialect, .given = MADE | CHANGED, .column = true),
    MEMBER(ID, template_row, layout_id, .prefix = "lay", .given = MADE | CHANGED, .rule = rule_layout_id),
    MEMBER(TEXT, template_row, subject, .given = MADE | CHANGED, .column = true),
    MEMBER(TEXT, template_row, html, .given = MADE | CHANGED),
    MEMBER(TEXT, template_row, text, .given = MADE | CHANGED),
    MEMBER(TEXT, template_row, amp_html, .given = MADE | CHANGED),
    { .name = "from",
      .type = MEMBER_JSON,
      .offset = offsetof(struct template_row, sender),
      .given = MADE | CHANGED,
      .field = "sender",
      .rule = rule_from },
    MEMBER(JSON, template_row, reply_to, .given = MADE | CHANGED, .rule = rule_reply_to, .otherwise = "[]"),
    MEMBER(JSON, template_row, headers, .given = MADE | CHANGED, .otherwise = "[]"),
    MEMBER(JSON, template_row, variables, .given = MADE | CHANGED, .rule = rule_variables, .otherwise = "[]"),
    MEMBER(JSON, template_row, sample, .given = MADE | CHANGED, .otherwise = "{}"),
    MEMBER(INT, template_row, version, .hidden = true, .rule = rule_version),
    MEMBER(INT, template_row, draft_version, .column = true),
    MEMBER(OWN, template_row, published_version, .show = show_published_version, .column = true),
    MEMBER(TIME, template_row, created_at),
    MEMBER(TIME, template_row, updated_at, .rule = rule_updated_at, .column = true),
    MEMBER(TIME, template_row, published_at),
};
MEMBERS(template, .object = "template", .path = "/v1/templates/", .kind = &template_kind);

/* ---- the whole ---- */

static void no_nul(struct call *c, const char *pointer, struct bytes text)
{
    if (bytes_find(text, '\0') < text.n)
        call_fault(c, pointer, "invalid_characters", "No NUL may stand here");
}

/* All it says is a template of its dialect, and not too long together. */
static bool check_whole(struct call *c, const struct template_row *row)
{
    size_t size = row->subject.n + row->html.n + row->text.n + row->amp_html.n + row->sample.n + row->headers.n +
                  row->variables.n;
    struct template_version_row draft = template_draft(row);
    struct compiled *k = NULL;

    no_nul(c, "/html", row->html);
    no_nul(c, "/text", row->text);
    no_nul(c, "/amp_html", row->amp_html);
    if (size > (size_t)PARAM_INT(template, size_max))
        call_fault(c, row->html.n > row->text.n ? "/html" : "/text", "limit_reached",
                   "A template has at most %lld bytes with all its parts", (long long)PARAM_INT(template, size_max));
    if (!declared_check_dialect(c, row->variables, row->dialect) || !call_check(c))
        return false;
    draft.layout_id = NO_ID;
    if (!compiled_make_alone(c, &draft, &k))
        return false;
    compiled_put(&k);
    return true;
}

struct template_version_row template_draft(const struct template_row *row)
{
    return (struct template_version_row){ .account_id = row->account_id,
                                          .template_id = row->id,
                                          .name = row->name,
                                          .dialect = row->dialect,
                                          .layout_id = row->layout_id,
                                          .subject = row->subject,
                                          .html = row->html,
                                          .text = row->text,
                                          .amp_html = row->amp_html,
                                          .sender = row->sender,
                                          .reply_to = row->reply_to,
                                          .headers = row->headers,
                                          .variables = row->variables,
                                          .sample = row->sample };
}

/* ---- lists ---- */

bool template_list(struct call *c, const struct template_list_in *in, struct template_list_out *out)
{
    struct query q = { .kind = &template_kind, .index = "account", .n_conds = 1 };

    *out = (struct template_list_out){ 0 };
    if (!template_may(c))
        return false;
    q.conds[0] = COND("account_id", IS, V_ID(c->account));
    return call_list(c, &q, &in->page, (void **)&out->rows, &out->n, &out->page);
}

bool template_get(struct call *c, const struct template_get_in *in, struct template_row *out)
{
    struct template_version_row v;
    int64_t number = 0;
    bool draft = true;

    if (!find_mine(c, in->id, out) || !template_version_named(c, out, in->version, &number, &draft))
        return false;
    if (draft)
        return true;
    if (!template_version_find(c, out->id, number, &v))
        return false;
    out->name = v.name, out->dialect = v.dialect, out->layout_id = v.layout_id;
    out->subject = v.subject, out->html = v.html, out->text = v.text, out->amp_html = v.amp_html;
    out->sender = v.sender, out->reply_to = v.reply_to, out->headers = v.headers;
    out->variables = v.variables, out->sample = v.sample, out->published_at = v.published_at;
    return true;
}

/* ---- changes ---- */

static void count_in(struct call *c, struct batch *b, int64_t n)
{
    struct set *sets = arena_alloc(c->arena, sizeof *sets);

    *sets = n > 0 ? ADD_BOUND("templates", n, NULL, PARAM_INT(template, templates_max)) : ADD("templates", n);
    batch_update(b, &account_kind, c->account, NULL, 0, sets, 1);
}

/* Why a batch that wrote a draft failed: its alias is another's, or there are too many. */
static bool refused(struct call *c, const struct batch *b)
{
    struct batch_failure f = batch_failure(b);

    if (c->err.code != ERR_CONFLICT)
        return false;
    if (f.fault == FAULT_UNIQUE)
        return err_again(c, ERR_CONFLICT, "Another template has this alias");
    if (f.fault != FAULT_BOUND)
        return false;
    c->err = (struct err){ 0 };
    call_fault(c, "", "limit_reached", "An account has at most %lld templates",
               (long long)PARAM_INT(template, templates_max));
    return call_check(c);
}

bool template_add(struct call *c, struct template_row *row)
{
    struct batch *b = batch_new(c->arena);

    row->id = id_new();
    row->account_id = c->account;
    row->version = row->draft_version = 1;
    row->created_at = row->updated_at = clock_wall();
    batch_insert(b, &template_kind, row, NULL, 0);
    count_in(c, b, 1);
    return call_commit(c, b, row, row->id) || refused(c, b);
}

bool template_create(struct call *c, const struct template_create_in *in, struct template_row *out)
{
    *out = (struct template_row){ .dialect = BYTES("handlebars"), .name = BYTES("") };
    return template_may(c) && members_apply(c, &template_members, &in->given, in->named, out) && check_whole(c, out) &&
           template_add(c, out);
}

static bool finish(struct call *c, const void *given, uint64_t named, void *out)
{
    const struct template_change *change = given;
    const struct template_row *row = out;

    return precondition_holds(c, change->if_match, named ? row->version - 1 : row->version) && check_whole(c, row);
}

bool template_update(struct call *c, const struct template_update_in *in, struct template_row *out)
{
    static const char *const judged[] = { "version", NULL };
    struct patch patch = { .members = &template_members,
                           .given = &in->given,
                           .named = in->named,
                           .id = in->id,
                           .find = find_mine,
                           .finish = finish,
                           .same = judged };

    if (patch.named)
        patch.named |= members_named(&template_members, "version,updated_at");
    if (members_patch(c, &patch, out))
        return true;
    return c->err.code == ERR_CONFLICT ? err_again(c, ERR_CONFLICT, "Another template has this alias") : false;
}

bool template_delete(struct call *c, const struct template_delete_in *in, void *out)
{
    static const char *const only[] = { "id", "template_id", NULL };
    struct query q = {
        .kind = &template_version_kind, .index = "template", .n_conds = 1, .limit = 20000, .only = only
    };
    struct batch *b = batch_new(c->arena);
    struct template_version_row *versions;
    struct template_row row;
    struct cond same;
    size_t n;

    (void)out;
    if (!find_mine(c, in->id, &row) || !precondition_holds(c, in->if_match, row.version))
        return false;
    q.conds[0] = COND("template_id", IS, V_ID(row.id));
    if (!store_find(c->store, &q, c->arena, (void **)&versions, &n, &c->err))
        return false;
    same = COND("version", IS, V_INT(row.version));
    batch_delete(b, &template_kind, row.id, &same, 1);
    for (size_t i = 0; i < n; i++)
        batch_delete(b, &template_version_kind, versions[i].id, NULL, 0);
    count_in(c, b, -1);
    return call_commit(c, b, NULL, row.id);
}
