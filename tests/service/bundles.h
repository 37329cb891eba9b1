/* tests/service/bundles.h - rows of events at random, of one event and of many, and beside them what was put in, event
 * by event: the reference that lists and followers are compared with. */
#ifndef TESTS_SERVICE_BUNDLES_H
#define TESTS_SERVICE_BUNDLES_H
#include "service/message/event.h"
#include "service/queue/bundle.h"
#include "tests/service/house.h"

static inline bool same_event(const struct event_row *a, const struct event_row *b)
{
    return id_equal(a->id, b->id) && id_equal(a->account_id, b->account_id) && id_equal(a->message_id, b->message_id) &&
           id_equal(a->delivery_id, b->delivery_id) && id_equal(a->user_id, b->user_id) &&
           id_equal(a->domain_id, b->domain_id) && bytes_equal(a->type, b->type) && bytes_equal(a->email, b->email) &&
           bytes_equal(a->mode, b->mode) && bytes_equal(a->tags, b->tags) && bytes_equal(a->metadata, b->metadata) &&
           bytes_equal(a->data, b->data) && !a->email.p == !b->email.p && !a->data.p == !b->data.p && a->at == b->at &&
           a->expires_at == b->expires_at;
}

static unsigned dice; /* the same sequence in every run */

static inline unsigned roll(unsigned sides)
{
    dice = dice * 1664525u + 1013904223u;
    return (dice >> 16) % sides;
}

static struct id domains[3]; /* the last is none */

/* What may differ within a row, at random. */
static inline struct event_row any_event(struct arena *a, const struct event_row *like)
{
    static const char *const types[] = { "email.delivered", "email.received", "email.captured" };
    struct event_row e = *like;

    e.type = bytes_of(types[roll(3)]);
    e.delivery_id = roll(4) ? id_new() : NO_ID;
    e.user_id = roll(2) ? id_new() : NO_ID;
    e.domain_id = domains[roll(3)];
    e.email = roll(9) ? arena_bytesf(a, "u%u@example.test", roll(1000)) : NO_BYTES;
    e.data = roll(3) ? BYTES("{\"attempt\":1}") : roll(2) ? arena_bytesf(a, "{\"attempt\":%u}", roll(99)) : NO_BYTES;
    return e;
}

/* Adds an event to the row and, as it is to be seen, to the list. */
static inline bool add(struct bundle *x, const struct event_row *e, struct event_row *list, size_t *n, struct arena *a)
{
    if (!bundle_add(x, e, a))
        return false;
    list[*n] = *e;
    list[*n].id = x->row->id;
    list[*n].id.b[15] = (uint8_t)(x->row->id.b[15] + x->n);
    list[(*n)++].bundle = NO_BYTES;
    return true;
}

#define MOST  4000
#define MAILS 4

static struct {
    struct event_row all[MOST]; /* in order */
    size_t n;
    struct id messages[2][MAILS], deliveries[2][MAILS];
} ref;

static inline void put(struct house *h, struct batch *b)
{
    must(h, store_commit(h->svc->store, b, clock_monotonic() + 60000, &h->c.err));
}

static inline void add_mails(struct house *h, size_t who, struct id account)
{
    struct batch *b = batch_new(h->arena);

    for (size_t i = 0; i < MAILS; i++) {
        struct message_row *m = arena_alloc(h->arena, sizeof *m);
        struct delivery_row *d = arena_alloc(h->arena, sizeof *d);

        *m = (struct message_row){ .id = id_new(), .account_id = account, .mode = BYTES("live") };
        *d = (struct delivery_row){ .id = id_new(), .account_id = account, .message_id = m->id, .mode = m->mode };
        m->direction = BYTES("outbound");
        d->status = BYTES("delivered");
        batch_insert(b, &message_kind, m, NULL, 0);
        batch_insert(b, &delivery_kind, d, NULL, 0);
        ref.messages[who][i] = m->id;
        ref.deliveries[who][i] = d->id;
    }
    put(h, b);
}

/* One row of up to `parts` events; 0: as older builds write them. */
static inline void add_row(struct house *h, struct batch *b, size_t who, struct id account, size_t parts,
                           struct bytes metadata)
{
    struct event_row *row = arena_alloc(h->arena, sizeof *row), e;
    struct bundle x;
    size_t mail = roll(MAILS);

