/* mail/reply.h: what an author wrote */
#include "tests/mail/suite.h"

#include "mail/reply.h"

static void replies(void **state)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        { "", "" },
        { "Yes.\n", "Yes.\n" },
        { "Yes.\n\nOn Mon, 2 Nov 2026 at 10:00, Ana <a@b.test> wrote:\n> Shall we?\n> Ana\n", "Yes.\n" },
        { "Yes.\n\nOn Mon, 2 Nov 2026 at 10:00, Ana Lopez de la Torre\n<ana@b.test> wrote:\n\n> Shall we?\n",
          "Yes.\n" },
        { "Ja.\n\nAm 02.11.26 um 10:00 schrieb Ana:\n> Sollen wir?\n", "Ja.\n" },
        { "Ja.\n\nAna <a@b.test> schrieb:\n> Sollen wir?\n", "Ja.\n" },
        { "Oui.\n\nLe lun. 2 nov. 2026 à 10:00, Ana <a@b.test> a écrit :\n> On y va ?\n", "Oui.\n" },
        { "好的\n\n2026年11月2日 10:00，Ana <a@b.test> 写道：\n> 走吗？\n", "好的\n" },
        { "Ok\n\na@b.test (2. nov.):\n> hm\n", "Ok\n" },
        { "> One?\nYes.\n\n> Two?\nNo.\n", "Yes.\n\nNo.\n" }, /* answers between the lines */
        { "Yes.\n\n-----Original Message-----\nFrom: Ana\nShall we?\n", "Yes.\n" },
        { "Yes.\n\n________________________________\nVon: Ana <a@b.test>\nGesendet: Montag\n", "Yes.\n" },
        { "Yes.\n\nFrom: Ana <a@b.test>\nSent: Monday\nTo: Bo\nSubject: x\n\nShall we?\n", "Yes.\n" },
        { "Yes.\n\n*Von:* Ana <a@b.test>\n*Gesendet:* Montag\n*An:* Bo\n\nSollen wir?\n", "Yes.\n" },
        { "Yes.\n-- \nBo\nThe Company\n", "Yes.\n" },
        { "Yes.\n\nSent from my iPhone\n", "Yes.\n" },
        { "Yes.\n\nSent from my iPhone\n\nOn 2 Nov 2026, at 10:00, Ana wrote:\n> x\n", "Yes.\n" },
        /* what only looks like it */
        { "He wrote:\nall is well\n", "He wrote:\nall is well\n" },
        { "The list:\n- one\n- two\n", "The list:\n- one\n- two\n" },
        { "From: here\nwe go\n", "From: here\nwe go\n" },
        { "a -- b\n--x\n", "a -- b\n--x\n" },
        { "To: do\nbuy milk at 10\n", "To: do\nbuy milk at 10\n" },
        /* nothing would be left */
        { "---------- Forwarded message ---------\nFrom: Ana\nHello\n",
          "---------- Forwarded message ---------\nFrom: Ana\nHello\n" },
        { "> only\n> quoted\n", "> only\n> quoted\n" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buf out;

        buf_init(&out, 4096);
        reply_strip(bytes_of(rows[i].text), &out);
        if (!bytes_equal(buf_bytes(&out), bytes_of(rows[i].want)))
            print_message("row %zu\n", i);
        assert_bytes(buf_bytes(&out).p ? buf_bytes(&out) : BYTES(""), bytes_of(rows[i].want));
        buf_clear(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(replies) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
