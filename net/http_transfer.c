/* net/http_transfer.c - libcurl's multi interface on loop 0.
 *
 * libcurl says which sockets and which time it waits for, and is told when they come. Requests come from any thread by
 * a list and an eventfd; everything else here runs on the loop thread, outside fibers, and waits for nothing. */
#include "base/clock.h"
#include "base/params.h"
#include "net/http_inner.h"
#include "net/loop.h"
#include <event2/event.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

static struct {
    pthread_mutex_t lock; /* over runs, waiting and n */
    bool runs;
    struct transfer *waiting; /* not yet seen by the loop, the newest first */
    size_t n;                 /* open, those included */
    int wake_fd;
    /* the loop's */
    CURLM *multi;
    struct event *wake, *timer;
    struct transfer *open;
} driver = { .lock = PTHREAD_MUTEX_INITIALIZER, .wake_fd = -1 };

/* --- an end --- */

static void finish(struct transfer *t, CURLcode code)
{
    curl_multi_remove_handle(driver.multi, t->easy);
    event_free(t->expiry);
    if (t->prev)
        t->prev->next = t->next;
    else
        driver.open = t->next;
    if (t->next)
        t->next->prev = t->prev;
    pthread_mutex_lock(&driver.lock);
    driver.n--;
    pthread_mutex_unlock(&driver.lock);
    t->code = code;
    waiter_wake(&t->done);
}

static void reap(void)
{
    CURLMsg *m;
    int left;

    while ((m = curl_multi_info_read(driver.multi, &left))) {
        void *t = NULL;

        if (m->msg == CURLMSG_DONE && curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &t) == CURLE_OK && t)
            finish(t, m->data.result);
    }
}

static void on_expiry(evutil_socket_t fd, short what, void *t)
{
    (void)fd;
    (void)what;
    finish(t, CURLE_OPERATION_TIMEDOUT);
}

/* --- what libcurl waits for --- */

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
    int flags = (what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0);
    int running;

    (void)arg;
    curl_multi_socket_action(driver.multi, fd, flags, &running);
    reap();
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    int running;

    (void)fd;
    (void)what;
    (void)arg;
    curl_multi_socket_action(driver.multi, CURL_SOCKET_TIMEOUT, 0, &running);
    reap();
}

static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *event)
{
    short wanted = EV_PERSIST;

    (void)easy;
    (void)ctx;
    if (event)
        event_free(event);
    event = NULL;
    if (what & CURL_POLL_IN)
        wanted |= EV_READ;
    if (what & CURL_POLL_OUT)
        wanted |= EV_WRITE;
    if (what != CURL_POLL_REMOVE) {
        event = event_new(loop_base_self(), fd, wanted, on_socket, NULL);
        if (!event || event_add(event, NULL) != 0)
            die("cannot watch a socket");
    }
    curl_multi_assign(driver.multi, fd, event);
    return 0;
}

static int set_timer(CURLM *multi, long ms, void *ctx)
{
    struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

    (void)multi;
    (void)ctx;
    if (ms < 0)
        event_del(driver.timer);
    else
        event_add(driver.timer, &tv);
    return 0;
}

/* --- a beginning --- */

static void hop_begin(struct transfer *t)
{
    int64_t left = t->deadline - clock_monotonic();
    struct timeval tv;

    if (left < 0)
        left = 0;
    tv.tv_sec = left / 1000;
    tv.tv_usec = left % 1000 * 1000;
    t->prev = NULL;
    t->next = driver.open;
    if (t->next)
        t->next->prev = t;
    driver.open = t;
    t->expiry = event_new(loop_base_self(), -1, 0, on_expiry, t);
    if (!t->expiry || event_add(t->expiry, &tv) != 0)
        die("out of memory");
    curl_multi_setopt(driver.multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)PARAM_INT(http_client, per_host));
    curl_multi_setopt(driver.multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)PARAM_INT(http_client, connections_max));
    curl_multi_setopt(driver.multi, CURLMOPT_MAXCONNECTS, (long)PARAM_INT(http_client, connections_max));
    if (curl_multi_add_handle(driver.multi, t->easy) != CURLM_OK)
        die("libcurl takes no request");
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    struct transfer *t, *in_order = NULL;

    (void)fd;
    (void)what;
    (void)arg;
    pthread_mutex_lock(&driver.lock);
    while ((t = driver.waiting)) {
        driver.waiting = t->next;
        t->next = in_order;
        in_order = t;
    }
    pthread_mutex_unlock(&driver.lock);
    while ((t = in_order)) {
        in_order = t->next;
        hop_begin(t);
    }
}

bool http_transfer_run(struct transfer *t)
{
    uint64_t one = 1;
    bool taken;

    waiter_init(&t->done);
    pthread_mutex_lock(&driver.lock);
    t->stopped = !driver.runs;
    taken = driver.runs && driver.n < (size_t)PARAM_INT(http_client, requests_max);
    if (taken) {
        driver.n++;
        t->next = driver.waiting;
        driver.waiting = t;
        if (write(driver.wake_fd, &one, sizeof one) != sizeof one)
            die("eventfd");
    }
    pthread_mutex_unlock(&driver.lock);
    if (taken)
        waiter_wait(&t->done);
    return taken || t->stopped;
}

/* --- start and stop --- */

static void start_here(void *arg)
{
    struct event_base *base = loop_base_self();

    (void)arg;
    driver.multi = curl_multi_init();
    driver.timer = event_new(base, -1, 0, on_timer, NULL);
    driver.wake = event_new(base, driver.wake_fd, EV_READ | EV_PERSIST | EV_ET, on_wake, NULL);
    if (!driver.multi || !driver.timer || !driver.wake || event_add(driver.wake, NULL) != 0)
        die("out of memory");
    curl_multi_setopt(driver.multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
    curl_multi_setopt(driver.multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(driver.multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
}

static void stop_here(void *arg)
{
    (void)arg;
    on_wake(-1, 0, NULL);
    while (driver.open) {
        driver.open->stopped = true;
        finish(driver.open, CURLE_ABORTED_BY_CALLBACK);
    }
    curl_multi_cleanup(driver.multi); /* closes what is kept; it still calls back */
    event_free(driver.timer);
    event_free(driver.wake);
    driver.multi = NULL;
    driver.timer = driver.wake = NULL;
}

static void init_curl(void)
{
    if (curl_global_init(CURL_GLOBAL_ALL) != CURLE_OK)
        die("libcurl does not start");
}

bool http_driver_start(struct err *e)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    if (!net_running() || net_stopping())
        return err_set(e, ERR_CLOSED, "the loops do not run");
    pthread_once(&once, init_curl);
    driver.wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (driver.wake_fd < 0)
        return err_set(e, ERR_INTERNAL, "no eventfd is left");
    net_at_stop(http_driver_stop);
    loop_call(0, start_here, NULL);
    pthread_mutex_lock(&driver.lock);
    driver.runs = true;
    pthread_mutex_unlock(&driver.lock);
    return true;
}

void http_driver_stop(void)
{
    bool ran;

    pthread_mutex_lock(&driver.lock);
    ran = driver.runs;
    driver.runs = false;
    pthread_mutex_unlock(&driver.lock);
    if (!ran)
        return;
    loop_call(0, stop_here, NULL);
    close(driver.wake_fd);
    driver.wake_fd = -1;
}
