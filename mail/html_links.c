/* mail/html_links.c - bytes are copied up to a link, what stands instead of it follows, and so on: html_token.h says
 * where a value stands in the document itself. The first attribute of a name counts (HTML 13.2.5.33), or a link would
 * be changed that nobody follows, and the one that is followed would not. */
#include "mail/html_links.h"
#include "mail/chars.h"
#include "mail/html_token.h"

struct changing {
    const struct link_change *how;
    struct buf *out;
    const char *copied; /* of the source, up to here */
    size_t changed;
    struct buf url; /* the one at hand */
};

static void copy_to(struct changing *x, const char *to)
{
    buf_add(x->out, (struct bytes){ x->copied, (size_t)(to - x->copied) });
    x->copied = to;
}

static bool is_web(struct bytes url)
{
    size_t scheme = bytes_starts_nocase(url, BYTES("http://"))    ? 7
                    : bytes_starts_nocase(url, BYTES("https://")) ? 8
                                                                  : 0;

    return scheme && url.n > scheme && url.p[scheme] != '/';
}

/* As the URL standard has it: blanks around it go, tabs and line ends anywhere; what may not stand in a Location field
 * is percent-encoded, which asks for the same. */
static void write_url(struct bytes text, struct buf *out)
{
    while (text.n && (unsigned char)text.p[0] <= ' ')
        text = bytes_from(text, 1);
    while (text.n && (unsigned char)text.p[text.n - 1] <= ' ')
        text.n--;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];

        if (char_in(c, BYTES("\t\r\n")))
            continue;
        if (c > ' ' && c < 0x7F && !char_in(c, BYTES("\"<>")))
            buf_addc(out, c);
        else
            buf_addf(out, "%%%02X", (unsigned char)c);
    }
}

/* Puts what comes instead of the link for its bytes in the source; false: it stays. */
static bool change(struct changing *x, struct bytes source)
{
    const struct link_change *how = x->how;
    struct bytes url = buf_bytes(&x->url);
    size_t before;

    if (x->url.overflowed || url.n > how->url_max || !is_web(url) || x->changed >= how->links_max)
        return false;
    copy_to(x, source.p);
    before = x->out->n;
    if (!how->link(how->ctx, url, x->out)) {
        x->out->n = before;
        return false;
    }
    x->copied = source.p + source.n;
    x->changed++;
    return true;
}

/* ---- HTML ---- */

static bool is_mark(struct bytes name, struct bytes value)
{
    static const struct {
        const char *name, *value; /* NULL: whatever it is */
    } marks[] = {
        { "data-no-track", NULL },  { "data-pm-no-track", NULL },        { "ses:no-track", NULL },
        { "clicktracking", "off" }, { "data-disable-tracking", "true" },
    };

    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (bytes_equal_nocase(name, bytes_of(marks[i].name)))
            return !marks[i].value || bytes_equal_nocase(value, bytes_of(marks[i].value));
    return false;
}

static bool is_marked(const struct html_tag *tag)
{
    struct bytes rest = tag->attributes, name, value;

    while (html_attribute(&rest, &name, &value))
        if (is_mark(name, value))
            return true;
    return false;
}

static bool is(const struct html_tag *tag, const char *name)
{
    return bytes_equal_nocase(tag->name, bytes_of(name));
}

static void change_href(struct changing *x, const struct html_tag *tag)
{
    struct buf plain;

    /* Most links are no longer than they may be: what is, is not even decoded. */
    if (!tag->href.n || tag->href.n > 8 * x->how->url_max || is_marked(tag))
        return;
    buf_init(&plain, tag->href.n * 4);
    html_unescape(tag->href, &plain);
    buf_reset(&x->url);
    write_url(buf_bytes(&plain), &x->url);
    change(x, tag->href);
    buf_clear(&plain);
}

