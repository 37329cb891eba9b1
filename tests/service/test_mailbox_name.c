/* Which names a mailbox may have, and what becomes of those that older builds took. */
#include "house.h"
#include "service/box/mailbox_name.h"
#include "service/keep/upgrade.h"

static const struct {
    const char *given, *kept; /* kept NULL: refused */
    const char *mended;
} names[] = {
    { "Work", "Work", "Work" },
    { "a b", "a b", "a b" },
    { "C#", "C#", "C#" },
    { "Q3/Q4", NULL, "Q3-Q4" },
    { "/", NULL, "-" },
    { "#news", NULL, "-news" },
    { " #", NULL, "-" },
    { "##", NULL, "-#" },
    { " a", NULL, "a" },
    { "a ", NULL, "a" },
    { " ", NULL, "-" },
    { "\xC2\xA0"
      "a",
      NULL, "a" },
    { "a\xE3\x80\x80", NULL, "a" },    /* U+3000 */
    { "a\xE2\x80\xA8z", NULL, "a-z" }, /* U+2028 */
    { "a\xC2\x85z", NULL, "a-z" },     /* U+0085, C1 */
    { "a\x7Fz", NULL, "a-z" },         /* DEL */
    { "a\tz", NULL, "a-z" },           /* in the middle too */
    { "Caf\xC3\xA9", "Caf\xC3\xA9", "Caf\xC3\xA9" },
    { "Cafe\xCC\x81", "Caf\xC3\xA9", "Caf\xC3\xA9" },
    { "\xE2\x84\xAB", "\xC3\x85", "\xC3\x85" },         /* ANGSTROM SIGN is no letter of its own */
    { "\xEF\xAC\x81", "\xEF\xAC\x81", "\xEF\xAC\x81" }, /* a ligature stays one: not NFKC */
    { "\xE1\x84\x92\xE1\x85\xA1\xE1\x86\xAB", "\xED\x95\x9C", "\xED\x95\x9C" }, /* Hangul */
    { "\xF0\x9F\x92\x8C", "\xF0\x9F\x92\x8C", "\xF0\x9F\x92\x8C" },
};

static void a_name_is_a_step_of_a_path(void **state)
{
    struct house *h = *state;

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct bytes name = B(names[i].given);

        mailbox_name_check(as(h, NULL), &name);
        assert_int_equal(h->c.n_faults, !names[i].kept);
        if (names[i].kept)
            same(name, names[i].kept);
        name = mailbox_name_mend(B(names[i].given), 1, h->arena);
        same(name, names[i].mended);
        mailbox_name_check(as(h, NULL), &name); /* what is mended may be */
        assert_int_equal(h->c.n_faults, 0);
        same(mailbox_name_mend(name, 1, h->arena), names[i].mended);
    }
}

static void what_is_too_long_is_cut_between_characters(void **state)
{
    struct house *h = *state;
    char text[3 * 200 + 1] = "";
    struct bytes name = { text, 3 * 200 }, mended;

    for (size_t i = 0; i < 200; i++)
        memcpy(text + 3 * i, "\xE2\x82\xAC", 3);
    mailbox_name_check(as(h, NULL), &name);
    assert_int_equal(h->c.n_faults, 1);
    for (int number = 1; number < 3; number++) {
        mended = mailbox_name_mend(name, number, h->arena);
        assert_true(mended.n <= 255 && mended.n > 230 && bytes_is_utf8(mended));
        mailbox_name_check(as(h, NULL), &mended);
        assert_int_equal(h->c.n_faults, 0);
    }
}

/* ---- rows of before ---- */

static const char *const old_names[] = { "a/b", "a-b", "a\tb", "A-B (2)", "#a-b", "Cafe\xCC\x81", "Caf\xC3\xA9" };
#define OLD (sizeof old_names / sizeof *old_names)

static void add_old(struct house *h, const struct user_row *u, struct id *ids)
{
    struct batch *b = batch_new(h->arena);
    struct err e = { 0 };

    for (size_t i = 0; i < OLD; i++) {
        struct mailbox_row *box = arena_alloc(h->arena, sizeof *box);

        ids[i] = id_new();
        *box = (struct mailbox_row){
            .id = ids[i], .account_id = u->account_id, .user_id = u->id, .name = B(old_names[i]), .uid_next = 1
        };
        box->slot = mailbox_slot(NO_ID, box->name, h->arena);
        batch_insert(b, &mailbox_kind, box, NULL, 0);
    }
    assert_true(store_commit(h->svc->store, b, clock_monotonic() + 30000, &e));
}

/* As if it had never run here. */
static void upgrade_anew(struct house *h)
{
    struct query q = { .kind = &upgrade_kind, .limit = 1 };
    struct batch *b = batch_new(h->arena);
    struct upgrade_row *rows;
    void *found;
    size_t n;

    must(h, store_find(h->svc->store, &q, h->arena, &found, &n, &h->c.err));
    rows = found;
    if (n)
        batch_delete(b, &upgrade_kind, rows->id, NULL, 0);
    must(h, !n || store_commit(h->svc->store, b, clock_monotonic() + 30000, &h->c.err));
    must(h, upgrade_run(h->svc, &h->c.err));
}

static void old_names_are_mended_and_stay_apart(void **state)
{
    static const char *const want[OLD] = { "a-b (3)",         "a-b",        "a-b (4)", "A-B (2)", "-a-b",
                                           "Caf\xC3\xA9 (2)", "Caf\xC3\xA9" };
    struct house *h = *state;
    struct principal *p = tenant(h, "a");
    struct user_row ana;
    struct id ids[OLD];

    domain(h, p, "a.test");
    ana = user(h, p, "ana@a.test", NULL);
    add_old(h, &ana, ids);
    for (int run = 0; run < 2; run++) {
        upgrade_anew(h);
        for (size_t i = 0; i < OLD; i++) {
            struct mailbox_row row;

            must(h, store_get(h->svc->store, &mailbox_kind, ids[i], h->arena, &row, &h->c.err));
            same(row.name, want[i]);
            same(row.slot, arena_text(h->arena, mailbox_slot(NO_ID, row.name, h->arena)));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_name_is_a_step_of_a_path),
        TEST(what_is_too_long_is_cut_between_characters),
        TEST(old_names_are_mended_and_stay_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
