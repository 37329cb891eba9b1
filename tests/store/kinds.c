#include "base/clock.h"
#include "tests/store/conformance.h"

static const char *const waiting[] = { "queued", "held", NULL };
static const struct field note_fields[] = {
    FIELD(ID, note, id),      FIELD(ID, note, owner),    FIELD(ID, note, holder),  FIELD(TEXT, note, name),
    FIELD(BYTES, note, body), FIELD(JSON, note, extra),  FIELD(TEXT, note, state), FIELD(INT, note, n),
    FIELD(INT, note, most),   FIELD(INT, note, token),   FIELD(TIME, note, due),   FIELD(TIME, note, lease),
    FIELD(BOOL, note, flag),  FIELD(TIME, note, lapsed),
};
static const struct index note_indexes[] = {
    { .name = "name", .unique = true, .fields = { "name" } },
    { .name = "owner_n", .fields = { "owner", "n" } },
    { .name = "owner_due", .fields = { "owner", "due", "n" } },
    { .name = "waiting", .fields = { "due" }, .when = "state", .values = waiting },
    { .name = "with_due", .fields = { "due" }, .when = "due" },
};
const struct kind note_kind = { "note", "note", sizeof(struct note), note_fields, 14, note_indexes, 5, false,
                                false,  false };

static const struct field feed_fields[] = { FIELD(ID, feed, id), FIELD(INT, feed, writer), FIELD(INT, feed, n) };
static const struct index feed_indexes[] = {
    { .name = "writer_n", .unique = true, .fields = { "writer", "n" } },
    { .name = "of", .fields = { "writer" }, .feed = true },
};
const struct kind feed_kind = {
    "feed", "feed", sizeof(struct feed), feed_fields, 3, feed_indexes, 2, true, false, false
};

static const struct field big_fields[] = { FIELD(ID, big, id), FIELD(BYTES, big, body) };
const struct kind big_kind = { "big", "big", sizeof(struct big), big_fields, 2, NULL, 0, false, true, false };

static const struct field tally_fields[] = { FIELD(ID, tally, id), FIELD(INT, tally, n), FIELD(INT, tally, extra),
                                             FIELD(TIME, tally, until), FIELD(TEXT, tally, word) };
const struct kind tally_kind = { "tally", "tal", sizeof(struct tally), tally_fields, 5, NULL, 0, false, false, false };

const struct kind *const test_kinds[] = { &note_kind, &feed_kind, &big_kind, &tally_kind, NULL };

struct store *open_or_die(const char *url, const struct kind *const *kinds, int schema)
{
    static struct id node; /* one and the same, so that a second start is this node's */
    struct store_options o = { .url = url, .kinds = kinds, .schema = schema, .readers = 4 };
    struct store *st;
    struct err e = { 0 };

    if (id_is_none(node))
        node = id_new();
    o.node = node;
    if (!store_open(&o, &st, &e))
        die("cannot open %s: %s (%s)", url, e.message, e.where);
    return st;
}

struct note note_make(const char *name, int64_t n)
{
    return (struct note){ .id = id_new(), .name = bytes_of(name), .n = n };
}

bool commit(struct store *st, struct batch *b, struct err *e)
{
    return store_commit(st, b, clock_monotonic() + 10000, e);
}
