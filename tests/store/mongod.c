#include "tests/store/mongod.h"
#include "base/err.h"
#include "base/params.h"
#include "net/fiber.h"
#include <dirent.h>
#include <fcntl.h>
#include <mongoc/mongoc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NO_MONGOD = 3 };

static void run_script(int members, const int in[2], const int out[2])
{
    char number[16];

    snprintf(number, sizeof number, "%d", members);
    dup2(in[0], 0);
    dup2(out[1], 1);
    for (int fd = 3; fd < 64; fd++)
        close(fd);
    execlp("script/mongod", "script/mongod", number, (char *)NULL);
    _exit(127);
}

static bool read_lines(struct mongod *m)
{
    FILE *f = fdopen(dup(m->told), "r");
    char line[512], *at, *end;
    bool ok = f && fgets(m->uri, sizeof m->uri, f) && fgets(line, sizeof line, f);

    if (f)
        fclose(f);
    if (!ok)
        return false;
    m->uri[strcspn(m->uri, "\n")] = 0;
    for (at = line; m->n < MONGOD_MEMBERS && (m->ports[m->n] = (int)strtol(at, &end, 10)) > 0 && *end == '='; m->n++)
        m->pids[m->n] = (pid_t)strtol(end + 1, &at, 10);
    return m->n > 0;
}

static bool none_here(struct mongod *m)
{
    int status = 0;

    close(m->hold);
    close(m->told);
    waitpid(m->script, &status, 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != NO_MONGOD)
        die("script/mongod failed (status %d); tests run in the project's root", status);
    if (getenv("POSTRIDER_NEED_MONGOD"))
        die("no mongod on this machine: script/bootstrap test installs one");
    fprintf(stderr, "skipped: no mongod on this machine (script/bootstrap test installs one)\n");
    return false;
}

/* What is before the database, and what is behind it. */
static void cut_uri(struct mongod *m)
{
    char *query = strrchr(m->uri, '/');

    snprintf(m->base, sizeof m->base, "%.*s", (int)(query - m->uri), m->uri);
    snprintf(m->options, sizeof m->options, "%s", strchr(query, '?'));
}

bool mongod_borrow(struct mongod *m)
{
    const char *uri = getenv("POSTRIDER_LENT_MONGOD");

    if (!uri)
        return false;
    mongoc_init();
    *m = (struct mongod){ 0 };
    snprintf(m->uri, sizeof m->uri, "%s", uri);
    cut_uri(m);
    return true;
}

bool mongod_start(struct mongod *m, int members)
{
    int in[2], out[2];

    mongoc_init();
    *m = (struct mongod){ 0 };
    if (pipe(in) != 0 || pipe(out) != 0)
        die("no pipes");
    m->script = fork();
    if (m->script == 0)
        run_script(members, in, out);
    close(in[0]);
    close(out[1]);
    m->hold = in[1];
    m->told = out[0];
    if (!read_lines(m))
        return none_here(m);
    cut_uri(m);
    return true;
}

void mongod_stop(struct mongod *m)
{
    if (!m->script)
        return;
    for (int i = 0; i < m->n; i++)
        if (m->restarted[i]) {
            kill(m->pids[i], SIGKILL);
            waitpid(m->pids[i], NULL, 0);
        }
    close(m->hold);
    close(m->told);
    waitpid(m->script, NULL, 0);
}

bool mongod_world(struct mongod *m, int members, unsigned store_workers)
{
    struct net_options o = { .loops = 1, .store_workers = store_workers, .cpu_workers = 1, .fibers_max = 100 };
    struct err e;

    if (!mongod_start(m, members))
        return false;
    params_init();
    if (!net_start(&o, &e))
        die("%s", e.message);
    return true;
}

void mongod_world_end(struct mongod *m)
{
    net_stop();
    mongod_stop(m);
}

