/* base/bytes.c - views and buffers.
 *
 * What comes in is nearly all ASCII, so eight bytes are looked at together, and only what has a high bit is taken apart
 * as UTF-8. Case is that of ASCII, by hand: tolower would follow the locale, and no protocol of ours does. */
#include "base/bytes.h"
#include "base/err.h"
#include <assert.h>
#include <stdarg.h>

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

struct bytes bytes_of(const char *text)
{
    return text ? (struct bytes){ text, strlen(text) } : NO_BYTES;
}

bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool bytes_equal_nocase(struct bytes a, struct bytes b)
{
    return a.n == b.n && bytes_starts_nocase(a, b);
}

bool bytes_starts(struct bytes b, struct bytes prefix)
{
    return b.n >= prefix.n && (prefix.n == 0 || memcmp(b.p, prefix.p, prefix.n) == 0);
}

bool bytes_starts_nocase(struct bytes b, struct bytes prefix)
{
    if (b.n < prefix.n)
        return false;
    for (size_t i = 0; i < prefix.n; i++)
        if (lower(b.p[i]) != lower(prefix.p[i]))
            return false;
    return true;
}

bool bytes_ends(struct bytes b, struct bytes suffix)
{
    return b.n >= suffix.n && bytes_starts(bytes_from(b, b.n - suffix.n), suffix);
}

bool bytes_ends_nocase(struct bytes b, struct bytes suffix)
{
    return b.n >= suffix.n && bytes_starts_nocase(bytes_from(b, b.n - suffix.n), suffix);
}

size_t bytes_find(struct bytes b, char c)
{
    const char *at = b.n ? memchr(b.p, c, b.n) : NULL;

    return at ? (size_t)(at - b.p) : b.n;
}

size_t bytes_find_last(struct bytes b, char c)
{
    const char *at = b.n ? memrchr(b.p, c, b.n) : NULL;

    return at ? (size_t)(at - b.p) : b.n;
}

struct bytes bytes_from(struct bytes b, size_t start)
{
    if (!b.p)
        return NO_BYTES;
    if (start > b.n)
        start = b.n;
    return (struct bytes){ b.p + start, b.n - start };
}

struct bytes bytes_head(struct bytes b, size_t n)
{
    return (struct bytes){ b.p, n < b.n ? n : b.n };
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

char *bytes_gather(struct bytes *texts[], size_t n)
{
    size_t size = 1, at = 0;
    char *memory;

    for (size_t i = 0; i < n; i++)
        size += texts[i]->n;
    memory = malloc(size);
    if (!memory)
        die("out of memory: %zu bytes to be kept", size);
    for (size_t i = 0; i < n; i++) {
        if (!texts[i]->p)
            continue;
        memcpy(memory + at, texts[i]->p, texts[i]->n);
        *texts[i] = (struct bytes){ memory + at, texts[i]->n };
        at += texts[i]->n;
    }
    return memory;
}

struct bytes bytes_trim(struct bytes b)
{
    while (b.n && is_blank(b.p[0]))
        b = bytes_from(b, 1);
    while (b.n && is_blank(b.p[b.n - 1]))
        b.n--;
    return b;
}

bool bytes_cut(struct bytes b, char c, struct bytes *head, struct bytes *rest)
{
    size_t at = bytes_find(b, c);
    bool found = at < b.n;

    *head = bytes_head(b, at);
    *rest = found ? bytes_from(b, at + 1) : NO_BYTES;
    return found;
}

bool bytes_to_int(struct bytes b, int64_t *out)
{
    bool negative = b.n && b.p[0] == '-';
    int64_t n = 0;

    if (b.n && (b.p[0] == '-' || b.p[0] == '+'))
        b = bytes_from(b, 1);
    if (b.n == 0)
        return false;
    for (size_t i = 0; i < b.n; i++) {
        int digit = b.p[i] - '0';

        if (digit < 0 || digit > 9)
            return false;
        /* Downwards from the start: the least int64 has no positive twin. */
        if (__builtin_mul_overflow(n, 10, &n) || __builtin_sub_overflow(n, digit, &n))
            return false;
    }
    if (!negative && __builtin_sub_overflow(0, n, &n))
        return false;
    *out = n;
    return true;
}

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte)) /* that byte, eight times */

