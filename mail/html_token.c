/* mail/html_token.c - one token after the other, each byte looked at a bounded number of times.
 *
 * Content that is not for people (script, style) is passed over up to its end tag. Attributes are found as a browser
 * finds them, also in broken tags, or the text would show half of one. */
#include "mail/html_token.h"
#include "mail/chars.h"
#include "mail/charset.h"
#include "mail/html_entities.h"

enum { ENTITY_MAX = 10 };

static const char *const silent[] = { "script", "style", "title", "template", "svg", "iframe", "noframes", "noembed" };

static bool is_space(char c)
{
    return char_is_blank(c) || c == '\f';
}

static struct bytes skip_spaces(struct bytes in)
{
    while (in.n && (is_space(in.p[0]) || in.p[0] == '/'))
        in = bytes_from(in, 1);
    return in;
}

static struct bytes read_value(struct bytes *in)
{
    struct bytes value;
    size_t n = 0;

    while (in->n && is_space(in->p[0]))
        *in = bytes_from(*in, 1);
    if (in->n && (in->p[0] == '"' || in->p[0] == '\'')) {
        bytes_cut(bytes_from(*in, 1), in->p[0], &value, in);
        return value;
    }
    while (n < in->n && !is_space(in->p[n]) && in->p[n] != '>')
        n++;
    value = bytes_head(*in, n);
    *in = bytes_from(*in, n);
    return value;
}

bool html_attribute(struct bytes *rest, struct bytes *name, struct bytes *value)
{
    size_t n = 1;

    *rest = skip_spaces(*rest);
    if (rest->n == 0 || rest->p[0] == '>')
        return false;
    while (n < rest->n && !is_space(rest->p[n]) && !char_in(rest->p[n], BYTES("=>/")))
        n++;
    *name = bytes_head(*rest, n);
    *value = BYTES("");
    *rest = bytes_from(*rest, n);
    while (rest->n && is_space(rest->p[0]))
        *rest = bytes_from(*rest, 1);
    if (rest->n && rest->p[0] == '=') {
        *rest = bytes_from(*rest, 1);
        *value = read_value(rest);
    }
    return true;
}

static void read_tag(struct bytes *in, struct html_tag *tag)
{
    struct bytes name, value;
    size_t n = 0;

    *tag = (struct html_tag){ .closing = in->p[1] == '/' };
    *in = bytes_from(*in, tag->closing ? 2 : 1);
    while (n < in->n && !is_space(in->p[n]) && in->p[n] != '>' && in->p[n] != '/')
        n++;
    tag->name = bytes_head(*in, n);
    tag->attributes = *in = bytes_from(*in, n);
    while (html_attribute(in, &name, &value)) {
        struct bytes *kept = bytes_equal_nocase(name, BYTES("href"))    ? &tag->href
                             : bytes_equal_nocase(name, BYTES("alt"))   ? &tag->alt
                             : bytes_equal_nocase(name, BYTES("start")) ? &tag->start
                                                                        : NULL;

        if (kept && !kept->p) /* of one that is there twice the first counts (HTML 13.2.5.33) */
            *kept = value;
    }
    tag->attributes.n -= in->n;
    *in = bytes_from(*in, 1);
}

static struct bytes after(struct bytes in, struct bytes mark)
{
    const char *at = in.n ? memmem(in.p, in.n, mark.p, mark.n) : NULL;

    return at ? bytes_from(in, (size_t)(at - in.p) + mark.n) : NO_BYTES;
}

/* Behind the end tag of an element whose content is not for people; to the end when there is none. */
static struct bytes skip_element(struct bytes in, struct html_tag *tag)
{
    const char *from = in.p;

    tag->content = in;
    do {
        in = after(in, BYTES("</"));
    } while (in.n && !bytes_starts_nocase(in, tag->name));
    if (in.n)
        tag->content.n = (size_t)(in.p - from) - 2;
    return after(in, BYTES(">"));
}

static bool is_silent(struct bytes name)
{
    for (size_t i = 0; i < sizeof silent / sizeof *silent; i++)
        if (bytes_equal_nocase(name, bytes_of(silent[i])))
            return true;
    return false;
}

static bool starts_tag(struct bytes in)
{
    size_t i = in.n > 1 && in.p[1] == '/' ? 2 : 1;

    return in.n > i && char_is_letter(in.p[i]);
}

