/* net/dns.c - questions to libunbound, asked by fibers and answered on loop 0.
 *
 * libunbound works in a thread of its own and tells by a descriptor that answers are there. Who asks sleeps; a question
 * that is given up is cancelled, and one that can be cancelled no more is waited for, as its answer is written to our
 * stack. New settings make a new resolver beside the old one, which ends when its last user has left: so questions
 * never fail because somebody turned a knob. */
#include "net/dns.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/params.h"
#include "net/dns_answer.h"
#include "net/loop.h"
#include <assert.h>
#include <event2/event.h>
#include <unbound.h>
#include <unistd.h>

#define NAME_MAX_TEXT 254 /* RFC 1035 3.1, with the last dot */

/* One libunbound context; it works in a thread of its own. Its options cannot change once it has been asked something,
 * so new parameters need a new one; the old ends when its last question has. */
struct resolver {
    struct ub_ctx *context;
    struct event *event; /* on loop 0 */
    struct signal *released;
    unsigned users;
};

struct query {
    struct waiter done;
    struct ub_result *result;
    int failed;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* over present and users */
static struct resolver *present;

/* --- making one --- */

static bool set(struct resolver *r, const char *option, const char *value, struct err *e)
{
    int failed = ub_ctx_set_option(r->context, option, value);

    return !failed || err_set(e, ERR_INVALID, "dns: %s %s: %s", option, value, ub_strerror(failed));
}

/* Zones that libunbound answers by itself; servers of our own choice may have something to say about them. */
static bool open_local_zones(struct resolver *r, struct err *e)
{
    static const char *const zones[] = { "test.",
                                         "10.in-addr.arpa.",
                                         "168.192.in-addr.arpa.",
                                         "127.in-addr.arpa.",
                                         "254.169.in-addr.arpa.",
                                         "2.0.192.in-addr.arpa.",
                                         "100.51.198.in-addr.arpa.",
                                         "113.0.203.in-addr.arpa.",
                                         "d.f.ip6.arpa.",
                                         "8.b.d.0.1.0.0.2.ip6.arpa." };
    char text[64];

    for (size_t i = 0; i < sizeof zones / sizeof *zones; i++) {
        snprintf(text, sizeof text, "%s transparent", zones[i]);
        if (!set(r, "local-zone:", text, e))
            return false;
    }
    for (int i = 16; i < 32; i++) {
        snprintf(text, sizeof text, "%d.172.in-addr.arpa. transparent", i);
        if (!set(r, "local-zone:", text, e))
            return false;
    }
    return true;
}

static bool for_each_item(struct resolver *r, struct bytes list,
                          bool (*use)(struct resolver *, const char *, struct err *), struct err *e)
{
    while (list.n) {
        struct bytes item;
        char text[NAME_MAX_TEXT + 1];

        bytes_cut(list, ',', &item, &list);
        item = bytes_trim(item);
        if (item.n >= sizeof text)
            return err_set(e, ERR_INVALID, "dns: \"%.*s\" is too long", 60, item.p);
        snprintf(text, sizeof text, "%.*s", SHOW(item));
        if (item.n && !use(r, text, e))
            return false;
    }
    return true;
}

static bool add_server(struct resolver *r, const char *server, struct err *e)
{
    int failed = ub_ctx_set_fwd(r->context, server);

    return !failed || err_set(e, ERR_INVALID, "dns.servers: \"%s\": %s", server, ub_strerror(failed));
}

static bool add_insecure(struct resolver *r, const char *domain, struct err *e)
{
    return set(r, "domain-insecure:", domain, e);
}

static bool add_servers(struct resolver *r, struct err *e)
{
    struct bytes servers = PARAM_TEXT(dns, servers);

    if (servers.n)
        return for_each_item(r, servers, add_server, e) && open_local_zones(r, e);
    if (ub_ctx_resolvconf(r->context, NULL) != 0)
        log_warn("dns", LOG_TEXT("result", "no server in /etc/resolv.conf, asking the root servers"));
    return true;
}

static bool add_trust(struct resolver *r, struct err *e)
{
    struct bytes file = PARAM_TEXT(dns, trust_anchor);
    char path[4096];
    int failed;

    if (!file.n)
        return true;
    snprintf(path, sizeof path, "%.*s", SHOW(file));
    if (access(path, R_OK) != 0) {
        log_warn("dns", LOG_TEXT("result", "no trust anchor, answers are not validated"), LOG_BYTES("file", file));
        return true;
    }
    failed = ub_ctx_add_ta_file(r->context, path);
    return !failed || err_set(e, ERR_INVALID, "dns.trust_anchor: %s: %s", path, ub_strerror(failed));
}

static void warm_answer(void *arg, int failed, struct ub_result *result)
{
    *(int *)arg = failed;
    ub_resolve_free(result);
}

/* The first question starts the thread and reads the options, which is too much for a fiber's stack. This one is
 * answered without the network. */
static bool warm_up(struct resolver *r, struct err *e)
{
    int answered = 0;
    int failed = ub_resolve_async(r->context, "localhost", DNS_A, 1, &answered, warm_answer, NULL);

    if (!failed)
        failed = ub_wait(r->context);
    if (!failed)
        failed = answered;
    return !failed || err_set(e, ERR_INVALID, "dns: %s", ub_strerror(failed));
}

static bool configure(struct resolver *r, struct err *e)
{
    ub_ctx_debugout(r->context, NULL);
    return ub_ctx_async(r->context, 1) == 0 && set(r, "do-not-query-localhost:", "no", e) && add_servers(r, e) &&
           add_trust(r, e) && for_each_item(r, PARAM_TEXT(dns, insecure), add_insecure, e) && warm_up(r, e);
}

static void resolver_free(struct resolver *r)
{
    ub_ctx_delete(r->context);
    signal_free(&r->released);
    free(r);
}

static void on_answers(evutil_socket_t fd, short what, void *arg)
{
    struct resolver *r = arg;

    (void)fd;
    (void)what;
    ub_process(r->context);
}

static void listen_here(void *arg)
{
    struct resolver *r = arg;

    r->event = event_new(loop_base_self(), ub_fd(r->context), EV_READ | EV_PERSIST, on_answers, r);
    if (!r->event || event_add(r->event, NULL) != 0)
        die("cannot watch the resolver");
}

static void deafen_here(void *arg)
{
    struct resolver *r = arg;

    if (r->event)
        event_free(r->event);
    r->event = NULL;
}

/* From here on no answer comes; who waits for one gives up at net_stop. */
static void before_net_stop(void)
{
    struct resolver *r;

    pthread_mutex_lock(&lock);
    r = present;
    pthread_mutex_unlock(&lock);
    if (r)
        loop_call(0, deafen_here, r);
}

/* Waits for the last user; each leaves after dns.timeout at the latest. */
static void retire(struct resolver *r)
{
    for (;;) {
        uint64_t seen = signal_count(r->released);
        unsigned users;

        pthread_mutex_lock(&lock);
        users = r->users;
        pthread_mutex_unlock(&lock);
        if (!users)
            break;
        signal_wait(r->released, seen, CLOCK_NEVER);
    }
    if (net_running())
        loop_call(0, deafen_here, r);
    resolver_free(r);
}

static struct resolver *replace(struct resolver *r)
{
    struct resolver *old;

