/* store/store.h - one interface, two engines (store/sqlite/, store/mongo/).
 *
 * Everything waits: in a fiber the fiber sleeps, elsewhere the thread blocks. A struct store is shared by all threads.
 *
 * Promises of every engine (tests/store runs them all):
 * - A batch is atomic and durable when store_commit returns true (SQLite: WAL, synchronous=FULL; MongoDB: w:majority,
 *   j:true), and visible to every read that begins afterwards, on every node.
 * - Conditions, bounds and unique keys are judged against the state in which the batch is applied: batches are
 *   serializable among themselves. A condition is also a write on its row: of two batches that check the same row, the
 *   second sees what the first wrote.
 * - Within a batch operations apply in order and see each other.
 * - A find sees one committed state (a snapshot) for its one call; two calls may see two states.
 * - Batches are committed in groups, but a failing batch fails alone, and touches nothing.
 * - When the outcome of a commit is unknown, the engine itself finds out until the deadline; then ERR_BUSY, and the
 *   batch exists 0 or 1 times.
 * - A lazy batch (batch_lazy) is all of this, but neither durable nor visible to all at once.
 *
 * Nothing is locked between reading and writing. What a change was judged by becomes conditions of its batch, and who
 * meets another's change looks again:
 *
 *     for (int i = 0; i < TRIES; i++) {
 *         if (!store_get(st, &mailbox_kind, id, a, &row, e))      what is there
 *             return false;
 *         ...                                                     is it allowed, and what follows from it?
 *         b = batch_new(a);
 *         same = COND("slot", IS, V_TEXT(row.slot));              what that was judged by
 *         set = SET("name", V_TEXT(name));
 *         batch_update(b, &mailbox_kind, id, &same, 1, &set, 1);
 *         if (store_commit(st, b, deadline, e))                   durable, all of it
 *             return true;
 *         if (e->code != ERR_CONFLICT)                            away, full, too late: nothing to look at again
 *             return false;
 *         *e = (struct err){ 0 };                                 something has changed (batch_failure says what)
 *     }
 *     return err_set(e, ERR_BUSY, "Others keep changing it");
 * What is only added to (counters, within a bound) needs no look and no condition.
 *
 * Errors: ERR_CONFLICT a condition, unique key or bound failed (batch_failure says which); ERR_MISSING; ERR_TOO_LARGE a
 * row over 16 MiB (MongoDB), or an arena that is full (of an answer, or of the batch); ERR_STORAGE_FULL;
 * ERR_QUEUE_FULL; ERR_BUSY the database is away, or the deadline has passed; ERR_INVALID a cursor that is none;
 * ERR_INTERNAL the store is damaged or we asked nonsense. */
#ifndef STORE_STORE_H
#define STORE_STORE_H
#include "base/err.h"
#include "store/kind.h"

struct store;

struct store_options {
    const char *url;                 /* "sqlite:/path/postrider.db", "mongodb://host/database?replicaSet=name" */
    const struct kind *const *kinds; /* NULL-terminated; stays valid */
    /* Version of `kinds`. A newer database is refused. An older one is migrated: SQLite is copied first, to go back to;
     * to MongoDB fields and indexes are only added, so that builds of before go on beside us while they run, and
     * whoever wants to go back restores a backup of their own (mongodump). */
    int schema;
    struct id node;   /* leases and locks of this node are void at start */
    unsigned readers; /* SQLite: connections for reading = store workers */
    bool existing;    /* a database that is not there, or empty, is refused (ERR_MISSING), not made */
    /* SQLite: a database whose log is missing after an unclean end, or damaged before its end, is not refused
     * (ERR_INVALID): copies are kept, and it is opened as far as it goes. */
    bool accept_loss;
    /* No other process may have it open: ERR_IN_USE. Batches then commit one after the other, and rows of a watched
     * kind stand in the feed in the order in which their batches were given. Only looked at here: who starts afterwards
     * is not kept out. */
    bool alone;
};

bool store_open(const struct store_options *o, struct store **out, struct err *e);
void store_close(struct store **st); /* finishes what waits */
/* Looks whether a store is there and could be used, and changes nothing; `found` says what it is, the error what to do:
 * ERR_MISSING when nothing was ever kept there. Blocks, and needs no store workers. */
bool store_probe(const char *url, char *found, size_t n, struct err *e);
/* May several nodes have it open? */
bool store_is_shared(const char *url);
/* The URL as it may be shown: without user, password and options. */
#define STORE_SHOWN 256
void store_url_show(const char *url, char out[STORE_SHOWN]);
/* The store's own clock, in wall milliseconds: what leases are judged by. */
int64_t store_now(struct store *st);
/* Is there room to take mail? SQLite: more is free on the disk than store.free_min, looked at once a second, and no
 * write has failed for want of it. MongoDB: its server has refused no write for that. */
