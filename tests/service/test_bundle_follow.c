/* Who follows events, or consumes them, gets those that share a row one by one, with pages of any size. */
#include "service/message/consumer.h"
#include "tests/service/bundles.h"

static struct event_list_out follow(struct house *h, const struct view *v, int limit, struct bytes place)
{
    struct event_list_in in = { .type = v->type, .follow = true, .page = { .limit = limit, .after = place } };
    struct event_list_out out;

    must(h, event_list(as(h, &v->who), &in, &out));
    return out;
}

/* Follows to the end from a place, by pages of `limit`: what comes are want[at] and so on. */
static void follow_all(struct house *h, const struct view *v, int limit, struct bytes place,
                       const struct event_row *const *want, size_t at, size_t n)
{
    static char room[WATCH_CURSOR_MAX];
    struct event_list_out out;

    do {
        struct arena_mark mark = arena_mark(h->arena);

        out = follow(h, v, limit, place);
        assert_true(out.n <= n - at && (out.n == (size_t)limit || out.n == n - at));
        for (size_t i = 0; i < out.n; i++)
            assert_true(same_event(&out.rows[i], want[at + i]));
        at += out.n;
        assert_true(out.page.next.p && out.page.next.n <= sizeof room);
        place = keep(out.page.next, room);
        arena_rewind(h->arena, mark);
    } while (out.page.has_more);
    assert_int_equal(at, n);
}

static void a_follower_gets_each_once_with_any_limit(void **state)
{
    static const struct event_row *want[MOST];
    struct house *h = *state;
    struct view v[VIEWS];

    fill_store(h, 45, 63, NO_BYTES);
    views(v);
    for (int limit = 1; limit <= 100; limit++) {
        size_t step = limit < 10 ? 1 : 7;

        for (size_t i = (size_t)limit % step; i < 7; i += step)
            follow_all(h, &v[i], limit, NO_BYTES, want, 0, select_view(&v[i], want));
    }
}

/* A page that ends within a row: what comes next is the rest of it, also when there is more by then; and when the row
 * is gone by then, what is behind it. */
static void a_place_within_a_row_keeps(void **state)
{
    static const struct event_row *want[MOST];
    struct house *h = *state;
    struct view v = { .list = event_list };
    struct event_list_out out;
    struct batch *b;
    struct bytes place;
    size_t first, n;

    fill_store(h, 0, 0, NO_BYTES);
    v.who = *people[0];
    dice = 3;
    b = batch_new(h->arena);
    add_row(h, b, 0, v.who.account_id, 20, NO_BYTES);
    put(h, b);
    first = ref.n;
    assert_true(first > 10);
    out = follow(h, &v, 7, NO_BYTES);
    assert_int_equal(out.n, 7);
    place = out.page.next;
    follow_all(h, &v, 3, place, want, 7, select_view(&v, want));
    b = batch_new(h->arena);
    add_row(h, b, 0, v.who.account_id, 5, NO_BYTES);
    put(h, b);
    n = select_view(&v, want);
    for (int limit = 1; limit < 30; limit++)
        follow_all(h, &v, limit, place, want, 7, n);
    b = batch_new(h->arena);
    batch_delete(b, &event_kind, ref.all[0].id, NULL, 0);
    put(h, b);
    for (int limit = 1; limit < 30; limit++)
        follow_all(h, &v, limit, place, want, first, n);
}

/* A place is no way to what others have, and one of another store is told however it looks. */
static void a_place_is_judged(void **state)
{
    struct house *h = *state;
    struct event_list_in in = { .follow = true, .page = { .limit = 5 } };
    struct event_list_out out;
    struct view v = { .list = event_list };
    struct bytes cursor;

    fill_store(h, 20, 20, NO_BYTES);
    v.who = *people[0];
    for (size_t at = 0; at < ref.n; at++) { /* behind the first event of each row of the other */
        if (id_equal(ref.all[at].account_id, v.who.account_id))
            continue;
        cursor = follow(h, &v, 1, NO_BYTES).page.next;
        cursor = bytes_head(cursor, bytes_find(cursor, '.'));
        in.page.after = arena_bytesf(h->arena, "%.*s.%.*s", SHOW(cursor), SHOW(text_of(h, "", ref.all[at].id)));
        must(h, event_list(as(h, &v.who), &in, &out));
        for (size_t i = 0; i < out.n; i++)
            assert_true(id_equal(out.rows[i].account_id, v.who.account_id));
    }
    for (size_t i = 0; i < 4; i++) {
        const struct bytes bad[] = { arena_bytesf(h->arena, "%.*s.", SHOW(cursor)),
                                     arena_bytesf(h->arena, "%.*s.x", SHOW(cursor)),
                                     arena_bytesf(h->arena, "AAAA.%.*s", SHOW(text_of(h, "", ref.all[0].id))),
                                     arena_bytesf(h->arena, ".%.*s", SHOW(text_of(h, "", ref.all[0].id))) };

        in.page.after = bad[i];
        wont(h, event_list(as(h, &v.who), &in, &out), ERR_INVALID);
    }
}

static void a_consumer_reads_each_once(void **state)
{
    struct house *h = *state;
    struct consumer_read r;
    size_t at = 0;

    fill_store(h, 0, 0, NO_BYTES);
    must(h, consumer_read(h->svc, BYTES("x"), 4, h->arena, &r, &h->c.err));
    add_rows(h, 30, 63, NO_BYTES);
    do {
        struct batch *b = batch_new(h->arena);

        must(h, consumer_read(h->svc, BYTES("x"), 4, h->arena, &r, &h->c.err));
        for (size_t i = 0; i < r.n; i++)
            assert_true(same_event(&r.events[i], &ref.all[at + i]));
        at += r.n;
        consumer_move(b, &r, h->arena);
        put(h, b);
    } while (r.n);
    assert_int_equal(at, ref.n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_follower_gets_each_once_with_any_limit),
        TEST(a_place_within_a_row_keeps),
        TEST(a_place_is_judged),
        TEST(a_consumer_reads_each_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
