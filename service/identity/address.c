/* service/identity/address.c - further addresses: of users, and such as are sent on. The primary one comes and goes
 * with its user.
 *
 * The batch that makes or takes an address changes the counters of its user and its domain too: so neither can be
 * deleted beside it. A move demands that the address is still with the user it was read with. */
#include "service/identity/address.h"
#include "mail/address.h"
#include "service/core/state.h"
#include "service/identity/directory.h"
#include "service/identity/user_check.h"

static bool missing(struct call *c)
{
    return err_again(c, ERR_MISSING, "No such address");
}

bool address_by_text(struct call *c, struct bytes text, struct address_row *out)
{
    struct address address;
    struct bytes plain;
    struct err ignored = { 0 };
    struct value v;

    if (!address_parse(text, c->arena, &address, &ignored) ||
        !address_normalize(&address, true, c->arena, &plain, &ignored))
        return missing(c);
    v = V_TEXT(plain);
    return store_get_by(c->store, &address_kind, "address", &v, 1, c->arena, out, &c->err);
}

static bool address_find(struct call *c, struct bytes text, struct address_row *out)
{
    struct id id;
    bool found;

    if (!call_may(c, SCOPE_USERS))
        return false;
    if (id_parse("adr", text, &id))
        found = store_get(c->store, &address_kind, id, c->arena, out, &c->err);
    else
        found = address_by_text(c, text, out);
    if (found && id_equal(out->account_id, c->account) && call_reaches(c, out->domain_id))
        return true;
    return found ? missing(c) : false;
}

bool address_get(struct call *c, const struct address_get_in *in, struct address_row *out)
{
    return address_find(c, in->id, out);
}

bool address_list(struct call *c, const struct address_list_in *in, struct address_list_out *out)
{
    struct query q = { .kind = &address_kind, .index = "account", .n_conds = 1 };
    struct user_row user;

    *out = (struct address_list_out){ 0 };
    if (!call_may(c, SCOPE_USERS))
        return false;
    q.conds[0] = COND("account_id", IS, V_ID(c->account));
    if (in->user.p) {
        if (!user_of_account(c, in->user, &user))
            return call_was_missing(c); /* a filter finds nothing */
        q.index = "user";               /* whose addresses are all of the account */
        q.conds[0] = COND("user_id", IS, V_ID(user.id));
    }
    query_reached(c, &q, "domain_id");
    return call_list(c, &q, &in->page, (void **)&out->rows, &out->n, &out->page);
}

/* ---- the target ---- */

static bool find_user(struct call *c, struct bytes text, struct user_row *out)
{
    if (user_of_account(c, text, out) && call_reaches(c, out->domain_id))
        return true;
    if (!call_was_missing(c))
        return false;
    call_fault(c, "/target/user_id", "not_found", "No such user in this account");
    return true;
}

/* The form that deliveries have; one that is named twice, or is the address itself, would go round or come twice. */
static bool add_forward(struct call *c, size_t i, struct bytes text, struct bytes self, struct bytes *list, size_t *n)
{
    const char *pointer = arena_printf(c->arena, "/target/addresses/%zu", i);
    struct bytes plain;

    if (!directory_email(c, text, &plain))
        return false;
    if (bytes_equal_nocase(plain, self))
        return call_fault(c, pointer, "loop", "An address cannot be sent on to itself"), true;
    for (size_t j = 0; j < *n; j++)
        if (bytes_equal(list[j], plain))
            return true;
    list[(*n)++] = plain;
    return true;
}

static bool read_forward(struct call *c, const struct address_target *t, struct bytes self, struct bytes *json)
{
    struct bytes *given, list[FORWARD_MOST];
    size_t n_given, n = 0;

    if (!members_texts(c, t->addresses, &given, &n_given))
        return false;
    if (n_given == 0 || n_given > FORWARD_MOST) {
        call_fault(c, "/target/addresses", n_given ? "too_many" : "required", "One to %d addresses", FORWARD_MOST);
        return true;
    }
    for (size_t i = 0; i < n_given; i++)
        if (!add_forward(c, i, given[i], self, list, &n))
            return false;
    *json = members_texts_json(c->arena, list, n);
    return true;
}

/* Takes the target into the row. */
static bool find_target(struct call *c, const struct address_target *t, struct address_row *row)
{
    struct user_row user = { .id = NO_ID };

    row->forward = NO_BYTES;
    if (!t->forwards && !t->user.p)
        call_fault(c, "/target/user_id", "required", "Who gets its mail");
    if (!t->forwards && t->addresses.p)
        call_fault(c, "/target/addresses", "not_allowed", "Only a forward has addresses");
    if (t->user.p && !find_user(c, t->user, &user))
        return false;
    row->user_id = user.id;
    return !t->forwards || read_forward(c, t, row->address, &row->forward);
}

/* ---- the members ---- */

