/* A store that fails at any moment of an operation: the operation says so. Nothing is told to be missing, wrong or done
 * that could only not be looked at. */
#include "house.h"
#include "service/core/member.h"
#include "service/identity/address.h"
#include "service/message/event.h"
#include "service/message/message.h"
#include "store/engine.h"

/* The engine of the open store, one of whose calls fails: after `left` others. */
static const struct engine *inner;
static int left;

static bool fails(struct err *e)
{
    return left-- == 0 && !err_set(e, ERR_BUSY, "it does not answer");
}

static bool get(struct store *st, const struct kind *k, const struct id *ids, size_t n, struct arena *a, void *rows,
                struct err *e)
{
    return !fails(e) && inner->get(st, k, ids, n, a, rows, e);
}

static bool get_by(struct store *st, const struct unique_key *key, struct arena *a, void *row, struct err *e)
{
    return !fails(e) && inner->get_by(st, key, a, row, e);
}

static bool find(struct store *st, const struct plan *p, struct arena *a, struct rows *out, struct err *e)
{
    return !fails(e) && inner->find(st, p, a, out, e);
}

static bool blob_get(struct store *st, struct id id, unsigned n, struct arena *a, struct bytes *out, struct err *e)
{
    return !fails(e) && inner->blob_get(st, id, n, a, out, e);
}

static bool commit(struct store *st, struct batch *b, int64_t deadline, struct err *e)
{
    return !fails(e) && inner->commit(st, b, deadline, e);
}

static bool commit_begin(struct store *st, struct batch *b, int64_t deadline, void **job, struct err *e)
{
    return !fails(e) && inner->commit_begin(st, b, deadline, job, e);
}

/* ---- a house with everything in it ---- */

struct things {
    struct house *h;
    struct call *c;
    struct principal *owner;
    struct bytes domain, user;
    struct id box, below;
    struct bytes fresh; /* what was made for this try */
    int n;
};

static struct bytes name(struct things *t, const char *format)
{
    return arena_bytesf(t->h->arena, "%s%d@a.test", format, t->n++);
}

static struct send_address at(struct things *t, const char *email, const char *pointer)
{
    struct send_address s = { .pointer = pointer };

    must(t->h, address_parse(B(email), t->h->arena, &s.address, &t->h->c.err));
    return s;
}

static struct message_send_in a_send(struct things *t)
{
    struct message_send_in in = { .from = at(t, "ana@a.test", "/from"), .subject = B("s"), .text = B("t") };
    struct send_address *to = arena_alloc(t->h->arena, sizeof *to);

    *to = at(t, "ana@a.test", "/to/0");
    in.to = to;
    in.n_to = 1;
    return in;
}

static struct id new_box_in(struct things *t, struct id parent)
{
    struct mailbox_create_in in = { .user = t->user, .given = { .parent_id = parent, .name = name(t, "box") } };
    struct mailbox_row row;

    must(t->h, mailbox_create(as(t->h, t->owner), &in, &row));
    return row.id;
}

static struct bytes new_box(struct things *t)
{
    return text_of(t->h, "mbx", new_box_in(t, NO_ID));
}

static struct bytes new_message(struct things *t)
{
    struct message_send_in in = a_send(t);
    struct intake_out out;

    must(t->h, message_send(as(t->h, t->owner), &in, &out));
    return text_of(t->h, "msg", out.message_id);
}

static struct bytes new_entry(struct things *t)
{
    struct query q = { .kind = &entry_kind, .limit = 1, .descending = true };
    struct entry_row *rows;
    size_t n;

    new_message(t);
    must(t->h, store_find(t->h->svc->store, &q, t->h->arena, (void **)&rows, &n, &t->h->c.err));
    assert_int_equal(n, 1);
    return text_of(t->h, "ent", rows[0].id);
}

static struct bytes new_user(struct things *t)
{
    return text_of(t->h, "usr", user(t->h, t->owner, arena_text(t->h->arena, name(t, "user")), NULL).id);
}

static struct bytes nothing(struct things *t)
{
    return name(t, "new");
}

/* ---- what is asked ---- */

static bool send_reply(struct things *t)
{
    struct message_send_in in = a_send(t);
    struct intake_out out;

    in.in_reply_to = t->fresh;
    in.save_to_sent = true;
    return message_send(t->c, &in, &out);
}

static bool erase_message(struct things *t)
{
    struct message_delete_in in = { .id = t->fresh };

    return message_delete(t->c, &in, NULL);
}

static bool make_box(struct things *t)
{
    struct mailbox_create_in in = { .user = B("ana@a.test"), .given = { .parent_id = t->below, .name = t->fresh } };
    struct mailbox_row row;

    return mailbox_create(t->c, &in, &row);
}

static bool move_box(struct things *t)
{
    struct mailbox_update_in in = { .id = t->fresh, .given = { .parent_id = t->below } };
    struct mailbox_row row;

    in.named = members_named(&mailbox_members, "parent_id");
    return mailbox_update(t->c, &in, &row);
}

static bool drop_box(struct things *t)
{
    struct mailbox_delete_in in = { .id = t->fresh };

    return mailbox_delete(t->c, &in, NULL);
}

static bool list_boxes(struct things *t)
{
    struct mailbox_list_in in = { .user = B("ana@a.test") };
    struct mailbox_list_out out;

    return mailbox_list(t->c, &in, &out);
}

static bool move_entry(struct things *t)
{
    struct entry_update_in in = { .id = t->fresh, .given = { .mailbox_id = t->box } };
    struct entry_view out;

    in.named = members_named(&entry_members, "mailbox_id");
    return entry_update(t->c, &in, &out);
}