bool store_has_room(struct store *st);
/* True while the engine answers (last known state, at once); *why for people. */
bool store_is_up(struct store *st, struct err *why);

/* ---- values and conditions ---- */

struct value {
    enum field_type type;
    struct id id;
    struct bytes bytes; /* TEXT, BYTES, JSON */
    int64_t number;     /* INT, BOOL, TIME */
};

#define V_ID(x)    ((struct value){ .type = FIELD_ID, .id = (x) })
#define V_TEXT(x)  ((struct value){ .type = FIELD_TEXT, .bytes = (x) })
#define V_BYTES(x) ((struct value){ .type = FIELD_BYTES, .bytes = (x) })
#define V_JSON(x)  ((struct value){ .type = FIELD_JSON, .bytes = (x) })
#define V_INT(x)   ((struct value){ .type = FIELD_INT, .number = (x) })
#define V_BOOL(x)  ((struct value){ .type = FIELD_BOOL, .number = (x) })
#define V_TIME(x)  ((struct value){ .type = FIELD_TIME, .number = (x) })

enum compare { IS, IS_NOT, BELOW, AT_MOST, ABOVE, AT_LEAST, ONE_OF };

/* field compare value. Null (zero id, no bytes, time 0) is a value: IS null matches it, BELOW and so on never do. */
struct cond {
    const char *field;
    enum compare compare;
    struct value value;
    const struct value *list; /* ONE_OF */
    size_t n_list;
};

#define COND(field_, compare_, value_) ((struct cond){ .field = (field_), .compare = (compare_), .value = (value_) })
#define COND_ONE_OF(field_, list_, n_)                                                                                 \
    ((struct cond){ .field = (field_), .compare = ONE_OF, .list = (list_), .n_list = (n_) })

/* ---- writing ---- */

/* What an operation sets a field to. ADD raises a number in place; `slot` (>= 0) then remembers the new value, and
 * FROM_SLOT of a later operation of the batch writes it (plus `value.number`). `bounded`: the batch fails when the new
 * value is above `bound`, plus the present value of bound_field when that is named. ADD never takes a value below 0: it
 * stops there. */
enum set_how { SET_VALUE, SET_ADD, SET_FROM_SLOT };
struct set {
    const char *field;
    enum set_how how;
    struct value value;
    int slot; /* number of a slot from batch_slot, or -1 */
    bool bounded;
    const char *bound_field;
    int64_t bound;
};

#define SET(field_, value_) ((struct set){ .field = (field_), .how = SET_VALUE, .value = (value_), .slot = -1 })
#define ADD(field_, n_)     ((struct set){ .field = (field_), .how = SET_ADD, .value = V_INT(n_), .slot = -1 })
#define ADD_SLOT(field_, n_, slot_)                                                                                    \
    ((struct set){ .field = (field_), .how = SET_ADD, .value = V_INT(n_), .slot = (slot_) })
#define ADD_BOUND(field_, n_, by_, most_)                                                                              \
    ((struct set){ .field = (field_),                                                                                  \
                   .how = SET_ADD,                                                                                     \
                   .value = V_INT(n_),                                                                                 \
                   .slot = -1,                                                                                         \
                   .bounded = true,                                                                                    \
                   .bound_field = (by_),                                                                               \
                   .bound = (most_) })
#define FROM_SLOT(field_, slot_, plus_)                                                                                \
    ((struct set){ .field = (field_), .how = SET_FROM_SLOT, .value = V_INT(plus_), .slot = (slot_) })

enum batch_fault { FAULT_NONE, FAULT_CONDITION, FAULT_UNIQUE, FAULT_BOUND, FAULT_MISSING };

struct batch;

/* Rows, values and lists given to a batch are not copied: they stay valid until store_commit returns. Operations are
 * numbered from 0; each call returns its number. */
struct batch *batch_new(struct arena *a);
int batch_slot(struct batch *b);
/* Inserts *row. `sets` (may be NULL) fill fields from slots. Fails on a taken id or unique key. */
int batch_insert(struct batch *b, const struct kind *k, const void *row, const struct set *sets, size_t n_sets);
/* Changes the row with that id if it is there and all conditions hold (FAULT_MISSING, FAULT_CONDITION otherwise). */
int batch_update(struct batch *b, const struct kind *k, struct id id, const struct cond *conds, size_t n_conds,
                 const struct set *sets, size_t n_sets);
/* An upsert: adds to a row that may not be there yet. The row with the id of *row is changed by `sets` (SET and ADD)
 * when it is there and `alive` holds (may be NULL; what does not hold it counts as past its time); otherwise *row is
 * written as it is, all of it. Bounds and slots are those of what comes out either way. The kind has no unique index.
 * Raises of several nodes do not hinder one another: nobody reads what he writes. */
