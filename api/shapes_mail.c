/* Messages, deliveries, events, entries, settings. */
#include "api/shapes.h"
#include "service/delivery.h"
#include "service/entry.h"
#include "service/message.h"
#include "service/setting.h"

/* ---- messages ---- */

/* `people` is one JSON object with these members; an inbound message has none. */
static void people_write(struct jw *w, struct bytes json)
{
    static const char *const names[] = { "from", "reply_to", "to", "cc", "bcc" };
    struct json_object *people = NULL;
    struct err e = { 0 };

    if (json.p && !json_read(json, &people, &e))
        people = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct json_object *member = json_member(people, names[i]);

        jw_key(w, names[i]);
        if (member)
            jw_tree(w, member);
        else if (i == 0)
            jw_null(w);
        else
            jw_raw(w, BYTES("[]"));
    }
    json_object_put(people);
}

static void message_write(struct jw *w, const void *row, struct call *c)
{
    const struct message_view *v = row;
    const struct message_row *m = &v->row;

    (void)c;
    object_begin(w, "message", "msg", m->id, m->account_id);
    jw_key_text(w, "header_message_id", m->header_message_id);
    jw_key_text(w, "direction", m->direction);
    jw_key_text(w, "source", m->source);
    jw_key_text(w, "mode", m->mode);
    jw_key_text(w, "status", v->status);
    people_write(w, m->people);
    jw_key_text(w, "envelope_from", m->envelope_from);
    jw_key_text(w, "subject", v->subject);
    json_or(w, "tags", m->tags, "[]");
    json_or(w, "metadata", m->metadata, "{}");
    jw_key_int(w, "size", m->size);
    jw_key_text(w, "content", v->content_kept ? BYTES("kept") : BYTES("gone"));
    jw_key_time(w, "content_until", m->content_until);
    jw_key_id(w, "key_id", "key", m->key_id);
    jw_key_id(w, "user_id", "usr", m->user_id);
    jw_key_id(w, "request_id", "req", m->request_id);
    jw_key_time(w, "created_at", m->created_at);
    jw_object_end(w);
}

static void accepted_write(struct jw *w, const void *out, struct call *c)
{
    const struct intake_out *m = out;

    object_begin(w, "message", "msg", m->message_id, c->account);
    jw_key_text(w, "header_message_id", m->header_message_id);
    jw_key_text(w, "mode", m->mode);
    jw_key_text(w, "status", m->status);
    jw_key_time(w, "created_at", m->created_at);
    jw_key(w, "recipients");
    jw_array(w);
    for (size_t i = 0; i < m->n_recipients; i++) {
        jw_object(w);
        jw_key_id(w, "id", "dlv", m->recipients[i].delivery_id);
        jw_key_text(w, "email", m->recipients[i].email);
        jw_key_text(w, "status", m->recipients[i].status);
        jw_object_end(w);
    }
    jw_array_end(w);
    jw_object_end(w);
}

/* ---- deliveries and events ---- */

static void delivery_write(struct jw *w, const void *row, struct call *c)
{
    const struct delivery_row *d = row;

    (void)c;
    object_begin(w, "delivery", "dlv", d->id, d->account_id);
    jw_key_id(w, "message_id", "msg", d->message_id);
    jw_key_text(w, "email", d->email);
    jw_key_text(w, "kind", d->kind);
    jw_key_text(w, "status", d->status);
    jw_key_int(w, "attempts", d->attempts);
    jw_key_time(w, "next_attempt_at", d->due_at);
    jw_key_time(w, "expires_at", d->expires_at);
    jw_key_id(w, "entry_id", "ent", d->entry_id);
    jw_key_raw(w, "last", d->last);
    jw_key_time(w, "created_at", d->created_at);
    jw_object_end(w);
}

static void event_write(struct jw *w, const void *row, struct call *c)
{
    const struct event_row *v = row;

    (void)c;
    object_begin(w, "event", "evt", v->id, v->account_id);
    jw_key_text(w, "type", v->type);
    jw_key_time(w, "at", v->at);
    jw_key_id(w, "message_id", "msg", v->message_id);
    jw_key_id(w, "delivery_id", "dlv", v->delivery_id);
    jw_key_text(w, "email", v->email);
    json_or(w, "tags", v->tags, "[]");
    json_or(w, "metadata", v->metadata, "{}");
    jw_key_raw(w, "data", v->data);
    jw_object_end(w);
}

/* ---- entries ---- */

static void headers_write(struct jw *w, const struct entry_view *v)
{
    jw_key(w, "headers");
    jw_array(w);
    for (size_t i = 0; i < v->n_headers; i++) {
        jw_object(w);
        jw_key_text(w, "name", v->headers[i].name);
        jw_key_text(w, "value", v->headers[i].value);
        jw_object_end(w);
    }
    jw_array_end(w);
}

static void attachments_write(struct jw *w, const struct entry_view *v)
{
    jw_key(w, "attachments");
    jw_array(w);
    for (size_t i = 0; i < v->n_attachments; i++) {
        const struct entry_attachment *a = &v->attachments[i];

        jw_object(w);
        jw_key_int(w, "index", a->index);
        jw_key_text(w, "filename", a->filename);
        jw_key_text(w, "content_type", a->content_type);
        jw_key_text(w, "content_id", a->content_id);
        jw_key_text(w, "disposition", a->disposition);
        jw_key_int(w, "size", a->size);
        jw_object_end(w);
    }
    jw_array_end(w);
}

