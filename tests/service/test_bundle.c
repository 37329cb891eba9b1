/* Events that share a row are packed and read again, and lists show them as if each had a row: every list, every page,
 * either way, by every key. */
#include "tests/service/bundles.h"

/* ---- packing alone ---- */

static void what_is_packed_is_read_again(void **state)
{
    struct arena *a = arena_new((size_t)64 << 20);
    struct event_row want[BUNDLE_MOST], got[BUNDLE_MOST];

    (void)state;
    for (int round = 0; round < 300; round++) {
        struct event_row row = { .id = id_new(), .message_id = id_new(), .type = BYTES("email.accepted"), .at = 7 };
        struct bundle x = { 0 };
        size_t most = 1 + roll(BUNDLE_MOST), n = 0;

        assert_false(bundle_add(&x, &row, a));
        bundle_begin(&x, &row);
        want[n++] = row;
        for (struct event_row e; n < most && (e = any_event(a, &row), add(&x, &e, want, &n, a));)
            ;
        assert_int_equal(event_expand(&row, NULL), n);
        assert_int_equal(event_expand(&row, got), n);
        for (size_t i = 0; i < n; i++)
            assert_true(same_event(&got[i], &want[i]) && !got[i].bundle.p);
        for (size_t cut = 0; cut < row.bundle.n; cut++) { /* a row that was damaged */
            struct event_row part = row;

            part.bundle = arena_copy(a, bytes_head(row.bundle, cut));
            assert_in_range(event_expand(&part, got), 1, n);
        }
        arena_reset(a);
    }
    arena_free(&a);
}

static void a_row_takes_so_many_and_no_more(void **state)
{
    struct arena *a = arena_new((size_t)64 << 20);
    struct event_row row = { .id = id_new(), .type = BYTES("x") }, e = row;
    struct bundle x = { 0 };
    char *large = arena_alloc(a, 70000);

    (void)state;
    memset(large, 'x', 70000);
    bundle_begin(&x, &row);
    for (int i = 0; i < BUNDLE_MOST - 1; i++)
        assert_true(bundle_add(&x, &e, a));
    assert_false(bundle_add(&x, &e, a));
    bundle_begin(&x, &row);
    for (size_t n = 1000; n < 70000; n += 1000) {
        e.data = (struct bytes){ large, n };
        assert_int_equal(bundle_add(&x, &e, a), n == 1000 || n == 2000); /* 1,000 and 2,000, but no 3,000 more */
    }
    assert_in_range(row.bundle.n, 3000, BUNDLE_BYTES);
    e.data = BYTES("small"); /* what is refused does not keep others out */
    assert_true(bundle_add(&x, &e, a));
    arena_free(&a);
}

/* ---- the lists ---- */

static struct event_list_out ask(struct house *h, const struct view *v, int limit, struct bytes after,
                                 struct bytes before)
{
    struct event_list_in in = { .type = v->type, .page = { .limit = limit, .after = after, .before = before } };
    struct event_list_out out;

    if (!id_is_none(v->delivery))
        in.id = text_of(h, "dlv", v->delivery);
    else if (!id_is_none(v->message))
        in.id = text_of(h, "msg", v->message);
    must(h, v->list(as(h, &v->who), &in, &out));
    return out;
}

/* A page of those before want[at]. */
static void same_page(const struct event_list_out *got, const struct event_row *const *want, size_t at)
{
    for (size_t i = 0; i < got->n; i++)
        assert_true(same_event(&got->rows[i], want[at - 1 - i]));
}

#define CURSOR 200

/* Down all of a view by pages of `limit`, and up again. `exact`: each page is as full as it can be. */
static size_t walk(struct house *h, const struct view *v, int limit, bool exact)
{
    static const struct event_row *want[MOST];
    static char room[CURSOR], up[CURSOR];
    size_t n = select_view(v, want), at = n, top = n, pages = 0;
    struct bytes after = NO_BYTES, before = NO_BYTES;
    struct event_list_out out = { 0 };

    do { /* want[at - 1] is the next */
        struct arena_mark mark = arena_mark(h->arena);

        out = ask(h, v, limit, after, NO_BYTES);
        assert_in_range(out.n, exact && at ? 1 : 0, at);
        assert_true(!exact || out.n == (at < (size_t)limit ? at : (size_t)limit));
        same_page(&out, want, at);
        at -= out.n;
        assert_true(exact ? out.page.has_more == (at > 0) : out.page.has_more || at == 0);
        after = keep(out.page.next, room);
        if (out.page.previous.p) { /* up again from the last page that can say so */
            before = keep(out.page.previous, up);
            top = at + out.n;
        }
        pages++;
        arena_rewind(h->arena, mark);
    } while (out.page.has_more);
    at = top;
    while (at < n && before.p) { /* want[at] is the next one up */
        struct arena_mark mark = arena_mark(h->arena);
        size_t left = n - at;

        out = ask(h, v, limit, NO_BYTES, before);
        assert_true(out.n <= left && (!exact || out.n == (left < (size_t)limit ? left : (size_t)limit)));
        at += out.n;
        same_page(&out, want, at);
        assert_true(!exact || !out.page.previous.p == (at == n));
        before = keep(out.page.previous, up);
        pages++;
        arena_rewind(h->arena, mark);
    }
    assert_int_equal(at, n);
    return pages;
}