int batch_raise(struct batch *b, const struct kind *k, const void *row, const struct cond *alive,
                const struct set *sets, size_t n_sets);
/* Deletes it under the same rule as batch_update. */
int batch_delete(struct batch *b, const struct kind *k, struct id id, const struct cond *conds, size_t n_conds);
/* Only checks, and counts as a write on the row. */
int batch_require(struct batch *b, const struct kind *k, struct id id, const struct cond *conds, size_t n_conds);
/* Chunk `n` of blob `id` (at most STORE_CHUNK bytes); put again with the same bytes it changes nothing. */
#define STORE_CHUNK (1024 * 1024 + 64)
int batch_blob_put(struct batch *b, struct id id, unsigned n, struct bytes bytes);
int batch_blob_delete(struct batch *b, struct id id); /* all chunks; none is no fault */
/* The batch need not be durable when store_commit returns: the next one that is not lazy covers it. Until then a crash
 * or another primary may take it back, whole, and only batches are sure to see it, not reads. For what is of use only
 * together with something that a later batch brings. That batch says what it needs (batch_blob_require), and so fails
 * where it was lost meanwhile without anybody having died: SQLite by a sync that failed, MongoDB by an election. No
 * rows of a watched kind. */
void batch_lazy(struct batch *b);
/* Taken before the first lazy batch that put chunks of a blob: what may be lost of them from then on is noticed. */
int64_t store_lazy_mark(struct store *st);
/* Chunks 0 to n-1 of blob `id`, which batches before this one put since `mark`, are there and become durable with this
 * batch, or it fails (FAULT_MISSING, "chunk"). */
int batch_blob_require(struct batch *b, struct id id, unsigned n, int64_t mark);
size_t batch_count(const struct batch *b);
size_t batch_weight(const struct batch *b); /* bytes, for limits */

/* Makes it durable. Deadline in monotonic ms: how long an unknown outcome is looked into and a full queue is waited
 * for. */
bool store_commit(struct store *st, struct batch *b, int64_t deadline, struct err *e);
/* The same in two halves, between which the caller goes on. *out is NULL and false when it could not be begun;
 * otherwise the batch and what it names stay valid until store_commit_end, which the same fiber or thread must call. */
struct commit;
bool store_commit_begin(struct store *st, struct batch *b, int64_t deadline, struct commit **out, struct err *e);
bool store_commit_end(struct commit **c, struct err *e);
/* After success. */
int64_t batch_slot_value(const struct batch *b, int slot);
/* After ERR_CONFLICT: which operation, why, and the index or field it was. */
struct batch_failure {
    int operation;
    enum batch_fault fault;
    const char *name;
};
struct batch_failure batch_failure(const struct batch *b);

/* ---- reading ---- */

/* *row is filled; its bytes lie in the arena. ERR_MISSING when there is none. */
bool store_get(struct store *st, const struct kind *k, struct id id, struct arena *a, void *row, struct err *e);
/* The same where none is no error: *there says whether the row was filled. */
bool store_look(struct store *st, const struct kind *k, struct id id, struct arena *a, void *row, bool *there,
                struct err *e);
/* By a unique index (all its fields, in order). */
bool store_get_by(struct store *st, const struct kind *k, const char *index, const struct value *values, size_t n,
                  struct arena *a, void *row, struct err *e);

#define QUERY_CONDS 8
/* Rows of one kind, in the order of one index (NULL: by id). Conditions on the index's leading fields are looked up,
 * others are filtered. `after`: an opaque cursor from store_cursor; rows behind that place only. `only`: the fields
 * wanted (NULL-terminated; others stay zero), NULL for all. Of an index with `when`, the conditions must imply it. */
struct query {
    const struct kind *kind;
    const char *index;
    struct cond conds[QUERY_CONDS];
    size_t n_conds;
    bool descending;
    size_t limit;
    struct bytes after;
    const char *const *only;
};

/* *rows is an array of `n` row structs in the arena. */
bool store_find(struct store *st, const struct query *q, struct arena *a, void **rows, size_t *n, struct err *e);
/* The same, but it stops behind the row with which the answer reaches `bytes` bytes: *cut says that it did, and that
 * there may be more. For pages of rows whose size a client chooses. */
bool store_find_some(struct store *st, const struct query *q, size_t bytes, struct arena *a, void **rows, size_t *n,
                     bool *cut, struct err *e);
/* The place of a row in the order of q's index: works for rows of that query, with its index's fields filled. */
struct bytes store_cursor(const struct query *q, const void *row, struct arena *a);
/* True for text that could be a cursor of q. */
bool store_cursor_check(const struct query *q, struct bytes cursor);
/* The other way: fills the fields of *row that the cursor says, those of q's index and the id. False for text that is
 * no cursor of q. */
