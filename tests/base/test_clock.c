/* base/clock.h */
#include "check.h"

#include "base/clock.h"

static void times_are_written(void **state)
{
    static const struct {
        int64_t wall;
        const char *rfc3339, *rfc5322;
    } rows[] = {
        { 0, "1970-01-01T00:00:00.000Z", "Thu, 01 Jan 1970 00:00:00 +0000" },
        { -1, "1969-12-31T23:59:59.999Z", "Wed, 31 Dec 1969 23:59:59 +0000" },
        { 951782400000, "2000-02-29T00:00:00.000Z", "Tue, 29 Feb 2000 00:00:00 +0000" },
        { 951868799999, "2000-02-29T23:59:59.999Z", "Tue, 29 Feb 2000 23:59:59 +0000" },
        { 1795253520123, "2026-11-21T09:32:00.123Z", "Sat, 21 Nov 2026 09:32:00 +0000" },
        { 4107542400000, "2100-03-01T00:00:00.000Z", "Mon, 01 Mar 2100 00:00:00 +0000" },
        { 253402300799999, "9999-12-31T23:59:59.999Z", "Fri, 31 Dec 9999 23:59:59 +0000" },
        { INT64_MAX, "9999-12-31T23:59:59.999Z", "Fri, 31 Dec 9999 23:59:59 +0000" },
        { INT64_MIN, "0000-01-01T00:00:00.000Z", "Sat, 01 Jan 0000 00:00:00 +0000" },
    };
    char out[CLOCK_TEXT], mail[CLOCK_TEXT + 8];

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_bytes(clock_rfc3339(rows[i].wall, out), bytes_of(rows[i].rfc3339));
        assert_string_equal(out, rows[i].rfc3339);
        assert_bytes(clock_rfc5322(rows[i].wall, mail), bytes_of(rows[i].rfc5322));
    }
}

static void every_day_of_four_centuries_comes_back(void **state)
{
    char out[CLOCK_TEXT];
    int64_t back = 0;

    (void)state;
    for (int64_t day = -62167219200000; day < -62167219200000 + INT64_C(146100) * 86400000; day += 86400000) {
        assert_true(clock_parse_rfc3339(clock_rfc3339(day, out), &back));
        assert_true(back == day);
    }
}

static void times_are_read(void **state)
{
    static const struct {
        const char *text;
        int64_t wall;
    } rows[] = {
        { "1985-04-12T23:20:50.52Z", 482196050520 },
        { "1996-12-19T16:39:57-08:00", 851042397000 },
        { "1990-12-31T23:59:60Z", 662687999999 },
        { "1990-12-31T15:59:60-08:00", 662687999999 },
        { "1937-01-01T12:00:27.87+00:20", -1041337172130 },
        { "1970-01-01t00:00:00z", 0 },
        { "1970-01-01T00:00:00-00:00", 0 },
        { "2000-02-29T00:00:00.1239999999999Z", 951782400123 },
    };
    static const char *const bad[] = {
        "",
        "1970-01-01",
        "1970-01-01T00:00:00",
        "1970-01-01 00:00:00Z",
        "1970-13-01T00:00:00Z",
        "1970-00-01T00:00:00Z",
        "1970-01-32T00:00:00Z",
        "1970-01-00T00:00:00Z",
        "2001-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "1970-01-01T24:00:00Z",
        "1970-01-01T00:60:00Z",
        "1970-01-01T00:00:61Z",
        "1970-01-01T00:00:60Z",
        "1970-01-01T00:00:00.Z",
        "1970-01-01T00:00:00+0100",
        "1970-01-01T00:00:00+24:00",
        "1970-01-01T00:00:00+01:60",
        "1970-01-01T00:00:00Zx",
        "1970-01-01T00:00:00+01:00x",
        "+970-01-01T00:00:00Z",
        "1970-1-01T00:00:00Z",
        "1970-01-01T00:00:00,5Z",
    };
    int64_t wall = 0;

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_true(clock_parse_rfc3339(bytes_of(rows[i].text), &wall));
        assert_true(wall == rows[i].wall);
    }
    for (size_t i = 0; i < COUNT(bad); i++)
        if (clock_parse_rfc3339(bytes_of(bad[i]), &wall))
            fail_msg("\"%s\" was read", bad[i]);
}

static void clocks_run(void **state)
{
    int64_t before = clock_monotonic();

    (void)state;
    assert_true(clock_wall() > 1700000000000);
    assert_true(clock_monotonic() >= before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_written),
        cmocka_unit_test(every_day_of_four_centuries_comes_back),
        cmocka_unit_test(times_are_read),
        cmocka_unit_test(clocks_run),
    };

    return cmocka_run_group_tests_name("base/clock", tests, NULL, NULL);
}
