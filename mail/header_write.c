/* mail/header_write.c - writing fields: encoded, folded, and never with a line break of somebody else's.
 *
 * Text is written word by word. A word is what stands between single spaces; those are the places where a line may be
 * folded, so that unfolding gives back the same text. From the first to the last word that needs it, text becomes
 * encoded words (RFC 2047). Which fields are text is said in header_form.c. */
#include "mail/chars.h"
#include "mail/header.h"

enum { LINE = 76, LINE_MAX_OCTETS = 998, WORD_LONGEST = 790, ENCODED_MAX = 75, NAME_LONGEST = 200 };

struct writer {
    struct buf *out;
    size_t column;
    bool fold; /* CRLF may be written; a phrase is folded later, with the field it stands in */
};

static void add(struct writer *w, struct bytes b)
{
    buf_add(w->out, b);
    w->column += b.n;
}

/* A space, on a new line when the next `n` octets pass this one. */
static void gap(struct writer *w, size_t n)
{
    if (w->fold && w->column + 1 + n > LINE) {
        buf_adds(w->out, "\r\n");
        w->column = 0;
    }
    add(w, BYTES(" "));
}

/* Up to the next single space. */
static struct bytes next_word(struct bytes text)
{
    for (size_t i = 1; i + 1 < text.n; i++)
        if (text.p[i] == ' ' && text.p[i - 1] != ' ' && text.p[i + 1] != ' ')
            return bytes_head(text, i);
    return text;
}

static bool needs_encoding(struct bytes word, size_t longest)
{
    if (word.n == 0 || word.n > longest || word.p[0] == ' ' || word.p[word.n - 1] == ' ')
        return true;
    for (size_t i = 0; i < word.n; i++)
        if (char_is_control(word.p[i]) || char_is_8bit(word.p[i]) ||
            (word.p[i] == '=' && i + 1 < word.n && word.p[i + 1] == '?'))
            return true;
    return false;
}

static bool safe_in_q(char c) /* RFC 2047 5 (3): good in a phrase too */
{
    return char_is_alnum(c) || char_in(c, BYTES("!*+-/"));
}

static void add_q(struct bytes text, struct buf *out)
{
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == ' ')
            buf_addc(out, '_');
        else if (safe_in_q(text.p[i]))
            buf_addc(out, text.p[i]);
        else
            buf_addf(out, "=%02X", (unsigned char)text.p[i]);
    }
}

static void add_b(struct bytes text, struct buf *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < text.n; i += 3) {
        size_t n = text.n - i;
        unsigned a = (unsigned char)text.p[i], b = n > 1 ? (unsigned char)text.p[i + 1] : 0,
                 c = n > 2 ? (unsigned char)text.p[i + 2] : 0;
        char four[4] = { digits[a >> 2], digits[((a & 3) << 4) | (b >> 4)], '=', '=' };

        if (n > 1)
            four[2] = digits[((b & 15) << 2) | (c >> 6)];
        if (n > 2)
            four[3] = digits[c & 63];
        buf_add(out, (struct bytes){ four, 4 });
    }
}

/* How much of `text`, in whole characters, one encoded word of at most `room` octets takes. */
static size_t fits(struct bytes text, bool base64, size_t room)
{
    size_t n = 0, cost = 0;

    while (n < text.n) {
        size_t length = bytes_utf8_length(bytes_from(text, n)), more = 0;

        length = length ? length : 1;
        for (size_t i = n; i < n + length; i++)
            more += text.p[i] == ' ' || safe_in_q(text.p[i]) ? 1 : 3;
        if (n && (base64 ? (n + length + 2) / 3 * 4 : cost + more) > room)
            break;
        cost += more;
        n += length;
    }
    return n;
}

static bool base64_is_shorter(struct bytes text)
{
    size_t q = 0;

    for (size_t i = 0; i < text.n; i++)
        q += text.p[i] == ' ' || safe_in_q(text.p[i]) ? 1 : 3;
    return (text.n + 2) / 3 * 4 < q;
}

