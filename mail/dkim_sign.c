/* mail/dkim_sign.c - which fields are signed, and how the signature is written.
 *
 * h= is the same for every key, so the fields are put in their relaxed form and hashed once; each signature then adds
 * its own field to a copy of that hash. Names are written in lower case, so that who looks for "Date:" in a header
 * with nothing better than a search finds one. The field is hashed in the very form it is written, with b= empty at its
 * end.
 */
#include "mail/dkim_sign.h"
#include "base/crypt.h"
#include "mail/chars.h"
#include <openssl/evp.h>
#include <string.h>

enum { FOLD_AT = 76, OWN_MAX = DKIM_NAMES_MAX + 2048, FEEDBACK_PART = 60 };

/* Once more than they are there: ALWAYS also where there is none, PRESENT only where there is one (a list adds its own
 * List-* to mail that had none, and should be able to). */
enum over { NEVER, PRESENT, ALWAYS };

static const struct signed_field {
    const char *name;
    enum over over;
} signed_fields[] = {
    { "From", ALWAYS },
    { "To", ALWAYS },
    { "Cc", ALWAYS },
    { "Subject", ALWAYS },
    { "Date", ALWAYS },
    { "Message-ID", ALWAYS },
    { "Reply-To", ALWAYS },
    { "MIME-Version", ALWAYS },
    { "Content-Type", ALWAYS },
    { "Content-Transfer-Encoding", ALWAYS },
    { "Sender", NEVER },
    { "In-Reply-To", PRESENT },
    { "References", PRESENT },
    { "Content-ID", NEVER },
    { "Content-Description", NEVER },
    { "Content-Disposition", PRESENT },
    { "Content-Language", NEVER },
    { "Auto-Submitted", NEVER },
    { "Importance", NEVER },
    { "Priority", NEVER },
    { "Feedback-ID", PRESENT },
    { "List-Id", PRESENT },
    { "List-Unsubscribe", PRESENT },
    { "List-Unsubscribe-Post", PRESENT },
    { "List-Help", PRESENT },
    { "List-Subscribe", PRESENT },
    { "List-Post", PRESENT },
    { "List-Owner", PRESENT },
    { "List-Archive", PRESENT },
    { "Resent-Date", NEVER },
    { "Resent-From", NEVER },
    { "Resent-Sender", NEVER },
    { "Resent-To", NEVER },
    { "Resent-Cc", NEVER },
    { "Resent-Message-ID", NEVER },
    { "Autocrypt", NEVER },
};
enum { FIELDS = sizeof signed_fields / sizeof *signed_fields };

struct found {
    struct header header;
    const struct signed_field *field;
};

struct dkim_fields {
    EVP_MD_CTX *hash;    /* of the signed fields in their relaxed form */
    struct buf names;    /* h=, folded */
    size_t line;         /* length of the last line of names */
    struct buf relaxed;  /* the field that is hashed now */
    struct found *found; /* as they stand in the header */
    size_t n_found;
};

static void add_name(struct dkim_fields *f, const char *name)
{
    size_t n = strlen(name) + 1;

    if (f->names.n)
        buf_addc(&f->names, ':');
    if (f->line + n > FOLD_AT) {
        buf_adds(&f->names, "\r\n\t ");
        f->line = 2;
    }
    buf_add_lower(&f->names, bytes_of(name));
    f->line += n;
}

static const struct signed_field *field_of(struct bytes name)
{
    for (size_t i = 0; i < FIELDS; i++)
        if (bytes_equal_nocase(name, bytes_of(signed_fields[i].name)))
            return &signed_fields[i];
    return NULL;
}

static size_t count_fields(struct bytes header)
{
    struct header h;
    size_t n = 0;

    while (header_next(&header, &h))
        n++;
    return n;
}

