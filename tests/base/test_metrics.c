/* base/metrics.h: the Prometheus text format 0.0.4. */
#include "check.h"

#include "base/metrics.h"

static bool shown(const struct buf *text, const char *line)
{
    char *copy = strndup(text->p, text->n);
    bool found = strstr(copy, line) != NULL;

    free(copy);
    return found;
}

static void counts_are_shown(void **state)
{
    struct buf text;

    (void)state;
    metric_add(METRIC_smtp_accepted_total, 2);
    metric_add(METRIC_smtp_accepted_total, 1);
    metric_add(METRIC_smtp_sessions, 5);
    metric_add(METRIC_smtp_sessions, -2);
    metric_set(METRIC_fibers, 9);
    assert_int_equal(metric_get(METRIC_smtp_accepted_total), 3);
    buf_init(&text, 1 << 20);
    metrics_text(&text);
    assert_true(shown(&text, "# HELP postrider_smtp_accepted_total Mails accepted over SMTP\n"
                             "# TYPE postrider_smtp_accepted_total counter\n"
                             "postrider_smtp_accepted_total 3\n"));
    assert_true(shown(&text, "# TYPE postrider_smtp_sessions gauge\npostrider_smtp_sessions 3\n"));
    assert_true(shown(&text, "postrider_fibers 9\n"));
    buf_clear(&text);
}

static void a_histogram_accumulates(void **state)
{
    static const int64_t ms[] = { 0, 1, 2, 7, 1500, 31000, -5 };
    struct buf text;

    (void)state;
    for (size_t i = 0; i < COUNT(ms); i++)
        metric_observe(METRIC_store_commit_seconds, ms[i]);
    assert_int_equal(metric_get(METRIC_store_commit_seconds), COUNT(ms));
    buf_init(&text, 1 << 20);
    metrics_text(&text);
    assert_true(shown(&text, "# TYPE postrider_store_commit_seconds histogram\n"
                             "postrider_store_commit_seconds_bucket{le=\"0.001\"} 3\n"
                             "postrider_store_commit_seconds_bucket{le=\"0.002\"} 4\n"
                             "postrider_store_commit_seconds_bucket{le=\"0.005\"} 4\n"
                             "postrider_store_commit_seconds_bucket{le=\"0.01\"} 5\n"));
    assert_true(shown(&text, "postrider_store_commit_seconds_bucket{le=\"30\"} 6\n"
                             "postrider_store_commit_seconds_bucket{le=\"+Inf\"} 7\n"
                             "postrider_store_commit_seconds_sum 32.510\n"
                             "postrider_store_commit_seconds_count 7\n"));
    buf_clear(&text);
}

static void labels_have_numbers_of_their_own(void **state)
{
    char labels[64];
    struct buf text;

    (void)state;
    metric_count(METRIC_delivery_attempts_total, "outcome=\"deferred\",cause=\"greylist\"");
    metric_count(METRIC_delivery_attempts_total, "outcome=\"delivered\"");
    metric_count(METRIC_delivery_attempts_total, "outcome=\"delivered\"");
    for (int i = 0; i < METRIC_SERIES + 7; i++) {
        snprintf(labels, sizeof labels, "cause=\"%d\"", i);
        metric_count(METRIC_delivery_attempts_total, labels);
    }
    assert_int_equal(metric_get(METRIC_delivery_attempts_total), METRIC_SERIES + 10);
    buf_init(&text, 1 << 20);
    metrics_text(&text);
    assert_true(shown(&text, "# TYPE postrider_delivery_attempts_total counter\n"
                             "postrider_delivery_attempts_total{outcome=\"deferred\",cause=\"greylist\"} 1\n"
                             "postrider_delivery_attempts_total{outcome=\"delivered\"} 2\n"
                             "postrider_delivery_attempts_total{cause=\"0\"} 1\n"));
    assert_true(shown(&text, "postrider_delivery_attempts_total{" METRIC_REST "} 10\n"));
    buf_clear(&text);
}

/* Names as the data model wants them; counters end in _total, histograms in the unit. */
static void names_keep_the_rules(void **state)
{
    static const char *const names[] = {
#define METRIC(name, type, text) #name " " #type " " text,
#include "base/metrics.def"
#undef METRIC
    };

    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        struct bytes name, type, text;

        bytes_cut(bytes_of(names[i]), ' ', &name, &text);
        bytes_cut(text, ' ', &type, &text);
        assert_true((bytes_equal(type, BYTES("COUNTER")) || bytes_equal(type, BYTES("LABELLED"))) ==
                    bytes_ends(name, BYTES("_total")));
        assert_true(!bytes_equal(type, BYTES("HISTOGRAM")) || bytes_ends(name, BYTES("_seconds")));
        assert_true(text.n > 0 && bytes_find(text, '\\') == text.n && !bytes_has_ctl_line(text));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_are_shown),
        cmocka_unit_test(a_histogram_accumulates),
        cmocka_unit_test(labels_have_numbers_of_their_own),
        cmocka_unit_test(names_keep_the_rules),
    };

    return cmocka_run_group_tests_name("base/metrics", tests, NULL, NULL);
}
