/* What is new of an account, beside others of any size. POSTRIDER_SOAK makes the others large. */
#include "base/metrics.h"
#include "house.h"
#include "service/message/consumer.h"
#include "service/message/feed.h"

/* Events of one account, a thousand in a batch. */
static void add_events(struct house *h, struct id account, size_t n, struct event_row like)
{
    for (size_t done = 0; done < n;) {
        struct arena *a = arena_new((size_t)64 << 20);
        struct batch *b = batch_new(a);

        for (size_t i = 0; i < 1000 && done < n; i++, done++) {
            struct event_row *row = arena_alloc(a, sizeof *row);

            *row = like;
            row->id = id_new();
            row->account_id = account;
            row->at = clock_wall();
            batch_insert(b, &event_kind, row, NULL, 0);
        }
        must(h, store_commit(h->svc->store, b, clock_monotonic() + 60000, &h->c.err));
        arena_free(&a);
    }
}

#define PLAIN ((struct event_row){ .type = BYTES("email.accepted"), .mode = BYTES("live") })

static struct event_list_out followed(struct house *h, const struct principal *who, struct event_list_in in)
{
    struct event_list_out out;

    in.follow = true;
    must(h, event_list(as(h, who), &in, &out));
    return out;
}

/* One event among many of another account is found by a few look-ups, from the oldest on and from any place. */
static void a_small_account_beside_a_busy_one(void **state)
{
    struct house *h = *state;
    const struct principal *a = tenant(h, "small"), *b = tenant(h, "busy");
    const char *soak = getenv("POSTRIDER_SOAK");
    size_t half = soak && *soak ? 500000 : 3000;
    struct event_list_out out;
    struct bytes before;
    int64_t looks;

    before = followed(h, a, (struct event_list_in){ 0 }).page.next;
    add_events(h, b->account_id, half, PLAIN);
    add_events(h, a->account_id, 1, PLAIN);
    add_events(h, b->account_id, half, PLAIN);
    looks = metric_get(METRIC_event_looks_total);
    for (int from = 0; from < 2; from++) {
        struct event_list_in in = { .page = { .after = from ? before : NO_BYTES } };

        out = followed(h, a, in);
        assert_true(out.n == 1 && id_equal(out.rows[0].account_id, a->account_id));
        in.page.after = out.page.next;
        assert_int_equal(followed(h, a, in).n, 0);
    }
    assert_in_range(metric_get(METRIC_event_looks_total) - looks, 4, 10);
}

/* Walks all that the key may see with pages of this size; how many came, each once and in order. */
static size_t walk(struct house *h, const struct principal *who, struct bytes type, int limit, int64_t *looks)
{
    struct event_list_in in = { .type = type, .page = { .limit = limit } };
    struct event_list_out out;
    struct id last = NO_ID;
    size_t n = 0;

    *looks = metric_get(METRIC_event_looks_total);
    do {
        out = followed(h, who, in);
        for (size_t i = 0; i < out.n; i++, n++) {
            assert_true(id_compare(out.rows[i].id, last) > 0);
            last = out.rows[i].id;
        }
        in.page.after = out.page.next;
    } while (out.page.has_more);
    *looks = metric_get(METRIC_event_looks_total) - *looks;
    return n;
}

/* Few among many of the account's own: filters cost a look for each hundred rows, not for each row. */
static void what_filters_pick_from_is_read_in_chunks(void **state)
{
    struct house *h = *state;
    const struct principal *a = tenant(h, "one");
    struct principal test = *a;
    struct event_row rare = { .type = BYTES("email.bounced"), .mode = BYTES("test") };
    int64_t looks;

    test.test = true;
    for (int i = 0; i < 5; i++) {
        add_events(h, a->account_id, 333, PLAIN);
        add_events(h, a->account_id, 2, rare);
    }
    assert_int_equal(walk(h, a, NO_BYTES, 100, &looks), 5 * 335);
    assert_in_range(looks, 17, 20);
    for (int limit = 1; limit <= 16; limit *= 4) {
        assert_int_equal(walk(h, a, rare.type, limit, &looks), 10);
        assert_in_range(looks, 17, 60);
        assert_int_equal(walk(h, &test, NO_BYTES, limit, &looks), 10);
        assert_in_range(looks, 17, 60);
    }
}

/* A key that is bound to domains sees the events of those. */
static void a_bound_key_follows_what_it_reaches(void **state)
{
    struct house *h = *state;
    const struct principal *a = tenant(h, "one");
    struct event_row mine = PLAIN, other = PLAIN;
    struct principal bound = *a;
    int64_t looks;

    mine.domain_id = id_new();
    other.domain_id = id_new();
    bound.domain_ids = &mine.domain_id;
    bound.n_domain_ids = 1;
    add_events(h, a->account_id, 150, other);
    add_events(h, a->account_id, 7, mine);
    add_events(h, a->account_id, 150, PLAIN);
    assert_int_equal(walk(h, &bound, NO_BYTES, 3, &looks), 7);
    assert_int_equal(walk(h, a, NO_BYTES, 3, &looks), 307);
}

