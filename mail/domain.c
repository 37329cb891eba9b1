/* mail/domain.c - domains in the form that is compared, and in the one that is read.
 *
 * libidn2 does the mapping and the tables of IDNA2008. What it leaves out is looked at here: host names (RFC 1123) and
 * what only shows when all labels stand together. A-labels are taken as they are (RFC 5891 5.4): names that were
 * registered by older rules exist. */
#include "base/network.h"
#include "base/unicode.h"
#include "mail/address.h"
#include "mail/chars.h"
#include <assert.h>
#include <idn2.h>

enum { LABEL_MAX = 63, NAME_MAX_OCTETS = 253, INPUT_MAX = 1024 };

/* RFC 1123 2.1, RFC 5890 2.3.1: letters, digits, hyphens, none at either end. */
static bool label_ok(struct bytes label)
{
    if (label.n == 0 || label.n > LABEL_MAX || label.p[0] == '-' || label.p[label.n - 1] == '-')
        return false;
    for (size_t i = 0; i < label.n; i++)
        if (!char_is_alnum(label.p[i]) && label.p[i] != '-')
            return false;
    return true;
}

static bool name_ok(struct bytes name)
{
    struct bytes label, rest = name;

    if (name.n == 0 || name.n > NAME_MAX_OCTETS)
        return false;
    while (bytes_cut(rest, '.', &label, &rest))
        if (!label_ok(label))
            return false;
    return label_ok(label);
}

/* RFC 5321 4.1.3: an IPv4 or an IPv6 address; no other kind of literal was ever registered. */
static bool literal_ok(struct bytes domain)
{
    struct bytes inner = { domain.p + 1, domain.n - 2 };
    bool six = bytes_starts_nocase(inner, BYTES("IPv6:"));
    struct network address;

    if (six)
        inner = bytes_from(inner, 5);
    return six == (bytes_find(inner, ':') < inner.n) && network_parse_address(inner, &address);
}

/* Non-transitional, so that "faß.de" is not "fass.de". Without the STD3 flag: libidn2 would drop an underscore in
 * silence; name_ok() refuses it afterwards. */
static bool to_ascii(struct bytes domain, struct arena *a, struct bytes *out, struct err *e)
{
    char *ascii = NULL;
    int result = idn2_to_ascii_8z(arena_text(a, domain), &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);

    if (result != IDN2_OK)
        return err_set(e, ERR_SYNTAX, "\"%.*s\" is no domain: %s", SHOW(domain), idn2_strerror(result));
    *out = arena_lower(a, bytes_of(ascii));
    idn2_free(ascii);
    return true;
}

/* What libidn2 does not look at: directions of writing over all labels (RFC 5893), and, without its flag, the three
 * letters that are an ASCII sign with a stroke (UTS #46 section 4, UseSTD3ASCIIRules; RFC 5892 2.6 has them too). */
static bool shown_ok(struct bytes ascii, struct arena *a)
{
    static const char *const signs[] = { "\xE2\x89\xA0", "\xE2\x89\xAE", "\xE2\x89\xAF" };
    struct bytes shown, label, rest;
    bool rtl = false, ok = true;

    if (!domain_unicode(ascii, a, &shown))
        return true;
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
        if (memmem(shown.p, shown.n, signs[i], 3))
            return false;
    for (rest = shown; rest.n;) {
        bytes_cut(rest, '.', &label, &rest);
        rtl |= unicode_is_rtl(label);
        ok &= !label.n || unicode_bidi_ok(label);
    }
    return ok || !rtl;
}

bool domain_normalize(struct bytes domain, struct arena *a, struct bytes *out, struct err *e)
{
    struct bytes name = domain;

    if (domain.n > 2 && domain.p[0] == '[' && domain.p[domain.n - 1] == ']') {
        if (!literal_ok(domain))
            return err_set(e, ERR_SYNTAX, "\"%.*s\" is no address literal", SHOW(domain));
        *out = domain;
        return true;
    }
    if (domain.n > INPUT_MAX)
        return err_set(e, ERR_SYNTAX, "A domain of %zu octets", domain.n);
    if (!bytes_is_utf8(domain) || bytes_has_ctl_line(domain))
        return err_set(e, ERR_SYNTAX, "A domain that is no UTF-8 text");
    if (!bytes_is_ascii(domain)) {
        if (!to_ascii(domain, a, &name, e))
            return false;
        if (!shown_ok(name, a))
            return err_set(e, ERR_SYNTAX, "\"%.*s\" is no domain: letters that may not stand together", SHOW(domain));
    } else {
        name = arena_lower(a, domain);
    }
    if (bytes_ends(name, BYTES(".")))
        name.n--;
    if (!name_ok(name))
        return err_set(e, ERR_SYNTAX, "\"%.*s\" is no domain", SHOW(domain));
    *out = name;
    return true;
}

bool domain_unicode(struct bytes domain, struct arena *a, struct bytes *out)
{
    char *text = NULL;

    if (idn2_to_unicode_8z8z(arena_text(a, domain), &text, 0) != IDN2_OK)
        return false;
    *out = arena_copy(a, bytes_of(text));
    idn2_free(text);
    return true;
}

bool domain_is_within(struct bytes name, struct bytes domain)
{
    return bytes_equal_nocase(name, domain) ||
           (name.n > domain.n && bytes_ends_nocase(name, domain) && name.p[name.n - domain.n - 1] == '.');
}
