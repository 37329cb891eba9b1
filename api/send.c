/* api/send.c - POST /v1/messages: the request as message_send takes it.
 *
 * Only forms are turned into one here: an address as text or object, one or a list, headers as a list or a map. null is
 * absent everywhere, in lists too; a fault names the place in the form that was sent. The body's memory is given back
 * before the service is called, since the tree has all of it. */
#include "api/send.h"
#include "api/private.h"
#include "api/request.h"
#include "base/crypt.h"
#include "base/params.h"
#include "service/queue/suppression.h"

/* ---- addresses: a text or an object, one or a list ---- */

static void address_read(const struct send_reading *r, struct json_object *value, const char *pointer,
                         struct send_address *out)
{
    struct call *c = r->call;
    struct err e = { 0 };
    bool object = json_object_is_type(value, json_type_object);
    struct bytes text =
        object ? json_text(value, "email")
               : (struct bytes){ json_object_get_string(value), (size_t)json_object_get_string_len(value) };

    out->pointer = pointer;
    if (!(object ? address_parse : mailbox_parse)(text, c->arena, &out->address, &e))
        call_fault(c, pointer, "invalid_address", "%s", e.message);
    else if (object)
        out->address.name = json_text(value, "name");
}

static struct send_address *addresses_read(const struct send_reading *r, const char *name, size_t *n)
{
    struct json_object *value = json_member(r->body, name);
    struct arena *a = r->call->arena;
    bool list = json_object_is_type(value, json_type_array);
    size_t given = !value ? 0 : list ? json_object_array_length(value) : 1;
    struct send_address *out = arena_array(a, given, sizeof *out);

    *n = 0;
    for (size_t i = 0; i < given; i++) {
        struct json_object *item = list ? json_object_array_get_idx(value, i) : value;

        if (item)
            address_read(r, item, list ? arena_printf(a, "/%s/%zu", name, i) : arena_printf(a, "/%s", name),
                         &out[(*n)++]);
    }
    return out;
}

static void people_read(const struct send_reading *r, struct message_send_in *in)
{
    struct json_object *from = json_member(r->body, "from"), *envelope = json_member(r->body, "envelope_from");

    if (from)
        address_read(r, from, "/from", &in->from);
    if (envelope)
        address_read(r, envelope, "/envelope_from", &in->envelope_from);
    in->to = addresses_read(r, "to", &in->n_to);
    in->cc = addresses_read(r, "cc", &in->n_cc);
    in->bcc = addresses_read(r, "bcc", &in->n_bcc);
    in->reply_to = addresses_read(r, "reply_to", &in->n_reply_to);
}

/* ---- headers, tags, attachments ---- */

static struct named_value *list_read(const struct send_reading *r, struct json_object *list, const size_t **places,
                                     size_t *n)
{
    size_t given = json_object_array_length(list), *at = arena_array(r->call->arena, given, sizeof *at);
    struct named_value *out = arena_array(r->call->arena, given, sizeof *out);

    for (size_t i = 0; i < given; i++) {
        struct json_object *item = json_object_array_get_idx(list, i);

        if (!json_member(item, "value"))
            continue;
        at[*n] = i;
        out[(*n)++] = (struct named_value){ json_text(item, "name"), json_text(item, "value") };
    }
    *places = at;
    return out;
}

static struct named_value *map_read(const struct send_reading *r, struct json_object *map, size_t *n)
{
    struct named_value *out = arena_array(r->call->arena, (size_t)json_object_object_length(map), sizeof *out);

    json_object_object_foreach(map, key, text) if (text) out[(*n)++] =
        (struct named_value){ bytes_of(key),
                              { json_object_get_string(text), (size_t)json_object_get_string_len(text) } };
    return out;
}

/* What has no value is absent. */
static struct named_value *pairs_read(const struct send_reading *r, const char *name, const size_t **places, size_t *n)
{
    struct json_object *value = json_member(r->body, name);

    *n = 0;
    if (!value)
        return NULL;
    return json_object_is_type(value, json_type_array) ? list_read(r, value, places, n) : map_read(r, value, n);
}

static struct bytes metadata_read(const struct send_reading *r)
{
    struct json_object *value = json_member(r->body, "metadata");

