/* serve: boot, open all doors, wait for signals, stop.
 * SIGTERM and SIGINT finish the commands in flight (a second one ends at once), SIGHUP reads certificates, rules and
 * the boot file again. */
#include "base/clock.h"
#include "base/crypt.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/params.h"
#include "cli/boot.h"
#include "cli/doors.h"
#include "delivery/engine.h"
#include "net/dns.h"
#include "net/fiber.h"
#include "service/core/secret_file.h"
#include "service/queue/own_rules.h"
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

enum { DRAIN_LOOK_MS = 5, LARGE_BLOCK = 256 * 1024, FREE_TOP = 1024 * 1024 };

struct server {
    struct boot boot;
    struct datadir dir;
    struct service *svc;
    struct engine *engine; /* NULL: delivery.run is off */
    struct doors doors;
    bool net, serving;
};

static void apply_log(enum param p, void *ctx)
{
    static const char *const levels[] = { "debug", "info", "warn", "error" };
    enum log_level level = LOG_INFO;

    (void)p, (void)ctx;
    for (unsigned i = 0; i < 4; i++)
        if (bytes_equal(PARAM_TEXT(log, level), bytes_of(levels[i])))
            level = (enum log_level)i;
    log_set(level, bytes_equal(PARAM_TEXT(log, format), BYTES("json")) ? LOG_JSON : LOG_LOGFMT);
}

/* As many descriptors as we may have: one a session, one a file. */
static void raise_limits(void)
{
    struct rlimit l;

    if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
        l.rlim_cur = l.rlim_max;
        setrlimit(RLIMIT_NOFILE, &l);
    }
}

static void restart_dns(void *arg)
{
    struct err e = { 0 };

    (void)arg;
    if (dns_start(&e))
        log_info("dns", LOG_TEXT("result", "started anew"), LOG_BYTES("servers", PARAM_TEXT(dns, servers)));
    else
        log_error("dns", LOG_TEXT("result", "the old settings stay"), LOG_TEXT("reason", e.message));
}

/* In a fiber of its own: whoever sets a parameter need not wait for the last answers of the old resolver. */
static void apply_dns(enum param p, void *ctx)
{
    struct err e = { 0 };

    (void)p, (void)ctx;
    if (!fiber_start(FIBER_ANY, restart_dns, NULL, &e))
        log_error("dns", LOG_TEXT("result", "the old settings stay"), LOG_TEXT("reason", e.message));
}

static bool start_net(struct server *s, struct err *e)
{
    struct net_options o = {
        .loops = (unsigned)PARAM_INT(net, loops),
        .store_workers = (unsigned)PARAM_INT(pool, store_workers),
        .cpu_workers = (unsigned)PARAM_INT(pool, cpu_workers),
        .fibers_max = (unsigned)PARAM_INT(net, fibers_max),
    };

    s->net = net_start(&o, e);
    if (!s->net || !dns_start(e))
        return false;
    param_on_change(PARAM_dns_servers, apply_dns, NULL);
    param_on_change(PARAM_dns_trust_anchor, apply_dns, NULL);
    param_on_change(PARAM_dns_insecure, apply_dns, NULL);
    return true;
}

/* Files made now belong to run_as; ports below 1024 still need root, so it is dropped only after the doors are open. */
static bool open_service(struct server *s, struct err *e)
{
    struct service_options o = {
        .data_dir = s->dir.path,
        .store_url = s->boot.store,
        .admin_key_file = s->boot.admin_key_file[0] ? s->boot.admin_key_file : NULL,
        .may_print_admin_key = isatty(STDOUT_FILENO),
        .accept_loss = s->boot.accept_loss,
    };
    bool ok;

    if (geteuid() == 0 && (setegid(s->dir.gid) != 0 || seteuid(s->dir.uid) != 0))
        return err_set(e, ERR_INTERNAL, "cannot act as server.run_as: %s", strerror(errno));
    ok = service_open(&o, &s->svc, e);
    if (getuid() == 0 && (seteuid(0) != 0 || setegid(0) != 0))
        return err_set(e, ERR_INTERNAL, "cannot act as root again: %s", strerror(errno));
    return ok;
}

static bool make_engine(struct server *s, struct err *e)
{
    return !PARAM_INT(delivery, run) || engine_new(s->svc, &s->engine, e);
}

static bool start(struct server *s, struct err *e)
{
    char run_as[65];

    snprintf(run_as, sizeof run_as, "%.*s", SHOW(PARAM_TEXT(server, run_as)));
    /* The service first: the store's settings say how the rest is started. */
    if (!datadir_open(&s->dir, s->boot.data, run_as, e) || !open_service(s, e) || !make_engine(s, e) ||
        !start_net(s, e) || !doors_open(&s->doors, s->svc, &s->dir, e) || !datadir_drop_root(&s->dir, e) ||
        !service_start(s->svc, e) || (s->engine && !engine_start(s->engine, e)))
        return false;
    params_started(); /* from here a RESTART parameter waits for the next start */
    s->serving = doors_serve(&s->doors, e);
    return s->serving;
}

