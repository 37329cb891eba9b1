/* Several processes on one database. Killed at random: no row of the feed is left out or shown twice, what they held is
 * free at once, and counters agree with what is there. Writing the same mailboxes: each gets its share. The processes
 * are this program, called with the word "writer" or "reader". POSTRIDER_SOAK makes it longer. */
#include "base/clock.h"
#include "base/params.h"
#include "net/fiber.h"
#include "tests/store/conformance.h"
#include "tests/store/mongod.h"
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define WRITERS 3
#define THREADS 8
#define BOXES   4
#define SEEN    1000000

static struct mongod mongod;
static struct store *st;

/* ---- what the processes do ---- */

static struct store *open_as(const char *url, struct id node)
{
    struct store_options o = { .url = url, .kinds = test_kinds, .schema = 1, .node = node, .readers = 2 };
    struct store *out;
    struct err e;

    if (!store_open(&o, &out, &e))
        die("%s: %s", url, e.message);
    store_end_earlier(out);
    return out;
}

/* Mailboxes and nodes have ids that all processes know. */
static struct id known_id(int i)
{
    struct id id = { .b = "a known one" };

    id.b[15] = (uint8_t)i;
    return id;
}

struct thread {
    pthread_t thread;
    int64_t number;
};

/* A row of the feed and the counter of a mailbox; the commit that was answered is told. */
static void *write_on(void *arg)
{
    struct thread *t = arg;
    struct arena *a = arena_new(1 << 20);

    for (int64_t n = 0;; n++) {
        struct batch *b = batch_new(a);
        struct feed f = { .id = id_new(), .writer = t->number, .n = n };
        char line[64];
        struct err e;
        int length;

        batch_update(b, &note_kind, known_id((int)(n % BOXES)), NULL, 0, &ADD("n", 1), 1);
        batch_insert(b, &feed_kind, &f, NULL, 0);
        if (!store_commit(st, b, clock_monotonic() + 30000, &e))
            die("a writer: %s", e.message);
        length = snprintf(line, sizeof line, "%lld %lld\n", (long long)t->number, (long long)n);
        if (write(1, line, (size_t)length) != length)
            exit(0);
        arena_reset(a);
    }
    return NULL;
}

/* writer URI node first-number */
static void be_writer(char **argv)
{
    static struct thread threads[THREADS];

    int64_t node = 0, first = 0;

    if (!bytes_to_int(bytes_of(argv[3]), &node) || !bytes_to_int(bytes_of(argv[4]), &first))
        die("writer URI node first-number");
    st = open_as(argv[2], known_id(100 + (int)node));
    for (int i = 0; i < THREADS; i++) {
        threads[i].number = first + i;
        pthread_create(&threads[i].thread, NULL, write_on, &threads[i]);
    }
    for (;;)
        pause();
}

/* ---- the one who starts and kills them ---- */

struct process {
    pid_t pid;
    FILE *told;
    pthread_t thread; /* reads what it tells */
};

static int64_t next_number;
static atomic_llong acknowledged;
static _Atomic int32_t *told; /* by writer: the number of rows that it was told are there */

static void *listen_to(void *arg)
{
    struct process *p = arg;
    long long writer, n;

    while (fscanf(p->told, "%lld %lld", &writer, &n) == 2) {
        atomic_store(&told[writer], (int32_t)(n + 1));
        atomic_fetch_add(&acknowledged, 1);
    }
    return NULL;
}

static void start_writer(struct process *p, int node)
{
    char self[512] = { 0 }, node_text[16], first[32];
    int out[2];

    if (readlink("/proc/self/exe", self, sizeof self - 1) < 0 || pipe(out) != 0)
        die("no pipe");
    snprintf(node_text, sizeof node_text, "%d", node);
    snprintf(first, sizeof first, "%lld", (long long)next_number);
    next_number += THREADS;
    p->pid = fork();
    if (p->pid == 0) {
        dup2(out[1], 1);
        for (int fd = 3; fd < 256; fd++)
            close(fd);
        execl(self, self, "writer", mongod.uri, node_text, first, (char *)NULL);
        _exit(127);
    }
    close(out[1]);
    p->told = fdopen(out[0], "r");
    pthread_create(&p->thread, NULL, listen_to, p);
}

