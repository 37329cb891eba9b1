/* service/identity/auth_current.c - does a login still hold? See auth.h. */
#include "service/identity/auth.h"
#include "service/identity/auth_private.h"
#include "service/identity/directory.h"

static bool revoked(struct call *c)
{
    return err_again(c, ERR_REVOKED, "The login no longer holds; log in again");
}

/* The directory may be a second behind another node, also behind the login itself: what it says against the session is
 * asked again of the store. */
static bool user_looks_good(struct call *c)
{
    struct directory_user user;

    return directory_user(c, c->who->id, &user) && !user.disabled && user.password == c->who->mark;
}

static bool user_is_good(struct call *c)
{
    struct account_row account = { 0 };
    struct user_row user = { 0 };
    bool there, open;

    if (!store_look(c->store, &user_kind, c->who->id, c->arena, &user, &there, &c->err) ||
        !store_look(c->store, &account_kind, c->who->account_id, c->arena, &account, &open, &c->err))
        return false;
    if (there && open && !user.disabled && !account.disabled &&
        directory_password_mark(user.password_hash) == c->who->mark)
        return true;
    return revoked(c);
}

static bool user_current(struct call *c)
{
    if (user_looks_good(c))
        return true;
    if (c->err.code && c->err.code != ERR_MISSING)
        return false;
    c->err = (struct err){ 0 };
    return user_is_good(c);
}

bool auth_current(struct call *c)
{
    struct arena_mark before;
    bool good;

    if (!c->who || !c->who->mark)
        return true;
    before = arena_mark(c->arena);
    if (c->who->kind == WHO_KEY)
        good = key_current(c) || (c->err.code == ERR_AUTH ? revoked(c) : false);
    else
        good = user_current(c);
    arena_rewind(c->arena, before);
    return good;
}
