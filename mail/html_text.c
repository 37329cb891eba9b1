/* mail/html_text.c - the text of an HTML mail, for readers of text and for snippets.
 *
 * No tree and no styles: a stream of tags changes a few counters (lists, quotes, pre), and line breaks are owed until
 * the next word comes, so that ten closing tags make one empty line. Nesting is a number, so hostile depth costs
 * nothing; time and output are bounded by html.text_max. */
#include "mail/build.h"
#include "mail/chars.h"
#include "mail/html_token.h"

enum { LINE = 78, WORD_MAX = 2048, LISTS_MAX = 16, QUOTES_MAX = 5, LINK_TEXT_MAX = 512 };

struct page {
    struct buf *out;
    size_t start, column; /* of the text written here; of the line */
    struct buf word, text, href, link;
    unsigned breaks; /* line ends owed before the next word: 2 is an empty line */
    bool space, cell, row_text, in_link;
    unsigned pre, quotes, lists;
    int64_t number[LISTS_MAX]; /* of the next item; 0: not numbered */
};

static size_t width(struct bytes b)
{
    size_t n = 0;

    for (size_t i = 0; i < b.n; i++)
        n += ((unsigned char)b.p[i] & 0xC0) != 0x80;
    return n;
}

static void new_line(struct page *p)
{
    size_t indent = p->lists > 1 ? 2 * ((size_t)p->lists - 1) : 0;

    p->column = 0;
    for (unsigned i = 0; i < p->quotes && i < QUOTES_MAX; i++, p->column += 2)
        buf_adds(p->out, "> ");
    for (size_t i = 0; i < indent && i < 2 * (size_t)LISTS_MAX; i++, p->column++)
        buf_addc(p->out, ' ');
}

static void pay_breaks(struct page *p)
{
    if (p->out->n > p->start)
        for (; p->breaks; p->breaks--)
            buf_addc(p->out, '\n');
    p->breaks = 0;
    new_line(p);
}

static void word_end(struct page *p)
{
    struct bytes word = buf_bytes(&p->word);
    size_t wide = width(word);

    if (word.n == 0)
        return;
    if (p->breaks || p->out->n == p->start) {
        pay_breaks(p);
    } else if (p->cell && p->row_text) {
        buf_adds(p->out, " | ");
        p->column += 3;
    } else if (p->space && p->column + 1 + wide > LINE) {
        buf_addc(p->out, '\n');
        new_line(p);
    } else if (p->space) {
        buf_addc(p->out, ' ');
        p->column++;
    }
    buf_add(p->out, word);
    p->column += wide;
    p->space = p->cell = false;
    p->row_text = true;
    buf_reset(&p->word);
}

static void owe(struct page *p, unsigned breaks)
{
    word_end(p);
    p->breaks = breaks > p->breaks ? breaks : p->breaks;
    p->space = false;
}

static void add_line_break(struct page *p)
{
    word_end(p);
    if (p->breaks < 2)
        p->breaks++;
    p->space = false;
}

static bool is_ink(char c)
{
    return (unsigned char)c > ' ' && c != '\x7F' && c != '\xC2';
}

/* White space ends the word, and each is one space however long; not so in <pre>, and a no-break space is one of the
 * word. */
static size_t add_one(struct page *p, struct bytes text)
{
    char c = text.p[0];
    bool nbsp = bytes_starts(text, BYTES("\xC2\xA0"));

    if (p->pre && c == '\n') {
        add_line_break(p);
    } else if (char_is_blank(c) && !(p->pre && c == ' ')) {
        word_end(p);
        p->space = true;
    } else if (!char_is_control(c)) {
        buf_addc(&p->word, nbsp ? ' ' : c);
    }
    return nbsp ? 2 : 1;
}

static size_t add_ink(struct page *p, struct bytes text)
{
    size_t n = 0;

    if (p->word.n >= WORD_MAX)
        word_end(p);
    while (n < text.n && n < WORD_MAX - p->word.n && is_ink(text.p[n]))
        n++;
    buf_add(&p->word, bytes_head(text, n));
    return n;
}

