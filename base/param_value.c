/* base/param_value.c - one canonical text for each value: 64K and 65536 are the same.
 *
 * So comparing texts tells whether a change is one. The bounds of a row are texts of the same type, read by the same
 * reader. A DURATION is in seconds while it is read and compared, and in milliseconds for whoever asks. */
#include "base/param_value.h"
#include "base/err.h"

static const struct unit {
    char letter;
    int64_t factor;
} size_units[] = { { 'B', 1 }, { 'K', 1 << 10 }, { 'M', 1 << 20 }, { 'G', 1 << 30 }, { 'T', INT64_C(1) << 40 } },
  duration_units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 }, { 'w', 604800 } };

enum { UNITS = 5 };

/* "64", "64K": a number without a sign and at most one letter behind it. */
static bool read_with_unit(struct bytes b, const struct unit units[UNITS], int64_t *out)
{
    int64_t factor = 1;

    if (b.n == 0 || b.p[0] < '0' || b.p[0] > '9')
        return false;
    for (size_t i = 0; i < UNITS; i++)
        if (bytes_ends_nocase(b, (struct bytes){ &units[i].letter, 1 })) {
            factor = units[i].factor;
            b.n--;
            break;
        }
    return bytes_to_int(b, out) && !__builtin_mul_overflow(*out, factor, out);
}

static bool read_bool(struct bytes b, int64_t *out)
{
    static const char *const words[] = { "false", "true", "off", "on", "0", "1", "no", "yes" };

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (bytes_equal_nocase(b, bytes_of(words[i]))) {
            *out = i & 1;
            return true;
        }
    return false;
}

/* DURATION comes out in seconds here. */
static bool read_number(enum param_type type, struct bytes b, int64_t *out)
{
    int64_t ms = 0;

    switch (type) {
    case PARAM_TYPE_INT: return bytes_to_int(b, out);
    case PARAM_TYPE_SIZE: return read_with_unit(b, size_units, out);
    case PARAM_TYPE_DURATION: return read_with_unit(b, duration_units, out) && !__builtin_mul_overflow(*out, 1000, &ms);
    case PARAM_TYPE_BOOL: return read_bool(b, out);
    default: return false;
    }
}

/* An empty bound bounds nothing. */
static bool in_bounds(const struct param_row *row, enum param_type type, int64_t n)
{
    int64_t bound = 0;

    if (row->min[0] && (!read_number(type, bytes_of(row->min), &bound) || n < bound))
        return false;
    return !row->max[0] || (read_number(type, bytes_of(row->max), &bound) && n <= bound);
}

static bool number(const struct param_row *row, struct bytes given, struct param_value *out)
{
    int64_t n = 0;
    int length = 0;

    if (!read_number(row->type, given, &n) || (row->type != PARAM_TYPE_BOOL && !in_bounds(row, row->type, n)))
        return false;
    out->number = row->type == PARAM_TYPE_DURATION ? n * 1000 : n;
    if (row->type == PARAM_TYPE_BOOL)
        length = snprintf(out->memory, sizeof out->memory, "%s", n ? "true" : "false");
    else
        length = snprintf(out->memory, sizeof out->memory, "%lld", (long long)n);
    out->text = (struct bytes){ out->memory, (size_t)length };
    return true;
}

/* Printable UTF-8 on one line. */
static bool is_clean(struct bytes b)
{
    for (size_t i = 0; i < b.n; i++)
        if ((unsigned char)b.p[i] < 0x20 || b.p[i] == 0x7F)
            return false;
    return bytes_is_utf8(b);
}

static bool plain_text(const struct param_row *row, struct bytes given, struct param_value *out)
{
    if (!is_clean(given) || !in_bounds(row, PARAM_TYPE_INT, (int64_t)given.n))
        return false;
    if (given.n)
        memcpy(out->memory, given.p, given.n);
    out->text = (struct bytes){ out->memory, given.n };
    return true;
}

static bool choice(const struct param_row *row, struct bytes given, struct param_value *out)
{
    struct bytes rest = bytes_of(row->min), word = NO_BYTES;

    do {
        bytes_cut(rest, '|', &word, &rest);
        if (bytes_equal(word, given)) {
            memcpy(out->memory, given.p, given.n);
            out->text = (struct bytes){ out->memory, given.n };
            return true;
        }
    } while (rest.p);
    return false;
}

/* "a, b" becomes "a,b"; an item may not be empty. The bounds are for the whole text. */
static bool list(const struct param_row *row, struct bytes given, struct param_value *out)
{
    struct buf all = { .p = out->memory, .cap = sizeof out->memory, .max = sizeof out->memory };
    struct bytes rest = bytes_trim(given), item = NO_BYTES;

    while (rest.n) {
        bool more = bytes_cut(rest, ',', &item, &rest);

        item = bytes_trim(item);
        if (item.n == 0 || (more && rest.n == 0))
            return false;
        if (all.n)
            buf_addc(&all, ',');
        buf_add(&all, item);
    }
    out->text = buf_bytes(&all);
    return !all.overflowed && is_clean(out->text) && in_bounds(row, PARAM_TYPE_INT, (int64_t)all.n);
}

static bool refuse(const struct param_row *row, struct bytes given, struct err *e)
{
    static const char *const names[] = { "a whole number",
                                         "a size like 64K or 25M",
                                         "a duration like 90s, 10m or 3d",
                                         "true or false",
                                         "a text of a length",
                                         "one of",
                                         "a list like a,b of a length" };
    const char *type = names[row->type];
    struct bytes shown = bytes_head(given, 64);

    if (!is_clean(shown))
        shown = BYTES("(not printable)");
    if (row->type == PARAM_TYPE_BOOL || (!row->min[0] && !row->max[0]))
        return err_set(e, ERR_INVALID, "%s: %s is wanted, not \"%.*s\"", row->name, type, SHOW(shown));
    if (row->type == PARAM_TYPE_CHOICE)
        return err_set(e, ERR_INVALID, "%s: %s %s is wanted, not \"%.*s\"", row->name, type, row->min, SHOW(shown));
    if (!row->max[0])
        return err_set(e, ERR_INVALID, "%s: %s, at least %s, is wanted, not \"%.*s\"", row->name, type, row->min,
                       SHOW(shown));
    return err_set(e, ERR_INVALID, "%s: %s from %s to %s is wanted, not \"%.*s\"", row->name, type,
                   row->min[0] ? row->min : "any", row->max, SHOW(shown));
}

bool param_value_read(const struct param_row *row, struct bytes given, struct param_value *out, struct err *e)
{
    bool good = false;

    out->number = 0;
    if (given.p && given.n <= PARAM_TEXT_MAX)
        switch (row->type) {
        case PARAM_TYPE_TEXT: good = plain_text(row, given, out); break;
        case PARAM_TYPE_CHOICE: good = choice(row, given, out); break;
        case PARAM_TYPE_LIST: good = list(row, given, out); break;
        default: good = number(row, given, out); break;
        }
    return good || refuse(row, given, e);
}
