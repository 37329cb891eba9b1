/* Settings with history, and kept answers. */
#include "house.h"

static struct setting_view get(struct house *h, const char *name)
{
    struct setting_get_in in = { .name = B(name) };
    struct setting_view out;

    must(h, setting_get(as(h, &h->operator), &in, &out));
    return out;
}

static struct setting_view put(struct house *h, const char *name, const char *value)
{
    struct setting_update_in in = { .name = B(name), .value = B(value) };
    struct setting_view out;

    must(h, setting_update(as(h, &h->operator), &in, &out));
    return out;
}

static void a_setting_changes_while_running(void **state)
{
    struct house *h = *state;

    same(get(h, "auth.failures_free").value, "5");
    assert_int_equal(get(h, "auth.failures_free").source, PARAM_FROM_DEFAULT);
    same(put(h, "auth.failures_free", "7").value, "7");
    assert_int_equal(PARAM_INT(auth, failures_free), 7);
    assert_int_equal(get(h, "auth.failures_free").source, PARAM_FROM_STORE);
    same(put(h, "auth.remember", "10m").value, "600"); /* seconds */
    same(get(h, "auth.remember").standard, "300");
    same(get(h, "auth.remember").max, "3600");
    same(put(h, "auth.failures_free", NULL).value, "5");
    assert_int_equal(get(h, "auth.failures_free").source, PARAM_FROM_DEFAULT);
}

/* What is read before the store is open cannot lie in it. */
static void what_the_boot_needs_is_not_kept(void **state)
{
    static const char *const names[] = { "server.run_as", "pool.store_workers", "store.write_cache",
                                         "store.read_cache" };
    struct house *h = *state;

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct setting_update_in in = { .name = B(names[i]), .value = BYTES("8M") };
        struct setting_view out;

        faults(h, setting_update(as(h, &h->operator), &in, &out), "/value");
    }
}

static void a_setting_outlives_the_process(void **state)
{
    struct house *h = *state;

    put(h, "auth.failures_free", "9");
    service_close(&h->svc);
    params_init();
    house_open(h);
    assert_int_equal(PARAM_INT(auth, failures_free), 9);
}

static void flags_stand_above_the_store(void **state)
{
    struct house *h = *state;
    struct err e = { 0 };

    assert_true(param_set(PARAM_auth_failures_free, PARAM_FROM_FLAG, BYTES("11"), &e));
    same(put(h, "auth.failures_free", "12").value, "11");
    assert_int_equal(get(h, "auth.failures_free").source, PARAM_FROM_FLAG);
    assert_true(param_set(PARAM_auth_failures_free, PARAM_FROM_FLAG, NO_BYTES, &e));
    same(get(h, "auth.failures_free").value, "12");
}

static void values_are_checked(void **state)
{
    static const char *const bad[][2] = {
        { "auth.failures_free", "0" },    { "auth.failures_free", "many" }, { "delivery.mode", "live" },
        { "delivery.mode", "elsewhere" }, { "auth.remember", "2h" },
    };
    struct house *h = *state;
    struct setting_view out;
    struct setting_update_in none = { .name = BYTES("no.such"), .value = BYTES("1") };

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct setting_update_in in = { .name = B(bad[i][0]), .value = B(bad[i][1]) };

        faults(h, setting_update(as(h, &h->operator), &in, &out), "/value");
    }
    wont(h, setting_update(as(h, &h->operator), &none, &out), ERR_MISSING);
    none = (struct setting_update_in){ .name = BYTES("delivery.mode"), .value = BYTES("live") };
    assert_false(setting_update(as(h, &h->operator), &none, &out));
    assert_non_null(strstr(h->c.err.message, "full name of this server"));
}

/* Live mode needs a name that others can look up, and keeps it. */
static void live_mode_needs_a_full_name(void **state)
{
    static const char *const none[] = { "localhost", "mail", "192.0.2.7", "mail.", ".test", "mail.localhost" };
    struct house *h = *state;
    struct setting_update_in live = { .name = BYTES("delivery.mode"), .value = BYTES("live") };
    struct setting_view out;

    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        put(h, "server.hostname", none[i]);
        faults(h, setting_update(as(h, &h->operator), &live, &out), "/value");
    }
    put(h, "server.hostname", "mail.example.org");
    same(put(h, "delivery.mode", "live").value, "live");
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        struct setting_update_in in = { .name = BYTES("server.hostname"), .value = B(none[i]) };

        faults(h, setting_update(as(h, &h->operator), &in, &out), "/value");
    }
    put(h, "delivery.mode", "sandbox");
    put(h, "server.hostname", "localhost");
}

static void settings_are_the_operators(void **state)
{
    struct house *h = *state;
    struct principal *p = tenant(h, "a");
    struct setting_get_in in = { .name = BYTES("auth.remember") };
    struct setting_list_in list = { 0 };
    struct setting_list_out all;
    struct setting_view out;

    p->scopes = SCOPE_ALL;
    wont(h, setting_get(as(h, p), &in, &out), ERR_SCOPE);
    wont(h, setting_list(as(h, p), &list, &all), ERR_SCOPE);
}

