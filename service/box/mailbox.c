/* service/box/mailbox.c - mailboxes and the tree they form.
 *
 * A request is judged by what was read, and its batch holds only if that is still so: the line of parents, the number
 * of mailboxes, the slot (place and name in one text, unique). When something has moved it is judged anew. So two
 * requests at once never make a circle, a second mailbox of one name, or a child of one that is being deleted. */
#include "service/box/mailbox.h"
#include "base/clock.h"
#include "base/params.h"
#include "service/box/gone.h"
#include "service/box/mailbox_name.h"
#include "service/core/idempotency.h"
#include "service/core/member.h"
#include "service/core/modseq.h"
#include "service/core/retry.h"
#include "service/identity/access.h"

#define DEPTH_MAX 16

/* ---- the members ---- */

static void show_subscribed(struct jw *w, const void *row)
{
    jw_bool(w, !((const struct mailbox_row *)row)->unsubscribed);
}

static void read_subscribed(struct json_object *value, struct arena *a, void *given)
{
    (void)a;
    ((struct mailbox_row *)given)->unsubscribed = !json_object_get_boolean(value);
}

static bool rule_subscribed(struct call *c, const void *given, void *row)
{
    (void)c;
    ((struct mailbox_row *)row)->unsubscribed = ((const struct mailbox_row *)given)->unsubscribed;
    return true;
}

static const struct member mailbox_list_[] = {
    MEMBER(ID, mailbox_row, id, .prefix = "mbx", .column = true),
    MEMBER(ID, mailbox_row, account_id, .prefix = "acc"),
    MEMBER(ID, mailbox_row, user_id, .prefix = "usr"),
    MEMBER(TEXT, mailbox_row, name, .given = MADE | CHANGED, .column = true),
    MEMBER(ID, mailbox_row, parent_id, .given = MADE | CHANGED, .prefix = "mbx"),
    MEMBER(TEXT, mailbox_row, role, .column = true),
    { .name = "subscribed",
      .type = MEMBER_OWN,
      .given = CHANGED,
      .field = "unsubscribed",
      .rule = rule_subscribed,
      .show = show_subscribed,
      .read = read_subscribed },
    MEMBER(INT, mailbox_row, total, .column = true),
    MEMBER(INT, mailbox_row, unseen, .column = true),
    MEMBER(INT, mailbox_row, bytes, .column = true),
    MEMBER(INT, mailbox_row, uid_next),
    MEMBER(INT, mailbox_row, uid_validity),
    MEMBER(INT, mailbox_row, modseq),
    MEMBER(TIME, mailbox_row, created_at),
};
MEMBERS(mailbox, .object = "mailbox", .path = "/v1/mailboxes/", .kind = &mailbox_kind);

struct bytes mailbox_slot(struct id parent, struct bytes name, struct arena *a)
{
    char text[ID_TEXT + 1] = "";

    if (!id_is_none(parent))
        id_format("", parent, text);
    return arena_bytesf(a, "%s/%.*s", text, SHOW(arena_lower(a, name)));
}

bool mailbox_list(struct call *c, const struct mailbox_list_in *in, struct mailbox_list_out *out)
{
    struct query q = { .kind = &mailbox_kind, .index = "user", .n_conds = 1 };
    struct directory_user user;
    void *rows = NULL;

    if (!access_user(c, in->user, SCOPE_MAIL_READ, &user))
        return false;
    q.conds[0] = COND("user_id", IS, V_ID(user.id));
    if (!call_list(c, &q, &in->page, &rows, &out->n, &out->page))
        return false;
    out->rows = rows;
    return true;
}

bool mailbox_get(struct call *c, const struct mailbox_get_in *in, struct mailbox_row *out)
{
    return access_mailbox(c, in->id, SCOPE_MAIL_READ, out);
}

/* The mailboxes above a place, the nearest first, as they were read. */
struct line {
    struct mailbox_row rows[DEPTH_MAX];
    size_t n;
};

static struct line *line_new(struct call *c)
{
    return arena_alloc(c->arena, sizeof(struct line));
}

/* The parent a request names: of the same user, and neither the mailbox itself nor below it. False when the store
 * failed; what is wrong with the parent is a fault of the request. */
static bool find_parent(struct call *c, struct id parent, const struct mailbox_row *self, struct line *out)
{
    struct id id = parent;

    out->n = 0;
    for (bool there = false; !id_is_none(id); id = out->rows[out->n++].parent_id) {
        if (out->n == DEPTH_MAX)
            return call_fault(c, "/parent_id", "too_deep", "At most %d levels", DEPTH_MAX), true;
        if (!store_look(c->store, &mailbox_kind, id, c->arena, &out->rows[out->n], &there, &c->err))
            return false;
        if (!there || !id_equal(out->rows[out->n].user_id, self->user_id))
            return call_fault(c, "/parent_id", "not_found", "No such mailbox of this user"), true;
        if (id_equal(id, self->id))
            return call_fault(c, "/parent_id", "circular", "A mailbox cannot stand below itself"), true;
    }
    return true;
}

