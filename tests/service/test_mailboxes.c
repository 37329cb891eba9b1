/* The tree of a user's mailboxes while others change it too, how many there may be, and how all of it ends. */
#include "house.h"
#include "service/core/member.h"
#include "store/engine.h"

/* Runs once, before the next batch is committed: what another client does in between. */
static const struct engine *inner;
static struct engine crossed;
static void (*meanwhile)(void *arg);
static void *meanwhile_arg;

static bool commit(struct store *st, struct batch *b, int64_t deadline, struct err *e)
{
    void (*run)(void *arg) = meanwhile;

    meanwhile = NULL;
    if (run) {
        st->engine = inner;
        run(meanwhile_arg);
        st->engine = &crossed;
    }
    return inner->commit(st, b, deadline, e);
}

static void cross(struct house *h, void (*run)(void *arg), void *arg)
{
    meanwhile = run;
    meanwhile_arg = arg;
    if (!inner)
        inner = h->svc->store->engine;
    crossed = *inner;
    crossed.commit = commit;
    h->svc->store->engine = run ? &crossed : inner;
}

/* ---- what everybody does ---- */

struct move {
    struct house *h;
    struct principal *who;
    struct bytes what, user;
    struct id to;
    bool ok;
    struct err err;
};

static bool moved(struct call *c, struct bytes what, struct id to)
{
    struct mailbox_update_in in = { .id = what, .given = { .parent_id = to } };
    struct mailbox_row row;

    in.named = members_named(&mailbox_members, "parent_id");
    return mailbox_update(c, &in, &row);
}

static bool made(struct call *c, struct bytes user, const char *name, struct mailbox_row *out)
{
    struct mailbox_create_in in = { .user = user, .given = { .name = B(name) } };

    return mailbox_create(c, &in, out);
}

static void move_too(void *arg)
{
    struct move *m = arg;
    struct call c;

    call_init(&c, m->h->svc, m->h->arena, "test");
    assert_true(call_act_as(&c, m->who, NO_BYTES));
    m->ok = m->what.p ? moved(&c, m->what, m->to) : made(&c, m->user, "between", &(struct mailbox_row){ 0 });
    m->err = c.err;
}

static void delete_user_too(void *arg)
{
    struct user_delete_in in = { .id = ((struct move *)arg)->user, .erase = true };
    struct move *m = arg;
    struct call c;

    call_init(&c, m->h->svc, m->h->arena, "test");
    assert_true(call_act_as(&c, m->who, NO_BYTES));
    m->ok = user_delete(&c, &in, NULL);
    m->err = c.err;
}

static size_t boxes_of(struct house *h, struct id user)
{
    struct query q = { .kind = &mailbox_kind, .index = "user", .n_conds = 1, .limit = 5000 };
    void *rows;
    size_t n;

    q.conds[0] = COND("user_id", IS, V_ID(user));
    must(h, store_find(h->svc->store, &q, h->arena, &rows, &n, &h->c.err));
    return n;
}

static struct id box_named(struct house *h, struct principal *who, struct bytes user, const char *name)
{
    struct mailbox_row row;

    must(h, made(as(h, who), user, name, &row));
    return row.id;
}

/* ---- the tests ---- */

/* One moves below the other while that one moves below it: a circle of which no list would ever come out. */
static void moves_that_cross_make_no_circle(void **state)
{
    struct house *h = *state;
    struct principal *p = tenant(h, "a");
    struct bytes user_id;
    struct id a, b, below;
    struct move other;

    domain(h, p, "a.test");
    user_id = text_of(h, "usr", user(h, p, "ana@a.test", NULL).id);
    a = box_named(h, p, user_id, "a");
    b = box_named(h, p, user_id, "b");
    below = box_named(h, p, user_id, "below b");
    must(h, moved(as(h, p), text_of(h, "mbx", below), b));
    other = (struct move){ .h = h, .who = p, .what = text_of(h, "mbx", b), .to = a };
    cross(h, move_too, &other);
    faults(h, moved(as(h, p), text_of(h, "mbx", a), below), "/parent_id");
    assert_true(other.ok);
    cross(h, NULL, NULL);
    must(h, moved(as(h, p), text_of(h, "mbx", b), NO_ID));
    must(h, moved(as(h, p), text_of(h, "mbx", a), below));
}

