/* service/identity/access.c - who may reach whose mail, asked by each door before a mailbox or entry is touched.
 *
 * The row is read first and judged after, for whose it is stands in it. What is another's gets the very words of what
 * does not exist, so that ids and addresses cannot be tried out. Whoever reads mail that is not theirs leaves an event,
 * which is durable before they see a byte. */
#include "service/identity/access.h"
#include "base/clock.h"
#include "base/params.h"

static bool none(struct call *c, const char *what)
{
    return err_set(&c->err, ERR_MISSING, "No such %s", what);
}

/* A key that is bound to domains reaches the mail of their users. */
static bool in_reach(struct call *c, struct id user)
{
    struct directory_user row;

    return !c->who->n_domain_ids || (directory_user(c, user, &row) && call_reaches(c, row.domain_id));
}

bool access_mail(struct call *c, unsigned scope)
{
    if (!c->who)
        return err_set(&c->err, ERR_AUTH, "Not logged in");
    if (c->who->kind == WHO_USER)
        return true;
    if (!call_may(c, scope))
        return false;
    return !c->who->test || err_set(&c->err, ERR_SCOPE, "A test key reaches no mailbox");
}

/* What is another's and what is not there are told with the same words. */
static bool may_reach(struct call *c, struct id account, struct id user, unsigned scope, const char *what)
{
    if (!access_mail(c, scope))
        return false;
    if (c->who->kind == WHO_USER)
        return id_equal(c->who->id, user) || none(c, what);
    if (id_equal(account, c->account) && in_reach(c, user))
        return true;
    return call_was_missing(c) && none(c, what);
}

bool access_audit(struct call *c, struct id user)
{
    struct directory_user owner;
    struct event_row *row;
    struct batch *b;

    if (c->who->kind == WHO_USER || c->again)
        return true;
    row = arena_alloc(c->arena, sizeof *row);
    if (!directory_user(c, user, &owner))
        return false;
    *row = (struct event_row){ .id = id_new(), .account_id = c->account, .user_id = user, .at = clock_wall() };
    row->domain_id = owner.domain_id;
    row->type = BYTES("mail.read");
    row->expires_at = row->at + PARAM_INT(event, keep);
    row->data =
        arena_bytesf(c->arena, "{\"user_id\":\"%.*s\",\"by\":\"%.*s\",\"request_id\":\"%.*s\"}",
                     SHOW(id_text(c->arena, user_kind.prefix, user)),
                     SHOW(c->who->kind == WHO_KEY ? id_text(c->arena, key_kind.prefix, c->who->id) : BYTES("socket")),
                     SHOW(id_text(c->arena, "req", c->request)));
    b = batch_new(c->arena);
    batch_insert(b, &event_kind, row, NULL, 0);
    return store_commit(c->store, b, c->deadline, &c->err);
}

bool access_mailbox(struct call *c, struct bytes id, unsigned scope, struct mailbox_row *out)
{
    struct id key;

    if (!id_parse(mailbox_kind.prefix, id, &key))
        return none(c, "mailbox");
    if (!store_get(c->store, &mailbox_kind, key, c->arena, out, &c->err))
        return c->err.code == ERR_MISSING ? none(c, "mailbox") : false;
    return may_reach(c, out->account_id, out->user_id, scope, "mailbox");
}

bool access_entry(struct call *c, struct bytes id, unsigned scope, struct entry_row *out)
{
    struct id key;

    if (!id_parse(entry_kind.prefix, id, &key))
        return none(c, "entry");
    if (!store_get(c->store, &entry_kind, key, c->arena, out, &c->err))
        return c->err.code == ERR_MISSING ? none(c, "entry") : false;
    return may_reach(c, out->account_id, out->user_id, scope, "entry");
}

bool access_user(struct call *c, struct bytes id, unsigned scope, struct directory_user *out)
{
    struct address address;
    struct id key;

    if (id_parse(user_kind.prefix, id, &key)) {
        if (!directory_user(c, key, out))
            return call_was_missing(c) && none(c, "user");
    } else if (!address_parse(id, c->arena, &address, &c->err) || !directory_find(c, &address, out) ||
               out->how != FOUND_EXACT) {
        return call_was_missing(c) && none(c, "user");
    }
    return may_reach(c, out->account_id, out->id, scope, "user");
}
