/* service/message/send_template.c - a send by a template: rendered at acceptance, so that later changes of the template
 * do not reach it, and then a send like any other.
 *
 * What the request says itself wins: subject, from, reply_to, and header fields of the same name; html and text are the
 * template's alone. A fault of the template or its values is noted, and the rest of the request is judged all the same,
 * so that all faults are told at once. */
#include "service/message/message_private.h"
#include "service/template/rendering.h"
#include <json-c/linkhash.h>

/* Faults were noted, and no error is left: they are told with the others. */
static bool noted(struct call *c)
{
    if (c->err.code != ERR_INVALID || !c->n_faults)
        return false;
    c->err = (struct err){ 0 };
    return true;
}

static void take_address(struct call *c, struct json_object *one, struct send_address *out, const char *pointer)
{
    struct err e = { 0 };

    out->pointer = pointer;
    if (!address_parse(json_text(one, "email"), c->arena, &out->address, &e))
        call_fault(c, pointer, "invalid_address", "%s", e.message);
    out->address.name = json_text(one, "name").p ? arena_copy(c->arena, json_text(one, "name")) : NO_BYTES;
}

static bool take_from(struct call *c, struct bytes json, struct message_send_in *in)
{
    struct json_object *one = NULL;

    if (in->from.pointer || !json.p)
        return true;
    if (!json_read(json, &one, &c->err))
        return false;
    take_address(c, one, &in->from, "/template/from");
    json_object_put(one);
    return true;
}

static bool take_reply_to(struct call *c, struct bytes json, struct message_send_in *in)
{
    struct json_object *list = NULL;
    struct send_address *out;

    if (in->n_reply_to || !json.p)
        return true;
    if (!json_read(json, &list, &c->err))
        return false;
    in->n_reply_to = json_object_array_length(list);
    in->reply_to = out = arena_array(c->arena, in->n_reply_to, sizeof *out);
    for (size_t i = 0; i < in->n_reply_to; i++)
        take_address(c, json_object_array_get_idx(list, i), &out[i], "/template/reply_to");
    json_object_put(list);
    return true;
}

struct fields {
    struct call *c;
    struct named_value *list;
    size_t *at, n, own; /* the first `own` are the request's */
};

static void add_field(struct fields *f, struct bytes name, struct json_object *value)
{
    if (!json_object_is_type(value, json_type_string))
        return;
    for (size_t i = 0; i < f->own; i++)
        if (bytes_equal_nocase(f->list[i].name, name))
            return;
    f->at[f->n] = f->n;
    f->list[f->n++] = (struct named_value){ arena_copy(f->c->arena, name),
                                            arena_copy(f->c->arena, bytes_of(json_object_get_string(value))) };
}

/* A list of {name, value}, or a map. */
static void add_fields(struct fields *f, struct json_object *given)
{
    if (json_object_is_type(given, json_type_array)) {
        for (size_t i = 0; i < json_object_array_length(given); i++) {
            struct json_object *one = json_object_array_get_idx(given, i);

            add_field(f, json_text(one, "name"), json_member(one, "value"));
        }
        return;
    }
    json_object_object_foreach(given, name, value)
    {
        add_field(f, bytes_of(name), value);
    }
}

static bool take_headers(struct call *c, struct bytes json, struct message_send_in *in)
{
    struct json_object *given = NULL;
    struct fields f = { .c = c, .own = in->n_headers, .n = in->n_headers };
    size_t most;

    if (!json.p)
        return true;
    if (!json_read(json, &given, &c->err))
        return false;
    most = in->n_headers + (json_object_is_type(given, json_type_array) ? json_object_array_length(given)
                                                                        : (size_t)json_object_object_length(given));
    f.list = arena_array(c->arena, most + 1, sizeof *f.list);
    f.at = arena_array(c->arena, most + 1, sizeof *f.at);
    for (size_t i = 0; i < in->n_headers; i++) {
        f.list[i] = in->headers[i];
        f.at[i] = in->header_at ? in->header_at[i] : i;
    }
    add_fields(&f, given);
    in->headers = f.list;
    in->n_headers = f.n;
    in->header_at = f.at;
    json_object_put(given);
    return true;
}

/* The request's own words stand, the template's take the other places. */
static bool take_over(struct call *c, const struct template_version_row *row, const struct rendering *r,
                      struct message_send_in *in)
{
    if (!in->subject.p)
        in->subject = r->subject;
    in->html = r->html;
    in->text = r->text;
    return take_from(c, row->sender, in) && take_reply_to(c, row->reply_to, in) && take_headers(c, row->headers, in);
}

static bool render(struct call *c, struct sending *s, struct message_send_in *in)
{
    const struct send_template *given = &s->in->template;
    const struct rendering_of of = { .name = given->name, .version = given->version, .drafts = given->drafts };
    const struct rendering_values values = { given->variables, s->unsubscribe.url };
    struct rendering *r = arena_alloc(c->arena, sizeof *r);
    struct compiled *k = NULL;
    bool good;

    if (!rendering_find(c, &of, &k, &s->template_id, &s->template_version)) {
        if (!call_was_missing(c))
            return false;
        call_fault(c, "/template", "not_found", "No such template, or it was never published");
        return call_check(c);
    }
    good = rendering_make(c, k, &values, "/template", true, r) && take_over(c, compiled_view(k)->row, r, in);
    s->rendering = r;
    compiled_put(&k);
    return good;
}

bool send_template(struct call *c, struct sending *s)
{
    struct message_send_in *in;

    if (!s->in->template.name.p)
        return true;
    in = arena_alloc(c->arena, sizeof *in);
    *in = *s->in;
    s->in = in;
    if (in->html.p)
        call_fault(c, "/html", "not_allowed", "The template says it");
    if (in->text.p)
        call_fault(c, "/text", "not_allowed", "The template says it");
    if (!c->n_faults && render(c, s, in))
        return true;
    if (c->err.code && !noted(c))
        return false;
    if (!in->text.p)
        in->text = BYTES(" "); /* what is missing is told already */
    if (!in->from.pointer)
        in->from = (struct send_address){
            .address = { .local = BYTES("x"), .domain = BYTES("invalid"), .email = BYTES("x@invalid") },
            .pointer = "/from"
        };
    return true;
}