    pthread_mutex_lock(&lock);
    old = present;
    present = r;
    pthread_mutex_unlock(&lock);
    return old;
}

static bool start(struct err *e)
{
    static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER; /* so that the last settings win */
    struct resolver *r = calloc(1, sizeof *r), *old;

    if (!r || !(r->context = ub_ctx_create()))
        die("out of memory");
    r->released = signal_new();
    pthread_mutex_lock(&one_at_a_time);
    if (!configure(r, e)) {
        pthread_mutex_unlock(&one_at_a_time);
        resolver_free(r);
        return false;
    }
    net_at_stop(before_net_stop);
    loop_call(0, listen_here, r);
    old = replace(r);
    pthread_mutex_unlock(&one_at_a_time);
    if (old)
        retire(old);
    return true;
}

struct starting {
    bool started;
    struct err *e;
};

static void start_as_job(void *arg)
{
    struct starting *s = arg;

    s->started = start(s->e);
}

bool dns_start(struct err *e)
{
    struct starting s = { .e = e };

    if (!net_running() || net_stopping())
        return err_set(e, ERR_CLOSED, "the loops do not run");
    return offload(POOL_CPU, start_as_job, &s, e) && s.started;
}

void dns_stop(void)
{
    struct resolver *old = replace(NULL);

    if (old)
        retire(old);
}

/* --- asking --- */

static struct resolver *borrow(void)
{
    struct resolver *r;

