#include "api/line.h"
#include "api/private.h"
#include "base/clock.h"
#include "base/log.h"
#include <malloc.h>
#include <poll.h>

#define WATCH_EVERY_MS 250
#define BATCH          64

static struct line *at_work[API_LOOPS]; /* a list for each loop, touched on its thread only */

void line_works(struct line *l, bool on)
{
    struct line **first = &at_work[fiber_loop()];

    if (on) {
        l->before = NULL;
        l->after = *first;
        if (l->after)
            l->after->before = l;
        *first = l;
        return;
    }
    if (l->before)
        l->before->after = l->after;
    else
        *first = l->after;
    if (l->after)
        l->after->before = l->before;
}

static void judge(struct line *l, short seen, int64_t now)
{
    if (!seen || l->reading)
        l->hung_up = 0;
    else if (!l->hung_up)
        l->hung_up = now;
    else if (now - l->hung_up >= API_HUNG_UP && stream_cut(l->stream))
        log_debug("api", LOG_TEXT("result", "hung_up"), LOG_TEXT("client", stream_peer(l->stream)->text));
}

/* From l on, as many as fit one call; the next, or NULL. */
static struct line *look(struct line *l, int64_t now)
{
    struct pollfd fds[BATCH];
    struct line *lines[BATCH];
    nfds_t n = 0;

    for (; l && n < BATCH; l = l->after) {
        fds[n] = (struct pollfd){ .fd = stream_fd(l->stream), .events = POLLRDHUP };
        lines[n++] = l;
    }
    if (poll(fds, n, 0) < 0)
        return NULL;
    for (nfds_t i = 0; i < n; i++)
        if (fds[i].fd >= 0)
            judge(lines[i], fds[i].revents, now);
    return l;
}

/* The allocator keeps what was freed between what is in use; after large requests that is much, and they may be rare.
 */
static void trim(void *arg)
{
    (void)arg;
    malloc_trim(0);
}

void lines_watch(void *arg)
{
    struct api *a = arg;
    struct err busy = { 0 };

    while (!atomic_load(&a->stopping) || atomic_load(&a->running) > 0) {
        uint64_t seen = signal_count(a->ended);

        if (!signal_wait(a->ended, seen, clock_monotonic() + WATCH_EVERY_MS) && net_stopping())
            return;
        if (atomic_exchange(&a->trim, false) && !offload(POOL_CPU, trim, NULL, &busy))
            atomic_store(&a->trim, true);
        for (struct line *l = at_work[fiber_loop()]; l;)
            l = look(l, clock_monotonic());
    }
}
