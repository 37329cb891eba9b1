/* base/json_split.c - see json_split.h. Brackets are counted and not told apart, and strings are passed over, so that
 * the end of a part is found in one walk: what is wrong within one is found when it is read. */
#include "base/json_split.h"

static int peek(const struct json_split *s)
{
    return s->at < s->text.n ? (unsigned char)s->text.p[s->at] : -1;
}

static void skip_blanks(struct json_split *s)
{
    int c = peek(s);

    while (c == ' ' || c == '\n' || c == '\r' || c == '\t') {
        s->at++;
        c = peek(s);
    }
}

static bool take(struct json_split *s, char c)
{
    skip_blanks(s);
    if (peek(s) != c)
        return false;
    s->at++;
    return true;
}

/* Does an odd number of backslashes stand before it? */
static bool is_escaped(const char *from, const char *quote)
{
    const char *p = quote;

    while (p > from && p[-1] == '\\')
        p--;
    return (quote - p) % 2 != 0;
}

/* From the quote that is at hand to behind its end. */
static bool skip_string(struct json_split *s)
{
    const char *from = s->text.p + s->at + 1, *end = s->text.p + s->text.n;

    for (const char *p = from; p < end; p++) {
        p = memchr(p, '"', (size_t)(end - p));
        if (!p)
            break;
        if (!is_escaped(from, p)) {
            s->at = (size_t)(p - s->text.p) + 1;
            return true;
        }
    }
    s->at = s->text.n;
    return false;
}

static bool is_end(int c)
{
    return c < 0 || c == ',' || c == '}' || c == ']' || c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static bool skip_nested(struct json_split *s)
{
    size_t depth = 0;

    while (s->at < s->text.n) {
        char c = s->text.p[s->at];

        if (c == '"') {
            if (!skip_string(s))
                return false;
            continue;
        }
        s->at++;
        if (c == '{' || c == '[')
            depth++;
        else if ((c == '}' || c == ']') && --depth == 0)
            return true;
    }
    return false;
}

static bool skip_value(struct json_split *s)
{
    size_t from = s->at;
    int c = peek(s);

    if (c == '"')
        return skip_string(s);
    if (c == '{' || c == '[')
        return skip_nested(s);
    while (!is_end(peek(s)))
        s->at++;
    return s->at > from;
}

static bool fail(struct json_split *s)
{
    s->wrong = true;
    return false;
}

bool json_split_begin(struct json_split *s, struct bytes text)
{
    *s = (struct json_split){ .text = text };
    if (take(s, '{'))
        s->end = '}';
    else if (take(s, '['))
        s->end = ']';
    return s->end || fail(s);
}

bool json_split_is_array(const struct json_split *s)
{
    return s->end == ']';
}

/* Behind the last part there is nothing but blanks. */
static bool finish(struct json_split *s)
{
    skip_blanks(s);
    return s->at < s->text.n ? fail(s) : false;
}

static bool next_key(struct json_split *s, struct bytes *key)
{
    size_t from;

    *key = NO_BYTES;
    skip_blanks(s);
    if (s->end == ']')
        return true;
    from = s->at + 1;
    if (peek(s) != '"' || !skip_string(s))
        return false;
    *key = (struct bytes){ s->text.p + from, s->at - 1 - from };
    return take(s, ':');
}

bool json_split_next(struct json_split *s, struct bytes *key, struct bytes *value)
{
    size_t from;

    if (s->wrong)
        return false;
    if (take(s, s->end))
        return finish(s);
    if ((s->begun && !take(s, ',')) || !next_key(s, key))
        return fail(s);
    s->begun = true;
    skip_blanks(s);
    from = s->at;
    if (!skip_value(s))
        return fail(s);
    *value = (struct bytes){ s->text.p + from, s->at - from };
    return true;
}
