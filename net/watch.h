/* net/watch.h - inside net/: a socket and its one edge-triggered event, added to the loop at the first wait.
 * `readable` and `writable` are true until a call showed the contrary (EAGAIN, or less than was asked for); the next
 * edge makes them true again. So a call that would get EAGAIN is hardly ever made. An end of input may hide in the edge
 * of the last bytes: EV_CLOSED tells, and a reset, which libevent does not tell apart, is found by one look at the
 * socket after 50 ms of silence: a lock that a vanished client holds (POP3's) must not outlive it for long. */
#ifndef NET_WATCH_H
#define NET_WATCH_H
#include "base/err.h"
#include <stdint.h>

struct event;
struct fiber;

struct watch {
    int fd;
    bool readable, writable;
    bool for_read; /* what the sleeper waits for */
    bool closed;   /* the peer has closed its side: read up to the end */
    bool looked;   /* after silence, since the last edge */
    struct fiber *sleeper;
    struct event *event;
};

void watch_init(struct watch *w, int fd); /* fd becomes non-blocking */
void watch_close(struct watch *w);        /* closes fd too */
/* Waits until the flag is true (or it is time to look: then too). ERR_TIMEOUT, ERR_CLOSED (net_stop, or net_drain if
 * `how` says so). */
bool watch_wait(struct watch *w, bool for_read, int64_t deadline, unsigned how, struct err *e);
/* Like recv and send; -1 with errno EAGAIN without a system call when the flag is false. */
long watch_read(struct watch *w, void *to, size_t n);
long watch_write(struct watch *w, const void *from, size_t n);
#endif
