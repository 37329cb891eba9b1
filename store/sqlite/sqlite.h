/* store/sqlite/sqlite.h - the inside of the SQLite engine.
 *
 * One writer thread (writer.c) owns the one connection that writes; readers borrow a connection of the pool
 * (readers.c). A struct conn is used by one thread at a time. Statements are prepared once per shape (statements.c):
 * the shape is a short byte string that says kind, operation, fields and comparisons, and never a value.
 *
 * Tables carry their kind's name, indexes "kind__index"; names that begin with '_' are ours: `_meta` (name, value),
 * `_blob` (id, n, bytes) and the hidden column `_seq` of watched kinds, which is the order of commit. */
#ifndef STORE_SQLITE_SQLITE_H
#define STORE_SQLITE_SQLITE_H
#include "base/clock.h"
#include "net/wait.h"
#include "store/gather.h"
#include "store/table.h"
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

/* Longest SQL text of a statement. */
#define SQL_MAX   (256 * 1024)
#define SHAPE_MAX 320

struct shape {
    size_t n;
    uint8_t b[SHAPE_MAX];
};

struct statement {
    struct statement *next;          /* of the same hash */
    struct statement *newer, *older; /* by last use */
    uint32_t hash;
    sqlite3_stmt *stmt;
    size_t n;
    uint8_t shape[];
};

/* Numbers of a watched kind up to `given` are not given again (sequence.c). */
#define SEQUENCES 8
struct sequence {
    const struct kind *kind;
    char name[64];
    int64_t given;
};

#define STATEMENT_BUCKETS 256
struct conn {
    sqlite3 *db;
    struct conn *next; /* in the pool */
    struct statement *buckets[STATEMENT_BUCKETS];
    struct statement *newest, *oldest;
    size_t n_statements;
    int64_t captured[OP_SETS]; /* what the capture() calls of an update saw */
    struct sequence sequences[SEQUENCES];
    size_t n_sequences;
};

struct writer;
struct locks;

struct sqlite_store {
    struct store store;
    char *path;
    struct tables tables;
    struct id node;
    int64_t log_number; /* in _meta, and in the mark: log_check.h */
    int64_t epoch;      /* tokens given since this start are above it; what is not is of an earlier start, and void */

    pthread_mutex_t readers_lock;
    pthread_cond_t readers_free;
    struct conn *readers;
    unsigned n_readers, max_readers;

    struct conn *writing; /* the writer's */
    struct writer *writer;
    struct locks *locks;

    atomic_llong lost; /* raised when what was not synced yet may be lost: a sync failed */
    int stretch;       /* the writer's: stretch.c */

    atomic_llong room_checked; /* monotonic ms */
    atomic_bool room;
    pthread_mutex_t state_lock;
    atomic_bool down, full;
    struct err why;
};

/* ---- conn.c ---- */

/* Does a commit wait for the disk? Always, but for the controls of the crash tests. */
bool conn_is_synchronous(void);
bool conn_open(const char *path, bool writes, struct conn *c, struct err *e);
void conn_close(struct conn *c);
/* SQL without rows or values. */
bool conn_run(struct conn *c, const char *sql, struct err *e);
bool conn_step(struct conn *c, const char *sql, struct err *e); /* the same for one short statement, kept prepared */
bool conn_int(struct conn *c, const char *sql, int64_t *out, struct err *e); /* first column of the first row */
/* Fills e from the connection's last error, and returns false: ERR_STORAGE_FULL, ERR_BUSY or ERR_INTERNAL. */
#define conn_err(c, e) conn_error((c), (e), ERR_WHERE)
bool conn_error(struct conn *c, struct err *e, const char *where);

/* ---- statements.c ---- */

void shape_begin(struct shape *s, char op, const struct kind *k);
void shape_add(struct shape *s, unsigned byte);
void shape_cond(struct shape *s, const struct kind *k, const struct field *f, const struct cond *c);
/* The statement of a shape, reset and ready to bind; NULL when it is not prepared yet. */
sqlite3_stmt *statement_find(struct conn *c, const struct shape *s);
/* Prepares it; the least recently used goes when there are too many. */
sqlite3_stmt *statement_add(struct conn *c, const struct shape *s, const char *sql, struct err *e);
/* The same for a text that was built; clears it. */
sqlite3_stmt *statement_build(struct conn *c, const struct shape *s, struct buf *sql, struct err *e);
void statements_clear(struct conn *c);

/* ---- sql.c ---- */

void sql_name(struct buf *sql, const char *name);
void sql_index_name(struct buf *sql, const struct kind *k, const struct index *x);
void sql_when(struct buf *sql, const struct kind *k, const struct index *x); /* its condition, as constants */
void sql_cond(struct buf *sql, const struct field *f, const struct cond *c);
void sql_columns(struct buf *sql, const struct kind *k, uint64_t fields);
/* Values go in with the same walk that wrote the text: each returns the next parameter's number. They are borrowed
 * until the statement is reset. */
int bind_value(sqlite3_stmt *q, int at, const struct value *v);
int bind_cond(sqlite3_stmt *q, int at, const struct cond *c);
void bind_row(sqlite3_stmt *q, const struct kind *k, const void *row); /* all fields, from parameter 1 on */
size_t sql_list_room(size_t n);                                        /* parameters for a list of n values */
/* The columns from `column` on into the row's `fields` (a bit each); ERR_TOO_LARGE when the arena is full. */
bool read_row(sqlite3_stmt *q, int column, const struct kind *k, uint64_t fields, struct arena *a, void *row,
              struct err *e);
