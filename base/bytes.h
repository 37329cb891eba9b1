/* base/bytes.h - borrowed views and growing buffers.
 *
 * `struct bytes` is a view of somebody else's memory; it may hold NUL, and p == NULL means "no value" (n is then 0).
 * `struct buf` grows on the heap and cannot be made without a maximum. It remembers that it overflowed (bytes past the
 * maximum are dropped): add freely, ask once at the end.
 *
 *     struct buf mail;
 *     buf_init(&mail, 4096);
 *     buf_addf(&mail, "To: <%.*s>\r\n", SHOW(sender));
 *     if (mail.overflowed) ...
 *     buf_clear(&mail);
 * Neither is shared between threads. */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes {
    const char *p;
    size_t n;
};

#define BYTES(literal) ((struct bytes){ "" literal "", sizeof(literal) - 1 })
#define NO_BYTES       ((struct bytes){ NULL, 0 })
/* The same as an initializer in a static table. */
#define BYTES_ROW(literal)                                                                                             \
    {                                                                                                                  \
        "" literal "", sizeof(literal) - 1                                                                             \
    }
/* For "%.*s". */
#define SHOW(b) (int)(b).n, ((b).p ? (b).p : "")

struct bytes bytes_of(const char *text); /* a C string, NULL gives NO_BYTES */
bool bytes_equal(struct bytes a, struct bytes b);
bool bytes_equal_nocase(struct bytes a, struct bytes b); /* ASCII */
bool bytes_starts(struct bytes b, struct bytes prefix);
bool bytes_starts_nocase(struct bytes b, struct bytes prefix);
bool bytes_ends(struct bytes b, struct bytes suffix);
bool bytes_ends_nocase(struct bytes b, struct bytes suffix);
/* Offset of the first `c`, or b.n. */
size_t bytes_find(struct bytes b, char c);
/* Offset of the last `c`, or b.n. */
size_t bytes_find_last(struct bytes b, char c);
struct bytes bytes_from(struct bytes b, size_t start); /* b without its first `start` bytes; start may pass the end */
struct bytes bytes_head(struct bytes b, size_t n);     /* at most the first n */
/* Copies all of them into one block that the caller frees; they point there then. NO_BYTES stays NO_BYTES. */
char *bytes_gather(struct bytes *texts[], size_t n);
struct bytes bytes_trim(struct bytes b); /* without SP, TAB, CR, LF at both ends */
/* Splits at the first `c`: *head before it, *rest behind it. False when there is none (head = b, rest = NO_BYTES). */
bool bytes_cut(struct bytes b, char c, struct bytes *head, struct bytes *rest);
/* A whole decimal number, sign allowed, nothing around it; false on anything else or overflow. */
bool bytes_to_int(struct bytes b, int64_t *out);
bool bytes_is_ascii(struct bytes b);
size_t bytes_plain(struct bytes b); /* how many bytes at its start are printable ASCII, 0x20 to 0x7E */
bool bytes_is_utf8(struct bytes b); /* RFC 3629: no overlong forms, surrogates or values past U+10FFFF */
/* Length of the UTF-8 character at the start of b (1 to 4); 0 when b is empty or starts with an invalid one. */
size_t bytes_utf8_length(struct bytes b);
/* How many octets at the front are whole characters beyond ASCII. */
size_t bytes_utf8_run(struct bytes b);
int bytes_compare(struct bytes a, struct bytes b);
/* True for bytes that no line of ours may carry: CR, LF, NUL. */
bool bytes_has_ctl_line(struct bytes b);

struct buf {
    char *p;
    size_t n, cap, max;
    bool overflowed;
    void (*drain)(struct buf *b); /* NULL: what does not fit is dropped */
    void *ctx;                    /* drain's own */
};

void buf_init(struct buf *b, size_t max); /* allocates nothing yet */
/* One that never overflows: when it is full, `drain` takes what is in it (and resets it) or raises b->max. Its pieces
 * end at the same places whenever the same is added. */
void buf_init_drained(struct buf *b, size_t max, void (*drain)(struct buf *b), void *ctx);
void buf_clear(struct buf *b); /* frees; may be used again after buf_init; an all-zero buf is accepted */
void buf_reset(struct buf *b); /* forgets the content, keeps the memory */
void buf_add(struct buf *b, struct bytes bytes);
void buf_addc(struct buf *b, char c);
void buf_adds(struct buf *b, const char *text);
void buf_addf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Room for n more bytes at the end, to be filled by the caller and counted with buf_filled; NULL past the maximum. */
char *buf_room(struct buf *b, size_t n);
void buf_filled(struct buf *b, size_t n);
void buf_drop_front(struct buf *b, size_t n); /* moves the rest down */
struct bytes buf_bytes(const struct buf *b);
#endif
