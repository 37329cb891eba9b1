/* Answers for people (tables and lines) or for programs (JSON). What comes from mail is printed without control
 * characters. */
#include "base/json.h"
#include "cli/command.h"
#include "service/core/member.h"
#include <json-c/json.h>
#include <stdarg.h>
#include <unistd.h>

#define COLUMNS_MAX 16
#define CELL_MAX    60

bool output_json(const struct command_line *l)
{
    return command_switch(l, "json") || !isatty(STDOUT_FILENO);
}

void output_error(const struct command_line *l, const char *format, ...)
{
    struct buf json;
    struct jw w;
    va_list args;
    char message[1024];

    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    buf_init(&json, 16384);
    if (output_json(l)) {
        jw_init(&w, &json);
        jw_object(&w);
        jw_key_text(&w, "error", bytes_of(message));
        jw_object_end(&w);
        fprintf(stderr, "%.*s\n", SHOW(buf_bytes(&json)));
    } else {
        fprintf(stderr, "error: %s\n", message);
    }
    buf_clear(&json);
}

/* A value as a person reads it: strings bare, null as "-", {email,name} and lists short. */
static void show(struct json_object *v, struct buf *out)
{
    struct json_object *email;

    switch (json_object_get_type(v)) {
    case json_type_null: buf_addc(out, '-'); break;
    case json_type_string: buf_adds(out, json_object_get_string(v)); break;
    case json_type_array:
        for (size_t i = 0; i < json_object_array_length(v); i++) {
            if (i)
                buf_adds(out, ", ");
            show(json_object_array_get_idx(v, i), out);
        }
        break;
    case json_type_object:
        if (json_object_object_get_ex(v, "email", &email)) {
            show(email, out);
            break;
        } /* fall through */
    default: buf_adds(out, json_object_to_json_string_ext(v, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
    }
}

static void clean(struct buf *b)
{
    for (size_t i = 0; i < b->n; i++)
        if ((unsigned char)b->p[i] < 32 || b->p[i] == 127)
            b->p[i] = ' ';
}

static void cell(struct json_object *row, const char *column, struct buf *out)
{
    struct json_object *v = NULL;

    buf_reset(out);
    json_object_object_get_ex(row, column, &v);
    show(v, out);
    clean(out);
    if (out->n > CELL_MAX) { /* cut at a character, not within one */
        size_t n = CELL_MAX - 3;

        while (n && ((unsigned char)out->p[n] & 0xC0) == 0x80)
            n--;
        out->n = n;
        buf_adds(out, "...");
    }
}

static size_t columns_of(const struct members *m, const char **out)
{
    size_t n = 0;

    for (size_t i = 0; m && i < m->n && n < COLUMNS_MAX; i++)
        if (m->all[i].column)
            out[n++] = m->all[i].name;
    if (!n)
        out[n++] = "id";
    return n;
}

static void table(struct json_object *rows, const struct members *m)
{
    const char *names[COLUMNS_MAX];
    size_t width[COLUMNS_MAX], count = json_object_array_length(rows), n = columns_of(m, names);
    struct buf text;

    buf_init(&text, 65536);
    for (size_t c = 0; c < n; c++) {
        width[c] = strlen(names[c]);
        for (size_t i = 0; i < count; i++) {
            cell(json_object_array_get_idx(rows, i), names[c], &text);
            width[c] = text.n > width[c] ? text.n : width[c];
        }
    }
    for (size_t c = 0; c < n; c++)
        printf("%-*s%s", c + 1 < n ? (int)width[c] : 0, names[c], c + 1 < n ? "  " : "\n");
    for (size_t i = 0; i < count; i++)
        for (size_t c = 0; c < n; c++) {
            cell(json_object_array_get_idx(rows, i), names[c], &text);
            printf("%-*.*s%s", c + 1 < n ? (int)width[c] : 0, SHOW(buf_bytes(&text)), c + 1 < n ? "  " : "\n");
        }
    buf_clear(&text);
}

static void lines(struct json_object *object)
{
    struct buf text;

    buf_init(&text, 1024 * 1024);
    json_object_object_foreach(object, name, value)
    {
        buf_reset(&text);
        show(value, &text);
        clean(&text);
        printf("%-18s %.*s\n", name, SHOW(buf_bytes(&text)));
    }
    buf_clear(&text);
}

void output_answer(const struct command_line *l, struct json_object *answer, const struct members *m)
{
    struct json_object *data, *next;

    if (!answer)
        return;
    if (output_json(l)) {
        puts(json_object_to_json_string_ext(answer, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
        return;
    }
    if (!json_object_object_get_ex(answer, "data", &data) || !json_object_is_type(data, json_type_array)) {
        lines(answer);
        return;
    }
    table(data, m);
    if (json_object_object_get_ex(answer, "next", &next) && next)
        printf("more: --after %s\n", json_object_get_string(next));
}
