#include "service/mailbox.h"
#include "service/service_private.h"
#include "service/setting.h"

#define BOXES_MOST 1000

bool me_get(struct call *c, const void *in, struct me_out *out)
{
    struct query q = { .kind = &mailbox_kind, .index = "user", .n_conds = 1, .limit = BOXES_MOST };

    (void)in;
    *out = (struct me_out){ .account_id = c->account };
    if (!c->who)
        return err_set(&c->err, ERR_AUTH, "Log in first");
    if (c->who->kind != WHO_USER)
        return true;
    q.descending = true;
    q.conds[0] = COND("user_id", IS, V_ID(c->who->id));
    return store_find(c->store, &q, c->arena, (void **)&out->mailboxes, &out->n_mailboxes, &c->err);
}
