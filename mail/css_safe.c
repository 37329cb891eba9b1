/* mail/css_safe.c - CSS cut into rules and declarations, each kept whole or left out.
 *
 * Escapes and comments are ways to write a word so that a filter does not know it: a declaration with a backslash is
 * left out, comments are read as a blank. Functions are named that only draw or count; url() is looked at by itself. */
#include "mail/css_safe.h"
#include "mail/chars.h"
#include <stdlib.h>

enum { NAME_LONGEST = 40, URL_LONGEST = 2000 };

/* Sorted. Not among them: position, z-index and what else would draw outside of the mail, behavior, -moz-binding,
 * content, counters, animations. A name that begins with one of them and '-' is another row. */
static const char *const properties[] = {
    "background",
    "background-attachment",
    "background-clip",
    "background-color",
    "background-image",
    "background-origin",
    "background-position",
    "background-repeat",
    "background-size",
    "border",
    "border-bottom",
    "border-bottom-color",
    "border-bottom-left-radius",
    "border-bottom-right-radius",
    "border-bottom-style",
    "border-bottom-width",
    "border-collapse",
    "border-color",
    "border-left",
    "border-left-color",
    "border-left-style",
    "border-left-width",
    "border-radius",
    "border-right",
    "border-right-color",
    "border-right-style",
    "border-right-width",
    "border-spacing",
    "border-style",
    "border-top",
    "border-top-color",
    "border-top-left-radius",
    "border-top-right-radius",
    "border-top-style",
    "border-top-width",
    "border-width",
    "box-shadow",
    "box-sizing",
    "caption-side",
    "clear",
    "color",
    "color-scheme",
    "column-count",
    "column-gap",
    "direction",
    "display",
    "empty-cells",
    "float",
    "font",
    "font-family",
    "font-feature-settings",
    "font-size",
    "font-stretch",
    "font-style",
    "font-variant",
    "font-weight",
    "gap",
    "height",
    "hyphens",
    "letter-spacing",
    "line-break",
    "line-height",
    "list-style",
    "list-style-position",
    "list-style-type",
    "margin",
    "margin-bottom",
    "margin-left",
    "margin-right",
    "margin-top",
    "max-height",
    "max-width",
    "min-height",
    "min-width",
    "object-fit",
    "opacity",
    "orphans",
    "outline",
    "outline-color",
    "outline-style",
    "outline-width",
    "overflow",
    "overflow-wrap",
    "overflow-x",
    "overflow-y",
    "padding",
    "padding-bottom",
    "padding-left",
    "padding-right",
    "padding-top",
    "quotes",
    "row-gap",
    "tab-size",
    "table-layout",
    "text-align",
    "text-align-last",
    "text-decoration",
    "text-decoration-color",
    "text-decoration-line",
    "text-decoration-style",
    "text-indent",
    "text-overflow",
    "text-shadow",
    "text-transform",
    "text-underline-offset",
    "unicode-bidi",
    "vertical-align",
    "visibility",
    "white-space",
    "widows",
    "width",
    "word-break",
    "word-spacing",
    "word-wrap",
    "writing-mode",
};

static const char *const functions[] = {
    "calc",   "clamp", "hsl", "hsla", "linear-gradient", "max", "min", "minmax", "radial-gradient",
    "repeat", "rgb",   "rgba"
};

static int by_text(const void *key, const void *row)
{
    return bytes_compare(*(const struct bytes *)key, bytes_of(*(const char *const *)row));
}

static bool is_named(struct bytes name, const char *const *rows, size_t n)
{
    char lower[NAME_LONGEST];
    struct bytes key = { lower, name.n };

    if (name.n == 0 || name.n > sizeof lower)
        return false;
    for (size_t i = 0; i < name.n; i++)
        lower[i] = char_lower(name.p[i]);
    return bsearch(&key, rows, n, sizeof *rows, by_text);
}

static bool is_name(char c)
{
    return char_is_alnum(c) || c == '-' || c == '_';
}

static bool is_space(char c)
{
    return char_is_blank(c) || c == '\f';
}

static size_t string_length(struct bytes in) /* 0: it has no end, or what no string may hold */
{
    for (size_t i = 1; i < in.n; i++) {
        if (in.p[i] == in.p[0])
            return i + 1;
        if (char_is_control(in.p[i]) || char_in(in.p[i], BYTES("\\<>")))
            return 0;
    }
    return 0;
}

