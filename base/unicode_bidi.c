/* base/unicode_bidi.c - the Bidi rule of domain names (RFC 5893 section 2), condition by condition. */
#include "base/unicode.h"
#include <unictype.h>
#include <unistr.h>

#define BIT(category) (1u << (category))

enum {
    MARKS = BIT(UC_BIDI_ES) | BIT(UC_BIDI_CS) | BIT(UC_BIDI_ET) | BIT(UC_BIDI_ON) | BIT(UC_BIDI_BN) | BIT(UC_BIDI_NSM),
    RIGHT = BIT(UC_BIDI_R) | BIT(UC_BIDI_AL)
};

/* What a label is made of: the first category, all of them, and the last but for marks without a width. */
struct seen {
    unsigned first, all, last;
};

static struct seen look(struct bytes label)
{
    struct seen s = { 0 };

    while (label.n) {
        ucs4_t c = 0;
        int n = u8_mbtouc(&c, (const uint8_t *)label.p, label.n);
        unsigned bit = BIT((unsigned)uc_bidi_category(c));

        s.first = s.all ? s.first : bit;
        s.all |= bit;
        s.last = bit == BIT(UC_BIDI_NSM) ? s.last : bit;
        label = bytes_from(label, (size_t)n);
    }
    return s;
}

bool unicode_is_rtl(struct bytes label)
{
    return look(label).all & (RIGHT | BIT(UC_BIDI_AN));
}

bool unicode_bidi_ok(struct bytes label)
{
    struct seen s = look(label);

    if (s.first & RIGHT)
        return !(s.all & ~(RIGHT | MARKS | BIT(UC_BIDI_AN) | BIT(UC_BIDI_EN))) &&
               (s.last & (RIGHT | BIT(UC_BIDI_EN) | BIT(UC_BIDI_AN))) &&
               !((s.all & BIT(UC_BIDI_EN)) && (s.all & BIT(UC_BIDI_AN)));
    return (s.first & BIT(UC_BIDI_L)) && !(s.all & ~(BIT(UC_BIDI_L) | MARKS | BIT(UC_BIDI_EN))) &&
           (s.last & (BIT(UC_BIDI_L) | BIT(UC_BIDI_EN)));
}
