/* check: the vital parts, with or without a running server, and how to mend what fails. */
#include "base/clock.h"
#include "base/json.h"
#include "cli/client.h"
#include <json-c/json.h>
#include <netdb.h>
#include <sqlite3.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <unistd.h>

enum verdict { PASS, WARN, FAIL };

struct checkup {
    const struct command_line *line;
    const char *data;
    struct json_object *results;
    bool running; /* a server answers */
    int worst;
};

static void say(struct checkup *c, enum verdict v, const char *name, const char *found, const char *mend)
{
    static const char *const words[] = { "pass", "warn", "fail" };
    struct json_object *one = json_object_new_object();

    json_object_object_add(one, "check", json_object_new_string(name));
    json_object_object_add(one, "result", json_object_new_string(words[v]));
    json_object_object_add(one, "found", json_object_new_string(found));
    json_object_object_add(one, "mend", v == PASS ? NULL : json_object_new_string(mend));
    json_object_array_add(c->results, one);
    c->worst = (int)v > c->worst ? (int)v : c->worst;
    if (output_json(c->line))
        return;
    printf("%-4s  %-12s %s\n", words[v], name, found);
    if (v != PASS)
        printf("      %-12s -> %s\n", "", mend);
}

static void check_folder(struct checkup *c)
{
    struct stat s;
    char found[600], mend[600];

    snprintf(mend, sizeof mend, "start `postrider serve --data %s` once, or name the folder with --data", c->data);
    if (stat(c->data, &s) != 0) {
        snprintf(found, sizeof found, "%s is not there", c->data);
        say(c, FAIL, "folder", found, mend);
        return;
    }
    snprintf(found, sizeof found, "%s, mode %03o", c->data, s.st_mode & 0777);
    snprintf(mend, sizeof mend, "others can read the keys in it: chmod 700 %s", c->data);
    say(c, s.st_mode & 077 ? FAIL : PASS, "folder", found, mend);
}

static void check_room(struct checkup *c)
{
    struct statvfs v;
    char found[128];
    unsigned long long free_bytes;

    if (statvfs(c->data, &v) != 0)
        return;
    free_bytes = (unsigned long long)v.f_bavail * v.f_frsize;
    snprintf(found, sizeof found, "%llu MiB free (%llu %%)", free_bytes >> 20,
             v.f_blocks ? (unsigned long long)v.f_bavail * 100 / v.f_blocks : 0);
    say(c,
        free_bytes < (64u << 20)     ? FAIL
        : free_bytes < (1024u << 20) ? WARN
                                     : PASS,
        "disk", found, "mail is refused (452 4.3.1) below store.free_min: make room or move the data folder");
}

static void check_file(struct checkup *c, const char *name, const char *mend)
{
    struct stat s;
    char path[600], found[700];

    snprintf(path, sizeof path, "%s/%s", c->data, name);
    if (stat(path, &s) != 0) {
        snprintf(found, sizeof found, "%s is missing", path);
        say(c, FAIL, name, found, mend);
        return;
    }
    snprintf(found, sizeof found, "%s, mode %03o", path, s.st_mode & 0777);
    say(c, s.st_mode & 077 ? FAIL : PASS, name, found, "it holds a secret: chmod 600 it");
}

