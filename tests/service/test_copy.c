/* Copying a store and putting one right, below the program's words: order, values, memory, who else is at work. */
#include "base/clock.h"
#include "base/crypt.h"
#include "base/params.h"
#include "service/keep/copy.h"
#include "service/keep/sync.h"
#include "service/queue/ending.h"
#include "tests/store/folder.h"
#include "tests/store/place.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct world {
    char from[PLACE_URL], to[PLACE_URL], back[PLACE_URL]; /* SQLite, the engine under test, SQLite */
    struct store *st;                                     /* what is open */
    struct arena *a;
    struct err e;
};

static void must(struct world *w, bool ok)
{
    if (!ok)
        fail_msg("%s (%s)", w->e.message, w->e.where);
}

static struct store *open_store(struct world *w, const char *url, bool alone)
{
    struct store_options o = {
        .url = url, .kinds = all_kinds, .schema = SCHEMA_VERSION, .node = id_new(), .readers = 2, .alone = alone
    };
    struct store *st = NULL;

    must(w, store_open(&o, &st, &w->e));
    return st;
}

static void put(struct world *w, const struct kind *k, const void *row)
{
    struct batch *b = batch_new(w->a);

    batch_insert(b, k, row, NULL, 0);
    must(w, store_commit(w->st, b, clock_monotonic() + 30000, &w->e));
}

static void set_number(const char *name, const char *value)
{
    enum param p;
    struct err e;

    assert_true(param_find(bytes_of(name), &p) && param_set(p, PARAM_FROM_FLAG, bytes_of(value), &e));
}

/* A filled source, open alone: what is committed stands in the feeds in this order. */
static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    assert_non_null(w);
    *state = w;
    set_number("store.copy_rows", "3");
    set_number("store.copy_memory", "16M");
    w->a = arena_new(1u << 28);
    folder_empty();
    snprintf(w->from, sizeof w->from, "sqlite:%s", folder_path("from.db"));
    snprintf(w->back, sizeof w->back, "sqlite:%s", folder_path("back.db"));
    place_make(w->to, folder(), "to");
    w->st = open_store(w, w->from, true);
    put(w, &account_kind, &(struct account_row){ .id = id_new(), .name = BYTES("one"), .operator= true });
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    store_close(&w->st);
    place_drop(w->to);
    arena_free(&w->a);
    free(w);
    return 0;
}

static bool copy(struct world *w, const char *from, const char *to, struct copy_report *out)
{
    struct copy_options o = { .from = from, .to = to };

    w->e = (struct err){ 0 };
    return copy_run(&o, out, &w->e);
}

/* There, and back into a third; that is open then. */
static void there_and_back(struct world *w)
{
    struct copy_report r;

    store_close(&w->st);
    must(w, copy(w, w->from, w->to, &r));
    must(w, copy(w, w->to, w->back, &r));
    w->st = open_store(w, w->back, false);
}

static void feeds_keep_their_order(void **state)
{
    struct world *w = *state;
    struct event_row *found;
    struct id ids[40];
    struct bytes next;
    size_t n;

    for (int i = 40; i-- > 0;) /* against the order of their ids */
        ids[i] = id_new();
    for (int i = 0; i < 40; i++)
        put(w, &event_kind, &(struct event_row){ .id = ids[i], .type = BYTES("x"), .at = 1 });
    there_and_back(w);
    must(w, store_watch(w->st, &event_kind, NO_BYTES, 100, 0, w->a, (void **)&found, &n, &next, &w->e));
    assert_int_equal(n, 40);
    for (int i = 0; i < 40; i++)
        assert_true(id_equal(found[i].id, ids[i]));
}

