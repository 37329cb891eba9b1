/* service/box/user_whole.c - users, made and ended as a whole.
 *
 * A user, the primary address and the six mailboxes come in one batch. Ending takes steps, since a user may have more
 * than a batch should hold: the door is closed first, mail and surplus rows go in slices, and the rest goes in one
 * batch that demands that nothing came meanwhile. A crash in between leaves a disabled user, who can be deleted
 * again. */
#include "service/box/user_whole.h"
#include "base/clock.h"
#include "base/params.h"
#include "service/box/gone.h"
#include "service/box/mailbox.h"
#include "service/core/modseq.h"
#include "service/core/secrets.h"
#include "service/identity/auth.h"
#include "service/identity/directory.h"
#include "service/identity/user_check.h"

#define COMMIT_MS   30000
#define SLICE_TRIES 5
#define MAILBOXES   1000 /* looked at in one go */
#define DROP_SLICE  1000 /* mailboxes or addresses that one batch takes */
#define SLICE_ARENA ((size_t)16 * 1024 * 1024)
#define ERASE_TRIES 5

static const struct {
    const char *name, *role;
} first_boxes[] = {
    { "INBOX", "inbox" }, { "Sent", "sent" },   { "Drafts", "drafts" },
    { "Junk", "junk" },   { "Trash", "trash" }, { "Archive", "archive" },
};
#define BOXES (sizeof first_boxes / sizeof *first_boxes)

/* ---- making ---- */

static void add_boxes(struct call *c, struct batch *b, const struct user_row *user)
{
    struct mailbox_row *rows = arena_array(c->arena, BOXES, sizeof *rows);

    /* Backwards, so that a list, newest first, begins with the INBOX. */
    for (size_t i = BOXES; i-- > 0;) {
        rows[i] = (struct mailbox_row){
            .id = id_new(),
            .account_id = user->account_id,
            .user_id = user->id,
            .name = bytes_of(first_boxes[i].name),
            .role = bytes_of(first_boxes[i].role),
            .slot = mailbox_slot(NO_ID, bytes_of(first_boxes[i].name), c->arena),
            .uid_next = 1,
            .uid_validity = user->created_at / 1000 + (int64_t)i,
            .modseq = 1,
            .created_modseq = 1,
            .props_modseq = 1,
            .created_at = user->created_at,
        };
        batch_insert(b, &mailbox_kind, &rows[i], NULL, 0);
    }
}

static void add_address(struct call *c, struct batch *b, const struct user_row *user)
{
    struct address_row *row = arena_alloc(c->arena, sizeof *row);
    struct set *more = arena_alloc(c->arena, sizeof *more);

    *row = (struct address_row){
        .id = id_new(),
        .account_id = user->account_id,
        .domain_id = user->domain_id,
        .user_id = user->id,
        .address = user->address,
        .primary = true,
        .created_at = user->created_at,
    };
    *more = ADD("addresses", 1);
    batch_insert(b, &address_kind, row, NULL, 0);
    batch_update(b, &domain_kind, user->domain_id, NULL, 0, more, 1);
}

/* As it is before anything is named. */
static void blank_row(const struct call *c, struct id domain, struct bytes address, struct user_row *out)
{
    *out = (struct user_row){
        .id = id_new(),
        .account_id = c->account,
        .domain_id = domain,
        .address = address,
        .encryption = BYTES("server"),
        .quota = PARAM_INT(users, quota_default),
        .save_sent = true,
        .created_at = clock_wall(),
        .addresses = 1,
        .modseq = 1,
    };
    out->uid_validity = out->created_at / 1000 + (int64_t)BOXES - 1;
}

bool user_create(struct call *c, const struct user_create_in *in, struct user_row *out)
{
    struct batch *b = batch_new(c->arena);
    struct domain_row domain;
    struct bytes address;

    if (!call_may(c, SCOPE_USERS) || !user_address_check(c, in->change.row.address, &address, &domain))
        return false;
    blank_row(c, domain.id, address, out);
    if (!members_apply(c, &user_members, &in->change, in->change.named & ~members_named(&user_members, "address"),
                       out) ||
        !call_check(c) || !user_finish(c, &in->change, in->change.named, out))
        return false;
    user_key_make(c->svc, out->id, c->arena, &out->user_key, &out->user_key_wrap);
    index_key_make(c->svc, out->id, c->arena, &out->index_key, &out->index_key_wrap);
    batch_insert(b, &user_kind, out, NULL, 0);
    add_address(c, b, out);
    add_boxes(c, b, out);
    if (call_commit(c, b, out, out->id)) {
        directory_changed(c->svc);
        return true;
    }
    if (c->err.code != ERR_CONFLICT)
        return false;
    return err_again(c, ERR_CONFLICT,
                     batch_failure(b).fault == FAULT_MISSING ? "The domain is gone" : "This address exists already");
}