static void add_encoded(struct writer *w, struct bytes text)
{
    bool base64 = base64_is_shorter(text), first = true;
    size_t overhead = sizeof "=?utf-8?Q?" - 1 + 2;

    while (text.n) {
        bool fresh = !first || !w->fold || w->column + overhead + 16 > LINE;
        size_t room = (fresh ? ENCODED_MAX : LINE - w->column) - overhead;
        size_t n = fits(text, base64, room);
        struct bytes part = bytes_head(text, n);

        if (!first)
            gap(w, LINE);
        buf_adds(w->out, base64 ? "=?utf-8?B?" : "=?utf-8?Q?");
        if (base64)
            add_b(part, w->out);
        else
            add_q(part, w->out);
        add(w, BYTES("?="));
        w->column += ENCODED_MAX; /* nothing follows an encoded word on its line */
        text = bytes_from(text, n);
        first = false;
    }
}

struct span {
    size_t from, to;
};

/* The part of the text that must be encoded; from == to when none. */
static struct span span_to_encode(struct bytes text, size_t longest)
{
    struct span s = { 0, 0 };

    for (size_t at = 0; at < text.n;) {
        struct bytes word = next_word(bytes_from(text, at));

        if (needs_encoding(word, longest)) {
            s.from = s.to ? s.from : at;
            s.to = at + word.n;
        }
        at += word.n + 1;
    }
    return s;
}

static void add_plain(struct writer *w, struct bytes text)
{
    bool first = true;

    while (text.n) {
        struct bytes word = next_word(text);

        if (!first)
            gap(w, word.n);
        add(w, word);
        text = bytes_from(text, word.n + 1);
        first = false;
    }
}

/* RFC 2047 has no way to say bytes that are no UTF-8: they become U+FFFD. */
static struct bytes valid_utf8(struct bytes text, struct buf *mended)
{
    if (bytes_is_utf8(text))
        return text;
    while (text.n) {
        size_t n = bytes_utf8_length(text);

        buf_add(mended, n ? bytes_head(text, n) : BYTES("\xEF\xBF\xBD"));
        text = bytes_from(text, n ? n : 1);
    }
    return buf_bytes(mended);
}

static void add_text(struct writer *w, struct bytes given, size_t longest)
{
    struct buf mended;
    struct bytes text;
    struct span s;

    buf_init(&mended, given.n * 3 + 1);
    text = valid_utf8(given, &mended);
    s = span_to_encode(text, longest);
    if (s.from == s.to) {
        add_plain(w, text);
    } else {
        struct bytes before = bytes_head(text, s.from), behind = bytes_from(text, s.to);

        if (before.n) {
            add_plain(w, bytes_head(before, before.n - 1));
            gap(w, 30);
        }
        add_encoded(w, bytes_head(bytes_from(text, s.from), s.to - s.from));
        if (behind.n) {
            gap(w, next_word(bytes_from(behind, 1)).n);
            add_plain(w, bytes_from(behind, 1));
        }
    }
    buf_clear(&mended);
}

static bool line_begin(struct writer *w, struct bytes name, struct bytes value)
{
    if (!header_name_ok(name) || name.n > NAME_LONGEST || bytes_has_ctl_line(value))
        return false;
    add(w, name);
    add(w, BYTES(": "));
    return true;
}

bool header_write(struct buf *out, struct bytes name, struct bytes value)
{
    struct writer w = { .out = out, .fold = true };

    if (!line_begin(&w, name, value))
        return false;
    add_text(&w, value, WORD_LONGEST);
    buf_adds(out, "\r\n");
    return true;
}