double mongod_cpu(const struct mongod *m)
{
    double ticks = 0;

    for (int i = 0; i < m->n; i++) {
        char path[64];
        unsigned long user = 0, system = 0;
        FILE *f;

        snprintf(path, sizeof path, "/proc/%d/stat", (int)m->pids[i]);
        f = fopen(path, "r");
        if (f && fscanf(f, "%*d %*s %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) == 2)
            ticks += (double)(user + system);
        if (f)
            fclose(f);
    }
    return ticks / (double)sysconf(_SC_CLK_TCK);
}

static char *run(struct mongod *m, const char *database, const bson_t *command)
{
    mongoc_client_t *c = mongoc_client_new(m->uri);
    mongoc_uri_t *uri = mongoc_uri_new(m->uri);
    bson_t reply;
    bson_error_t why;
    char *json;

    if (!mongoc_client_command_simple(c, database ? database : mongoc_uri_get_database(uri), command, NULL, &reply,
                                      &why))
        die("mongod: %s", why.message);
    json = bson_as_relaxed_extended_json(&reply, NULL);
    bson_destroy(&reply);
    mongoc_uri_destroy(uri);
    mongoc_client_destroy(c);
    return json;
}

char *mongod_run(struct mongod *m, const char *database, const char *json)
{
    bson_error_t why;
    bson_t *command = bson_new_from_json((const uint8_t *)json, -1, &why);
    char *reply;

    if (!command)
        die("%s: %s", json, why.message);
    reply = run(m, database, command);
    bson_destroy(command);
    return reply;
}

void mongod_fresh(struct mongod *m)
{
    bson_free(mongod_run(m, NULL, "{\"dropDatabase\": 1}"));
    snprintf(m->uri, sizeof m->uri, "%s/test%d%s", m->base, ++m->databases, m->options);
}

/* ---- faults ---- */

static bool says(const struct mongod *m, int member, const char *what)
{
    char uri[128];
    mongoc_client_t *c;
    bson_t *hello = BCON_NEW("hello", BCON_INT32(1)), reply;
    bson_error_t why;
    bson_iter_t at;
    bool yes;

    snprintf(uri, sizeof uri, "mongodb://127.0.0.1:%d/?directConnection=true&socketTimeoutMS=500&connectTimeoutMS=500",
             m->ports[member]);
    c = mongoc_client_new(uri);
    yes = mongoc_client_command_simple(c, "admin", hello, NULL, &reply, &why) &&
          bson_iter_init_find(&at, &reply, what) && bson_iter_as_bool(&at);
    bson_destroy(&reply);
    bson_destroy(hello);
    mongoc_client_destroy(c);
    return yes;
}

int mongod_primary(struct mongod *m)
{
    for (int try = 0; try < 600; try++) {
        for (int i = 0; i < m->n; i++)
            if (says(m, i, "isWritablePrimary"))
                return i;
        usleep(50000);
    }
    die("no primary in 30 s");
}

void mongod_settled(struct mongod *m)
{
    mongod_primary(m);
    for (int try = 0, well = 0; well < m->n; usleep(50000)) {
        well = 0;
        for (int i = 0; i < m->n; i++)
            well += says(m, i, "secondary") || says(m, i, "isWritablePrimary");
        if (try++ == 600)
            die("a member is not well after 30 s");
    }
}

/* The state letter of a thread, from /proc; X when it has ended. */
static char thread_state(pid_t pid, const char *thread)
{
    char path[300], line[512] = "", *name_end;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/task/%s/stat", (int)pid, thread);
    f = fopen(path, "r");
    if (!f)
        return 'X';
    name_end = fgets(line, sizeof line, f) ? strrchr(line, ')') : NULL;
    fclose(f);
    return name_end && name_end[1] ? name_end[2] : 'X';
}

static bool all_stopped(pid_t pid)
{
    char path[64];
    DIR *threads;
    bool all = true;

    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    threads = opendir(path);
    if (!threads)
        return true;
    for (struct dirent *d = readdir(threads); d && all; d = readdir(threads))
        all = d->d_name[0] == '.' || strchr("TtZX", thread_state(pid, d->d_name));
    closedir(threads);
    return all;
}

void mongod_signal(struct mongod *m, int member, int signal)
{
    kill(m->pids[member], signal);
    for (int try = 0; signal == SIGSTOP && !all_stopped(m->pids[member]); usleep(1000))
        if (try++ == 30000)
            die("member %d does not stop", member);
}

/* Its parent may take a while to bury it: a zombie has no command line. */
static bool mongod_alive(struct mongod *m, int member)
{
    char path[64], c;
    FILE *f;
    bool alive;

    if (m->restarted[member])
        return waitpid(m->pids[member], NULL, WNOHANG) == 0;
    snprintf(path, sizeof path, "/proc/%d/cmdline", (int)m->pids[member]);
    f = fopen(path, "r");
    alive = f && fread(&c, 1, 1, f) == 1;
    if (f)
        fclose(f);
    return alive;
}

void mongod_kill(struct mongod *m, int member)
{
    char path[64];
    FILE *f;
    size_t n;

    snprintf(path, sizeof path, "/proc/%d/cmdline", (int)m->pids[member]);
    f = fopen(path, "r");
    n = f ? fread(m->command[member], 1, sizeof m->command[member] - 1, f) : 0;
    if (!n)
        die("%s cannot be read", path);
    fclose(f);
    kill(m->pids[member], SIGKILL);
    while (mongod_alive(m, member))
        usleep(1000);
}

void mongod_restart(struct mongod *m, int member)
{
    char *args[64], *at = m->command[member];
    int n = 0;

    for (; *at && n < 63; at += strlen(at) + 1)
        args[n++] = at;
    args[n] = NULL;
    m->pids[member] = fork();
    if (m->pids[member] == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(1); /* what it says before it opens its log */
        open("/dev/null", O_WRONLY);
        execv(args[0], args);
        _exit(127);
    }
    m->restarted[member] = true;
}
