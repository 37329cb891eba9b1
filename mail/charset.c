/* mail/charset.c - UTF-8, Windows-1252 and what is not labelled, by hand; all else goes to iconv (charset_convert.c).
 *
 * A label is believed only as far as the bytes allow: without one, text that is valid UTF-8 is that, and any other is
 * Windows-1252, which can say every byte. No text is ever refused: what is wrong becomes U+FFFD, as much at a time as a
 * browser would replace, so that the rest of the mail can be read. */
#include "mail/charset.h"
#include "mail/chars.h"
#include "mail/mime.h"
#include "mail/mime_flowed.h"

/* Windows-1252, 0x80 to 0x9F. */
static const uint16_t high[32] = {
    0x20AC, 0x0081, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
    0x2039, 0x0152, 0x008D, 0x017D, 0x008F, 0x0090, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
    0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x009D, 0x017E, 0x0178,
};

/* How much of the broken character at the front belongs together: what could have begun a good one (Unicode 3.9,
 * "U+FFFD substitution of maximal subparts"). */
static size_t subpart_length(struct bytes in)
{
    unsigned char c = (unsigned char)in.p[0], low = 0x80, top = 0xBF;
    size_t length = c < 0xC2 || c > 0xF4 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4, n = 1;

    low = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80;
    top = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
    for (; n < length && n < in.n; n++) {
        unsigned char next = (unsigned char)in.p[n];

        if (next < low || next > top)
            break;
        low = 0x80;
        top = 0xBF;
    }
    return n;
}

static void add_utf8(struct bytes text, struct buf *out)
{
    size_t good = 0;

    while (good < text.n) {
        struct bytes rest = bytes_from(text, good);
        size_t length = (unsigned char)rest.p[0] < 0x80 ? 1 : bytes_utf8_length(rest);

        if (length) {
            good += length;
            continue;
        }
        buf_add(out, bytes_head(text, good));
        buf_add(out, CHARSET_BAD);
        text = bytes_from(rest, subpart_length(rest));
        good = 0;
    }
    buf_add(out, text);
}

static void add_rune(struct buf *out, unsigned c)
{
    char three[3] = { (char)(0xE0 | (c >> 12)), (char)(0x80 | ((c >> 6) & 0x3F)), (char)(0x80 | (c & 0x3F)) };
    char two[2] = { (char)(0xC0 | (c >> 6)), (char)(0x80 | (c & 0x3F)) };

    buf_add(out, c < 0x800 ? (struct bytes){ two, 2 } : (struct bytes){ three, 3 });
}

static void add_western(struct bytes text, struct buf *out)
{
    size_t plain = 0;

    for (size_t i = 0; i < text.n; i++) {
        unsigned c = (unsigned char)text.p[i];

        if (c < 0x80)
            continue;
        buf_add(out, (struct bytes){ text.p + plain, i - plain });
        plain = i + 1;
        add_rune(out, c < 0xA0 ? high[c - 0x80] : c);
    }
    buf_add(out, bytes_from(text, plain));
}

/* A byte order mark says more than a label. Those of UTF-16 could be two letters of an old charset, where one is named.
 */
static enum charset marked(enum charset charset, struct bytes *text)
{
    bool open = charset == CHARSET_UNKNOWN || charset == CHARSET_UTF_16LE || charset == CHARSET_UTF_16BE;
    enum charset found = charset;
    size_t n = 2;

    if (bytes_starts(*text, BYTES("\xEF\xBB\xBF"))) {
        found = CHARSET_UTF_8;
        n = 3;
    } else if (open && bytes_starts(*text, BYTES("\xFE\xFF"))) {
        found = CHARSET_UTF_16BE;
    } else if (open && bytes_starts(*text, BYTES("\xFF\xFE"))) {
        found = CHARSET_UTF_16LE;
    } else {
        return charset;
    }
    *text = bytes_from(*text, n);
    return found;
}

void charset_read(enum charset charset, struct bytes text, struct buf *out)
{
    switch (charset) {
    case CHARSET_UNKNOWN:
        if (bytes_is_utf8(text))
            buf_add(out, text);
        else
            add_western(text, out);
        break;
    case CHARSET_UTF_8: add_utf8(text, out); break;
    case CHARSET_WINDOWS_1252: add_western(text, out); break;
    case CHARSET_ISO_2022_JP: charset_jis(text, out); break;
    default: charset_convert(charset, text, out); break;
    }
}

void charset_decode(struct bytes label, struct bytes text, struct buf *out)
{
    charset_read(charset_find(label), text, out);
}

/* CRLF and a lone CR to LF, from `start` on, in place. */
static void line_ends(struct buf *out, size_t start)
{
    size_t to = start;

    for (size_t i = start; i < out->n; i++) {
        char c = out->p[i];

        if (c == '\r' && i + 1 < out->n && out->p[i + 1] == '\n')
            continue;
        out->p[to++] = c == '\r' ? '\n' : c;
    }
    out->n = to;
}

/* `text` without the beginning of a UTF-8 character at its end. */
static struct bytes without_half(struct bytes text)
{
    for (size_t back = 1; back <= 3 && back <= text.n; back++) {
        unsigned char c = (unsigned char)text.p[text.n - back];
        size_t length = c < 0xC0 ? 0 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;

        if (length)
            return bytes_head(text, length > back ? text.n - back : text.n);
    }
    return text;
}

static void text_read(const struct mime_part *p, struct bytes text, bool cut, struct buf *out)
{
    enum charset charset = charset_find(p->charset);
    size_t start = out->n;

    if (charset == CHARSET_UNKNOWN && bytes_equal(p->type, BYTES("text/html")))
        charset = charset_of_html(text);
    charset = marked(charset, &text);
    charset_read(charset, cut ? without_half(text) : text, out);
    line_ends(out, start);
}

bool mime_text(const struct mime_part *p, struct bytes text, bool cut, struct buf *out)
{
    struct buf lines;

    if (p->flowed) {
        buf_init(&lines, out->max);
        text_read(p, text, cut, &lines);
        mime_unflow(buf_bytes(&lines), p->delsp, out);
        out->overflowed |= lines.overflowed;
        buf_clear(&lines);
    } else {
        text_read(p, text, cut, out);
    }
    if (out->overflowed)
        out->n = without_half(buf_bytes(out)).n;
    return !out->overflowed;
}