/* Where the next piece of a wire-form value ends: before white space. */
static size_t piece_length(struct bytes value)
{
    size_t n = 0;

    while (n < value.n && (value.p[n] == ' ' || value.p[n] == '\t'))
        n++;
    while (n < value.n && value.p[n] != ' ' && value.p[n] != '\t')
        n++;
    return n;
}

/* A line holds any one of them: the first may stand behind a line with the name alone. */
static bool pieces_fit(struct bytes value)
{
    while (value.n) {
        size_t n = piece_length(value);

        if (n > LINE_MAX_OCTETS - 1)
            return false;
        value = bytes_from(value, n);
    }
    return true;
}

bool header_fits_clear(struct bytes value)
{
    for (size_t i = 0; i < value.n; i++)
        if ((char_is_control(value.p[i]) && value.p[i] != '\t') || char_is_8bit(value.p[i]))
            return false;
    return pieces_fit(bytes_trim(value));
}

bool header_write_raw(struct buf *out, struct bytes name, struct bytes value)
{
    struct writer w = { .out = out, .fold = true };

    value = bytes_trim(value);
    if (!pieces_fit(value) || !line_begin(&w, name, value))
        return false;
    while (value.n) {
        size_t n = piece_length(value);

        bool first = w.column == name.n + 2 && value.p[0] != ' ' && value.p[0] != '\t';

        if (w.column + n > (first ? LINE_MAX_OCTETS : LINE) && w.column > 0) {
            buf_adds(out, first ? "\r\n " : "\r\n");
            w.column = first;
        }
        add(&w, bytes_head(value, n));
        value = bytes_from(value, n);
    }
    buf_adds(out, "\r\n");
    return true;
}

static void add_quoted(struct buf *out, struct bytes text)
{
    buf_addc(out, '"');
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '"' || text.p[i] == '\\')
            buf_addc(out, '\\');
        buf_addc(out, text.p[i]);
    }
    buf_addc(out, '"');
}

void header_write_phrase(struct buf *out, struct bytes text)
{
    struct writer w = { .out = out, .fold = false };
    bool atoms = true;

    for (size_t i = 0; i < text.n; i++)
        atoms &= char_is_atext(text.p[i]) || (text.p[i] == ' ' && i && text.p[i - 1] != ' ');
    if (text.n == 0)
        buf_adds(out, "\"\"");
    else if (span_to_encode(text, ENCODED_MAX).to)
        add_encoded(&w, text);
    else if (atoms)
        buf_add(out, text);
    else
        add_quoted(out, text);
}

static void add_percent(struct buf *out, struct bytes text)
{
    for (size_t i = 0; i < text.n; i++) {
        if (char_is_attribute(text.p[i]))
            buf_addc(out, text.p[i]);
        else
            buf_addf(out, "%%%02X", (unsigned char)text.p[i]);
    }
}

/* RFC 2231: pieces of 18 octets are at most 54 when each is %XX, so that a piece fits a line. */
static void add_extended(struct buf *out, const char *name, struct bytes value)
{
    enum { PIECE = 18 };
    size_t n = 0;

    if (value.n <= PIECE) {
        buf_addf(out, "; %s*=utf-8''", name);
        add_percent(out, value);
        return;
    }
    for (; value.n; n++) {
        buf_addf(out, n ? "; %s*%zu*=" : "; %s*%zu*=utf-8''", name, n);
        add_percent(out, bytes_head(value, PIECE));
        value = bytes_from(value, PIECE);
    }
}

void header_write_parameter(struct buf *out, const char *name, struct bytes value)
{
    bool token = value.n > 0;

    for (size_t i = 0; i < value.n; i++)
        token &= char_is_token(value.p[i]) && !strchr("*'%", value.p[i]); /* RFC 2231's own marks */
    if (needs_encoding(value, ENCODED_MAX - 15) && value.n) {
        add_extended(out, name, value);
        return;
    }
    buf_addf(out, "; %s=", name);
    if (token)
        buf_add(out, value);
    else
        add_quoted(out, value);
}
