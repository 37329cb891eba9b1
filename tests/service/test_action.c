/* Actions: which deliveries a filter means, what is counted, and that one that was cut off goes on where it was. */
#include "service/core/member.h"
#include "service/queue/act.h"
#include "service/queue/action.h"
#include "tests/service/mail_world.h"
#include "tests/service/queue_world.h"

static struct action_row ask(struct world *w, const struct principal *who, const char *what, const char *filter)
{
    struct action_create_in in = { .given = { .act = bytes_of(what), .filter = bytes_of(filter) } };
    struct action_row out;

    act(w, who, "api");
    in.named = members_named(&action_members, "do,filter");
    must(&w->c, action_create(&w->c, &in, &out));
    return out;
}

static struct action_row now(struct world *w, struct id id)
{
    struct action_row row = { 0 };
    struct err e = { 0 };

    if (!store_get(w->svc->store, &action_kind, id, w->arena, &row, &e))
        fail_msg("%s", e.message);
    return row;
}

static struct action_row finished(struct world *w, struct action_row row)
{
    struct err e = { 0 };
    size_t n;

    for (int i = 0; i < 1000 && bytes_equal(row.status, BYTES("running")); i++) {
        if (!actions_round(w->svc, &n, &e))
            fail_msg("%s at %s", e.message, e.where);
        row = now(w, row.id);
    }
    assert_bytes(row.status, BYTES("done"));
    assert_true(row.finished_at);
    return row;
}

static void counts(struct action_row row, int64_t matched, int64_t done, int64_t failed)
{
    if (row.matched != matched || row.done != done || row.failed != failed)
        fail_msg("%d matched, %d done, %d failed", (int)row.matched, (int)row.done, (int)row.failed);
}

/* n recipients at each of two domains. */
static struct id many(struct world *w, size_t n)
{
    const char **to = arena_array(w->arena, 2 * n, sizeof *to);

    go_live();
    act(w, &w->key, "api");
    for (size_t i = 0; i < 2 * n; i++)
        to[i] = arena_printf(w->arena, "u%zu@%s.test", i, i % 2 ? "far" : "away");
    return sent(w, 2 * n, to).message_id;
}

static struct principal operator_of(struct world *w)
{
    struct principal p = key_of(w->svc->operator_account, false);

    p.scopes = SCOPE_ALL;
    return p;
}

static void all_that_fits_is_acted_on(void **state)
{
    struct world *w = *state;
    struct principal operator= operator_of(w);
    struct id one = many(w, 20), two = many(w, 20);

    counts(finished(w, ask(w, &w->key, "hold", "{\"domain\":\"far.test\"}")), 40, 40, 0);
    assert_int_equal(message_of_id(w, one).n_held, 20);
    assert_int_equal(message_of_id(w, two).n_held, 20);
    assert_int_equal(events(w, one, "email.held"), 20);
    counts(finished(w, ask(w, &w->other_key, "hold", "{}")), 0, 0, 0); /* nothing of it is theirs */
    counts(finished(w, ask(w, &operator, "release", "{\"domain\":\"far.test\"}")), 40, 40, 0);
    assert_int_equal(message_of_id(w, one).n_held, 0);
    counts(finished(w, ask(w, &operator, "bounce", "{\"domain\":\"far.test\",\"email\":\"u1@far.test\"}")), 2, 2, 0);
    counts(finished(w, ask(w, &operator, "bounce", "{}")), 78, 78, 0);
    assert_int_equal(message_of_id(w, one).n_failed, 40);
    assert_int_equal(events(w, one, "email.failed"), 40);
}

static void a_dry_run_changes_nothing(void **state)
{
    struct action_create_in in = { .given = { .act = BYTES("bounce"), .filter = BYTES("{}"), .dry_run = true } };
    struct world *w = *state;
    struct id message = many(w, 3);
    struct action_row out;
    size_t n;

    act(w, &w->key, "api");
    in.named = members_named(&action_members, "do,filter,dry_run");
    must(&w->c, action_create(&w->c, &in, &out));
    claimed(w, 1, &n); /* one of each flow */
    counts(finished(w, out), 6, 4, 2);
    assert_int_equal(message_of_id(w, message).n_open, 6);
}

