/* base/id.c - ids that rise within a process, from any thread, without a lock.
 *
 * One atomic number holds milliseconds and counter together: moving it is what makes an id ours. Order is all that
 * rests on it; that ids of two processes differ rests on the 62 random bits. */
#include "base/id.h"
#include "base/clock.h"
#include "base/err.h"
#include <assert.h>
#include <stdatomic.h>
#include <sys/random.h>

enum { SUFFIX = 26 };
static const char alphabet[33] = "0123456789abcdefghjkmnpqrstvwxyz";

/* Milliseconds and a counter of 12 bits in one number: whoever moves it owns what it then says. More than 4096 ids in
 * one millisecond run ahead of the clock (RFC 9562, section 6.2, method 1), and a clock set back changes nothing. */
static uint64_t next_tick(void)
{
    static _Atomic uint64_t last;
    uint64_t now = (uint64_t)clock_wall() << 12;
    uint64_t seen = atomic_load_explicit(&last, memory_order_relaxed);
    uint64_t mine = 0;

    do {
        mine = now > seen ? now : seen + 1;
    } while (!atomic_compare_exchange_weak_explicit(&last, &seen, mine, memory_order_relaxed, memory_order_relaxed));
    return mine;
}

/* The kernel's randomness, fetched for 32 ids at a time. */
static uint64_t random_word(void)
{
    static _Thread_local uint64_t pool[32];
    static _Thread_local size_t left;

    if (left == 0) {
        if (getrandom(pool, sizeof pool, 0) != (ssize_t)sizeof pool)
            die("getrandom failed");
        left = sizeof pool / sizeof *pool;
    }
    return pool[--left];
}

static void put_big_endian(uint8_t out[8], uint64_t n)
{
    for (size_t i = 8; i-- > 0; n >>= 8)
        out[i] = (uint8_t)n;
}

struct id id_new(void)
{
    struct id id;
    uint64_t tick = next_tick();

    /* Version 7 and variant 10 (RFC 9562 4.1, 4.2, 5.7) stand between time, counter and random bits. */
    put_big_endian(id.b, (tick >> 12) << 16 | UINT64_C(0x7000) | (tick & 0xFFF));
    put_big_endian(id.b + 8, UINT64_C(1) << 63 | random_word() >> 2);
    return id;
}

struct id id_of_hash(const uint8_t *hash)
{
    struct id id;

    memcpy(id.b, hash, sizeof id.b);
    id.b[6] = (uint8_t)(0x80 | (id.b[6] & 0x0F));
    id.b[8] = (uint8_t)(0x80 | (id.b[8] & 0x3F));
    return id;
}

struct id id_of_hash_at(const uint8_t *hash, int64_t wall)
{
    struct id id;

    for (int i = 0; i < 6; i++)
        id.b[i] = (uint8_t)(wall >> (40 - 8 * i));
    memcpy(id.b + 6, hash, sizeof id.b - 6);
    id.b[6] = (uint8_t)(0x70 | (id.b[6] & 0x0F)); /* RFC 9562 5.7 */
    id.b[8] = (uint8_t)(0x80 | (id.b[8] & 0x3F));
    return id;
}

bool id_is_none(struct id id)
{
    return id_equal(id, NO_ID);
}

bool id_equal(struct id a, struct id b)
{
    return memcmp(a.b, b.b, sizeof a.b) == 0;
}

int id_compare(struct id a, struct id b)
{
    return memcmp(a.b, b.b, sizeof a.b);
}

int64_t id_time(struct id id)
{
    int64_t ms = 0;

    for (size_t i = 0; i < 6; i++)
        ms = ms << 8 | id.b[i];
    return ms;
}

static uint64_t get_big_endian(const uint8_t b[8])
{
    uint64_t n = 0;

    for (size_t i = 0; i < 8; i++)
        n = n << 8 | b[i];
    return n;
}

/* 128 bits behind two zero bits are 26 digits of 5 bits. */
static void encode(const uint8_t b[16], char out[SUFFIX])
{
    uint64_t high = get_big_endian(b), low = get_big_endian(b + 8);

    for (size_t i = SUFFIX; i-- > 0;) {
        out[i] = alphabet[low & 31];
        low = low >> 5 | high << 59;
        high >>= 5;
    }
}

static bool decode(struct bytes text, struct id *out)
{
    struct id id = NO_ID;

    if (text.n != SUFFIX || text.p[0] > '7') /* "8…" would be more than 128 bits */
        return false;
    for (int i = 0; i < SUFFIX; i++) {
        const char *at = memchr(alphabet, text.p[i], 32);

        if (!at)
            return false;
        for (int k = 0; k < 5; k++) {
            int bit = i * 5 - 2 + k;

            if (bit >= 0 && ((at - alphabet) >> (4 - k) & 1))
                id.b[bit / 8] |= (uint8_t)(1u << (7 - bit % 8));
        }
    }
    *out = id;
    return true;
}

struct bytes id_format(const char *prefix, struct id id, char out[ID_TEXT + 1])
{
    size_t n = strlen(prefix);

    assert(n <= ID_PREFIX);
    memcpy(out, prefix, n);
    if (n)
        out[n++] = '_';
    encode(id.b, out + n);
    out[n + SUFFIX] = '\0';
    return (struct bytes){ out, n + SUFFIX };
}

struct bytes id_text(struct arena *a, const char *prefix, struct id id)
{
    char text[ID_TEXT + 1];

    return arena_copy(a, id_format(prefix, id, text));
}

bool id_parse(const char *prefix, struct bytes text, struct id *out)
{
    struct bytes want = bytes_of(prefix);

    if (!bytes_starts(text, want))
        return false;
    text = bytes_from(text, want.n);
    if (want.n) {
        if (!bytes_starts(text, BYTES("_")))
            return false;
        text = bytes_from(text, 1);
    }
    return decode(text, out);
}

/* [a-z]([a-z_]{0,61}[a-z])? */
static bool prefix_is_valid(struct bytes prefix)
{
    if (prefix.n == 0 || prefix.n > ID_PREFIX || prefix.p[0] == '_' || prefix.p[prefix.n - 1] == '_')
        return false;
    for (size_t i = 0; i < prefix.n; i++)
        if (prefix.p[i] != '_' && (prefix.p[i] < 'a' || prefix.p[i] > 'z'))
            return false;
    return true;
}

bool id_parse_any(struct bytes text, char *out_prefix, struct id *out)
{
    size_t at = bytes_find_last(text, '_');
    struct bytes prefix = NO_BYTES, suffix = text;

    if (at < text.n) {
        prefix = bytes_head(text, at);
        suffix = bytes_from(text, at + 1);
        if (!prefix_is_valid(prefix))
            return false;
    }
    if (!decode(suffix, out))
        return false;
    if (prefix.n)
        memcpy(out_prefix, prefix.p, prefix.n);
    out_prefix[prefix.n] = '\0';
    return true;
}
