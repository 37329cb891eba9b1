/* service/template/: what is kept ready to render, and that nothing of it outlives its account. The rules are shown
 * from the outside (tests/e2e/test_templates.py). */
#include "tests/service/mail_world.h"

#include "service/core/member.h"
#include "service/template/compiled.h"
#include "service/template/layout.h"
#include "service/template/partial.h"
#include "service/template/template.h"

static size_t rows_left(struct world *w, const struct kind *k)
{
    struct query q = { .kind = k, .limit = 100 };
    struct err e = { 0 };
    void *rows;
    size_t n;

    assert_true(store_find(w->svc->store, &q, w->arena, &rows, &n, &e));
    return n;
}

/* A published template, with a layout and a partial; `size` bytes of html. */
static struct template_row published(struct world *w, const char *alias, size_t size)
{
    char *html = arena_alloc(w->arena, size + 16);
    struct template_create_in in = { .named = members_named(&template_members, "alias,html,layout_id") };
    struct layout_create_in layout = { .given = { .html = BYTES("{{{content}}}") },
                                       .named = members_named(&layout_members, "html") };
    struct template_row row;
    struct layout_row made;
    struct partial_row partial;

    memset(html, 'x', size);
    memcpy(html, "{{> p}}", 7);
    must(&w->c, layout_create(&w->c, &layout, &made));
    must(&w->c, partial_put(&w->c, &(struct partial_put_in){ .name = BYTES("p"), .html = BYTES("{{x}}") }, &partial));
    in.given.row = (struct template_row){ .alias = bytes_of(alias), .html = { html, size }, .layout_id = made.id };
    must(&w->c, template_create(&w->c, &in, &row));
    must(&w->c, template_publish(&w->c, &(struct template_publish_in){ bytes_of(alias) }, &row));
    return row;
}

static void a_version_is_compiled_once(void **state)
{
    struct world *w = *state;
    struct template_row row = published(w, "once", 100);
    struct compiled *first = NULL, *again = NULL;

    must(&w->c, compiled_find(&w->c, row.id, 1, &first));
    must(&w->c, compiled_find(&w->c, row.id, 1, &again));
    assert_ptr_equal(first, again);
    assert_int_equal(compiled_view(first)->partials_html.n, 1);
    assert_non_null(compiled_view(first)->layout_html);
    compiled_put(&first);
    compiled_put(&again);
    must_fail(&w->c, compiled_find(&w->c, row.id, 2, &first), ERR_MISSING);
}

/* What is held is whole, whoever has pushed it out of the cache. */
static void the_least_used_goes(void **state)
{
    struct world *w = *state;
    struct template_row one = published(w, "one", 200000), other = published(w, "other", 200000),
                        third = published(w, "third", 200000);
    struct compiled *held = NULL, *again = NULL, *more = NULL;

    set_param("template.cache", "1M");
    must(&w->c, compiled_find(&w->c, one.id, 1, &held));
    must(&w->c, compiled_find(&w->c, other.id, 1, &more));
    compiled_put(&more);
    must(&w->c, compiled_find(&w->c, one.id, 1, &again)); /* used last */
    assert_ptr_equal(held, again);
    compiled_put(&again);
    for (int i = 0; i < 3; i++) {
        must(&w->c, compiled_find(&w->c, i % 2 ? other.id : third.id, 1, &more));
        compiled_put(&more);
    }
    must(&w->c, compiled_find(&w->c, one.id, 1, &again));
    assert_int_equal(compiled_view(held)->row->number, compiled_view(again)->row->number);
    compiled_put(&held);
    compiled_put(&again);
}

static void an_account_takes_its_templates_along(void **state)
{
    struct world *w = *state;
    struct batch *b = batch_new(w->arena);

    published(w, "mine", 100);
    act(w, &w->other_key, "api");
    published(w, "theirs", 100);
    batch_delete(b, &account_kind, w->account, NULL, 0);
    commit(w, b);
    sweep(w);
    assert_int_equal(rows_left(w, &template_kind), 1);
    assert_int_equal(rows_left(w, &template_version_kind), 1);
    assert_int_equal(rows_left(w, &layout_kind), 1);
    assert_int_equal(rows_left(w, &partial_kind), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_version_is_compiled_once),
        TEST(the_least_used_goes),
        TEST(an_account_takes_its_templates_along),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
