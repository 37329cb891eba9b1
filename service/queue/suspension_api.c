/* service/queue/suspension_api.c - suspensions as they are made, seen and ended: the operator's, and those of a tenant
 * on its own account and tags. Who may see one may end it, but a tenant none that the operator has made. */
#include "mail/address.h"
#include "service/core/member.h"
#include "service/core/nudge.h"
#include "service/core/state.h"
#include "service/queue/action.h"
#include "service/queue/suspension_private.h"

static const char *const scopes[] = {
    [SUSPEND_SITE] = "site", [SUSPEND_PROVIDER] = "provider", [SUSPEND_SOURCE] = "source",
    [SUSPEND_PATH] = "path", [SUSPEND_ACCOUNT] = "account",   [SUSPEND_STREAM] = "stream",
    [SUSPEND_TAG] = "tag",
};

bool suspension_scope_read(struct bytes name, enum suspension_scope *out)
{
    for (enum suspension_scope s = 0; s < SUSPEND_SCOPES; s++)
        if (bytes_equal(name, bytes_of(scopes[s]))) {
            *out = s;
            return true;
        }
    return false;
}

/* A key that is bound to domains, or for tests alone, changes what is others' too. */
static bool may(struct call *c)
{
    if (!call_may(c, SCOPE_DELIVERIES_WRITE))
        return false;
    if (c->reads || (!c->who->n_domain_ids && !c->who->test))
        return true;
    return err_set(&c->err, ERR_SCOPE, "A test key, or one that is bound to domains, suspends nothing");
}

/* ---- the members ---- */

static bool rule_site(struct call *c, struct bytes match, struct suspension_row *row)
{
    bool below = match.n > 2 && match.p[0] == '*' && match.p[1] == '.';
    struct bytes domain;
    struct err why = { 0 };

    if (!domain_normalize(below ? bytes_from(match, 2) : match, c->arena, &domain, &why))
        return call_fault(c, "/match", "invalid_domain", "%s", why.message);
    row->match = below ? arena_bytesf(c->arena, "*.%.*s", SHOW(domain)) : domain;
    return true;
}

static bool rule_account(struct call *c, struct bytes match, struct suspension_row *row)
{
    struct account_row account;
    bool there = false;
    struct id id;

    if (!match.p)
        id = c->account;
    else if (!id_parse("acc", match, &id))
        return call_fault(c, "/match", "invalid_id", "An id that begins with acc_"), true;
    if (!id_equal(id, c->account) && !call_oversees(c))
        return call_fault(c, "/match", "not_found", "No such account"), true;
    if (!store_look(c->store, &account_kind, id, c->arena, &account, &there, &c->err))
        return false;
    if (!there)
        call_fault(c, "/match", "not_found", "No such account");
    row->account_id = id;
    row->match = id_text(c->arena, "acc", id);
    return true;
}

/* False for an error of the store only. */
static bool judge_match(struct call *c, struct suspension_row *row)
{
    enum suspension_scope scope;
    struct bytes match = row->match;

    if (!suspension_scope_read(row->scope, &scope))
        return call_fault(c, "/scope", "invalid_value", "No such scope"), true;
    if (scope == SUSPEND_ACCOUNT)
        return rule_account(c, match, row);
    if (!match.n)
        call_fault(c, "/match", "required", "What is it about?");
    else if (scope == SUSPEND_SITE)
        rule_site(c, match, row);
    return true;
}

static void judge_limits(struct call *c, struct suspension_row *row)
{
    bool slow = bytes_equal(row->effect, BYTES("slow"));
    struct bytes connections = json_part(row->limits, "connections"), rate = json_part(row->limits, "per_minute");
    bool on_path = bytes_equal(row->scope, BYTES("path")) || bytes_equal(row->scope, BYTES("provider")) ||
                   bytes_equal(row->scope, BYTES("source"));

    if (!slow && row->limits.p && (connections.p || rate.p))
        call_fault(c, "/limits", "conflicting", "Limits are of the effect slow");
    else if (slow && !connections.p && !rate.p)
        call_fault(c, "/limits", "required", "slow needs connections or per_minute");
    if (connections.p && !on_path)
        call_fault(c, "/limits/connections", "not_available", "Connections are of a path, a provider or a source");
    if (slow && bytes_equal(row->scope, BYTES("tag")))
        call_fault(c, "/effect", "not_available", "Mail with a tag can be stopped, not slowed down");
    if (row->expires_at && row->expires_at <= store_now(c->store))
        call_fault(c, "/expires_at", "out_of_range", "It would be over already");
}

static const struct member suspension_list_[] = {
    MEMBER(ID, suspension_row, id, .prefix = "sus", .column = true),
    MEMBER(ID, suspension_row, account_id, .prefix = "acc"),
    MEMBER(TEXT, suspension_row, scope, .given = MADE, .column = true),
    MEMBER(TEXT, suspension_row, match, .given = MADE, .most = 512, .column = true),
    MEMBER(TEXT, suspension_row, effect, .given = MADE, .column = true),
    MEMBER(JSON, suspension_row, limits, .given = MADE),
    MEMBER(TEXT, suspension_row, reason, .given = MADE, .most = 500, .column = true),
    MEMBER(TEXT, suspension_row, author, .column = true),
    MEMBER(TEXT, suspension_row, origin),
    MEMBER(TIME, suspension_row, created_at),
    MEMBER(TIME, suspension_row, expires_at, .given = MADE, .column = true),
};
MEMBERS(suspension, .object = "suspension", .path = "/v1/suspensions/", .kind = &suspension_kind);

