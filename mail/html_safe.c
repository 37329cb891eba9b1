/* mail/html_safe.c - tags come, allowed ones go.
 *
 * What is open is kept on a stack of rows, so that each is closed and none closes what stands around the mail. A cell
 * or a paragraph that is not closed ends as it would in a browser (HTML 13.1.2.4, 13.2.6.4), or a long mail without
 * "</p>" would nest without end. What does not fit any more is left out whole, and all is closed that was opened. */
#include "mail/html_safe.h"
#include "mail/chars.h"
#include "mail/css_safe.h"
#include "mail/html_token.h"
#include <stdlib.h>

enum {
    NAME_LONGEST = 24,
    VALUE_LONGEST = 16384,
    URL_LONGEST = 8192,
    STYLE_LONGEST = 65536,
    DATA_LONGEST = 1 << 20,
    PART_LONGEST = 16 << 20
};
enum { CLOSERS = HTML_DEPTH_MOST * (NAME_LONGEST + 3) };
_Static_assert((int)CLOSERS <= (int)HTML_SAFE_SPARE, "what is open can be closed");

enum flag {
    VOID = 1,
    BLOCK = 2, /* ends a paragraph */
    PARA = 4,
    ITEM = 8,
    TERM = 16,
    CELL = 32,
    ROW = 64,
    BODY = 128, /* of a table */
    TABLE = 256,
    LIST = 512,
    LINK = 1024,
    IMAGE = 2048,
    DIV = 4096 /* written as one: body and center have what no fragment may */
};

/* Sorted. */
static const struct element {
    const char *name;
    unsigned flags;
} elements[] = {
    { "a", LINK },
    { "abbr", 0 },
    { "acronym", 0 },
    { "address", BLOCK },
    { "article", BLOCK },
    { "aside", BLOCK },
    { "b", 0 },
    { "bdi", 0 },
    { "bdo", 0 },
    { "big", 0 },
    { "blockquote", BLOCK },
    { "body", BLOCK | DIV },
    { "br", VOID },
    { "caption", BLOCK | CELL },
    { "center", BLOCK },
    { "cite", 0 },
    { "code", 0 },
    { "col", VOID },
    { "colgroup", BODY },
    { "dd", BLOCK | TERM },
    { "del", 0 },
    { "details", BLOCK },
    { "dfn", 0 },
    { "dir", BLOCK | LIST },
    { "div", BLOCK },
    { "dl", BLOCK | LIST },
    { "dt", BLOCK | TERM },
    { "em", 0 },
    { "fieldset", BLOCK },
    { "figcaption", BLOCK },
    { "figure", BLOCK },
    { "font", 0 },
    { "footer", BLOCK },
    { "h1", BLOCK },
    { "h2", BLOCK },
    { "h3", BLOCK },
    { "h4", BLOCK },
    { "h5", BLOCK },
    { "h6", BLOCK },
    { "header", BLOCK },
    { "hr", VOID | BLOCK },
    { "i", 0 },
    { "img", VOID | IMAGE },
    { "ins", 0 },
    { "kbd", 0 },
    { "legend", BLOCK },
    { "li", BLOCK | ITEM },
    { "main", BLOCK },
    { "mark", 0 },
    { "menu", BLOCK | LIST },
    { "nav", BLOCK },
    { "ol", BLOCK | LIST },
    { "p", BLOCK | PARA },
    { "pre", BLOCK },
    { "q", 0 },
    { "rp", 0 },
    { "rt", 0 },
    { "ruby", 0 },
    { "s", 0 },
    { "samp", 0 },
    { "section", BLOCK },
    { "small", 0 },
    { "span", 0 },
    { "strike", 0 },
    { "strong", 0 },
    { "sub", 0 },
    { "summary", BLOCK },
    { "sup", 0 },
    { "table", BLOCK | TABLE },
    { "tbody", BODY },
    { "td", CELL },
    { "tfoot", BODY },
    { "th", CELL },
    { "thead", BODY },
    { "time", 0 },
    { "tr", ROW },
    { "tt", 0 },
    { "u", 0 },
    { "ul", BLOCK | LIST },
    { "var", 0 },
    { "wbr", VOID },
};

enum attribute { PLAIN, STYLE, HREF, SRC, BACKGROUND };

