/* service/queue/action.c - actions as they are asked for and seen. The filter is judged here, once; the row that comes
 * of it holds what its maker may reach, so that whoever goes on with it need not ask again. */
#include "mail/address.h"
#include "service/core/member.h"
#include "service/core/state.h"
#include "service/queue/action_private.h"

#define ACTION_KEEP_MS ((int64_t)90 * 24 * 3600 * 1000)

static const struct member action_list_[] = {
    MEMBER(ID, action_row, id, .prefix = "act", .column = true),
    MEMBER(ID, action_row, account_id, .prefix = "acc"),
    { .name = "do", .type = MEMBER_TEXT, .offset = offsetof(struct action_row, act), .given = MADE, .column = true },
    MEMBER(JSON, action_row, filter, .given = MADE),
    MEMBER(TEXT, action_row, reason, .given = MADE, .most = 500, .column = true),
    MEMBER(TEXT, action_row, author, .column = true),
    MEMBER(BOOL, action_row, dry_run, .given = MADE),
    { .name = "limit", .type = MEMBER_INT, .offset = offsetof(struct action_row, most), .given = MADE },
    MEMBER(TEXT, action_row, status, .column = true),
    MEMBER(INT, action_row, matched, .column = true),
    MEMBER(INT, action_row, done, .column = true),
    MEMBER(INT, action_row, failed, .column = true),
    MEMBER(TIME, action_row, created_at, .column = true),
    MEMBER(TIME, action_row, finished_at),
};
MEMBERS(action, .object = "action", .path = "/v1/actions/", .kind = &action_kind);

/* ---- seen ---- */

bool action_list(struct call *c, const struct action_list_in *in, struct action_list_out *out)
{
    struct query q = { .kind = &action_kind };

    *out = (struct action_list_out){ 0 };
    if (!call_may(c, SCOPE_DELIVERIES_WRITE))
        return false;
    if (!call_oversees(c)) {
        q.index = "account";
        q.conds[q.n_conds++] = COND("account_id", IS, V_ID(c->account));
    }
    return call_list(c, &q, &in->page, (void **)&out->rows, &out->n, &out->page);
}

bool action_get(struct call *c, const struct action_get_in *in, struct action_row *out)
{
    struct id id;

    if (!call_may(c, SCOPE_DELIVERIES_WRITE))
        return false;
    if (!id_parse("act", in->id, &id))
        return err_set(&c->err, ERR_MISSING, "No such action");
    if (!store_get(c->store, &action_kind, id, c->arena, out, &c->err))
        return false;
    return call_oversees(c) || id_equal(out->account_id, c->account) || err_set(&c->err, ERR_MISSING, "No such action");
}

/* ---- made ---- */

/* The domain in the form in which rows have it. */
static void judge_domain(struct call *c, struct json_object *filter)
{
    struct bytes domain = json_text(filter, "domain"), normal;
    struct err why = { 0 };

    if (!domain.p)
        return;
    if (domain_normalize(domain, c->arena, &normal, &why))
        json_object_object_add(filter, "domain", json_object_new_string_len(normal.p, (int)normal.n));
    else
        call_fault(c, "/filter/domain", "invalid_domain", "%s", why.message);
}

static void judge_email(struct call *c, struct json_object *filter)
{
    struct bytes email = json_text(filter, "email"), normal;
    struct address address;
    struct err why = { 0 };

    if (!email.p)
        return;
    if (address_parse(email, c->arena, &address, &why) && address_normalize(&address, true, c->arena, &normal, &why))
        json_object_object_add(filter, "email", json_object_new_string_len(normal.p, (int)normal.n));
    else
        call_fault(c, "/filter/email", "invalid_address", "%s", why.message);
}

/* An operator means all accounts unless it names one; a tenant means its own. */
static void judge_account(struct call *c, struct json_object *filter, struct action_row *out)
{
    struct bytes named = json_text(filter, "account_id");
    struct id id;

    out->everywhere = call_oversees(c);
    if (named.p && (!id_parse("acc", named, &id) || (!out->everywhere && !id_equal(id, c->account))))
        call_fault(c, "/filter/account_id", "not_found", "No such account");
}

static void judge_status(struct call *c, struct json_object *filter, const struct action_row *out)
{
    struct action_filter read;

    if (json_text(filter, "status").p && action_filter_read(out, c->arena, &read) && !read.statuses)
        call_fault(c, "/filter/status", "conflicting", "%.*s is not for deliveries of that status", SHOW(out->act));
}

static void judge_filter(struct call *c, struct action_row *out)
{
    struct json_object *filter = NULL;
    struct err ignored = { 0 };

    if (!out->filter.p || !json_read(out->filter, &filter, &ignored)) {
        call_fault(c, "/filter", "required", "Which deliveries? {} means all");
        return;
    }
    judge_domain(c, filter);
    judge_email(c, filter);
    judge_account(c, filter, out);
    out->filter = json_tree_text(c->arena, filter);
    judge_status(c, filter, out);
    json_object_put(filter);
}

static void add_domains(struct call *c, struct action_row *out)
{
    struct buf text;
    struct jw w;

    if (!c->who->n_domain_ids)
        return;
    buf_init(&text, 1 << 20);
    jw_init(&w, &text);
    jw_array(&w);
    for (size_t i = 0; i < c->who->n_domain_ids; i++)
        jw_id(&w, "dom", c->who->domain_ids[i]);
    jw_array_end(&w);
    out->domain_ids = arena_copy(c->arena, buf_bytes(&text));
    buf_clear(&text);
}

bool action_create(struct call *c, const struct action_create_in *in, struct action_row *out)
{
    struct batch *b = batch_new(c->arena);

    *out = (struct action_row){ .id = id_new(), .account_id = c->account, .status = BYTES("running") };
    if (!call_may(c, SCOPE_DELIVERIES_WRITE) || !members_apply(c, &action_members, &in->given, in->named, out))
        return false;
    out->created_at = store_now(c->store);
    out->expires_at = out->created_at + ACTION_KEEP_MS;
    out->author = c->who->name;
    out->test = c->who->test;
    add_domains(c, out);
    judge_filter(c, out);
    if (!call_check(c))
        return false;
    batch_insert(b, &action_kind, out, NULL, 0);
    if (!call_commit(c, b, out, out->id))
        return false;
    actions_poke(c->svc);
    return true;
}

void action_release(struct batch *b, struct arena *a, const struct suspension_row *ended)
{
    struct action_row *row = arena_alloc(a, sizeof *row);
    int64_t now = clock_wall();

    *row = (struct action_row){ .id = id_new(), .account_id = ended->account_id, .act = BYTES("release") };
    row->filter = arena_bytesf(a, "{\"suspension_id\":\"%.*s\"}", SHOW(id_text(a, "sus", ended->id)));
    row->reason = BYTES("Its suspension has ended");
    row->author = BYTES("postrider");
    row->status = BYTES("running");
    row->created_at = now;
    row->expires_at = now + ACTION_KEEP_MS;
    batch_insert(b, &action_kind, row, NULL, 0);
}
