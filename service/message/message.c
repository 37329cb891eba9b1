/* service/message/message.c - messages as their account sees them, and what may be done to one.
 *
 * Every change demands what it was judged by: a delivery that has ended meanwhile makes the batch fail, and it is
 * looked at again. The counters of a message are only added to, in the batch that changes a delivery, so they need no
 * look. Erasing takes the wrapped key away and marks the body; the bytes go with the sweep, when nobody else can read
 * them. */
#include "base/clock.h"
#include "base/params.h"
#include "service/body/body.h"
#include "service/body/content.h"
#include "service/core/member.h"
#include "service/message/intake_private.h"
#include "service/message/message_private.h"
#include "service/queue/ending.h"

bool message_find(struct call *c, struct bytes id, struct message_row *out)
{
    struct id key;

    if (!id_parse(message_kind.prefix, id, &key))
        return err_set(&c->err, ERR_MISSING, "No such message");
    if (!store_get(c->store, &message_kind, key, c->arena, out, &c->err))
        return false;
    if (!call_sees(c, out->account_id, out->mode, out->domain_id))
        return err_set(&c->err, ERR_MISSING, "No such message");
    return true;
}

/* Inbound mail is read through its entry: the message shows an envelope, and needs `operator`. */
static bool find_for(struct call *c, struct bytes id, unsigned scope, struct message_row *out)
{
    if (!call_may(c, scope) || !message_find(c, id, out))
        return false;
    return bytes_equal(out->direction, BYTES("outbound")) || call_may(c, SCOPE_OPERATOR);
}

/* ---- the members ---- */

static void show_content(struct jw *w, const void *row)
{
    jw_text(w, ((const struct message_view *)row)->content_kept ? BYTES("kept") : BYTES("gone"));
}

static void show_template(struct jw *w, const void *row)
{
    const struct message_row *m = row;

    if (id_is_none(m->template_id)) {
        jw_null(w);
        return;
    }
    jw_object(w);
    jw_key_id(w, "id", template_kind.prefix, m->template_id);
    jw_key_int(w, "version", m->template_version);
    jw_object_end(w);
}

/* Mail that came in is nobody's to track. */
static void show_tracking(struct jw *w, const void *row)
{
    const struct message_row *m = row;

    if (bytes_equal(m->direction, BYTES("outbound")))
        tracking_show(w, m->tracking);
    else
        jw_null(w);
}

static const struct member message_list_[] = {
    MEMBER(ID, message_row, id, .prefix = "msg", .column = true),
    MEMBER(ID, message_row, account_id, .prefix = "acc"),
    MEMBER(TEXT, message_row, header_message_id),
    MEMBER(TEXT, message_row, direction),
    MEMBER(TEXT, message_row, source),
    MEMBER(TEXT, message_row, mode),
    MEMBER(TEXT, message_view, status, .column = true),
    MEMBER(JSON, message_view, from, .column = true),
    MEMBER(JSON, message_view, reply_to, .otherwise = "[]"),
    MEMBER(JSON, message_view, to, .otherwise = "[]", .column = true),
    MEMBER(JSON, message_view, cc, .otherwise = "[]"),
    MEMBER(JSON, message_view, bcc, .otherwise = "[]"),
    MEMBER(TEXT, message_row, envelope_from),
    MEMBER(TEXT, message_view, subject, .column = true),
    MEMBER(JSON, message_row, tags, .otherwise = "[]"),
    MEMBER(JSON, message_row, metadata, .otherwise = "{}"),
    MEMBER(INT, message_row, size),
    MEMBER(JSON, message_row, auth),
    { .name = "content", .type = MEMBER_OWN, .show = show_content },
    MEMBER(TIME, message_row, content_until),
    MEMBER(ID, message_row, key_id, .prefix = "key"),
    MEMBER(ID, message_row, user_id, .prefix = "usr"),
    MEMBER(ID, message_row, request_id, .prefix = "req"),
    { .name = "template", .type = MEMBER_OWN, .show = show_template },
    MEMBER(ID, message_row, stream_id, .prefix = "str"),
    MEMBER(ID, message_row, batch_id, .prefix = "bat"),
    { .name = "tracking", .type = MEMBER_OWN, .show = show_tracking },
    MEMBER(TIME, message_row, scheduled_at),
    MEMBER(TIME, message_row, created_at, .column = true),
};
MEMBERS(message, .object = "message", .path = "/v1/messages/", .kind = &message_kind);

/* ---- one message ---- */

/* `people` is one JSON object with these members, and may be large: its parts are shown as they stand. */
static void show_people(struct bytes people, struct message_view *out)
{
    out->from = json_part(people, "from");
    out->reply_to = json_part(people, "reply_to");
    out->to = json_part(people, "to");
    out->cc = json_part(people, "cc");
    out->bcc = json_part(people, "bcc");
}

void message_show(struct call *c, const struct message_row *row, struct message_view *out)
{
    struct crypt_key content;
    struct err gone = { 0 };

    *out = (struct message_view){ .row = *row, .status = message_status(row) };
    show_people(row->people, out);
    if (!row->wrapped_key.p || !seal_open_server(c->svc, row->id, row->wrapped_key, row->wrap, &content, &gone))
        return;
    out->content_kept = true;
    out->subject = seal_open_text(&content, row->body_id, row->subject, c->arena);
    crypt_wipe(&content, sizeof content);
}

bool message_get(struct call *c, const struct message_get_in *in, struct message_view *out)
{
    struct message_row row;

    if (!find_for(c, in->id, SCOPE_MESSAGES_READ, &row))
        return false;
    message_show(c, &row, out);
    return true;
}

bool message_raw(struct call *c, const struct message_raw_in *in, struct content_out *out)
{
    struct message_row row;
    struct crypt_key content;
    bool ok;

    if (!find_for(c, in->id, SCOPE_MESSAGES_READ, &row) ||
        !seal_open_server(c->svc, row.id, row.wrapped_key, row.wrap, &content, &c->err))
        return false;
    ok = content_open(c, row.body_id, &content, row.trace, out);
    crypt_wipe(&content, sizeof content);
    return ok;
}

bool message_find_sent(struct call *c, struct bytes id, struct message_row *out)
{
    return message_find(c, id, out) &&
           (bytes_equal(out->direction, BYTES("outbound")) || err_set(&c->err, ERR_MISSING, "No such message"));
}

bool message_delete(struct call *c, const struct message_delete_in *in, void *out)
{
    struct message_row row;
    struct batch *b;

    (void)out;
    if (!call_may(c, SCOPE_SEND) || !message_find_sent(c, in->id, &row))
        return false;
    if (row.n_open || row.n_held)
        return err_set(&c->err, ERR_IN_USE, "The message is still being delivered; cancel it first");
    if (!row.wrapped_key.p)
        return true;
    b = batch_new(c->arena);
    message_erase(b, c->arena, &row);
    if (store_commit(c->store, b, c->deadline, &c->err))
        return true;
    return c->err.code == ERR_CONFLICT && err_set(&c->err, ERR_BUSY, "The message has just changed");
}