static void kill_writer(struct process *p)
{
    int status;

    kill(p->pid, SIGKILL);
    waitpid(p->pid, &status, 0);
    if (!WIFSIGNALED(status))
        fail_msg("a writer ended by itself, with %d", status);
    pthread_join(p->thread, NULL);
    fclose(p->told);
}

static void wait_acknowledged(long long more, int64_t ms)
{
    int64_t deadline = clock_monotonic() + ms;
    long long want = atomic_load(&acknowledged) + more;

    while (atomic_load(&acknowledged) < want) {
        if (clock_monotonic() > deadline)
            fail_msg("%lld are missing after %lld ms", want - atomic_load(&acknowledged), (long long)ms);
        usleep(2000);
    }
}

/* ---- the reader ---- */

static struct id *shown; /* in the order of the feed */
static size_t n_shown;
static atomic_bool stop;
static int32_t *next_of; /* by writer: the number of the row that comes next */

static void read_feed(struct store *from, struct bytes *cursor, char *room, struct arena *a)
{
    void *rows;
    size_t n;
    struct err e;

    if (!store_watch(from, &feed_kind, *cursor, 100, clock_monotonic() + 20, a, &rows, &n, cursor, &e))
        die("the feed: %s", e.message);
    for (size_t i = 0; i < n && n_shown < SEEN; i++) {
        const struct feed *f = (const struct feed *)rows + i;

        if (f->n != next_of[f->writer])
            die("writer %lld: row %lld, where %d comes next", (long long)f->writer, (long long)f->n,
                next_of[f->writer]);
        next_of[f->writer]++;
        shown[n_shown++] = f->id;
    }
    memcpy(room, cursor->p, cursor->n);
    cursor->p = room;
}

static void *read_on(void *arg)
{
    struct store *from = open_as(mongod.uri, known_id(99));
    struct arena *a = arena_new(16 << 20);
    struct bytes cursor = NO_BYTES;
    static char room[WATCH_CURSOR_MAX];
    size_t before = 1;

    (void)arg;
    while (!atomic_load(&stop) || n_shown != before) { /* to the end, when all have stopped */
        before = n_shown;
        read_feed(from, &cursor, room, a);
        arena_reset(a);
    }
    arena_free(&a);
    store_close(&from);
    return NULL;
}

/* ---- the test ---- */

static int compare_ids(const void *x, const void *y)
{
    return memcmp(x, y, sizeof(struct id));
}

static int64_t count_rows(void)
{
    struct query q = { .kind = &feed_kind, .limit = SEEN };
    static const char *const only[] = { "id", NULL };
    struct arena *a = arena_new(512 << 20);
    void *rows;
    size_t n;
    struct err e;

    q.only = only;
    if (!store_find(st, &q, a, &rows, &n, &e))
        fail_msg("%s", e.message);
    arena_free(&a);
    return (int64_t)n;
}

static int64_t sum_boxes(void)
{
    struct arena *a = arena_new(1 << 20);
    int64_t sum = 0;

    for (int i = 0; i < BOXES; i++) {
        struct note n;
        struct err e;

        if (!store_get(st, &note_kind, known_id(i), a, &n, &e))
            fail_msg("%s", e.message);
        sum += n.n;
    }
    arena_free(&a);
    return sum;
}

static void make_boxes(void)
{
    struct arena *a = arena_new(1 << 20);
    struct batch *b = batch_new(a);
    struct note *n = arena_array(a, BOXES, sizeof *n);
    struct err e;

    for (int i = 0; i < BOXES; i++) {
        n[i].id = known_id(i);
        batch_insert(b, &note_kind, &n[i], NULL, 0);
    }
    if (!commit(st, b, &e))
        fail_msg("%s", e.message);
    arena_free(&a);
}

/* All processes write the same mailboxes: were the rows of a killed one held for a minute, nobody could go on. A node
 * that comes back ends them at once. */
