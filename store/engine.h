/* store/engine.h - what a database has to offer to become an engine. store.c checks, chooses the thread and calls.
 *
 * An engine's own struct begins with a struct store; table.h and gather.h are for all of them. Functions marked
 * (blocks) are called on a store worker or a plain thread and may block; the others are called in a fiber too and wait
 * only through net/wait.h. Arenas and rows belong to the caller, who sleeps meanwhile. Errors are those of store.h; a
 * plan has been checked. */
#ifndef STORE_ENGINE_H
#define STORE_ENGINE_H
#include "store/batch.h"
#include "store/query.h"
#include <stdatomic.h>

/* Rows found, in the arena. */
struct rows {
    void *row;
    size_t n;
    bool cut; /* the plan's `bytes` ended it */
};

struct unique_key {
    const struct kind *kind;
    const struct index *index;
    const struct value *values; /* one for each of its fields */
    size_t n;
};

struct engine {
    const char *schemes[2]; /* of the URL, "sqlite" */
    bool shared;            /* several nodes may have a store open */
    /* (blocks) `place` is the URL behind the colon. */
    bool (*open)(const struct store_options *o, struct bytes place, struct store **out, struct err *e);
    void (*close)(struct store *st); /* (blocks) frees it */
    /* (blocks) What store_probe says of it. */
    bool (*probe)(const char *url, struct bytes place, char *found, size_t n, struct err *e);
    int64_t (*now)(struct store *st);
    bool (*has_room)(struct store *st);
    bool (*is_up)(struct store *st, struct err *why);

    bool (*commit)(struct store *st, struct batch *b, int64_t deadline, struct err *e);
    /* The same in halves: *job is what commit_end (of the same fiber) waits for. */
    bool (*commit_begin)(struct store *st, struct batch *b, int64_t deadline, void **job, struct err *e);
    bool (*commit_end)(void *job, struct err *e);
    int64_t (*lazy_mark)(struct store *st); /* NULL: batches that require find out by themselves */
    bool (*get)(struct store *st, const struct kind *k, const struct id *ids, size_t n, struct arena *a, void *rows,
                struct err *e); /* (blocks) missing ones keep a zero id */
    bool (*get_by)(struct store *st, const struct unique_key *key, struct arena *a, void *row,
                   struct err *e); /* (blocks) */
    bool (*find)(struct store *st, const struct plan *p, struct arena *a, struct rows *out,
                 struct err *e); /* (blocks) */
    bool (*blob_get)(struct store *st, struct id id, unsigned n, struct arena *a, struct bytes *out,
                     struct err *e); /* (blocks) */
    bool (*claim)(struct store *st, const struct claim *c, struct plan *p, struct arena *a, struct rows *out,
                  struct err *e);

    bool (*lock)(struct store *st, struct bytes name, int64_t ttl_ms, int64_t *token, struct err *e);
    bool (*lock_renew)(struct store *st, struct bytes name, int64_t token, int64_t ttl_ms, struct err *e);
    void (*unlock)(struct store *st, struct bytes name, int64_t token);
    void (*end_earlier)(struct store *st); /* NULL: all ended with their process */

    /* Rows behind *place, which moves to the last; at most w->limit, at once; w->index NULL: of all values. A place is
     * the engine's own bytes, at most WATCH_PLACE_MAX of them; empty: before the oldest row kept. ERR_INVALID for one
     * it cannot read. (blocks) */
    bool (*watch_read)(struct store *st, const struct watch *w, struct bytes *place, struct arena *a, struct rows *out,
                       struct err *e);
    bool (*watch_end)(struct store *st, const struct kind *k, struct arena *a, struct bytes *place,
                      struct err *e); /* (blocks) */
    /* Raised after rows of the kind have committed. */
    struct signal *(*watch_signal)(struct store *st, const struct kind *k);

    bool (*knows_all)(struct store *st, struct err *e); /* (blocks) */
    /* Rows are struct blob_chunk. (blocks) */
    bool (*blob_walk)(struct store *st, const struct blob_chunk *after, size_t limit, struct arena *a, struct rows *out,
                      struct err *e);
};

struct store {
    const struct engine *engine;
    int64_t identity; /* set by open */
    struct id node;
    const struct kind *const *kinds; /* as store_open was given them */
    atomic_bool ending;              /* store_watch waits no more */
};

/* For engines: counts a call that the database failed (e; NULL: one that it did not fail), and logs when that made it
 * down (`was_down` false) or up. */
void engine_tell(const struct err *e, bool was_down);

extern const struct engine engine_sqlite, engine_mongo;
#endif