enum html_token html_next(struct bytes *in, struct bytes *text, struct html_tag *tag)
{
    while (in->n) {
        size_t n = in->p[0] == '<' ? 0 : bytes_find(*in, '<');

        if (n == 0 && starts_tag(*in)) {
            read_tag(in, tag);
            if (!tag->closing && is_silent(tag->name))
                *in = skip_element(*in, tag);
            return HTML_TAG;
        } else if (n == 0 && bytes_starts(*in, BYTES("<!--"))) {
            *in = after(bytes_from(*in, 2), BYTES("-->")); /* "<!-->" is an empty one */
        } else if (n == 0 && in->n > 1 && char_in(in->p[1], BYTES("!?/"))) {
            *in = after(*in, BYTES(">"));
        } else {
            n = n ? n : 1;
            *text = bytes_head(*in, n);
            *in = bytes_from(*in, n);
            return HTML_TEXT;
        }
    }
    return HTML_END;
}

static void add_code(uint64_t c, struct buf *out)
{
    char one = (char)c;
    char four[4] = { (char)(0xF0 | (c >> 18)), (char)(0x80 | ((c >> 12) & 0x3F)), (char)(0x80 | ((c >> 6) & 0x3F)),
                     (char)(0x80 | (c & 0x3F)) };

    if (c >= 0x80 && c < 0xA0) { /* HTML: these numbers mean windows-1252 */
        charset_read(CHARSET_WINDOWS_1252, (struct bytes){ &one, 1 }, out);
    } else if (c == 0 || (c >= 0xD800 && c < 0xE000) || c > 0x10FFFF) {
        buf_add(out, BYTES("\xEF\xBF\xBD"));
    } else if (c < 0x80) {
        buf_addc(out, one);
    } else if (c >= 0x10000) {
        buf_add(out, (struct bytes){ four, 4 });
    } else if (c < 0x800) {
        four[2] = (char)(0xC0 | (c >> 6));
        buf_add(out, (struct bytes){ four + 2, 2 });
    } else {
        four[1] = (char)(0xE0 | (c >> 12));
        buf_add(out, (struct bytes){ four + 1, 3 });
    }
}

static int by_name(const void *key, const void *row)
{
    const struct bytes *name = key;
    const struct html_entity *e = row;

    return bytes_compare(*name, bytes_of(e->name));
}

/* "&#8364;", "&#x20AC": length of it, 0 when it is no number. */
static size_t numeric(struct bytes in, uint64_t *code)
{
    bool hex = in.n > 2 && (in.p[2] == 'x' || in.p[2] == 'X');
    size_t start = hex ? 3 : 2, i = start;

    *code = 0;
    for (; i < in.n && (hex ? char_hex(in.p[i]) >= 0 : char_is_digit(in.p[i])); i++)
        if (*code <= 0x10FFFF)
            *code = *code * (hex ? 16 : 10) + (uint64_t)char_hex(in.p[i]);
    if (i == start)
        return 0;
    return i < in.n && in.p[i] == ';' ? i + 1 : i;
}

static size_t named(struct bytes in, uint64_t *code)
{
    struct bytes name;
    const struct html_entity *found = NULL;
    size_t n = 1;

    while (n < in.n && n <= ENTITY_MAX && char_is_alnum(in.p[n]))
        n++;
    name = bytes_head(bytes_from(in, 1), n - 1);
    if (n >= in.n || in.p[n] != ';')
        return 0;
    found = bsearch(&name, html_entities, sizeof html_entities / sizeof *html_entities, sizeof *html_entities, by_name);
    if (!found)
        return 0;
    *code = found->code;
    return n + 1;
}

void html_unescape(struct bytes text, struct buf *out)
{
    while (text.n) {
        size_t n = bytes_find(text, '&'), entity = 0;
        uint64_t code = 0;

        charset_read(CHARSET_UTF_8, bytes_head(text, n), out);
        text = bytes_from(text, n);
        if (text.n == 0)
            return;
        entity = text.n > 1 && text.p[1] == '#' ? numeric(text, &code) : named(text, &code);
        if (entity)
            add_code(code, out);
        else
            buf_addc(out, '&');
        text = bytes_from(text, entity ? entity : 1);
    }
}
