/* cli/send_body.c - see send_body.h. Files go as they are, beside the JSON and not in it: base64 would make them a
 * third larger, and the server would have to hold both. */
#include "cli/send_body.h"
#include "base/crypt.h"
#include "base/json.h"

const struct flag send_flags[] = {
    { "from", FLAG_TEXT, "from", false, "sender: a@b or \"Name <a@b>\"" },
    { "to", FLAG_TEXTS, "to", false, "recipient, may be repeated" },
    { "cc", FLAG_TEXTS, "cc", false, "recipient, may be repeated" },
    { "bcc", FLAG_TEXTS, "bcc", false, "recipient, may be repeated" },
    { "reply-to", FLAG_TEXTS, "reply_to", false, "where answers go" },
    { "subject", FLAG_TEXT, "subject", false, "" },
    { "text", FLAG_TEXT, "text", false, "plain text" },
    { "html", FLAG_TEXT, "html", false, "HTML" },
    { "amp-html-file", FLAG_WHOLE, NULL, false, "file with AMP for Email, beside text or HTML" },
    { "calendar-file", FLAG_WHOLE, NULL, false, "file with an iCalendar object: an invitation" },
    { "calendar-method", FLAG_TEXT, NULL, false, "of it: REQUEST (standard), CANCEL, REPLY …" },
    { "attach", FLAG_TEXTS, NULL, false, "file to attach, may be repeated" },
    { "template", FLAG_TEXT, NULL, false, "id or alias: what is rendered instead of text and html" },
    { "template-version", FLAG_NUMBER, NULL, false, "of it; standard: the one published last" },
    { "var", FLAG_NAMED, NULL, false, "name=value for the template, may be repeated" },
    { "variables-file", FLAG_JSON, NULL, false, "file with all values for it, as JSON" },
    { "stream", FLAG_TEXT, "stream", false, "slug or id of the stream it is of" },
    { "at", FLAG_TEXT, "scheduled_at", false, "when it begins (RFC 3339 time)" },
    { "track-opens", FLAG_SWITCH, NULL, false, "events tell when it is opened" },
    { "track-clicks", FLAG_TEXT, NULL, false, "none, html, text or both: whose links do" },
    { "save-to-sent", FLAG_SWITCH, "save_to_sent", false, "keep a copy in the sender's Sent" },
    { NULL, FLAG_TEXT, NULL, false, NULL },
};

bool send_read_file(FILE *f, struct buf *out)
{
    char block[16384];
    size_t n;

    while ((n = fread(block, 1, sizeof block, f)) > 0)
        buf_add(out, (struct bytes){ block, n });
    return !ferror(f) && !out->overflowed;
}

static void write_list(struct jw *w, const struct command_line *l, const struct flag *f)
{
    bool any = false;

    for (size_t i = 0; i < l->n_values; i++)
        if (l->values[i].flag == f) {
            if (!any) {
                jw_key(w, f->field);
                jw_array(w);
            }
            any = true;
            jw_text(w, bytes_of(l->values[i].text));
        }
    if (any)
        jw_array_end(w);
}

/* From a file, or of name=value; NULL when there are none, or after a word to the user. */
static struct json_object *variables_of(const struct command_line *l, bool *ok)
{
    struct json_object *values = NULL;

    for (size_t i = 0; *ok && i < l->n_values; i++) {
        const struct flag_value *v = &l->values[i];
        struct json_object *more = NULL;

        if (v->flag->type != FLAG_NAMED && v->flag->type != FLAG_JSON)
            continue;
        *ok = command_flag_json(l, v, values, &more);
        json_object_put(values);
        values = *ok ? more : NULL;
    }
    return values;
}

static bool write_template(const struct command_line *l, struct jw *w)
{
    const char *name = command_value(l, "template"), *version = command_value(l, "template-version");
    bool ok = true;
    struct json_object *values = variables_of(l, &ok);
    int64_t number = 0;

    if (name) {
        jw_key(w, "template");
        jw_object(w);
        jw_key_text(w, strncmp(name, "tpl_", 4) == 0 ? "id" : "alias", bytes_of(name));
        if (version && bytes_to_int(bytes_of(version), &number))
            jw_key_int(w, "version", number);
        if (values) {
            jw_key(w, "variables");
            jw_tree(w, values);
        }
        jw_object_end(w);
    }
    json_object_put(values);
    return ok;
}

/* What a flag of a file says; NULL where it was not given, or after a word to the user. */
static struct json_object *file_of(const struct command_line *l, const char *name, bool *ok)
{
    struct json_object *text = NULL;

    for (size_t i = 0; *ok && i < l->n_values; i++)
        if (strcmp(l->values[i].flag->name, name) == 0) {
            json_object_put(text);
            text = NULL;
            *ok = command_flag_json(l, &l->values[i], NULL, &text);
        }
    return text;
}

