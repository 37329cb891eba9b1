/* tests/store/bench_store.c - how many accept batches a second: a body of 6 KB, message, delivery, entry, two events,
 * and two counters of which one hands its value to the entry. And how long claims of 64 take, out of few rows and many.
 *
 *     ninja -C build/release store_bench_store
 *     build/release/tests/store_bench_store [callers] [seconds] [fibers|threads] [mailboxes] [sqlite|1|3|URI]
 *     build/release/tests/store_bench_store claims [rows] [ordered|shuffled] [sqlite|1|3|URI]
 * The last says the engine: a number is that of the members of a mongod replica set, which is started; two processes
 * that are given one URI share the mailboxes. Prints batches a
 * second and microseconds of CPU each (mongod's too), how many group commits met another transaction, then the same for
 * reading bodies. */
#include "base/clock.h"
#include "base/metrics.h"
#include "base/params.h"
#include "net/fiber.h"
#include "store/store.h"
#include "tests/store/folder.h"
#include "tests/store/mongod.h"
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <unistd.h>

struct body {
    struct id id;
    struct bytes bytes;
    int64_t expires, size;
};
struct message {
    struct id id, account, body;
    struct bytes sender, tags, message_id;
    int64_t created, size;
};
struct delivery {
    struct id id, message, account, holder;
    struct bytes recipient, state, site, key, flow;
    int64_t part, due, lease, token, attempts, send_at, lapsed;
};
struct entry {
    struct id id, mailbox, message, body;
    struct bytes summary, key, trace;
    int64_t uid, modseq, size;
};
struct event {
    struct id id, account, subject;
    struct bytes type, detail;
    int64_t at;
};
struct box {
    struct id id;
    int64_t uidnext, modseq, count, bytes;
};

#define KIND(name_, index_, watched_, large_)                                                                          \
    static const struct kind name_##_kind = { .name = #name_,                                                          \
                                              .prefix = #name_,                                                        \
                                              .size = sizeof(struct name_),                                            \
                                              .fields = name_##_fields,                                                \
                                              .n_fields = sizeof name_##_fields / sizeof(struct field),                \
                                              .indexes = index_,                                                       \
                                              .n_indexes = sizeof(index_) / sizeof(struct index),                      \
                                              .watched = watched_,                                                     \
                                              .large = large_ }

static const struct field body_fields[] = { FIELD(ID, body, id), FIELD(BYTES, body, bytes), FIELD(TIME, body, expires),
                                            FIELD(INT, body, size) };
static const struct index body_indexes[] = { { .name = "expires", .fields = { "expires" }, .when = "expires" } };
KIND(body, body_indexes, false, true);
static const struct field message_fields[] = { FIELD(ID, message, id),        FIELD(ID, message, account),
                                               FIELD(ID, message, body),      FIELD(TEXT, message, sender),
                                               FIELD(JSON, message, tags),    FIELD(TEXT, message, message_id),
                                               FIELD(TIME, message, created), FIELD(INT, message, size) };
static const struct index message_indexes[] = { { .name = "account", .fields = { "account" } },
                                                { .name = "body", .fields = { "body" } } };
