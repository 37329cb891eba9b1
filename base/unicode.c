#include "base/unicode.h"
#include "base/err.h"
#include <errno.h>
#include <unicase.h>
#include <unictype.h>
#include <uninorm.h>
#include <unistr.h>

struct bytes unicode_nfc(struct bytes text, struct arena *a)
{
    size_t n = 0;
    struct bytes nfc;
    uint8_t *form;

    if (bytes_is_ascii(text))
        return text;
    form = u8_normalize(UNINORM_NFC, (const uint8_t *)text.p, text.n, NULL, &n);
    if (!form)
        die("out of memory: normalization");
    nfc = arena_copy(a, (struct bytes){ (const char *)form, n });
    free(form);
    return bytes_equal(nfc, text) ? text : nfc;
}

typedef uint8_t *case_map(const uint8_t *, size_t, const char *, uninorm_t, uint8_t *, size_t *);

static struct bytes mapped(case_map *map, struct bytes text, struct arena *a)
{
    size_t n = 0;
    uint8_t *other = map((const uint8_t *)text.p, text.n, NULL, NULL, NULL, &n);
    struct bytes copy;

    if (!other && text.n && errno == ENOMEM)
        die("out of memory: letters");
    copy = arena_copy(a, other ? (struct bytes){ (const char *)other, n } : text); /* what is no UTF-8 stays */
    free(other);
    return copy;
}

struct bytes unicode_upper(struct bytes text, struct arena *a)
{
    return mapped(u8_toupper, text, a);
}

struct bytes unicode_lower(struct bytes text, struct arena *a)
{
    return mapped(u8_tolower, text, a);
}

enum unicode_class unicode_class_of(struct bytes text)
{
    ucs4_t c = 0;

    u8_mbtouc(&c, (const uint8_t *)text.p, text.n);
    if (uc_is_general_category_withtable(c, UC_CATEGORY_MASK_Cc | UC_CATEGORY_MASK_Zl | UC_CATEGORY_MASK_Zp))
        return UNICODE_CONTROL;
    return uc_is_property_white_space(c) ? UNICODE_BLANK : UNICODE_OTHER;
}
