/* mail/template/datum.c - JSON as JavaScript sees it.
 *
 * Numbers are printed with as few digits as read back as the same number, and integers past 2^53 exactly, which
 * JavaScript would round: an order number is not to change. Members of an object that were set while rendering (hash
 * arguments of a partial, defaults) stand in a list before the tree, which belongs to somebody else. */
#include "mail/template/datum.h"
#include "base/json.h"
#include "mail/chars.h"
#include <json-c/linkhash.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct datum datum_text(struct bytes text)
{
    return (struct datum){ .kind = DATUM_TEXT, .text = text.p ? text : BYTES("") };
}

struct datum datum_int(int64_t n)
{
    return (struct datum){ .kind = DATUM_NUMBER, .whole = true, .integer = n, .number = (double)n };
}

struct datum datum_number(double n)
{
    return (struct datum){ .kind = DATUM_NUMBER, .number = n };
}

struct datum datum_bool(bool b)
{
    return (struct datum){ .kind = DATUM_BOOL, .flag = b };
}

struct datum datum_of(struct json_object *o)
{
    switch (json_object_get_type(o)) {
    case json_type_boolean: return datum_bool(json_object_get_boolean(o));
    case json_type_int: return datum_int(json_object_get_int64(o));
    case json_type_double: return datum_number(json_object_get_double(o));
    case json_type_string:
        return datum_text((struct bytes){ json_object_get_string(o), (size_t)json_object_get_string_len(o) });
    case json_type_array: return (struct datum){ .kind = DATUM_LIST, .tree = o };
    case json_type_object: return (struct datum){ .kind = DATUM_OBJECT, .tree = o };
    default: return (struct datum){ .kind = DATUM_NULL };
    }
}

static const struct datum_member *in_over(const struct datum *in, struct bytes name)
{
    const struct datum_member *m = in->over;

    while (m && !bytes_equal(m->name, name))
        m = m->next;
    return m;
}

static bool element(const struct datum *in, struct bytes name, struct datum *out)
{
    int64_t i = 0;

    if (name.n == 0 || !char_is_digit(name.p[0]) || !bytes_to_int(name, &i) || (size_t)i >= datum_count(in))
        return false;
    *out = datum_at(in, (size_t)i);
    return true;
}

bool datum_member(const struct datum *in, struct bytes name, struct datum *out)
{
    const struct datum_member *over;
    struct json_object *child = NULL;

    if (in->kind == DATUM_OBJECT) {
        over = in_over(in, name);
        if (over)
            *out = over->value;
        else if (!in->tree || !json_object_object_get_ex(in->tree, name.p, &child))
            return false;
        else
            *out = datum_of(child);
        return true;
    }
    if (in->kind != DATUM_LIST && in->kind != DATUM_TEXT)
        return false;
    if (bytes_equal(name, BYTES("length"))) {
        *out = datum_int((int64_t)datum_count(in));
        return true;
    }
    return in->kind == DATUM_LIST && element(in, name, out);
}

static size_t characters(struct bytes text)
{
    size_t n = 0;

    for (size_t i = 0; i < text.n; i++)
        n += ((unsigned char)text.p[i] & 0xC0) != 0x80;
    return n;
}

static size_t members(const struct datum *d)
{
    size_t n = d->tree ? (size_t)json_object_object_length(d->tree) : 0;

    for (const struct datum_member *m = d->over; m; m = m->next)
        n += !d->tree || !json_object_object_get_ex(d->tree, m->name.p, NULL);
    return n;
}

size_t datum_count(const struct datum *d)
{
    switch (d->kind) {
    case DATUM_LIST: return json_object_array_length(d->tree);
    case DATUM_OBJECT: return members(d);
    case DATUM_TEXT: return characters(d->text);
    default: return 0;
    }
}

