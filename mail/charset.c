#include "mail/charset.h"
#include "mail/chars.h"
#include "mail/mime.h"
#include <errno.h>
#include <iconv.h>

#define REPLACEMENT BYTES("\xEF\xBF\xBD")

enum { NAME_MAX_OCTETS = 40, STEP = 1024 };

/* What mail calls them, and what iconv does. Labels of a subset are read as the superset in use (WHATWG Encoding). */
static const struct {
    const char *label, *charset;
} aliases[] = {
    { "iso-8859-1", "windows-1252" },
    { "latin1", "windows-1252" },
    { "cp1252", "windows-1252" },
    { "iso-8859-8-i", "iso-8859-8" },
    { "iso-8859-8-e", "iso-8859-8" },
    { "ks_c_5601-1987", "cp949" },
    { "euc-kr", "cp949" },
    { "gb2312", "gb18030" },
    { "gbk", "gb18030" },
    { "x-gbk", "gb18030" },
    { "shift_jis", "cp932" },
    { "x-sjis", "cp932" },
    { "windows-31j", "cp932" },
    { "unicode-1-1-utf-7", "utf-7" },
    { "x-unicode-2-0-utf-7", "utf-7" },
    { "iso-8859-9", "windows-1254" },
    { "x-mac-roman", "macintosh" },
};

static const char *const as_utf8[] = { "utf-8", "utf8", "us-ascii", "ascii", "unknown-8bit", "default", "x-unknown" };

/* Windows-1252, 0x80 to 0x9F; 0 is unassigned. */
static const uint16_t high[32] = {
    0x20AC, 0,      0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
    0x2039, 0x0152, 0,      0x017D, 0,      0,      0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
    0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0,      0x017E, 0x0178,
};

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
        buf_add(out, REPLACEMENT);
        text = bytes_from(text, good + 1);
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
        if (c < 0xA0)
            c = high[c - 0x80] ? high[c - 0x80] : 0xFFFD;
        add_rune(out, c);
    }
    buf_add(out, bytes_from(text, plain));
}

/* Bytes that iconv cannot read are left out one by one, each marked; the converter's state is kept. */
static void add_converted(iconv_t converter, struct bytes text, struct buf *out)
{
    char *in = (char *)text.p;
    size_t left = text.n;

    while (left && !out->overflowed) {
        char step[STEP], *to = step;
        size_t room = sizeof step;
        size_t result = iconv(converter, &in, &left, &to, &room);

        add_utf8((struct bytes){ step, sizeof step - room }, out);
        if (result != (size_t)-1)
            break;
        if (errno == E2BIG && room < sizeof step)
            continue;
        buf_add(out, REPLACEMENT);
        in++;
        left--;
    }
}

/* The name comes from a stranger: no path, no "//TRANSLIT". */
static bool name_safe(struct bytes charset)
{
    for (size_t i = 0; i < charset.n; i++)
        if (!char_is_alnum(charset.p[i]) && !char_in(charset.p[i], BYTES("-_.:+")))
            return false;
    return charset.n > 0 && charset.n <= NAME_MAX_OCTETS;
}

static iconv_t converter_open(struct bytes charset)
{
    char name[NAME_MAX_OCTETS + 1];

    if (!name_safe(charset))
        return (iconv_t)-1;
    memcpy(name, charset.p, charset.n);
    name[charset.n] = '\0';
    return iconv_open("UTF-8", name);
}

void charset_decode(struct bytes charset, struct bytes text, struct buf *out)
{
    iconv_t converter;

    for (size_t i = 0; i < sizeof as_utf8 / sizeof *as_utf8; i++)
        if (charset.n == 0 || bytes_equal_nocase(charset, bytes_of(as_utf8[i]))) {
            add_utf8(text, out);
            return;
        }
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
        if (bytes_equal_nocase(charset, bytes_of(aliases[i].label))) {
            charset = bytes_of(aliases[i].charset);
            break;
        }
    if (bytes_equal_nocase(charset, BYTES("windows-1252"))) {
        add_western(text, out);
        return;
    }
    converter = converter_open(charset);
    if (converter == (iconv_t)-1) {
        add_utf8(text, out);
        return;
    }
    add_converted(converter, text, out);
    iconv_close(converter);
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

void charset_to_utf8(struct bytes charset, struct bytes text, struct buf *out)
{
    size_t start = out->n;

    charset_decode(charset, text, out);
    line_ends(out, start);
}
