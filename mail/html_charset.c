/* mail/html_charset.c - what an HTML document says of its own charset: the "prescan" of HTML 13.2.3.2, over the first
 * 1,024 octets.
 *
 * Only asked when the part names none. Written as the standard tells it, since what counts is to find what a browser
 * would. */
#include "mail/chars.h"
#include "mail/charset.h"

enum { PRESCAN = 1024 };

static bool is_space(char c)
{
    return char_is_blank(c) || c == '\f';
}

static void skip_spaces(struct bytes *in, bool slashes)
{
    while (in->n && (is_space(in->p[0]) || (slashes && in->p[0] == '/')))
        *in = bytes_from(*in, 1);
}

/* A value: quoted, or up to a space or one of `ends`. */
static struct bytes read_value(struct bytes *in, struct bytes ends)
{
    struct bytes value;
    size_t n = 0;

    if (in->n && (in->p[0] == '"' || in->p[0] == '\'')) {
        struct bytes rest = bytes_from(*in, 1);

        value = bytes_head(rest, bytes_find(rest, in->p[0]));
        *in = bytes_from(rest, value.n + 1);
        return value;
    }
    while (n < in->n && !is_space(in->p[n]) && !char_in(in->p[n], ends))
        n++;
    value = bytes_head(*in, n);
    *in = bytes_from(*in, n);
    return value;
}

/* The next attribute of a tag; false behind the last one. */
static bool read_attribute(struct bytes *in, struct bytes *name, struct bytes *value)
{
    size_t n = 0;

    skip_spaces(in, true);
    if (in->n == 0 || in->p[0] == '>')
        return false;
    while (n < in->n && !is_space(in->p[n]) && !char_in(in->p[n], BYTES("/>")) && (n == 0 || in->p[n] != '='))
        n++;
    *name = bytes_head(*in, n);
    *in = bytes_from(*in, n);
    *value = NO_BYTES;
    skip_spaces(in, false);
    if (in->n == 0 || in->p[0] != '=')
        return true;
    *in = bytes_from(*in, 1);
    skip_spaces(in, false);
    *value = read_value(in, BYTES(">"));
    return true;
}

/* "text/html; charset=x" */
static struct bytes in_content(struct bytes content)
{
    while (content.n) {
        if (!bytes_starts_nocase(content, BYTES("charset"))) {
            content = bytes_from(content, 1);
            continue;
        }
        content = bytes_from(content, sizeof "charset" - 1);
        skip_spaces(&content, false);
        if (content.n == 0 || content.p[0] != '=')
            continue;
        content = bytes_from(content, 1);
        skip_spaces(&content, false);
        return read_value(&content, BYTES(";"));
    }
    return NO_BYTES;
}

static struct bytes in_meta(struct bytes *in)
{
    struct bytes name, value, charset = NO_BYTES, content = NO_BYTES;
    bool type = false;

    while (read_attribute(in, &name, &value)) {
        if (bytes_equal_nocase(name, BYTES("charset")))
            charset = value;
        else if (bytes_equal_nocase(name, BYTES("content")))
            content = in_content(value);
        else if (bytes_equal_nocase(name, BYTES("http-equiv")))
            type = bytes_equal_nocase(value, BYTES("content-type"));
    }
    return charset.p ? charset : type ? content : NO_BYTES;
}

static bool is_meta(struct bytes in)
{
    return bytes_starts_nocase(in, BYTES("<meta")) && in.n > 5 && (is_space(in.p[5]) || in.p[5] == '/');
}

static void skip_tag(struct bytes *in)
{
    struct bytes name, value;
    bool element =
        in->n > 1 && (char_is_letter(in->p[1]) || (in->n > 2 && in->p[1] == '/' && char_is_letter(in->p[2])));

    if (!element) {
        *in = bytes_from(*in, in->n > 1 && char_in(in->p[1], BYTES("!/?")) ? bytes_find(*in, '>') : 1);
        return;
    }
    while (in->n && !is_space(in->p[0]) && in->p[0] != '>')
        *in = bytes_from(*in, 1);
    while (read_attribute(in, &name, &value)) {
    }
}

static void skip_comment(struct bytes *in)
{
    const char *end = memmem(in->p + 2, in->n - 2, "-->", 3); /* "<!-->" is one */

    *in = end ? bytes_from(*in, (size_t)(end + 3 - in->p)) : NO_BYTES;
}

enum charset charset_of_html(struct bytes html)
{
    struct bytes in = bytes_head(html, PRESCAN);

    while (in.n) {
        if (bytes_starts(in, BYTES("<!--"))) {
            skip_comment(&in);
        } else if (is_meta(in)) {
            enum charset found;

            in = bytes_from(in, 5);
            found = charset_find(in_meta(&in));
            if (found == CHARSET_UTF_16LE || found == CHARSET_UTF_16BE)
                return CHARSET_UTF_8; /* it could be read as ASCII, so it is none of these */
            if (found != CHARSET_UNKNOWN)
                return found;
        } else if (in.p[0] == '<') {
            skip_tag(&in);
        } else {
            in = bytes_from(in, bytes_find(in, '<'));
        }
    }
    return CHARSET_UNKNOWN;
}
