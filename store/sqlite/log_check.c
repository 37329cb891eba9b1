/* store/sqlite/log_check.c - reading the log (WAL) before SQLite does, which never complains about a lost one.
 *
 * The question is always whether something that had been acknowledged is gone. A torn end was not acknowledged and is
 * fine; damage with whole groups behind it, a log that is missing, and a file that is shorter than it says are not. Who
 * goes on all the same has copies kept first. */
#include "store/sqlite/log_check.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { USER_VERSION = 60, LOG_HEADER = 32, FRAME_HEADER = 24, PAGE_MOST = 65536, NAME_MAX_BYTES = 1024 };
#define LOG_MAGIC UINT32_C(0x377f0682) /* the lowest bit: checksums are big-endian */

/* "<database><end>"; a name that does not fit names nothing. */
static const char *beside(const char *path, const char *end, char out[NAME_MAX_BYTES])
{
    if (snprintf(out, NAME_MAX_BYTES, "%s%s", path, end) >= NAME_MAX_BYTES)
        out[0] = '\0';
    return out;
}

static int64_t size_of(const char *name, struct timespec *changed)
{
    struct stat s;

    if (stat(name, &s) != 0)
        return -1;
    if (changed)
        *changed = s.st_mtim;
    return s.st_size;
}

/* ---- the log ---- */

