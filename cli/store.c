/* cli/store.c - store copy and sync: what works on the store itself, not through a server's API.
 *
 * Both keep servers out as far as this can be seen: the lock in a SQLite file's folder, living processes on MongoDB.
 * A URL may stand in a file, as a list of processes would show its password. The exit code tells whether to run it
 * again. */
#include "base/clock.h"
#include "base/crypt.h"
#include "base/json.h"
#include "base/log.h"
#include "cli/boot.h"
#include "service/core/member.h"
#include "service/keep/copy.h"
#include "service/keep/sync.h"
#include <fcntl.h>
#include <json-c/json.h>
#include <libgen.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define URL_MAX 1024

const struct flag store_flags[] = {
    { "json", FLAG_SWITCH, NULL, false, "print JSON (standard when not on a terminal)" },
    { "quiet", FLAG_SWITCH, NULL, false, "no progress" },
    { "progress", FLAG_SWITCH, NULL, false, "a line for each step to standard error (on a terminal one that changes)" },
    { NULL, FLAG_TEXT, NULL, false, NULL },
};

const struct flag sync_flags[] = {
    { "data", FLAG_TEXT, NULL, false, "data folder (POSTRIDER_DATA; ./data)" },
    { "store", FLAG_TEXT, NULL, false, "sqlite:PATH or mongodb://… (POSTRIDER_STORE; as serve finds it)" },
    { "config", FLAG_TEXT, NULL, false, "boot file (POSTRIDER_CONFIG; postrider.json in the data folder)" },
    { "dry-run", FLAG_SWITCH, NULL, false, "only say what is off" },
    { "json", FLAG_SWITCH, NULL, false, "print JSON (standard when not on a terminal)" },
    { NULL, FLAG_TEXT, NULL, false, NULL },
};

static void print_flags(const struct flag *f)
{
    for (; f->name; f++)
        printf("  --%-20s %s\n", f->name, f->help);
}

void store_help(void)
{
    puts("postrider store copy FROM TO\n"
         "  Brings everything of one store into another, empty one, and compares both byte by byte. FROM and TO are\n"
         "  sqlite:PATH or mongodb://…, or @FILE: the URL stands in a file, where no list of processes shows its\n"
         "  password. Stop every server first. Ended at any point, run it again: it goes on where it was.\n"
         "  Exit 0: TO is whole. 1: not, and why. 5: a database is away, run it again.");
    print_flags(store_flags);
}

void sync_help(void)
{
    puts("postrider sync\n"
         "  Counts again what is kept beside for speed (mailboxes' totals, used bytes, uids, how many domains and\n"
         "  addresses, how the deliveries of each message stand), says what was off, and puts it right. With MongoDB\n"
         "  servers may go on meanwhile; with SQLite stop the server first.\n"
         "  Exit 0: all is right now. 1: failed, or with --dry-run something is off. 6: rows kept changing, run it "
         "again.");
    print_flags(sync_flags);
}

/* ---- where a store lies ---- */

/* The URL itself, or the first line of the file behind '@'. */
static bool read_url(const char *word, char out[URL_MAX], struct err *e)
{
    FILE *f = *word == '@' ? fopen(word + 1, "r") : NULL;
    bool ok = *word != '@' || (f && fgets(out, URL_MAX, f));

    if (f)
        fclose(f);
    if (!ok)
        return err_set(e, ERR_INVALID, "cannot read a URL from %s", word + 1);
    if (*word != '@' && strlen(word) >= URL_MAX)
        return err_set(e, ERR_INVALID, "a URL is longer than %d bytes", URL_MAX - 1);
    if (*word != '@')
        snprintf(out, URL_MAX, "%s", word);
    out[strcspn(out, "\r\n")] = '\0';
    return true;
}

/* What lies in a data folder belongs to the server whose lock is there: held until we end. */
static bool lock_folder(const char *folder, struct err *e)
{
    char path[URL_MAX + 8], pid[32] = "";
    int fd;

    snprintf(path, sizeof path, "%s/lock", folder);
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) == 0)
        return true;
    if (pread(fd, pid, sizeof pid - 1, 0) < 0)
        pid[0] = '\0';
    close(fd);
    return err_set(e, ERR_IN_USE, "the data folder %s is in use by a server: stop it first (kill %s)", folder, pid);
}

