/* store/mongo/mongo.h - the inside of the MongoDB engine.
 *
 * A client belongs to one thread at a time: readers borrow one of the pool for a call (client.c), each committer
 * (committer.c) and the two threads of watch.c and state.c keep one. All writes are w:majority and j:true, all reads
 * majority or snapshot, on the primary; the URI cannot change that. Only groups that are lazy throughout are w:1.
 *
 * A kind's collection carries its name, an index its own. `id` is `_id`; null is a field that is not there; ids and
 * bytes are binary, texts and JSON are strings, times are dates. Nothing of a client becomes BSON but as one value of
 * one of these types. Fields and collections that begin with '_' are ours:
 *
 *     _meta     { _id: "schema", version }, { _id: "epoch", n }, { _id: "identity", n }
 *     _blob     { _id: id and number of the chunk, bytes }
 *     _lock     { _id: name, holder, mark, token, until }
 *     _process  { _id, node, until, sessions }: who is alive; the owner of lanes (process.c)
 *     _lane     { _id: number, owner, group, seq: { kind: n }, before: { owner, group } } (lane.c)
 *     _w        raised in a row by a write that would change nothing else, so that it is a write
 *     _seq      of watched kinds: the place in the feed, number of the lane * 2^40 + n
 *     _claim    of claimed rows: whose claim this was (claim.c) */
#ifndef STORE_MONGO_MONGO_H
#define STORE_MONGO_MONGO_H
#include "base/clock.h"
#include "net/wait.h"
#include "store/gather.h"
#include "store/table.h"
#include <mongoc/mongoc.h>
#include <pthread.h>
#include <stdatomic.h>

#define ALL_FIELDS UINT64_MAX
/* What the server says, as numbers. */
enum { UNAUTHORIZED = 13, AUTHENTICATION_FAILED = 18, SNAPSHOT_UNAVAILABLE = 246, DUPLICATE_KEY = 11000 };
/* The oldest server taken: 6.0, whose partial indexes know $in and $or. */
#define OLDEST_WIRE 17
#define OLDEST_NAME "6.0"

#define PRIMARY_NAME 300

struct committers;
struct watcher;
struct keeper;

struct mongo_store {
    struct store store;
    struct tables tables;
    struct id node;
    struct id process;    /* made at start: the owner of our lanes */
    bool existing, alone; /* as in struct store_options */
    int64_t epoch;        /* tokens of our node up to it are of an earlier start, and void */

    mongoc_uri_t *uri;
    mongoc_client_pool_t *pool;    /* of the threads of the engine itself */
    mongoc_client_pool_t *readers; /* of callers, who wait less */
    char *database;
    mongoc_write_concern_t *majority; /* and journaled */
    mongoc_write_concern_t *lazy;     /* by the primary alone, in memory */
    mongoc_read_concern_t *reading;   /* majority */
    atomic_llong clock_offset;        /* of the server's clock to our monotonic one, ms: ours may be set */

    bson_t sessions; /* of our committers: whoever finds us dead ends them */
    struct committers *committers;
    struct watcher *watcher;
    struct keeper *keeper;

    pthread_mutex_t state_lock;
    pthread_cond_t primary_came;
    char primary[PRIMARY_NAME]; /* host and port; "": none is known */
    int64_t heard;              /* monotonic ms: when one was last heard of */
    pthread_mutex_t asking;     /* held by the caller who asks a new one what a majority has */
    atomic_uint came, asked;    /* primaries that came; the last of them that has been asked */
    atomic_uint ask_failures;
    atomic_bool down, full;
    atomic_llong down_since; /* monotonic ms */
    struct err why;
};

/* ---- uri.c ---- */

/* Unless the URI says otherwise. A frozen server is known for one when it has been silent for both together. */
#define MONGO_CONNECT_MS   2000
#define MONGO_HEARTBEAT_MS 1000
/* Reads it into s->uri, with what holds for every client, and s->database. ERR_INVALID names what is wrong and shows
 * no secret. */
bool mongo_uri(struct mongo_store *s, const char *url, struct err *e);

/* ---- client.c: pools, errors ---- */

/* The process's one start of the library. */
void mongo_library(void);
/* Reads the URL and makes the pools, asking nobody yet. */
bool mongo_connect(struct mongo_store *s, const char *url, struct err *e);
/* A client of its own with long patience, for building indexes; NULL never. */
mongoc_client_t *mongo_patient_client(const struct mongo_store *s);
/* For threads of the engine: a call fails after store.call_timeout of silence. */
mongoc_client_t *mongo_client(struct mongo_store *s);
void mongo_client_back(struct mongo_store *s, mongoc_client_t *c);
/* For callers, who hold a store worker: a call fails after store.read_timeout of silence and is not tried again by the
 * library. NULL and ERR_BUSY without a primary: see mongo_await. */
