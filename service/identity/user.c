/* service/identity/user.c - users as they are found and changed; making and ending them takes their mailboxes along, in
 * service/box/user_whole.c. */
#include "service/identity/user.h"
#include "service/identity/address.h"
#include "service/identity/auth.h"
#include "service/identity/directory.h"
#include "service/identity/user_check.h"

/* ---- finding ---- */

static bool missing(struct call *c)
{
    return err_again(c, ERR_MISSING, "No such user");
}

static bool by_address(struct call *c, struct bytes text, struct user_row *out)
{
    struct address_row row = { 0 };

    return address_by_text(c, text, &row) && store_get(c->store, &user_kind, row.user_id, c->arena, out, &c->err);
}

bool user_of_account(struct call *c, struct bytes text, struct user_row *out)
{
    struct id id;
    bool found;

    *out = (struct user_row){ 0 };
    if (id_parse("usr", text, &id))
        found = store_get(c->store, &user_kind, id, c->arena, out, &c->err);
    else
        found = by_address(c, text, out);
    if (found && id_equal(out->account_id, c->account))
        return true;
    *out = (struct user_row){ 0 };
    return found || c->err.code == ERR_MISSING ? missing(c) : false;
}

static bool user_find(struct call *c, struct bytes text, void *out)
{
    struct user_row *row = out;

    return call_may(c, SCOPE_USERS) && user_of_account(c, text, row) && (call_reaches(c, row->domain_id) || missing(c));
}

bool user_get(struct call *c, const struct user_get_in *in, struct user_row *out)
{
    return user_find(c, in->id, out);
}

bool user_list(struct call *c, const struct user_list_in *in, struct user_list_out *out)
{
    struct query q = { .kind = &user_kind, .index = "account", .n_conds = 1 };
    struct domain_row domain;

    *out = (struct user_list_out){ 0 };
    if (!call_may(c, SCOPE_USERS))
        return false;
    q.conds[0] = COND("account_id", IS, V_ID(c->account));
    if (in->domain.p) {
        if (!domain_of_account(c, in->domain, &domain))
            return call_was_missing(c); /* a filter finds nothing */
        q.index = "domain";             /* whose users are all of the account */
        q.conds[0] = COND("domain_id", IS, V_ID(domain.id));
    }
    query_reached(c, &q, "domain_id");
    return call_list(c, &q, &in->page, (void **)&out->rows, &out->n, &out->page);
}

/* ---- changing ---- */

bool user_update(struct call *c, const struct user_update_in *in, struct user_row *out)
{
    const struct patch patch = {
        .members = &user_members,
        .given = &in->change,
        .named = in->change.named,
        .id = in->id,
        .find = user_find,
        .finish = user_finish,
    };

    if (!members_patch(c, &patch, out))
        return false;
    directory_changed(c->svc);
    auth_forget_user(c->svc, out->id);
    return true;
}
