/* mail/auth/signature.c - one signature read, and the hash that it signs.
 *
 * Reading says what RFC 6376 6.1.1 calls PERMFAIL before anything is asked or hashed. A name in h= that is there more
 * often than the header has it stands for nothing, which is what oversigning rests on. The own field is hashed as it
 * stands, but for the value of b= with the blanks around it. */
#include "base/crypt.h"
#include "mail/address.h"
#include "mail/auth/signature_private.h"
#include "mail/chars.h"
#include <openssl/evp.h>

enum { NAMES_MAX = 4096, TIME_DIGITS = 12 };
#define TIME_NEVER ((int64_t)1000000000000) /* seconds */

static const char *const wanted[][8] = {
    [SIGNATURE_DKIM] = { "v", "a", "b", "bh", "d", "h", "s", NULL },
    [SIGNATURE_ARC_MESSAGE] = { "i", "a", "b", "bh", "d", "h", "s", NULL },
    [SIGNATURE_ARC_SEAL] = { "i", "a", "b", "cv", "d", "s", NULL },
};

static bool read_canon(struct signature *s, enum signature_kind kind)
{
    struct bytes c = tags_value(&s->tags, "c"), header, body;
    bool both;

    s->relaxed_header = s->relaxed_body = kind == SIGNATURE_ARC_SEAL;
    if (!c.p || kind == SIGNATURE_ARC_SEAL)
        return true;
    both = bytes_cut(c, '/', &header, &body);
    header = bytes_trim(header);
    body = both ? bytes_trim(body) : BYTES("simple");
    s->relaxed_header = bytes_equal_nocase(header, BYTES("relaxed"));
    s->relaxed_body = bytes_equal_nocase(body, BYTES("relaxed"));
    return (s->relaxed_header || bytes_equal_nocase(header, BYTES("simple"))) &&
           (s->relaxed_body || bytes_equal_nocase(body, BYTES("simple")));
}

/* U-labels may stand in d=, s= and i= (RFC 8616 4); what is asked for are A-labels. Selectors may have "_". */
static bool take_domain(struct bytes text, struct arena *a, struct bytes *out)
{
    struct err e = { 0 };

    return text.n && domain_normalize(text, a, out, &e) && bytes_find(*out, '[') >= out->n;
}

static bool take_selector(struct bytes text, struct arena *a, struct bytes *out)
{
    struct bytes label, rest = text;

    *out = arena_lower(a, text);
    while (rest.p) {
        bytes_cut(rest, '.', &label, &rest);
        if (!label.n || label.n > 63)
            return false;
        for (size_t i = 0; i < label.n; i++)
            if (!char_is_alnum(label.p[i]) && !char_in(label.p[i], BYTES("-_")) && !char_is_8bit(label.p[i]))
                return false;
    }
    return text.n && (bytes_is_ascii(text) || take_domain(text, a, out));
}

/* i=: an address at the domain, or at one below it. */
static bool read_agent(struct signature *s, struct arena *a)
{
    struct bytes i = tags_value(&s->tags, "i");
    size_t at = bytes_find_last(i, '@');

    if (!i.p)
        return true;
    return at < i.n && take_domain(bytes_from(i, at + 1), a, &s->agent) && domain_is_within(s->agent, s->domain);
}

/* Seconds; more than 12 digits are as good as never (RFC 6376 3.5). */
static bool read_time(struct bytes value, int64_t *out)
{
    for (size_t i = 0; i < value.n; i++)
        if (!char_is_digit(value.p[i]))
            return false;
    while (value.n > 1 && value.p[0] == '0')
        value = bytes_from(value, 1);
    if (value.n <= TIME_DIGITS)
        return tags_number(value, out);
    *out = TIME_NEVER;
    return true;
}