static void changes_leave_a_history(void **state)
{
    struct house *h = *state;
    struct setting_history_in in = { .name = BYTES("auth.failures_free") };
    struct setting_history_out out;

    put(h, "auth.failures_free", "7");
    put(h, "auth.failures_free", "8");
    put(h, "auth.remember", "60");
    put(h, "auth.failures_free", NULL);
    must(h, setting_history(as(h, &h->operator), &in, &out));
    assert_int_equal(out.n, 3);
    same(out.rows[0].old_value, "8");
    assert_null(out.rows[0].new_value.p);
    same(out.rows[1].old_value, "7");
    same(out.rows[1].new_value, "8");
    assert_null(out.rows[2].old_value.p);
    same(out.rows[2].who, "socket");
}

static void the_list_is_by_name_and_whole(void **state)
{
    struct house *h = *state;
    struct setting_list_in in = { .page = { .limit = 7 } };
    struct setting_list_out out, back;
    struct bytes last = NO_BYTES;
    size_t n = 0;

    do {
        must(h, setting_list(as(h, &h->operator), &in, &out));
        for (size_t i = 0; i < out.n; i++, n++) {
            struct bytes name = B(param_row(out.rows[i].param)->name);

            assert_true(!last.p || bytes_compare(last, name) < 0);
            last = name;
        }
        in.page.after = out.page.next;
    } while (out.page.has_more);
    assert_int_equal(n, PARAMS);
    in.page = (struct page){ .limit = 7, .before = out.page.previous };
    must(h, setting_list(as(h, &h->operator), &in, &back));
    assert_int_equal(back.n, 7);
    assert_true(back.page.has_more);
    in.page = (struct page){ .after = BYTES("????") };
    faults(h, setting_list(as(h, &h->operator), &in, &back), "/after");
}

/* What another node writes comes through the watch. */
static void another_nodes_change_arrives(void **state)
{
    struct house *h = *state;
    struct net_options o = { .loops = 1, .store_workers = 2, .cpu_workers = 1, .fibers_max = 100 };
    struct setting_row row = { .id = id_new(), .name = BYTES("auth.failures_free"), .value = BYTES("33") };
    struct setting_change_row change = { .id = id_new(), .name = row.name, .new_value = row.value };
    struct batch *b = batch_new(h->arena);
    struct err e = { 0 };

    assert_true(net_start(&o, &e));
    assert_true(service_start(h->svc, &e));
    usleep(200000);
    batch_insert(b, &setting_kind, &row, NULL, 0);
    batch_insert(b, &setting_change_kind, &change, NULL, 0);
    must(h, store_commit(h->svc->store, b, clock_monotonic() + 5000, &h->c.err));
    for (int i = 0; i < 100 && PARAM_INT(auth, failures_free) != 33; i++)
        usleep(20000);
    assert_int_equal(PARAM_INT(auth, failures_free), 33);
    service_stop(h->svc);
    net_stop();
}

/* ---- idempotency ---- */

static bool render(void *ctx, const void *out, struct buf *answer, struct bytes *location)
{
    const struct domain_view *domain = out;

    (void)ctx;
    buf_addf(answer, "{\"name\":\"%.*s\"}", SHOW(domain->row.name));
    *location = BYTES("/v1/domains/x");
    return true;
}

static struct idempotency asking(struct house *h, const char *key, const char *body)
{
    return (struct idempotency){ .key = B(key),
                                 .route = BYTES("POST /v1/domains"),
                                 .body_hash = idempotency_hash(&h->c, B(body)),
                                 .render = render,
                                 .status = 201 };
}

static bool make(struct house *h, const struct principal *who, struct idempotency *i, const char *name)
{
    struct domain_create_in in = { .given = { .name = B(name) } };
    struct domain_view out;
    bool ok;

    as(h, who);
    h->c.idempotency = i;
    if (!idempotency_begin(&h->c))
        return false;
    ok = i->replayed || domain_create(&h->c, &in, &out);
    idempotency_end(&h->c);
    return ok;
}

static void the_same_request_gets_the_same_answer(void **state)
{
    struct house *h = *state;
    struct principal *p = tenant(h, "a"), *q = tenant(h, "b");
    struct idempotency one = asking(h, "k1", "body"), two = one, other = one, bad = asking(h, "k1", "another");

    must(h, make(h, p, &one, "a.test"));
    assert_false(one.replayed);
    must(h, make(h, p, &two, "a.test"));
    assert_true(two.replayed);
    assert_int_equal(two.status, 201);
    same(two.answer, "{\"name\":\"a.test\"}");
    same(two.location, "/v1/domains/x");
    assert_false(id_is_none(two.ref));
    wont(h, make(h, p, &bad, "a.test"), ERR_IDEMPOTENCY_MISMATCH);
    must(h, make(h, q, &other, "b.test")); /* another credential's key is another key */
    assert_false(other.replayed);
    assert_false(place_holds(h->url, BYTES("\"name\":\"a.test"))); /* sealed */
}