bool bytes_is_ascii(struct bytes b)
{
    uint64_t eight, high = 0;
    size_t i = 0;

    for (; b.n - i >= sizeof eight && !high; i += sizeof eight) {
        memcpy(&eight, b.p + i, sizeof eight);
        high = eight & EACH(0x80);
    }
    for (; i < b.n && !high; i++)
        high = (unsigned char)b.p[i] & 0x80;
    return !high;
}

/* Eight bytes at a time: the high bit of one that is below 0x20, is 0x7F or has it set. */
size_t bytes_plain(struct bytes b)
{
    uint64_t x;
    size_t i = 0;

    for (; b.n - i >= sizeof x; i += sizeof x) {
        memcpy(&x, b.p + i, sizeof x);
        if ((x | (x - EACH(0x20)) | (x + EACH(0x01))) & EACH(0x80))
            break;
    }
    while (i < b.n && b.p[i] >= ' ' && b.p[i] < 0x7F)
        i++;
    return i;
}

/* What may follow a lead byte in the first continuation byte (RFC 3629, section 4); the others are 80..BF. */
static const struct {
    unsigned char first, last, low, high;
    size_t length;
} utf8_forms[] = {
    { 0xE0, 0xE0, 0xA0, 0xBF, 3 }, { 0xE1, 0xEC, 0x80, 0xBF, 3 }, { 0xED, 0xED, 0x80, 0x9F, 3 },
    { 0xEE, 0xEF, 0x80, 0xBF, 3 }, { 0xF0, 0xF0, 0x90, 0xBF, 4 }, { 0xF1, 0xF3, 0x80, 0xBF, 4 },
    { 0xF4, 0xF4, 0x80, 0x8F, 4 },
};

/* Of the character beyond ASCII at p, in n octets; 0 when it is none. */
static inline size_t utf8_length(const unsigned char *p, size_t n)
{
    if (p[0] < 0xE0) /* quickly: Latin, Greek, Cyrillic, Hebrew, Arabic */
        return p[0] >= 0xC2 && n > 1 && p[1] >= 0x80 && p[1] <= 0xBF ? 2 : 0;
    for (size_t i = 0; i < sizeof utf8_forms / sizeof *utf8_forms; i++) {
        size_t length = utf8_forms[i].length;

        if (p[0] < utf8_forms[i].first || p[0] > utf8_forms[i].last)
            continue;
        if (length > n || p[1] < utf8_forms[i].low || p[1] > utf8_forms[i].high)
            return 0;
        for (size_t k = 2; k < length; k++)
            if (p[k] < 0x80 || p[k] > 0xBF)
                return 0;
        return length;
    }
    return 0;
}

size_t bytes_utf8_length(struct bytes b)
{
    const unsigned char *p = (const unsigned char *)b.p;

    return b.n == 0 ? 0 : p[0] < 0x80 ? 1 : utf8_length(p, b.n);
}

size_t bytes_utf8_run(struct bytes b)
{
    const unsigned char *p = (const unsigned char *)b.p;
    size_t i = 0, length = 1;

    while (length > 0 && i < b.n && p[i] >= 0x80) {
        length = utf8_length(p + i, b.n - i);
        i += length;
    }
    return i;
}

bool bytes_is_utf8(struct bytes b)
{
    size_t i = 0;

    while (i < b.n) {
        uint64_t eight = EACH(0x80);
        size_t run;

        if (b.n - i >= sizeof eight)
            memcpy(&eight, b.p + i, sizeof eight);
        if (!(eight & EACH(0x80))) { /* most text is ASCII */
            i += sizeof eight;
            continue;
        }
        run = (unsigned char)b.p[i] < 0x80 ? 1 : bytes_utf8_run(bytes_from(b, i));
        if (run == 0)
            return false;
        i += run;
    }
    return true;
}

