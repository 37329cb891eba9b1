#include "cli/datadir.h"
#include "base/bytes.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

const char *datadir_file(const struct datadir *d, const char *name, char *out, size_t size)
{
    snprintf(out, size, "%s/%s", d->path, name);
    return out;
}

static bool find_user(struct datadir *d, const char *run_as, struct err *e)
{
    struct passwd *p;

    d->uid = geteuid();
    d->gid = getegid();
    if (!*run_as || geteuid() != 0)
        return true;
    p = getpwnam(run_as);
    if (!p)
        return err_set(e, ERR_INVALID, "server.run_as: there is no user \"%s\" on this machine", run_as);
    d->uid = p->pw_uid;
    d->gid = p->pw_gid;
    return true;
}

static bool make(struct datadir *d, struct err *e)
{
    struct stat s;

    if (mkdir(d->path, 0700) != 0 && errno != EEXIST)
        return err_set(e, ERR_INVALID, "cannot make the data folder %s: %s", d->path, strerror(errno));
    if (stat(d->path, &s) != 0 || !S_ISDIR(s.st_mode))
        return err_set(e, ERR_INVALID, "%s is no folder", d->path);
    if (s.st_mode & 077)
        return err_set(e, ERR_INVALID, "others can read the data folder %s, which holds keys: chmod 700 %s", d->path,
                       d->path);
    if (geteuid() == 0 && s.st_uid != d->uid && chown(d->path, d->uid, d->gid) != 0)
        return err_set(e, ERR_INVALID, "cannot give %s to server.run_as: %s", d->path, strerror(errno));
    if (access(d->path, W_OK) != 0)
        return err_set(e, ERR_INVALID, "cannot write in the data folder %s: %s", d->path, strerror(errno));
    return true;
}

static bool take_lock(struct datadir *d, struct err *e)
{
    char file[600], holder[32] = "";
    ssize_t n;

    d->lock = open(datadir_file(d, "lock", file, sizeof file), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (d->lock < 0)
        return err_set(e, ERR_INVALID, "cannot open %s: %s", file, strerror(errno));
    /* The lock decides, not the pid that is written: a lock ends with its process, a file does not. */
    if (flock(d->lock, LOCK_EX | LOCK_NB) != 0) {
        n = pread(d->lock, holder, sizeof holder - 1, 0);
        close(d->lock);
        d->lock = -1;
        return err_set(e, ERR_IN_USE, "the data folder %s is in use by another postrider (pid %s)", d->path,
                       n > 0 ? holder : "unknown");
    }
    n = snprintf(holder, sizeof holder, "%ld", (long)getpid());
    if (ftruncate(d->lock, 0) != 0 || pwrite(d->lock, holder, (size_t)n, 0) != n ||
        fchown(d->lock, d->uid, d->gid) != 0)
        return err_set(e, ERR_STORAGE_FULL, "cannot write %s: %s", file, strerror(errno));
    return true;
}

bool datadir_open(struct datadir *d, const char *path, const char *run_as, struct err *e)
{
    d->lock = -1;
    snprintf(d->path, sizeof d->path, "%s", path);
    return find_user(d, run_as, e) && make(d, e) && take_lock(d, e);
}

void datadir_close(struct datadir *d)
{
    if (d->lock >= 0)
        close(d->lock);
    d->lock = -1;
}

bool datadir_drop_root(const struct datadir *d, struct err *e)
{
    if (geteuid() != 0 || d->uid == 0)
        return true;
    /* Groups first: who is no longer root cannot give them up. */
    if (setgroups(0, NULL) != 0 || setresgid(d->gid, d->gid, d->gid) != 0 || setresuid(d->uid, d->uid, d->uid) != 0)
        return err_set(e, ERR_INTERNAL, "cannot become server.run_as: %s", strerror(errno));
    return true;
}