/* Sorted. No id and no name: in a page around the mail they could take the place of its own. */
static const struct {
    const char *name;
    enum attribute kind;
} attributes[] = {
    { "abbr", PLAIN },
    { "align", PLAIN },
    { "alt", PLAIN },
    { "aria-hidden", PLAIN },
    { "aria-label", PLAIN },
    { "axis", PLAIN },
    { "background", BACKGROUND },
    { "bgcolor", PLAIN },
    { "border", PLAIN },
    { "bordercolor", PLAIN },
    { "cellpadding", PLAIN },
    { "cellspacing", PLAIN },
    { "char", PLAIN },
    { "class", PLAIN },
    { "clear", PLAIN },
    { "color", PLAIN },
    { "colspan", PLAIN },
    { "compact", PLAIN },
    { "datetime", PLAIN },
    { "dir", PLAIN },
    { "face", PLAIN },
    { "frame", PLAIN },
    { "height", PLAIN },
    { "href", HREF },
    { "hspace", PLAIN },
    { "lang", PLAIN },
    { "noshade", PLAIN },
    { "nowrap", PLAIN },
    { "open", PLAIN },
    { "reversed", PLAIN },
    { "role", PLAIN },
    { "rowspan", PLAIN },
    { "rules", PLAIN },
    { "scope", PLAIN },
    { "size", PLAIN },
    { "span", PLAIN },
    { "src", SRC },
    { "start", PLAIN },
    { "style", STYLE },
    { "summary", PLAIN },
    { "title", PLAIN },
    { "type", PLAIN },
    { "valign", PLAIN },
    { "value", PLAIN },
    { "vspace", PLAIN },
    { "width", PLAIN },
};

struct writer {
    const struct html_safe *how;
    struct html_safe_found *found;
    struct buf *out;
    struct buf value; /* of the attribute at hand, without entities */
    struct css_safe css;
    const struct element *open[HTML_DEPTH_MOST];
    unsigned depth, tags;
    size_t most; /* of the output; for all but end tags CLOSERS less, so that what is open can always be closed */
    bool full;
};

static int by_name(const void *key, const void *row)
{
    return bytes_compare(*(const struct bytes *)key, bytes_of(*(const char *const *)row));
}

static const void *find(struct bytes name, const void *rows, size_t n, size_t size)
{
    char lower[NAME_LONGEST];
    struct bytes key = { lower, name.n };

    if (name.n == 0 || name.n > sizeof lower)
        return NULL;
    for (size_t i = 0; i < name.n; i++)
        lower[i] = char_lower(name.p[i]);
    return bsearch(&key, rows, n, size, by_name);
}

/* False, and what was written since `mark` is taken back, when it did not fit. */
static bool fits(struct writer *w, size_t mark)
{
    if (!w->out->overflowed)
        return true;
    w->out->n = mark;
    w->out->overflowed = false;
    w->full = true;
    return false;
}

/* ---- texts ---- */

void html_escape(struct bytes text, struct buf *out)
{
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];

        switch (c) {
        case '&': buf_adds(out, "&amp;"); break;
        case '<': buf_adds(out, "&lt;"); break;
        case '>': buf_adds(out, "&gt;"); break;
        case '"': buf_adds(out, "&quot;"); break;
        default:
            if (!char_is_control(c) || char_is_blank(c))
                buf_addc(out, c);
        }
    }
}

/* "&name;" as it stands: of the many that there are, the browser knows all. 0: there is none at the front. */
static size_t entity_length(struct bytes in)
{
    size_t n = 1;

    while (n < in.n && n < 34 && char_is_alnum(in.p[n]))
        n++;
    return n > 1 && n < in.n && in.p[n] == ';' && char_is_letter(in.p[1]) ? n + 1 : 0;
}

static void add_text(struct writer *w, struct bytes raw)
{
    size_t mark = w->out->n;

    while (raw.n) {
        size_t n = raw.p[0] == '&' ? entity_length(raw) : bytes_find(raw, '&');

        if (raw.p[0] == '&' && n == 0) { /* a number, or an '&' alone */
            n = bytes_find(bytes_from(raw, 1), '&') + 1;
            buf_reset(&w->value);
            html_unescape(bytes_head(raw, n), &w->value);
            html_escape(buf_bytes(&w->value), w->out);
        } else if (raw.p[0] == '&') {
            buf_add(w->out, bytes_head(raw, n));
        } else {
            html_escape(bytes_head(raw, n), w->out);
        }
        raw = bytes_from(raw, n);
    }
    fits(w, mark);
}

