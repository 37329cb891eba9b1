#include "mail/header.h"
#include "mail/chars.h"

/* One line with its line end. */
static struct bytes line_of(struct bytes text)
{
    return bytes_head(text, bytes_find(text, '\n') + 1);
}

/* A field: its first line and all that start with white space. */
static struct bytes field_of(struct bytes text)
{
    struct bytes rest = text;
    size_t n = 0;

    do {
        size_t line = line_of(rest).n;

        n += line;
        rest = bytes_from(rest, line);
    } while (rest.n && (rest.p[0] == ' ' || rest.p[0] == '\t'));
    return bytes_head(text, n);
}

bool header_name_ok(struct bytes name)
{
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] <= ' ' || name.p[i] >= 0x7F || name.p[i] == ':')
            return false;
    return name.n > 0;
}

static bool split(struct bytes whole, struct header *out)
{
    struct bytes name, value;

    if (!bytes_cut(whole, ':', &name, &value))
        return false;
    while (name.n && char_is_blank(name.p[name.n - 1])) /* obsolete: space before the colon */
        name.n--;
    if (!header_name_ok(name))
        return false;
    *out = (struct header){ .name = name, .value = bytes_trim(value), .whole = whole };
    return true;
}

bool header_next(struct bytes *rest, struct header *out)
{
    while (rest->n) {
        struct bytes whole = field_of(*rest);

        *rest = bytes_from(*rest, whole.n);
        if (split(whole, out))
            return true;
    }
    return false;
}

bool header_find(struct bytes headers, const char *name, size_t n, struct header *out)
{
    struct bytes wanted = bytes_of(name);

    while (header_next(&headers, out))
        if (bytes_equal_nocase(out->name, wanted) && n-- == 0)
            return true;
    return false;
}

size_t header_count(struct bytes headers, const char *name)
{
    struct bytes wanted = bytes_of(name);
    struct header h;
    size_t n = 0;

    while (header_next(&headers, &h))
        n += bytes_equal_nocase(h.name, wanted);
    return n;
}

size_t header_end(struct bytes message)
{
    struct bytes rest = message;

    while (rest.n) {
        struct bytes line = line_of(rest);

        if (bytes_equal(line, BYTES("\r\n")) || bytes_equal(line, BYTES("\n")))
            return (size_t)(rest.p - message.p);
        rest = bytes_from(rest, line.n);
    }
    return message.n;
}
