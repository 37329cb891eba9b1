/* mail/charset_jis.c - ISO-2022-JP as mail programs write it, Microsoft's among them (WHATWG Encoding 12.2).
 *
 * Its characters are those of EUC-JP, rows of NEC and IBM too, so it is taken apart here and converted as that. A line
 * starts in ASCII (RFC 1468): an escape that was lost spoils one line and not the mail. */
#include "mail/chars.h"
#include "mail/charset.h"

enum set { ASCII, ROMAN, KATAKANA, KANJI, MORE_KANJI };

static const struct {
    const char *escape;
    enum set set;
} escapes[] = {
    { "\x1B(B", ASCII }, { "\x1B(J", ROMAN },  { "\x1B(I", KATAKANA },    { "\x1B$B", KANJI },
    { "\x1B$@", KANJI }, { "\x1B$(B", KANJI }, { "\x1B$(D", MORE_KANJI },
};

struct jis {
    struct bytes in;
    struct buf *out, euc; /* euc: not yet converted */
    enum set set;
};

static void flush(struct jis *j)
{
    if (j->euc.n)
        charset_convert(CHARSET_EUC_JP, buf_bytes(&j->euc), j->out);
    buf_reset(&j->euc);
}

static void bad(struct jis *j, size_t n)
{
    flush(j);
    buf_add(j->out, CHARSET_BAD);
    j->in = bytes_from(j->in, n);
}

static void escape(struct jis *j)
{
    for (size_t i = 0; i < sizeof escapes / sizeof *escapes; i++)
        if (bytes_starts(j->in, bytes_of(escapes[i].escape))) {
            j->set = escapes[i].set;
            j->in = bytes_from(j->in, strlen(escapes[i].escape));
            return;
        }
    bad(j, 1);
}

static void add(struct jis *j, size_t n, const char *lead)
{
    buf_adds(&j->euc, lead);
    for (size_t i = 0; i < n; i++)
        buf_addc(&j->euc, (char)(j->in.p[i] | 0x80));
    j->in = bytes_from(j->in, n);
}

static bool is_graphic(char c)
{
    return c > 0x20 && c < 0x7F;
}

/* One character of a set other than ASCII, or what is wrong there. A wrong pair goes as a pair. */
static void character(struct jis *j)
{
    char c = j->in.p[0];

    if (j->set == KATAKANA && c > 0x20 && c < 0x60) {
        add(j, 1, "\x8E");
    } else if (j->set >= KANJI && is_graphic(c) && j->in.n > 1 && is_graphic(j->in.p[1])) {
        add(j, 2, j->set == MORE_KANJI ? "\x8F" : "");
    } else if (j->set == ROMAN && (c == '\\' || c == '~')) {
        flush(j);
        buf_adds(j->out, c == '\\' ? "\xC2\xA5" : "\xE2\x80\xBE");
        j->in = bytes_from(j->in, 1);
    } else if (c == ' ' || (j->set == ROMAN && !char_is_8bit(c))) {
        buf_addc(&j->euc, c);
        j->in = bytes_from(j->in, 1);
    } else {
        bad(j, j->in.n > 1 && j->set >= KANJI && is_graphic(c) && char_is_8bit(j->in.p[1]) ? 2 : 1);
    }
}

void charset_jis(struct bytes text, struct buf *out)
{
    struct jis j = { .in = text, .out = out };

    buf_init(&j.euc, 2 * text.n + 4);
    while (j.in.n && !out->overflowed) {
        char c = j.in.p[0];

        if (c == '\x1B') {
            escape(&j);
        } else if (c == '\n' || c == '\r') {
            j.set = ASCII;
            add(&j, 0, c == '\n' ? "\n" : "\r");
            j.in = bytes_from(j.in, 1);
        } else if (j.set != ASCII) {
            character(&j);
        } else if (char_is_8bit(c)) {
            bad(&j, 1);
        } else {
            buf_addc(&j.euc, c);
            j.in = bytes_from(j.in, 1);
        }
    }
    flush(&j);
    buf_clear(&j.euc);
}
