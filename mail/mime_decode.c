/* mail/mime_decode.c - base64, quoted-printable and uuencode in pieces of any size, with the state between them in the
 * decoder.
 *
 * Nothing is an error: strange bytes in base64 are passed over (RFC 2045 6.8), a broken "=XX" stays text (6.7). A mail
 * that a gateway has touched is still shown, and what is wrong in it is seen. */
#include "mail/chars.h"
#include "mail/charset.h"
#include "mail/mime.h"
#include "mail/mime_uu.h"

enum { BLANKS_MAX = 48, STEP = 3072 };

/* base64: the sextets that wait for a fourth. Quoted-printable: where in an "=XX" we are, and white space that is only
 * written when something follows it on its line (RFC 2045 6.7 (3)). */
struct base64_state {
    uint32_t bits;
    unsigned n;
    bool ended; /* by padding (RFC 2045 6.8): what a list or a gateway put behind it is none of it */
};

enum quoted_at { PLAIN, EQUALS, HEX };

struct quoted_state {
    unsigned char at, n;
    char high;
    char blanks[BLANKS_MAX];
};

_Static_assert(sizeof(struct base64_state) <= sizeof((struct mime_decoder){ 0 }.state), "state");
_Static_assert(sizeof(struct quoted_state) <= sizeof((struct mime_decoder){ 0 }.state), "state");
_Static_assert(sizeof(struct uu_state) <= sizeof((struct mime_decoder){ 0 }.state), "state");

void mime_decode_begin(struct mime_decoder *d, enum mime_encoding encoding)
{
    memset(d, 0, sizeof *d);
    d->encoding = encoding;
}

static int sextet(unsigned char c)
{
    static const signed char values[256] = {
#define V(c, v) [c] = (v) + 1
        V('A', 0),  V('B', 1),  V('C', 2),  V('D', 3),  V('E', 4),  V('F', 5),  V('G', 6),  V('H', 7),
        V('I', 8),  V('J', 9),  V('K', 10), V('L', 11), V('M', 12), V('N', 13), V('O', 14), V('P', 15),
        V('Q', 16), V('R', 17), V('S', 18), V('T', 19), V('U', 20), V('V', 21), V('W', 22), V('X', 23),
        V('Y', 24), V('Z', 25), V('a', 26), V('b', 27), V('c', 28), V('d', 29), V('e', 30), V('f', 31),
        V('g', 32), V('h', 33), V('i', 34), V('j', 35), V('k', 36), V('l', 37), V('m', 38), V('n', 39),
        V('o', 40), V('p', 41), V('q', 42), V('r', 43), V('s', 44), V('t', 45), V('u', 46), V('v', 47),
        V('w', 48), V('x', 49), V('y', 50), V('z', 51), V('0', 52), V('1', 53), V('2', 54), V('3', 55),
        V('4', 56), V('5', 57), V('6', 58), V('7', 59), V('8', 60), V('9', 61), V('+', 62), V('/', 63),
#undef V
    };

    return values[c] - 1;
}

/* What an incomplete quantum still holds, at the end. */
static void base64_flush(struct base64_state *s, struct buf *out)
{
    if (s->n >= 2)
        buf_addc(out, (char)(s->n == 3 ? s->bits >> 10 : s->bits >> 4));
    if (s->n == 3)
        buf_addc(out, (char)(s->bits >> 2));
    *s = (struct base64_state){ 0 };
}

/* Four characters at a time, while none of them is strange: how many were taken. */
static size_t whole_quanta(struct bytes in, char step[STEP], size_t *n)
{
    size_t i = 0, at = *n;

    for (; i + 4 <= in.n && at + 3 <= STEP; i += 4, at += 3) {
        int a = sextet((unsigned char)in.p[i]), b = sextet((unsigned char)in.p[i + 1]);
        int c = sextet((unsigned char)in.p[i + 2]), d = sextet((unsigned char)in.p[i + 3]);

        if ((a | b | c | d) < 0)
            break;
        step[at] = (char)(a << 2 | b >> 4);
        step[at + 1] = (char)(b << 4 | c >> 2);
        step[at + 2] = (char)(c << 6 | d);
    }
    *n = at;
    return i;
}