/* ---- mail ---- */

/* A slice that meets an entry which was just changed is looked at anew, SLICE_TRIES times in all. */
static bool delete_slice(struct call *c, struct arena *a, const struct gone_place *at, size_t *n, int *tries)
{
    struct query q = { .kind = &entry_kind, .index = "uid", .n_conds = 1, .limit = (size_t)PARAM_INT(sweep, slice) };
    struct batch *b = batch_new(a);
    struct entry_row *rows;
    struct gone gone;
    void *found;

    q.conds[0] = COND("mailbox_id", IS, V_ID(at->mailbox_id));
    if (!store_find(c->store, &q, a, &found, n, &c->err))
        return false;
    if (*n == 0)
        return true;
    rows = found;
    gone_begin(&gone, b, a, at, *n);
    for (size_t i = 0; i < *n; i++)
        gone_entry(&gone, &rows[i]);
    gone_end(&gone);
    if (store_commit(c->store, b, clock_monotonic() + COMMIT_MS, &c->err)) {
        directory_add_used(c->svc, at->user_id, -gone.bytes);
        return true;
    }
    if (c->err.code != ERR_CONFLICT)
        return false;
    c->err = (struct err){ 0 };
    return ++*tries < SLICE_TRIES || err_set(&c->err, ERR_BUSY, "The mailbox is changing; try again");
}

/* The next mailboxes of the user behind *place, which moves on. */
static bool next_boxes(struct call *c, struct arena *a, struct id user, struct bytes *place, struct mailbox_row **boxes,
                       size_t *n)
{
    static const char *const only[] = { "id", "account_id", "user_id", NULL };
    struct query q = { .kind = &mailbox_kind, .index = "user", .n_conds = 1, .limit = MAILBOXES, .only = only };
    void *found = NULL;

    q.conds[0] = COND("user_id", IS, V_ID(user));
    q.after = *place;
    if (!store_find(c->store, &q, a, &found, n, &c->err))
        return false;
    *boxes = found;
    if (*n)
        *place = store_cursor(&q, &(*boxes)[*n - 1], c->arena);
    return true;
}

bool user_erase_mail(struct call *c, struct id user_id)
{
    struct arena *page = arena_new(SLICE_ARENA), *a = arena_new(SLICE_ARENA);
    struct mailbox_row *boxes = NULL;
    struct bytes place = NO_BYTES;
    size_t count, n;
    bool ok;

    do {
        arena_reset(page);
        ok = next_boxes(c, page, user_id, &place, &boxes, &count);
        for (size_t i = 0; ok && i < count; i++) {
            const struct gone_place at = { boxes[i].account_id, user_id, boxes[i].id };
            int tries = 0;

            do {
                arena_reset(a);
                ok = delete_slice(c, a, &at, &n, &tries);
            } while (ok && n);
        }
    } while (ok && count == MAILBOXES);
    arena_free(&page);
    arena_free(&a);
    return ok;
}

/* ---- ending ---- */

/* No more mail from here on, also when a crash leaves the rest undone. */
static bool close_door(struct call *c, struct id user)
{
    struct batch *b = batch_new(c->arena);
    const struct set off = SET("disabled", V_BOOL(true));

    batch_update(b, &user_kind, user, NULL, 0, &off, 1);
    if (!store_commit(c->store, b, c->deadline, &c->err))
        return c->err.code == ERR_CONFLICT ? err_again(c, ERR_MISSING, "No such user") : false;
    directory_changed(c->svc);
    auth_forget_user(c->svc, user);
    return true;
}

/* Mailboxes or addresses of a user, the newest first. */
static bool find_some(struct call *c, struct arena *a, const struct kind *k, struct id user, size_t limit, void **rows,
                      size_t *n)
{
    static const char *const of_box[] = { "id", "role", NULL }, *const of_address[] = { "id", "domain_id", "primary",
                                                                                        NULL };
    struct query q = { .kind = k, .index = "user", .n_conds = 1, .limit = limit, .descending = true };

    q.only = k == &mailbox_kind ? of_box : of_address;
    q.conds[0] = COND("user_id", IS, V_ID(user));
    return store_find(c->store, &q, a, rows, n, &c->err);
}