static void values_stay_what_they_are(void **state)
{
    struct world *w = *state;
    struct user_row user = { .id = id_new(),
                             .address = BYTES(""), /* empty is not null */
                             .name = BYTES("\xf0\x9f\x92\x8c"),
                             .user_key = { "\0\xff\0", 3 },
                             .quota = INT64_MAX,
                             .used = -1,
                             .disabled = true,
                             .metadata = BYTES("{\"$where\":\"a.b\"}"),
                             .created_at = 1 },
                    got;
    struct delivery_row leased = { .id = id_new(),
                                   .status = BYTES("queued"),
                                   .due_at = clock_wall(),
                                   .lease_until = clock_wall() + 100000,
                                   .token = INT64_C(1) << 60,
                                   .holder = id_new() },
                        lease;

    put(w, &user_kind, &user);
    put(w, &delivery_kind, &leased);
    there_and_back(w);
    must(w, store_get(w->st, &user_kind, user.id, w->a, &got, &w->e));
    assert_true(got.address.p && !got.address.n && !got.password_hash.p && bytes_equal(got.name, user.name));
    assert_true(bytes_equal(got.user_key, user.user_key) && got.quota == INT64_MAX && got.used == -1 && got.disabled);
    assert_true(bytes_equal(got.metadata, user.metadata) && got.created_at == 1 && !got.last_login_at);
    must(w, store_get(w->st, &delivery_kind, leased.id, w->a, &lease, &w->e));
    assert_true(lease.lease_until == leased.lease_until && lease.token == leased.token);
    assert_true(id_equal(lease.holder, leased.holder));
}

/* More than the memory of a slice, if it took all the rows that it may. */
static void slices_keep_to_their_memory(void **state)
{
    struct world *w = *state;
    char *text = arena_alloc(w->a, 1 << 20);
    struct copy_report r;

    memset(text, 'x', 1 << 20);
    for (int i = 0; i < 40; i++)
        put(w, &message_kind,
            &(struct message_row){ .id = id_new(), .people = { text, 1 << 20 }, .direction = BYTES("outbound") });
    for (int i = 0; i < 40; i++)
        put(w, &body_kind, &(struct body_row){ .id = id_new(), .data = { text, 1 << 20 }, .size = i });
    set_number("store.copy_rows", "500");
    store_close(&w->st);
    must(w, copy(w, w->from, w->to, &r));
}

struct meddler {
    struct world *w;
    int64_t stop_at;
    bool done;
};

/* As another copy would: goes on in TO. */
static void meddle(void *arg, enum copy_stage stage, const char *kind, int64_t rows)
{
    struct meddler *m = arg;
    struct batch *b = batch_new(m->w->a);
    struct set further = ADD("rows", 3);
    struct query q = { .kind = &copy_kind, .limit = 1 };
    struct copy_row *row;
    struct store *st;
    size_t n;

    (void)kind;
    if (m->done || stage != COPY_ROWS || rows < m->stop_at)
        return;
    m->done = true;
    st = open_store(m->w, m->w->to, false);
    must(m->w, store_find(st, &q, m->w->a, (void **)&row, &n, &m->w->e));
    assert_int_equal(n, 1);
    batch_update(b, &copy_kind, row->id, NULL, 0, &further, 1);
    must(m->w, store_commit(st, b, clock_monotonic() + 30000, &m->w->e));
    store_close(&st);
}

static void two_copies_into_one_do_not_both_go_on(void **state)
{
    struct world *w = *state;
    struct meddler m = { w, 6, false };
    struct copy_options o = { .from = w->from, .to = w->to, .tell = meddle, .arg = &m };
    struct copy_report r;

    for (int i = 0; i < 12; i++)
        put(w, &tag_kind, &(struct tag_row){ .id = id_new(), .label = BYTES("x") });
    store_close(&w->st);
    assert_false(copy_run(&o, &r, &w->e));
    assert_true(m.done);
    assert_int_equal(w->e.code, ERR_IN_USE);
}