/* Elements whose text is text, tags and all. */
static const char *raw_of(const struct html_tag *tag)
{
    static const char *const raw[] = { "textarea", "xmp", "plaintext" };

    for (size_t i = 0; i < sizeof raw / sizeof *raw; i++)
        if (is(tag, raw[i]))
            return raw[i];
    return NULL;
}

static void change_tags(struct changing *x, struct bytes html, struct bytes *at_end, bool *marked)
{
    const char *within = NULL;
    struct html_tag tag;
    struct bytes text;
    enum html_token got;

    while (!*marked && (got = html_next(&html, &text, &tag)) != HTML_END) {
        if (got != HTML_TAG)
            continue;
        if (within || tag.closing) {
            within = within && tag.closing && is(&tag, within) ? NULL : within;
            if (!within && at_end->n && is(&tag, "body")) {
                copy_to(x, tag.name.p - 2);
                buf_add(x->out, *at_end);
                *at_end = NO_BYTES;
            }
            continue;
        }
        within = raw_of(&tag);
        *marked = (is(&tag, "html") || is(&tag, "body")) && is_marked(&tag);
        if (is(&tag, "a") || is(&tag, "area"))
            change_href(x, &tag);
    }
}

bool html_links_change(struct bytes html, const struct link_change *how, struct bytes at_end, struct buf *out)
{
    struct changing x = { .how = how, .out = out, .copied = html.p };
    size_t before = out->n;
    bool marked = false;

    buf_init(&x.url, how->url_max + 1);
    if (html.n)
        change_tags(&x, html, &at_end, &marked);
    if (marked) { /* a body may come behind links */
        out->n = before;
        x.copied = html.p;
    }
    if (html.n)
        copy_to(&x, html.p + html.n);
    if (!marked)
        buf_add(out, at_end);
    buf_clear(&x.url);
    return !marked;
}

/* ---- plain text ---- */

static bool may_go_on(char c)
{
    return c > ' ' && c < 0x7F && !char_in(c, BYTES("\"<>"));
}

/* How long the link is that the text begins with: what a mail program would make one of. */
static size_t link_length(struct bytes text)
{
    size_t n = 0, open = 0, closed = 0;

    for (; n < text.n && may_go_on(text.p[n]); n++) {
        open += text.p[n] == '(';
        closed += text.p[n] == ')';
    }
    while (n && (char_in(text.p[n - 1], BYTES(".,;:!?'*]}")) || (text.p[n - 1] == ')' && closed > open))) {
        closed -= text.p[n - 1] == ')';
        n--;
    }
    return n;
}

/* What follows a link directly and is no ASCII may be a part of it, or not: programs differ, and a token with more
 * behind it leads nowhere. */
static bool ends_clearly(struct bytes text, size_t n)
{
    while (n < text.n && may_go_on(text.p[n]))
        n++;
    return n == text.n || (unsigned char)text.p[n] < 0x80;
}

/* Where the next "http" stands; text.n: nowhere. */
static size_t next_link(struct bytes text, size_t at)
{
    for (; at < text.n; at++) {
        bool within = at > 0 && (char_is_alnum(text.p[at - 1]) || (unsigned char)text.p[at - 1] >= 0x80);

        if ((text.p[at] | 0x20) == 'h' && !within && is_web(bytes_from(text, at)))
            return at;
    }
    return text.n;
}

void text_links_change(struct bytes text, const struct link_change *how, struct buf *out)
{
    struct changing x = { .how = how, .out = out, .copied = text.p };
    size_t at = 0;

    buf_init(&x.url, how->url_max + 1);
    while ((at = next_link(text, at)) < text.n) {
        struct bytes link = bytes_from(text, at);

        link.n = link_length(link);
        if (ends_clearly(text, at + link.n)) {
            buf_reset(&x.url);
            buf_add(&x.url, link);
            change(&x, link);
        }
        at += link.n ? link.n : 1;
    }
    if (text.n)
        copy_to(&x, text.p + text.n);
    buf_clear(&x.url);
}