KIND(message, message_indexes, false, false);
static const struct field delivery_fields[] = {
    FIELD(ID, delivery, id),        FIELD(ID, delivery, message),     FIELD(ID, delivery, account),
    FIELD(ID, delivery, holder),    FIELD(TEXT, delivery, recipient), FIELD(TEXT, delivery, state),
    FIELD(TEXT, delivery, site),    FIELD(BYTES, delivery, key),      FIELD(INT, delivery, part),
    FIELD(TIME, delivery, due),     FIELD(TIME, delivery, lease),     FIELD(INT, delivery, token),
    FIELD(INT, delivery, attempts), FIELD(TEXT, delivery, flow),      FIELD(TIME, delivery, send_at),
    FIELD(TIME, delivery, lapsed),
};
/* By "due" and "flow" as in service/core/kinds_mail.c. */
static const struct index delivery_indexes[] = {
    { .name = "message", .fields = { "message" } },
    { .name = "due", .fields = { "due" }, .when = "due" },
    { .name = "flow", .fields = { "flow", "send_at" }, .when = "flow" },
};
KIND(delivery, delivery_indexes, false, false);
static const struct field entry_fields[] = { FIELD(ID, entry, id),         FIELD(ID, entry, mailbox),
                                             FIELD(ID, entry, message),    FIELD(ID, entry, body),
                                             FIELD(BYTES, entry, summary), FIELD(BYTES, entry, key),
                                             FIELD(TEXT, entry, trace),    FIELD(INT, entry, uid),
                                             FIELD(INT, entry, modseq),    FIELD(INT, entry, size) };
static const struct index entry_indexes[] = { { .name = "uid", .unique = true, .fields = { "mailbox", "uid" } },
                                              { .name = "body", .fields = { "body" } } };
KIND(entry, entry_indexes, false, false);
static const struct field event_fields[] = { FIELD(ID, event, id),       FIELD(ID, event, account),
                                             FIELD(ID, event, subject),  FIELD(TEXT, event, type),
                                             FIELD(JSON, event, detail), FIELD(TIME, event, at) };
static const struct index event_indexes[] = { { .name = "subject", .fields = { "subject" } } };
KIND(event, event_indexes, true, false);
static const struct field box_fields[] = { FIELD(ID, box, id), FIELD(INT, box, uidnext), FIELD(INT, box, modseq),
                                           FIELD(INT, box, count), FIELD(INT, box, bytes) };
static const struct kind box_kind = {
    .name = "box", .prefix = "box", .size = sizeof(struct box), .fields = box_fields, .n_fields = 5
};
static const struct kind *const kinds[] = { &body_kind, &message_kind, &delivery_kind, &entry_kind, &event_kind,
                                            &box_kind,  NULL };

#define KEPT 4096
static struct store *st;
static size_t n_boxes = 100;
static struct box *boxes, *users;
static struct mongod mongod;
static struct id kept[KEPT];
static char noise[1 << 20];
static atomic_bool stop;
static atomic_int running;
static atomic_llong done, accepted;
static bool reading;

static void accept_one(struct arena *a, long long i)
{
    struct batch *b = batch_new(a);
    int uid = batch_slot(b), modseq = batch_slot(b);
    size_t which = (size_t)i * 2654435761u / 65536 % n_boxes;
    const struct box *box = &boxes[which];
    struct body body = { id_new(), { noise + i % 1000 * 1000, 6000 }, 0, 10240 };
    struct message m = { .id = id_new(),
                         .account = boxes[0].id,
                         .body = body.id,
                         .sender = BYTES("bo@example.com"),
                         .message_id = BYTES("<0123456789abcdef@example.com>"),
                         .created = clock_wall(),
                         .size = 10240 };
    struct delivery d = { .id = id_new(),
                          .message = m.id,
                          .account = m.account,
                          .recipient = BYTES("ana@example.org"),
                          .state = BYTES("delivered"),
                          .site = BYTES("example.org"),
                          .part = i % 256 };
    struct entry n = { .id = id_new(),
                       .mailbox = box->id,
                       .message = m.id,
                       .body = body.id,
                       .size = 10240,
                       .summary = { noise, 300 },
                       .key = { noise, 72 },
                       .trace = BYTES("Received: from a by b with ESMTP") };
    struct event v[2] = { { id_new(), m.account, m.id, BYTES("accepted"), BYTES("{}"), m.created },
                          { id_new(), m.account, d.id, BYTES("delivered"), BYTES("{}"), m.created } };
    struct set raise[] = { ADD_SLOT("uidnext", 1, uid), ADD_SLOT("modseq", 1, modseq), ADD("count", 1),
                           ADD("bytes", 10240) };
    struct set use = ADD_BOUND("bytes", 10240, NULL, INT64_MAX);
    struct set from[] = { FROM_SLOT("uid", uid, -1), FROM_SLOT("modseq", modseq, 0) };
    struct err e;

    batch_update(b, &box_kind, box->id, NULL, 0, raise, 4);
    batch_update(b, &box_kind, users[which].id, NULL, 0, &use, 1);
    batch_insert(b, &body_kind, &body, NULL, 0);
    batch_insert(b, &message_kind, &m, NULL, 0);
    batch_insert(b, &delivery_kind, &d, NULL, 0);
    batch_insert(b, &entry_kind, &n, from, 2);
    batch_insert(b, &event_kind, &v[0], NULL, 0);
    batch_insert(b, &event_kind, &v[1], NULL, 0);
    if (!store_commit(st, b, clock_monotonic() + 30000, &e))
        die("%s (%s)", e.message, e.where);
    kept[atomic_fetch_add(&accepted, 1) % KEPT] = body.id;
}

