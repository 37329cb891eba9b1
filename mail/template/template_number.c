/* mail/template/template_number.c - {{number n 2}} and {{currency n "EUR"}}: digits in groups, as a locale writes them.
 *
 * locale= is a language ("de", "pt-BR"); English where there is none or we do not know it. A currency has as many
 * decimals as ISO 4217 says, and the locale tells whether its sign stands before or behind. What is no number is
 * printed as it came. */
#include "mail/chars.h"
#include "mail/template/template_private.h"
#include <math.h>

enum { DECIMALS_MAX = 10, DIGITS = 64 };

struct locale {
    const char *name, *group, *point;
    bool behind; /* the sign of a currency stands behind the number */
};

static const struct locale locales[] = {
    { "en", ",", ".", false },
    { "de-CH", "’", ".", false },
    { "de-AT", ".", ",", true },
    { "de", ".", ",", true },
    { "es", ".", ",", true },
    { "it", ".", ",", true },
    { "pt-BR", ".", ",", false },
    { "pt", ".", ",", true },
    { "nl", ".", ",", false },
    { "da", ".", ",", true },
    { "tr", ".", ",", false },
    { "id", ".", ",", false },
    { "fr-CH", "\xE2\x80\xAF", ",", true }, /* a narrow no-break space */
    { "fr", "\xE2\x80\xAF", ",", true },
    { "sv", "\xC2\xA0", ",", true },
    { "nb", "\xC2\xA0", ",", true },
    { "fi", "\xC2\xA0", ",", true },
    { "pl", "\xC2\xA0", ",", true },
    { "cs", "\xC2\xA0", ",", true },
    { "ru", "\xC2\xA0", ",", true },
    { "uk", "\xC2\xA0", ",", true },
    { "ja", ",", ".", false },
    { "zh", ",", ".", false },
    { "ko", ",", ".", false },
};

static const struct {
    const char *code, *sign;
    int decimals;
} currencies[] = {
    { "USD", "$", 2 },   { "EUR", "€", 2 },   { "GBP", "£", 2 },    { "JPY", "¥", 0 },     { "CNY", "CN¥", 2 },
    { "INR", "₹", 2 },   { "KRW", "₩", 0 },   { "BRL", "R$", 2 },   { "CAD", "CA$", 2 },   { "AUD", "A$", 2 },
    { "NZD", "NZ$", 2 }, { "MXN", "MX$", 2 }, { "ILS", "₪", 2 },    { "VND", "₫", 0 },     { "UAH", "₴", 2 },
    { "CLP", "CLP", 0 }, { "ISK", "ISK", 0 }, { "KWD", "KWD", 3 },  { "BHD", "BHD", 3 },   { "JOD", "JOD", 3 },
    { "TND", "TND", 3 }, { "OMR", "OMR", 3 }, { "XAF", "FCFA", 0 }, { "XOF", "F CFA", 0 }, { "PYG", "PYG", 0 },
};

static const struct locale *locale_of(struct helping *h)
{
    struct datum d = { .kind = DATUM_MISSING };
    struct bytes name = helper_named(h, "locale", &d) ? helper_print(h, &d) : BYTES("en");

    for (size_t i = 0; i < sizeof locales / sizeof *locales; i++)
        if (bytes_starts_nocase(name, bytes_of(locales[i].name)))
            return &locales[i];
    return &locales[0];
}

/* Digits without sign, in groups of three. */
static void put_grouped(struct bytes digits, const struct locale *l, struct buf *out)
{
    size_t whole = bytes_find(digits, '.');

    for (size_t i = 0; i < whole; i++) {
        if (i && (whole - i) % 3 == 0)
            buf_adds(out, l->group);
        buf_addc(out, digits.p[i]);
    }
    if (whole < digits.n) {
        buf_adds(out, l->point);
        buf_add(out, bytes_from(digits, whole + 1));
    }
}

/* |n| as digits with so many decimals, or as many as it has when -1. False: it is no number for people. */
static bool digits_of(struct helping *h, int decimals, char out[DIGITS], bool *negative)
{
    double n = 0;
    int used = -1;

    if (h->args[0].kind == DATUM_LIST || datum_is_nothing(&h->args[0]) || !datum_to_number(&h->args[0], &n))
        return false;
    if (isinf(n) || fabs(n) >= 1e18)
        return false;
    for (used = decimals; decimals < 0 && used < DECIMALS_MAX; used++)
        if (used >= 0 && fabs(n - round(n * pow(10, used)) / pow(10, used)) < 1e-9)
            break;
    snprintf(out, DIGITS, "%.*f", used, fabs(n));
    *negative = n < 0 && strspn(out, "0.") < strlen(out);
    return true;
}

static int decimals_of(struct helping *h, const struct datum *said, int otherwise)
{
    struct datum d = { .kind = DATUM_MISSING };
    double n = 0;

    if (!said && helper_named(h, "decimals", &d))
        said = &d;
    if (!said || !datum_to_number(said, &n) || !(n >= 0 && n <= DECIMALS_MAX))
        return otherwise;
    return (int)n;
}

void help_number(struct helping *h, struct datum *out)
{
    char digits[DIGITS];
    bool negative = false;
    struct buf made;

    if (!digits_of(h, decimals_of(h, h->n > 1 ? &h->args[1] : NULL, -1), digits, &negative)) {
        helper_odd(h, out);
        return;
    }
    buf_init(&made, 4 * DIGITS);
    if (negative)
        buf_addc(&made, '-');
    put_grouped(bytes_of(digits), locale_of(h), &made);
    helper_text(h, &made, out);
    buf_clear(&made);
}

static void put_currency(struct bytes digits, struct bytes sign, bool negative, const struct locale *l, struct buf *out)
{
    bool word = char_is_letter(sign.p[sign.n - 1]);

    if (negative)
        buf_addc(out, '-');
    if (!l->behind) {
        buf_add(out, sign);
        buf_adds(out, word ? "\xC2\xA0" : "");
    }
    put_grouped(digits, l, out);
    if (l->behind) {
        buf_adds(out, "\xC2\xA0");
        buf_add(out, sign);
    }
}

void help_currency(struct helping *h, struct datum *out)
{
    struct bytes code = h->n > 1 ? helper_print(h, &h->args[1]) : BYTES("USD"), sign = code;
    char digits[DIGITS];
    bool negative = false;
    int decimals = 2;
    struct buf made;

    for (size_t i = 0; i < sizeof currencies / sizeof *currencies; i++) {
        if (!bytes_equal_nocase(code, bytes_of(currencies[i].code)))
            continue;
        sign = bytes_of(currencies[i].sign);
        decimals = currencies[i].decimals;
    }
    if (sign.n == 0 || sign.n > 8 || !digits_of(h, decimals_of(h, NULL, decimals), digits, &negative)) {
        helper_odd(h, out);
        return;
    }
    buf_init(&made, 4 * DIGITS);
    put_currency(bytes_of(digits), sign, negative, locale_of(h), &made);
    helper_text(h, &made, out);
    buf_clear(&made);
}
