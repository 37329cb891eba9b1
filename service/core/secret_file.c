/* service/core/secret_file.c - files that hold secrets.
 *
 * A file or folder that others could read is refused and not mended: somebody may have read it already, and only the
 * owner knows what that means. Writing goes aside, to the disk, and into place by a rename that is made durable too, so
 * a crash leaves the old file or the new one, whole. */
#include "service/core/secret_file.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define OTHERS (S_IRWXG | S_IRWXO)

static bool failed(const char *what, const char *path, struct err *e)
{
    return err_set(e, ERR_INVALID, "%s: cannot %s: %s", path, what, strerror(errno));
}

bool secret_folder(const char *path, struct err *e)
{
    struct stat st;

    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return failed("make this folder", path, e);
    if (stat(path, &st) != 0)
        return failed("look at it", path, e);
    if (!S_ISDIR(st.st_mode))
        return err_set(e, ERR_INVALID, "%s is not a folder: name another data folder", path);
    if (st.st_uid != geteuid() && geteuid() != 0)
        return err_set(e, ERR_INVALID, "%s belongs to another user (uid %u): run as that user", path, st.st_uid);
    if (st.st_mode & OTHERS)
        return err_set(e, ERR_INVALID, "%s can be entered by others: chmod 700 %s", path, path);
    return true;
}

static bool read_all(int fd, const char *path, struct arena *a, struct bytes *out, struct err *e)
{
    char *text = arena_alloc(a, SECRET_FILE_MAX + 1);
    size_t n = 0;

    for (;;) {
        ssize_t got = read(fd, text + n, SECRET_FILE_MAX + 1 - n);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return failed("read it", path, e);
        if (got == 0)
            break;
        n += (size_t)got;
        if (n > SECRET_FILE_MAX)
            return err_set(e, ERR_INVALID, "%s is longer than %d bytes: that is not ours", path, SECRET_FILE_MAX);
    }
    *out = (struct bytes){ text, n };
    return true;
}

bool secret_read(const char *path, struct arena *a, struct bytes *out, bool *found, struct err *e)
{
    struct stat st;
    bool ok = false;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

    *found = fd >= 0;
    if (fd < 0)
        return errno == ENOENT ? true : failed("open it", path, e);
    if (fstat(fd, &st) != 0)
        failed("look at it", path, e);
    else if (!S_ISREG(st.st_mode))
        err_set(e, ERR_INVALID, "%s is not a file", path);
    else if (st.st_mode & OTHERS)
        err_set(e, ERR_INVALID, "%s can be read by others: chmod 600 %s", path, path);
    else
        ok = read_all(fd, path, a, out, e);
    close(fd);
    return ok;
}

static bool write_all(int fd, struct bytes text)
{
    while (text.n) {
        ssize_t put = write(fd, text.p, text.n);

        if (put < 0 && errno != EINTR)
            return false;
        if (put > 0)
            text = bytes_from(text, (size_t)put);
    }
    return fsync(fd) == 0;
}

/* Makes the file the folder's owner's (root starts servers that become somebody else), and the rename durable. */
static bool settle(const char *path)
{
    struct stat st;
    const char *slash = strrchr(path, '/');
    char *folder = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
    int fd;
    bool ok;

    if (!folder)
        die("out of memory: the name of a folder");
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ok = fd >= 0 && fstat(fd, &st) == 0 && (geteuid() != 0 || chown(path, st.st_uid, st.st_gid) == 0) && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    free(folder);
    return ok;
}

bool secret_write(const char *path, struct bytes text, struct err *e)
{
    char *spare;
    bool ok = false;
    int fd;

    if (asprintf(&spare, "%s.new", path) < 0)
        die("out of memory: the name of a file");
    unlink(spare);
    fd = open(spare, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        failed("make it", spare, e);
    else if (!write_all(fd, text))
        failed("write it", spare, e);
    else if (rename(spare, path) != 0 || !settle(path))
        failed("put it in place", path, e);
    else
        ok = true;
    if (fd >= 0)
        close(fd);
    if (!ok)
        unlink(spare);
    free(spare);
    return ok;
}
