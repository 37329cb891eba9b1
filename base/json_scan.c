/* The strict scan. It keeps a stack of levels instead of calling itself, so that depth costs no stack, and reads every
 * byte once; the keys of all open and closed objects are remembered as keyed hashes of 128 bits, so that an object of
 * 100,000 keys is no quadratic affair and nobody outside can make two keys collide. */
#include "base/json_tree.h"
#include <math.h>
#include <pthread.h>
#include <sodium.h>

enum { KEYS_INLINE = 32 };

struct key_hash {
    uint64_t a, b; /* both 0: a free place */
};

struct level {
    uint64_t object; /* its number in the text, from 1; 0 for an array */
    bool kept;       /* it is in the tree */
    const void *shape;
    size_t items;
};

struct scan {
    struct bytes text;
    size_t at;
    const char *wrong; /* what is wrong, and where */
    size_t wrong_at;
    int depth;
    struct level levels[JSON_DEPTH_MAX];
    uint64_t objects;
    struct key_hash *keys, keys_inline[KEYS_INLINE];
    size_t keys_n, keys_cap;
    size_t values, values_max;
    struct json_tree *tree; /* NULL: the scan alone */
    const struct json_shape *shape;
    bool keep;        /* the value at hand goes into the tree */
    const void *next; /* and has this shape */
    bool in_key;
};

static unsigned char hash_key[crypto_shorthash_siphashx24_KEYBYTES];

static void hash_key_make(void)
{
    randombytes_buf(hash_key, sizeof hash_key);
}

static bool fail(struct scan *s, size_t at, const char *wrong)
{
    s->wrong = wrong;
    s->wrong_at = at;
    return false;
}

/* The byte at hand, or -1 at the end: NUL is a byte like others. */
static int peek(const struct scan *s)
{
    return s->at < s->text.n ? (unsigned char)s->text.p[s->at] : -1;
}

static bool take_char(struct scan *s, char c)
{
    if (peek(s) != c)
        return false;
    s->at++;
    return true;
}

static void skip_blanks(struct scan *s)
{
    int c = peek(s);

    while (c == ' ' || c == '\n' || c == '\r' || c == '\t') {
        s->at++;
        c = peek(s);
    }
}

static bool read_hex(struct scan *s, unsigned *out)
{
    *out = 0;
    for (int i = 0; i < 4; i++, s->at++) {
        int c = peek(s);

        if (c >= '0' && c <= '9')
            *out = *out << 4 | (unsigned)(c - '0');
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            *out = *out << 4 | (unsigned)((c | 0x20) - 'a' + 10);
        else
            return fail(s, s->at, "bad \\u escape");
    }
    return true;
}

static void add_point(struct buf *out, unsigned c)
{
    if (c < 0x80) {
        buf_addc(out, (char)c);
    } else if (c < 0x800) {
        buf_addc(out, (char)(0xC0 | c >> 6));
    } else if (c < 0x10000) {
        buf_addc(out, (char)(0xE0 | c >> 12));
        buf_addc(out, (char)(0x80 | (c >> 6 & 0x3F)));
    } else {
        buf_addc(out, (char)(0xF0 | c >> 18));
        buf_addc(out, (char)(0x80 | (c >> 12 & 0x3F)));
        buf_addc(out, (char)(0x80 | (c >> 6 & 0x3F)));
    }
    if (c >= 0x80)
        buf_addc(out, (char)(0x80 | (c & 0x3F)));
}

/* Behind "\u"; a high surrogate needs its low one (RFC 8259, section 8.2). */
static bool unicode_escape(struct scan *s, struct buf *decoded)
{
    size_t start = s->at - 2;
    unsigned c = 0, low = 0;

    if (!read_hex(s, &c))
        return false;
    if (c >= 0xDC00 && c <= 0xDFFF)
        return fail(s, start, "lone surrogate");
    if (c >= 0xD800 && c <= 0xDBFF) {
        if (!take_char(s, '\\') || !take_char(s, 'u'))
            return fail(s, start, "lone surrogate");
        if (!read_hex(s, &low))
            return false;
        if (low < 0xDC00 || low > 0xDFFF)
            return fail(s, start, "lone surrogate");
        c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
    }
    if (s->in_key && c == 0)
        return fail(s, start, "\\u0000 in a key"); /* the tree's keys are C strings: it would be cut there */
    if (decoded)
        add_point(decoded, c);
    return true;
}