static void show_target(struct jw *w, const void *row)
{
    const struct address_row *a = row;

    jw_object(w);
    jw_key_text(w, "type", a->forward.p ? BYTES("forward") : BYTES("user"));
    if (a->forward.p)
        jw_key_raw(w, "addresses", a->forward);
    jw_key_id(w, "user_id", user_kind.prefix, a->user_id);
    jw_object_end(w);
}

static void read_target(struct json_object *value, struct arena *a, void *given)
{
    ((struct address_change *)given)->target =
        (struct address_target){ .forwards = bytes_equal(json_text(value, "type"), BYTES("forward")),
                                 .user = json_text(value, "user_id"),
                                 .addresses = json_tree_text(a, json_member(value, "addresses")) };
}

static const struct member address_list_[] = {
    MEMBER(ID, address_row, id, .prefix = "adr", .column = true),
    MEMBER(ID, address_row, account_id, .prefix = "acc"),
    MEMBER(TEXT, address_row, address, .given = MADE, .column = true),
    MEMBER(BOOL, address_row, primary, .column = true),
    { .name = "target", .type = MEMBER_OWN, .given = MADE | CHANGED, .show = show_target, .read = read_target },
    MEMBER(TIME, address_row, created_at),
};
MEMBERS(address, .object = "address", .path = "/v1/addresses/", .kind = &address_kind);

/* ---- changes ---- */

/* What failed of a batch that makes or moves an address. */
static bool lost(struct call *c, const struct batch *b)
{
    if (c->err.code != ERR_CONFLICT)
        return false;
    if (batch_failure(b).fault == FAULT_UNIQUE)
        return err_again(c, ERR_CONFLICT, "This address exists already");
    return err_again(c, ERR_CONFLICT, "The domain, user or address has changed meanwhile");
}

static void count_user(struct batch *b, struct arena *a, struct id user, int64_t n)
{
    struct set *more = arena_alloc(a, sizeof *more);

    *more = ADD("addresses", n);
    if (!id_is_none(user))
        batch_update(b, &user_kind, user, NULL, 0, more, 1);
}

bool address_create(struct call *c, const struct address_create_in *in, struct address_row *out)
{
    struct batch *b = batch_new(c->arena);
    const struct set more = ADD("addresses", 1);
    struct domain_row domain;
    struct bytes plain;

    if (!call_may(c, SCOPE_USERS) || !user_address_check(c, in->change.row.address, &plain, &domain))
        return false;
    *out = (struct address_row){
        .id = id_new(), .account_id = c->account, .domain_id = domain.id, .address = plain, .created_at = clock_wall()
    };
    if (!find_target(c, &in->change.target, out) || !call_check(c))
        return false;
    batch_insert(b, &address_kind, out, NULL, 0);
    batch_update(b, &domain_kind, domain.id, NULL, 0, &more, 1);
    count_user(b, c->arena, out->user_id, 1);
    if (!call_commit(c, b, out, out->id))
        return lost(c, b);
    directory_changed(c->svc);
    return true;
}

bool address_update(struct call *c, const struct address_update_in *in, struct address_row *out)
{
    struct batch *b = batch_new(c->arena);
    struct id was;

    if (!address_find(c, in->id, out))
        return false;
    if (!(in->change.named & members_named(&address_members, "target")))
        return true;
    was = out->user_id;
    if (!find_target(c, &in->change.target, out) || !call_check(c))
        return false;
    if (out->primary && !id_equal(out->user_id, was))
        return err_set(&c->err, ERR_IN_USE, "A user's primary address stays with them");
    const struct cond same = COND("user_id", IS, V_ID(was));
    const struct set to[] = { SET("user_id", V_ID(out->user_id)), SET("forward", V_JSON(out->forward)) };

    batch_update(b, &address_kind, out->id, &same, 1, to, 2);
    count_user(b, c->arena, was, -1);
    count_user(b, c->arena, out->user_id, 1);
    if (!call_commit(c, b, out, out->id))
        return lost(c, b);
    directory_changed(c->svc);
    return true;
}

bool address_delete(struct call *c, const struct address_delete_in *in, void *out)
{
    struct batch *b = batch_new(c->arena);
    const struct set less = ADD("addresses", -1);
    struct address_row row;

    (void)out;
    if (!address_find(c, in->id, &row))
        return false;
    if (row.primary)
        return err_set(&c->err, ERR_IN_USE, "A primary address goes with its user");
    const struct cond same = COND("user_id", IS, V_ID(row.user_id));

    batch_delete(b, &address_kind, row.id, &same, 1);
    batch_update(b, &domain_kind, row.domain_id, NULL, 0, &less, 1);
    count_user(b, c->arena, row.user_id, -1);
    if (!call_commit(c, b, NULL, row.id))
        return lost(c, b);
    directory_changed(c->svc);
    return true;
}