int bytes_compare(struct bytes a, struct bytes b)
{
    size_t least = a.n < b.n ? a.n : b.n;
    int order = least ? memcmp(a.p, b.p, least) : 0;

    return order ? order : (a.n > b.n) - (a.n < b.n);
}

bool bytes_has_ctl_line(struct bytes b)
{
    return bytes_find(b, '\r') < b.n || bytes_find(b, '\n') < b.n || bytes_find(b, '\0') < b.n;
}

void buf_init(struct buf *b, size_t max)
{
    assert(max > 0);
    *b = (struct buf){ .max = max };
}

void buf_init_drained(struct buf *b, size_t max, void (*drain)(struct buf *b), void *ctx)
{
    buf_init(b, max);
    b->drain = drain;
    b->ctx = ctx;
}

void buf_clear(struct buf *b)
{
    free(b->p);
    *b = (struct buf){ .max = b->max, .drain = b->drain, .ctx = b->ctx };
}

void buf_reset(struct buf *b)
{
    b->n = 0;
    b->overflowed = false;
}

/* Doubles, but never past the maximum; the caller has checked that n fits below it. */
static void grow(struct buf *b, size_t n)
{
    size_t cap = b->cap ? b->cap : 64;
    char *p = NULL;

    while (cap < n && cap <= b->max / 2)
        cap *= 2;
    if (cap < n || cap > b->max)
        cap = b->max;
    p = realloc(b->p, cap);
    if (!p)
        die("out of memory: %zu bytes for a buffer", cap);
    b->p = p;
    b->cap = cap;
}

char *buf_room(struct buf *b, size_t n)
{
    if (n > b->max - b->n) {
        b->overflowed = true;
        return NULL;
    }
    if (n > b->cap - b->n)
        grow(b, b->n + n);
    /* An empty buffer that was asked for nothing has an address all the same. */
    return b->p ? b->p + b->n : "";
}

void buf_filled(struct buf *b, size_t n)
{
    assert(n <= b->cap - b->n);
    b->n += n;
}

/* Fills the buffer and has it drained until the rest fits. */
static struct bytes add_drained(struct buf *b, struct bytes bytes)
{
    while (bytes.n > b->max - b->n) {
        size_t left = b->max - b->n;

        memcpy(buf_room(b, left), bytes.p, left);
        b->n += left;
        bytes = bytes_from(bytes, left);
        b->drain(b);
        assert(b->n < b->max);
    }
    return bytes;
}

void buf_add(struct buf *b, struct bytes bytes)
{
    size_t left = b->max - b->n;

    if (bytes.n > left && b->drain) {
        bytes = add_drained(b, bytes);
    } else if (bytes.n > left) {
        b->overflowed = true;
        bytes.n = left;
    }
    if (bytes.n == 0)
        return;
    memcpy(buf_room(b, bytes.n), bytes.p, bytes.n);
    b->n += bytes.n;
}

void buf_addc(struct buf *b, char c)
{
    buf_add(b, (struct bytes){ &c, 1 });
}

void buf_adds(struct buf *b, const char *text)
{
    buf_add(b, bytes_of(text));
}

void buf_addf(struct buf *b, const char *format, ...)
{
    char small[512];
    char *large = NULL;
    va_list args, again;
    int n = 0;

    va_start(args, format);
    va_copy(again, args);
    n = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    if (n < 0 || ((size_t)n >= sizeof small && vasprintf(&large, format, again) < 0))
        die("format \"%s\" failed", format);
    va_end(again);
    buf_add(b, (struct bytes){ large ? large : small, (size_t)n });
    free(large);
}

void buf_drop_front(struct buf *b, size_t n)
{
    assert(n <= b->n);
    if (n == 0)
        return;
    b->n -= n;
    memmove(b->p, b->p + n, b->n);
}

struct bytes buf_bytes(const struct buf *b)
{
    return (struct bytes){ b->p ? b->p : "", b->n };
}
