#include "base/unicode.h"
#include "base/err.h"
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

enum unicode_class unicode_class_of(struct bytes text)
{
    ucs4_t c = 0;

    u8_mbtouc(&c, (const uint8_t *)text.p, text.n);
    if (uc_is_general_category_withtable(c, UC_CATEGORY_MASK_Cc | UC_CATEGORY_MASK_Zl | UC_CATEGORY_MASK_Zp))
        return UNICODE_CONTROL;
    return uc_is_property_white_space(c) ? UNICODE_BLANK : UNICODE_OTHER;
}
