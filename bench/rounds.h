/* bench/rounds.h - what one round costs, of many: for programs that measure one function. It needs no part of the
 * project, so that programs of peers can use it too. */
#ifndef BENCH_ROUNDS_H
#define BENCH_ROUNDS_H
#include <stdlib.h>
#include <time.h>

static inline double now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static inline int rounds_by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

/* Then the first is the best, the one at n / 2 the middle one. */
static inline void rounds_sort(double *took, size_t n)
{
    qsort(took, n, sizeof *took, rounds_by_size);
}
#endif