/* Collects the fields that are to be signed: one walk, for a header may hold thousands of one name. */
static void find_fields(struct dkim_fields *f, struct bytes header)
{
    struct header h;

    while (header_next(&header, &h)) {
        const struct signed_field *field = field_of(h.name);

        if (field)
            f->found[f->n_found++] = (struct found){ h, field };
    }
}

static void hash_field(struct dkim_fields *f, const struct header *h)
{
    buf_reset(&f->relaxed);
    dkim_header_relaxed(h, &f->relaxed);
    buf_adds(&f->relaxed, "\r\n");
    if (EVP_DigestUpdate(f->hash, f->relaxed.p, f->relaxed.n) != 1)
        die("SHA-256 failed");
}

/* From the bottom up (RFC 6376 5.4.2), and once more for nothing. */
static void add_field(struct dkim_fields *f, const struct signed_field *field)
{
    size_t n = 0;

    for (size_t i = f->n_found; i--;)
        if (f->found[i].field == field) {
            hash_field(f, &f->found[i].header);
            add_name(f, field->name);
            n++;
        }
    if (field->over == ALWAYS || (field->over == PRESENT && n))
        add_name(f, field->name);
}

void dkim_fields_free(struct dkim_fields **f)
{
    if (!*f)
        return;
    EVP_MD_CTX_free((*f)->hash);
    buf_clear(&(*f)->names);
    free(*f);
    *f = NULL;
}

static struct dkim_fields *fields_new(void)
{
    struct dkim_fields *f = calloc(1, sizeof *f);

    if (!f || !(f->hash = EVP_MD_CTX_new()) || EVP_DigestInit_ex(f->hash, EVP_sha256(), NULL) != 1)
        die("no SHA-256");
    f->line = 3;
    buf_init(&f->names, DKIM_NAMES_MAX);
    return f;
}

bool dkim_fields_take(struct dkim_fields **out, struct bytes above, struct bytes header, struct err *e)
{
    struct dkim_fields *f;
    size_t n;
    bool ok;

    *out = NULL;
    header = bytes_head(header, header_end(header));
    n = header_count(above, "From") + header_count(header, "From");
    if (n != 1)
        return err_set(e, ERR_INVALID, "Mail with %zu From fields is not signed", n);
    f = fields_new();
    f->found = calloc(count_fields(above) + count_fields(header), sizeof *f->found);
    if (!f->found)
        die("out of memory");
    buf_init(&f->relaxed, header.n + above.n + 2);
    find_fields(f, above);
    find_fields(f, header);
    for (size_t i = 0; i < FIELDS; i++)
        add_field(f, &signed_fields[i]);
    free(f->found);
    f->found = NULL;
    buf_clear(&f->relaxed);
    ok = !f->names.overflowed || err_set(e, ERR_HEADERS_TOO_LARGE, "The header has too many fields to be signed");
    if (ok)
        *out = f;
    else
        dkim_fields_free(&f);
    return ok;
}

struct signing {
    const struct dkim_signing *s;
    const struct dkim_fields *fields;
    char bh[64];
};

/* Up to "b=". */
static void write_field(const struct signing *g, const struct dkim_by *by, struct buf *out)
{
    buf_addf(out, "DKIM-Signature: v=1; a=%s; c=relaxed/relaxed;\r\n\td=%.*s; s=%.*s;\r\n\tt=%lld;",
             dkim_algorithm_signature(dkim_key_algorithm(by->key)), SHOW(g->s->domain), SHOW(by->selector),
             (long long)(g->s->now / 1000));
    if (g->s->valid)
        buf_addf(out, " x=%lld;", (long long)((g->s->now + g->s->valid) / 1000));
    buf_addf(out, "\r\n\th=%.*s;\r\n\tbh=%s;\r\n\tb=", SHOW(buf_bytes(&g->fields->names)), g->bh);
}