/* Length of a comment at the front, 0 when there is none. */
static size_t comment_length(struct bytes in)
{
    const char *end = NULL;

    if (!bytes_starts(in, BYTES("/*")))
        return 0;
    end = memmem(in.p + 2, in.n - 2, "*/", 2);
    return end ? (size_t)(end - in.p) + 2 : in.n;
}

/* "url(" at the front: its length, and where it leads. 0 when it is none, or has no end. */
static size_t url_length(struct bytes in, struct bytes *url)
{
    size_t close = bytes_find(bytes_head(in, URL_LONGEST), ')');

    if (!bytes_starts_nocase(in, BYTES("url(")) || close >= in.n || close >= URL_LONGEST)
        return 0;
    *url = bytes_trim(bytes_from(bytes_head(in, close), 4));
    if (url->n > 1 && char_in(url->p[0], BYTES("'\"")) && url->p[url->n - 1] == url->p[0])
        *url = bytes_from(bytes_head(*url, url->n - 1), 1);
    return close + 1;
}

static bool url_ok(struct bytes url, struct css_safe *how)
{
    bool http = bytes_starts_nocase(url, BYTES("https://")) || bytes_starts_nocase(url, BYTES("http://"));

    for (size_t i = 0; i < url.n; i++)
        if (url.p[i] <= ' ' || url.p[i] >= 0x7F || char_in(url.p[i], BYTES("\"'()<>\\")))
            return false;
    if (!http || !how->remote) {
        how->blocked += http || bytes_starts(url, BYTES("//"));
        return false;
    }
    return true;
}

/* One step of a value: its length when it is allowed, else 0. What it looks like on paper goes to *out. */
static size_t value_step(struct bytes in, struct css_safe *how, struct buf *out)
{
    struct bytes url;
    size_t n = comment_length(in);

    if (n) {
        buf_addc(out, ' ');
        return n;
    }
    if (char_in(in.p[0], BYTES("'\""))) {
        n = string_length(in);
        buf_add(out, bytes_head(in, n));
        return n;
    }
    if (!is_name(in.p[0])) {
        bool fine = char_is_8bit(in.p[0]) || is_space(in.p[0]) || char_in(in.p[0], BYTES("#.,%+*/()!"));

        buf_addc(out, is_space(in.p[0]) ? ' ' : in.p[0]);
        return fine ? 1 : 0;
    }
    while (n < in.n && is_name(in.p[n]))
        n++;
    if (n >= in.n || in.p[n] != '(') {
        buf_add(out, bytes_head(in, n));
        return n;
    }
    if (is_named(bytes_head(in, n), functions, sizeof functions / sizeof *functions)) {
        buf_add(out, bytes_head(in, n + 1));
        return n + 1;
    }
    n = url_length(in, &url);
    if (!n || !url_ok(url, how))
        return 0;
    buf_addf(out, "url(\"%.*s\")", SHOW(url));
    return n;
}

/* A margin or an indent below nothing moves a box over what stands before it; what is calculated may be that. */
static bool goes_outside(struct bytes name, struct bytes value)
{
    if (!bytes_starts_nocase(name, BYTES("margin")) && !bytes_equal_nocase(name, BYTES("text-indent")))
        return false;
    for (size_t i = 0; i < value.n; i++)
        if (value.p[i] == '(' || (value.p[i] == '-' && (i == 0 || !is_name(value.p[i - 1]))))
            return true;
    return false;
}

/* Appends "name:value;", or nothing. */
static void declaration(struct bytes text, struct css_safe *how, struct buf *out)
{
    struct bytes name, value;
    size_t start = out->n;
    int open = 0;

    if (!bytes_cut(text, ':', &name, &value))
        return;
    name = bytes_trim(name);
    value = bytes_trim(value);
    if (!value.n || !is_named(name, properties, sizeof properties / sizeof *properties) || goes_outside(name, value))
        return;
    buf_add_lower(out, name);
    buf_addc(out, ':');
    while (value.n) {
        size_t n = value_step(value, how, out);

        open += value.p[0] == '(' || (n > 1 && value.p[n - 1] == '(') ? 1 : value.p[0] == ')' ? -1 : 0;
        if (n == 0 || open < 0) {
            out->n = start;
            return;
        }
        value = bytes_from(value, n);
    }
    if (open)
        out->n = start;
    else
        buf_addc(out, ';');
}