mongoc_client_t *mongo_reach(struct mongo_store *s, struct err *e);
void mongo_leave(struct mongo_store *s, mongoc_client_t *c); /* gives it back; NULL is accepted */
/* Is what began then worth another try? When the way broke, store.read_timeout has not passed since, and there is a
 * primary (again). Several connections break with one primary: each try may meet another of them. */
bool mongo_again(struct mongo_store *s, const bson_error_t *why, int64_t began);
/* A collection as a client sees it, with our concerns; mongoc_collection_destroy. */
mongoc_collection_t *mongo_collection(const struct mongo_store *s, mongoc_client_t *c, const char *name);
/* For reads in a session of mongo_snapshot_begin, which says its own concern: the library would send the collection's
 * beside it, and the server take that one. */
mongoc_collection_t *mongo_snapshot_collection(const struct mongo_store *s, mongoc_client_t *c, const char *name);
/* Fills e from what the library says, and returns false: ERR_BUSY when the server is away or has no primary,
 * ERR_STORAGE_FULL, ERR_INTERNAL. Notes the state of the store. */
#define mongo_err(s, why, e) mongo_error((s), (why), (e), ERR_WHERE)
bool mongo_error(struct mongo_store *s, const bson_error_t *why, struct err *e, const char *where);
/* Is it about the way to the server, or its state, rather than about what was asked? */
bool mongo_is_away(const bson_error_t *why);
/* The answer's code of its first write error, 0 for none; *index of the operation. */
int32_t mongo_write_error(const bson_t *reply, int32_t *index, struct bytes *message);

/* ---- document.c: rows, values and conditions as BSON ---- */

const char *document_name(const struct kind *k, const struct field *f); /* "_id" for the key */
void document_id(bson_t *doc, const char *name, struct id id);
void document_value(bson_t *doc, const char *name, const struct value *v); /* null as null */
bool document_read_id(const bson_iter_t *at, struct id *id);
/* Every field of the row that is not null. */
void document_row(bson_t *doc, const struct kind *k, const void *row);
/* Fills the row's `fields`; unknown ones are passed over. ERR_TOO_LARGE when the arena is full, ERR_INTERNAL for a
 * value of a wrong type. */
bool document_to_row(const bson_t *doc, const struct kind *k, uint64_t fields, struct arena *a, void *row,
                     struct err *e);
uint64_t document_fields(const struct kind *k, const char *const *names); /* a bit each; NULL: all */
void document_projection(bson_t *opts, const struct kind *k, uint64_t fields);

/* A filter is {"$and": […]}, which conditions are added to. */
struct filter {
    bson_t doc, list;
    uint32_t n;
    bool empty; /* no row can match */
};
void filter_begin(struct filter *f);
void filter_cond(struct filter *f, const struct kind *k, const struct field *field, const struct cond *c);
/* The rows that an index holds. */
void filter_when(struct filter *f, const struct kind *k, const struct index *x);
bson_t *filter_item(struct filter *f, bson_t *item); /* an item to be filled; then filter_item_end */
void filter_item_end(struct filter *f, bson_t *item);
void filter_end(struct filter *f); /* f->doc is whole; bson_destroy it */
/* The condition of a partial index: its `when`, and of a unique one that no field is null. False: it is not partial. */
bool document_partial(bson_t *doc, const struct kind *k, const struct index *x);

/* ---- schema.c, check.c ---- */

/* Makes what is missing of our collections and indexes. Refuses a strange database, and one of a newer schema. */
bool mongo_schema(struct mongo_store *s, int schema, struct err *e);
/* After the first failure: what is wrong and what to do, as far as can be found out. */
bool mongo_diagnose(struct mongo_store *s, const bson_error_t *why, struct err *e);
/* Without a login, or with one that may not do `what`; says what to grant. */
bool mongo_not_allowed(const struct mongo_store *s, const char *what, struct err *e);
bool mongo_check_server(struct mongo_store *s, mongoc_client_t *c, struct err *e);
/* What there is, without changing it. */
bool mongo_probe(struct mongo_store *s, char *found, size_t n, struct err *e);

/* ---- select.c: reading ---- */

