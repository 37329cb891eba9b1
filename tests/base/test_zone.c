/* base/zone.h: a few zones of the system's database, names that are none, and files that are none. All zones are
 * compared with another reader's in tests/mail/test_template_zones.py. */
#include "base/clock.h"
#include "base/params.h"
#include "base/zone.h"
#include "tests/base/check.h"

static int64_t at(const char *text)
{
    int64_t wall = 0;

    assert_true(clock_parse_rfc3339(bytes_of(text), &wall));
    return wall;
}

static void offsets(void **state)
{
    static const struct {
        const char *zone, *when;
        int want;
    } rows[] = {
        { "UTC", "2026-07-01T00:00:00Z", 0 },
        { "Europe/Berlin", "2026-03-29T00:59:59Z", 3600 },
        { "Europe/Berlin", "2026-03-29T01:00:00Z", 7200 },
        { "Europe/Berlin", "2099-07-01T00:00:00Z", 7200 }, /* by the rule behind the table */
        { "America/New_York", "2026-11-01T05:59:59Z", -14400 },
        { "America/New_York", "2026-11-01T06:00:00Z", -18000 },
        { "Asia/Kolkata", "2026-07-01T00:00:00Z", 19800 },
        { "Australia/Lord_Howe", "2050-01-01T00:00:00Z", 39600 }, /* half an hour, and in the south */
        { "Australia/Lord_Howe", "2050-07-01T00:00:00Z", 37800 },
        { "Europe/Dublin", "2050-07-01T00:00:00Z", 3600 }, /* whose winter is the exception */
        { "Etc/GMT+5", "2026-07-01T00:00:00Z", -18000 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        int offset = 1;

        assert_true(zone_offset(bytes_of(rows[i].zone), at(rows[i].when), &offset));
        if (offset != rows[i].want)
            fail_msg("%s at %s: %d", rows[i].zone, rows[i].when, offset);
        assert_true(zone_offset_known(bytes_of(rows[i].zone), at(rows[i].when), &offset));
    }
}

static void names_that_are_none(void **state)
{
    static const char *const names[] = { "",
                                         "Nowhere/Town",
                                         "Europe",
                                         "Europe/",
                                         "/Europe/Berlin",
                                         "Europe//Berlin",
                                         "../zoneinfo/UTC",
                                         "Europe/../UTC",
                                         ".",
                                         "UTC\n",
                                         "tzdata.zi",
                                         "+" };
    int offset;

    (void)state;
    for (size_t i = 0; i < COUNT(names); i++)
        if (zone_offset(bytes_of(names[i]), 0, &offset))
            fail_msg("%s is a zone", names[i]);
    assert_false(zone_offset_known(BYTES("Asia/Tokyo"), 0, &offset)); /* nobody has asked for it */
}

/* Version 2 with one type, one change and a rule; cut and changed everywhere it is no zone, or still one. */
static void files_that_are_none(void **state)
{
    static const char head[] = "TZif2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    char file[256] = { 0 };
    size_t n = 44;
    int offset;

    (void)state;
    memcpy(file, head, 44);
    memcpy(file + n, head, 44);
    file[n + 35] = 1; /* changes */
    file[n + 39] = 1; /* types */
    file[n + 43] = 4;
    n += 44;
    memcpy(file + n,
           "\0\0\0\0\0\0\0\0"
           "\0"
           "\0\0\x0e\x10\0\0"
           "CET\0"
           "\nCET-1CEST,M3.5.0,M10.5.0/3\n",
           8 + 1 + 6 + 4 + 29);
    n += 8 + 1 + 6 + 4 + 29;
    assert_true(zone_offset_in((struct bytes){ file, n }, at("2026-07-01T00:00:00Z"), &offset));
    assert_int_equal(offset, 7200);
    for (size_t cut = 0; cut < n - 1; cut++)
        zone_offset_in((struct bytes){ file, cut }, 0, &offset);
    assert_false(zone_offset_in((struct bytes){ file, 90 }, 0, &offset));
    for (size_t i = 0; i < n; i++)
        for (int bit = 0; bit < 8; bit++) {
            file[i] = (char)(file[i] ^ 1 << bit);
            zone_offset_in((struct bytes){ file, n }, at("2026-07-01T00:00:00Z"), &offset);
            file[i] = (char)(file[i] ^ 1 << bit);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_are_none),
        cmocka_unit_test(offsets),
        cmocka_unit_test(files_that_are_none),
    };

    params_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
