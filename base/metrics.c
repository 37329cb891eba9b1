/* base/metrics.c - an array of atomic numbers, by the rows of metrics.def: nothing registers, nothing is locked, but
 * for the series of metrics with labels, which are made as they come.
 *
 * A page of metrics is no snapshot. Numbers may be of slightly different moments, but what must agree is worked out of
 * the same numbers (the count of a histogram of its buckets). */
#include "base/metrics.h"
#include <assert.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum type { COUNTER, GAUGE, HISTOGRAM, LABELLED };

static const struct row {
    const char *name;
    enum type type;
    const char *text;
} rows[METRICS] = {
#define METRIC(name, type, text) { #name, type, text },
#include "base/metrics.def"
#undef METRIC
};

/* Upper bounds in milliseconds: from one commit to the longest wait of a client. */
static const struct bound {
    int64_t ms;
    const char *le;
} bounds[] = {
    { 1, "0.001" },  { 2, "0.002" }, { 5, "0.005" },  { 10, "0.01" },  { 25, "0.025" },
    { 50, "0.05" },  { 100, "0.1" }, { 250, "0.25" }, { 500, "0.5" },  { 1000, "1" },
    { 2500, "2.5" }, { 5000, "5" },  { 10000, "10" }, { 30000, "30" }, { INT64_MAX, "+Inf" },
};

enum { BOUNDS = sizeof bounds / sizeof *bounds };

/* A cache line each, so that two busy counters do not slow each other down. */
static struct cell {
    alignas(64) _Atomic int64_t n; /* HISTOGRAM: the sum, in milliseconds */
} cells[METRICS];

static _Atomic int64_t buckets[METRICS][BOUNDS];

static void add(_Atomic int64_t *cell, int64_t n)
{
    atomic_fetch_add_explicit(cell, n, memory_order_relaxed);
}

static int64_t get(_Atomic int64_t *cell)
{
    return atomic_load_explicit(cell, memory_order_relaxed);
}

void metric_add(enum metric m, int64_t n)
{
    assert(rows[m].type == GAUGE || (rows[m].type == COUNTER && n >= 0));
    add(&cells[m].n, n);
}

void metric_set(enum metric m, int64_t n)
{
    assert(rows[m].type == GAUGE);
    atomic_store_explicit(&cells[m].n, n, memory_order_relaxed);
}

void metric_observe(enum metric m, int64_t milliseconds)
{
    size_t i = 0;

    assert(rows[m].type == HISTOGRAM);
    if (milliseconds < 0)
        milliseconds = 0;
    while (milliseconds > bounds[i].ms)
        i++;
    add(&buckets[m][i], 1);
    add(&cells[m].n, milliseconds);
}

/* ---- labels ---- */

static struct series {
    struct series *next; /* in the order in which they came */
    int64_t n;
    char labels[];
} * series[METRICS];
static pthread_mutex_t series_mutex = PTHREAD_MUTEX_INITIALIZER;

static struct series **series_find(enum metric m, const char *labels, size_t *n)
{
    struct series **at = &series[m];

    for (*n = 0; *at && strcmp((*at)->labels, labels) != 0; ++*n)
        at = &(*at)->next;
    return at;
}

void metric_count(enum metric m, const char *labels)
{
    struct series **at;
    size_t n;

    assert(rows[m].type == LABELLED);
    add(&cells[m].n, 1);
    pthread_mutex_lock(&series_mutex);
    at = series_find(m, labels, &n);
    if (!*at && n >= METRIC_SERIES - 1) {
        labels = METRIC_REST;
        at = series_find(m, labels, &n);
    }
    if (!*at && (*at = calloc(1, sizeof **at + strlen(labels) + 1)))
        memcpy((*at)->labels, labels, strlen(labels) + 1);
    if (*at)
        (*at)->n++;
    pthread_mutex_unlock(&series_mutex);
}

static void series_text(enum metric m, struct buf *out)
{
    pthread_mutex_lock(&series_mutex);
    for (const struct series *s = series[m]; s; s = s->next)
        buf_addf(out, "postrider_%s{%s} %lld\n", rows[m].name, s->labels, (long long)s->n);
    pthread_mutex_unlock(&series_mutex);
}

int64_t metric_get(enum metric m)
{
    int64_t n = 0;

    if (rows[m].type != HISTOGRAM)
        return get(&cells[m].n);
    for (size_t i = 0; i < BOUNDS; i++)
        n += get(&buckets[m][i]);
    return n;
}

/* The count is the last bucket, not a number of its own, so that the two agree while others go on counting. */
static void histogram_text(enum metric m, struct buf *out)
{
    const char *name = rows[m].name;
    int64_t n = 0, sum = get(&cells[m].n);

    for (size_t i = 0; i < BOUNDS; i++) {
        n += get(&buckets[m][i]);
        buf_addf(out, "postrider_%s_bucket{le=\"%s\"} %lld\n", name, bounds[i].le, (long long)n);
    }
    buf_addf(out, "postrider_%s_sum %lld.%03d\n", name, (long long)(sum / 1000), (int)(sum % 1000));
    buf_addf(out, "postrider_%s_count %lld\n", name, (long long)n);
}

void metrics_text(struct buf *out)
{
    static const char *const types[] = { "counter", "gauge", "histogram", "counter" };

    for (enum metric m = 0; m < METRICS; m++) {
        buf_addf(out, "# HELP postrider_%s %s\n", rows[m].name, rows[m].text);
        buf_addf(out, "# TYPE postrider_%s %s\n", rows[m].name, types[rows[m].type]);
        if (rows[m].type == HISTOGRAM)
            histogram_text(m, out);
        else if (rows[m].type == LABELLED)
            series_text(m, out);
        else
            buf_addf(out, "postrider_%s %lld\n", rows[m].name, (long long)get(&cells[m].n));
    }
}