    if (!value)
        return NO_BYTES;
    json_object_object_foreach(value, name, text)
    {
        if (!text)
            json_object_object_del(value, name);
    }
    return json_tree_text(r->call->arena, value);
}

static struct bytes content_read(const struct send_reading *r, struct bytes text, size_t i)
{
    struct buf plain;
    struct bytes content = BYTES("");

    buf_init(&plain, text.n / 4 * 3 + 4);
    if (!crypt_from_base64(text, CRYPT_BASE64_LINES, &plain))
        call_fault(r->call, arena_printf(r->call->arena, "/attachments/%zu/content", i), "invalid_base64",
                   "Not base64 (RFC 4648, padded)");
    else if (plain.n)
        content = arena_copy(r->call->arena, buf_bytes(&plain));
    buf_clear(&plain);
    return content;
}

static void attachments_read(const struct send_reading *r, struct message_send_in *in)
{
    struct json_object *list = json_member(r->body, "attachments");
    size_t given = list ? json_object_array_length(list) : 0;
    size_t *at = arena_array(r->call->arena, given, sizeof *at);
    struct attachment *out = arena_array(r->call->arena, given, sizeof *out);

    for (size_t i = 0; i < given; i++) {
        struct json_object *item = json_object_array_get_idx(list, i);

        if (!item)
            continue;
        at[in->n_attachments] = i;
        out[in->n_attachments++] = (struct attachment){
            .filename = json_text(item, "filename"),
            .content_type = json_text(item, "content_type"),
            .content_id = json_text(item, "content_id"),
            .disposition = json_text(item, "disposition"),
            .content = content_read(r, json_text(item, "content"), i),
        };
    }
    in->attachments = out;
    in->attachment_at = at;
    in->n_listed = in->n_attachments;
}

/* What came as parts of a form stands behind what the JSON lists. */
static void attachments_add(struct request *r, struct message_send_in *in)
{
    struct attachment *all = arena_array(r->call.arena, in->n_attachments + r->form.n, sizeof *all);

    for (size_t i = 0; i < in->n_attachments; i++)
        all[i] = in->attachments[i];
    for (size_t i = 0; i < r->form.n; i++) {
        const struct form_part *p = &r->form.parts[i];

        all[in->n_attachments++] = (struct attachment){ .filename = p->filename,
                                                        .content_type = p->content_type,
                                                        .content_id = p->content_id,
                                                        .content = form_content(r, p) };
    }
    in->attachments = all;
}

static unsigned bypass_read(const struct send_reading *r)
{
    size_t n;
    struct bytes *reasons = json_texts(r->call->arena, json_member(r->body, "bypass"), &n);
    unsigned bits = 0;

    for (size_t i = 0; i < n; i++)
        bits |= suppression_bypass(suppression_reason_of(reasons[i]));
    return bits;
}

static bool bool_of(const struct send_reading *r, const char *name)
{
    return json_object_get_boolean(json_member(r->body, name));
}

/* By id or alias, one of the two. */
static void template_read(const struct send_reading *r, struct send_template *out)
{
    struct json_object *given = json_member(r->body, "template"),
                       *version = given ? json_member(given, "version") : NULL;
    struct bytes id = given ? json_text(given, "id") : NO_BYTES, alias = given ? json_text(given, "alias") : NO_BYTES;

    if (!given)
        return;
    if (!id.p == !alias.p)
        call_fault(r->call, "/template", "required", "A template is named by its id or its alias");
    out->name = id.p ? id : alias;
    out->variables = json_member(given, "variables");
    if (json_object_is_type(version, json_type_string))
        out->version = json_text(given, "version");
    else if (version)
        out->version = arena_bytesf(r->call->arena, "%lld", (long long)json_object_get_int64(version));
}

static void unsubscribe_read(const struct send_reading *r, struct send_unsubscribe *out)
{
    struct json_object *given = json_member(r->body, "unsubscribe"), *click;

    if (!given)
        return;
    click = json_member(given, "one_click");
    *out = (struct send_unsubscribe){ .given = true,
                                      .one_click = click && json_object_get_boolean(click),
                                      .refused = click && !json_object_get_boolean(click),
                                      .url = json_text(given, "url"),
                                      .mailto = json_text(given, "mailto"),
                                      .topic = json_text(given, "topic") };
}