/* As root: the file belongs to whom its folder belongs, so that the server can open it. */
static bool make_file(const char *path, const char *folder, struct err *e)
{
    struct stat s;
    int fd;

    if (stat(folder, &s) != 0)
        return err_set(e, ERR_INVALID, "there is no folder %s", folder);
    if (geteuid() != 0 || access(path, F_OK) == 0)
        return true;
    fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || fchown(fd, s.st_uid, s.st_gid) != 0)
        err_set(e, ERR_INVALID, "cannot make %s", path);
    if (fd >= 0)
        close(fd);
    return fd >= 0 && !e->code;
}

static bool prepare(const char *url, bool fresh, struct err *e)
{
    char copy[URL_MAX];
    const char *path = url + 7, *folder;

    if (strncmp(url, "sqlite:", 7) != 0)
        return true;
    snprintf(copy, sizeof copy, "%s", path);
    folder = dirname(copy);
    return lock_folder(folder, e) && (!fresh || make_file(path, folder, e));
}

/* Two names of one file. */
static bool differ(const char *from, const char *to, struct err *e)
{
    struct stat x, y;

    if (strncmp(from, "sqlite:", 7) != 0 || strncmp(to, "sqlite:", 7) != 0 || stat(from + 7, &x) != 0 ||
        stat(to + 7, &y) != 0 || x.st_dev != y.st_dev || x.st_ino != y.st_ino)
        return true;
    return err_set(e, ERR_INVALID, "FROM and TO are the same database");
}

/* ---- copy ---- */

static void show_progress(void *arg, enum copy_stage stage, const char *kind, int64_t rows)
{
    const bool *terminal = arg;

    fprintf(stderr, "%s%s %s %lld%s", *terminal ? "\r\033[K" : "", stage == COPY_ROWS ? "copying" : "comparing", kind,
            (long long)rows, *terminal ? "" : "\n");
}

static void add_time(struct json_object *o, const char *name, int64_t wall)
{
    char text[CLOCK_TEXT];

    clock_rfc3339(wall, text);
    json_object_object_add(o, name, json_object_new_string(text));
}

static const struct member copied_columns[] = { { .name = "kind", .column = true },
                                                { .name = "rows", .column = true } };
static const struct members copied_members = { .all = copied_columns, .n = 2 };

static void say_copied(const struct command_line *l, const struct copy_report *r)
{
    struct json_object *answer = json_object_new_object(), *rows = json_object_new_array();

    json_object_object_add(answer, "result", json_object_new_string(r->was_done ? "already copied" : "copied"));
    json_object_object_add(answer, "resumed", json_object_new_boolean(r->resumed && !r->was_done));
    add_time(answer, "started_at", r->started_at);
    add_time(answer, "done_at", r->done_at);
    for (size_t i = 0; i < r->n; i++) {
        struct json_object *one = json_object_new_object();

        json_object_object_add(one, "kind", json_object_new_string(r->counts[i].kind));
        json_object_object_add(one, "rows", json_object_new_int64(r->counts[i].rows));
        json_object_array_add(rows, one);
    }
    if (r->was_done)
        json_object_put(rows);
    else
        json_object_object_add(answer, "data", rows);
    output_answer(l, answer, &copied_members);
    if (!r->was_done && !output_json(l))
        puts("copied, and compared byte by byte: TO is whole");
    json_object_put(answer);
}

/* A file that we made, and in which nothing is, goes again. */
static void remove_empty(const char *url)
{
    struct stat s;

    if (strncmp(url, "sqlite:", 7) == 0 && stat(url + 7, &s) == 0 && S_ISREG(s.st_mode) && s.st_size == 0)
        unlink(url + 7);
}

static int copy(const struct command_line *l)
{
    bool terminal = isatty(STDERR_FILENO);
    bool shown = command_switch(l, "progress") || (terminal && !command_switch(l, "quiet"));
    char from[URL_MAX] = "", to[URL_MAX] = "";
    struct copy_options o = { .from = from, .to = to, .tell = shown ? show_progress : NULL, .arg = &terminal };
    struct copy_report report;
    struct err e = { 0 };
    bool ok = read_url(l->words[2], from, &e) && read_url(l->words[3], to, &e) && differ(from, to, &e) &&
              prepare(from, false, &e) && prepare(to, true, &e) && copy_run(&o, &report, &e);

    if (shown && terminal)
        fputs("\r\033[K", stderr);
    if (ok)
        say_copied(l, &report);
    else
        output_error(l, "%s", e.message);
    if (!ok)
        remove_empty(to);
    return ok ? EXIT_FINE : e.code == ERR_BUSY ? EXIT_UNREACHABLE : EXIT_FAILED;
}

static void start(void)
{
    params_init();
    crypt_init();
    log_set(LOG_ERROR, LOG_LOGFMT);
}

