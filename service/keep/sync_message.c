/* service/keep/sync_message.c - the counts of a message, and of those that other accounts of this server have of it.
 *
 * Both are judged by the sender's deliveries, since those are all there are. They may expire before their message, and
 * a user may be gone: a count that could be right is left as it is, and only what nothing but a mistake explains is
 * off. */
#include "base/clock.h"
#include "service/keep/sync_private.h"
#include "service/queue/ending.h"

enum { COUNTS = 6, AGE_SURE_MS = 3600000, USERS_AT_ONCE = 64 };

static const char *const counters[COUNTS] = {
    "n_open", "n_held", "n_delivered", "n_captured", "n_failed", "n_cancelled"
};
enum { OPEN, HELD, DELIVERED };

/* What an account of this server has got of the message. */
struct guest {
    struct guest *next;
    struct id account;
    int64_t open, held, delivered;
};

struct tally {
    struct look *look;
    const struct message_row *message;
    int64_t n[COUNTS];
    struct guest *guests;
};

static size_t counter_of(struct bytes status)
{
    if (bytes_equal(status, BYTES("held")))
        return HELD;
    for (int o = 0; o < OUTCOMES; o++)
        if (bytes_equal(status, bytes_of(outcome_row((enum outcome)o)->status)))
            for (size_t i = 0; i < COUNTS; i++)
                if (strcmp(outcome_row((enum outcome)o)->counter, counters[i]) == 0)
                    return i;
    return OPEN; /* "sending" */
}

static int64_t counter_in(const struct message_row *m, size_t i)
{
    return *(const int64_t *)(const void *)((const char *)m + kind_field(&message_kind, counters[i])->offset);
}

/* ---- other accounts ---- */

static struct guest *guest_of(struct tally *t, struct id account)
{
    struct guest *g = t->guests;

    while (g && !id_equal(g->account, account))
        g = g->next;
    if (g)
        return g;
    g = arena_alloc(t->look->arena, sizeof *g);
    *g = (struct guest){ .next = t->guests, .account = account };
    t->guests = g;
    return g;
}

/* A delivery to another account's mailbox. What waits to be filed has its entry's id; what failed has none. */
static void add_guest(struct tally *t, const struct delivery_row *d, const struct user_row *user)
{
    struct id account = id_is_none(d->guest_id) ? user->account_id : d->guest_id;
    size_t counter = counter_of(d->status);
    struct guest *g;

    if (id_is_none(account) || id_equal(account, d->account_id))
        return;
    g = guest_of(t, account);
    g->held += counter == HELD && !id_is_none(d->entry_id);
    g->open += counter == OPEN && !id_is_none(d->entry_id);
    g->delivered += counter == DELIVERED;
}

static bool add_guests(struct tally *t, const struct delivery_row *rows, size_t n)
{
    struct look *l = t->look;
    struct user_row *users = arena_array(l->page, USERS_AT_ONCE, sizeof *users);
    struct id ids[USERS_AT_ONCE];

    for (size_t i = 0; i < n; i++)
        ids[i] = rows[i].user_id;
    if (!store_get_many(l->st, &user_kind, ids, n, l->page, users, l->e))
        return false;
    for (size_t i = 0; i < n; i++)
        add_guest(t, &rows[i], &users[i]);
    return true;
}

/* Mail that a user or program here sent: its deliveries are the sender's, whoever gets them. */
static bool is_sent_here(const struct message_row *m)
{
    return bytes_equal(m->source, BYTES("api")) || bytes_equal(m->source, BYTES("submission"));
}

static bool add_page(void *arg, const void *rows, size_t n)
{
    const struct delivery_row *d = rows;
    struct tally *t = arg;

    for (size_t i = 0; i < n; i++)
        t->n[counter_of(d[i].status)]++;
    for (size_t i = 0; is_sent_here(t->message) && i < n; i += USERS_AT_ONCE)
        if (!add_guests(t, d + i, n - i < USERS_AT_ONCE ? n - i : USERS_AT_ONCE))
            return false;
    return true;
}

/* Only counts that nothing but a mistake explains: a delivery whose user is gone is seen as nobody's. */
static bool look_at_guest(struct look *l, const struct message_row *m, const struct guest *g)
{
    struct id id = message_id_for(m->body_id, g->account);
    struct message_row row;
    struct looked *t;
    bool there;

    if (!store_look(l->st, &message_kind, id, l->arena, &row, &there, l->e))
        return false;
    if (!there)
        return true;
    t = look_row(l, &message_kind, id, row.header_message_id);
    looked_value(t, "n_open", row.n_open, g->open);
    looked_value(t, "n_held", row.n_held, g->held);
    looked_value(t, "n_delivered", row.n_delivered, g->delivered > row.n_delivered ? g->delivered : row.n_delivered);
    return true;
}

/* ---- its own ---- */

static void judge(struct looked *t, const struct message_row *m, const int64_t n[COUNTS])
{
    int64_t found = 0, kept = 0;
    bool all;

    for (size_t i = 0; i < COUNTS; i++) {
        found += n[i];
        kept += counter_in(m, i);
    }
    all = found >= kept || clock_wall() < m->created_at + AGE_SURE_MS;
    for (size_t i = 0; i < COUNTS; i++) {
        int64_t was = counter_in(m, i);

        looked_value(t, counters[i], was, i <= HELD || all || n[i] > was ? n[i] : was);
    }
}

/* What other accounts have of it is judged with the sender's message. */
bool look_at_message(struct look *l, struct id id)
{
    static const char *const only[] = { "id",       "message_id", "account_id", "user_id",
                                        "entry_id", "status",     "guest_id",   NULL };
    struct message_row row;
    struct tally tally = { .look = l, .message = &row };
    struct looking deliveries = { &delivery_kind, "message", "message_id", id, only, NULL, add_page, &tally };
    bool there;

    if (!store_look(l->st, &message_kind, id, l->arena, &row, &there, l->e))
        return false;
    if (!there)
        return true;
    if (is_sent_here(&row) && bytes_equal(row.direction, BYTES("inbound")))
        return true;
    if (!look_through(l, &deliveries))
        return false;
    judge(look_row(l, &message_kind, id, row.header_message_id), &row, tally.n);
    for (const struct guest *g = tally.guests; g; g = g->next)
        if (!look_at_guest(l, &row, g))
            return false;
    return true;
}
