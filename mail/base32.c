#include "mail/base32.h"
#include "mail/chars.h"

static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";

void base32_write(const uint8_t *in, size_t n, struct buf *out)
{
    unsigned held = 0, bits = 0;

    for (size_t i = 0; i < n; i++) {
        held = (held << 8 | in[i]) & 0xFFF;
        for (bits += 8; bits >= 5; bits -= 5)
            buf_addc(out, digits[held >> (bits - 5) & 31]);
    }
    if (bits)
        buf_addc(out, digits[held << (5 - bits) & 31]);
}

bool base32_read(struct bytes text, uint8_t *out, size_t n)
{
    unsigned held = 0, bits = 0;
    size_t done = 0;

    if (text.n != BASE32_TEXT(n))
        return false;
    for (size_t i = 0; i < text.n; i++) {
        size_t digit = bytes_find((struct bytes){ digits, 32 }, char_lower(text.p[i]));

        if (digit == 32)
            return false;
        held = (held << 5 | (unsigned)digit) & 0xFFF;
        bits += 5;
        if (bits >= 8) {
            bits -= 8;
            out[done++] = (uint8_t)(held >> bits);
        }
    }
    return done == n && (held & ((1U << bits) - 1)) == 0;
}
