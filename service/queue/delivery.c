/* service/queue/delivery.c - deliveries as their account sees them, and their events.
 *
 * A list is led by the index that narrows most; the other filters pick from it, within what service/core/list.c looks
 * at. An entry's id is chosen at acceptance, and shown only when the entry is there. */
#include "service/queue/delivery.h"
#include "mail/address.h"
#include "service/core/list.h"
#include "service/core/member.h"
#include "service/core/state.h"
#include "service/identity/directory.h"
#include "service/queue/bundle.h"

static const struct member delivery_list_[] = {
    MEMBER(ID, delivery_row, id, .prefix = "dlv", .column = true),
    MEMBER(ID, delivery_row, account_id, .prefix = "acc"),
    MEMBER(ID, delivery_row, message_id, .prefix = "msg"),
    MEMBER(TEXT, delivery_row, email, .column = true),
    MEMBER(TEXT, delivery_row, kind),
    MEMBER(TEXT, delivery_row, status, .column = true),
    MEMBER(INT, delivery_row, attempts, .column = true),
    { .name = "next_attempt_at", .type = MEMBER_TIME, .offset = offsetof(struct delivery_row, due_at) },
    MEMBER(TIME, delivery_row, expires_at),
    MEMBER(ID, delivery_row, entry_id, .prefix = "ent"),
    MEMBER(JSON, delivery_row, last),
    MEMBER(JSON, delivery_view, waiting),
    MEMBER(TIME, delivery_row, created_at),
};
MEMBERS(delivery, .object = "delivery", .path = "/v1/deliveries/", .kind = &delivery_kind);

static void add_cond(struct query *q, struct cond cond)
{
    q->conds[q->n_conds++] = cond;
}

/* delivered and captured, nearly all there are, have no index of their own. */
static bool status_has_index(struct bytes status)
{
    return !bytes_equal(status, BYTES("delivered")) && !bytes_equal(status, BYTES("captured"));
}

/* The index that fits the filters best; the others pick from what it gives. */
static bool choose(struct call *c, const struct delivery_list_in *in, struct query *q)
{
    struct id message;

    q->index = "account";
    add_cond(q, COND("account_id", IS, V_ID(c->account)));
    if (in->message_id.p) {
        if (!id_parse(message_kind.prefix, in->message_id, &message))
            return call_fault(c, "/message_id", "invalid_id", "An id that begins with msg_");
        q->conds[0] = COND("message_id", IS, V_ID(message));
        add_cond(q, COND("account_id", IS, V_ID(c->account)));
        q->index = "message";
    }
    if (in->email.p) {
        q->index = in->message_id.p ? q->index : "email";
        add_cond(q, COND("email", IS, V_TEXT(in->email)));
    }
    if (in->status.p) {
        if (!in->message_id.p && !in->email.p && status_has_index(in->status))
            q->index = "status";
        add_cond(q, COND("status", IS, V_TEXT(in->status)));
    }
    if (in->domain.p)
        add_cond(q, COND("site", IS, V_TEXT(in->domain)));
    query_seen(c, q);
    return true;
}

bool delivery_list(struct call *c, const struct delivery_list_in *in, struct delivery_list_out *out)
{
    struct query q = { .kind = &delivery_kind };
    struct delivery_list_in normal = *in;
    struct err ignored = { 0 };
    void *rows = NULL;

    if (!call_may(c, SCOPE_MESSAGES_READ))
        return false;
    if (in->email.p && !directory_email(c, in->email, &normal.email))
        return false;
    if (in->domain.p && !domain_normalize(in->domain, c->arena, &normal.domain, &ignored))
        normal.domain = in->domain;
    if (!choose(c, &normal, &q))
        return call_check(c);
    if (!call_list(c, &q, &in->page, &rows, &out->n, &out->page))
        return false;
    out->rows = delivery_show_all(c, rows, out->n);
    return true;
}

bool delivery_find(struct call *c, struct bytes id, struct delivery_row *out)
{
    struct id key;

    if (!id_parse(delivery_kind.prefix, id, &key))
        return err_set(&c->err, ERR_MISSING, "No such delivery");
    if (!store_get(c->store, &delivery_kind, key, c->arena, out, &c->err))
        return false;
    if (!call_sees(c, out->account_id, out->mode, out->domain_id))
        return err_set(&c->err, ERR_MISSING, "No such delivery");
    return true;
}

bool delivery_get(struct call *c, const struct delivery_get_in *in, struct delivery_view *out)
{
    struct delivery_row row;

    if (!call_may(c, SCOPE_MESSAGES_READ) || !delivery_find(c, in->id, &row))
        return false;
    delivery_show(c, &row, out);
    return true;
}

bool event_page(struct call *c, struct query *q, const struct page *page, struct event_list_out *out)
{
    void *rows = NULL;
    bool ok = call_list_shown(c, q, &event_shown, page, &rows, &out->n, &out->page);

    out->rows = rows;
    return ok;
}

bool delivery_event_list(struct call *c, const struct event_list_in *in, struct event_list_out *out)
{
    struct query q = { .kind = &event_kind, .index = "message", .n_conds = 2 };
    struct delivery_row d;

    if (!call_may(c, SCOPE_MESSAGES_READ) || !delivery_find(c, in->id, &d))
        return false;
    q.conds[0] = COND("message_id", IS, V_ID(d.message_id));
    q.conds[1] = COND("delivery_id", IS, V_ID(d.id));
    if (in->type.p)
        add_cond(&q, COND("type", IS, V_TEXT(in->type)));
    return event_page(c, &q, &in->page, out);
}