static bool escape(struct scan *s, struct buf *decoded)
{
    static const char names[] = "n\n\"\"\\\\//r\rt\tb\bf\f"; /* the usual ones first */
    int c = peek(s);

    s->at++;
    if (c == 'u')
        return unicode_escape(s, decoded);
    for (size_t i = 0; i + 1 < sizeof names; i += 2)
        if (c == names[i]) {
            if (decoded)
                buf_addc(decoded, names[i + 1]);
            return true;
        }
    return fail(s, s->at - 2, "unknown escape");
}

/* Over the plain part of a string; stops at the quote, a backslash, or what may not be there. */
static bool plain_run(struct scan *s)
{
    for (;;) {
        struct bytes rest = bytes_from(s->text, s->at);
        size_t n = 0;
        int c;

        while (n < rest.n && (unsigned char)rest.p[n] - 0x20u < 0x60u && rest.p[n] != '"' && rest.p[n] != '\\')
            n++;
        s->at += n;
        c = peek(s);
        if (c == '"' || c == '\\')
            return true;
        if (c < 0)
            return fail(s, s->at, "string without an end");
        if (c < 0x20)
            return fail(s, s->at, "control character in a string");
        n = bytes_utf8_run(bytes_from(s->text, s->at));
        if (n == 0)
            return fail(s, s->at, "invalid UTF-8");
        s->at += n;
    }
}

/* Behind the opening quote, to behind the closing one. `decoded` may be NULL. */
static bool string(struct scan *s, struct buf *decoded)
{
    for (;;) {
        size_t start = s->at;

        if (!plain_run(s))
            return false;
        if (decoded && s->at > start)
            buf_add(decoded, (struct bytes){ s->text.p + start, s->at - start });
        if (take_char(s, '"'))
            return true;
        s->at++;
        if (!escape(s, decoded))
            return false;
    }
}

/* The place of a key, or of the free place where it belongs. */
static struct key_hash *place_of(struct key_hash *keys, size_t cap, struct key_hash h)
{
    size_t i = (size_t)h.a & (cap - 1);

    while ((keys[i].a || keys[i].b) && (keys[i].a != h.a || keys[i].b != h.b))
        i = (i + 1) & (cap - 1);
    return &keys[i];
}

static void keys_grow(struct scan *s)
{
    size_t cap = s->keys_cap * 4;
    struct key_hash *keys = calloc(cap, sizeof *keys);

    if (!keys)
        die("out of memory: %zu JSON keys", cap);
    for (size_t i = 0; i < s->keys_cap; i++)
        if (s->keys[i].a || s->keys[i].b)
            *place_of(keys, cap, s->keys[i]) = s->keys[i];
    if (s->keys != s->keys_inline)
        free(s->keys);
    s->keys = keys;
    s->keys_cap = cap;
}

static bool remember_key(struct scan *s, struct bytes key, size_t at)
{
    struct key_hash h;
    struct key_hash *place = NULL;

    if (s->keys_n == JSON_KEYS_MAX)
        return fail(s, at, "too many keys");
    crypto_shorthash_siphashx24((unsigned char *)&h, (const unsigned char *)key.p, key.n, hash_key);
    h.a ^= s->levels[s->depth - 1].object;
    place = place_of(s->keys, s->keys_cap, h);
    if (place->a || place->b)
        return fail(s, at, "duplicate key");
    *place = h;
    if (++s->keys_n * 2 > s->keys_cap)
        keys_grow(s);
    return true;
}