static void a_user_has_so_many(void **state)
{
    struct house *h = *state;
    struct principal *p = tenant(h, "a");
    struct mailbox_row row;
    struct bytes user_id;
    struct move other;

    domain(h, p, "a.test");
    user_id = text_of(h, "usr", user(h, p, "ana@a.test", NULL).id);
    set_param("mailbox.count_max", "10");
    for (int i = 0; i < 3; i++)
        must(h, made(as(h, p), user_id, arena_printf(h->arena, "box %d", i), &row));
    other = (struct move){ .h = h, .who = p, .user = user_id };
    cross(h, move_too, &other); /* the last free place goes to the other */
    faults(h, made(as(h, p), user_id, "one more", &row), "/name");
    assert_true(other.ok);
    cross(h, NULL, NULL);
}

static void a_mailbox_leaves_no_orphan(void **state)
{
    struct house *h = *state;
    struct principal *p = tenant(h, "a");
    struct user_delete_in gone = { .erase = true };
    struct mailbox_row row;
    struct user_row ana, bo;
    struct move other;

    domain(h, p, "a.test");
    ana = user(h, p, "ana@a.test", NULL);
    other = (struct move){ .h = h, .who = p, .user = text_of(h, "usr", ana.id) };
    cross(h, delete_user_too, &other); /* while the mailbox is made */
    wont(h, made(as(h, p), other.user, "late", &row), ERR_MISSING);
    assert_true(other.ok);
    assert_int_equal(boxes_of(h, ana.id), 0);
    cross(h, NULL, NULL);

    bo = user(h, p, "bo@a.test", NULL);
    other.user = gone.id = text_of(h, "usr", bo.id);
    cross(h, move_too, &other); /* while the user goes */
    must(h, user_delete(as(h, p), &gone, NULL));
    cross(h, NULL, NULL);
    assert_int_equal(boxes_of(h, bo.id), 0);
}

/* As they may be there from before the limit. */
static void fill(struct house *h, const struct user_row *u, const char *domain_name, struct id domain_id)
{
    struct batch *b = batch_new(h->arena);
    struct set *more = arena_alloc(h->arena, sizeof *more);
    struct err e = { 0 };

    *more = ADD("addresses", 1100);
    for (int i = 0; i < 2300; i++) {
        struct mailbox_row *box = arena_alloc(h->arena, sizeof *box);

        *box = (struct mailbox_row){ .id = id_new(), .account_id = u->account_id, .user_id = u->id };
        box->name = box->slot = arena_bytesf(h->arena, "many %d", i);
        batch_insert(b, &mailbox_kind, box, NULL, 0);
    }
    for (int i = 0; i < 1100; i++) {
        struct address_row *row = arena_alloc(h->arena, sizeof *row);

        *row = (struct address_row){ .id = id_new(), .account_id = u->account_id, .user_id = u->id };
        row->domain_id = domain_id;
        row->address = arena_bytesf(h->arena, "alias%d@%s", i, domain_name);
        batch_insert(b, &address_kind, row, NULL, 0);
    }
    batch_update(b, &user_kind, u->id, NULL, 0, more, 1);
    batch_update(b, &domain_kind, domain_id, NULL, 0, more, 1);
    assert_true(store_commit(h->svc->store, b, clock_monotonic() + 30000, &e));
}

static void a_user_with_very_many_goes_all_the_same(void **state)
{
    struct house *h = *state;
    struct principal *p = tenant(h, "a");
    struct domain_row d = domain(h, p, "a.test");
    struct domain_delete_in empty = { .id = text_of(h, "dom", d.id) };
    struct user_delete_in gone = { .erase = false };

    for (int erase = 0; erase < 2; erase++) {
        struct user_row ana = user(h, p, "ana@a.test", NULL);

        fill(h, &ana, "a.test", d.id);
        gone.id = text_of(h, "usr", ana.id);
        gone.erase = erase;
        must(h, user_delete(as(h, p), &gone, NULL));
        assert_int_equal(boxes_of(h, ana.id), 0);
    }
    must(h, domain_delete(as(h, p), &empty, NULL)); /* it counts no address any more */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(moves_that_cross_make_no_circle),
        TEST(a_user_has_so_many),
        TEST(a_mailbox_leaves_no_orphan),
        TEST(a_user_with_very_many_goes_all_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
