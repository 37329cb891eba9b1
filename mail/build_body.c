/* mail/build_body.c - the content transfer encodings.
 *
 * One pass counts what is in a text, and the mildest encoding that survives every server on the way is taken. "From "
 * at a line's start and a lone dot are encoded although they could stand: mbox files and old servers change them (RFC
 * 2045 6.7, RFC 5321 4.5.2). */
#include "mail/build_body.h"
#include "mail/chars.h"

enum { LINE = 76, LINE_MAX_OCTETS = 998, BASE64_LINE = LINE / 4 * 3 };

/* The next line without its end; *rest goes behind the end. False when nothing is left. */
static bool next_line(struct bytes *rest, struct bytes *line)
{
    size_t lf = 0, n = 0;

    if (rest->n == 0)
        return false;
    lf = bytes_find(*rest, '\n');
    n = bytes_find(bytes_head(*rest, lf), '\r');
    *line = bytes_head(*rest, n);
    n += n < rest->n && rest->p[n] == '\r' && n + 1 < rest->n && rest->p[n + 1] == '\n' ? 2 : 1;
    *rest = bytes_from(*rest, n);
    return true;
}

struct census {
    size_t high, control, longest;
    bool from;
};

static void count(struct bytes text, struct census *c)
{
    struct bytes line;

    while (next_line(&text, &line)) {
        c->longest = line.n > c->longest ? line.n : c->longest;
        c->from |= bytes_starts(line, BYTES("From "));
        for (size_t i = bytes_plain(line); i < line.n; i++) {
            c->high += char_is_8bit(line.p[i]);
            c->control += char_is_control(line.p[i]) && line.p[i] != '\t';
        }
    }
}

enum body_encoding body_encoding_for(struct bytes text)
{
    struct census c = { 0 };

    count(text, &c);
    if (c.high == 0 && c.control == 0 && c.longest <= LINE_MAX_OCTETS && !c.from)
        return BODY_7BIT;
    return (c.high + c.control) * 6 > text.n ? BODY_BASE64 : BODY_QUOTED; /* 3 for 1 against 4 for 3 */
}

const char *body_encoding_name(enum body_encoding encoding)
{
    static const char *const names[] = { "7bit", "quoted-printable", "base64" };

    return names[encoding];
}

bool body_is_7bit(struct bytes content)
{
    while (content.n) {
        size_t lf = bytes_find(content, '\n');
        struct bytes line = bytes_head(content, lf);

        if (lf == content.n || lf == 0 || line.p[lf - 1] != '\r' || lf - 1 > LINE_MAX_OCTETS)
            return false;
        line.n--;
        if (!bytes_is_ascii(line) || bytes_has_ctl_line(line))
            return false;
        content = bytes_from(content, lf + 1);
    }
    return true;
}

static void write_plain(struct bytes text, struct buf *out)
{
    struct bytes line;

    while (next_line(&text, &line)) {
        buf_add(out, line);
        buf_add(out, BYTES("\r\n"));
    }
}

/* RFC 2045 6.7. "From " at the start and a line of one dot are written so that no server on the way touches them. */
static bool quoted_literal(struct bytes line, size_t i)
{
    char c = line.p[i];

    if (c == ' ' || c == '\t')
        return i + 1 < line.n;
    if (i == 0 && (c == '.' || (c == 'F' && bytes_starts(line, BYTES("From ")))))
        return false;
    return c > ' ' && c < 0x7F && c != '=';
}

static void write_quoted_line(struct bytes line, struct buf *out)
{
    static const char hex[] = "0123456789ABCDEF";
    char piece[LINE + 8];
    size_t n = 0;

    for (size_t i = 0; i < line.n; i++) {
        bool literal = quoted_literal(line, i);
        size_t needs = literal ? 1 : 3, last = i + 1 == line.n;

        if (n + needs + !last > LINE) {
            memcpy(piece + n, "=\r\n", 3);
            buf_add(out, (struct bytes){ piece, n + 3 });
            n = 0;
        }
        if (literal) {
            piece[n++] = line.p[i];
            continue;
        }
        piece[n++] = '=';
        piece[n++] = hex[(unsigned char)line.p[i] >> 4];
        piece[n++] = hex[(unsigned char)line.p[i] & 15];
    }
    memcpy(piece + n, "\r\n", 2);
    buf_add(out, (struct bytes){ piece, n + 2 });
}

static size_t base64_line(const unsigned char *in, size_t n, char *to)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *at = to;

    for (; n >= 3; n -= 3, in += 3) {
        *at++ = digits[in[0] >> 2];
        *at++ = digits[(in[0] & 3) << 4 | in[1] >> 4];
        *at++ = digits[(in[1] & 15) << 2 | in[2] >> 6];
        *at++ = digits[in[2] & 63];
    }
    if (n) {
        *at++ = digits[in[0] >> 2];
        *at++ = digits[(in[0] & 3) << 4 | (n > 1 ? in[1] >> 4 : 0)];
        *at++ = n > 1 ? digits[(in[1] & 15) << 2] : '=';
        *at++ = '=';
    }
    *at++ = '\r';
    *at++ = '\n';
    return (size_t)(at - to);
}

void body_write_base64(struct bytes content, struct buf *out)
{
    while (content.n && !out->overflowed) {
        char line[LINE + 2];
        struct bytes part = bytes_head(content, BASE64_LINE);

        buf_add(out, (struct bytes){ line, base64_line((const unsigned char *)part.p, part.n, line) });
        content = bytes_from(content, part.n);
    }
}

static void write_text_base64(struct bytes text, struct buf *out)
{
    struct buf lines;

    buf_init(&lines, text.n * 2 + 2);
    write_plain(text, &lines);
    body_write_base64(buf_bytes(&lines), out);
    buf_clear(&lines);
}

void body_write_text(struct bytes text, enum body_encoding encoding, struct buf *out)
{
    struct bytes line;

    switch (encoding) {
    case BODY_7BIT: write_plain(text, out); break;
    case BODY_BASE64: write_text_base64(text, out); break;
    case BODY_QUOTED:
        while (next_line(&text, &line) && !out->overflowed)
            write_quoted_line(line, out);
        break;
    }
}