bool mongo_get(struct store *st, const struct kind *k, const struct id *ids, size_t n, struct arena *a, void *rows,
               struct err *e);
bool mongo_get_by(struct store *st, const struct unique_key *key, struct arena *a, void *row, struct err *e);
bool mongo_find(struct store *st, const struct plan *p, struct arena *a, struct rows *out, struct err *e);
bool mongo_blob_get(struct store *st, struct id id, unsigned n, struct arena *a, struct bytes *out, struct err *e);
/* A session whose reads all see what the majority had at its first, whichever primary answers; opts puts a read into
 * it. To be ended also when it could not begin. */
bool mongo_snapshot_begin(struct mongo_store *s, mongoc_client_t *c, mongoc_client_session_t **session, bson_t *opts,
                          struct err *e);
void mongo_snapshot_end(mongoc_client_session_t *session, bson_t *opts);
/* Snapshots of a collection that is just being made are SNAPSHOT_UNAVAILABLE for a moment. */
enum { SNAPSHOT_TRIES = 20, SNAPSHOT_PAUSE_US = 10000 };
/* All documents of a find into g (fields as projected by opts). */
bool mongo_read(struct mongo_store *s, mongoc_collection_t *c, const bson_t *filter, const bson_t *opts,
                uint64_t fields, struct gather *g, struct arena *a, struct err *e);
/* Filter and options of pass `i` of a plan; false when no row can be in it. `claim` adds what makes a row claimable. */
struct claimable {
    const struct claim *claim;
    int64_t now;
};
uint64_t mongo_claim_fields(const struct claim *c); /* a bit each: what is read of a row that is claimed */
bool mongo_pass(const struct plan *p, const struct pass *pass, const struct claimable *claim, size_t limit,
                bson_t *filter, bson_t *opts);

/* ---- blobs ---- */

#define BLOB_KEY 20 /* the id and four bytes of the number, big-endian */
void blob_key(struct id id, unsigned n, uint8_t key[BLOB_KEY]);
void blob_range(bson_t *filter, struct id id); /* all chunks of one */

/* ---- whole.c: for moving a whole database ---- */

bool mongo_is_free(struct mongo_store *s, mongoc_client_t *c, struct err *e); /* or ERR_IN_USE */
bool mongo_knows_all(struct store *st, struct err *e);
bool mongo_blob_walk(struct store *st, const struct blob_chunk *after, size_t limit, struct arena *a, struct rows *out,
                     struct err *e);

/* ---- process.c: who is at work on the database ---- */

/* One update with our concerns; *n rows matched. */
bool mongo_update(struct mongo_store *s, mongoc_client_t *c, const char *name, const bson_t *filter,
                  const bson_t *change, const bson_t *opts, int64_t *n, bson_error_t *why);
/* ERR_BUSY, and the store is down, when it is not the database that we opened: one that was dropped would come back bit
 * by bit by what is written to it, without its unique indexes. Asked wherever a lane or our row could be made anew; and
 * no group is committed without a lane. */
bool process_same_database(struct mongo_store *s, mongoc_client_t *c, struct err *e);
bool process_renew(struct mongo_store *s, mongoc_client_t *c, struct err *e);
/* Ends what earlier processes of our node left open: for who knows that they are dead. */
bool process_bury_earlier(struct mongo_store *s, mongoc_client_t *c, struct err *e);
/* The same for all whose row was not renewed: killed, frozen, or cut off. */
bool process_bury_dead(struct mongo_store *s, mongoc_client_t *c, struct err *e);
bool process_is_alive(struct mongo_store *s, mongoc_client_t *c, struct id process, bool *alive, struct err *e);
/* Is one of another node? */
bool process_of_others(struct mongo_store *s, mongoc_client_t *c, bool *alive, struct err *e);
void process_end(struct mongo_store *s, mongoc_client_t *c); /* gives up the lanes too */

/* ---- lane.c ---- */

#define LANE_BITS 40
#define LANES_MAX 256
/* A committer's line in the feed: the groups that it commits, one after the other. */
struct lane {
    int32_t number; /* 0: none taken yet */
    bool known;     /* `group` and `seq` are those of the database */
    int64_t group;  /* the last one committed */
    int64_t *seq;   /* by table */
};
/* Makes the lane known: takes one when there is none or ours was lost. */
bool lane_ready(struct mongo_store *s, mongoc_client_t *c, struct lane *l, struct err *e);
/* The mark of the next group, in its transaction. *ours is false when the lane is not what we thought. */
bool lane_mark(struct mongo_store *s, mongoc_client_t *c, const struct lane *l, const int64_t *seq,
               const bson_t *session, bool *ours, bson_error_t *why);
