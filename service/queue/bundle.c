/* service/queue/bundle.c - events packed into a row: see bundle.h.
 *
 * Behind their number each is written as what differs from the one before it, the row's own first: a byte that says
 * which of the fields below follow, then those, ids as they are and texts behind two bytes of length (none: null). So
 * of ten recipients the answer that they share is written once. What no event of a batch differs in (account, message,
 * mode, time, tags, metadata, retention) is the row's. */
#include "service/queue/bundle.h"
#include <assert.h>

enum { ID = sizeof(struct id), LENGTH = 2 };

static const size_t ids[] = {
    offsetof(struct event_row, delivery_id),
    offsetof(struct event_row, user_id),
    offsetof(struct event_row, domain_id),
};
static const size_t texts[] = {
    offsetof(struct event_row, type),
    offsetof(struct event_row, email),
    offsetof(struct event_row, data),
};
enum { IDS = sizeof ids / sizeof *ids, TEXTS = sizeof texts / sizeof *texts };

static struct id *id_in(struct event_row *e, size_t i)
{
    return (struct id *)(void *)((char *)e + ids[i]);
}

static struct bytes *text_in(struct event_row *e, size_t i)
{
    return (struct bytes *)(void *)((char *)e + texts[i]);
}

/* ---- writing ---- */

/* Which fields differ, and how much they take. */
static uint8_t differs(struct event_row *e, struct event_row *before, size_t *n)
{
    uint8_t mask = 0;

    *n = 1;
    for (size_t i = 0; i < IDS; i++)
        if (!id_equal(*id_in(e, i), *id_in(before, i))) {
            mask |= (uint8_t)(1u << i);
            *n += ID;
        }
    for (size_t i = 0; i < TEXTS; i++)
        if (!bytes_equal(*text_in(e, i), *text_in(before, i))) {
            mask |= (uint8_t)(1u << (IDS + i));
            *n += LENGTH + text_in(e, i)->n;
        }
    return mask;
}

static void put(struct bundle *x, struct bytes b)
{
    if (b.n)
        memcpy(x->bytes + x->used, b.p, b.n);
    x->used += b.n;
}

static void put_byte(struct bundle *x, size_t byte)
{
    x->bytes[x->used++] = (char)byte;
}

static void write_event(struct bundle *x, struct event_row *e, uint8_t mask)
{
    put_byte(x, mask);
    for (size_t i = 0; i < IDS; i++)
        if (mask & 1u << i)
            put(x, (struct bytes){ (const char *)id_in(e, i)->b, ID });
    for (size_t i = 0; i < TEXTS; i++)
        if (mask & 1u << (IDS + i)) {
            put_byte(x, text_in(e, i)->n >> 8);
            put_byte(x, text_in(e, i)->n & 0xFF);
            put(x, *text_in(e, i));
        }
}

static void make_room(struct bundle *x, size_t n, struct arena *a)
{
    size_t room = x->room ? 2 * x->room : 256;
    char *bytes;

    if (x->used + n <= x->room)
        return;
    while (room < x->used + n)
        room *= 2;
    bytes = arena_alloc(a, room);
    memcpy(bytes, x->bytes ? x->bytes : "", x->used);
    x->bytes = bytes;
    x->room = room;
}

bool bundle_add(struct bundle *x, const struct event_row *event, struct arena *a)
{
    struct event_row e = *event;
    size_t n;
    uint8_t mask;

    if (!x->row || x->n == BUNDLE_MOST - 1)
        return false;
    assert(id_equal(e.account_id, x->row->account_id) && id_equal(e.message_id, x->row->message_id));
    mask = differs(&e, &x->last, &n);
    n += x->used == 0;
    if (x->used + n > BUNDLE_BYTES)
        return false;
    make_room(x, n, a);
    if (!x->used)
        put_byte(x, 0);
    write_event(x, &e, mask);
    x->bytes[0] = (char)++x->n;
    x->row->bundle = (struct bytes){ x->bytes, x->used };
    x->last = e;
    return true;
}

void bundle_begin(struct bundle *x, struct event_row *row)
{
    row->id = shown_row(row->id);
    *x = (struct bundle){ .row = row, .last = *row };
}

/* ---- reading ---- */

static bool take(struct bytes *in, size_t n, struct bytes *out)
{
    if (in->n < n)
        return false;
    *out = bytes_head(*in, n);
    *in = bytes_from(*in, n);
    return true;
}

static bool take_text(struct bytes *in, struct bytes *out)
{
    struct bytes raw;
    size_t n;

    if (!take(in, LENGTH, &raw))
        return false;
    n = (size_t)(uint8_t)raw.p[0] << 8 | (uint8_t)raw.p[1];
    if (!take(in, n, out))
        return false;
    if (!n)
        *out = NO_BYTES;
    return true;
}

static bool read_event(struct bytes *in, struct event_row *e)
{
    struct bytes raw;
    uint8_t mask;

    if (!take(in, 1, &raw))
        return false;
    mask = (uint8_t)raw.p[0];
    for (size_t i = 0; i < IDS; i++)
        if (mask & 1u << i) {
            if (!take(in, ID, &raw))
                return false;
            memcpy(id_in(e, i)->b, raw.p, ID);
        }
    for (size_t i = 0; i < TEXTS; i++)
        if (mask & 1u << (IDS + i) && !take_text(in, text_in(e, i)))
            return false;
    return true;
}

size_t event_expand(const struct event_row *row, struct event_row *out)
{
    struct bytes in = row->bundle;
    size_t n = in.n ? 1 + (size_t)(uint8_t)in.p[0] : 1;

    n = n < BUNDLE_MOST ? n : BUNDLE_MOST;
    if (!out)
        return n;
    in = bytes_from(in, 1);
    out[0] = *row;
    out[0].bundle = NO_BYTES;
    for (size_t i = 1; i < n; i++) {
        out[i] = out[i - 1];
        out[i].id = row->id;
        out[i].id.b[sizeof out[i].id.b - 1] |= (uint8_t)i;
        if (!read_event(&in, &out[i]))
            return i;
    }
    return n;
}

static size_t show(const void *row, void *out)
{
    return event_expand(row, out);
}

const struct shown event_shown = { .field = "bundle", .show = show };