/* Up to the next of `ends` that is in no string, parentheses or comment; all when there is none. */
static size_t until(struct bytes in, struct bytes ends)
{
    size_t open = 0;

    for (size_t i = 0; i < in.n;) {
        size_t comment = comment_length(bytes_from(in, i));
        size_t string = char_in(in.p[i], BYTES("'\"")) ? string_length(bytes_from(in, i)) : 0;

        if (comment || string) {
            i += comment ? comment : string;
            continue;
        }
        if (open == 0 && char_in(in.p[i], ends))
            return i;
        open += in.p[i] == '(';
        open -= in.p[i] == ')' && open;
        i++;
    }
    return in.n;
}

static struct bytes without_comments(struct bytes in)
{
    in = bytes_trim(in);
    for (size_t n; (n = comment_length(in));)
        in = bytes_trim(bytes_from(in, n));
    return in;
}

void css_declarations(struct bytes text, struct css_safe *how, struct buf *out)
{
    while (text.n) {
        size_t n = until(text, BYTES(";"));

        declaration(without_comments(bytes_head(text, n)), how, out);
        text = bytes_from(text, n + 1);
    }
}

/* What stands before a block: selectors, or the condition of @media. Quotes and brackets that do not close would make
 * a browser read on where this reader does not. */
static bool prelude_ok(struct bytes text)
{
    int open = 0;

    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];

        if (char_in(c, BYTES("'\""))) {
            size_t string = string_length(bytes_from(text, i));

            if (!string)
                return false;
            i += string - 1;
            continue;
        }
        open += char_in(c, BYTES("([")) ? 1 : char_in(c, BYTES(")]")) ? -1 : 0;
        if (open < 0 || (!is_name(c) && !is_space(c) && !char_in(c, BYTES(".,#:*>+~[]=()^$|"))))
            return false;
    }
    return text.n > 0 && open == 0;
}

/* The block behind a prelude, which *in begins with; *in goes behind it. */
static struct bytes take_block(struct bytes *in)
{
    struct bytes rest = bytes_from(*in, 1), block;
    size_t depth = 1, i = 0;

    for (; i < rest.n; i++) {
        i += until(bytes_from(rest, i), BYTES("{}"));
        if (i >= rest.n)
            break;
        depth += rest.p[i] == '{' ? 1 : 0;
        if (rest.p[i] == '}' && --depth == 0)
            break;
    }
    block = bytes_head(rest, i);
    *in = bytes_from(rest, i + 1);
    return block;
}

static void rule(struct bytes selector, struct bytes block, struct css_safe *how, struct buf *out)
{
    size_t start = out->n, inner = 0;

    if (!prelude_ok(selector))
        return;
    buf_add(out, selector);
    buf_addc(out, '{');
    inner = out->n;
    css_declarations(block, how, out);
    if (out->n == inner)
        out->n = start;
    else
        buf_adds(out, "}\n");
}

/* Rules one after the other; `media`: inside of @media, where no other @ is read. */
static void rules(struct bytes text, bool media, struct css_safe *how, struct buf *out)
{
    while ((text = without_comments(text)).n && !out->overflowed) {
        size_t n = until(text, BYTES("{;}"));
        struct bytes prelude = bytes_trim(bytes_head(text, n)), block;
        bool at = prelude.n && prelude.p[0] == '@';

        text = bytes_from(text, n);
        if (!text.n || text.p[0] != '{') { /* @import, or rubbish */
            text = bytes_from(text, 1);
            continue;
        }
        block = take_block(&text);
        if (!at) {
            rule(prelude, block, how, out);
        } else if (!media && bytes_starts_nocase(prelude, BYTES("@media ")) && prelude_ok(bytes_from(prelude, 7))) {
            buf_add(out, prelude);
            buf_adds(out, "{\n");
            rules(block, true, how, out);
            buf_adds(out, "}\n");
        }
    }
}

/* "<!--" and "-->" around a sheet are for browsers of old. */
void css_sheet(struct bytes text, struct css_safe *how, struct buf *out)
{
    text = bytes_trim(text);
    if (bytes_starts(text, BYTES("<!--")))
        text = bytes_from(text, 4);
    if (bytes_ends(text, BYTES("-->")))
        text.n -= 3;
    rules(text, false, how, out);
}