static void only_a_whole_copy_is_served(void **state)
{
    struct world *w = *state;
    struct copy_report r;
    struct set open_again = SET("done_at", V_TIME(0));
    struct query q = { .kind = &copy_kind, .limit = 1 };
    struct batch *b = batch_new(w->a);
    struct copy_row *row;
    size_t n;

    must(w, copy_is_whole(w->st, &w->e)); /* one that is no copy */
    there_and_back(w);
    must(w, copy_is_whole(w->st, &w->e));
    must(w, store_find(w->st, &q, w->a, (void **)&row, &n, &w->e));
    batch_update(b, &copy_kind, row->id, NULL, 0, &open_again, 1);
    must(w, store_commit(w->st, b, clock_monotonic() + 30000, &w->e));
    assert_false(copy_is_whole(w->st, &w->e));
    assert_int_equal(w->e.code, ERR_INVALID);
    store_close(&w->st);
    must(w, copy(w, w->to, w->back, &r)); /* goes on, and is whole again */
    assert_true(r.resumed && !r.was_done);
}

/* ---- sync ---- */

struct off {
    const char *field;
    int64_t was, is;
};

struct noted {
    struct off found[16];
    size_t n;
};

static void note(void *arg, const struct sync_found *f)
{
    struct noted *n = arg;

    assert_true(n->n < 16);
    n->found[n->n++] = (struct off){ f->field, f->was, f->is };
}

static void must_find(struct world *w, const struct off *want, size_t n)
{
    struct noted noted = { .n = 0 };
    struct sync_options o = { .found = note, .arg = &noted };
    struct sync_report r;

    must(w, sync_run(w->st, &o, &r, &w->e));
    assert_int_equal(noted.n, n);
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(noted.found[i].field, want[i].field);
        assert_int_equal(noted.found[i].was, want[i].was);
        assert_int_equal(noted.found[i].is, want[i].is);
    }
    assert_int_equal(r.off, (int64_t)n);
    assert_int_equal(r.busy, 0);
}

/* The engine under test, in the place of the source. */
static void on_the_engine(struct world *w)
{
    store_close(&w->st);
    w->st = open_store(w, w->to, false);
}

static struct delivery_row delivery(const struct message_row *m, const char *status, struct id user)
{
    return (struct delivery_row){ .id = id_new(),
                                  .message_id = m->id,
                                  .account_id = m->account_id,
                                  .status = bytes_of(status),
                                  .user_id = user,
                                  .entry_id = strcmp(status, "queued") == 0 ? id_new() : NO_ID };
}

static void messages_count_their_deliveries(void **state)
{
    struct world *w = *state;
    struct message_row m = { .id = id_new(),
                             .account_id = id_new(),
                             .direction = BYTES("inbound"),
                             .source = BYTES("smtp"),
                             .n_captured = 7,
                             .created_at = clock_wall() };
    static const char *const statuses[] = { "queued",   "sending", "deferred", "held",     "delivered",
                                            "captured", "bounced", "expired",  "cancelled" };
    const struct off want[] = { { "n_open", 0, 3 },     { "n_held", 0, 1 },   { "n_delivered", 0, 1 },
                                { "n_captured", 7, 1 }, { "n_failed", 0, 2 }, { "n_cancelled", 0, 1 } };

    on_the_engine(w);
    put(w, &message_kind, &m);
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        struct delivery_row d = delivery(&m, statuses[i], NO_ID);

        put(w, &delivery_kind, &d);
    }
    must_find(w, want, 6);
    must_find(w, NULL, 0);
}

/* Its deliveries may have gone by their time: what ended stays counted, what is open cannot have gone. */
static void counts_outlive_deliveries(void **state)
{
    struct world *w = *state;
    struct message_row m = { .id = id_new(),
                             .direction = BYTES("inbound"),
                             .source = BYTES("smtp"),
                             .n_open = 1,
                             .n_delivered = 5,
                             .n_failed = 1,
                             .created_at = clock_wall() - 2 * 3600 * 1000 };
    struct delivery_row left = delivery(&m, "bounced", NO_ID), more = delivery(&m, "expired", NO_ID);
    const struct off want[] = { { "n_open", 1, 0 }, { "n_failed", 1, 2 } };

    on_the_engine(w);
    put(w, &message_kind, &m);
    put(w, &delivery_kind, &left);
    put(w, &delivery_kind, &more);
    must_find(w, want, 2);
    must_find(w, NULL, 0);
}

