/* cli/check.c - check: the vital parts, with or without a running server, and how to mend what fails.
 *
 * What `serve` would use is what is looked at: boot file, environment and flags are read in the same way, and a running
 * server is asked for its settings. Nothing is changed. Each finding comes with what to do; the exit code is that of
 * the worst. */
#include "cli/check.h"
#include "base/clock.h"
#include "base/crypt.h"
#include "base/json.h"
#include "base/log.h"
#include "cli/client.h"
#include "net/dns.h"
#include "net/fiber.h"
#include "service/queue/own_rules.h"
#include "service/service.h"
#include <json-c/json.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { FREE_LOW_MIB = 1024, FREE_FAIL_MIB = 64 };

void check_say(struct checkup *c, enum verdict v, const char *name, const char *found, const char *mend)
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
        check_say(c, FAIL, "folder", found, mend);
        return;
    }
    snprintf(found, sizeof found, "%s, mode %03o", c->data, s.st_mode & 0777);
    snprintf(mend, sizeof mend, "others can read the keys in it: chmod 700 %s", c->data);
    check_say(c, s.st_mode & 077 ? FAIL : PASS, "folder", found, mend);
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
    check_say(c,
              free_bytes >> 20 < FREE_FAIL_MIB  ? FAIL
              : free_bytes >> 20 < FREE_LOW_MIB ? WARN
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
        check_say(c, FAIL, name, found, mend);
        return;
    }
    snprintf(found, sizeof found, "%s, mode %03o", path, s.st_mode & 0777);
    check_say(c, s.st_mode & 077 ? FAIL : PASS, name, found, "it holds a secret: chmod 600 it");
}

static bool is_file(const struct checkup *c)
{
    return strncmp(c->boot.store, "sqlite:", 7) == 0;
}

/* Before the first start there is neither a key nor a store. */
static void check_key_and_store(struct checkup *c)
{
    char key[600], found[1000];
    struct err e = { 0 };
    bool ok = service_probe_store(c->boot.store, found, sizeof found, &e);

    snprintf(key, sizeof key, "%s/server.key", c->data);
    if (!ok && e.code == ERR_MISSING && access(key, F_OK) != 0) {
        check_say(c, WARN, "store", "nothing yet: key and store are made at the first start",
                  "start `postrider serve`");
        return;
    }
    check_file(
        c, "server.key",
        "without it no mail can be read: restore it from your copy; a new one is never made beside a filled store");
    if (ok)
        check_say(c, PASS, "store", found, "");
    else
        check_say(
            c, FAIL, "store", e.message,
            is_file(c)
                ? "look at the log of `postrider serve`; a damaged file is restored from a copy of the data folder"
                : "mend that, or the setting `store` (--store, POSTRIDER_STORE, the boot file)");
}

static void check_clock(struct checkup *c)
{
    char found[CLOCK_TEXT + 8];
    bool sane = clock_wall() > 1750000000000; /* June 2025: before that nothing of this was built */

    clock_rfc3339(clock_wall(), found);
    check_say(c, sane ? PASS : FAIL, "clock", found,
              "the clock is wrong: set it (ntp), mail dates and keys depend on it");
}

static void check_api(struct checkup *c)
{
    struct client_answer a;

    client_call(c->line, &(struct client_request){ .method = "GET", .path = "/readyz" }, &a);
    c->running = a.status != 0;
    if (!a.status)
        check_say(c, WARN, "server", a.error, "start it with `postrider serve`");
    else if (a.status == 200)
        check_say(c, PASS, "server", "running and ready", "");
    else
        check_say(c, FAIL, "server", "running, but not ready to accept mail",
                  "its log says why (store away, disk full)");
    client_answer_clear(&a);
}

struct bytes check_setting(struct checkup *c, const char *name)
{
    struct client_answer a;
    struct bytes value = NO_BYTES;
    char path[128];
    enum param p;

    if (!c->running)
        return param_find(bytes_of(name), &p) ? param_show(p, c->arena) : NO_BYTES;
    snprintf(path, sizeof path, "/v1/settings/%s", name);
    client_call(c->line, &(struct client_request){ .method = "GET", .path = path }, &a);
    value = arena_copy(c->arena, json_text(a.json, "value"));
    client_answer_clear(&a);
    return value;
}

