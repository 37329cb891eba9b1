#include "service/message/postmaster.h"
#include "base/params.h"
#include "service/core/state.h"

/* Users of a domain or account that are looked at: the oldest ones may be disabled or full. */
#define LOOK 16

bool postmaster_is(const struct address *address)
{
    return bytes_equal_nocase(address->local, BYTES("postmaster"));
}

/* What is not there is no error: the next one is asked. */
static bool was_missing(struct call *c)
{
    bool missing = c->err.code == ERR_MISSING || c->err.code == ERR_SYNTAX;

    if (missing)
        c->err = (struct err){ 0 };
    return missing;
}

static bool takes(const struct directory_user *user, int64_t size, struct recipient *out)
{
    if (user->disabled || user->used >= user->quota || user->used + size > user->quota)
        return false;
    out->kind = RECIPIENT_LOCAL;
    out->user_id = user->id;
    out->account_id = user->account_id;
    out->room = user->quota - user->used;
    return true;
}

static bool try_address(struct call *c, int64_t size, struct recipient *out, bool *found)
{
    struct directory_user user;
    struct address address;
    struct bytes text = PARAM_TEXT(postmaster, address);

    if (!text.n)
        return true;
    if (!address_parse(text, c->arena, &address, &c->err) || !directory_find(c, &address, &user))
        return was_missing(c);
    *found = takes(&user, size, out);
    return true;
}

/* Users in the order of their ids, which is that of their making. */
static bool try_users(struct call *c, const char *by, struct id of, int64_t size, struct recipient *out, bool *found)
{
    static const char *const only[] = { "id", NULL };
    struct query q = { .kind = &user_kind, .n_conds = 1, .limit = LOOK, .only = only };
    struct directory_user user;
    struct user_row *rows;
    size_t n;

    q.index = bytes_equal(bytes_of(by), BYTES("domain_id")) ? "domain" : "account";
    q.conds[0] = COND(by, IS, V_ID(of));
    if (!store_find(c->store, &q, c->arena, (void **)&rows, &n, &c->err))
        return false;
    for (size_t i = 0; i < n && !*found; i++) {
        if (directory_user(c, rows[i].id, &user))
            *found = takes(&user, size, out);
        else if (!was_missing(c))
            return false;
    }
    return true;
}

bool postmaster_find(struct call *c, const struct directory_domain *domain, int64_t size, struct recipient *out)
{
    struct id operators = c->svc->operator_account;
    bool found = false;

    if (!try_address(c, size, out, &found))
        return false;
    if (!found && domain && !try_users(c, "domain_id", domain->id, size, out, &found))
        return false;
    if (!found && domain && !try_users(c, "account_id", domain->account_id, size, out, &found))
        return false;
    if (!found && !try_users(c, "account_id", operators, size, out, &found))
        return false;
    if (found)
        return true;
    out->kind = RECIPIENT_CAPTURED;
    out->account_id = operators;
    return true;
}