size_t datum_values(const struct datum *d, size_t most)
{
    struct datum_walk at = { 0 };
    struct bytes name;
    struct datum value;
    size_t n = 1;

    for (size_t i = 0; d->kind == DATUM_LIST && i < datum_count(d) && n <= most; i++) {
        value = datum_at(d, i);
        n += datum_values(&value, most - n);
    }
    while (d->kind == DATUM_OBJECT && n <= most && datum_next(d, &at, &name, &value))
        n += datum_values(&value, most - n);
    return n;
}

struct datum datum_at(const struct datum *list, size_t i)
{
    return datum_of(json_object_array_get_idx(list->tree, i));
}

/* Those of the tree first, as they stand there, then what was set besides: the order of Object.assign. */
bool datum_next(const struct datum *object, struct datum_walk *at, struct bytes *name, struct datum *value)
{
    struct lh_entry *entry = at->entry;

    if (!at->begun) {
        at->begun = true;
        entry = object->tree ? json_object_get_object(object->tree)->head : NULL;
        at->over = object->over;
    } else if (entry) {
        entry = entry->next;
    }
    at->entry = entry;
    if (entry) {
        *name = bytes_of(entry->k);
        return datum_member(object, *name, value);
    }
    for (; at->over; at->over = at->over->next) {
        if (object->tree && json_object_object_get_ex(object->tree, at->over->name.p, NULL))
            continue;
        *name = at->over->name;
        *value = at->over->value;
        at->over = at->over->next;
        return true;
    }
    return false;
}

bool datum_is_nothing(const struct datum *d)
{
    return d->kind == DATUM_MISSING || d->kind == DATUM_NULL;
}

bool datum_is_true(const struct datum *d)
{
    switch (d->kind) {
    case DATUM_BOOL: return d->flag;
    case DATUM_NUMBER: return d->number != 0 && !isnan(d->number);
    case DATUM_TEXT: return d->text.n > 0;
    case DATUM_LIST: return datum_count(d) > 0;
    case DATUM_OBJECT: return true;
    default: return false;
    }
}

bool datum_is_same(const struct datum *a, const struct datum *b)
{
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case DATUM_BOOL: return a->flag == b->flag;
    case DATUM_NUMBER: return a->whole && b->whole ? a->integer == b->integer : a->number == b->number;
    case DATUM_TEXT: return bytes_equal(a->text, b->text);
    case DATUM_LIST:
    case DATUM_OBJECT: return a->tree == b->tree && a->over == b->over;
    default: return true;
    }
}

/* Of text: a decimal number with blanks around it; an empty one is 0. */
static bool text_to_number(struct bytes text, double *out)
{
    char copy[64], *end = copy;

    text = bytes_trim(text);
    if (text.n == 0)
        *out = 0;
    if (text.n == 0 || text.n >= sizeof copy)
        return text.n == 0;
    if (!char_is_digit(text.p[text.n - 1]) && text.p[text.n - 1] != '.')
        return false;
    memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    if (strspn(copy, "+-.0123456789eE") != text.n)
        return false;
    *out = strtod(copy, &end);
    return end == copy + text.n;
}

bool datum_to_number(const struct datum *d, double *out)
{
    switch (d->kind) {
    case DATUM_NULL: *out = 0; return true;
    case DATUM_BOOL: *out = d->flag; return true;
    case DATUM_NUMBER: *out = d->number; return !isnan(d->number);
    case DATUM_TEXT: return text_to_number(d->text, out);
    default: return false;
    }
}

bool datum_is_equal(const struct datum *a, const struct datum *b)
{
    double x = 0, y = 0;

    if (a->kind == b->kind)
        return datum_is_same(a, b);
    if (datum_is_nothing(a) || datum_is_nothing(b))
        return datum_is_nothing(a) && datum_is_nothing(b);
    return datum_to_number(a, &x) && datum_to_number(b, &y) && x == y;
}

/* The fewest digits that read back as n, as d.ddde+NN; 15 are never wrong for a number that was written with fewer. */
static size_t shortest(double n, char digits[40], int *exponent)
{
    int precision = 15;
    size_t end;
    char *e;

    do {
        snprintf(digits, 40, "%.*e", precision - 1, n);
    } while (precision++ < 17 && strtod(digits, NULL) != n);
    e = strchr(digits, 'e');
    *exponent = (int)strtol(e + 1, NULL, 10);
    end = (size_t)(e - digits);
    while (digits[end - 1] == '0')
        end--;
    return digits[end - 1] == '.' ? end - 1 : end;
}