int store_main(int argc, char **argv)
{
    const struct flag *tables[] = { store_flags, NULL };
    struct command_line l;
    struct err e = { 0 };
    int status;

    if (!command_parse(argc, argv, tables, &l))
        return EXIT_USAGE;
    if (l.n_words != 4 || strcmp(l.words[1], "copy") != 0) {
        fprintf(stderr, "usage: postrider store copy FROM TO; see `postrider help store`\n");
        return EXIT_USAGE;
    }
    start();
    if (params_from_env(&e)) {
        status = copy(&l);
    } else {
        output_error(&l, "%s", e.message);
        status = EXIT_USAGE;
    }
    params_free();
    return status;
}

/* ---- sync ---- */

/* What is off is shown as it is found, or, as JSON, in one list at the end: the first FOUND_MAX of it. */
#define FOUND_MAX 10000
struct finding {
    const struct command_line *line;
    struct json_object *list;
};

static void show_found(void *arg, const struct sync_found *f)
{
    struct finding *all = arg;
    struct json_object *one;

    if (!output_json(all->line)) {
        printf("%.*s %.*s  %s: %lld, is %lld\n", SHOW(f->id), SHOW(f->name), f->field, (long long)f->was,
               (long long)f->is);
        return;
    }
    if (json_object_array_length(all->list) == FOUND_MAX)
        return;
    one = json_object_new_object();
    json_object_object_add(one, "id", json_object_new_string_len(f->id.p, (int)f->id.n));
    json_object_object_add(one, "kind", json_object_new_string(f->kind));
    json_object_object_add(one, "name", f->name.p ? json_object_new_string_len(f->name.p, (int)f->name.n) : NULL);
    json_object_object_add(one, "field", json_object_new_string(f->field));
    json_object_object_add(one, "was", json_object_new_int64(f->was));
    json_object_object_add(one, "is", json_object_new_int64(f->is));
    json_object_array_add(all->list, one);
}

static void say_synced(struct finding *all, const struct sync_report *r, bool dry_run)
{
    struct json_object *answer;

    if (!output_json(all->line)) {
        printf("%lld rows looked at, %lld values off%s; %lld rows kept changing\n", (long long)r->rows,
               (long long)r->off, dry_run ? "" : " and put right", (long long)r->busy);
        return;
    }
    answer = json_object_new_object();
    json_object_object_add(answer, "rows", json_object_new_int64(r->rows));
    json_object_object_add(answer, "off", json_object_new_int64(r->off));
    json_object_object_add(answer, "mended", json_object_new_int64(dry_run ? 0 : r->off));
    json_object_object_add(answer, "busy", json_object_new_int64(r->busy));
    json_object_object_add(answer, "data", json_object_get(all->list));
    output_answer(all->line, answer, NULL);
    json_object_put(answer);
}

static int sync_status(const struct sync_report *r, bool dry_run)
{
    if (r->busy)
        return EXIT_PARTIAL;
    return dry_run && r->off ? EXIT_FAILED : EXIT_FINE;
}

static int sync_store(const struct command_line *l, const char *url)
{
    struct finding all = { l, json_object_new_array() };
    struct sync_options o = { .dry_run = command_switch(l, "dry-run"), .found = show_found, .arg = &all };
    struct sync_report report;
    bool sqlite = strncmp(url, "sqlite:", 7) == 0; /* one process at a time; with MongoDB, servers may go on */
    struct err e = { 0 };
    int status;

    if (prepare(url, false, &e) && sync_url(url, sqlite, &o, &report, &e)) {
        say_synced(&all, &report, o.dry_run);
        status = sync_status(&report, o.dry_run);
    } else {
        output_error(l, "%s", e.message);
        status = e.code == ERR_BUSY ? EXIT_UNREACHABLE : EXIT_FAILED;
    }
    json_object_put(all.list);
    return status;
}

int sync_main(int argc, char **argv)
{
    const struct flag *tables[] = { sync_flags, NULL };
    struct command_line l;
    struct boot boot;
    struct err e = { 0 };
    int status;

    if (!command_parse(argc, argv, tables, &l))
        return EXIT_USAGE;
    if (l.n_words != 1) {
        fprintf(stderr, "usage: postrider sync [--dry-run]; see `postrider help sync`\n");
        return EXIT_USAGE;
    }
    start();
    if (boot_read(&l, &boot, &e)) {
        status = sync_store(&l, boot.store);
    } else {
        output_error(&l, "%s", e.message);
        status = EXIT_USAGE;
    }
    params_free();
    return status;
}