static bool write_files(const struct command_line *l, struct jw *w)
{
    const char *method = command_value(l, "calendar-method");
    bool ok = true;
    struct json_object *amp = file_of(l, "amp-html-file", &ok), *calendar = file_of(l, "calendar-file", &ok);

    if (amp)
        jw_key_text(w, "amp_html", bytes_of(json_object_get_string(amp)));
    if (calendar) {
        jw_key(w, "calendar");
        jw_object(w);
        jw_key_text(w, "method", bytes_of(method ? method : "REQUEST"));
        jw_key_text(w, "content", bytes_of(json_object_get_string(calendar)));
        jw_object_end(w);
    }
    json_object_put(amp);
    json_object_put(calendar);
    return ok;
}

static void write_tracking(const struct command_line *l, struct jw *w)
{
    const char *clicks = command_value(l, "track-clicks");

    if (!clicks && !command_switch(l, "track-opens"))
        return;
    jw_key(w, "tracking");
    jw_object(w);
    if (command_switch(l, "track-opens"))
        jw_key_bool(w, "opens", true);
    if (clicks)
        jw_key_text(w, "clicks", bytes_of(clicks));
    jw_object_end(w);
}

static bool write_json(const struct command_line *l, struct buf *out)
{
    const char *value;
    bool ok;
    struct jw w;

    jw_init(&w, out);
    jw_object(&w);
    for (const struct flag *f = send_flags; f->name; f++) {
        if (f->field && f->type == FLAG_TEXTS)
            write_list(&w, l, f);
        else if (f->field && (value = command_value(l, f->name)) != NULL && f->type == FLAG_SWITCH)
            jw_key_bool(&w, f->field, true);
        else if (f->field && (value = command_value(l, f->name)) != NULL)
            jw_key_text(&w, f->field, bytes_of(value));
    }
    write_tracking(l, &w);
    ok = write_template(l, &w) && write_files(l, &w);
    jw_object_end(&w);
    return ok;
}

/* ---- with files: a form ---- */

struct form {
    char boundary[40];
    struct buf *out;
};

static void begin_part(struct form *f, const char *name)
{
    buf_addf(f->out, "--%s\r\nContent-Disposition: form-data; name=\"%s\"", f->boundary, name);
}

/* As browsers do it (HTML, multipart/form-data encoding); a backslash as RFC 2045 has it. */
static void write_filename(struct form *f, const char *path)
{
    const char *slash = strrchr(path, '/');

    buf_adds(f->out, "; filename=\"");
    for (const char *c = slash ? slash + 1 : path; *c; c++)
        if (*c == '"')
            buf_adds(f->out, "%22");
        else if (*c == '\\')
            buf_adds(f->out, "\\\\");
        else if (*c != '\r' && *c != '\n')
            buf_addc(f->out, *c);
    buf_adds(f->out, "\"\r\n\r\n");
}

static bool write_file(const struct command_line *l, struct form *form, const char *path)
{
    FILE *f = fopen(path, "rb");
    bool ok;

    begin_part(form, "attachment");
    write_filename(form, path);
    ok = f && send_read_file(f, form->out);
    buf_adds(form->out, "\r\n");
    if (f)
        fclose(f);
    if (!ok && !form->out->overflowed)
        output_error(l, "cannot read %s", path);
    return ok;
}

static bool write_form(const struct command_line *l, struct bytes json, struct form *f)
{
    bool ok = true;

    begin_part(f, "message");
    buf_adds(f->out, "\r\nContent-Type: application/json\r\n\r\n");
    buf_add(f->out, json);
    buf_adds(f->out, "\r\n");
    for (size_t i = 0; ok && i < l->n_values; i++)
        if (strcmp(l->values[i].flag->name, "attach") == 0)
            ok = write_file(l, f, l->values[i].text);
    buf_addf(f->out, "--%s--\r\n", f->boundary);
    return ok;
}

bool send_body(const struct command_line *l, struct buf *out, const char **type)
{
    static char form_type[80];
    struct form form = { .out = out };
    uint8_t random[16];
    struct buf json;
    bool ok, files = command_switch(l, "attach");

    buf_init(&json, out->max);
    ok = write_json(l, &json);
    crypt_random(random, sizeof random);
    crypt_hex((struct bytes){ (const char *)random, sizeof random }, form.boundary);
    snprintf(form_type, sizeof form_type, "multipart/form-data; boundary=%s", form.boundary);
    if (ok && files)
        ok = write_form(l, buf_bytes(&json), &form);
    else if (ok)
        buf_add(out, buf_bytes(&json));
    if (json.overflowed || out->overflowed)
        output_error(l, "that is too much for one mail");
    *type = files ? form_type : "application/json";
    ok = ok && !json.overflowed && !out->overflowed;
    buf_clear(&json);
    return ok;
}