/* ---- attributes ---- */

static void add_attribute(struct writer *w, const char *name, struct bytes value)
{
    buf_addf(w->out, " %s=\"", name);
    html_escape(value, w->out);
    buf_addc(w->out, '"');
}

/* As a browser reads a URL: blanks and controls before it and line ends within are nothing (URL 4.4). */
static struct bytes plain_url(struct buf *value)
{
    size_t to = 0;

    for (size_t i = 0; i < value->n; i++) {
        char c = value->p[i];

        if ((unsigned char)c > ' ' || (c == ' ' && to))
            value->p[to++] = c;
    }
    value->n = to;
    return bytes_trim(buf_bytes(value));
}

static bool is_http(struct bytes url)
{
    return bytes_starts_nocase(url, BYTES("https://")) || bytes_starts_nocase(url, BYTES("http://"));
}

static bool is_data_image(struct bytes url)
{
    static const char *const types[] = { "data:image/png;", "data:image/jpeg;", "data:image/jpg;",
                                         "data:image/gif;", "data:image/webp;", "data:image/bmp;" };

    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (bytes_starts_nocase(url, bytes_of(types[i])))
            return url.n <= DATA_LONGEST;
    return false;
}

static void add_link(struct writer *w, struct bytes url)
{
    if (url.n > URL_LONGEST ||
        (!is_http(url) && !bytes_starts_nocase(url, BYTES("mailto:")) && !bytes_starts_nocase(url, BYTES("tel:"))))
        return;
    add_attribute(w, "href", url);
    buf_adds(w->out, " target=\"_blank\" rel=\"noopener noreferrer nofollow\"");
}

static void add_image(struct writer *w, const char *name, struct bytes url)
{
    const struct html_safe *how = w->how;
    struct buf place;

    if (bytes_starts_nocase(url, BYTES("cid:"))) {
        buf_init(&place, PART_LONGEST);
        if (how->part && how->part(how->ctx, bytes_from(url, 4), &place) && !place.overflowed)
            add_attribute(w, name, buf_bytes(&place));
        buf_clear(&place);
    } else if (is_data_image(url) || (how->remote && is_http(url) && url.n <= URL_LONGEST)) {
        add_attribute(w, name, url);
    } else if (is_http(url) || bytes_starts(url, BYTES("//"))) {
        w->found->blocked++;
    }
}

static void add_style(struct writer *w, struct bytes text)
{
    struct buf css;

    buf_init(&css, STYLE_LONGEST);
    css_declarations(text, &w->css, &css);
    if (css.n && !css.overflowed)
        add_attribute(w, "style", buf_bytes(&css));
    buf_clear(&css);
}

static void attribute(struct writer *w, const struct element *e, struct bytes name, struct bytes raw)
{
    size_t n = sizeof attributes / sizeof *attributes;
    const char *const *found = find(name, attributes, n, sizeof *attributes);
    enum attribute kind = PLAIN;

    if (!found)
        return;
    kind = attributes[(size_t)((const char *)found - (const char *)attributes) / sizeof *attributes].kind;
    buf_reset(&w->value);
    html_unescape(raw, &w->value);
    if (w->value.overflowed)
        return;
    switch (kind) {
    case PLAIN:
        if (w->value.n <= VALUE_LONGEST)
            add_attribute(w, *found, buf_bytes(&w->value));
        break;
    case STYLE: add_style(w, buf_bytes(&w->value)); break;
    case HREF:
        if (e->flags & LINK)
            add_link(w, plain_url(&w->value));
        break;
    case SRC:
        if (e->flags & IMAGE)
            add_image(w, *found, plain_url(&w->value));
        break;
    case BACKGROUND: add_image(w, *found, plain_url(&w->value)); break;
    }
}

/* ---- elements ---- */

static const char *written(const struct element *e)
{
    return e->flags & DIV ? "div" : e->name;
}