/* Has the group behind the lane's last been committed? Asked of a majority. */
enum committed { COMMITTED_NO, COMMITTED_YES, COMMITTED_UNKNOWN };
bool lane_committed(struct mongo_store *s, mongoc_client_t *c, const struct lane *l, enum committed *out,
                    struct err *e);
struct lane_row {
    int32_t number;
    struct id owner; /* none: nobody's */
    int64_t group;
    int64_t *seq; /* by table */
};
/* Which lanes are read and for whom: `each` is called in order of their numbers until it says false. */
struct lanes {
    int32_t number;        /* 0: all */
    const bson_t *session; /* of a snapshot; NULL: none */
    bool (*each)(void *arg, const struct lane_row *row);
    void *arg;
};
bool lanes_read(struct mongo_store *s, mongoc_client_t *c, const struct lanes *which, struct err *e);

/* ---- feed.c ---- */

bool mongo_watch_read(struct store *st, const struct watch *w, struct bytes *place, struct arena *a, struct rows *out,
                      struct err *e);
bool mongo_watch_end(struct store *st, const struct kind *k, struct arena *a, struct bytes *place, struct err *e);

/* ---- group.c: batches judged in memory ---- */

struct job;
struct group;
/* What the group knows of one row. */
struct row_state {
    const struct kind *kind;
    struct id id;
    void *row;                    /* as it stands after the batches so far; `need` and what they wrote is filled */
    uint64_t need, dirty;         /* fields to be read; fields written */
    bool was, is, held, replaced; /* there before; there now; a condition named it; deleted and inserted again */
    bool raised;                  /* written already, as what is worked out will be: alone.c */
    bool yields;                  /* a key that it held goes to another row of the group */
    const void *before;           /* the row as read; NULL when no key of it can change */
    int64_t seq;                  /* of an inserted row of a watched kind */
    struct job *by;               /* who gave it its unique keys, and the number of the operation */
    size_t by_op;
    struct row_state *in_bucket, *in_table, *in_group;
};
struct chunk_state {
    uint8_t key[BLOB_KEY];
    struct bytes bytes;
    bool is, put; /* there; to be written */
    struct chunk_state *in_bucket, *in_group;
};
struct erased {
    struct id id;
    struct erased *next;
};
/* Chunks that a job requires: read in the transaction, so that they are part of the history that its commit makes
 * durable, in which they come before it. */
struct needed {
    struct job *job;
    struct id id;
    unsigned n;
    bool there;
    struct needed *next;
};
struct group {
    struct mongo_store *store;
    struct arena *arena;
    struct row_state **buckets, *rows, **last_row;
    struct chunk_state **chunk_buckets, *chunks, **last_chunk;
    struct erased *erased; /* blobs of which all chunks go before any is put */
    struct needed *needed;
    struct row_state **by_table, ***table_end;
    struct unique_entry **keys;
    size_t mask;
    struct undo *undo;
};
/* Names the rows and chunks that the jobs' batches touch. */
void group_begin(struct group *g, struct mongo_store *s, struct arena *a, struct job *jobs);
struct row_state *group_row(const struct group *g, const struct kind *k, struct id id); /* NULL: not named */
/* Applies a job's batch to the rows in memory; on false they are as before, and j->err says why. */
bool group_apply(struct group *g, struct job *j);
size_t group_hash(const void *p, size_t n, size_t h);

/* ---- keys.c: unique keys among the rows of a group ---- */

/* Does the unique index hold the row? Have two rows the same key? */
bool key_is_held(const struct kind *k, const struct index *x, const void *row);
bool key_is_same(const struct kind *k, const struct index *x, const void *a, const void *b);
uint64_t keys_fields(const struct kind *k); /* of all unique indexes */
void keys_read(struct group *g);            /* after the rows were read, before any batch */
/* Operation `op` of j changed these fields of the row. On false j->err says which key is taken. */
bool keys_take(struct group *g, struct row_state *s, uint64_t changed, struct job *j, size_t op);
uint64_t keys_yielded(const struct row_state *s); /* fields to be null while its keys change hands */

/* ---- apply.c: a group within a transaction ---- */

