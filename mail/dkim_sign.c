/* mail/dkim_sign.c - which fields are signed, and how the signature is written.
 *
 * h= is the same for every key, so the fields are put in their relaxed form and hashed once; each signature then adds
 * its own field to a copy of that hash. The field is hashed in the very form it is written, with b= empty at its end.
 */
#include "mail/dkim_sign.h"
#include "base/crypt.h"
#include "mail/chars.h"
#include <openssl/evp.h>
#include <string.h>

enum { FOLD_AT = 76, HEADER_MAX = 4 << 20, FEEDBACK_PART = 60 };

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

struct signing {
    const struct dkim_signing *s;
    struct found *found; /* as they stand in the header */
    size_t n_found;
    struct buf names;     /* h=, folded */
    struct buf canonical; /* the signed fields */
    size_t line;          /* length of the last line of names */
    char bh[64];
};

static void add_name(struct signing *g, const char *name)
{
    size_t n = strlen(name) + 1;

    if (g->names.n)
        buf_addc(&g->names, ':');
    if (g->line + n > FOLD_AT) {
        buf_adds(&g->names, "\r\n\t ");
        g->line = 2;
    }
    buf_adds(&g->names, name);
    g->line += n;
}

/* Collects the fields that are to be signed: one walk, for a header may hold thousands of one name. */
static void find_fields(struct signing *g, struct bytes header)
{
    struct bytes rest = header;
    struct header h;
    size_t n = 0;

    while (header_next(&rest, &h))
        n++;
    g->found = calloc(n + 1, sizeof *g->found);
    if (!g->found)
        die("out of memory");
    while (header_next(&header, &h))
        for (size_t i = 0; i < FIELDS; i++)
            if (bytes_equal_nocase(h.name, bytes_of(signed_fields[i].name)))
                g->found[g->n_found++] = (struct found){ h, &signed_fields[i] };
}

/* From the bottom up (RFC 6376 5.4.2), and once more for nothing. */
static void add_field(struct signing *g, const struct signed_field *f)
{
    size_t n = 0;

    for (size_t i = g->n_found; i--;)
        if (g->found[i].field == f) {
            dkim_header_relaxed(&g->found[i].header, &g->canonical);
            buf_adds(&g->canonical, "\r\n");
            add_name(g, f->name);
            n++;
        }
    if (f->over == ALWAYS || (f->over == PRESENT && n))
        add_name(g, f->name);
}

/* Up to "b=". */
static void write_field(const struct signing *g, const struct dkim_by *by, struct buf *out)
{
    buf_addf(out, "DKIM-Signature: v=1; a=%s; c=relaxed/relaxed;\r\n\td=%.*s; s=%.*s;\r\n\tt=%lld;",
             dkim_algorithm_signature(dkim_key_algorithm(by->key)), SHOW(g->s->domain), SHOW(by->selector),
             (long long)(g->s->now / 1000));
    if (g->s->valid)
        buf_addf(out, " x=%lld;", (long long)((g->s->now + g->s->valid) / 1000));
    buf_addf(out, "\r\n\th=%.*s;\r\n\tbh=%s;\r\n\tb=", SHOW(buf_bytes(&g->names)), g->bh);
}

static void hash_with(EVP_MD_CTX *fields, struct bytes last, uint8_t hash[DKIM_HASH])
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

static bool sign_by(const struct signing *g, const struct dkim_by *by, EVP_MD_CTX *fields, struct buf *out,
                    struct err *e)
{
    struct buf own, relaxed, signature;
    uint8_t hash[DKIM_HASH];
    struct header h;
    struct bytes rest;
    bool ok = false;

    buf_init(&own, HEADER_MAX);
    buf_init(&relaxed, HEADER_MAX);
    buf_init(&signature, DKIM_SIGNATURE_MAX);
    write_field(g, by, &own);
    rest = buf_bytes(&own);
    header_next(&rest, &h);
    dkim_header_relaxed(&h, &relaxed);
    hash_with(fields, buf_bytes(&relaxed), hash);
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

static bool sign_all(struct signing *g, struct buf *out, struct err *e)
{
    EVP_MD_CTX *fields = EVP_MD_CTX_new();
    struct buf made;
    bool ok = true;

    if (!fields || EVP_DigestInit_ex(fields, EVP_sha256(), NULL) != 1 ||
        EVP_DigestUpdate(fields, g->canonical.p, g->canonical.n) != 1)
        die("no SHA-256");
    buf_init(&made, out->max - out->n);
    for (size_t i = 0; i < g->s->n_by && ok; i++)
        ok = sign_by(g, &g->s->by[i], fields, &made, e);
    if (ok && (made.overflowed || g->canonical.overflowed || g->names.overflowed))
        ok = err_set(e, ERR_TOO_LARGE, "The header is too long to be signed");
    if (ok)
        buf_add(out, buf_bytes(&made));
    buf_clear(&made);
    EVP_MD_CTX_free(fields);
    return ok;
}

bool dkim_sign(const struct dkim_signing *s, struct bytes header, const uint8_t body_hash[DKIM_HASH], struct buf *out,
               struct err *e)
{
    struct signing g = { .s = s, .line = 3 };
    struct buf bh;
    bool ok = false;

    header = bytes_head(header, header_end(header));
    if (header_count(header, "From") != 1)
        return err_set(e, ERR_INVALID, "Mail with %zu From fields is not signed", header_count(header, "From"));
    buf_init(&g.names, HEADER_MAX);
    buf_init(&g.canonical, HEADER_MAX);
    buf_init(&bh, sizeof g.bh);
    crypt_to_base64((struct bytes){ (const char *)body_hash, DKIM_HASH }, CRYPT_BASE64, &bh);
    snprintf(g.bh, sizeof g.bh, "%.*s", SHOW(buf_bytes(&bh)));
    find_fields(&g, header);
    for (size_t i = 0; i < FIELDS; i++)
        add_field(&g, &signed_fields[i]);
    ok = sign_all(&g, out, e);
    free(g.found);
    buf_clear(&bh);
    buf_clear(&g.names);
    buf_clear(&g.canonical);
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