static void an_account_that_got_mail_counts_its_own(void **state)
{
    struct world *w = *state;
    struct message_row sent = { .id = id_new(),
                                .account_id = id_new(),
                                .body_id = id_new(),
                                .direction = BYTES("outbound"),
                                .source = BYTES("api"),
                                .n_open = 1,
                                .n_delivered = 1,
                                .created_at = clock_wall() },
                       got = sent;
    struct user_row theirs = { .id = id_new(), .account_id = id_new(), .address = BYTES("x@y.test") };
    struct delivery_row open = delivery(&sent, "queued", theirs.id), done = delivery(&sent, "delivered", theirs.id);
    const struct off want[] = { { "n_open", 4, 1 }, { "n_delivered", 0, 1 } };

    got.account_id = theirs.account_id;
    got.id = message_id_for(sent.body_id, got.account_id);
    got.direction = BYTES("inbound");
    got.n_open = 4;
    got.n_delivered = 0;
    on_the_engine(w);
    put(w, &user_kind, &theirs);
    put(w, &message_kind, &sent);
    put(w, &message_kind, &got);
    put(w, &delivery_kind, &open);
    put(w, &delivery_kind, &done);
    must_find(w, want, 2);
    must_find(w, NULL, 0);
}

/* More entries than a page, in more mailboxes than one. */
static void a_user_is_the_sum_of_the_mailboxes(void **state)
{
    struct world *w = *state;
    struct user_row user = { .id = id_new(), .address = BYTES("ana@x.test") };
    struct mailbox_row box = { .id = id_new(), .user_id = user.id, .slot = BYTES("a"), .modseq = 5000 }, other = box;
    struct batch *b = batch_new(w->a);
    struct entry_row *rows = arena_array(w->a, 2500, sizeof *rows);
    const struct off want[] = { { "used", 0, 2503 },     { "modseq", 0, 7000 }, { "uid_validity", 0, 77 },
                                { "total", 0, 2499 },    { "unseen", 0, 1249 }, { "bytes", 0, 2499 },
                                { "uid_next", 0, 2500 }, { "total", 0, 1 },     { "unseen", 0, 1 },
                                { "bytes", 0, 4 },       { "uid_next", 0, 1 },  { "modseq", 4000, 7000 } };

    on_the_engine(w);
    other.id = id_new();
    other.slot = BYTES("b");
    other.modseq = 4000;
    other.uid_validity = 77;
    put(w, &user_kind, &user);
    put(w, &mailbox_kind, &box);
    put(w, &mailbox_kind, &other);
    for (int i = 0; i < 2500; i++) {
        rows[i] = (struct entry_row){ .id = id_new(),
                                      .user_id = user.id,
                                      .mailbox_id = i ? box.id : other.id,
                                      .uid = i,
                                      .modseq = i ? i : 7000,
                                      .size = i ? 1 : 4,
                                      .flags = i % 2 ? ENTRY_SEEN : 0 };
        batch_insert(b, &entry_kind, &rows[i], NULL, 0);
    }
    must(w, store_commit(w->st, b, clock_monotonic() + 30000, &w->e));
    must_find(w, want, 12);
    must_find(w, NULL, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(feeds_keep_their_order),
        T(values_stay_what_they_are),
        T(slices_keep_to_their_memory),
        T(two_copies_into_one_do_not_both_go_on),
        T(only_a_whole_copy_is_served),
        T(messages_count_their_deliveries),
        T(counts_outlive_deliveries),
        T(an_account_that_got_mail_counts_its_own),
        T(a_user_is_the_sum_of_the_mailboxes),
    };
    int failed;

    params_init();
    crypt_init();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    folder_remove();
    params_free();
    return failed;
}
