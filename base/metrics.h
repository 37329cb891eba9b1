/* base/metrics.h - counters, with labels or without, gauges and histograms, shown as Prometheus text (exposition format
 * 0.0.4). The whole list is base/metrics.def, one row each. Any thread; a count is one relaxed atomic add.
 *
 *     metric_add(METRIC_smtp_accepted_total, 1);
 *     metric_observe(METRIC_store_commit_seconds, ms);      histograms take milliseconds, show seconds */
#ifndef BASE_METRICS_H
#define BASE_METRICS_H
#include "base/bytes.h"

enum metric {
#define METRIC(name, type, text) METRIC_##name,
#include "base/metrics.def"
#undef METRIC
    METRICS
};

void metric_add(enum metric m, int64_t n); /* counters; gauges may go down */
void metric_set(enum metric m, int64_t n); /* gauges */
/* LABELLED: one more with these labels, "outcome=\"deferred\",cause=\"greylist\"" (values without quotes, backslashes
 * and line ends). Of a metric there are at most METRIC_SERIES of them; what comes later counts as METRIC_REST. */
#define METRIC_SERIES 256
#define METRIC_REST   "other=\"true\""
void metric_count(enum metric m, const char *labels);
void metric_observe(enum metric m, int64_t milliseconds);
int64_t metric_get(enum metric m);  /* HISTOGRAM: how many were observed; LABELLED: all together */
void metrics_text(struct buf *out); /* about 1 KiB a histogram, 150 bytes a counter */
#endif