static bool write_ready_file(struct server *s, struct err *e)
{
    char file[600], key[256] = "";
    struct buf text;
    FILE *f;
    bool ok;

    if (!s->boot.ready_file[0])
        return true;
    f = fopen(s->boot.admin_key_file[0] ? s->boot.admin_key_file
                                        : datadir_file(&s->dir, "admin.key", file, sizeof file),
              "r");
    if (f) {
        if (!fgets(key, sizeof key, f))
            key[0] = '\0';
        key[strcspn(key, "\r\n")] = '\0';
        fclose(f);
    }
    buf_init(&text, 8192);
    doors_describe(&s->doors, key[0] ? bytes_of(key) : NO_BYTES, &text);
    ok = secret_write(s->boot.ready_file, buf_bytes(&text), e);
    buf_clear(&text);
    return ok;
}

static void say_open(const struct server *s)
{
    struct buf text;
    char store[SERVICE_STORE_SHOWN];

    buf_init(&text, 8192);
    service_show_store(s->boot.store, store);
    doors_describe(&s->doors, NO_BYTES, &text);
    log_info(
        "serve", LOG_TEXT("result", "open"), LOG_TEXT("version", POSTRIDER_VERSION), LOG_TEXT("store", store),
        LOG_BYTES("doors", bytes_trim(buf_bytes(&text))),
        LOG_TEXT("mode", service_is_live(s->svc) ? "live" : "sandbox: mail to other servers is captured, never sent"));
    buf_clear(&text);
}

static void reload(struct server *s)
{
    struct err e = { 0 };

    if (!boot_reload(&s->boot, &e) || !doors_reload(&s->doors, &e) || !own_rules_load(s->svc, &e))
        log_error("serve", LOG_TEXT("result", "not reloaded"), LOG_TEXT("reason", e.message));
    else
        log_info("serve", LOG_TEXT("result", "reloaded"));
}

static void wait_for_end(struct server *s, const sigset_t *signals)
{
    int number;

    for (;;) {
        if (sigwait(signals, &number) != 0)
            continue;
        if (number != SIGHUP)
            break;
        reload(s);
    }
    log_info("serve", LOG_TEXT("result", "stopping"), LOG_INT("signal", number));
    signal(SIGTERM, SIG_DFL); /* a second one ends at once */
    signal(SIGINT, SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, signals, NULL);
    alarm((unsigned)(PARAM_INT(server, grace) / 1000) + 5); /* what hangs does not keep us: a restart loses nothing */
}

/* Sessions end at their next command (421), requests with their answer; what is still there after server.grace is cut.
 */
static void drain(struct server *s)
{
    int64_t until = clock_monotonic() + PARAM_INT(server, grace);

    doors_stop(&s->doors);
    net_drain();
    engine_stop(s->engine);
    service_stop(s->svc);
    while (metric_get(METRIC_fibers) > 0 && clock_monotonic() < until)
        fiber_sleep_until(clock_monotonic() + DRAIN_LOOK_MS);
}

static void stop(struct server *s)
{
    if (s->serving)
        drain(s);
    else
        doors_stop(&s->doors);
    if (s->net) {
        net_stop();
        dns_stop();
    }
    engine_free(&s->engine);
    api_close(&s->doors.api);
    doors_close(&s->doors);
    service_close(&s->svc);
    datadir_close(&s->dir);
    params_free();
}

static void block_signals(sigset_t *signals)
{
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(signals);
    sigaddset(signals, SIGTERM);
    sigaddset(signals, SIGINT);
    sigaddset(signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, signals, NULL); /* all threads inherit it; only the main one waits for them */
}

/* glibc raises both bounds with the largest block that was freed, up to 32 MiB: then each thread keeps the text of a
 * large request at the top of its heap for ever, where malloc_trim does not look, and a buffer that grows is copied
 * where it could be moved. */
static void memory_goes_back(void)
{
    mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK);
    mallopt(M_TRIM_THRESHOLD, FREE_TOP);
}

int serve_main(int argc, char **argv)
{
    const struct flag *tables[] = { serve_flags, NULL };
    struct server s = { .dir.lock = -1 };
    struct command_line l;
    struct err e = { 0 };
    sigset_t signals;
    bool ok;

    if (!command_parse(argc, argv, tables, &l))
        return EXIT_USAGE;
    if (l.n_words != 1) {
        fprintf(stderr, "usage: postrider serve [--flags]; see `postrider help serve`\n");
        return EXIT_USAGE;
    }
    memory_goes_back();
    params_init();
    crypt_init();
    if (!boot_read(&l, &s.boot, &e)) {
        fprintf(stderr, "postrider: %s\n", e.message);
        return EXIT_USAGE;
    }
    apply_log(PARAMS, NULL);
    param_on_change(PARAM_log_level, apply_log, NULL);
    param_on_change(PARAM_log_format, apply_log, NULL);
    raise_limits();
    block_signals(&signals);
    ok = start(&s, &e) && write_ready_file(&s, &e);
    if (ok) {
        say_open(&s);
        wait_for_end(&s, &signals);
    } else {
        fprintf(stderr, "postrider: %s\n", e.message);
        log_error("serve", LOG_TEXT("result", "not started"), LOG_TEXT("reason", e.message));
    }
    stop(&s);
    if (ok)
        log_info("serve", LOG_TEXT("result", "stopped"));
    return ok ? EXIT_FINE : EXIT_FAILED;
}
