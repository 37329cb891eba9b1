/* base/arena.h - memory that ends together: one HTTP request, one mail transaction, one POP3 session.
 *
 * Nobody frees what is in an arena. An arena belongs to one fiber or thread at a time. It has a maximum; passing it, or
 * running out of memory, ends the program unless the caller asked with arena_try: sizes that a client chooses are
 * checked before they are allocated. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H
#include "base/bytes.h"

struct arena;

struct arena *arena_new(size_t max);
void arena_free(struct arena **a); /* *a may be NULL; *a is NULL afterwards */
void arena_reset(struct arena *a); /* forgets all, keeps the first block */
size_t arena_used(const struct arena *a);
/* Forgets what was allocated after the mark: for work that is tried and left no trace. A reset makes marks void. */
struct arena_mark {
    void *block;
    size_t block_used, used;
};
struct arena_mark arena_mark(const struct arena *a);
void arena_rewind(struct arena *a, struct arena_mark m);

void *arena_alloc(struct arena *a, size_t n); /* zeroed, aligned for any type */
void *arena_try(struct arena *a, size_t n);   /* the same; NULL past the maximum */
/* n elements of `size`; a product that overflows ends the program. */
void *arena_array(struct arena *a, size_t n, size_t size);
struct bytes arena_copy(struct arena *a, struct bytes b); /* with a NUL behind it; NO_BYTES stays NO_BYTES */
char *arena_text(struct arena *a, struct bytes b);        /* as a C string */
char *arena_printf(struct arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));
struct bytes arena_bytesf(struct arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));
struct bytes arena_lower(struct arena *a, struct bytes b); /* ASCII */
#endif