/* On condition that the line is still the same: of two moves that cross, and would make a circle, only one passes. A
 * new child raises its parent's modseq: so a delete of the parent, which goes by it, cannot miss the child. */
static void hold_line(struct call *c, struct batch *b, const struct line *l, int modseq)
{
    struct cond *same = arena_array(c->arena, l->n + 1, sizeof *same);
    struct set *touched = arena_alloc(c->arena, sizeof *touched);

    *touched = FROM_SLOT("modseq", modseq, 0);
    for (size_t i = 0; i < l->n; i++) {
        same[i] = COND("parent_id", IS, V_ID(l->rows[i].parent_id));
        if (i == 0)
            batch_update(b, &mailbox_kind, l->rows[i].id, &same[i], 1, touched, 1);
        else
            batch_require(b, &mailbox_kind, l->rows[i].id, &same[i], 1);
    }
}

/* Did something change that the request should be judged by again? */
static bool has_moved(const struct call *c, const struct batch *b)
{
    enum batch_fault fault = batch_failure(b).fault;

    return c->err.code == ERR_CONFLICT && (fault == FAULT_CONDITION || fault == FAULT_MISSING);
}

static bool taken(struct call *c, const struct batch *b, struct bytes name)
{
    struct batch_failure f = batch_failure(b);

    if (c->err.code != ERR_CONFLICT)
        return false;
    if (f.fault == FAULT_UNIQUE)
        return err_set(&c->err, ERR_CONFLICT, "There is a mailbox %.*s already", SHOW(name));
    return err_set(&c->err, ERR_CONFLICT, "The mailboxes have just changed; try again");
}

/* UIDVALIDITY of the user's next mailbox: no two have the same, so one that is made again under its old name within a
 * second does not show other mail under uids that a client knows (RFC 9051 section 2.3.1.1). About the time in seconds,
 * so that a user who is made again begins above what was. */
static int64_t next_validity(const struct user_row *user)
{
    int64_t now = clock_wall() / 1000;

    return user->uid_validity < now ? now : user->uid_validity + 1;
}

/* The first operation of a batch that makes a mailbox. A fault when the user has mailbox.count_max. The number read
 * beforehand is a condition of the batch, so that the count holds, and a delete of the user cannot miss the new one. */
static bool check_count(struct call *c, struct mailbox_row *box, struct batch *b, int *modseq)
{
    static const char *const only[] = { "id", NULL };
    int64_t most = PARAM_INT(mailbox, count_max);
    struct query q = { .kind = &mailbox_kind, .index = "user", .n_conds = 1, .limit = (size_t)most, .only = only };
    struct cond *same = arena_alloc(c->arena, sizeof *same);
    struct set *more = arena_array(c->arena, 3, sizeof *more);
    struct user_row row;
    void *rows;
    size_t n;

    q.conds[0] = COND("user_id", IS, V_ID(box->user_id));
    if (!store_get(c->store, &user_kind, box->user_id, c->arena, &row, &c->err) ||
        !store_find(c->store, &q, c->arena, &rows, &n, &c->err))
        return false;
    if ((int64_t)n >= most)
        call_fault(c, "/name", "too_many", "A user has at most %lld mailboxes", (long long)most);
    *same = COND("mailboxes_made", IS, V_INT(row.mailboxes_made));
    box->uid_validity = next_validity(&row);
    *modseq = batch_slot(b);
    more[0] = ADD("mailboxes_made", 1);
    more[1] = SET("uid_validity", V_INT(box->uid_validity));
    more[2] = ADD_SLOT("modseq", 1, *modseq);
    batch_update(b, &user_kind, box->user_id, same, 1, more, 3);
    return true;
}

/* *again: what it was judged by has changed meanwhile. */
static bool create_once(struct call *c, void *arg, bool *again)
{
    struct mailbox_row *out = arg;
    struct batch *b = batch_new(c->arena);
    struct set *sets = arena_array(c->arena, 3, sizeof *sets);
    struct line *line = line_new(c);
    int modseq = -1;

    mailbox_name_check(c, &out->name);
    if (!find_parent(c, out->parent_id, out, line) || !check_count(c, out, b, &modseq) || !call_check(c))
        return false;
    out->slot = mailbox_slot(out->parent_id, out->name, c->arena);
    sets[0] = FROM_SLOT("modseq", modseq, 0);
    sets[1] = FROM_SLOT("created_modseq", modseq, 0);
    sets[2] = FROM_SLOT("props_modseq", modseq, 0);
    batch_insert(b, &mailbox_kind, out, sets, 3);
    hold_line(c, b, line, modseq);
    if (call_commit(c, b, NULL, out->id)) {
        out->modseq = batch_slot_value(b, modseq);
        return true;
    }
    *again = has_moved(c, b);
    return taken(c, b, out->name);
}