static void full_write(struct jw *w, const struct entry_view *v)
{
    json_or(w, "cc", v->cc, "[]");
    json_or(w, "reply_to", v->reply_to, "[]");
    headers_write(w, v);
    jw_key_text(w, "text", v->text);
    jw_key_bool(w, "text_truncated", v->text_truncated);
    jw_key_text(w, "html", v->html);
    jw_key_bool(w, "html_truncated", v->html_truncated);
    attachments_write(w, v);
}

static void entry_write(struct jw *w, const void *row, struct call *c)
{
    const struct entry_view *v = row;
    const struct entry_row *r = &v->row;

    (void)c;
    object_begin(w, "entry", "ent", r->id, r->account_id);
    jw_key_id(w, "mailbox_id", "mbx", r->mailbox_id);
    jw_key_id(w, "message_id", "msg", r->message_id);
    jw_key_int(w, "uid", r->uid);
    jw_key_text(w, "header_message_id", v->header_message_id);
    jw_key_raw(w, "from", v->from);
    json_or(w, "to", v->to, "[]");
    jw_key_text(w, "subject", v->subject);
    jw_key_text(w, "snippet", v->snippet);
    jw_key_time(w, "sent_at", r->sent_at);
    jw_key_time(w, "received_at", r->received_at);
    jw_key_int(w, "size", r->size);
    jw_key_bool(w, "seen", r->flags & ENTRY_SEEN);
    jw_key_bool(w, "flagged", r->flags & ENTRY_FLAGGED);
    jw_key_bool(w, "answered", r->flags & ENTRY_ANSWERED);
    jw_key_bool(w, "draft", r->flags & ENTRY_DRAFT);
    json_or(w, "keywords", v->keywords.p ? v->keywords : r->keywords, "[]");
    jw_key_int(w, "attachment_count", v->attachment_count);
    if (v->full)
        full_write(w, v);
    jw_object_end(w);
}

/* ---- settings ---- */

/* The view gives text; numbers and booleans are shown as what they are. */
static void value_write(struct jw *w, const char *name, enum param_type type, struct bytes text)
{
    bool number = type == PARAM_TYPE_INT || type == PARAM_TYPE_SIZE || type == PARAM_TYPE_DURATION;
    int64_t n;

    jw_key(w, name);
    if (!text.p)
        jw_null(w);
    else if (number && bytes_to_int(text, &n))
        jw_int(w, n);
    else if (type == PARAM_TYPE_BOOL)
        jw_bool(w, bytes_equal(text, BYTES("true")));
    else
        jw_text(w, text);
}

/* Bounds are numbers: of the value, or of the length of a text. */
static void bound_write(struct jw *w, const char *name, struct bytes text)
{
    int64_t n;

    jw_key(w, name);
    if (text.n && bytes_to_int(text, &n))
        jw_int(w, n);
    else
        jw_null(w);
}

static void choices_write(struct jw *w, const struct param_row *row)
{
    struct bytes rest = bytes_of(row->min), choice;

    jw_key(w, "choices");
    if (row->type != PARAM_TYPE_CHOICE) {
        jw_null(w);
        return;
    }
    jw_array(w);
    while (rest.n) {
        bytes_cut(rest, '|', &choice, &rest);
        jw_text(w, choice);
    }
    jw_array_end(w);
}

static void setting_write(struct jw *w, const void *row, struct call *c)
{
    static const char *const sources[] = { "default", "store", "file", "env", "flag" };
    const struct setting_view *v = row;
    const struct param_row *p = param_row(v->param);

    (void)c;
    jw_object(w);
    jw_key_text(w, "object", BYTES("setting"));
    jw_key_text(w, "id", bytes_of(p->name));
    jw_key_text(w, "name", bytes_of(p->name));
    value_write(w, "value", p->type, v->value);
    value_write(w, "pending", p->type, v->pending);
    value_write(w, "default", p->type, v->standard);
    jw_key_text(w, "type", bytes_of(v->type));
    bound_write(w, "min", v->min);
    bound_write(w, "max", v->max);
    jw_key_bool(w, "live", p->when == PARAM_LIVE);
    jw_key_text(w, "source", bytes_of(sources[v->source]));
    jw_key_text(w, "text", bytes_of(p->text));
    choices_write(w, p);
    jw_object_end(w);
}

static void setting_change_write(struct jw *w, const void *row, struct call *c)
{
    const struct setting_change_row *s = row;

    (void)c;
    jw_object(w);
    jw_key_text(w, "object", BYTES("setting_change"));
    jw_key_id(w, "id", "set", s->id);
    jw_key_text(w, "name", s->name);
    jw_key_text(w, "old_value", s->old_value);
    jw_key_text(w, "new_value", s->new_value);
    jw_key_text(w, "who", s->who);
    jw_key_time(w, "at", s->at);
    jw_object_end(w);
}

const struct shape message_shape = { message_write, "/v1/messages/", "msg", offsetof(struct message_view, row.id) };
const struct shape accepted_shape = { accepted_write, "/v1/messages/", "msg", offsetof(struct intake_out, message_id) };
const struct shape delivery_shape = { delivery_write, "/v1/deliveries/", "dlv", offsetof(struct delivery_row, id) };
const struct shape event_shape = { event_write, "/v1/events/", "evt", offsetof(struct event_row, id) };
const struct shape entry_shape = { entry_write, "/v1/entries/", "ent", offsetof(struct entry_view, row.id) };
const struct shape setting_shape = { setting_write, "/v1/settings/", "", 0 };
const struct shape setting_change_shape = { setting_change_write, "", "", offsetof(struct setting_change_row, id) };