static void filters_narrow(void **state)
{
    struct world *w = *state;
    struct id message = many(w, 2);
    const char *id = arena_text(w->arena, id_of(w, &message_kind, message));
    struct delivery_row *rows;
    void *found;

    assert_int_equal(rows_of(w, &delivery_kind, "message", "message_id", V_ID(message), &found), 4);
    rows = found;
    many(w, 2);
    counts(finished(w, ask(w, &w->key, "hold", "{\"older\":3600}")), 0, 0, 0);
    counts(finished(w, ask(w, &w->key, "hold", "{\"status\":\"deferred\"}")), 0, 0, 0);
    counts(finished(w, ask(w, &w->key, "hold", "{\"tag\":\"kind\"}")), 0, 0, 0);
    counts(finished(w, ask(w, &w->key, "hold",
                           arena_printf(w->arena, "{\"ids\":[\"%.*s\",\"%.*s\"]}",
                                        SHOW(id_of(w, &delivery_kind, rows[1].id)),
                                        SHOW(id_of(w, &delivery_kind, id_new()))))),
           1, 1, 0);
    counts(finished(w, ask(w, &w->key, "hold", arena_printf(w->arena, "{\"message_id\":\"%s\"}", id))), 3, 3, 0);
    counts(finished(w, ask(w, &w->key, "bounce", "{\"status\":\"queued\"}")), 4, 4, 0);
}

static void a_limit_ends_it(void **state)
{
    struct action_create_in in = { .given = { .act = BYTES("hold"), .filter = BYTES("{}"), .most = 3 } };
    struct world *w = *state;
    struct action_row out;

    many(w, 5);
    act(w, &w->key, "api");
    in.named = members_named(&action_members, "do,filter,limit");
    must(&w->c, action_create(&w->c, &in, &out));
    counts(finished(w, out), 3, 3, 0);
}

static void what_makes_no_sense_is_refused(void **state)
{
    static const struct {
        const char *act, *filter;
    } wrong[] = { { "release", "{\"status\":\"queued\"}" },
                  { "hold", "{\"status\":\"held\"}" },
                  { "hold", "{\"domain\":\"a..b\"}" },
                  { "hold", "{\"email\":\"no address\"}" },
                  { "hold", "{\"account_id\":\"acc_01k9qw6t5he8brjf0d3vnx2mza\"}" } };
    struct world *w = *state;
    struct action_row out;

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct action_create_in in = { .given = { .act = bytes_of(wrong[i].act),
                                                  .filter = bytes_of(wrong[i].filter) } };

        act(w, &w->key, "api");
        in.named = members_named(&action_members, "do,filter");
        must_fail(&w->c, action_create(&w->c, &in, &out), ERR_INVALID);
    }
}

/* ---- cut off ---- */

/* As another process sees it that takes over after so many batches. */
static void it_goes_on_where_it_was(void **state)
{
    struct world *w = *state;
    struct action_row row;
    struct id ids[30];
    struct err e = { 0 };
    size_t n, slices = 0;

    for (size_t i = 0; i < 30; i++)
        ids[i] = many(w, 20); /* 1,200 rows: three slices */
    row = ask(w, &w->key, "bounce", "{\"status\":\"queued\"}");
    do {
        if (!actions_round(w->svc, &n, &e))
            fail_msg("%s", e.message);
        row = now(w, row.id);
        slices++;
        assert_true(row.done % ACTION_BOUNCES == 0 && row.done == row.matched);
        service_close(&w->svc);
        open_world(w);
    } while (bytes_equal(row.status, BYTES("running")) && slices < 100);
    assert_true(slices >= 3);
    counts(row, 1200, 1200, 0);
    for (size_t i = 0; i < 30; i++) {
        assert_int_equal(message_of_id(w, ids[i]).n_failed, 40);
        assert_int_equal(events(w, ids[i], "email.failed"), 40);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_that_fits_is_acted_on), TEST(a_dry_run_changes_nothing),      TEST(filters_narrow),
        TEST(a_limit_ends_it),           TEST(what_makes_no_sense_is_refused), TEST(it_goes_on_where_it_was),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