static void add_text(struct page *p, struct bytes raw)
{
    struct bytes text;

    buf_reset(&p->text);
    html_unescape(raw, &p->text);
    text = buf_bytes(&p->text);
    if (p->in_link)
        buf_add(&p->link, text);
    while (text.n) {
        size_t n = add_ink(p, text);

        text = bytes_from(text, n ? n : add_one(p, text));
    }
}

static void link_begin(struct page *p, struct bytes href)
{
    buf_reset(&p->href);
    buf_reset(&p->link);
    html_unescape(bytes_trim(href), &p->href);
    p->in_link = p->href.n > 0 && !p->href.overflowed;
}

/* A link that says nothing the text did not say is not repeated. */
static bool says_the_same(struct bytes text, struct bytes url)
{
    static const char *const schemes[] = { "https://", "http://", "mailto:", "tel:", "www." };

    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        if (bytes_starts_nocase(url, bytes_of(schemes[i])))
            url = bytes_from(url, strlen(schemes[i]));
        if (bytes_starts_nocase(text, bytes_of(schemes[i])))
            text = bytes_from(text, strlen(schemes[i]));
    }
    if (bytes_ends(url, BYTES("/")))
        url.n--;
    if (bytes_ends(text, BYTES("/")))
        text.n--;
    return bytes_equal_nocase(text, url);
}

static bool shown_scheme(struct bytes url)
{
    return bytes_starts_nocase(url, BYTES("http://")) || bytes_starts_nocase(url, BYTES("https://")) ||
           bytes_starts_nocase(url, BYTES("mailto:"));
}

static void link_end(struct page *p)
{
    struct bytes url = buf_bytes(&p->href), text = bytes_trim(buf_bytes(&p->link));

    if (!p->in_link)
        return;
    p->in_link = false;
    if (!shown_scheme(url) || says_the_same(text, url))
        return;
    word_end(p);
    p->space = true;
    buf_addc(&p->word, '<');
    for (size_t i = 0; i < url.n; i++)
        if (!char_is_control(url.p[i]) && url.p[i] != ' ')
            buf_addc(&p->word, url.p[i]);
    buf_addc(&p->word, '>');
    word_end(p);
}

static void list_begin(struct page *p, const struct html_tag *tag, bool numbered)
{
    int64_t first = 1;

    if (tag->start.p && (!bytes_to_int(tag->start, &first) || first < 1 || first > 1000000))
        first = 1;
    owe(p, p->lists ? 1 : 2);
    if (p->lists < LISTS_MAX)
        p->number[p->lists] = numbered ? first : 0;
    p->lists++;
}

static void item_begin(struct page *p)
{
    unsigned level = p->lists && p->lists <= LISTS_MAX ? p->lists - 1 : LISTS_MAX;

    owe(p, 1);
    if (level < LISTS_MAX && p->number[level])
        buf_addf(&p->word, "%lld.", (long long)p->number[level]++);
    else
        buf_addc(&p->word, '-');
    word_end(p);
    p->space = true;
}

enum kind { BLOCK, BREAK, RULE, LINK, IMAGE, LIST, NUMBERED, ITEM, ROW, CELL, PRE, QUOTE };