static void drop_address(struct batch *b, const struct address_row *row, const struct set *less)
{
    batch_delete(b, &address_kind, row->id, NULL, 0);
    batch_update(b, &domain_kind, row->domain_id, NULL, 0, less, 1);
}

/* Of addresses the further ones, of mailboxes the empty ones that the user made: the rest goes with the user's row. */
static bool drop_slice(struct call *c, struct arena *a, const struct kind *k, struct id user, void *rows, size_t n)
{
    const struct cond empty = COND("total", IS, V_INT(0));
    const struct set less = ADD("addresses", -1);
    const struct mailbox_row *mailboxes = rows;
    const struct address_row *addresses = rows;
    struct batch *b = batch_new(a);

    if (k == &mailbox_kind)
        modseq_raise(b, a, user);
    for (size_t i = 0; i < n; i++)
        if (k == &mailbox_kind && !mailboxes[i].role.p) {
            batch_delete(b, k, mailboxes[i].id, &empty, 1);
        } else if (k == &address_kind && !addresses[i].primary) {
            drop_address(b, &addresses[i], &less);
            batch_update(b, &user_kind, user, NULL, 0, &less, 1);
        }
    return store_commit(c->store, b, c->deadline, &c->err);
}

/* Until at most DROP_SLICE are left: one batch should not hold more. */
static bool thin(struct call *c, const struct kind *k, struct id user)
{
    struct arena *a = arena_new(SLICE_ARENA);
    size_t n;
    bool ok;

    do {
        void *rows = NULL;

        arena_reset(a);
        ok = find_some(c, a, k, user, DROP_SLICE + 1, &rows, &n);
        if (ok && n > DROP_SLICE)
            ok = close_door(c, user) && drop_slice(c, a, k, user, rows, n);
    } while (ok && n > DROP_SLICE);
    arena_free(&a);
    return ok;
}

static bool drop_addresses(struct call *c, struct batch *b, struct id user, struct cond *as_many)
{
    struct set *less = arena_alloc(c->arena, sizeof *less);
    struct address_row *rows;
    size_t n;

    if (!find_some(c, c->arena, &address_kind, user, DROP_SLICE, (void **)&rows, &n))
        return false;
    *less = ADD("addresses", -1);
    for (size_t i = 0; i < n; i++)
        drop_address(b, &rows[i], less);
    *as_many = COND("addresses", IS, V_INT((int64_t)n));
    return true;
}

static bool drop_boxes(struct call *c, struct batch *b, struct id user)
{
    struct mailbox_row *rows;
    size_t n;

    if (!find_some(c, c->arena, &mailbox_kind, user, DROP_SLICE, (void **)&rows, &n))
        return false;
    for (size_t i = 0; i < n; i++)
        batch_delete(b, &mailbox_kind, rows[i].id, NULL, 0);
    return true;
}

/* Everything of the user in one batch, provided that no mail, no address and no mailbox came meanwhile. */
static bool drop(struct call *c, struct id user)
{
    struct batch *b = batch_new(c->arena);
    struct cond *conds = arena_array(c->arena, 3, sizeof *conds);
    struct user_row row;

    if (!thin(c, &address_kind, user) || !thin(c, &mailbox_kind, user) ||
        !store_get(c->store, &user_kind, user, c->arena, &row, &c->err))
        return false;
    conds[0] = COND("used", IS, V_INT(0));
    conds[2] = COND("mailboxes_made", IS, V_INT(row.mailboxes_made));
    if (!drop_addresses(c, b, user, &conds[1]) || !drop_boxes(c, b, user))
        return false;
    batch_delete(b, &user_kind, user, conds, 3);
    return call_commit(c, b, NULL, user);
}

bool user_delete(struct call *c, const struct user_delete_in *in, void *out)
{
    struct user_row row;
    bool gone = false;

    (void)out;
    if (!user_get(c, &(struct user_get_in){ in->id }, &row) || !user_within_reach(c, &row))
        return false;
    if (row.used && !in->erase)
        return err_set(&c->err, ERR_IN_USE, "The user has mail: ?erase=true deletes it too");
    if (in->erase && !close_door(c, row.id))
        return false;
    for (int i = 0; !gone && i < (in->erase ? ERASE_TRIES : 1); i++) {
        c->err = (struct err){ 0 };
        if (in->erase && !user_erase_mail(c, row.id))
            return false;
        gone = drop(c, row.id);
        if (!gone && c->err.code != ERR_CONFLICT)
            return false;
    }
    if (!gone)
        return err_again(c, ERR_IN_USE, "The user is getting mail; try again");
    directory_changed(c->svc);
    auth_forget_user(c->svc, row.id);
    return true;
}
