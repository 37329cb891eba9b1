/* mail/calendar.h: what a mail with a calendar depends on. */
#include "mail/calendar.h"
#include "tests/mail/shape.h"

#define EVENT "BEGIN:VEVENT\r\nUID:1\r\nEND:VEVENT\r\n"

static void what_can_be_sent(void **state)
{
    static const struct {
        const char *content, *method;
        bool good;
    } rows[] = {
        { "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\n" EVENT "END:VCALENDAR\r\n", "REQUEST", true },
        { "BEGIN:VCALENDAR\nmethod:request\n" EVENT "END:VCALENDAR\n\n", "REQUEST", true },
        { "BEGIN:VCALENDAR\r\n" EVENT "END:VCALENDAR", "CANCEL", true },
        { "BEGIN:VCALENDAR\r\nMETHOD;X=y:REQUEST\r\n" EVENT "END:VCALENDAR\r\n", "REQUEST", true },
        { "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\n" EVENT "END:VCALENDAR\r\n", "CANCEL", false },
        /* of a component it would be no METHOD of the calendar */
        { "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nMETHOD:REQUEST\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n", "CANCEL", true },
        { "BEGIN:VEVENT\r\nEND:VEVENT\r\n", "REQUEST", false },
        { "BEGIN:VCALENDAR\r\n" EVENT, "REQUEST", false },
        { "BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\nand more\r\n", "REQUEST", false },
        { " BEGIN:VCALENDAR", "REQUEST", false },
        { "", "REQUEST", false },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        if (!calendar_fault(bytes_of(rows[i].content), bytes_of(rows[i].method)) != rows[i].good)
            fail_msg("row %zu", i);
}

static void it_is_written_with_its_method(void **state)
{
    static const char *const rows[][2] = {
        { "BEGIN:VCALENDAR\nVERSION:2.0\nEND:VCALENDAR",
          "BEGIN:VCALENDAR\r\nMETHOD:REPLY\r\nVERSION:2.0\r\nEND:VCALENDAR\r\n" },
        { "BEGIN:VCALENDAR\r\nMETHOD:REPLY\r\nEND:VCALENDAR\r\n",
          "BEGIN:VCALENDAR\r\nMETHOD:REPLY\r\nEND:VCALENDAR\r\n" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buf out;

        buf_init(&out, 4096);
        calendar_write(bytes_of(rows[i][0]), BYTES("REPLY"), &out);
        assert_bytes(buf_bytes(&out), bytes_of(rows[i][1]));
        buf_clear(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_can_be_sent),
        cmocka_unit_test(it_is_written_with_its_method),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