bool store_cursor_read(const struct query *q, struct bytes cursor, struct arena *a, void *row);

bool store_blob_get(struct store *st, struct id id, unsigned n, struct arena *a, struct bytes *out, struct err *e);
/* Many rows by id in one trip (read-ahead). Missing ones come back with a zero id. ids at most 64. */
bool store_get_many(struct store *st, const struct kind *k, const struct id *ids, size_t n, struct arena *a, void *rows,
                    struct err *e);

/* ---- claims: work that is due ---- */

/* The fields by which rows of a kind are claimed: TIME due, TIME lease (until when), INT token (rises with each claim),
 * ID holder (the node). A row can be claimed when due is not null and past and lease is null or past, by the store's
 * clock. All are written by the claim, due with the end of the lease, so that no later claim has to pass over the row;
 * in the rows that come back it is what it was. Finish with a batch_update whose conditions name the token, and which
 * clears lease and sets or clears due; what renews a lease moves both. */
struct claim {
    struct query query; /* an index that begins with (or equals) the due field behind equality fields */
    const char *due, *lease, *token, *holder;
    int64_t lease_ms;
    const char *lapsed; /* TIME, or NULL: is given the lease that ran out before this one; null when there was none */
    /* Or NULL: the most rows for each value of the query's only ONE_OF condition, beside its list. Rows then come value
     * by value. */
    const size_t *each;
};
bool store_claim(struct store *st, const struct claim *c, struct arena *a, void **rows, size_t *n, struct err *e);
/* What this node had claimed before its start, by leases of at most lease_ms, is due now; `lapsed` then tells the next
 * claim of it. Before its first claim; query.limit rows at a time. */
bool store_end_leases(struct store *st, const struct claim *c, struct err *e);

/* ---- locks: one holder of a name at a time ---- */

/* Takes the lock, or ERR_IN_USE. token is the proof for renew and unlock; the lock ends by itself ttl_ms after the last
 * renewal, at a restart of its node, or by unlock. */
bool store_lock(struct store *st, struct bytes name, int64_t ttl_ms, int64_t *token, struct err *e);
bool store_lock_renew(struct store *st, struct bytes name, int64_t token, int64_t ttl_ms, struct err *e);
void store_unlock(struct store *st, struct bytes name, int64_t token);
/* Ends, for all nodes, what earlier processes of our node left: locks, and transactions that hold rows. Once it is
 * certain that no other process runs as it, and before anything is written. */
void store_end_earlier(struct store *st);

/* ---- watch: rows of a watched kind in order of commit ---- */

/* Longest text of a cursor of the feed. */
#define WATCH_CURSOR_MAX 4096
/* Up to `limit` rows that committed behind `after` (NO_BYTES: from the oldest kept; store_watch_end: from now), waiting
 * for one until the deadline (monotonic ms; then *n is 0 and it is true). *next is the cursor behind the last row. No
 * row is left out or shown twice. A cursor holds in the database it is of; in another it is ERR_INVALID. */
bool store_watch(struct store *st, const struct kind *k, struct bytes after, size_t limit, int64_t deadline,
                 struct arena *a, void **rows, size_t *n, struct bytes *next, struct err *e);
/* The same, of those rows alone that have `value` in the field of `index` (one with `feed`), at the cost of these: how
 * many others are between does not matter. It does not wait. A cursor of the whole feed is one of each part, too. */
struct watch {
    const struct kind *kind;
    const char *index;
    struct value value;
    struct bytes after;
    size_t limit;
};
bool store_watch_part(struct store *st, const struct watch *w, struct arena *a, void **rows, size_t *n,
                      struct bytes *next, struct err *e);
bool store_watch_end(struct store *st, const struct kind *k, struct arena *a, struct bytes *cursor, struct err *e);
/* From now on store_watch waits no more, and whoever does so now is let go: for a server that is about to end. */
void store_end_waits(struct store *st);

/* ---- the whole store: for copying it ---- */

/* A number that the database was given when it was made, and no other has. */
int64_t store_identity(const struct store *st);
/* ERR_INVALID names a field or kind that another build keeps there, which this one would leave behind: a newer one's
 * field, or a kind of which there are rows. */
bool store_knows_all(struct store *st, struct err *e);
/* Up to `limit` chunks of all blobs in the order of id and number; `after` NULL: from the first. */
struct blob_chunk {
    struct id id;
    int64_t n;
    struct bytes bytes;
};
bool store_blob_walk(struct store *st, const struct blob_chunk *after, size_t limit, struct arena *a,
                     struct blob_chunk **chunks, size_t *n, struct err *e);
#endif
