/* delivery/hash.h - numbers that look random and are the same whenever they are asked for: for shuffling and for
 * spreading times. Not for secrets, and not stored anywhere. */
#ifndef DELIVERY_HASH_H
#define DELIVERY_HASH_H
#include "base/bytes.h"

static inline uint64_t hash_mix(uint64_t a, uint64_t b)
{
    uint64_t h = (a ^ b * UINT64_C(0x9E3779B97F4A7C15)) + UINT64_C(0x9E3779B97F4A7C15);

    h = (h ^ h >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    h = (h ^ h >> 27) * UINT64_C(0x94D049BB133111EB);
    return h ^ h >> 31;
}

static inline uint64_t hash_text(uint64_t seed, struct bytes text)
{
    uint64_t h = seed ^ UINT64_C(0xCBF29CE484222325);

    for (size_t i = 0; i < text.n; i++)
        h = (h ^ (unsigned char)text.p[i]) * UINT64_C(0x100000001B3);
    return hash_mix(h, text.n);
}

/* A time within so many percent of `ms`, to either side; 50 at most. */
static inline int64_t hash_spread(int64_t ms, unsigned percent, uint64_t h)
{
    int64_t wide = ms / 100 * percent;

    return ms - wide + (wide > 0 ? (int64_t)(h % (uint64_t)(2 * wide + 1)) : 0);
}
#endif