static uint32_t big(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint32_t little(const uint8_t *p)
{
    return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

struct sum {
    uint32_t a, b;
};

static struct sum add(struct sum s, bool is_big, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i += 8) {
        s.a += (is_big ? big(p + i) : little(p + i)) + s.b;
        s.b += (is_big ? big(p + i + 4) : little(p + i + 4)) + s.a;
    }
    return s;
}

struct log {
    FILE *file;
    bool is_big;
    size_t page;
    uint8_t salt[8];
    struct sum stored; /* of the frame read last, as it says itself */
    bool unsynced;     /* may the groups from here on be torn? As page 1 said last (stretch.c) */
    uint8_t frame[FRAME_HEADER + PAGE_MOST];
};

static bool same(struct sum s, const uint8_t *stored)
{
    return s.a == big(stored) && s.b == big(stored + 4);
}

static bool read_header(struct log *l)
{
    uint8_t h[LOG_HEADER];

    if (fread(h, 1, sizeof h, l->file) != sizeof h || (big(h) & ~UINT32_C(1)) != LOG_MAGIC)
        return false;
    l->is_big = big(h) & 1;
    l->page = big(h + 8);
    memcpy(l->salt, h + 16, sizeof l->salt);
    l->stored = (struct sum){ big(h + 24), big(h + 28) };
    return l->page >= 512 && l->page <= PAGE_MOST && (l->page & (l->page - 1)) == 0 &&
           same(add((struct sum){ 0, 0 }, l->is_big, h, 24), h + 24);
}

enum frame { FRAME_NONE, FRAME_BAD, FRAME_GOOD, FRAME_COMMIT };

/* Good: of this log (an older one lies behind its end), and follows on the one before it, whatever became of that. */
static enum frame next_frame(struct log *l)
{
    const uint8_t *f = l->frame;
    struct sum sum;
    bool good;

    if (fread(l->frame, 1, FRAME_HEADER + l->page, l->file) != FRAME_HEADER + l->page)
        return FRAME_NONE;
    sum = add(add(l->stored, l->is_big, f, 8), l->is_big, f + FRAME_HEADER, l->page);
    good = memcmp(f + 8, l->salt, sizeof l->salt) == 0 && same(sum, f + 16);
    l->stored = (struct sum){ big(f + 16), big(f + 20) };
    if (good && big(f) == 1)
        l->unsynced = big(f + FRAME_HEADER + USER_VERSION) != 0;
    return !good ? FRAME_BAD : big(f + 4) ? FRAME_COMMIT : FRAME_GOOD;
}

/* A group is synced before the next one is begun: a frame that does not fit, and behind it the end of a group on which
 * the next one follows, is no torn end. What failed groups left behind the end has no such place. Of lazy groups any
 * frame may be missing, until the end of one whose page 1 says that it was synced, and all before it. */
static bool is_broken(struct log *l, bool *any)
{
    bool bad = false, ended = false; /* behind a synced end of a group */
    enum frame f;

    while ((f = next_frame(l)) != FRAME_NONE) {
        bad = bad || f == FRAME_BAD;
        *any = *any || (!bad && f == FRAME_COMMIT);
        if (ended && f != FRAME_BAD)
            return true;
        ended = bad && f == FRAME_COMMIT && !l->unsynced;
    }
    return false;
}

/* *any: it holds something that SQLite will take. False: its beginning or its middle is damaged. */
static bool look_through(const char *name, int64_t size, bool *any)
{
    struct log *l;
    bool ok = true;

    *any = false;
    if (size <= LOG_HEADER)
        return true;
    if (!(l = calloc(1, sizeof *l)))
        die("out of memory: the log");
    l->file = fopen(name, "rb");
    if (l->file)
        ok = read_header(l) ? !is_broken(l, any) : size < LOG_HEADER + FRAME_HEADER + 512;
    if (l->file)
        fclose(l->file);
    free(l);
    return ok; /* what cannot be opened fails when SQLite opens it */
}

/* ---- the mark ---- */

void log_mark(const char *path, int64_t number)
{
    char name[NAME_MAX_BYTES], text[32];
    int fd = open(beside(path, "-mark", name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    int n = snprintf(text, sizeof text, "%020lld\n", (long long)number);

    if (fd < 0)
        return;
    if (pwrite(fd, text, (size_t)n, 0) != n)
        log_warn("store", LOG_TEXT("result", "no mark"), LOG_TEXT("file", name), LOG_TEXT("reason", strerror(errno)));
    close(fd);
}

void log_unmark(const char *path)
{
    char name[NAME_MAX_BYTES];

    unlink(beside(path, "-mark", name));
}

static int64_t marked(const char *path)
{
    char name[NAME_MAX_BYTES], text[32] = "";
    int fd = open(beside(path, "-mark", name), O_RDONLY | O_CLOEXEC);
    int64_t number = 0;
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;

    if (fd >= 0)
        close(fd);
    return n > 0 && bytes_to_int(bytes_trim((struct bytes){ text, (size_t)n }), &number) ? number : 0;
}

/* A URI that opens the file alone, without its log, and makes nothing beside it. */
static void alone_uri(const char *path, struct buf *out)
{
    buf_adds(out, "file:");
    for (const char *p = path; *p; p++)
        if (strchr("?#%", *p))
            buf_addf(out, "%%%02X", (unsigned char)*p);
        else
            buf_addc(out, *p);
    buf_addf(out, "?mode=ro&immutable=1%c", 0);
}

/* What the database says by itself; 0 when it does not say. */
static int64_t numbered(const char *path)
{
    sqlite3_stmt *q = NULL;
    sqlite3 *db = NULL;
    struct buf uri;
    int64_t number = 0;

    buf_init(&uri, 3 * NAME_MAX_BYTES);
    alone_uri(path, &uri);
    if (sqlite3_open_v2(uri.p, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(db, "SELECT value FROM _meta WHERE name = 'log'", -1, &q, NULL) == SQLITE_OK &&
        sqlite3_step(q) == SQLITE_ROW)
        number = sqlite3_column_int64(q, 0);
    sqlite3_finalize(q);
    sqlite3_close(db);
    buf_clear(&uri);
    return number;
}

/* A database that was put back from a backup is behind its mark too: without an index of the log beside it (-shm), and
 * younger than the mark, it is one. */
static bool has_lost_its_log(const char *path)
{
    struct timespec changed = { 0 }, then = { 0 };
    char name[NAME_MAX_BYTES];
    bool indexed = size_of(beside(path, "-shm", name), NULL) > 0;

    if (size_of(path, &changed) <= 0 || size_of(beside(path, "-mark", name), &then) <= 0 ||
        numbered(path) >= marked(path))
        return false;
    return indexed || changed.tv_sec < then.tv_sec ||
           (changed.tv_sec == then.tv_sec && changed.tv_nsec <= then.tv_nsec);
}

/* ---- copies ---- */

static bool write_all(int fd, const char *p, size_t n)
{
    while (n) {
        ssize_t put = write(fd, p, n);

        if (put < 0 && errno != EINTR)
            return false;
        p += put > 0 ? put : 0;
        n -= put > 0 ? (size_t)put : 0;
    }
    return true;
}

static bool copy_bytes(int from, int to)
{
    char block[2048];
    ssize_t n;

    while ((n = read(from, block, sizeof block)) > 0)
        if (!write_all(to, block, (size_t)n))
            return false;
    return n == 0 && fsync(to) == 0;
}

static bool copy_file(const char *path, const char *end, const char *time, struct err *e)
{
    char name[NAME_MAX_BYTES], copy[NAME_MAX_BYTES];
    int from = open(beside(path, end, name), O_RDONLY | O_CLOEXEC), to;
    bool ok;

    if (from < 0)
        return errno == ENOENT || err_set(e, ERR_INVALID, "%.150s: %s", name, strerror(errno));
    to = open(beside(name, time, copy), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    ok = to >= 0 && copy_bytes(from, to);
    if (!ok)
        err_set(e, ERR_STORAGE_FULL, "cannot keep a copy of %.120s: %s", name, strerror(errno));
    if (to >= 0)
        close(to);
    if (to >= 0 && !ok)
        unlink(copy);
    close(from);
    return ok;
}

static bool keep_copies(const char *path, const char *why, struct err *e)
{
    char time[40];

    snprintf(time, sizeof time, ".lost-%lld", (long long)clock_wall());
    if (!copy_file(path, "", time, e) || !copy_file(path, "-wal", time, e))
        return false;
    log_unmark(path);
    log_error("store", LOG_TEXT("result", "loss accepted"), LOG_TEXT("database", path), LOG_TEXT("reason", why),
              LOG_TEXT("copies", time));
    return true;
}

/* Without a log the database is all there is: as long as its header says, where that is up to date (1.3.8). */
static bool is_cut_off(const char *path, int64_t size)
{
    uint8_t h[100];
    FILE *f = fopen(path, "rb");
    bool is_read = f && fread(h, 1, sizeof h, f) == sizeof h && memcmp(h, "SQLite format 3", 16) == 0;
    int64_t page = is_read ? (h[16] << 8 | h[17]) : 0;

    if (f)
        fclose(f);
    return is_read && memcmp(h + 24, h + 92, 4) == 0 && (int64_t)big(h + 28) * (page == 1 ? PAGE_MOST : page) > size;
}

bool log_check(const char *path, bool accept_loss, struct err *e)
{
    char name[NAME_MAX_BYTES], why[160] = "";
    int64_t size = size_of(beside(path, "-wal", name), NULL), all = size_of(path, NULL);
    bool any = false;

    if (size > 0 && all <= 0)
        snprintf(why, sizeof why, "there is its log (-wal), but no database");
    else if (!look_through(name, size, &any))
        snprintf(why, sizeof why, "its log (-wal) is damaged before its end");
    else if (!any && has_lost_its_log(path))
        snprintf(why, sizeof why, "its log (-wal) is missing, and what it held is lost");
    else if (!any && is_cut_off(path, all))
        snprintf(why, sizeof why, "it is shorter than it says");
    if (!why[0])
        return true;
    if (accept_loss)
        return keep_copies(path, why, e);
    return err_set(
        e, ERR_INVALID,
        "Put the database back from its backup, or give up what is lost with serve --accept-loss: %s (%.110s)", why,
        path);
}