static void every_page_is_as_of_rows_of_their_own(void **state)
{
    static const int limits[] = { 1, 2, 3, 7, 20, 63, 64, 65, 100 };
    struct house *h = *state;
    struct view v[VIEWS];

    fill_store(h, 45, 63, NO_BYTES);
    views(v);
    for (int limit = 1; limit <= 100; limit++)
        walk(h, &v[0], limit, true);
    for (size_t i = 1; i < VIEWS; i++)
        for (size_t k = 0; k < sizeof limits / sizeof *limits; k++)
            walk(h, &v[i], limits[k], true);
}

/* Pages that end by what was looked at, or by bytes, go on where they ended; and their bytes are those of what they
 * show. */
static void bounds_hold_for_what_is_shown(void **state)
{
    struct house *h = *state;
    struct bytes metadata = arena_bytesf(h->arena, "{\"x\":\"%0*d\"}", 1500, 0);
    struct view v[VIEWS];

    fill_store(h, 40, 63, metadata);
    views(v);
    set_param("api.list_look", "100");
    walk(h, &v[3], 20, false);
    for (size_t i = 0; i < VIEWS; i++)
        walk(h, &v[i], 50, false);
    set_param("api.list_look", "5000");
    set_param("api.page_bytes", "16K");
    for (size_t i = 0; i < VIEWS; i++) {
        walk(h, &v[i], 7, false);
        walk(h, &v[i], 100, false);
        assert_in_range(ask(h, &v[i], 100, NO_BYTES, NO_BYTES).n, i == 3 ? 0 : 1, 10);
    }
}

/* A row that fills a page by itself, seen from within it. */
static void a_page_need_not_hold_a_row(void **state)
{
    struct house *h = *state;
    struct view v[VIEWS];

    fill_store(h, 12, 6, arena_bytesf(h->arena, "{\"x\":\"%0*d\"}", 17000, 0));
    views(v);
    set_param("api.page_bytes", "16K");
    for (size_t i = 0; i < VIEWS; i++)
        walk(h, &v[i], 20, false);
}

static void every_event_is_found_by_its_id(void **state)
{
    struct house *h = *state;
    struct principal bound;
    struct event_row got;

    fill_store(h, 25, 63, NO_BYTES);
    bound = *people[0];
    bound.domain_ids = domains;
    bound.n_domain_ids = 1;
    for (size_t i = 0; i < ref.n; i++) {
        struct event_get_in in = { text_of(h, "evt", ref.all[i].id) };
        bool mine = id_equal(ref.all[i].account_id, people[0]->account_id), ok;

        must(h, event_get(as(h, people[!mine]), &in, &got));
        assert_true(same_event(&got, &ref.all[i]));
        wont(h, event_get(as(h, people[mine]), &in, &got), ERR_MISSING);
        ok = event_get(as(h, &bound), &in, &got);
        assert_int_equal(ok, mine && id_equal(ref.all[i].domain_id, domains[0]));
        if (i + 1 == ref.n || !id_equal(shown_row(ref.all[i].id), shown_row(ref.all[i + 1].id))) {
            struct id behind = ref.all[i].id; /* the row shows no more */

            behind.b[15]++;
            in.id = text_of(h, "evt", behind);
            wont(h, event_get(as(h, people[!mine]), &in, &got), ERR_MISSING);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_packed_is_read_again),
        cmocka_unit_test(a_row_takes_so_many_and_no_more),
        TEST(every_page_is_as_of_rows_of_their_own),
        TEST(bounds_hold_for_what_is_shown),
        TEST(a_page_need_not_hold_a_row),
        TEST(every_event_is_found_by_its_id),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