static void the_feed_of_killed_processes(void **state)
{
    const char *soak = getenv("POSTRIDER_SOAK");
    int rounds = soak && *soak ? 100 : 9;
    struct process p[WRITERS];
    pthread_t reader;

    (void)state;
    mongod_fresh(&mongod);
    st = open_as(mongod.uri, known_id(98));
    make_boxes();
    assert_int_equal(pthread_create(&reader, NULL, read_on, NULL), 0);
    for (int i = 0; i < WRITERS; i++)
        start_writer(&p[i], i);
    wait_acknowledged(100, 30000);
    for (int i = 0; i < rounds; i++) {
        kill_writer(&p[i % WRITERS]);
        start_writer(&p[i % WRITERS], i % WRITERS);
        wait_acknowledged(100, 15000);
    }
    for (int i = 0; i < WRITERS; i++)
        kill_writer(&p[i]);
    for (int i = 0; i < WRITERS; i++) { /* ends what they left open, and its outcome is certain */
        struct store *heir = open_as(mongod.uri, known_id(100 + i));

        store_close(&heir);
    }
    atomic_store(&stop, true);
    pthread_join(reader, NULL);
    qsort(shown, n_shown, sizeof *shown, compare_ids);
    for (size_t i = 1; i < n_shown; i++)
        assert_true(compare_ids(&shown[i - 1], &shown[i]) < 0); /* none twice */
    assert_int_equal(count_rows(), n_shown);                    /* none left out */
    assert_int_equal(sum_boxes(), n_shown);
    for (int64_t i = 0; i < next_number; i++)
        assert_true(next_of[i] >= atomic_load(&told[i])); /* what was acknowledged is there */
    printf("  %lld acknowledged, %zu there\n", atomic_load(&acknowledged), n_shown);
    store_close(&st);
}

static int64_t rows_told(int64_t first)
{
    int64_t n = 0;

    for (int64_t i = first; i < first + THREADS; i++)
        n += atomic_load(&told[i]);
    return n;
}

/* Who meets the other's transaction tries again soon: neither keeps the other from the mailboxes. */
static void two_processes_get_their_share(void **state)
{
    struct process p[2];
    int64_t first[2], began[2], share[2];

    (void)state;
    mongod_fresh(&mongod);
    st = open_as(mongod.uri, known_id(98));
    make_boxes();
    for (int i = 0; i < 2; i++) {
        first[i] = next_number;
        start_writer(&p[i], i);
    }
    while (!rows_told(first[0]) || !rows_told(first[1]))
        usleep(2000);
    for (int i = 0; i < 2; i++)
        began[i] = rows_told(first[i]);
    do { /* by count, not by time: a busy machine gives one of them the processor and the other none for a while */
        usleep(2000);
        for (int i = 0; i < 2; i++)
            share[i] = rows_told(first[i]) - began[i];
    } while ((share[0] < 200 || share[1] < 200) && share[0] + share[1] < 5000);
    for (int i = 0; i < 2; i++)
        kill_writer(&p[i]);
    printf("  %lld and %lld\n", (long long)share[0], (long long)share[1]);
    assert_true(share[0] >= 200 && share[1] >= 200);
    store_close(&st);
}

int main(int argc, char **argv)
{
    struct net_options o = { .loops = 1, .store_workers = 2, .cpu_workers = 1, .fibers_max = 100 };
    const struct CMUnitTest tests[] = { cmocka_unit_test(the_feed_of_killed_processes),
                                        cmocka_unit_test(two_processes_get_their_share) };
    struct err e;
    int failed;

    params_init();
    if (!net_start(&o, &e))
        die("%s", e.message);
    if (argc > 4 && strcmp(argv[1], "writer") == 0)
        be_writer(argv);
    if (!mongod_start(&mongod, 1))
        return MONGOD_NONE;
    shown = calloc(SEEN, sizeof *shown);
    told = calloc(SEEN, sizeof *told);
    next_of = calloc(SEEN, sizeof *next_of);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(shown);
    free(told);
    free(next_of);
    net_stop();
    mongod_stop(&mongod);
    return failed;
}