static void hash_with(const EVP_MD_CTX *fields, struct bytes last, uint8_t hash[DKIM_HASH])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    if (!ctx || EVP_MD_CTX_copy_ex(ctx, fields) != 1 || EVP_DigestUpdate(ctx, last.p, last.n) != 1 ||
        EVP_DigestFinal_ex(ctx, hash, NULL) != 1)
        die("SHA-256 failed");
    EVP_MD_CTX_free(ctx);
}

static void write_base64_folded(struct bytes signature, struct buf *out)
{
    struct buf text;
    size_t line = 3; /* the tab and "b=" */

    buf_init(&text, 2 * DKIM_SIGNATURE_MAX);
    crypt_to_base64(signature, CRYPT_BASE64, &text);
    for (size_t i = 0; i < text.n;) {
        struct bytes part = bytes_head(bytes_from(buf_bytes(&text), i), FOLD_AT - line);

        buf_add(out, part);
        i += part.n;
        line = 2;
        buf_adds(out, i < text.n ? "\r\n\t " : "\r\n");
    }
    buf_clear(&text);
}

static bool sign_by(const struct signing *g, const struct dkim_by *by, struct buf *out, struct err *e)
{
    struct buf own, relaxed, signature;
    uint8_t hash[DKIM_HASH];
    struct header h;
    struct bytes rest;
    bool ok = false;

    buf_init(&own, OWN_MAX);
    buf_init(&relaxed, OWN_MAX);
    buf_init(&signature, DKIM_SIGNATURE_MAX);
    write_field(g, by, &own);
    rest = buf_bytes(&own);
    header_next(&rest, &h);
    dkim_header_relaxed(&h, &relaxed);
    hash_with(g->fields->hash, buf_bytes(&relaxed), hash);
    ok = dkim_key_sign(by->key, hash, &signature, e);
    if (ok) {
        buf_add(out, buf_bytes(&own));
        write_base64_folded(buf_bytes(&signature), out);
    }
    buf_clear(&signature);
    buf_clear(&relaxed);
    buf_clear(&own);
    return ok;
}

bool dkim_sign_fields(const struct dkim_signing *s, const struct dkim_fields *f, const uint8_t body_hash[DKIM_HASH],
                      struct buf *out, struct err *e)
{
    struct signing g = { .s = s, .fields = f };
    struct buf made, bh;
    bool ok = true;

    buf_init(&bh, sizeof g.bh);
    crypt_to_base64((struct bytes){ (const char *)body_hash, DKIM_HASH }, CRYPT_BASE64, &bh);
    snprintf(g.bh, sizeof g.bh, "%.*s", SHOW(buf_bytes(&bh)));
    buf_clear(&bh);
    buf_init(&made, out->max - out->n);
    for (size_t i = 0; i < s->n_by && ok; i++)
        ok = sign_by(&g, &s->by[i], &made, e);
    if (ok && made.overflowed)
        ok = err_set(e, ERR_TOO_LARGE, "The signatures find no room");
    if (ok)
        buf_add(out, buf_bytes(&made));
    buf_clear(&made);
    return ok;
}

bool dkim_sign(const struct dkim_signing *s, struct bytes header, const uint8_t body_hash[DKIM_HASH], struct buf *out,
               struct err *e)
{
    struct dkim_fields *f = NULL;
    bool ok = dkim_fields_take(&f, NO_BYTES, header, e) && dkim_sign_fields(s, f, body_hash, out, e);

    dkim_fields_free(&f);
    return ok;
}

static void add_part(struct buf *out, struct bytes text)
{
    text = bytes_head(text, FEEDBACK_PART);
    for (size_t i = 0; i < text.n; i++)
        buf_addc(out, char_is_alnum(text.p[i]) || char_in(text.p[i], BYTES("-_.")) ? text.p[i] : '-');
}

void feedback_id_write(struct buf *out, struct bytes stream, struct bytes account)
{
    buf_adds(out, "Feedback-ID: ");
    add_part(out, stream);
    buf_addc(out, ':');
    add_part(out, account);
    buf_adds(out, ":postrider\r\n");
}