static void decode_base64(struct base64_state *s, struct bytes chunk, struct buf *out)
{
    char step[STEP];
    size_t n = 0;

    for (size_t i = 0; i < chunk.n && !out->overflowed && !s->ended; i++) {
        int value = 0;

        if (s->n == 0) {
            i += whole_quanta(bytes_from(chunk, i), step, &n);
            if (n + 3 > STEP) {
                buf_add(out, (struct bytes){ step, n });
                n = 0;
            }
            if (i == chunk.n)
                break;
        }
        value = sextet((unsigned char)chunk.p[i]);

        if (value < 0) {
            s->ended = chunk.p[i] == '=' && s->n >= 2;
            continue;
        }
        s->bits = s->bits << 6 | (uint32_t)value;
        if (++s->n < 4)
            continue;
        step[n++] = (char)(s->bits >> 16);
        step[n++] = (char)(s->bits >> 8);
        step[n++] = (char)s->bits;
        s->bits = s->n = 0;
        if (n + 3 > STEP) {
            buf_add(out, (struct bytes){ step, n });
            n = 0;
        }
    }
    buf_add(out, (struct bytes){ step, n });
}

static void blanks_flush(struct quoted_state *s, struct buf *out)
{
    buf_add(out, (struct bytes){ s->blanks, s->n });
    s->n = 0;
}

static void quoted_char(struct quoted_state *s, char c, struct buf *out)
{
    if (c == '=') {
        s->at = EQUALS;
    } else if (c == ' ' || c == '\t') {
        if (s->n == BLANKS_MAX)
            blanks_flush(s, out);
        s->blanks[s->n++] = c;
    } else {
        if (c == '\r' || c == '\n')
            s->n = 0;
        blanks_flush(s, out);
        buf_addc(out, c);
    }
}

/* Behind '=': a line end makes it a soft break, two digits a byte, anything else stays as it stands. */
static void quoted_equals(struct quoted_state *s, char c, struct buf *out)
{
    if (c == ' ' || c == '\t' || c == '\r')
        return;
    if (c == '\n') {
        blanks_flush(s, out); /* white space before a soft break is text */
        s->at = PLAIN;
    } else if (char_hex(c) >= 0) {
        s->high = c;
        s->at = HEX;
    } else {
        blanks_flush(s, out);
        buf_addc(out, '=');
        s->at = PLAIN;
        quoted_char(s, c, out);
    }
}

static void quoted_hex(struct quoted_state *s, char c, struct buf *out)
{
    blanks_flush(s, out);
    s->at = PLAIN;
    if (char_hex(c) >= 0) {
        buf_addc(out, (char)(char_hex(s->high) * 16 + char_hex(c)));
        return;
    }
    buf_addc(out, '=');
    buf_addc(out, s->high);
    quoted_char(s, c, out);
}

static void decode_quoted(struct quoted_state *s, struct bytes chunk, struct buf *out)
{
    for (size_t i = 0; i < chunk.n; i++) {
        if (s->at == PLAIN)
            quoted_char(s, chunk.p[i], out);
        else if (s->at == EQUALS)
            quoted_equals(s, chunk.p[i], out);
        else
            quoted_hex(s, chunk.p[i], out);
    }
}

void mime_decode(struct mime_decoder *d, struct bytes chunk, struct buf *out)
{
    switch (d->encoding) {
    case MIME_BASE64: {
        struct base64_state s;

        memcpy(&s, d->state, sizeof s);
        decode_base64(&s, chunk, out);
        memcpy(d->state, &s, sizeof s);
        break;
    }
    case MIME_QUOTED: {
        struct quoted_state s;

        memcpy(&s, d->state, sizeof s);
        decode_quoted(&s, chunk, out);
        memcpy(d->state, &s, sizeof s);
        break;
    }
    case MIME_UU: {
        struct uu_state s;

        memcpy(&s, d->state, sizeof s);
        uu_decode(&s, chunk, out);
        memcpy(d->state, &s, sizeof s);
        break;
    }
    case MIME_IDENTITY: buf_add(out, chunk); break;
    }
}

void mime_decode_end(struct mime_decoder *d, struct buf *out)
{
    if (d->encoding == MIME_BASE64) {
        struct base64_state s;

        memcpy(&s, d->state, sizeof s);
        base64_flush(&s, out);
    } else if (d->encoding == MIME_QUOTED) {
        struct quoted_state s;

        memcpy(&s, d->state, sizeof s);
        if (s.at == HEX) {
            blanks_flush(&s, out);
            buf_addc(out, '=');
            buf_addc(out, s.high);
        }
    } else if (d->encoding == MIME_UU) {
        struct uu_state s;

        memcpy(&s, d->state, sizeof s);
        uu_decode_end(&s, out);
    }
    mime_decode_begin(d, d->encoding);
}