/* The member's value is at hand next. */
static bool key_take(struct scan *s, struct bytes name, size_t at)
{
    const struct level *in = &s->levels[s->depth - 1];

    if (!remember_key(s, name, at))
        return false;
    s->keep = in->kept && (!s->shape || s->shape->member(in->shape, name, &s->next));
    if (s->keep)
        json_tree_key(s->tree, name);
    if (s->keep && s->shape && !s->next) {
        json_tree_add(s->tree, NULL);
        s->keep = false;
    }
    return true;
}

static void item_begin(struct scan *s)
{
    struct level *in = &s->levels[s->depth - 1];

    s->keep = in->kept && (!s->shape || s->shape->item(in->shape, in->items, &s->next));
    in->items++;
}

/* Behind the opening quote: one in which nothing is escaped is copied from where it lies. */
static bool text_value(struct scan *s)
{
    size_t start = s->at;
    struct buf decoded;
    bool good;

    if (!s->keep)
        return string(s, NULL);
    if (!plain_run(s))
        return false;
    if (take_char(s, '"')) {
        json_tree_string(s->tree, (struct bytes){ s->text.p + start, s->at - start - 1 });
        return true;
    }
    buf_init(&decoded, s->text.n);
    buf_add(&decoded, (struct bytes){ s->text.p + start, s->at - start });
    good = string(s, &decoded);
    if (good)
        json_tree_string(s->tree, buf_bytes(&decoded));
    buf_clear(&decoded);
    return good;
}

/* A key in which nothing is escaped is hashed where it lies. */
static bool key(struct scan *s)
{
    size_t start = s->at;
    struct buf decoded;
    bool good = false;

    if (!take_char(s, '"'))
        return fail(s, s->at, "a key in double quotes is wanted");
    if (!plain_run(s))
        return false;
    if (peek(s) == '"') {
        good = key_take(s, (struct bytes){ s->text.p + start + 1, s->at - start - 1 }, start);
        s->at++;
    } else {
        s->at = start + 1;
        buf_init(&decoded, s->text.n);
        s->in_key = true;
        good = string(s, &decoded) && key_take(s, buf_bytes(&decoded), start);
        s->in_key = false;
        buf_clear(&decoded);
    }
    if (!good)
        return false;
    skip_blanks(s);
    return take_char(s, ':') || fail(s, s->at, "':' is wanted");
}

static size_t digits(struct scan *s)
{
    size_t start = s->at;

    while (peek(s) >= '0' && peek(s) <= '9')
        s->at++;
    return s->at - start;
}

/* An integer must fit int64; another number must not be so large that a double makes infinity of it. */
static bool number_fits(struct scan *s, size_t start, bool whole)
{
    struct bytes b = { s->text.p + start, s->at - start };
    char digits_of[JSON_NUMBER_MAX + 1];
    int64_t n = 0;
    double d;

    if (b.n > JSON_NUMBER_MAX)
        return fail(s, start, "number too long");
    if (whole && !bytes_to_int(b, &n))
        return fail(s, start, "integer out of range");
    memcpy(digits_of, b.p, b.n);
    digits_of[b.n] = '\0';
    d = whole ? 0 : strtod(digits_of, NULL);
    if (!isfinite(d))
        return fail(s, start, "number out of range");
    if (s->keep)
        json_tree_add(s->tree, whole ? json_object_new_int64(n) : json_object_new_double_s(d, digits_of));
    return true;
}

static bool number(struct scan *s)
{
    size_t start = s->at;
    bool whole = true;

    take_char(s, '-');
    if (peek(s) == '0')
        s->at++;
    else if (digits(s) == 0)
        return fail(s, start, "a value is wanted");
    if (take_char(s, '.')) {
        whole = false;
        if (digits(s) == 0)
            return fail(s, s->at, "a digit is wanted");
    }
    if (take_char(s, 'e') || take_char(s, 'E')) {
        whole = false;
        if (!take_char(s, '+'))
            take_char(s, '-');
        if (digits(s) == 0)
            return fail(s, s->at, "a digit is wanted");
    }
    return number_fits(s, start, whole);
}

