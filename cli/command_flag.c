/* cli/command_flag.c - what a flag says, as the JSON of a request: a text, a number, a list or an object of those that
 * are repeated, or what stands in a file. What cannot be read is told to the user here, so that nothing is sent then.
 */
#include "base/json.h"
#include "cli/command.h"

#define FILE_MAX (1024 * 1024)

/* A file, or its first line, for secrets; false, after a word to the user, when there is none. */
static bool file_text(const struct command_line *l, const char *name, bool whole, struct json_object **out)
{
    FILE *f = strcmp(name, "-") == 0 ? stdin : fopen(name, "r");
    static char text[FILE_MAX];
    size_t n = f ? fread(text, 1, sizeof text, f) : 0, line;
    bool ok = f && !ferror(f);

    if (f && f != stdin)
        fclose(f);
    if (!ok) {
        output_error(l, "cannot read %s", name);
        return false;
    }
    for (line = 0; line < n && (whole || (text[line] != '\n' && text[line] != '\r')); line++)
        continue;
    if (line == 0 || line == sizeof text || memchr(text, 0, line)) {
        output_error(l, "%s holds no such text", name);
        return false;
    }
    *out = json_object_new_string_len(text, (int)line);
    return true;
}

static bool file_json(const struct command_line *l, const char *path, struct json_object **out)
{
    struct json_object *text = NULL;
    struct err e = { 0 };
    bool ok = file_text(l, path, true, &text);

    if (ok && !json_read(bytes_of(json_object_get_string(text)), out, &e)) {
        output_error(l, "%s: %s", path, e.message);
        ok = false;
    }
    json_object_put(text);
    return ok;
}

static bool named_json(const struct command_line *l, const char *text, struct json_object *before,
                       struct json_object **out)
{
    struct bytes name, value;
    char key[128];

    *out = before ? json_object_get(before) : json_object_new_object();
    if (!bytes_cut(bytes_of(text), '=', &name, &value) || name.n == 0 || name.n > 100) {
        output_error(l, "%s: name=value is wanted", text);
        json_object_put(*out);
        return false;
    }
    snprintf(key, sizeof key, "%.*s", SHOW(name));
    json_object_object_add(*out, key, json_object_new_string_len(value.p, (int)value.n));
    return true;
}

bool command_flag_json(const struct command_line *l, const struct flag_value *v, struct json_object *before,
                       struct json_object **out)
{
    int64_t number = 0;

    switch (v->flag->type) {
    case FLAG_NUMBER:
        bytes_to_int(bytes_of(v->text), &number);
        *out = json_object_new_int64(number);
        return true;
    case FLAG_SWITCH: *out = json_object_new_boolean(true); return true;
    case FLAG_FILE:
    case FLAG_WHOLE: return file_text(l, v->text, v->flag->type == FLAG_WHOLE, out);
    case FLAG_JSON: return file_json(l, v->text, out);
    case FLAG_NAMED: return named_json(l, v->text, before, out);
    case FLAG_TEXTS:
        *out = before ? json_object_get(before) : json_object_new_array();
        json_object_array_add(*out, json_object_new_string(v->text));
        return true;
    default: *out = strcmp(v->text, "null") == 0 ? NULL : json_object_new_string(v->text); return true;
    }
}