static void failures_are_not_kept(void **state)
{
    struct house *h = *state;
    struct principal *p = tenant(h, "a");
    struct idempotency one = asking(h, "k1", "body"), two = one;

    wont(h, make(h, p, &one, "not a domain"), ERR_INVALID);
    must(h, make(h, p, &two, "a.test"));
    assert_false(two.replayed);
}

static void one_runs_at_a_time(void **state)
{
    struct house *h = *state;
    struct principal *p = tenant(h, "a");
    struct idempotency one = asking(h, "k1", "body"), two = one, three = one;
    struct call first;

    as(h, p);
    first = h->c;
    first.idempotency = &one;
    assert_true(idempotency_begin(&first));
    wont(h, make(h, p, &two, "a.test"), ERR_IDEMPOTENCY_BUSY);
    idempotency_end(&first);
    must(h, make(h, p, &three, "a.test"));
}

/* Past the lock, the row decides: of two that ran at once only one commits. */
static void the_row_commits_with_what_it_made(void **state)
{
    struct house *h = *state;
    struct principal *p = tenant(h, "a");
    struct idempotency one = asking(h, "k1", "body"), two = one;
    struct domain_create_in in = { .given = { .name = BYTES("b.test") } };
    struct domain_view out;
    struct call late;
    struct domain_get_in get = { .id = BYTES("b.test") };

    as(h, p);
    late = h->c;
    late.idempotency = &two;
    assert_true(idempotency_begin(&late));
    idempotency_end(&late); /* as if its lock had run out */
    must(h, make(h, p, &one, "a.test"));
    assert_false(domain_create(&late, &in, &out));
    assert_int_equal(late.err.code, ERR_IDEMPOTENCY_BUSY);
    wont(h, domain_get(as(h, p), &get, &out), ERR_MISSING);
}

static void keys_and_kept_answers_end(void **state)
{
    struct house *h = *state;
    struct principal *p = tenant(h, "a");
    struct idempotency one = asking(h, "k1", "body"), two = one, none = asking(h, "", "body");
    struct query q = { .kind = &idempotency_kind, .limit = 10 };
    struct idempotency_row *rows;
    struct batch *b = batch_new(h->arena);
    struct set past = SET("expires_at", V_TIME(1));
    size_t n;

    wont(h, make(h, p, &none, "a.test"), ERR_INVALID);
    must(h, make(h, p, &one, "a.test"));
    must(h, store_find(h->svc->store, &q, h->arena, (void **)&rows, &n, &h->c.err));
    assert_int_equal(n, 1);
    batch_update(b, &idempotency_kind, rows[0].id, NULL, 0, &past, 1);
    must(h, store_commit(h->svc->store, b, h->c.deadline, &h->c.err));
    wont(h, make(h, p, &two, "a.test"), ERR_CONFLICT); /* run again: the domain is there */
    must(h, make(h, p, &two, "b.test"));
    b = batch_new(h->arena);
    must(h, store_find(h->svc->store, &q, h->arena, (void **)&rows, &n, &h->c.err));
    assert_int_equal(n, 1);
    batch_update(b, &idempotency_kind, rows[0].id, NULL, 0, &past, 1);
    for (int i = 0; i < 2500; i++) { /* more than a slice */
        struct idempotency_row *row = arena_alloc(h->arena, sizeof *row);

        *row = rows[0];
        row->id = id_new();
        row->slot = id_text(h->arena, "", row->id);
        row->expires_at = 1;
        batch_insert(b, &idempotency_kind, row, NULL, 0);
    }
    must(h, store_commit(h->svc->store, b, h->c.deadline, &h->c.err));
    must(h, idempotency_sweep(h->svc, &n, &h->c.err));
    assert_int_equal(n, 2501);
    must(h, store_find(h->svc->store, &q, h->arena, (void **)&rows, &n, &h->c.err));
    assert_int_equal(n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_setting_changes_while_running),
        TEST(what_the_boot_needs_is_not_kept),
        TEST(a_setting_outlives_the_process),
        TEST(flags_stand_above_the_store),
        TEST(values_are_checked),
        TEST(live_mode_needs_a_full_name),
        TEST(settings_are_the_operators),
        TEST(changes_leave_a_history),
        TEST(the_list_is_by_name_and_whole),
        TEST(another_nodes_change_arrives),
        TEST(the_same_request_gets_the_same_answer),
        TEST(failures_are_not_kept),
        TEST(one_runs_at_a_time),
        TEST(the_row_commits_with_what_it_made),
        TEST(keys_and_kept_answers_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