static bool read_numbers(struct signature *s)
{
    struct bytes t = tags_value(&s->tags, "t"), x = tags_value(&s->tags, "x"), l = tags_value(&s->tags, "l");

    s->signed_at = s->expires_at = s->length = -1;
    return (!t.p || read_time(t, &s->signed_at)) && (!x.p || read_time(x, &s->expires_at)) &&
           (!l.p || tags_number(l, &s->length)) &&
           (s->expires_at < 0 || s->signed_at < 0 || s->expires_at > s->signed_at);
}

static bool names_fit(struct bytes names)
{
    size_t n = 1;

    for (size_t i = 0; i < names.n; i++)
        n += names.p[i] == ':';
    return n <= NAMES_MAX;
}

static enum auth_result read_algorithm(struct signature *s, struct bytes *why)
{
    struct bytes a = tags_value(&s->tags, "a");

    s->algorithm = bytes_equal_nocase(a, BYTES("ed25519-sha256")) ? DKIM_ED25519 : DKIM_RSA;
    if (s->algorithm == DKIM_ED25519 || bytes_equal_nocase(a, BYTES("rsa-sha256")))
        return AUTH_PASS;
    if (bytes_equal_nocase(a, BYTES("rsa-sha1")))
        return signature_wrong(why, AUTH_POLICY, BYTES("rsa-sha1 is not taken any more (RFC 8301 3.1)"));
    return signature_wrong(why, AUTH_PERMERROR, BYTES("the algorithm (a=) is not known"));
}

static enum auth_result read_version(struct signature *s, enum signature_kind kind, struct bytes *why)
{
    int64_t instance;

    if (kind == SIGNATURE_DKIM && !bytes_equal(tags_value(&s->tags, "v"), BYTES("1")))
        return signature_wrong(why, AUTH_PERMERROR, BYTES("the version (v=) is not 1"));
    if (kind == SIGNATURE_DKIM)
        return AUTH_PASS;
    if (!tags_number(tags_value(&s->tags, "i"), &instance) || instance < 1 || instance > ARC_INSTANCES_MAX)
        return signature_wrong(why, AUTH_PERMERROR, BYTES("the instance (i=) is not 1 to 50"));
    s->instance = (int)instance;
    return AUTH_PASS;
}

static enum auth_result read_scope(struct signature *s, enum signature_kind kind, struct arena *a, struct bytes *why)
{
    struct bytes q = tags_value(&s->tags, "q");

    s->names = tags_value(&s->tags, "h");
    if (!take_domain(tags_value(&s->tags, "d"), a, &s->domain) ||
        !take_selector(tags_value(&s->tags, "s"), a, &s->selector))
        return signature_wrong(why, AUTH_PERMERROR, BYTES("domain (d=) or selector (s=) is none"));
    s->agent = s->domain;
    if (kind == SIGNATURE_DKIM && !read_agent(s, a))
        return signature_wrong(why, AUTH_PERMERROR, BYTES("the identity (i=) is not of the domain (d=)"));
    if (kind == SIGNATURE_ARC_SEAL)
        return s->names.p ? signature_wrong(why, AUTH_PERMERROR, BYTES("a seal has no h= (RFC 8617 4.1.3)"))
                          : AUTH_PASS;
    if (!tags_lists(s->names, "From"))
        return signature_wrong(why, AUTH_PERMERROR, BYTES("From is not signed"));
    if (kind == SIGNATURE_ARC_MESSAGE && tags_lists(s->names, "ARC-Seal"))
        return signature_wrong(why, AUTH_PERMERROR, BYTES("ARC-Seal is signed (RFC 8617 4.1.2)"));
    if (!names_fit(s->names))
        return signature_wrong(why, AUTH_PERMERROR, BYTES("too many fields are signed"));
    if (q.p && !tags_lists(q, "dns/txt") && !tags_lists(q, "dns"))
        return signature_wrong(why, AUTH_PERMERROR, BYTES("the query (q=) is not known"));
    return AUTH_PASS;
}

enum auth_result signature_read(const struct header *field, enum signature_kind kind, struct arena *a,
                                struct signature *out, struct bytes *why)
{
    enum auth_result r;

