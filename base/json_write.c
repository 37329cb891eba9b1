/* base/json_write.c - writing JSON as a stream: one bit a level tells whether a comma is due.
 *
 * Nothing here fails. A text past the maximum is remembered by its buf, bytes that are no UTF-8 become U+FFFD, and
 * calls in a wrong order are a bug of ours (assert). */
#include "base/clock.h"
#include "base/json.h"
#include <assert.h>

enum { DEEPEST = 63 };  /* jw.first has a bit for each level */
enum { ESCAPES = 384 }; /* bytes of them written at once */

/* Length of what stands for itself in a JSON string: anything but quotes, backslash, C0, and bytes past ASCII. */
static size_t plain_length(struct bytes text)
{
    size_t n = 0;

    while (n < text.n) {
        unsigned char c = (unsigned char)text.p[n];

        if (c < 0x20 || c >= 0x80 || c == '"' || c == '\\')
            break;
        n++;
    }
    return n;
}

/* The escape of a byte, at `to`; its length. */
static size_t escape_write(char *to, char c)
{
    static const char digits[] = "0123456789abcdef", names[] = "\"\"\\\\\bb\ff\nn\rr\tt";

    for (size_t i = 0; i + 1 < sizeof names; i += 2)
        if (c == names[i]) {
            to[0] = '\\';
            to[1] = names[i + 1];
            return 2;
        }
    memcpy(to, "\\u00", 4);
    to[4] = c & 0x10 ? '1' : '0';
    to[5] = digits[c & 0xF];
    return 6;
}

/* The bytes at the start of text that need an escape; how many there were. */
static size_t add_escapes(struct buf *out, struct bytes text)
{
    char escapes[ESCAPES];
    size_t n = 0, i = 0;

    for (; i < text.n && n + 6 <= sizeof escapes; i++) {
        unsigned char c = (unsigned char)text.p[i];

        if (c >= 0x20 && c != '"' && c != '\\')
            break;
        n += escape_write(escapes + n, text.p[i]);
    }
    buf_add(out, (struct bytes){ escapes, n });
    return i;
}

/* The run of valid characters past ASCII at the start of text, or one U+FFFD for one byte that is none. */
static size_t add_wide(struct buf *out, struct bytes text)
{
    size_t n = 0;

    while (n < text.n && (unsigned char)text.p[n] >= 0x80) {
        size_t length = bytes_utf8_length(bytes_from(text, n));

        if (length == 0)
            break;
        n += length;
    }
    buf_add(out, n ? bytes_head(text, n) : BYTES("\xEF\xBF\xBD"));
    return n ? n : 1;
}

static void add_quoted(struct buf *out, struct bytes text)
{
    buf_addc(out, '"');
    while (text.n) {
        size_t n = plain_length(text);

        buf_add(out, bytes_head(text, n));
        text = bytes_from(text, n);
        if (text.n && (unsigned char)text.p[0] >= 0x80) {
            text = bytes_from(text, add_wide(out, text));
        } else if (text.n) {
            text = bytes_from(text, add_escapes(out, text));
        }
    }
    buf_addc(out, '"');
}

void jw_init(struct jw *w, struct buf *out)
{
    *w = (struct jw){ .out = out, .first = 1 };
}

static void before_value(struct jw *w)
{
    uint64_t bit = UINT64_C(1) << w->depth;

    if (w->key) {
        w->key = false;
        return;
    }
    if (!(w->first & bit)) {
        assert(w->depth > 0); /* one value at the top */
        buf_addc(w->out, ',');
    }
    w->first &= ~bit;
}

static void open_level(struct jw *w, char c)
{
    before_value(w);
    buf_addc(w->out, c);
    assert(w->depth < DEEPEST);
    w->first |= UINT64_C(1) << ++w->depth;
}

static void close_level(struct jw *w, char c)
{
    assert(w->depth > 0 && !w->key);
    w->depth--;
    buf_addc(w->out, c);
}

void jw_object(struct jw *w)
{
    open_level(w, '{');
}

void jw_object_end(struct jw *w)
{
    close_level(w, '}');
}

void jw_array(struct jw *w)
{
    open_level(w, '[');
}

void jw_array_end(struct jw *w)
{
    close_level(w, ']');
}

void jw_key(struct jw *w, const char *name)
{
    assert(!w->key);
    before_value(w);
    add_quoted(w->out, bytes_of(name));
    buf_addc(w->out, ':');
    w->key = true;
}

void jw_raw(struct jw *w, struct bytes json)
{
    before_value(w);
    buf_add(w->out, json.p ? json : BYTES("null"));
}

void jw_text(struct jw *w, struct bytes text)
{
    if (!text.p) {
        jw_null(w);
        return;
    }
    before_value(w);
    add_quoted(w->out, text);
}

void jw_int(struct jw *w, int64_t n)
{
    char text[24];

    jw_raw(w, (struct bytes){ text, (size_t)snprintf(text, sizeof text, "%lld", (long long)n) });
}

void jw_bool(struct jw *w, bool b)
{
    jw_raw(w, b ? BYTES("true") : BYTES("false"));
}

void jw_null(struct jw *w)
{
    jw_raw(w, NO_BYTES);
}

void jw_time(struct jw *w, int64_t wall)
{
    char text[CLOCK_TEXT];

    jw_text(w, wall ? clock_rfc3339(wall, text) : NO_BYTES);
}

void jw_id(struct jw *w, const char *prefix, struct id id)
{
    char text[ID_TEXT + 1];

    jw_text(w, id_is_none(id) ? NO_BYTES : id_format(prefix, id, text));
}

/* json-c writes the strings of a tree as they are; one that we built may hold anything. */
void jw_tree(struct jw *w, struct json_object *tree)
{
    struct bytes json = BYTES("null");

    if (tree)
        json.p =
            json_object_to_json_string_length(tree, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &json.n);
    if (!json.p)
        die("out of memory: a JSON tree");
    before_value(w);
    while (json.n) {
        size_t n = bytes_utf8_length(json);

        buf_add(w->out, n ? bytes_head(json, n) : BYTES("\xEF\xBF\xBD"));
        json = bytes_from(json, n ? n : 1);
    }
}

void jw_key_text(struct jw *w, const char *name, struct bytes text)
{
    jw_key(w, name);
    jw_text(w, text);
}

void jw_key_int(struct jw *w, const char *name, int64_t n)
{
    jw_key(w, name);
    jw_int(w, n);
}

void jw_key_bool(struct jw *w, const char *name, bool b)
{
    jw_key(w, name);
    jw_bool(w, b);
}

void jw_key_time(struct jw *w, const char *name, int64_t wall)
{
    jw_key(w, name);
    jw_time(w, wall);
}

void jw_key_id(struct jw *w, const char *name, const char *prefix, struct id id)
{
    jw_key(w, name);
    jw_id(w, prefix, id);
}

void jw_key_raw(struct jw *w, const char *name, struct bytes json)
{
    jw_key(w, name);
    jw_raw(w, json);
}

struct bytes json_tree_text(struct arena *a, struct json_object *tree)
{
    struct buf out;
    struct jw w;
    struct bytes text;

    if (!tree)
        return NO_BYTES;
    buf_init(&out, (size_t)1024 * 1024);
    jw_init(&w, &out);
    jw_tree(&w, tree);
    text = arena_copy(a, buf_bytes(&out));
    buf_clear(&out);
    return text;
}