static void read_one(struct arena *a, long long i)
{
    struct body body;
    struct err e;

    if (!store_get(st, &body_kind, kept[(i * 7919) % (accepted < KEPT ? accepted : KEPT)], a, &body, &e))
        die("%s", e.message);
}

static void caller(void *arg)
{
    struct arena *a = arena_new(4 << 20);

    (void)arg;
    while (!atomic_load(&stop)) {
        long long i = atomic_fetch_add(&done, 1);

        if (reading)
            read_one(a, i);
        else
            accept_one(a, i);
        arena_reset(a);
    }
    arena_free(&a);
    atomic_fetch_sub(&running, 1);
}

static void *caller_thread(void *arg)
{
    caller(arg);
    return NULL;
}

static double cpu(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return mongod_cpu(&mongod) + (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void measure(const char *what, int callers, int seconds, bool fibers)
{
    double before = cpu(), used, rate;
    int64_t groups = metric_get(METRIC_store_commit_seconds), met = metric_get(METRIC_store_conflicts_total);
    struct err e;

    atomic_store(&stop, false);
    atomic_store(&done, 0);
    atomic_store(&running, callers);
    for (int i = 0; i < callers; i++) {
        pthread_t t;

        if (fibers ? !fiber_start(FIBER_ANY, caller, NULL, &e) : pthread_create(&t, NULL, caller_thread, NULL) != 0)
            die("cannot start a caller");
        if (!fibers)
            pthread_detach(t);
    }
    sleep((unsigned)seconds);
    rate = (double)atomic_load(&done) / seconds;
    used = cpu() - before;
    atomic_store(&stop, true);
    while (atomic_load(&running))
        usleep(1000);
    groups = metric_get(METRIC_store_commit_seconds) - groups;
    met = metric_get(METRIC_store_conflicts_total) - met;
    printf("%-8s %3d %s: %8.0f/s, %6.1f us of CPU each, %lld groups, %lld conflicts\n", what, callers,
           fibers ? "fibers" : "threads", rate, used * 1e6 / (rate * seconds), (long long)groups, (long long)met);
}

static struct id known_id(char what, size_t number)
{
    struct id id = { .b = { (uint8_t)what } };

    memcpy(id.b + 8, &number, sizeof number);
    return id;
}

static void make_boxes(struct arena *a)
{
    struct err e;

    boxes = arena_array(a, n_boxes, sizeof *boxes);
    users = arena_array(a, n_boxes, sizeof *users);
    for (size_t i = 0; i < n_boxes;) {
        struct batch *b = batch_new(a);

        for (size_t end = i + 1000; i < end && i < n_boxes; i++) {
            boxes[i] = (struct box){ .id = known_id('b', i), .uidnext = 1 };
            users[i] = (struct box){ .id = known_id('u', i) };
            batch_insert(b, &box_kind, &boxes[i], NULL, 0);
            batch_insert(b, &box_kind, &users[i], NULL, 0);
        }
        if (!store_commit(st, b, clock_monotonic() + 30000, &e) && e.code != ERR_CONFLICT) /* made by the other */
            die("%s", e.message);
    }
}

/* ---- claims: local work by when it is due; mail that leaves by its flow, of which each site has one ----
 *
 * Ordered: what came first is due first, as when mail waits for a site or for us. Shuffled: after retries with their
 * jitter, when each row of a claim lies in a page of its own. */

enum { CLAIM = 64, CLAIMS = 30, A_SITE = 100 };

struct waiting {
    bool shuffled;
    size_t rows;      /* of each of the two sorts */
    size_t next_flow; /* claims go round the flows */
    struct arena *arena;
    struct value flows[CLAIM];
};

static struct bytes flow_of(struct arena *a, size_t site)
{
    return arena_bytesf(a, "site%zu.example/n/01k9zzzzzzzzzzzzzzzzzzzzzz/-", site);
}

/* Until there are so many, over a site for each hundred, in no order of sites. All have been due for a while, those of
 * a second filling for less long. */
static void fill(struct waiting *w, size_t rows)
{
    size_t sites = rows / A_SITE;
    int64_t now = clock_wall();
    struct err e;

    while (w->rows < rows) {
        struct batch *b = batch_new(w->arena);

        for (size_t end = w->rows + 500; w->rows < end && w->rows < rows; w->rows++) {
            struct delivery *d = arena_array(w->arena, 2, sizeof *d);

            d[0] = (struct delivery){ .id = id_new(),
                                      .message = id_new(),
                                      .account = known_id('a', 0),
                                      .recipient = BYTES("ana@example.org"),
                                      .state = BYTES("queued"),
                                      .site = BYTES("example.org"),
                                      .key = { noise, 72 },
                                      .due = now - 3600000 + (w->shuffled ? random() : (int64_t)w->rows) % 3600000 };
            d[1] = d[0];
            d[1].id = id_new();
            d[1].flow = flow_of(w->arena, w->rows * 7919 % sites);
            d[1].send_at = d[0].due;
            d[1].due = 0;
            batch_insert(b, &delivery_kind, &d[0], NULL, 0);
            batch_insert(b, &delivery_kind, &d[1], NULL, 0);
        }
        if (!store_commit(st, b, clock_monotonic() + 30000, &e))
            die("%s (%s)", e.message, e.where);
        arena_reset(w->arena);
    }
}

static struct claim local_claim(void)
{
    return (struct claim){ .query = { .kind = &delivery_kind,
                                      .index = "due",
                                      .conds = { COND("due", IS_NOT, V_TIME(0)) },
                                      .n_conds = 1,
                                      .limit = CLAIM },
                           .due = "due",
                           .lease = "lease",
                           .token = "token",
                           .holder = "holder",
                           .lapsed = "lapsed",
                           .lease_ms = 600000 };
}

/* Out of so many flows, an equal share of each. */
static struct claim flow_claim(struct waiting *w, size_t flows, size_t *each)
{
    struct claim c = local_claim();

    for (size_t i = 0; i < flows; i++) {
        w->flows[i] = V_TEXT(flow_of(w->arena, w->next_flow++ % (w->rows / A_SITE)));
        each[i] = CLAIM / flows;
    }
    c.query.index = "flow";
    c.query.conds[0] = COND("send_at", IS_NOT, V_TIME(0));
    c.query.conds[1] = COND_ONE_OF("flow", w->flows, flows);
    c.query.n_conds = 2;
    c.due = "send_at";
    c.each = each;
    return c;
}

static int64_t micros(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int by_length(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* `flows` 0: local work. */
static void measure_claims(struct waiting *w, const char *what, size_t flows)
{
    int64_t took[CLAIMS];
    double before = cpu();

    for (size_t i = 0; i < CLAIMS; i++) {
        size_t each[CLAIM], n;
        struct claim c = flows ? flow_claim(w, flows, each) : local_claim();
        int64_t began = micros();
        void *rows;
        struct err e;

        if (!store_claim(st, &c, w->arena, &rows, &n, &e))
            die("%s (%s)", e.message, e.where);
        if (n != CLAIM)
            die("%zu rows of %d", n, CLAIM);
        took[i] = micros() - began;
        arena_reset(w->arena);
    }
    qsort(took, CLAIMS, sizeof *took, by_length);
    printf("%-20s of %8zu rows: median %6.2f ms, longest %6.2f, %7.0f us of CPU\n", what, w->rows,
           (double)took[CLAIMS / 2] / 1e3, (double)took[CLAIMS - 1] / 1e3, (cpu() - before) * 1e6 / CLAIMS);
}

static void claims(struct arena *a, size_t rows, bool shuffled)
{
    struct waiting w = { .shuffled = shuffled, .arena = a };

    for (size_t have = 10000;; have = rows) {
        fill(&w, have);
        for (int pass = 0; pass < 2; pass++) { /* into the first falls what the filling left to be done */
            measure_claims(&w, "64 that are due", 0);
            measure_claims(&w, "64 flows, one each", CLAIM);
            measure_claims(&w, "16 flows, four each", 16);
        }
        if (have == rows)
            return;
    }
}

static const char *store_url(const char *engine)
{
    static char url[512];

    snprintf(url, sizeof url, "sqlite:%s", folder_path("bench.db"));
    if (!engine || strcmp(engine, "sqlite") == 0)
        return url;
    if (strstr(engine, "://"))
        return engine;
    setenv("TMPDIR", "/tmp", 0); /* on a disk: waiting for it is what is measured */
    if (!mongod_start(&mongod, engine[0] - '0'))
        exit(1);
    return mongod.uri;
}

static int64_t number(int argc, char **argv, int at, int64_t otherwise)
{
    int64_t n = otherwise;

    if (argc > at && (!bytes_to_int(bytes_of(argv[at]), &n) || n < 1))
        die("usage: bench_store [callers] [seconds] [fibers|threads] [mailboxes] [sqlite|1|3|URI]\n"
            "       bench_store claims [rows] [ordered|shuffled] [sqlite|1|3|URI]");
    return n;
}

static void begin(const char *engine)
{
    struct net_options o = { .loops = 2, .store_workers = 4, .cpu_workers = 1, .fibers_max = 10000 };
    struct store_options so = { .kinds = kinds, .schema = 1, .node = id_new(), .readers = 4 };
    struct err e = { 0 };

    params_init();
    so.url = store_url(engine);
    srandom(1);
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (char)random();
    if (!params_from_env(&e) || !net_start(&o, &e) || !store_open(&so, &st, &e))
        die("%s", e.message);
}

static void accepts(struct arena *a, int callers, int seconds, bool fibers)
{
    make_boxes(a);
    measure("accept", callers, seconds, fibers);
    measure("accept", 1, 1, fibers);
    reading = true;
    measure("read", callers, 1, fibers);
}

int main(int argc, char **argv)
{
    bool claiming = argc > 1 && strcmp(argv[1], "claims") == 0;
    struct arena *a = arena_new(64 << 20);
    int engine = claiming ? 4 : 5;

    begin(argc > engine ? argv[engine] : NULL);
    if (claiming) {
        claims(a, (size_t)number(argc, argv, 2, 1000000), argc > 3 && argv[3][0] == 's');
    } else {
        n_boxes = (size_t)number(argc, argv, 4, 100);
        accepts(a, (int)number(argc, argv, 1, 64), (int)number(argc, argv, 2, 5), argc < 4 || argv[3][0] == 'f');
    }
    store_close(&st);
    net_stop();
    arena_free(&a);
    folder_remove();
    mongod_stop(&mongod);
    return 0;
}
