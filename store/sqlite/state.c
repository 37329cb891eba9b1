/* store/sqlite/state.c - is the database up, and is there room for more.
 *
 * Whoever works with it notes what came of it; nobody asks the disk on the way of a mail but once a second. The reserve
 * is a file of its own beside the database: a full disk could not even delete rows, as a delete is a write too, so its
 * space is given back first, and new mail is refused until it is there again. */
#include "base/params.h"
#include "store/sqlite/sqlite.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { ROOM_EVERY_MS = 1000, RESERVE_NAME = 1024 };

void state_note(struct sqlite_store *s, const struct err *e)
{
    bool was;

    if (!e && !atomic_load_explicit(&s->down, memory_order_relaxed))
        return;
    pthread_mutex_lock(&s->state_lock);
    was = atomic_exchange(&s->down, e != NULL);
    atomic_store(&s->full, e && e->code == ERR_STORAGE_FULL);
    if (e)
        s->why = *e;
    pthread_mutex_unlock(&s->state_lock);
    engine_tell(e, was);
}

bool state_is_up(struct store *st, struct err *why)
{
    struct sqlite_store *s = (struct sqlite_store *)st;
    bool up;

    pthread_mutex_lock(&s->state_lock);
    up = !atomic_load(&s->down);
    if (!up && why)
        *why = s->why;
    pthread_mutex_unlock(&s->state_lock);
    return up;
}

/* ---- what is kept of the disk ---- */

static void reserve_name(const char *path, char out[RESERVE_NAME])
{
    snprintf(out, RESERVE_NAME, "%s-reserve", path);
}

bool reserve_take(const char *path)
{
    int64_t size = PARAM_INT(store, reserve);
    char name[RESERVE_NAME];
    struct stat s;
    bool ok, never;
    int fd;

    reserve_name(path, name);
    if (size == 0 || (stat(name, &s) == 0 && s.st_size == size))
        return true;
    fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    ok = ftruncate(fd, 0) == 0 && fallocate(fd, 0, 0, size) == 0;
    never = !ok && (errno == EOPNOTSUPP || errno == ENOSYS); /* a file system that keeps no space */
    close(fd);
    if (!ok)
        unlink(name);
    return ok || never;
}

void reserve_give(const char *path)
{
    char name[RESERVE_NAME];

    reserve_name(path, name);
    unlink(name);
}

static bool reserve_is_kept(const char *path)
{
    char name[RESERVE_NAME];

    reserve_name(path, name);
    return PARAM_INT(store, reserve) == 0 || access(name, F_OK) == 0;
}

/* A reserve that was given away is not there for new mail: it comes back first. */
static bool measure(const struct sqlite_store *s)
{
    struct statvfs v;
    uint64_t all, least = (uint64_t)PARAM_INT(store, free_min);

    if (statvfs(s->path, &v) != 0)
        return true; /* its writes will tell */
    all = (uint64_t)v.f_blocks * v.f_frsize;
    if (!least)
        least = all / 20 < (UINT64_C(1) << 30) ? all / 20 : UINT64_C(1) << 30;
    if (!reserve_is_kept(s->path))
        least += (uint64_t)PARAM_INT(store, reserve);
    return (uint64_t)v.f_bavail * v.f_frsize >= least;
}

/* One caller a second looks, the others take its answer. */
bool state_has_room(struct store *st)
{
    struct sqlite_store *s = (struct sqlite_store *)st;
    long long now = clock_monotonic(), last = atomic_load(&s->room_checked);

    if (atomic_load(&s->full)) /* a quota too, which statvfs does not tell of */
        return false;
    if (now - last >= ROOM_EVERY_MS && atomic_compare_exchange_strong(&s->room_checked, &last, now))
        atomic_store(&s->room, measure(s));
    return atomic_load(&s->room);
}
