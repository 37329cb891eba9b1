#include "base/arena.h"
#include "base/err.h"
#include <assert.h>
#include <stdalign.h>
#include <stdarg.h>

/* Blocks double from FIRST to LARGEST; what is larger gets a block of its own size. The first block stays over a reset,
 * so that a session which runs many transactions allocates once. */
enum { FIRST = 4096, LARGEST = 1 << 18, ALIGN = alignof(max_align_t) };

struct block {
    struct block *next;
    size_t size, used;
    alignas(max_align_t) char data[];
};

struct arena {
    size_t max, used;
    struct block *first, *last;
};

static struct block *block_new(size_t size)
{
    struct block *b = malloc(sizeof *b + size);

    if (!b)
        die("out of memory: %zu bytes for an arena", size);
    b->next = NULL;
    b->size = size;
    b->used = 0;
    return b;
}

static void blocks_free(struct block *b)
{
    while (b) {
        struct block *next = b->next;

        free(b);
        b = next;
    }
}

struct arena *arena_new(size_t max)
{
    struct arena *a = calloc(1, sizeof *a);

    if (!a)
        die("out of memory: an arena");
    a->max = max;
    return a;
}

void arena_free(struct arena **a)
{
    if (*a)
        blocks_free((*a)->first);
    free(*a);
    *a = NULL;
}

void arena_reset(struct arena *a)
{
    if (a->first) {
        blocks_free(a->first->next);
        a->first->next = NULL;
        a->first->used = 0;
        if (a->first->size > LARGEST) { /* one huge request must not be held for a whole session */
            blocks_free(a->first);
            a->first = NULL;
        }
    }
    a->last = a->first;
    a->used = 0;
}

size_t arena_used(const struct arena *a)
{
    return a->used;
}

struct arena_mark arena_mark(const struct arena *a)
{
    return (struct arena_mark){ a->last, a->last ? a->last->used : 0, a->used };
}

void arena_rewind(struct arena *a, struct arena_mark m)
{
    assert(m.used <= a->used);
    if (!m.block) {
        arena_reset(a);
        return;
    }
    a->last = m.block;
    blocks_free(a->last->next);
    a->last->next = NULL;
    a->last->used = m.block_used;
    a->used = m.used;
}

static void add_block(struct arena *a, size_t n)
{
    size_t size = a->last ? a->last->size * 2 : FIRST;
    struct block *b = NULL;

    if (size > LARGEST)
        size = LARGEST;
    b = block_new(n > size ? n : size);
    if (a->last)
        a->last->next = b;
    else
        a->first = b;
    a->last = b;
}

static void *take(struct arena *a, size_t n)
{
    size_t whole = (n + ALIGN - 1) & ~((size_t)ALIGN - 1);
    void *p = NULL;

    if (whole < n || whole > a->max - a->used)
        return NULL;
    if (!a->last || whole > a->last->size - a->last->used)
        add_block(a, whole);
    p = a->last->data + a->last->used;
    a->last->used += whole;
    a->used += whole;
    return p;
}

void *arena_try(struct arena *a, size_t n)
{
    void *p = take(a, n ? n : 1);

    return p ? memset(p, 0, n) : NULL;
}

static void *take_or_die(struct arena *a, size_t n)
{
    void *p = take(a, n ? n : 1);

    if (!p)
        die("arena of %zu bytes is full: %zu used, %zu asked", a->max, a->used, n);
    return p;
}

void *arena_alloc(struct arena *a, size_t n)
{
    return memset(take_or_die(a, n), 0, n);
}

void *arena_array(struct arena *a, size_t n, size_t size)
{
    size_t all = 0;

    if (__builtin_mul_overflow(n, size, &all))
        die("arena: %zu elements of %zu bytes", n, size);
    return arena_alloc(a, all);
}

struct bytes arena_copy(struct arena *a, struct bytes b)
{
    return b.p ? (struct bytes){ arena_text(a, b), b.n } : NO_BYTES;
}

char *arena_text(struct arena *a, struct bytes b)
{
    char *p = take_or_die(a, b.n + 1);

    if (b.n)
        memcpy(p, b.p, b.n);
    p[b.n] = '\0';
    return p;
}

__attribute__((format(printf, 2, 0))) static struct bytes format_in(struct arena *a, const char *format, va_list args)
{
    char small[512];
    va_list again;
    char *p = NULL;
    int n = 0;

    va_copy(again, args);
    n = vsnprintf(small, sizeof small, format, args);
    if (n < 0)
        die("format \"%s\" failed", format);
    p = take_or_die(a, (size_t)n + 1);
    if ((size_t)n < sizeof small)
        memcpy(p, small, (size_t)n + 1);
    else
        vsnprintf(p, (size_t)n + 1, format, again);
    va_end(again);
    return (struct bytes){ p, (size_t)n };
}

char *arena_printf(struct arena *a, const char *format, ...)
{
    struct bytes b;
    va_list args;

    va_start(args, format);
    b = format_in(a, format, args);
    va_end(args);
    return (char *)b.p;
}

struct bytes arena_bytesf(struct arena *a, const char *format, ...)
{
    struct bytes b;
    va_list args;

    va_start(args, format);
    b = format_in(a, format, args);
    va_end(args);
    return b;
}

struct bytes arena_lower(struct arena *a, struct bytes b)
{
    struct bytes copy = arena_copy(a, b);
    char *p = (char *)copy.p;

    for (size_t i = 0; i < copy.n; i++)
        if (p[i] >= 'A' && p[i] <= 'Z')
            p[i] = (char)(p[i] + ('a' - 'A'));
    return copy;
}