static const struct {
    const char *name;
    enum kind kind;
    unsigned breaks;
} kinds[] = {
    { "a", LINK, 0 },           { "br", BREAK, 0 },       { "p", BLOCK, 2 },       { "div", BLOCK, 1 },
    { "td", CELL, 0 },          { "th", CELL, 0 },        { "tr", ROW, 1 },        { "img", IMAGE, 0 },
    { "li", ITEM, 1 },          { "ul", LIST, 0 },        { "ol", NUMBERED, 0 },   { "h1", BLOCK, 2 },
    { "h2", BLOCK, 2 },         { "h3", BLOCK, 2 },       { "h4", BLOCK, 2 },      { "h5", BLOCK, 2 },
    { "h6", BLOCK, 2 },         { "table", BLOCK, 1 },    { "hr", RULE, 0 },       { "pre", PRE, 2 },
    { "blockquote", QUOTE, 2 }, { "section", BLOCK, 1 },  { "article", BLOCK, 1 }, { "header", BLOCK, 1 },
    { "footer", BLOCK, 1 },     { "main", BLOCK, 1 },     { "nav", BLOCK, 1 },     { "aside", BLOCK, 1 },
    { "form", BLOCK, 1 },       { "dl", BLOCK, 2 },       { "dt", BLOCK, 1 },      { "dd", BLOCK, 1 },
    { "address", BLOCK, 1 },    { "center", BLOCK, 1 },   { "caption", BLOCK, 1 }, { "figure", BLOCK, 1 },
    { "figcaption", BLOCK, 1 }, { "fieldset", BLOCK, 1 }, { "option", BLOCK, 1 },  { "body", BLOCK, 1 },
    { "thead", BLOCK, 1 },      { "tbody", BLOCK, 1 },
};

static void count_level(unsigned *level, bool closing)
{
    if (!closing)
        ++*level;
    else if (*level)
        --*level;
}

static void list_tag(struct page *p, const struct html_tag *tag, bool numbered)
{
    if (!tag->closing) {
        list_begin(p, tag, numbered);
        return;
    }
    word_end(p);
    count_level(&p->lists, true);
    owe(p, p->lists ? 1 : 2);
}

static void rule(struct page *p)
{
    owe(p, 1);
    buf_adds(&p->word, "----------");
    owe(p, 1);
}

static void see_tag(struct page *p, const struct html_tag *tag, enum kind kind, unsigned breaks)
{
    switch (kind) {
    case BLOCK: owe(p, breaks); break;
    case BREAK: add_line_break(p); break;
    case RULE: rule(p); break;
    case LINK:
        link_end(p);
        if (!tag->closing && tag->href.n)
            link_begin(p, tag->href);
        break;
    case IMAGE: add_text(p, tag->alt); break;
    case LIST: list_tag(p, tag, false); break;
    case NUMBERED: list_tag(p, tag, true); break;
    case ITEM:
        if (tag->closing)
            owe(p, 1);
        else
            item_begin(p);
        break;
    case ROW:
        owe(p, breaks);
        p->row_text = false;
        break;
    case CELL:
        word_end(p);
        p->cell = true;
        break;
    case PRE:
        owe(p, breaks);
        count_level(&p->pre, tag->closing);
        break;
    case QUOTE:
        owe(p, breaks);
        count_level(&p->quotes, tag->closing);
        break;
    }
}

static void page_init(struct page *p, struct buf *out, size_t most)
{
    *p = (struct page){ .out = out, .start = out->n };
    buf_init(&p->word, WORD_MAX + 8);
    buf_init(&p->text, most * 3 + 1);
    buf_init(&p->href, WORD_MAX - 2);
    buf_init(&p->link, LINK_TEXT_MAX);
}

static void page_clear(struct page *p)
{
    buf_clear(&p->word);
    buf_clear(&p->text);
    buf_clear(&p->href);
    buf_clear(&p->link);
}

void html_to_text(struct bytes html, struct mail_limits limits, struct buf *out)
{
    size_t most = limits.html;
    struct bytes in = bytes_head(html, most), text;
    struct html_tag tag;
    struct page p;
    enum html_token token;
    char first = 0;

    page_init(&p, out, most);
    while ((token = html_next(&in, &text, &tag)) != HTML_END && !out->overflowed && out->n - p.start < most) {
        if (token == HTML_TEXT) {
            add_text(&p, text);
            continue;
        }
        first = char_lower(tag.name.p[0]);
        for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
            if (kinds[i].name[0] == first && bytes_equal_nocase(tag.name, bytes_of(kinds[i].name))) {
                see_tag(&p, &tag, kinds[i].kind, kinds[i].breaks);
                break;
            }
    }
    link_end(&p);
    word_end(&p);
    if (out->n > p.start)
        buf_addc(out, '\n');
    page_clear(&p);
}