static bool drop_entry(struct things *t)
{
    struct entry_delete_in in = { .id = t->fresh };

    return entry_delete(t->c, &in, NULL);
}

static bool set_catch_all(struct things *t)
{
    struct domain_update_in in = { .id = t->domain, .given = { .catch_all = B("ana@a.test") } };
    struct domain_view out;

    in.named = members_named(&domain_members, "catch_all");
    return domain_update(t->c, &in, &out);
}

static bool make_user(struct things *t)
{
    struct user_create_in in = { .change.named = members_named(&user_members, "send_as") };
    struct user_row row;

    in.change.row.address = t->fresh;
    in.change.row.send_as = BYTES("[\"@a.test\",\"ana@a.test\"]");
    return user_create(t->c, &in, &row);
}

static bool erase_user(struct things *t)
{
    struct user_delete_in in = { .id = t->fresh, .erase = true };

    return user_delete(t->c, &in, NULL);
}

static bool make_alias(struct things *t)
{
    struct address_create_in in = { .change = { .row = { .address = t->fresh }, .target = { .user = t->user } } };
    struct address_row row;

    return address_create(t->c, &in, &row);
}

static bool make_key(struct things *t)
{
    struct key_create_in in = { .given = { .scopes = SCOPE_SEND, .domain_ids = BYTES("[\"a.test\"]") } };
    struct key_create_out out;

    in.named = members_named(&key_members, "scopes,domain_ids");
    return key_create(t->c, &in, &out);
}

static bool list_users(struct things *t)
{
    struct user_list_in in = { .domain = B("a.test") };
    struct user_list_out out;

    return user_list(t->c, &in, &out) && out.n;
}

static bool list_addresses(struct things *t)
{
    struct address_list_in in = { .user = B("ana@a.test") };
    struct address_list_out out;

    return address_list(t->c, &in, &out) && out.n;
}

static bool list_messages(struct things *t)
{
    struct message_list_in in = { .email = B("ANA@a.test") };
    struct message_list_out out;

    return message_list(t->c, &in, &out) && out.n;
}

static bool list_deliveries(struct things *t)
{
    struct delivery_list_in in = { .email = B("ANA@a.test") };
    struct delivery_list_out out;

    return delivery_list(t->c, &in, &out) && out.n;
}

/* Someone who is not there: found out only after a look at all names. */
static bool hear_of_nobody(struct things *t)
{
    struct user_get_in in = { .id = B("nobody@a.test") };
    struct user_row row;

    return user_get(t->c, &in, &row) || t->c->err.code == ERR_MISSING;
}

static const struct {
    const char *what;
    struct bytes (*prepare)(struct things *t);
    bool (*run)(struct things *t);
} operations[] = {
    { "answer a message", new_message, send_reply },
    { "answer an entry", new_entry, send_reply },
    { "erase a message", new_message, erase_message },
    { "make a mailbox", nothing, make_box },
    { "move a mailbox", new_box, move_box },
    { "delete a mailbox", new_box, drop_box },
    { "list mailboxes", nothing, list_boxes },
    { "move an entry", new_entry, move_entry },
    { "delete an entry", new_entry, drop_entry },
    { "set a catch-all", nothing, set_catch_all },
    { "make a user", nothing, make_user },
    { "erase a user", new_user, erase_user },
    { "make an address", nothing, make_alias },
    { "make a key", nothing, make_key },
    { "list users", nothing, list_users },
    { "list addresses", nothing, list_addresses },
    { "list messages", nothing, list_messages },
    { "list deliveries", nothing, list_deliveries },
    { "look for nobody", nothing, hear_of_nobody },
};

static void furnish(struct house *h, struct things *t)
{
    *t = (struct things){ .h = h, .owner = tenant(h, "a") };
    t->domain = text_of(h, "dom", domain(h, t->owner, "a.test").id);
    t->user = text_of(h, "usr", user(h, t->owner, "ana@a.test", NULL).id);
    t->box = new_box_in(t, NO_ID);
    t->below = new_box_in(t, t->box);
}

/* One try with the n-th call failing; false when fewer are made. */
static bool one_try(struct things *t, size_t i, int n, struct engine *broken)
{
    bool ok;

    t->fresh = operations[i].prepare(t);
    t->c = as(t->h, t->owner);
    directory_changed(t->h->svc);
    left = n;
    t->h->svc->store->engine = broken;
    ok = operations[i].run(t);
    t->h->svc->store->engine = inner;
    if (left < 0 && (ok || t->c->err.code != ERR_BUSY))
        fail_msg("%s, call %d: %s %s", operations[i].what, n + 1, ok ? "done" : err_row(t->c->err.code)->name,
                 t->c->err.message);
    if (left >= 0 && !ok)
        fail_msg("%s: %s", operations[i].what, t->c->err.message);
    return left < 0;
}

static void a_failure_is_told_as_one(void **state)
{
    struct house *h = *state;
    struct engine broken;
    struct things t;

    furnish(h, &t);
    inner = h->svc->store->engine;
    broken = *inner;
    broken.get = get;
    broken.get_by = get_by;
    broken.find = find;
    broken.blob_get = blob_get;
    broken.commit = commit;
    broken.commit_begin = commit_begin;
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
        int n = 0;

        while (one_try(&t, i, n, &broken))
            assert_in_range(++n, 1, 100);
        assert_in_range(n, 1, 100); /* it asks the store at all */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { TEST(a_failure_is_told_as_one) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