/* What delivery, and the checks of what comes in, stand on. Mail between local users goes without. */
static void check_outward(struct checkup *c)
{
    static const enum param set[] = { PARAM_dns_servers, PARAM_dns_trust_anchor, PARAM_dns_insecure };
    struct err e = { 0 };
    bool ok = true;

    for (size_t i = 0; i < sizeof set / sizeof *set && ok; i++)
        ok = param_set(set[i], PARAM_FROM_FLAG, check_setting(c, param_row(set[i])->name), &e);
    if (!ok || !dns_start(&e)) {
        check_say(c, WARN, "dns", e.message,
                  "set dns.servers, or mend /etc/resolv.conf: mail to other servers needs names");
        return;
    }
    check_resolver(c);
    check_name(c);
    check_port_25(c);
}

/* A server on this machine, whose files can be looked at. */
static bool is_local(const struct command_line *l)
{
    return !command_value(l, "url") && !command_value(l, "profile") &&
           (command_value(l, "data") || !getenv("POSTRIDER_URL"));
}

const struct flag check_flags[] = {
    { "store", FLAG_TEXT, NULL, false, "as `serve` is given it (POSTRIDER_STORE, the boot file)" },
    { "config", FLAG_TEXT, NULL, false, "boot file (POSTRIDER_CONFIG; postrider.json in the data folder)" },
    { "set", FLAG_TEXTS, NULL, false, "NAME=VALUE: a parameter as `serve` is given it, may be repeated" },
    { "to", FLAG_TEXT, NULL, false, "HOST of another mail server: is port 25 open from here to it?" },
    { "signed", FLAG_TEXT, NULL, false, "a domain that is signed, to try the resolver with (.)" },
    { "unsigned", FLAG_TEXT, NULL, false, "one that is not (gmail.com)" },
    { NULL, FLAG_TEXT, NULL, false, NULL },
};

/* The server goes on with what it knew when there is a fault in it. */
static void check_rules(struct checkup *c)
{
    struct bytes path = check_setting(c, "delivery.rules_file");
    struct rules *rules = NULL;
    struct err e = { 0 };

    if (!path.n)
        return;
    if (rules_file_read(path, &rules, &e))
        check_say(c, PASS, "rules", arena_text(c->arena, path), NULL);
    else
        check_say(c, FAIL, "rules", e.message, "mend the file (docs/operating.md), and send the server SIGHUP");
    rules_free(&rules);
}

static void check_files(struct checkup *c)
{
    check_folder(c);
    check_room(c);
    check_key_and_store(c);
}

static bool prepare(struct checkup *c, struct err *e)
{
    const struct net_options net = { .loops = 1, .store_workers = 1, .cpu_workers = 1, .fibers_max = 100 };

    params_init();
    crypt_init();
    log_set(LOG_ERROR, LOG_LOGFMT);
    c->data = client_data_dir(c->line);
    setenv("POSTRIDER_DATA", c->data, 1); /* where boot_read looks for the boot file too */
    c->results = json_object_new_array();
    c->arena = arena_new(16 * 1024 * 1024);
    if (!boot_read(c->line, &c->boot, e))
        return false;
    return c->net = net_start(&net, e);
}

int check_main(int argc, char **argv)
{
    const struct flag *tables[] = { client_flags, check_flags, NULL };
    struct command_line l;
    struct checkup c = { .line = &l };
    struct err e = { 0 };

    if (!command_parse(argc, argv, tables, &l))
        return EXIT_USAGE;
    if (!prepare(&c, &e)) {
        output_error(&l, "%s", e.message);
        c.worst = FAIL;
        goto out;
    }
    if (is_local(&l))
        check_files(&c);
    check_clock(&c);
    check_api(&c);
    if (is_local(&l)) {
        check_certificates(&c);
        check_doors(&c);
        check_rules(&c);
        check_outward(&c);
    }
    if (output_json(&l))
        puts(json_object_to_json_string_ext(c.results, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
out:
    if (c.net)
        net_stop();
    dns_stop();
    json_object_put(c.results);
    arena_free(&c.arena);
    params_free();
    return c.worst == FAIL ? EXIT_FAILED : EXIT_FINE;
}
