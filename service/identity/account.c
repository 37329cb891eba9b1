/* service/identity/account.c - accounts, for operators.
 *
 * An account's number of domains is raised by the batch that makes a domain, so a delete on condition of none cannot
 * miss one. Whoever caches logins or the directory is told at once here, and within a second on other nodes; what has
 * been accepted of one that is disabled waits (service/queue/suspension.h), of which all nodes hear by a nudge. */
#include "service/identity/account.h"
#include "service/core/member.h"
#include "service/core/nudge.h"
#include "service/core/state.h"
#include "service/identity/auth.h"
#include "service/identity/directory.h"
#include "service/identity/key_secret.h"

#define NAME_MOST 255

/* Accounts are the operator's alone, whatever account it acts in. A new one comes with a key to all of it, which is
 * more than whoever is bound to domains has. */
static bool may(struct call *c)
{
    if (!call_may(c, SCOPE_OPERATOR))
        return false;
    return !c->who->n_domain_ids || err_set(&c->err, ERR_SCOPE, "A key that is bound to domains reaches no account");
}

bool account_list(struct call *c, const struct account_list_in *in, struct account_list_out *out)
{
    struct query q = { .kind = &account_kind };

    *out = (struct account_list_out){ 0 };
    return may(c) && call_list(c, &q, &in->page, (void **)&out->rows, &out->n, &out->page);
}

static bool account_find(struct call *c, struct bytes text, void *out)
{
    struct id id;

    if (!may(c))
        return false;
    if (!id_parse("acc", text, &id))
        return err_set(&c->err, ERR_MISSING, "No such account");
    return store_get(c->store, &account_kind, id, c->arena, out, &c->err);
}

bool account_get(struct call *c, const struct account_get_in *in, struct account_row *out)
{
    return account_find(c, in->id, out);
}

/* ---- the members ---- */

static bool rule_name(struct call *c, const void *given, void *row)
{
    struct bytes name = ((const struct account_row *)given)->name;

    if (bytes_trim(name).n == 0)
        call_fault(c, "/name", "required", "An account needs a name");
    else if (name.n > NAME_MOST || bytes_has_ctl_line(name))
        call_fault(c, "/name", "too_long", "A name has at most %d bytes, in one line", NAME_MOST);
    ((struct account_row *)row)->name = name;
    return true;
}

static bool rule_disabled(struct call *c, const void *given, void *row)
{
    struct account_row *account = row;

    account->disabled = ((const struct account_row *)given)->disabled;
    if (account->disabled && account->operator)
        call_fault(c, "/disabled", "not_allowed", "The operator's account cannot be disabled");
    return true;
}

static const struct member account_list_[] = {
    MEMBER(ID, account_row, id, .prefix = "acc", .column = true),
    { .name = "account_id", .type = MEMBER_ID, .offset = offsetof(struct account_row, id), .prefix = "acc" },
    MEMBER(TEXT, account_row, name, .given = MADE | CHANGED, .rule = rule_name, .column = true),
    MEMBER(BOOL, account_row, disabled, .given = CHANGED, .rule = rule_disabled, .column = true),
    MEMBER(TIME, account_row, created_at),
};
MEMBERS(account, .object = "account", .path = "/v1/accounts/", .kind = &account_kind);

/* Its first key comes with it: all of it once, and without the secret in an answer that is kept. */
static void show_key(struct jw *w, const void *row)
{
    members_write(w, &key_created_members, &((const struct account_create_out *)row)->key);
}

static void show_kept_key(struct jw *w, const void *row)
{
    members_write(w, &key_members, &((const struct account_create_out *)row)->key);
}

static const struct member account_created_list_[] = { { .name = "key", .type = MEMBER_OWN, .show = show_key } };
MEMBERS(account_created, .object = "account", .path = "/v1/accounts/", .base = &account_members);
static const struct member account_kept_list_[] = { { .name = "key", .type = MEMBER_OWN, .show = show_kept_key } };
MEMBERS(account_kept, .object = "account", .path = "/v1/accounts/", .base = &account_members);

/* ---- changes ---- */

bool account_create(struct call *c, const struct account_create_in *in, struct account_create_out *out)
{
    struct batch *b = batch_new(c->arena);
    struct key_secret secret;

    if (!may(c))
        return false;
    key_secret_make(false, c->arena, &secret);
    *out = (struct account_create_out){
        .row = { .id = id_new(), .created_at = clock_wall() },
        .key = { .secret = secret.text },
    };
    if (!rule_name(c, &in->given, &out->row) || !call_check(c))
        return false;
    key_row_make(&out->key.row, out->row.id, BYTES("owner"), SCOPE_TENANT, false, &secret);
    batch_insert(b, &account_kind, &out->row, NULL, 0);
    batch_insert(b, &key_kind, &out->key.row, NULL, 0);
    return call_commit(c, b, out, out->row.id);
}

static void nudge(struct call *c, struct batch *b)
{
    nudge_add(b, c->arena, &account_kind);
}

bool account_update(struct call *c, const struct account_update_in *in, struct account_row *out)
{
    const struct patch patch = { .members = &account_members,
                                 .given = &in->given,
                                 .named = in->named,
                                 .id = in->id,
                                 .find = account_find,
                                 .also = nudge };

    if (!members_patch(c, &patch, out))
        return false;
    auth_forget_all(c->svc);
    directory_changed(c->svc);
    return true;
}

/* Its keys go with it; a key that another request makes meanwhile belongs to no account and opens nothing. */
static bool add_keys(struct call *c, struct batch *b, struct id account)
{
    static const char *const only[] = { "id", "account_id", NULL };
    struct query q = { .kind = &key_kind, .index = "account", .n_conds = 1, .limit = 10000, .only = only };
    struct key_row *rows;
    size_t n;

    q.conds[0] = COND("account_id", IS, V_ID(account));
    if (!store_find(c->store, &q, c->arena, (void **)&rows, &n, &c->err))
        return false;
    for (size_t i = 0; i < n; i++)
        batch_delete(b, &key_kind, rows[i].id, NULL, 0);
    return true;
}

bool account_delete(struct call *c, const struct account_delete_in *in, void *out)
{
    const struct cond unused = COND("domains", IS, V_INT(0));
    struct batch *b = batch_new(c->arena);
    struct account_row row;

    (void)out;
    if (!account_find(c, in->id, &row))
        return false;
    if (row.operator)
        return err_set(&c->err, ERR_IN_USE, "The operator's account stays");
    if (row.domains)
        return err_set(&c->err, ERR_IN_USE, "The account has domains");
    batch_delete(b, &account_kind, row.id, &unused, 1);
    if (!add_keys(c, b, row.id))
        return false;
    if (!call_commit(c, b, NULL, row.id))
        return c->err.code == ERR_CONFLICT ? err_again(c, ERR_IN_USE, "The account is in use") : false;
    auth_forget_all(c->svc);
    directory_changed(c->svc);
    return true;
}