/* JavaScript's Number::toString: decimals from 1e-6 to 1e21, exponents beyond. */
static void print_double(double n, struct buf *out)
{
    char digits[40];
    int exponent, decimals;
    size_t end;

    if (n == 0 || isnan(n) || isinf(n)) {
        buf_adds(out, n == 0 ? "0" : isnan(n) ? "NaN" : n < 0 ? "-Infinity" : "Infinity");
        return;
    }
    end = shortest(n, digits, &exponent);
    decimals = (int)end - (n < 0 ? 1 : 0) - 2; /* without sign, first digit and dot */
    decimals = (decimals > 0 ? decimals : 0) - exponent;
    if (exponent >= -6 && exponent < 21) {
        buf_addf(out, "%.*f", decimals > 0 ? decimals : 0, n);
        return;
    }
    buf_add(out, (struct bytes){ digits, end });
    buf_addf(out, "e%+d", exponent);
}

static void print_list(const struct datum *d, struct buf *out)
{
    for (size_t i = 0; i < datum_count(d) && !out->overflowed; i++) {
        struct datum element_i = datum_at(d, i);

        if (i)
            buf_addc(out, ',');
        datum_print(&element_i, out);
    }
}

void datum_print(const struct datum *d, struct buf *out)
{
    switch (d->kind) {
    case DATUM_BOOL: buf_adds(out, d->flag ? "true" : "false"); break;
    case DATUM_NUMBER:
        if (d->whole)
            buf_addf(out, "%lld", (long long)d->integer);
        else
            print_double(d->number, out);
        break;
    case DATUM_TEXT: buf_add(out, d->text); break;
    case DATUM_LIST: print_list(d, out); break;
    case DATUM_OBJECT: buf_adds(out, "[object Object]"); break;
    default: break;
    }
}

static void print_json(const struct datum *d, struct jw *w)
{
    struct datum_walk at = { 0 };
    struct bytes name;
    struct datum value;
    struct buf number;

    if (d->kind == DATUM_OBJECT && d->over) {
        jw_object(w);
        while (datum_next(d, &at, &name, &value)) {
            jw_key(w, name.p);
            print_json(&value, w);
        }
        jw_object_end(w);
    } else if (d->kind == DATUM_OBJECT || d->kind == DATUM_LIST) {
        jw_tree(w, d->tree);
    } else if (d->kind == DATUM_BOOL) {
        jw_bool(w, d->flag);
    } else if (d->kind == DATUM_TEXT) {
        jw_text(w, d->text);
    } else if (d->kind == DATUM_NUMBER && !isnan(d->number) && !isinf(d->number)) {
        buf_init(&number, 64);
        datum_print(d, &number);
        jw_raw(w, buf_bytes(&number));
        buf_clear(&number);
    } else {
        jw_null(w);
    }
}

void datum_print_escape(char c, struct buf *out)
{
    static const char digits[] = "0123456789abcdef";
    const char sign[] = { '\\', 'u', '0', '0', digits[(unsigned char)c >> 4], digits[(unsigned char)c & 15] };

    buf_add(out, (struct bytes){ sign, sizeof sign });
}

void datum_print_json(const struct datum *d, struct buf *out)
{
    struct buf plain;
    struct jw w;

    buf_init(&plain, out->max - out->n);
    jw_init(&w, &plain);
    print_json(d, &w);
    for (size_t i = 0; i < plain.n; i++) {
        if (plain.p[i] == '<' || plain.p[i] == '>' || plain.p[i] == '&')
            datum_print_escape(plain.p[i], out);
        else
            buf_addc(out, plain.p[i]);
    }
    out->overflowed |= plain.overflowed;
    buf_clear(&plain);
}