#define ALL_FIELDS UINT64_MAX
uint64_t fields_named(const struct kind *k, const char *const *names);

/* ---- schema.c ---- */

bool schema_open(struct sqlite_store *s, struct conn *c, int schema, struct err *e);

/* ---- sequence.c: numbers of watched kinds, on the writer's connection ---- */

bool sequence_load(struct conn *c, const struct kind *k, struct err *e);     /* at the start */
bool sequence_deletes(struct conn *c, const struct kind *k, struct err *e);  /* before a row is deleted */
bool sequence_inserted(struct conn *c, const struct kind *k, struct err *e); /* behind an insert */

/* ---- select.c: reading, on any connection ---- */

bool select_get(struct conn *c, const struct kind *k, struct id id, uint64_t fields, struct arena *a, void *row,
                bool *found, struct err *e);
bool select_by(struct conn *c, const struct unique_key *key, struct arena *a, void *row, struct err *e);
/* `claim`: only rows that can be claimed at `now`. */
struct claimable {
    const struct claim *claim;
    int64_t now;
};
bool select_plan(struct conn *c, const struct plan *p, const struct claimable *claim, struct arena *a, struct rows *out,
                 struct err *e);
bool select_watch(struct conn *c, const struct watch *w, int64_t *seq, struct arena *a, struct rows *out,
                  struct err *e);
/* Ends a read transaction (BEGIN by conn_step) that held several selects to one state. */
void read_end(struct conn *c);
/* The highest number there is; what comes later is above it. */
bool select_watch_end(struct conn *c, const struct kind *k, int64_t *seq, struct err *e);
bool select_blob(struct conn *c, struct id id, unsigned n, struct arena *a, struct bytes *out, struct err *e);
bool select_blobs(struct conn *c, const struct blob_chunk *after, size_t limit, struct arena *a, struct rows *out,
                  struct err *e);

/* ---- whole.c ---- */

bool file_is_filled(const char *path, struct err *e);                         /* or ERR_MISSING */
bool file_is_free(const char *path, struct err *e);                           /* or ERR_IN_USE */
bool select_knows_all(struct sqlite_store *s, struct conn *c, struct err *e); /* no newer build's fields */

/* ---- readers.c ---- */

struct conn *reader_take(struct sqlite_store *s, struct err *e); /* waits for one past the maximum */
void reader_give(struct sqlite_store *s, struct conn *c);
void readers_close(struct sqlite_store *s);

/* ---- apply.c: on the writer's connection, inside its transaction ---- */

enum applied {
    APPLIED,
    REFUSED_CLEAN, /* failed, and has changed nothing */
    REFUSED,       /* failed, and what it changed is to be rolled back */
    BROKEN,        /* the database failed, not the batch */
};
/* `lost`: as it is in struct sqlite_store. */
enum applied apply_batch(struct conn *c, struct batch *b, int64_t lost, struct err *e);
enum applied apply_claim(struct conn *c, const struct claim *claim, const struct plan *p, struct sqlite_store *s,
                         struct arena *a, struct rows *out, struct err *e);

/* ---- writer.c ---- */

bool writer_start(struct sqlite_store *s, struct conn *c, struct err *e);  /* the connection becomes its own */
void writer_stop(struct sqlite_store *s);                                  /* after what waits */
bool stretch_begin(struct sqlite_store *s, struct conn *c, struct err *e); /* once it is open */
/* Commits the transaction; a lazy one is only written, unless it begins a stretch of such. */
bool stretch_commit(struct sqlite_store *s, struct conn *c, bool lazy, struct err *e);
bool writer_commit(struct store *st, struct batch *b, int64_t deadline, struct err *e);
bool writer_commit_begin(struct store *st, struct batch *b, int64_t deadline, void **job, struct err *e);
bool writer_commit_end(void *job, struct err *e);
int64_t writer_lazy_mark(struct store *st);
bool writer_claim(struct store *st, const struct claim *claim, struct plan *p, struct arena *a, struct rows *out,
                  struct err *e);
/* ---- state.c ---- */

/* Notes that the database failed (e) or works (NULL). */
void state_note(struct sqlite_store *s, const struct err *e);
bool state_is_up(struct store *st, struct err *why);
bool state_has_room(struct store *st);
/* A file of store.reserve bytes beside the database, to be given back when the disk is full; false while there is no
 * space for it. */
bool reserve_take(const char *path);
void reserve_give(const char *path);

/* ---- lock.c: locks in the memory of this process ---- */

struct locks *locks_new(void);
void locks_free(struct locks **l);
bool lock_take(struct store *st, struct bytes name, int64_t ttl_ms, int64_t *token, struct err *e);
bool lock_renew(struct store *st, struct bytes name, int64_t token, int64_t ttl_ms, struct err *e);
void lock_end(struct store *st, struct bytes name, int64_t token);

/* ---- page_cache.c ---- */

/* For the whole process, before SQLite is used. */
void page_cache_set(void);

/* ---- fault_vfs.c: builds with POSTRIDER_FAULTS only ---- */

#ifdef POSTRIDER_FAULTS
#include "store/sqlite/fault_vfs.h"
#endif

#endif
