/* base/arena.h - memory that ends together: one HTTP request, one mail transaction, one POP3 session.
 *
 *     while (more(&row) && !arena_full(a))
 *         add(list, show(a, &row));
 *     ...
 *     return arena_check(a, e);          ERR_TOO_LARGE, ERR_MEMORY
 *
 * Nobody frees what is in an arena. An arena belongs to one fiber or thread at a time. It has a maximum, and like a buf
 * it remembers when it was passed: every allocation succeeds, so that a function need not look after each, and what was
 * made is not to be used. Ask once at the end, and in each turn of a loop whose length or steps a client chooses:
 * store calls and batches refuse an arena that is full, so nothing half made is kept or answered. Where a client
 * chooses the size of one allocation, arena_try asks first. More than ARENA_GRACE past the maximum is a loop of ours
 * that never asks, a broken promise: that, and no memory left, end the program. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H
#include "base/bytes.h"

#define ARENA_GRACE ((size_t)64 * 1024 * 1024)

struct arena;
struct budget; /* base/budget.h */
struct err;

struct arena *arena_new(size_t max);
struct arena *arena_new_small(size_t max); /* for thousands that live long and hold some hundred bytes each */
/* Its blocks are taken from b; when that has none left, the arena is full (ERR_MEMORY). */
struct arena *arena_new_in(struct budget *b, size_t max);
/* More was asked than it may hold. Until the next reset, or a rewind to a mark set before. */
bool arena_full(const struct arena *a);
bool arena_check(const struct arena *a, struct err *e); /* ERR_TOO_LARGE; ERR_MEMORY: its budget is used up */
void arena_free(struct arena **a);                      /* *a may be NULL; *a is NULL afterwards */
void arena_reset(struct arena *a);                      /* forgets all, keeps the first block */
size_t arena_used(const struct arena *a);
/* Forgets what was allocated after the mark: for work that is tried and left no trace. A reset makes marks void. */
struct arena_mark {
    void *block;
    size_t block_used, used;
    int full;
};
struct arena_mark arena_mark(const struct arena *a);
void arena_rewind(struct arena *a, struct arena_mark m);

void *arena_alloc(struct arena *a, size_t n); /* zeroed, aligned for any type */
void *arena_try(struct arena *a, size_t n);   /* the same; NULL past the maximum, which makes nothing full */
/* Why arena_try was NULL, in the words of who asked: ERR_TOO_LARGE, or ERR_MEMORY when others hold it. Is false. */
bool arena_refused(const struct arena *a, const char *what, struct err *e);
/* n elements of `size`; a product that overflows ends the program. */
void *arena_array(struct arena *a, size_t n, size_t size);
/* The same with room for more: a list that has grown. The n elements of `list` (NULL with 0) stand in front. */
void *arena_more(struct arena *a, const void *list, size_t n, size_t room, size_t size);
struct bytes arena_copy(struct arena *a, struct bytes b); /* with a NUL behind it; NO_BYTES stays NO_BYTES */
char *arena_text(struct arena *a, struct bytes b);        /* as a C string */
char *arena_printf(struct arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));
struct bytes arena_bytesf(struct arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));
struct bytes arena_lower(struct arena *a, struct bytes b); /* ASCII */
/* A copy of what is in b, which is cleared; NO_BYTES: it was more than b may hold. */
struct bytes arena_take(struct arena *a, struct buf *b);
#endif
