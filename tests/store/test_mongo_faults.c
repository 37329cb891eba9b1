/* Three members, and what is done to them: whatever was acknowledged is there, once; what was not, is there whole or
 * not at all. POSTRIDER_SOAK makes the rounds longer. */
#include "base/clock.h"
#include "tests/store/conformance.h"
#include "tests/store/mongod.h"
#include <mongoc/mongoc.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <unistd.h>

#include <cmocka.h>

#define WRITERS 16
#define MOST    200000

static struct mongod mongod;
static struct store *st;
static struct id box_id;
static atomic_bool stop;
static atomic_int tried, acknowledged, failed;
static struct id ids[MOST];
static atomic_char told[MOST]; /* 'y' acknowledged, 'n' not */

/* A mail: a row with its number, and the mailbox's counter. */
static void write_one(int i)
{
    struct arena *a = arena_new(1 << 20);
    struct batch *b = batch_new(a);
    int slot = batch_slot(b);
    struct note n = { .id = id_new(), .owner = box_id, .name = arena_bytesf(a, "mail-%d", i) };
    struct err e = { 0 };
    bool ok;

    ids[i] = n.id;
    batch_update(b, &note_kind, box_id, NULL, 0, &ADD_SLOT("n", 1, slot), 1);
    batch_insert(b, &note_kind, &n, &FROM_SLOT("n", slot, 0), 1);
    ok = store_commit(st, b, clock_monotonic() + 60000, &e);
    if (!ok && e.code != ERR_BUSY)
        die("a commit failed with %d %s (%s)", (int)e.code, e.message, e.where);
    atomic_store(&told[i], ok ? 'y' : 'n');
    atomic_fetch_add(ok ? &acknowledged : &failed, 1);
    arena_free(&a);
}

static void *writer(void *arg)
{
    (void)arg;
    while (!atomic_load(&stop)) {
        int i = atomic_fetch_add(&tried, 1);

        if (i >= MOST)
            break;
        write_one(i);
    }
    return NULL;
}

static pthread_t writers[WRITERS];

static void begin(void)
{
    struct arena *a = arena_new(1 << 20);
    struct batch *b = batch_new(a);
    struct note box = { .id = id_new() };
    struct err e;

    mongod_settled(&mongod);
    mongod_fresh(&mongod);
    st = open_or_die(mongod.uri, test_kinds, 1);
    box_id = box.id;
    batch_insert(b, &note_kind, &box, NULL, 0);
    if (!store_commit(st, b, clock_monotonic() + 30000, &e))
        die("%s", e.message);
    arena_free(&a);
    atomic_store(&stop, false);
    atomic_store(&tried, 0);
    atomic_store(&acknowledged, 0);
    atomic_store(&failed, 0);
    memset(told, 0, sizeof told);
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_create(&writers[i], NULL, writer, NULL), 0);
}

static void pause_ms(int ms)
{
    usleep((useconds_t)ms * 1000);
}

static void wait_acknowledged(int more)
{
    int64_t deadline = clock_monotonic() + 60000;
    int want = atomic_load(&acknowledged) + more;

    while (atomic_load(&acknowledged) < want) {
        if (clock_monotonic() > deadline)
            fail_msg("only %d acknowledged after 60 s", atomic_load(&acknowledged));
        pause_ms(20);
    }
}

static bool reads(struct id id, struct note *n)
{
    struct arena *a = arena_new(1 << 20);
    struct err e;
    bool ok;

    for (int64_t deadline = clock_monotonic() + 30000;; pause_ms(50)) {
        ok = store_get(st, &note_kind, id, a, n, &e);
        if (ok || e.code == ERR_MISSING)
            break;
        if (clock_monotonic() > deadline)
            fail_msg("%s", e.message);
    }
    arena_free(&a);
    return ok;
}

/* Every acknowledged one is there, numbers are given once, and as many were counted as are there. */
static void end(void)
{
    int n, there = 0;
    static bool seen[MOST + 1];
    struct note box;

    wait_acknowledged(50);
    atomic_store(&stop, true);
    for (int i = 0; i < WRITERS; i++)
        pthread_join(writers[i], NULL);
    n = atomic_load(&tried) < MOST ? atomic_load(&tried) : MOST;
    memset(seen, 0, sizeof seen);
    for (int i = 0; i < n; i++) {
        struct note row;
        bool found = told[i] && reads(ids[i], &row);

        if (told[i] == 'y' && !found)
            fail_msg("number %d was acknowledged and is lost", i);
        if (!found)
            continue;
        there++;
        assert_true(row.n > 0 && row.n <= MOST && !seen[row.n]);
        seen[row.n] = true;
    }
    assert_true(reads(box_id, &box));
    assert_int_equal(box.n, there);
    printf("  tried %d, acknowledged %d, failed %d, there %d\n", n, atomic_load(&acknowledged), atomic_load(&failed),
           there);
    store_close(&st);
}

static int rounds(void)
{
    const char *soak = getenv("POSTRIDER_SOAK");

    return soak && *soak ? 40 : 3;
}

static void the_primary_steps_down(void **state)
{
    (void)state;
    begin();
    for (int i = 0; i < rounds(); i++) {
        wait_acknowledged(100);
        bson_free(mongod_run(&mongod, "admin", "{\"replSetStepDown\": 3, \"force\": true}"));
    }
    end();
}

