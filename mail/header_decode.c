/* mail/header_decode.c - encoded words (RFC 2047) as they come, not as they should be.
 *
 * Words are taken anywhere, and longer than allowed. Those that stand side by side are put together before they are
 * converted, because many programs cut a character in two. What is no word is left as text. Every search has an end
 * (WORD_MAX), so a header of half-open words costs no more than its length. */
#include "mail/address_form.h"
#include "mail/chars.h"
#include "mail/charset.h"
#include "mail/header.h"
#include "mail/mime.h"

/* RFC 2047 allows 75; what mail programs write is longer, but a search for the end must not run through all of a
 * header. */
enum { WORD_MAX = 2000, CHARSET_MAX = 64 };

struct word {
    struct bytes charset, text, whole;
    char encoding; /* 'q' or 'b' */
};

/* "=?charset*lang?Q?text?=" at the front of `in`. */
static bool read_word(struct bytes in, struct word *out)
{
    struct bytes rest = bytes_from(in, 2), language, text;
    const char *end = NULL;
    size_t mark = 0;

    if (!bytes_starts(in, BYTES("=?")))
        return false;
    mark = bytes_find(bytes_head(rest, CHARSET_MAX), '?');
    if (mark == 0 || mark >= CHARSET_MAX || mark + 3 > rest.n || rest.p[mark + 2] != '?')
        return false;
    bytes_cut(bytes_head(rest, mark), '*', &out->charset, &language); /* RFC 2231 5 */
    out->encoding = char_lower(rest.p[mark + 1]);
    if (out->encoding != 'q' && out->encoding != 'b')
        return false;
    text = bytes_head(bytes_from(rest, mark + 3), WORD_MAX);
    end = text.n ? memmem(text.p, text.n, "?=", 2) : NULL;
    if (!end)
        return false;
    out->text = bytes_head(text, (size_t)(end - text.p));
    out->whole = bytes_head(in, (size_t)(end + 2 - in.p));
    return true;
}

/* Some programs fold inside an encoded word: the line end and the white space behind it are no text. */
static size_t skip_fold(struct bytes text, size_t i)
{
    if (i < text.n && (text.p[i] == '\r' || text.p[i] == '\n'))
        while (i < text.n && char_is_blank(text.p[i]))
            i++;
    return i;
}

static void decode_q(struct bytes text, struct buf *out)
{
    for (size_t i = skip_fold(text, 0); i < text.n; i = skip_fold(text, i + 1)) {
        char c = text.p[i];
        int high = c == '=' && i + 2 < text.n ? char_hex(text.p[i + 1]) : -1;
        int low = high >= 0 ? char_hex(text.p[i + 2]) : -1;

        if (low >= 0) {
            c = (char)(high * 16 + low);
            i += 2;
        }
        buf_addc(out, text.p[i] == '_' && low < 0 ? ' ' : c);
    }
}

static void decode_b(struct bytes text, struct buf *out)
{
    struct mime_decoder d;

    mime_decode_begin(&d, MIME_BASE64);
    mime_decode(&d, text, out);
    mime_decode_end(&d, out);
}

/* Neighbouring words of one charset are converted together: many programs cut a character in two. */
struct decoding {
    struct buf *out;
    struct buf bytes; /* decoded, not yet converted */
    struct bytes charset;
    bool after_word;
};

static void flush(struct decoding *d)
{
    if (d->bytes.n)
        charset_decode(d->charset, buf_bytes(&d->bytes), d->out);
    buf_reset(&d->bytes);
}

static void add_word(struct decoding *d, const struct word *w)
{
    if (!bytes_equal_nocase(d->charset, w->charset))
        flush(d);
    d->charset = w->charset;
    if (w->encoding == 'q')
        decode_q(w->text, &d->bytes);
    else
        decode_b(w->text, &d->bytes);
    d->after_word = true;
}

/* White space: nothing between encoded words, one space where a line was folded, else as it stands. */
static size_t add_blank(struct decoding *d, struct bytes in)
{
    struct word next;
    size_t n = 0;
    bool folded = false;

    while (n < in.n && char_is_blank(in.p[n])) {
        folded |= in.p[n] == '\r' || in.p[n] == '\n';
        n++;
    }
    if (d->after_word && read_word(bytes_from(in, n), &next))
        return n;
    flush(d);
    d->after_word = false;
    if (n < in.n || !folded)
        buf_add(d->out, folded ? BYTES(" ") : bytes_head(in, n));
    return n;
}

static size_t add_plain(struct decoding *d, struct bytes in)
{
    size_t n = 1;

    while (n < in.n && !char_is_blank(in.p[n]) && !(in.p[n] == '=' && n + 1 < in.n && in.p[n + 1] == '?'))
        n++;
    flush(d);
    d->after_word = false;
    charset_decode(NO_BYTES, bytes_head(in, n), d->out);
    return n;
}

static bool is_plain(struct bytes value)
{
    return !memmem(value.p, value.n, "=?", 2) && bytes_find(value, '\n') == value.n &&
           bytes_find(value, '\r') == value.n && bytes_is_utf8(value);
}

struct bytes header_decode(struct bytes value, struct mail_limits limits, struct arena *a)
{
    size_t most = limits.header_value;
    struct bytes in = bytes_head(value, most), done;
    struct buf out;
    struct decoding d = { .out = &out };

    if (in.n == 0 || is_plain(in))
        return in;
    buf_init(&out, most * 3); /* a byte of any charset is at most three of UTF-8 */
    buf_init(&d.bytes, most);
    while (in.n) {
        struct word w;

        if (char_is_blank(in.p[0])) {
            in = bytes_from(in, add_blank(&d, in));
        } else if (read_word(in, &w)) {
            add_word(&d, &w);
            in = bytes_from(in, w.whole.n);
        } else {
            in = bytes_from(in, add_plain(&d, in));
        }
    }
    flush(&d);
    done = address_copy(a, buf_bytes(&out));
    buf_clear(&out);
    buf_clear(&d.bytes);
    return done.p ? done : BYTES("");
}
