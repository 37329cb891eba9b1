/* service/message/preview_show.c - a preview as it is answered. It is no row of anything: each member is written by
 * hand, and none says where it would be kept. */
#include "service/core/member.h"
#include "service/message/preview.h"

static void show_valid(struct jw *w, const void *row)
{
    jw_bool(w, ((const struct preview_out *)row)->n_errors == 0);
}

static void show_errors(struct jw *w, const void *row)
{
    const struct preview_out *out = row;

    faults_show(w, out->errors, out->n_errors);
}

static void write_headers(struct jw *w, const struct preview_out *out)
{
    jw_key(w, "headers");
    jw_array(w);
    for (size_t i = 0; i < out->n_headers; i++) {
        jw_object(w);
        jw_key_text(w, "name", out->headers[i].name);
        jw_key_text(w, "value", out->headers[i].value);
        jw_object_end(w);
    }
    jw_array_end(w);
}

static void show_message(struct jw *w, const void *row)
{
    const struct preview_out *out = row;

    if (!out->rendered) {
        jw_null(w);
        return;
    }
    jw_object(w);
    jw_key_text(w, "subject", out->subject);
    jw_key_text(w, "html", out->html);
    jw_key_text(w, "text", out->text);
    jw_key_text(w, "amp_html", out->amp_html);
    write_headers(w, out);
    jw_key_int(w, "size", out->size);
    jw_object_end(w);
}

static void write_verdict(struct jw *w, const struct preview_recipient *one)
{
    jw_key(w, "verdict");
    if (!one->status.p) {
        jw_null(w);
        return;
    }
    jw_object(w);
    jw_key_text(w, "status", one->status);
    jw_key(w, "code");
    if (one->code)
        jw_int(w, one->code);
    else
        jw_null(w);
    jw_key_text(w, "enhanced", one->enhanced);
    jw_key_text(w, "text", one->text);
    jw_key_text(w, "cause", one->cause);
    jw_object_end(w);
}

static void write_recipient(struct jw *w, const struct preview_recipient *one)
{
    jw_object(w);
    jw_key_text(w, "email", one->email);
    jw_key_text(w, "kind", one->kind);
    jw_key(w, "suppressed");
    if (one->suppressed.p) {
        jw_object(w);
        jw_key_text(w, "reason", one->suppressed);
        jw_object_end(w);
    } else {
        jw_null(w);
    }
    jw_key(w, "route");
    jw_object(w);
    jw_key_text(w, "type", one->route);
    jw_key_id(w, "id", route_kind.prefix, one->route_id);
    jw_object_end(w);
    write_verdict(w, one);
    jw_object_end(w);
}

static void show_recipients(struct jw *w, const void *row)
{
    const struct preview_out *out = row;

    jw_array(w);
    for (size_t i = 0; i < out->n_recipients; i++)
        write_recipient(w, &out->recipients[i]);
    jw_array_end(w);
}

static void show_warnings(struct jw *w, const void *row)
{
    const struct preview_out *out = row;

    jw_array(w);
    for (size_t i = 0; i < out->n_warnings; i++) {
        jw_object(w);
        jw_key_text(w, "code", bytes_of(out->warnings[i].code));
        jw_key_text(w, "message", out->warnings[i].message);
        jw_object_end(w);
    }
    jw_array_end(w);
}

static const struct member preview_list_[] = {
    { .name = "valid", .type = MEMBER_OWN, .show = show_valid },
    { .name = "errors", .type = MEMBER_OWN, .show = show_errors },
    { .name = "message", .type = MEMBER_OWN, .show = show_message },
    { .name = "recipients", .type = MEMBER_OWN, .show = show_recipients },
    { .name = "warnings", .type = MEMBER_OWN, .show = show_warnings },
    MEMBER(TEXT, preview_out, view_url),
};
MEMBERS(preview, .object = "preview");