/* ---- seen ---- */

static bool is_tenants(const struct suspension_row *row)
{
    return bytes_equal(row->scope, BYTES("account")) || bytes_equal(row->scope, BYTES("tag"));
}

bool suspension_list(struct call *c, const struct suspension_list_in *in, struct suspension_list_out *out)
{
    struct value own[] = { V_TEXT(BYTES("account")), V_TEXT(BYTES("tag")) };
    struct query q = { .kind = &suspension_kind };

    *out = (struct suspension_list_out){ 0 };
    if (!call_may(c, SCOPE_DELIVERIES_WRITE))
        return false;
    if (!call_oversees(c)) {
        q.index = "account";
        q.conds[q.n_conds++] = COND("account_id", IS, V_ID(c->account));
        q.conds[q.n_conds++] = COND_ONE_OF("scope", own, 2);
    }
    return call_list(c, &q, &in->page, (void **)&out->rows, &out->n, &out->page);
}

bool suspension_get(struct call *c, const struct suspension_get_in *in, struct suspension_row *out)
{
    struct id id;

    if (!call_may(c, SCOPE_DELIVERIES_WRITE))
        return false;
    if (!id_parse("sus", in->id, &id))
        return err_set(&c->err, ERR_MISSING, "No such suspension");
    if (!store_get(c->store, &suspension_kind, id, c->arena, out, &c->err))
        return false;
    if (call_oversees(c) || (id_equal(out->account_id, c->account) && is_tenants(out)))
        return true;
    return err_set(&c->err, ERR_MISSING, "No such suspension");
}

/* ---- made ---- */

/* So that the few that are looked at for each mail stay few. */
static bool has_room(struct call *c)
{
    static const char *const only[] = { "id", NULL };
    size_t most = call_oversees(c) ? SUSPENSIONS_MOST : SUSPENSIONS_OF_TENANT, n;
    struct query q = { .kind = &suspension_kind, .limit = most, .only = only };
    void *rows;

    if (!call_oversees(c)) {
        q.index = "account";
        q.conds[q.n_conds++] = COND("account_id", IS, V_ID(c->account));
    }
    if (!store_find(c->store, &q, c->arena, &rows, &n, &c->err))
        return false;
    if (n >= most)
        call_fault(c, "/scope", "limit_reached", "There are %zu suspensions already: end one first", n);
    return true;
}

/* Here at once; the other nodes hear of it. */
static void changed(struct call *c)
{
    struct err ignored = { 0 };

    suspensions_load(c->svc, &ignored);
}

bool suspension_create(struct call *c, const struct suspension_create_in *in, struct suspension_row *out)
{
    struct batch *b = batch_new(c->arena);

    *out = (struct suspension_row){ .id = id_new(), .effect = BYTES("stop"), .origin = BYTES("operator") };
    out->account_id = c->account;
    out->created_at = clock_wall();
    if (!may(c) || !members_apply(c, &suspension_members, &in->given, in->named, out))
        return false;
    out->author = c->who->name;
    out->by_operator = call_is_operator(c);
    out->effect = out->effect.p ? out->effect : BYTES("stop");
    if (!is_tenants(out) && !call_oversees(c))
        return err_set(&c->err, ERR_SCOPE, "A tenant suspends its account, and mail by its tags");
    if (!judge_match(c, out) || !has_room(c))
        return false;
    judge_limits(c, out);
    if (!call_check(c))
        return false;
    batch_insert(b, &suspension_kind, out, NULL, 0);
    nudge_add(b, c->arena, &suspension_kind);
    if (!call_commit(c, b, out, out->id))
        return false;
    changed(c);
    return true;
}

/* ---- ended ---- */

void suspension_end(struct batch *b, struct arena *a, const struct suspension_row *row, const struct cond *same)
{
    batch_delete(b, &suspension_kind, row->id, same, same ? 1 : 0);
    nudge_add(b, a, &suspension_kind);
    if (bytes_equal(row->scope, BYTES("tag")))
        action_release(b, a, row);
}

bool suspension_delete(struct call *c, const struct suspension_delete_in *in, void *out)
{
    const struct suspension_get_in get = { .id = in->id };
    struct batch *b = batch_new(c->arena);
    struct suspension_row row;

    (void)out;
    if (!may(c) || !suspension_get(c, &get, &row))
        return false;
    if (row.by_operator && !call_is_operator(c))
        return err_set(&c->err, ERR_SCOPE, "The operator has made it, and can end it");
    suspension_end(b, c->arena, &row, NULL);
    if (call_commit(c, b, NULL, row.id)) {
        changed(c);
        actions_poke(c->svc);
        return true;
    }
    return c->err.code == ERR_CONFLICT ? err_again(c, ERR_MISSING, "No such suspension") : false;
}
