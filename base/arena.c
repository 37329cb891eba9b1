/* base/arena.c - a chain of blocks that are filled from the front.
 *
 * The budget is charged when a block is made, not for each allocation. `must` says who may be refused: arena_try is,
 * all others go past maximum and budget and leave only a mark, so that callers need no check in every line. ARENA_GRACE
 * tells such an overrun, which ends soon, from a loop that never looks at the mark. */
#include "base/arena.h"
#include "base/budget.h"
#include <assert.h>
#include <stdalign.h>
#include <stdarg.h>

/* Blocks double from FIRST to LARGEST; what is larger gets a block of its own size. The first block stays over a reset,
 * so that a session which runs many transactions allocates once. */
enum { FIRST = 4096, SMALL_FIRST = 512, LARGEST = 1 << 18, ALIGN = alignof(max_align_t) };

struct block {
    struct block *next;
    size_t size, used;
    alignas(max_align_t) char data[];
};

enum full { ROOM, PAST_MAX, NO_BUDGET };

struct arena {
    size_t max, used, first_size;
    struct budget *budget; /* may be NULL */
    enum full full, tried; /* tried: how arena_try ended last */
    struct block *first, *last;
};

/* `must`: the budget is charged even when it has none left. NULL when it may not be. */
static struct block *block_new(struct arena *a, size_t size, bool must)
{
    struct block *b;

    if (!budget_take(a->budget, size)) {
        if (!must)
            return NULL;
        budget_force(a->budget, size);
        a->full = NO_BUDGET;
    }
    b = malloc(sizeof *b + size);

    if (!b)
        die("out of memory: %zu bytes for an arena", size);
    b->next = NULL;
    b->size = size;
    b->used = 0;
    return b;
}

static void blocks_free(struct arena *a, struct block *b)
{
    while (b) {
        struct block *next = b->next;

        budget_give(a->budget, b->size);
        free(b);
        b = next;
    }
}

struct arena *arena_new(size_t max)
{
    return arena_new_in(NULL, max);
}

struct arena *arena_new_small(size_t max)
{
    struct arena *a = arena_new(max);

    a->first_size = SMALL_FIRST;
    return a;
}

struct arena *arena_new_in(struct budget *b, size_t max)
{
    struct arena *a = calloc(1, sizeof *a);

    if (!a)
        die("out of memory: an arena");
    a->max = max;
    a->first_size = FIRST;
    a->budget = b;
    return a;
}

bool arena_full(const struct arena *a)
{
    return a->full != ROOM;
}

bool arena_check(const struct arena *a, struct err *e)
{
    if (a->full == NO_BUDGET)
        return err_set(e, ERR_MEMORY, "The memory of %s is used up", a->budget->name);
    return !a->full ||
           err_set(e, ERR_TOO_LARGE, "This needs more than the %zu KiB of memory it may have", a->max / 1024);
}

void arena_free(struct arena **a)
{
    if (*a)
        blocks_free(*a, (*a)->first);
    free(*a);
    *a = NULL;
}

void arena_reset(struct arena *a)
{
    if (a->first) {
        blocks_free(a, a->first->next);
        a->first->next = NULL;
        a->first->used = 0;
        if (a->first->size > LARGEST) { /* one huge request must not be held for a whole session */
            blocks_free(a, a->first);
            a->first = NULL;
        }
    }
    a->last = a->first;
    a->used = 0;
    a->full = ROOM;
}

size_t arena_used(const struct arena *a)
{
    return a->used;
}

struct arena_mark arena_mark(const struct arena *a)
{
    return (struct arena_mark){ a->last, a->last ? a->last->used : 0, a->used, (int)a->full };
}

void arena_rewind(struct arena *a, struct arena_mark m)
{
    assert(m.used <= a->used);
    if (!m.block) {
        arena_reset(a);
        return;
    }
    a->last = m.block;
    blocks_free(a, a->last->next);
    a->last->next = NULL;
    a->last->used = m.block_used;
    a->used = m.used;
    a->full = (enum full)m.full;
}

static bool add_block(struct arena *a, size_t n, bool must)
{
    size_t size = a->last ? a->last->size * 2 : a->first_size;
    struct block *b;

    if (size > LARGEST)
        size = LARGEST;
    b = block_new(a, n > size ? n : size, must);
    if (!b)
        return false;
    if (a->last)
        a->last->next = b;
    else
        a->first = b;
    a->last = b;
    return true;
}

static size_t whole(size_t n)
{
    return n > SIZE_MAX - ALIGN ? SIZE_MAX : ((n ? n : 1) + ALIGN - 1) & ~((size_t)ALIGN - 1);
}

static size_t room(const struct arena *a)
{
    return a->used < a->max ? a->max - a->used : 0;
}

/* `n` is whole. NULL when the budget is used up and `must` is not set. */
static void *block_take(struct arena *a, size_t n, bool must)
{
    void *p;

    if ((!a->last || n > a->last->size - a->last->used) && !add_block(a, n, must))
        return NULL;
    p = a->last->data + a->last->used;
    a->last->used += n;
    a->used += n;
    return p;
}

void *arena_try(struct arena *a, size_t n)
{
    bool fits = whole(n) <= room(a);
    void *p = fits ? block_take(a, whole(n), false) : NULL;

    a->tried = p ? ROOM : fits ? NO_BUDGET : PAST_MAX;
    return p ? memset(p, 0, n) : NULL;
}

bool arena_refused(const struct arena *a, const char *what, struct err *e)
{
    if (a->tried == NO_BUDGET)
        return err_set(e, ERR_MEMORY, "The memory of %s is used up", a->budget->name);
    return err_set(e, ERR_TOO_LARGE, "%s does not fit its %zu KiB of memory", what, a->max / 1024);
}

static void *take_always(struct arena *a, size_t n)
{
    size_t all = whole(n);

    if (all > room(a)) {
        if (all > ARENA_GRACE || a->used + all > a->max + ARENA_GRACE)
            die("arena of %zu bytes was passed without a look: %zu used, %zu asked", a->max, a->used, n);
        a->full = a->full ? a->full : PAST_MAX;
    }
    return block_take(a, all, true);
}

void *arena_alloc(struct arena *a, size_t n)
{
    return memset(take_always(a, n), 0, n);
}

void *arena_array(struct arena *a, size_t n, size_t size)
{
    size_t all = 0;

    if (__builtin_mul_overflow(n, size, &all))
        die("arena: %zu elements of %zu bytes", n, size);
    return arena_alloc(a, all);
}

void *arena_more(struct arena *a, const void *list, size_t n, size_t room, size_t size)
{
    void *more = arena_array(a, room, size);

    assert(n <= room);
    if (n)
        memcpy(more, list, n * size);
    return more;
}

struct bytes arena_copy(struct arena *a, struct bytes b)
{
    return b.p ? (struct bytes){ arena_text(a, b), b.n } : NO_BYTES;
}

char *arena_text(struct arena *a, struct bytes b)
{
    char *p = take_always(a, b.n + 1);

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
    p = take_always(a, (size_t)n + 1);
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

struct bytes arena_take(struct arena *a, struct buf *b)
{
    struct bytes copy = b->overflowed ? NO_BYTES : arena_copy(a, buf_bytes(b));

    buf_clear(b);
    return copy;
}
