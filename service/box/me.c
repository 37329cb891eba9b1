/* service/box/me.c - who asks, and what is theirs. */
#include "service/box/me.h"
#include "service/box/mailbox.h"
#include "service/core/member.h"
#include "service/core/scope.h"
#include "service/core/state.h"
#include "service/identity/key.h"

#define BOXES_MOST 1000

static void show_scopes(struct jw *w, const void *row)
{
    scopes_show(w, ((const struct me_out *)row)->scopes);
}

static void show_mailboxes(struct jw *w, const void *row)
{
    const struct me_out *me = row;

    jw_array(w);
    for (size_t i = 0; i < me->n_mailboxes; i++)
        members_write(w, &mailbox_members, &me->mailboxes[i]);
    jw_array_end(w);
}

static const struct member me_list_[] = {
    MEMBER(TEXT, me_out, id),
    MEMBER(ID, me_out, account_id, .prefix = "acc"),
    MEMBER(TEXT, me_out, kind),
    MEMBER(TEXT, me_out, name),
    MEMBER(TEXT, me_out, mode),
    { .name = "scopes", .type = MEMBER_OWN, .show = show_scopes },
    { .name = "mailboxes", .type = MEMBER_OWN, .show = show_mailboxes },
};
MEMBERS(me, .object = "me");

static void tell_who(struct call *c, struct me_out *out)
{
    static const char *const kinds[] = {
        [WHO_KEY] = "key", [WHO_USER] = "user", [WHO_SOCKET] = "socket", [WHO_SYSTEM] = "system"
    };
    const struct principal *who = c->who;

    out->kind = bytes_of(kinds[who->kind]);
    out->name = who->name;
    out->mode = who->test ? BYTES("test") : BYTES("live");
    out->scopes = who->scopes;
    if (!id_is_none(who->id))
        out->id = id_text(c->arena, who->kind == WHO_USER ? user_kind.prefix : key_kind.prefix, who->id);
}

bool me_get(struct call *c, const void *in, struct me_out *out)
{
    struct query q = { .kind = &mailbox_kind, .index = "user", .n_conds = 1, .limit = BOXES_MOST };

    (void)in;
    *out = (struct me_out){ .account_id = c->account };
    if (!c->who)
        return err_set(&c->err, ERR_AUTH, "Log in first");
    tell_who(c, out);
    if (c->who->kind != WHO_USER)
        return true;
    q.descending = true;
    q.conds[0] = COND("user_id", IS, V_ID(c->who->id));
    return store_find(c->store, &q, c->arena, (void **)&out->mailboxes, &out->n_mailboxes, &c->err);
}
