/* service/keep/copy.h - everything of one store into another, empty one, of the other engine or the same.
 *
 * Nobody else may have either of them open (ERR_IN_USE, as far as it can be seen). Rows go over kind by kind in slices
 * of store.copy_rows rows and store.copy_memory bytes, then the chunks of large bodies; how far it is stands in TO, in
 * the row of the kind `copy`, and is written in the batch that brings the slice: ended at any point it goes on there
 * when it is run again. When all is over, both stores are read again and compared row by row and byte by byte; only
 * then TO counts as finished, and a server takes it.
 *
 * What goes over is every field of every row, as it is: leases and tokens too (a lease ends by its time), and the feeds
 * of watched kinds in their order. What does not: locks and who is alive, which end with their server, and the places
 * in a feed: a cursor is of one database, and in another it is refused. What a newer build keeps in FROM and this one
 * does not know is no row of ours to bring: ERR_INVALID names it, use the newer build.
 *
 * Blocks; one plain thread. */
#ifndef SERVICE_COPY_H
#define SERVICE_COPY_H
#include "service/core/kinds.h"

enum copy_stage { COPY_ROWS, COPY_CHECK };

struct copy_options {
    const char *from, *to; /* URLs, as store_open takes them */
    /* Called after each slice: rows of this kind ("chunk": of blobs) so far. May be NULL. */
    void (*tell)(void *arg, enum copy_stage stage, const char *kind, int64_t rows);
    void *arg;
};

#define COPY_KINDS 65
struct copy_report {
    bool resumed;  /* an earlier run had begun */
    bool was_done; /* and finished: nothing was done but compare both again */
    int64_t started_at, done_at;
    struct {
        const char *kind;
        int64_t rows; /* as many on both sides */
    } counts[COPY_KINDS];
    size_t n;
};

/* ERR_INVALID: TO holds something else, FROM is no whole store; ERR_CONFLICT: they differ, and where (a finished copy
 * too, once FROM or TO has gone on); ERR_BUSY: a
 * database was away for longer than a copy waits. Run again it goes on. */
bool copy_run(const struct copy_options *o, struct copy_report *out, struct err *e);
/* ERR_INVALID for a store that a copy has begun to fill, and not finished. */
bool copy_is_whole(struct store *st, struct err *e);
#endif