static bool word(struct scan *s)
{
    static const char *const words[] = { "true", "false", "null" };
    struct bytes rest = bytes_from(s->text, s->at);

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (bytes_starts(rest, bytes_of(words[i]))) {
            s->at += strlen(words[i]);
            if (s->keep)
                json_tree_add(s->tree, i < 2 ? json_object_new_boolean(i == 0) : NULL);
            return true;
        }
    return fail(s, s->at, "a value is wanted");
}

static bool open_level(struct scan *s, bool object)
{
    if (s->depth == JSON_DEPTH_MAX)
        return fail(s, s->at, "nested too deeply");
    if (s->keep)
        json_tree_open(s->tree, object);
    s->levels[s->depth++] = (struct level){ object ? ++s->objects : 0, s->keep, s->next, 0 };
    s->at++;
    return true;
}

static bool in_object(const struct scan *s)
{
    return s->levels[s->depth - 1].object != 0;
}

static bool take_end(struct scan *s)
{
    if (s->depth == 0 || !take_char(s, in_object(s) ? '}' : ']'))
        return false;
    if (s->levels[s->depth - 1].kept)
        json_tree_close(s->tree);
    s->depth--;
    return true;
}

/* A value, or the first bracket of one; *inside tells that a level was opened and its first value or its end comes. */
static bool value(struct scan *s, bool *inside)
{
    int c = peek(s);

    if (++s->values > s->values_max)
        return fail(s, s->at, "too many values");
    *inside = c == '{' || c == '[';
    if (*inside)
        return open_level(s, c == '{');
    if (c == '"') {
        s->at++;
        return text_value(s);
    }
    return c == '-' || (c >= '0' && c <= '9') ? number(s) : word(s);
}

/* Between two values: ends levels until a comma says that another value follows, or the text is complete. */
static bool separator(struct scan *s, bool *complete)
{
    for (;;) {
        skip_blanks(s);
        *complete = s->depth == 0 && s->at == s->text.n;
        if (*complete)
            return true;
        if (take_end(s))
            continue;
        if (s->depth == 0)
            return fail(s, s->at, "text behind the value");
        return take_char(s, ',') || fail(s, s->at, in_object(s) ? "',' or '}' is wanted" : "',' or ']' is wanted");
    }
}

static bool whole(struct scan *s)
{
    bool inside = false, complete = false;

    while (!complete) {
        skip_blanks(s);
        if (s->depth > 0 && !in_object(s))
            item_begin(s);
        else if (s->depth > 0 && !key(s))
            return false;
        skip_blanks(s);
        if (!value(s, &inside))
            return false;
        skip_blanks(s);
        if (inside && peek(s) != '}' && peek(s) != ']')
            continue;
        if (!separator(s, &complete))
            return false;
    }
    return true;
}

bool json_check(struct bytes text, size_t values_max, struct err *e)
{
    return json_scan(text, values_max, NULL, NULL, e);
}

bool json_scan(struct bytes text, size_t values_max, const struct json_shape *shape, struct json_tree *tree,
               struct err *e)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct scan s = { .text = text, .keys_cap = KEYS_INLINE, .values_max = values_max, .tree = tree, .shape = shape };
    bool good = false;

    if (text.n > INT32_MAX) /* json-c counts in int */
        return err_set(e, ERR_TOO_LARGE, "JSON of %zu bytes", text.n);
    pthread_once(&once, hash_key_make);
    s.keys = s.keys_inline;
    s.keep = tree != NULL;
    s.next = shape ? shape->root : NULL;
    good = whole(&s);
    if (s.keys != s.keys_inline)
        free(s.keys);
    if (s.values > values_max)
        return err_set(e, ERR_INVALID, "The JSON has more than %zu values", values_max);
    return good || err_set(e, ERR_BAD_JSON, "Invalid JSON at offset %zu: %s", s.wrong_at, s.wrong);
}