/* Two nodes consume one feed while it grows: what each event asks for is done once. */
#define CONSUMED 400

struct node {
    struct house *h;
    size_t moved;
    pthread_t thread;
};

static void *consume(void *arg)
{
    struct node *w = arg;
    struct store *st = w->h->svc->store;
    int64_t until = clock_monotonic() + 60000;
    size_t done = 0;

    while (done < CONSUMED && clock_monotonic() < until) {
        struct arena *a = arena_new((size_t)16 << 20);
        struct batch *b = batch_new(a);
        struct consumer_read r;
        struct err e = { 0 };

        if (!consumer_read(w->h->svc, BYTES("test"), 7, a, &r, &e))
            die("%s", e.message);
        for (size_t i = 0; i < r.n; i++) {
            struct tag_row *did = arena_alloc(a, sizeof *did);

            *did = (struct tag_row){ .id = r.events[i].id, .label = BYTES("did") };
            batch_insert(b, &tag_kind, did, NULL, 0);
        }
        consumer_move(b, &r, a);
        if (r.n && store_commit(st, b, clock_monotonic() + 30000, &e))
            w->moved += r.n;
        else if (r.n && e.code != ERR_CONFLICT)
            die("%s", e.message);
        arena_free(&a);
        a = arena_new((size_t)16 << 20);
        {
            struct query q = { .kind = &tag_kind, .limit = CONSUMED + 1 };
            void *rows;

            if (!store_find(st, &q, a, &rows, &done, &e))
                die("%s", e.message);
        }
        arena_free(&a);
    }
    return NULL;
}

static void what_is_consumed_is_done_once(void **state)
{
    struct house *h = *state;
    struct node nodes[2] = { { .h = h }, { .h = h } };
    struct consumer_read r;

    add_events(h, id_new(), 5, PLAIN); /* before there is a consumer */
    must(h, consumer_read(h->svc, BYTES("test"), 7, h->arena, &r, &h->c.err));
    assert_int_equal(r.n, 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&nodes[i].thread, NULL, consume, &nodes[i]), 0);
    for (int i = 0; i < CONSUMED / 20; i++)
        add_events(h, id_new(), 20, PLAIN);
    for (int i = 0; i < 2; i++)
        pthread_join(nodes[i].thread, NULL);
    assert_int_equal(nodes[0].moved + nodes[1].moved, CONSUMED);
    must(h, consumer_read(h->svc, BYTES("test"), 7, h->arena, &r, &h->c.err));
    assert_int_equal(r.n, 0);
}

/* A batch that failed has moved nothing, and a place of another database is none. */
static void a_consumer_moves_with_its_batch_only(void **state)
{
    struct house *h = *state;
    struct consumer_read first, r;
    struct batch *b = batch_new(h->arena);
    struct set foreign = SET("cursor", V_TEXT(BYTES("AAAA")));

    must(h, consumer_read(h->svc, BYTES("x"), 10, h->arena, &r, &h->c.err));
    add_events(h, id_new(), 3, PLAIN);
    must(h, consumer_read(h->svc, BYTES("x"), 10, h->arena, &first, &h->c.err));
    assert_int_equal(first.n, 3);
    consumer_move(b, &first, h->arena);
    batch_insert(b, &event_kind, &first.events[0], NULL, 0); /* is there */
    wont(h, store_commit(h->svc->store, b, clock_monotonic() + 30000, &h->c.err), ERR_CONFLICT);
    service_close(&h->svc);
    house_open(h);
    must(h, consumer_read(h->svc, BYTES("x"), 10, h->arena, &r, &h->c.err));
    assert_int_equal(r.n, 3);
    for (int i = 0; i < 2; i++) { /* whoever is second moves nothing */
        b = batch_new(h->arena);
        consumer_move(b, i ? &first : &r, h->arena);
        if (i)
            wont(h, store_commit(h->svc->store, b, clock_monotonic() + 30000, &h->c.err), ERR_CONFLICT);
        else
            must(h, store_commit(h->svc->store, b, clock_monotonic() + 30000, &h->c.err));
    }
    b = batch_new(h->arena);
    batch_update(b, &consumer_kind, r.row.id, NULL, 0, &foreign, 1);
    must(h, store_commit(h->svc->store, b, clock_monotonic() + 30000, &h->c.err));
    must(h, consumer_read(h->svc, BYTES("x"), 10, h->arena, &r, &h->c.err));
    assert_int_equal(r.n, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_small_account_beside_a_busy_one),    TEST(what_filters_pick_from_is_read_in_chunks),
        TEST(a_bound_key_follows_what_it_reaches),  TEST(what_is_consumed_is_done_once),
        TEST(a_consumer_moves_with_its_batch_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