    row->id = id_new();
    row->account_id = account;
    row->message_id = ref.messages[who][mail];
    row->mode = roll(3) ? BYTES("live") : BYTES("test");
    row->metadata = metadata;
    row->at = 5;
    e = any_event(h->arena, row);
    if (roll(2))
        e.type = BYTES("email.accepted");
    *row = e;
    if (parts)
        bundle_begin(&x, row);
    ref.all[ref.n++] = *row;
    for (size_t i = 1; i < parts; i++) {
        e = any_event(h->arena, row);
        e.delivery_id = roll(4) ? e.delivery_id : ref.deliveries[who][mail];
        if (!add(&x, &e, ref.all, &ref.n, h->arena))
            break;
    }
    batch_insert(b, &event_kind, row, NULL, 0);
}

static struct principal *people[2];

static inline void add_rows(struct house *h, size_t rows, size_t most, struct bytes metadata)
{
    while (rows > 0) {
        struct batch *b = batch_new(h->arena);

        for (size_t n = 1 + roll(5); n > 0 && rows > 0; n--, rows--) {
            size_t who = roll(4) == 0, parts = roll(3) ? roll(5) : roll(2) ? roll((unsigned)most + 1) : 0;

            add_row(h, b, who, people[who]->account_id, parts, metadata);
        }
        put(h, b);
    }
}

static inline void fill_store(struct house *h, size_t rows, size_t most, struct bytes metadata)
{
    ref.n = 0;
    dice = 7;
    domains[0] = id_new();
    domains[1] = id_new();
    for (size_t i = 0; i < 2; i++) {
        people[i] = tenant(h, i ? "two" : "one");
        add_mails(h, i, people[i]->account_id);
    }
    add_rows(h, rows, most, metadata);
}

/* One way to look: who asks for what. */
struct view {
    struct principal who;
    struct bytes type;
    struct id message, delivery;
    bool (*list)(struct call *c, const struct event_list_in *in, struct event_list_out *out);
};

/* Is it to be seen so? */
static inline bool wanted(const struct view *v, const struct event_row *e)
{
    bool bound = v->who.n_domain_ids && v->list == event_list;

    return id_equal(e->account_id, v->who.account_id) && (!v->who.test || bytes_equal(e->mode, BYTES("test"))) &&
           (!bound || id_equal(e->domain_id, v->who.domain_ids[0])) && (!v->type.p || bytes_equal(e->type, v->type)) &&
           (id_is_none(v->message) || id_equal(e->message_id, v->message)) &&
           (id_is_none(v->delivery) || id_equal(e->delivery_id, v->delivery));
}

#define VIEWS 10
static inline void views(struct view out[VIEWS])
{
    static const struct bytes delivered = BYTES_ROW("email.delivered"), none = BYTES_ROW("none.such");
    struct view all = { .who = *people[0], .list = event_list };

    for (size_t i = 0; i < VIEWS; i++)
        out[i] = all;
    out[1].who.domain_ids = domains;
    out[1].who.n_domain_ids = 1;
    out[2].type = delivered;
    out[3].type = none;
    out[4].who.test = true;
    out[5] = out[1];
    out[5].type = BYTES("email.accepted");
    out[6].who = *people[1];
    for (size_t i = 7; i < VIEWS; i++) {
        out[i].message = ref.messages[0][i % MAILS];
        out[i].list = message_event_list;
    }
    out[8].type = delivered;
    out[9].delivery = ref.deliveries[0][9 % MAILS];
    out[9].list = delivery_event_list;
}

/* What a view shows, oldest first. */
static inline size_t select_view(const struct view *v, const struct event_row **out)
{
    size_t n = 0;

    for (size_t i = 0; i < ref.n; i++)
        if (wanted(v, &ref.all[i]))
            out[n++] = &ref.all[i];
    return n;
}

static inline struct bytes keep(struct bytes text, char *room)
{
    if (!text.p)
        return NO_BYTES;
    memcpy(room, text.p, text.n);
    return (struct bytes){ room, text.n };
}
#endif
