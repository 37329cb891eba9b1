/* service/message/send_template.c - a send by a template: rendered at acceptance, so that later changes of the template
 * do not reach it, and then a send like any other.
 *
 * What the request says itself wins: subject, from, reply_to, and header fields of the same name; html, text and
 * amp_html are the template's alone. A fault of the template or its values is noted, and the rest of the request is
 * judged all the same, so that all faults are told at once. */
#include "service/message/message_private.h"
#include "service/template/rendering.h"

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

static bool has_header(const struct message_send_in *in, struct bytes name)
{
    for (size_t i = 0; i < in->n_headers; i++)
        if (bytes_equal_nocase(in->headers[i].name, name))
            return true;
    return false;
}

/* Behind those of the request, which it does not repeat. */
static void take_headers(struct call *c, const struct rendering *r, struct message_send_in *in)
{
    size_t n = in->n_headers, *at = arena_array(c->arena, n + r->n_headers + 1, sizeof *at);
    struct named_value *all = arena_array(c->arena, n + r->n_headers + 1, sizeof *all);

    for (size_t i = 0; i < n; i++) {
        all[i] = in->headers[i];
        at[i] = in->header_at ? in->header_at[i] : i;
    }
    for (size_t i = 0; i < r->n_headers; i++) {
        if (has_header(in, r->headers[i].name))
            continue;
        at[n] = n;
        all[n++] = r->headers[i];
    }
    in->headers = all;
    in->n_headers = n;
    in->header_at = at;
}

/* The request's own words stand, the template's take the other places. */
static bool take_over(struct call *c, const struct template_version_row *row, const struct rendering *r,
                      struct message_send_in *in)
{
    if (!in->subject.p)
        in->subject = r->subject;
    in->html = r->html;
    in->text = r->text;
    in->amp_html = r->amp_html;
    take_headers(c, r, in);
    return take_from(c, row->sender, in) && take_reply_to(c, row->reply_to, in);
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

static void only_template(struct call *c, const char *where, struct bytes given)
{
    if (given.p)
        call_fault(c, where, "not_allowed", "The template says it");
}

bool send_template(struct call *c, struct sending *s)
{
    struct message_send_in *in;

    if (!s->in->template.name.p)
        return true;
    in = arena_alloc(c->arena, sizeof *in);
    *in = *s->in;
    s->in = in;
    only_template(c, "/html", in->html);
    only_template(c, "/text", in->text);
    only_template(c, "/amp_html", in->amp_html);
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