enum applied {
    APPLIED,
    REFUSED,  /* one job has `ended`, or the only one is to go the careful way: run them again */
    CONFLICT, /* another transaction was in the way (ERR_BUSY), or some job is impossible: fewer at a time */
    AWAY,     /* no primary, or it went; nothing of it will be committed */
    LANE_LOST /* the lane is not what we thought */
};
/* Reads what the batches name, judges them, writes. *seq (by table) becomes the lane's place after the group. */
enum applied group_write(struct mongo_store *s, mongoc_client_t *c, mongoc_client_session_t *session,
                         const struct lane *lane, int64_t *seq, struct arena *a, struct job *jobs, bool careful,
                         struct err *e);

/* ---- write.c: chunks alone ---- */

/* Chunks of lazy batches that bring nothing else, by one insert outside of any transaction: they are put once or not at
 * all, and put again they change nothing. False, with some of them put perhaps: the usual way. */
bool mongo_put_chunks(struct mongo_store *s, mongoc_client_t *c, struct job *jobs);

/* ---- committer.c ---- */

struct job {
    struct job *next;
    struct batch *batch;
    size_t weight;
    int64_t deadline, queued;
    int64_t again; /* of one that was put back: not before then */
    struct waiter waiter;
    uint16_t *slots; /* of the rows it names, see committer.c */
    size_t n_slots;
    int looks;  /* how often chunks that it requires were not seen */
    bool ended; /* its failure is final, whatever becomes of the others */
    bool ok;
    struct err err;
};
bool committers_start(struct mongo_store *s, struct err *e);
void committers_stop(struct mongo_store *s); /* after what waits */
bool mongo_commit(struct store *st, struct batch *b, int64_t deadline, struct err *e);
bool mongo_commit_begin(struct store *st, struct batch *b, int64_t deadline, void **job, struct err *e);
bool mongo_commit_end(void *job, struct err *e);
/* Ends jobs that no committer has taken yet and that wait in vain: past their deadline, or for longer than
 * store.away_wait while the server is away. For committers that cannot go on. */
void committers_end_late(struct mongo_store *s, const struct err *e);
/* To be tried again later: another process holds what it would write. e: why, should its deadline pass before. */
void committers_put_back(struct mongo_store *s, struct job *j, const struct err *e);

/* ---- transaction.c: one committer's groups ---- */

#define COMMITTER_HALVES 32
struct committer {
    struct mongo_store *store;
    mongoc_client_t *client;
    mongoc_client_session_t *session;
    struct lane lane;
    struct arena *arena;
    int64_t *seq;     /* by table: where the group that is being written leads */
    unsigned careful; /* groups yet whose unique keys are looked up first */
    /* Halves of its group that wait for the first one: at most as many as a group can be cut. */
    struct job *behind[COMMITTER_HALVES];
    size_t n_behind;
};
/* Its session, which lasts as long as it. */
bool committer_begin(struct committer *c, struct err *e);
/* Commits the jobs' batches and wakes their callers. */
void committer_run(struct committer *c, struct job *jobs);

/* ---- claim.c, lock.c: (wait only through net/wait.h) ---- */

bool mongo_claim(struct store *st, const struct claim *claim, struct plan *p, struct arena *a, struct rows *out,
                 struct err *e);
bool mongo_lock(struct store *st, struct bytes name, int64_t ttl_ms, int64_t *token, struct err *e);
bool mongo_lock_renew(struct store *st, struct bytes name, int64_t token, int64_t ttl_ms, struct err *e);
void mongo_unlock(struct store *st, struct bytes name, int64_t token);
void mongo_end_earlier(struct store *st);

/* ---- state.c, primary.c ---- */

void mongo_note(struct mongo_store *s, const struct err *e); /* a call failed because the server is away, or NULL */
void mongo_hear(struct mongo_store *s);                      /* as if a member had just said something */
bool mongo_is_up(struct store *st, struct err *why);
/* Has this pool tell of primaries that come and go. */
void mongo_listen(struct mongo_store *s, mongoc_client_pool_t *pool);
/* Waits for a primary until none has been heard of for store.read_timeout: in that time an election may bring one.
 * After it false and ERR_BUSY, at once for all. One that has just come is asked first what a majority has, so that no
 * read goes back behind one before it. Blocks. */
bool mongo_await(struct mongo_store *s, struct err *e);
bool mongo_has_room(struct store *st);
int64_t mongo_now(struct store *st);
bool keeper_start(struct mongo_store *s, struct err *e); /* renews our process row, reads the server's clock */
void keeper_stop(struct mongo_store *s);

/* ---- watch.c: waking who waits for the feed ---- */

bool watcher_start(struct mongo_store *s, struct err *e);
void watcher_stop(struct mongo_store *s);
#endif