static void calendar_read(const struct send_reading *r, struct calendar *out)
{
    struct json_object *given = json_member(r->body, "calendar");

    if (given)
        *out = (struct calendar){ .method = json_text(given, "method"), .content = json_text(given, "content") };
}

static struct tracking_said tracking_read(struct json_object *given)
{
    struct json_object *opens = given ? json_member(given, "opens") : NULL;

    return (struct tracking_said){ .opens_said = opens != NULL,
                                   .opens = json_object_get_boolean(opens),
                                   .clicks = given ? json_text(given, "clicks") : NO_BYTES };
}

/* ---- the whole ---- */

/* On a worker thread when the request is large. */
void send_read(const struct send_reading *r, struct message_send_in *in)
{
    people_read(r, in);
    attachments_read(r, in);
    in->subject = json_text(r->body, "subject");
    in->text = json_text(r->body, "text");
    in->html = json_text(r->body, "html");
    in->amp_html = json_text(r->body, "amp_html");
    calendar_read(r, &in->calendar);
    template_read(r, &in->template);
    in->headers = pairs_read(r, "headers", &in->header_at, &in->n_headers);
    in->header_map = json_object_is_type(json_member(r->body, "headers"), json_type_object);
    in->tags = pairs_read(r, "tags", &in->tag_at, &in->n_tags);
    in->metadata = metadata_read(r);
    in->in_reply_to = json_text(r->body, "in_reply_to");
    in->dsn = bool_of(r, "dsn");
    in->save_to_sent = bool_of(r, "save_to_sent");
    in->no_store = bool_of(r, "no_store");
    in->require_tls = bool_of(r, "require_tls");
    in->expires_after = json_object_get_int64(json_member(r->body, "expires_after"));
    in->priority = json_text(r->body, "priority");
    in->stream = json_text(r->body, "stream");
    unsubscribe_read(r, &in->unsubscribe);
    in->scheduled_at = time_of(json_text(r->body, "scheduled_at"));
    in->tracking = tracking_read(json_member(r->body, "tracking"));
    in->bypass = bypass_read(r);
}

struct job {
    struct send_reading reading;
    struct message_send_in *in;
};

static void read_job(void *arg)
{
    struct job *job = arg;

    send_read(&job->reading, job->in);
}

bool send_read_body(struct request *r, struct message_send_in *in)
{
    struct job job = { { &r->call, r->body }, in };
    bool large = r->json.n > API_SMALL;

    if (!r->is_form) /* else the attachments lie in it */
        exchange_forget_body(r->x);
    if (large && !offload(POOL_CPU, read_job, &job, &r->call.err))
        return false;
    if (!large)
        read_job(&job);
    if (r->form.n)
        attachments_add(r, in);
    return true;
}

static bool json_send_in(struct request *r, struct message_send_in *in)
{
    for (const char *const *p = (const char *const[]){ "from", "to", "scheduled_at", "stream", NULL }; *p; p++)
        if (query_text(r, *p).p || json_member(r->query, *p))
            call_fault(&r->call, arena_printf(r->call.arena, "/%s", *p), "unknown_parameter",
                       "This query parameter goes with message/rfc822");
    return send_read_body(r, in) && call_check(&r->call);
}

static void raw_send_in(struct request *r, struct message_send_in *in)
{
    in->is_raw = true;
    in->raw = body_source(r);
    in->raw_from = query_text(r, "from");
    in->scheduled_at = query_time(r, "scheduled_at");
    in->stream = query_text(r, "stream");
    in->raw_to = json_texts(r->call.arena, json_member(r->query, "to"), &in->n_raw_to);
}

bool api_message_send(struct request *r)
{
    struct message_send_in in = { 0 };
    struct intake_out out = { 0 };

    answer_kept(r, HTTP_ACCEPTED, &accepted_members);
    if (r->is_streamed)
        raw_send_in(r, &in);
    else if (!json_send_in(r, &in))
        return false;
    return message_send(&r->call, &in, &out) && answer_object(r, HTTP_ACCEPTED, &accepted_members, &out);
}
