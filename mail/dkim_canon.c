/* mail/dkim_canon.c - canonicalization in one pass.
 *
 * What may vanish (blanks at the end of a line, empty lines at the end of the body) is only counted until something
 * follows it. All else is copied in spans as long as they come, through a small buffer to the hash, because a call of
 * OpenSSL for each word would cost more than the hash. */
#include "mail/dkim_canon.h"
#include "mail/chars.h"
#include <openssl/evp.h>
#include <string.h>

static void to_hash(void *ctx, const char *p, size_t n)
{
    if (EVP_DigestUpdate(ctx, p, n) != 1)
        die("SHA-256 failed");
}

void dkim_body_begin_to(struct dkim_body *b, void (*out)(void *ctx, const char *p, size_t n), void *ctx)
{
    b->hash = NULL;
    b->out = out;
    b->ctx = ctx;
    b->lines = b->held = 0;
    b->blank = b->cr = b->any = b->simple = false;
}

void dkim_body_begin(struct dkim_body *b)
{
    EVP_MD_CTX *hash = EVP_MD_CTX_new();

    if (!hash || EVP_DigestInit_ex(hash, EVP_sha256(), NULL) != 1)
        die("no SHA-256");
    dkim_body_begin_to(b, to_hash, hash);
    b->hash = hash;
}

static void flush(struct dkim_body *b)
{
    if (b->held)
        b->out(b->ctx, b->hold, b->held);
    b->held = 0;
}

static void put(struct dkim_body *b, const char *p, size_t n)
{
    if (n > sizeof b->hold - b->held)
        flush(b);
    if (n > sizeof b->hold) {
        b->out(b->ctx, p, n);
        return;
    }
    memcpy(b->hold + b->held, p, n);
    b->held += n;
}

/* Something follows that stays: so does what was counted before it. */
static void put_counted(struct dkim_body *b)
{
    for (; b->lines; b->lines--)
        put(b, "\r\n", 2);
    if (b->blank)
        put(b, " ", 1);
    b->blank = false;
    b->any = true;
}

/* The CR before this byte was no line end. */
static void put_cr(struct dkim_body *b)
{
    put_counted(b);
    put(b, "\r", 1);
    b->cr = false;
}

/* How many bytes at the front are the same in the relaxed form: no tab, no CR, and a blank only before a letter. */
static size_t plain(const char *p, size_t n)
{
    size_t i = 0;

    for (; i < n; i++) {
        char c = p[i];

        if (c > ' ' || char_is_8bit(c))
            continue;
        if (c == '\t' || c == '\r')
            break;
        if (c == ' ' && (i + 1 == n || p[i + 1] == ' ' || p[i + 1] == '\t' || p[i + 1] == '\r'))
            break;
    }
    return i;
}

/* 3.4.3: but for the empty lines at the end all is as it is. */
static void feed_simple(struct dkim_body *b, struct bytes chunk)
{
    size_t i = 0;

    while (i < chunk.n) {
        size_t n = bytes_find(bytes_from(chunk, i), '\r');

        if (b->cr && chunk.p[i] == '\n') {
            b->cr = false;
            b->lines++;
            i++;
            continue;
        }
        if (b->cr)
            put_cr(b);
        if (n) {
            put_counted(b);
            put(b, chunk.p + i, n);
        }
        i += n;
        b->cr = i < chunk.n;
        i += b->cr;
    }
}

static void feed_relaxed(struct dkim_body *b, struct bytes chunk)
{
    size_t i = 0;

    while (i < chunk.n) {
        char c = chunk.p[i];
        size_t n = 0;

        if (b->cr && c == '\n') {
            b->cr = b->blank = false;
            b->lines++;
            i++;
            continue;
        }
        if (b->cr)
            put_cr(b);
        if (c == ' ' || c == '\t' || c == '\r') {
            b->blank |= c != '\r';
            b->cr = c == '\r';
            i++;
            continue;
        }
        put_counted(b);
        n = plain(chunk.p + i, chunk.n - i);
        put(b, chunk.p + i, n);
        i += n;
    }
}

void dkim_body_feed(struct dkim_body *b, struct bytes chunk)
{
    (b->simple ? feed_simple : feed_relaxed)(b, chunk);
}

void dkim_body_end(struct dkim_body *b, uint8_t hash[DKIM_HASH])
{
    if (b->cr)
        put_cr(b);
    if (b->any || b->simple) /* 3.4.3, 3.4.4: it ends in CRLF; an empty one is CRLF or, relaxed, nothing */
        put(b, "\r\n", 2);
    flush(b);
    if (b->hash && EVP_DigestFinal_ex(b->hash, hash, NULL) != 1)
        die("SHA-256 failed");
    dkim_body_drop(b);
}

void dkim_body_drop(struct dkim_body *b)
{
    EVP_MD_CTX_free(b->hash);
    b->hash = NULL;
}

void dkim_header_relaxed(const struct header *field, struct buf *out)
{
    struct bytes value = bytes_trim(field->value);
    bool blank = false;

    buf_add_lower(out, field->name);
    buf_addc(out, ':');
    for (size_t i = 0; i < value.n; i++) {
        char c = value.p[i];
        bool fold = c == '\r' && i + 1 < value.n && value.p[i + 1] == '\n';

        if (fold) {
            i++;
            continue;
        }
        if (c != ' ' && c != '\t') {
            if (blank)
                buf_addc(out, ' ');
            buf_addc(out, c);
        }
        blank = c == ' ' || c == '\t';
    }
}