    pthread_mutex_lock(&lock);
    r = present;
    if (r)
        r->users++;
    pthread_mutex_unlock(&lock);
    return r;
}

/* Raised under the lock: retire() frees the resolver once it has seen that nobody uses it. */
static void give_back(struct resolver *r)
{
    pthread_mutex_lock(&lock);
    if (--r->users == 0)
        signal_raise(r->released);
    pthread_mutex_unlock(&lock);
}

static void on_answer(void *arg, int failed, struct ub_result *result)
{
    struct query *q = arg;

    q->failed = failed;
    q->result = result;
    waiter_wake(&q->done);
}

static void fail(struct dns_answer *out, enum dns_result result, const char *why)
{
    out->result = result;
    out->why = bytes_of(why);
}

/* True: the answer is in q. A question that could not be cancelled has been answered, and its wake is on its way. */
static bool await(struct resolver *r, struct query *q, int id, int64_t deadline)
{
    if (waiter_wait_until(&q->done, deadline, PARK_ENDS_AT_STOP))
        return true;
    if (ub_cancel(r->context, id) == 0)
        return false;
    waiter_wait(&q->done);
    return true;
}

static void ask(struct resolver *r, struct arena *a, const char *name, int type, int64_t deadline,
                struct dns_answer *out)
{
    struct query q = { .result = NULL };
    int id = 0;
    int failed;

    waiter_init(&q.done);
    failed = ub_resolve_async(r->context, name, type, 1, &q, on_answer, &id);
    if (failed) {
        fail(out, DNS_FAILED, ub_strerror(failed));
    } else if (!await(r, &q, id, deadline)) {
        fail(out, net_stopping() ? DNS_FAILED : DNS_TIMEOUT,
             net_stopping() ? "the server is stopping" : "no answer in time");
    } else if (q.failed || !q.result) {
        fail(out, DNS_FAILED, ub_strerror(q.failed));
    } else {
        dns_answer_read(a, q.result, out);
    }
    ub_resolve_free(q.result);
}

void dns_ask(struct arena *a, struct bytes name, enum dns_type type, int64_t deadline, struct dns_answer *out)
{
    int64_t own = clock_monotonic() + PARAM_INT(dns, timeout);
    char text[NAME_MAX_TEXT + 1];
    struct resolver *r;

    *out = (struct dns_answer){ .result = DNS_FAILED };
    if (!name.n || name.n > NAME_MAX_TEXT || memchr(name.p, '\0', name.n)) {
        fail(out, DNS_FAILED, "this is no domain name");
        return;
    }
    snprintf(text, sizeof text, "%.*s", SHOW(name));
    r = borrow();
    if (!r) {
        fail(out, DNS_FAILED, "the resolver does not run");
        return;
    }
    ask(r, a, text, (int)type, deadline < own ? deadline : own, out);
    give_back(r);
}
