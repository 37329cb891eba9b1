/* service/keep/sync_user.c - a user, and the mailboxes whose entries make up what they have used.
 *
 * A mailbox is read before and after its entries: every change of an entry changes a number of it, so two equal
 * readings say that what was counted in between belongs together. uid_next and modseq are only raised: clients hold
 * them. */
#include "service/keep/sync_private.h"

struct sum {
    int64_t total, unseen, bytes, uid_next, modseq, uid_validity;
};

static void add_entry(void *arg, const void *row)
{
    const struct entry_row *entry = row;
    struct sum *s = arg;

    s->total++;
    s->unseen += entry->flags & ENTRY_SEEN ? 0 : 1;
    s->bytes += entry->size;
    if (entry->uid >= s->uid_next)
        s->uid_next = entry->uid + 1;
    if (entry->modseq > s->modseq)
        s->modseq = entry->modseq;
}

static bool same_box(const struct mailbox_row *a, const struct mailbox_row *b)
{
    return a->total == b->total && a->unseen == b->unseen && a->bytes == b->bytes && a->uid_next == b->uid_next &&
           a->modseq == b->modseq;
}

/* The entries, between two reads of their mailbox: every change of an entry changes a number of it. */
static bool look_at_box(struct look *l, const struct mailbox_row *box, struct sum *user)
{
    static const char *const only[] = { "id", "mailbox_id", "uid", "modseq", "flags", "size", NULL };
    struct sum sum = { .uid_next = box->uid_next, .modseq = box->modseq };
    struct looking entries = { &entry_kind, "uid", "mailbox_id", box->id, only, add_entry, NULL, &sum };
    struct looked *t = look_row(l, &mailbox_kind, box->id, box->name);
    struct mailbox_row again = { .id = NO_ID };
    bool there;

    if (!look_through(l, &entries) || !store_look(l->st, &mailbox_kind, box->id, l->arena, &again, &there, l->e))
        return false;
    l->changed = l->changed || !same_box(box, &again);
    looked_value(t, "total", box->total, sum.total);
    looked_value(t, "unseen", box->unseen, sum.unseen);
    looked_value(t, "bytes", box->bytes, sum.bytes);
    looked_value(t, "uid_next", box->uid_next, sum.uid_next);
    looked_value(t, "modseq", box->modseq, sum.modseq);
    user->bytes += sum.bytes;
    if (sum.modseq > user->modseq)
        user->modseq = sum.modseq;
    if (box->uid_validity > user->uid_validity)
        user->uid_validity = box->uid_validity;
    return true;
}

struct boxes {
    struct look *look;
    struct mailbox_row *rows;
    size_t n, cap;
};

static void add_box(void *arg, const void *row)
{
    struct boxes *b = arg;

    if (b->n == b->cap) {
        b->cap = b->cap ? 2 * b->cap : 16;
        b->rows = arena_more(b->look->arena, b->rows, b->n, b->cap, sizeof *b->rows);
    }
    b->rows[b->n] = *(const struct mailbox_row *)row;
    b->rows[b->n].name = arena_copy(b->look->arena, b->rows[b->n].name); /* its page goes */
    b->n++;
}

static bool look_at_boxes(struct look *l, struct id user, struct sum *sum)
{
    struct boxes boxes = { .look = l };
    struct looking all = { &mailbox_kind, "user", "user_id", user, NULL, add_box, NULL, &boxes };

    if (!look_through(l, &all))
        return false;
    for (size_t i = 0; i < boxes.n; i++)
        if (!look_at_box(l, &boxes.rows[i], sum))
            return false;
    return true;
}

bool look_at_user(struct look *l, struct id id)
{
    struct looking of_user = { .kind = &address_kind, .index = "user", .field = "user_id", .id = id };
    struct sum sum = { 0 };
    int64_t addresses;
    struct user_row row;
    struct looked *t;
    bool there;

    if (!store_look(l->st, &user_kind, id, l->arena, &row, &there, l->e))
        return false;
    if (!there)
        return true;
    t = look_row(l, &user_kind, id, row.address);
    sum.modseq = row.modseq;
    sum.uid_validity = row.uid_validity;
    if (!look_count(l, of_user, &addresses) || !look_at_boxes(l, id, &sum))
        return false;
    looked_value(t, "addresses", row.addresses, addresses);
    looked_value(t, "used", row.used, sum.bytes);
    looked_value(t, "modseq", row.modseq, sum.modseq);
    looked_value(t, "uid_validity", row.uid_validity, sum.uid_validity);
    return true;
}