static void members_are_killed(void **state)
{
    (void)state;
    begin();
    for (int i = 0; i < rounds(); i++) {
        int member = mongod_primary(&mongod);

        wait_acknowledged(100);
        mongod_kill(&mongod, member);
        wait_acknowledged(100);
        mongod_restart(&mongod, member);
        pause_ms(500);
    }
    end();
}

static void the_primary_is_frozen(void **state)
{
    (void)state;
    begin();
    for (int i = 0; i < rounds(); i++) {
        int member = mongod_primary(&mongod);

        wait_acknowledged(100);
        mongod_signal(&mongod, member, SIGSTOP);
        wait_acknowledged(100);
        mongod_signal(&mongod, member, SIGCONT);
        mongod_settled(&mongod);
    }
    end();
}

/* Without a majority nothing is acknowledged; a job fails in time, and service resumes by itself. */
static void no_majority(void **state)
{
    int primary = mongod_primary(&mongod), before;
    struct err why = { 0 };
    int64_t began;

    (void)state;
    begin();
    wait_acknowledged(100);
    for (int i = 0; i < mongod.n; i++)
        if (i != primary)
            mongod_signal(&mongod, i, SIGSTOP);
    pause_ms(2000);
    before = atomic_load(&acknowledged);
    for (began = clock_monotonic(); store_is_up(st, &why) && clock_monotonic() < began + 20000;)
        pause_ms(50);
    assert_false(store_is_up(st, &why));
    assert_true(why.message[0] != 0);
    assert_int_equal(atomic_load(&acknowledged), before);
    for (int i = 0; i < mongod.n; i++)
        if (i != primary)
            mongod_signal(&mongod, i, SIGCONT);
    wait_acknowledged(100);
    for (began = clock_monotonic(); !store_is_up(st, &why) && clock_monotonic() < began + 20000;)
        pause_ms(50);
    assert_true(store_is_up(st, &why));
    end();
}

/* ---- the control: what w:1 loses, so that the harness is seen to see it ---- */

/* What a frozen member has in its socket's buffer it reads when it goes on: each write is larger than that, and does
 * not compress. On a busy machine there is time for one or two before the primary steps down. */
#define CONTROL 12
#define BULK    (8 << 20)

static bool control_write(int member, int number)
{
    static uint8_t bulk[BULK];
    static uint64_t noise = 88172645463325252u;
    char uri[128];
    mongoc_client_t *c;
    mongoc_collection_t *to;
    bson_t *doc, *opts = BCON_NEW("writeConcern", "{", "w", BCON_INT32(1), "}");
    bson_error_t why;
    bool ok;

    for (size_t i = 0; number < 0 && i < BULK / 8; i++) { /* with the first, which is not hurried */
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        memcpy(bulk + 8 * i, &noise, 8);
    }
    doc = BCON_NEW("_id", BCON_INT32(number), "bulk", BCON_BIN(BSON_SUBTYPE_BINARY, bulk, BULK));
    snprintf(uri, sizeof uri, "mongodb://127.0.0.1:%d/?directConnection=true", mongod.ports[member]);
    c = mongoc_client_new(uri);
    to = mongoc_client_get_collection(c, "control", "mail");
    ok = mongoc_collection_insert_one(to, doc, opts, NULL, &why);
    if (!ok)
        print_message("%s\n", why.message);
    bson_destroy(doc);
    bson_destroy(opts);
    mongoc_collection_destroy(to);
    mongoc_client_destroy(c);
    return ok;
}

static int64_t control_count(void)
{
    mongoc_client_t *c = mongoc_client_new(mongod.uri);
    mongoc_collection_t *from = mongoc_client_get_collection(c, "control", "mail");
    bson_t all = BSON_INITIALIZER;
    bson_error_t why;
    int64_t n = mongoc_collection_count_documents(from, &all, NULL, NULL, NULL, &why);

    if (n < 0)
        print_message("%s\n", why.message);
    mongoc_collection_destroy(from);
    mongoc_client_destroy(c);
    return n;
}

static void a_lesser_concern_loses(void **state)
{
    int primary, others[2], n = 0, written = 0;

    (void)state;
    mongod_settled(&mongod);
    primary = mongod_primary(&mongod);
    assert_true(control_write(primary, -1));
    pause_ms(1000);
    for (int i = 0; i < mongod.n; i++)
        if (i != primary && n < 2)
            mongod_signal(&mongod, others[n++] = i, SIGSTOP);
    while (written < CONTROL && control_write(primary, written)) /* until it steps down by itself */
        written++;
    assert_true(written >= 1);
    mongod_signal(&mongod, primary, SIGSTOP);
    for (int i = 0; i < n; i++)
        mongod_signal(&mongod, others[i], SIGCONT);
    assert_int_not_equal(mongod_primary(&mongod), primary);
    mongod_signal(&mongod, primary, SIGCONT);
    pause_ms(3000);
    n = (int)control_count();
    assert_true(n >= 1);
    printf("  w:1 lost %d of %d\n", written + 1 - n, written + 1);
    assert_true(n < written + 1);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_primary_steps_down), cmocka_unit_test(members_are_killed),
        cmocka_unit_test(the_primary_is_frozen),  cmocka_unit_test(no_majority),
        cmocka_unit_test(a_lesser_concern_loses),
    };
    int bad;

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    if (!mongod_world(&mongod, 3, 4))
        return MONGOD_NONE;
    bad = cmocka_run_group_tests(tests, NULL, NULL);
    mongod_world_end(&mongod);
    return bad;
}
