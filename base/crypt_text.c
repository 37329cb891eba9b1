/* base/crypt_text.c - hex and base64.
 *
 * Reading is strict wherever two texts could mean the same bytes: padding is right for the form and spare bits are zero
 * (RFC 4648 3.5), so a token has one spelling. Blanks are passed over only in the form that mail uses, with its broken
 * lines. */
#include "base/crypt.h"

static const char standard[65] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char for_urls[65] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

struct bytes crypt_hex(struct bytes in, char *out)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < in.n; i++) {
        unsigned char c = (unsigned char)in.p[i];

        out[2 * i] = digits[c >> 4];
        out[2 * i + 1] = digits[c & 15];
    }
    out[2 * in.n] = '\0';
    return (struct bytes){ out, 2 * in.n };
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool crypt_unhex(struct bytes text, void *out, size_t n)
{
    uint8_t *to = out;

    if (text.n / 2 != n || text.n % 2)
        return false;
    for (size_t i = 0; i < n; i++) {
        int high = hex_digit(text.p[2 * i]), low = hex_digit(text.p[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        to[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static uint32_t three_bytes(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;

    return (uint32_t)u[0] << 16 | (uint32_t)u[1] << 8 | u[2];
}

void crypt_to_base64(struct bytes in, enum crypt_base64 form, struct buf *out)
{
    const char *alphabet = form == CRYPT_BASE64_URL ? for_urls : standard;

    while (in.n) {
        char three[3] = { 0 }, four[4];
        size_t n = in.n < 3 ? in.n : 3, shown = n + 1;
        uint32_t bits = 0;

        memcpy(three, in.p, n);
        bits = three_bytes(three);
        for (size_t i = 0; i < 4; i++)
            four[i] = i < shown ? alphabet[bits >> (18 - 6 * i) & 63] : '=';
        buf_add(out, (struct bytes){ four, form == CRYPT_BASE64_URL ? shown : 4 });
        in = bytes_from(in, n);
    }
}

enum { STRANGE = -1, BLANK = -2, PAD = -3 };

/* What each byte means in a form. */
static void make_table(enum crypt_base64 form, signed char table[256])
{
    const char *alphabet = form == CRYPT_BASE64_URL ? for_urls : standard;

    memset(table, STRANGE, 256);
    for (int i = 0; i < 64; i++)
        table[(unsigned char)alphabet[i]] = (signed char)i;
    if (form != CRYPT_BASE64_URL)
        table['='] = PAD;
    if (form == CRYPT_BASE64_LINES)
        table[' '] = table['\t'] = table['\r'] = table['\n'] = BLANK;
}

struct decoder {
    uint32_t bits;
    unsigned have, pads; /* digits of the group at hand, '=' so far */
    char *to;
};

/* A group of four is complete. */
static void flush(struct decoder *d)
{
    *d->to++ = (char)(d->bits >> 16);
    *d->to++ = (char)(d->bits >> 8);
    *d->to++ = (char)d->bits;
    d->bits = 0;
    d->have = 0;
}

/* The last group: 2 or 3 digits, padded to four where the form wants it, its spare bits zero. */
static bool finish(struct decoder *d, enum crypt_base64 form)
{
    if (d->have == 0)
        return d->pads == 0;
    if (d->have == 1 || d->pads != (form == CRYPT_BASE64_URL ? 0 : 4 - d->have))
        return false;
    if (d->bits & (d->have == 2 ? 0xFu : 0x3u))
        return false;
    d->bits <<= 6 * (4 - d->have);
    *d->to++ = (char)(d->bits >> 16);
    if (d->have == 3)
        *d->to++ = (char)(d->bits >> 8);
    return true;
}

static bool decode(struct bytes text, enum crypt_base64 form, struct decoder *d)
{
    signed char table[256];

    make_table(form, table);
    for (size_t i = 0; i < text.n; i++) {
        int digit = table[(unsigned char)text.p[i]];

        if (digit == BLANK)
            continue;
        if (digit == PAD) {
            d->pads++;
            continue;
        }
        if (digit == STRANGE || d->pads)
            return false;
        d->bits = d->bits << 6 | (uint32_t)digit;
        if (++d->have == 4)
            flush(d);
    }
    return finish(d, form);
}

bool crypt_from_base64(struct bytes text, enum crypt_base64 form, struct buf *out)
{
    struct decoder d = { 0 };
    char *start = NULL;
    size_t room = text.n / 4 * 3 + 3;

    /* Padding and blanks make the result smaller than the room; where that decides, count them first. */
    if (room > out->max - out->n) {
        size_t digits = 0;

        for (size_t i = 0; i < text.n; i++)
            digits += !memchr("= \t\r\n", text.p[i], 5);
        room = digits / 4 * 3 + (digits % 4 ? digits % 4 - 1 : 0);
    }
    start = buf_room(out, room);
    if (!start)
        return false;
    d.to = start;
    if (!decode(text, form, &d))
        return false;
    buf_filled(out, (size_t)(d.to - start));
    return true;
}
