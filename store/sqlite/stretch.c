/* store/sqlite/stretch.c - groups that are written and not synced.
 *
 * A sync of the log covers all that lies before it, so lazy groups wait for the next group that is not. Two things
 * follow. The disk may take the pages of such a stretch in any order, and a log that is torn in its midst must not be
 * taken for a damaged one: so the log itself says where a stretch begins and ends, on page 1 (log_check.c), and the
 * group that says where it begins is synced, for this to be known. And a sync that fails may have thrown away what was
 * written before it: whoever requires chunks of before then fails (`lost`). */
#include "store/sqlite/log_vfs.h"
#include "store/sqlite/sqlite.h"

#define UNSYNCED "PRAGMA user_version=1"
#define SYNCED   "PRAGMA user_version=0"

/* Of sqlite_store.stretch: behind here groups are unsynced. Below it: how often it is still said that this has ended.
 * Twice, so that one damaged page of the log does not hide it. */
enum { OPEN = 2 };

bool stretch_commit(struct sqlite_store *s, struct conn *c, bool lazy, struct err *e)
{
    bool goes_on = lazy && s->stretch == OPEN, ok;

    if (!goes_on && (lazy || s->stretch) && !conn_step(c, lazy ? UNSYNCED : SYNCED, e))
        return false;
    log_vfs_sync(c->db, !goes_on);
    ok = conn_step(c, "COMMIT", e);
    log_vfs_sync(c->db, true);
    if (!ok)
        atomic_fetch_add(&s->lost, 1);
    else if (lazy)
        s->stretch = OPEN;
    else if (s->stretch)
        s->stretch--;
    return ok;
}

/* Behind the end that SQLite found, the log of a process that died in a stretch may hold more groups of it, which would
 * be taken for some that are missing. It is begun anew. */
bool stretch_begin(struct sqlite_store *s, struct conn *c, struct err *e)
{
    int64_t unsynced;

    s->stretch = 0;
    if (!conn_int(c, "PRAGMA user_version", &unsynced, e))
        return false;
    return !unsynced || (conn_run(c, "PRAGMA wal_checkpoint(RESTART)", e) && conn_run(c, SYNCED, e));
}