static void close_to(struct writer *w, unsigned level)
{
    size_t most = w->out->max;

    w->out->max = w->most;
    while (w->depth > level)
        buf_addf(w->out, "</%s>", written(w->open[--w->depth]));
    w->out->max = w->out->n > most ? w->out->n : most;
}

/* Closes the innermost that has one of `flags`, unless one with one of `bars` is further in. */
static void close_flagged(struct writer *w, unsigned flags, unsigned bars)
{
    for (unsigned i = w->depth; i-- > 0;) {
        if (w->open[i]->flags & flags) {
            close_to(w, i);
            return;
        }
        if (w->open[i]->flags & bars)
            return;
    }
}

/* What ends without an end tag where this one begins. */
static void close_implied(struct writer *w, const struct element *e)
{
    if (e->flags & BLOCK)
        close_flagged(w, PARA, TABLE | CELL);
    if (e->flags & ITEM)
        close_flagged(w, ITEM, TABLE | CELL | LIST);
    if (e->flags & TERM)
        close_flagged(w, TERM, TABLE | CELL | LIST);
    if (e->flags & LINK)
        close_flagged(w, LINK, TABLE | CELL);
    if (e->flags & (CELL | ROW | BODY))
        close_flagged(w, CELL, TABLE);
    if (e->flags & (ROW | BODY))
        close_flagged(w, ROW, TABLE);
    if (e->flags & BODY)
        close_flagged(w, BODY, TABLE);
}

static void begin(struct writer *w, const struct element *e, struct bytes rest)
{
    struct bytes name, value;
    size_t mark = 0;

    close_implied(w, e);
    if (!(e->flags & VOID) && w->depth >= w->how->depth)
        return;
    mark = w->out->n;
    buf_addf(w->out, "<%s", written(e));
    while (html_attribute(&rest, &name, &value))
        attribute(w, e, name, value);
    buf_addc(w->out, '>');
    if (fits(w, mark) && !(e->flags & VOID))
        w->open[w->depth++] = e;
}

/* An end tag ends nothing outside of the cell that it stands in. */
static void end(struct writer *w, const struct element *e)
{
    unsigned bars = e->flags & (CELL | ROW | BODY | TABLE) ? TABLE : TABLE | CELL;

    for (unsigned i = w->depth; i-- > 0;) {
        if (w->open[i] == e) {
            close_to(w, i);
            return;
        }
        if (w->open[i]->flags & bars)
            return;
    }
}

static void sheet(struct writer *w, struct bytes text)
{
    size_t start = w->out->n, inner = 0;

    buf_adds(w->out, "<style>");
    inner = w->out->n;
    css_sheet(bytes_head(text, STYLE_LONGEST), &w->css, w->out);
    if (w->out->n == inner)
        w->out->n = start;
    else
        buf_adds(w->out, "</style>");
    fits(w, start);
}

static void tag(struct writer *w, const struct html_tag *t)
{
    const struct element *e = find(t->name, elements, sizeof elements / sizeof *elements, sizeof *elements);

    if (!t->closing && bytes_equal_nocase(t->name, BYTES("style")))
        sheet(w, t->content);
    else if (e && !t->closing)
        begin(w, e, t->attributes);
    else if (e)
        end(w, e);
}

void html_safe(struct bytes html, const struct html_safe *how, struct buf *out, struct html_safe_found *found)
{
    struct writer w = { .how = how, .found = found, .out = out, .css = { .remote = how->remote }, .most = out->max };
    struct bytes in = bytes_head(html, how->html), text;
    struct html_tag t;
    enum html_token token = HTML_END;

    *found = (struct html_safe_found){ .cut = html.n > how->html };
    buf_init(&w.value, 4 * how->html + 16);
    out->max = w.most > CLOSERS ? w.most - CLOSERS : 0;
    while (!w.full && (token = html_next(&in, &text, &t)) != HTML_END) {
        if (token == HTML_TEXT)
            add_text(&w, text);
        else if (w.tags++ < how->tags)
            tag(&w, &t);
        else
            w.full = true;
    }
    close_to(&w, 0);
    out->max = w.most;
    found->blocked += w.css.blocked;
    found->cut |= w.full;
    buf_clear(&w.value);
}