    *out = (struct signature){ .field = *field, .length = -1, .signed_at = -1, .expires_at = -1 };
    if (!tags_read(field->value, &out->tags))
        return signature_wrong(why, AUTH_PERMERROR, BYTES("it is no list of tags"));
    for (size_t i = 0; wanted[kind][i]; i++)
        if (!tags_value(&out->tags, wanted[kind][i]).n)
            return signature_wrong(why, AUTH_PERMERROR, arena_bytesf(a, "the tag %s= is missing", wanted[kind][i]));
    r = read_version(out, kind, why);
    if (r == AUTH_PASS)
        r = read_scope(out, kind, a, why);
    if (r == AUTH_PASS && !read_numbers(out))
        r = signature_wrong(why, AUTH_PERMERROR, BYTES("t=, x= or l= is no number, or x= is not later than t="));
    if (r == AUTH_PASS && !read_canon(out, kind))
        r = signature_wrong(why, AUTH_PERMERROR, BYTES("the canonicalization (c=) is not known"));
    return r == AUTH_PASS ? read_algorithm(out, why) : r;
}

struct bytes signature_key_name(const struct signature *s, struct arena *a)
{
    return arena_bytesf(a, "%.*s._domainkey.%.*s", SHOW(s->selector), SHOW(s->domain));
}

/* ---- the hash ---- */

static void hash_field(EVP_MD_CTX *ctx, const struct header *h, bool relaxed, struct buf *room)
{
    struct bytes text = h->whole;

    if (relaxed) {
        buf_reset(room);
        dkim_header_relaxed(h, room);
        buf_adds(room, "\r\n");
        text = buf_bytes(room);
    }
    if (EVP_DigestUpdate(ctx, text.p, text.n) != 1)
        die("SHA-256 failed");
}

void signature_own(const struct signature *s, struct buf *out)
{
    const struct tag *b = tags_find(&s->tags, "b");
    struct bytes whole = s->field.whole;
    size_t start = (size_t)(b->raw.p - whole.p), end = start + b->raw.n;
    struct buf cut;
    struct header h;
    struct bytes rest;

    while (whole.n && (whole.p[whole.n - 1] == '\n' || whole.p[whole.n - 1] == '\r'))
        whole.n--;
    buf_init(&cut, whole.n + 1);
    buf_add(&cut, bytes_head(whole, start));
    buf_add(&cut, bytes_from(whole, end < whole.n ? end : whole.n));
    rest = buf_bytes(&cut);
    if (!s->relaxed_header)
        buf_add(out, rest);
    else if (header_next(&rest, &h))
        dkim_header_relaxed(&h, out);
    buf_clear(&cut);
}

void signature_hash(const struct signature *s, struct fields *f, uint8_t hash[DKIM_HASH])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    struct bytes name, rest = s->names;
    struct buf room;

    if (!ctx || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1)
        die("no SHA-256");
    buf_init(&room, SIZE_MAX);
    fields_begin(f);
    while (rest.n) {
        const struct header *h;

        bytes_cut(rest, ':', &name, &rest);
        h = fields_next(f, bytes_trim(name));
        if (h)
            hash_field(ctx, h, s->relaxed_header, &room);
    }
    buf_reset(&room);
    signature_own(s, &room);
    if (EVP_DigestUpdate(ctx, room.p, room.n) != 1 || EVP_DigestFinal_ex(ctx, hash, NULL) != 1)
        die("SHA-256 failed");
    EVP_MD_CTX_free(ctx);
    buf_clear(&room);
}

bool signature_body_good(const struct signature *s, const uint8_t hash[DKIM_HASH])
{
    struct buf said;
    bool same;

    buf_init(&said, DKIM_HASH);
    same = crypt_from_base64(tags_value(&s->tags, "bh"), CRYPT_BASE64_LINES, &said) && said.n == DKIM_HASH &&
           crypt_equal(buf_bytes(&said), (struct bytes){ (const char *)hash, DKIM_HASH });
    buf_clear(&said);
    return same;
}