bool mailbox_create(struct call *c, const struct mailbox_create_in *in, struct mailbox_row *out)
{
    struct directory_user user;
    struct id kept;

    if (idempotency_again(c, &kept))
        return access_mailbox(c, id_text(c->arena, mailbox_kind.prefix, kept), SCOPE_MAIL_WRITE, out);
    if (!access_user(c, in->user, SCOPE_MAIL_WRITE, &user))
        return false;
    *out = (struct mailbox_row){ .id = id_new(),
                                 .account_id = user.account_id,
                                 .user_id = user.id,
                                 .name = in->given.name,
                                 .parent_id = in->given.parent_id,
                                 .uid_next = 1,
                                 .created_at = clock_wall() };
    return retry_run(c, in->user, create_once, out);
}

struct updating {
    const struct mailbox_update_in *in;
    struct mailbox_row *out;
};

/* What is named, into a row as it was read. */
static bool take_named(struct call *c, const struct mailbox_update_in *in, struct line *line, struct mailbox_row *out)
{
    if (!members_apply(c, &mailbox_members, &in->given, in->named, out))
        return false;
    if (in->named & members_named(&mailbox_members, "name"))
        mailbox_name_check(c, &out->name);
    if ((in->named & members_named(&mailbox_members, "parent_id")) && !find_parent(c, out->parent_id, out, line))
        return false;
    if (!call_check(c))
        return false;
    out->slot = mailbox_slot(out->parent_id, out->name, c->arena);
    return true;
}

/* `slot`: as it was read, made of the name and the place, of which a request may name one. The modseq's slot. */
static int write_named(struct call *c, struct batch *b, const struct mailbox_row *box, struct bytes slot,
                       bool subscribed)
{
    struct set *sets = arena_array(c->arena, 6, sizeof *sets);
    struct cond *same = arena_alloc(c->arena, sizeof *same);
    int modseq = modseq_raise(b, c->arena, box->user_id);

    *same = COND("slot", IS, V_TEXT(slot));
    sets[0] = SET("name", V_TEXT(box->name));
    sets[1] = SET("parent_id", V_ID(box->parent_id));
    sets[2] = SET("slot", V_TEXT(box->slot));
    sets[3] = FROM_SLOT("modseq", modseq, 0);
    sets[4] = FROM_SLOT("props_modseq", modseq, 0);
    sets[5] = SET("unsubscribed", V_BOOL(box->unsubscribed));
    batch_update(b, &mailbox_kind, box->id, same, 1, sets, subscribed ? 6 : 5);
    return modseq;
}

static bool update_once(struct call *c, void *arg, bool *again)
{
    const struct mailbox_update_in *in = ((const struct updating *)arg)->in;
    struct mailbox_row *out = ((const struct updating *)arg)->out;
    struct batch *b = batch_new(c->arena);
    uint64_t subscribed = members_named(&mailbox_members, "subscribed");
    struct line *line = line_new(c);
    struct bytes slot;
    int modseq;

    if (!access_mailbox(c, in->id, SCOPE_MAIL_WRITE, out))
        return false;
    if (out->role.p && in->named != subscribed)
        return err_set(&c->err, ERR_IN_USE, "A mailbox with a role keeps its name and place");
    if (!in->named)
        return true;
    slot = out->slot;
    if (!take_named(c, in, line, out))
        return false;
    modseq = write_named(c, b, out, slot, in->named & subscribed);
    hold_line(c, b, line, modseq);
    if (call_commit(c, b, NULL, out->id)) {
        out->modseq = batch_slot_value(b, modseq);
        return true;
    }
    *again = has_moved(c, b);
    return taken(c, b, out->name);
}

bool mailbox_update(struct call *c, const struct mailbox_update_in *in, struct mailbox_row *out)
{
    struct updating w = { in, out };

    return retry_run(c, in->id, update_once, &w);
}

bool mailbox_delete(struct call *c, const struct mailbox_delete_in *in, void *out)
{
    struct query q = { .kind = &mailbox_kind, .index = "user", .n_conds = 2, .limit = 1 };
    struct cond empty[2];
    struct mailbox_row row;
    struct batch *b = batch_new(c->arena);
    void *children;
    size_t n;

    (void)out;
    if (!access_mailbox(c, in->id, SCOPE_MAIL_WRITE, &row))
        return false;
    if (row.role.p)
        return err_set(&c->err, ERR_IN_USE, "A mailbox with a role cannot be deleted");
    q.conds[0] = COND("user_id", IS, V_ID(row.user_id));
    q.conds[1] = COND("parent_id", IS, V_ID(row.id));
    if (!store_find(c->store, &q, c->arena, &children, &n, &c->err))
        return false;
    if (n || row.total)
        return err_set(&c->err, ERR_IN_USE, n ? "There are mailboxes below it" : "There are messages in it");
    gone_mailbox(b, c->arena, &row, modseq_raise(b, c->arena, row.user_id));
    /* An entry that came meanwhile has raised total, a child the modseq (hold_line). */
    empty[0] = COND("total", IS, V_INT(0));
    empty[1] = COND("modseq", IS, V_INT(row.modseq));
    batch_delete(b, &mailbox_kind, row.id, empty, 2);
    if (store_commit(c->store, b, c->deadline, &c->err))
        return true;
    return c->err.code == ERR_CONFLICT ? err_set(&c->err, ERR_IN_USE, "The mailbox has just changed") : false;
}