/* quick_check of a copy would cost too much: one page walk of the schema shows what a start would show. */
static void check_store(struct checkup *c)
{
    char path[600], found[700];
    sqlite3 *db = NULL;
    sqlite3_stmt *q = NULL;
    int rc;

    snprintf(path, sizeof path, "%s/postrider.db", c->data);
    rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(db, "SELECT count(*) FROM message", -1, &q, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(q);
    if (rc == SQLITE_ROW)
        snprintf(found, sizeof found, "%s opens, %lld messages", path, sqlite3_column_int64(q, 0));
    else
        snprintf(found, sizeof found, "%s: %s", path, sqlite3_errmsg(db));
    say(c, rc == SQLITE_ROW ? PASS : FAIL, "store", found,
        "look at the log of `postrider serve`; a damaged file is restored from a copy of the data folder");
    sqlite3_finalize(q);
    sqlite3_close(db);
}

static void check_clock(struct checkup *c)
{
    char found[CLOCK_TEXT + 8];
    bool sane = clock_wall() > 1750000000000; /* June 2025: before that nothing of this was built */

    clock_rfc3339(clock_wall(), found);
    say(c, sane ? PASS : FAIL, "clock", found, "the clock is wrong: set it (ntp), mail dates and keys depend on it");
}

static void check_api(struct checkup *c)
{
    struct client_answer a;

    client_call(c->line, &(struct client_request){ "GET", "/readyz", NO_BYTES, NULL }, &a);
    c->running = a.status != 0;
    if (!a.status)
        say(c, WARN, "server", a.error, "start it with `postrider serve`");
    else if (a.status == 200)
        say(c, PASS, "server", "running and ready", "");
    else
        say(c, FAIL, "server", "running, but not ready to accept mail", "its log says why (store away, disk full)");
    client_answer_clear(&a);
}

/* Connects and reads the greeting's first characters. */
static bool greets(const char *host, const char *port, const char *want, char *found, size_t size)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list = NULL;
    struct timeval wait = { .tv_sec = 5 };
    bool ok = false;
    char text[256];
    ssize_t n = 0;
    int fd;

    snprintf(found, size, "%s:%s does not answer", host, port);
    if (getaddrinfo(strcmp(host, "*") == 0 ? "localhost" : host, port, &hints, &list) != 0)
        return false;
    fd = socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    if (fd >= 0 && connect(fd, list->ai_addr, list->ai_addrlen) == 0) {
        n = *want ? recv(fd, text, sizeof text - 1, 0) : 0;
        text[n > 0 ? n : 0] = '\0';
        ok = strncmp(text, want, strlen(want)) == 0;
        snprintf(found, size, "%s:%s %s", host, port, ok ? "answers" : "is something else's port");
    }
    if (fd >= 0)
        close(fd);
    freeaddrinfo(list);
    return ok;
}

static void check_door(struct checkup *c, const char *name, const char *want)
{
    struct client_answer a;
    char path[64], host[256], found[400];
    const char *listen;
    char *colon;

    snprintf(path, sizeof path, "/v1/settings/%s.listen", name);
    client_call(c->line, &(struct client_request){ "GET", path, NO_BYTES, NULL }, &a);
    listen = a.json ? json_object_get_string(json_member(a.json, "value")) : NULL;
    if (listen && strcmp(listen, "off") != 0) {
        snprintf(host, sizeof host, "%s", listen);
        host[strcspn(host, ",")] = '\0';
        colon = strrchr(host, ':');
        if (colon && strcmp(colon, ":0") != 0) {
            *colon = '\0';
            say(c, greets(host, colon + 1, want, found, sizeof found) ? PASS : FAIL, name, found,
                "the log of `postrider serve` says why the door is shut; `ss -ltnp` shows who has the port");
        }
    }
    client_answer_clear(&a);
}

int check_main(int argc, char **argv)
{
    const struct flag *tables[] = { client_flags, NULL };
    struct command_line l;
    struct checkup c = { .line = &l };

    if (!command_parse(argc, argv, tables, &l))
        return EXIT_USAGE;
    c.data = client_data_dir(&l);
    c.results = json_object_new_array();
    if (!command_value(&l, "url")) {
        check_folder(&c);
        check_room(&c);
        check_file(
            &c, "server.key",
            "without it no mail can be read: restore it from your copy; a new one is never made beside a filled store");
        check_store(&c);
    }
    check_clock(&c);
    check_api(&c);
    if (c.running) {
        check_door(&c, "smtp", "220");
        check_door(&c, "submission", "220");
        check_door(&c, "submissions", "");
        check_door(&c, "pop3", "+OK");
        check_door(&c, "pop3s", "");
    }
    if (output_json(&l))
        puts(json_object_to_json_string_ext(c.results, JSON_C_TO_STRING_PLAIN));
    json_object_put(c.results);
    return c.worst == FAIL ? EXIT_FAILED : EXIT_FINE;
}
