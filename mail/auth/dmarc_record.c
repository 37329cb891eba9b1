/* mail/auth/dmarc_record.c - one record of _dmarc (RFC 9989 4.7, 4.8), read forgivingly. What is wrong behind the
 * version stands for nothing, and of URIs those count that are some: who publishes a slip still gets the rest. */
#include "mail/auth/dmarc.h"
#include "mail/chars.h"

static const char *const policies[] = { "none", "quarantine", "reject" };

struct bytes dmarc_policy_text(enum dmarc_policy p)
{
    return p < DMARC_UNSAID ? bytes_of(policies[p]) : NO_BYTES;
}

static void read_policy(struct bytes value, enum dmarc_policy *out, bool *wrong)
{
    *out = DMARC_NONE;
    while (*out < DMARC_UNSAID && !bytes_equal_nocase(value, bytes_of(policies[*out])))
        ++*out;
    *wrong = *out == DMARC_UNSAID;
}

/* Something of a scheme; of mailto an address. */
static bool is_uri(struct bytes uri)
{
    struct bytes scheme, rest;

    if (!bytes_cut(uri, ':', &scheme, &rest) || !scheme.n || !rest.n || !char_is_letter(scheme.p[0]))
        return false;
    for (size_t i = 0; i < scheme.n; i++)
        if (!char_is_alnum(scheme.p[i]) && !char_in(scheme.p[i], BYTES("+-.")))
            return false;
    return !bytes_equal_nocase(scheme, BYTES("mailto")) ||
           (bytes_find_last(rest, '@') > 0 && bytes_find_last(rest, '@') + 1 < rest.n);
}

static size_t read_uris(struct bytes value, struct bytes *out)
{
    struct bytes one, rest = value;
    size_t n = 0;

    while (rest.n && n < DMARC_URIS_MAX) {
        bytes_cut(rest, ',', &one, &rest);
        one = bytes_trim(one);
        one = bytes_head(one, bytes_find(one, '!'));
        if (is_uri(one))
            out[n++] = one;
    }
    return n;
}

static void read_pct(struct bytes value, struct dmarc_record *r)
{
    int64_t n;

    if (value.n && char_is_digit(value.p[0]) && bytes_to_int(value, &n) && n <= 100)
        r->pct = (int)n;
}

static bool is(struct bytes value, char letter)
{
    return value.n == 1 && char_lower(value.p[0]) == letter;
}

static void read_tag(struct dmarc_record *r, struct bytes name, struct bytes value)
{
    if (bytes_equal_nocase(name, BYTES("p")))
        read_policy(value, &r->p, &r->p_wrong);
    else if (bytes_equal_nocase(name, BYTES("sp")))
        read_policy(value, &r->sp, &r->sp_wrong);
    else if (bytes_equal_nocase(name, BYTES("np")))
        read_policy(value, &r->np, &r->np_wrong);
    else if (bytes_equal_nocase(name, BYTES("adkim")))
        r->strict_dkim = is(value, 's');
    else if (bytes_equal_nocase(name, BYTES("aspf")))
        r->strict_spf = is(value, 's');
    else if (bytes_equal_nocase(name, BYTES("t")))
        r->testing = is(value, 'y');
    else if (bytes_equal_nocase(name, BYTES("psd")))
        r->psd = is(value, 'y') ? 'y' : is(value, 'n') ? 'n' : 'u';
    else if (bytes_equal_nocase(name, BYTES("pct")))
        read_pct(value, r);
    else if (bytes_equal_nocase(name, BYTES("fo")) && value.n)
        r->fo = value;
    else if (bytes_equal_nocase(name, BYTES("rua")))
        r->n_rua = read_uris(value, r->rua);
    else if (bytes_equal_nocase(name, BYTES("ruf")))
        r->n_ruf = read_uris(value, r->ruf);
}

bool dmarc_record_read(struct bytes text, struct dmarc_record *out)
{
    struct bytes tag, name, value, rest = text;

    *out = (struct dmarc_record){ .text = text,
                                  .p = DMARC_UNSAID,
                                  .sp = DMARC_UNSAID,
                                  .np = DMARC_UNSAID,
                                  .psd = 'u',
                                  .pct = 100,
                                  .fo = BYTES("0") };
    bytes_cut(rest, ';', &tag, &rest);
    if (!bytes_cut(tag, '=', &name, &value) || !bytes_equal(bytes_trim(name), BYTES("v")) ||
        !bytes_equal(bytes_trim(value), BYTES("DMARC1")))
        return false;
    while (rest.n) {
        bytes_cut(rest, ';', &tag, &rest);
        if (bytes_cut(tag, '=', &name, &value))
            read_tag(out, bytes_trim(name), bytes_trim(value));
    }
    out->testing = out->testing || out->pct == 0;
    return true;
}
