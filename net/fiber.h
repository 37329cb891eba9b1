/* net/fiber.h - loop threads and the fibers that run on them.
 *
 * A fiber is a stackful coroutine: its code reads downward like blocking code. It never changes thread, and holds no
 * mutex while it waits. Stacks are 64 KiB (128 KiB under sanitizers) with a guard page and come from a free list, so a
 * frame stays under 6 KiB and blocking or burning work goes to a pool (offload).
 *
 * net_start makes the loop threads and pools of the process (there is one set); everything below then works from
 * fibers. From a plain thread (a test, a worker) the waiting calls simply block.
 *
 * One header for what is written in fiber.c, loop.c, pool.c and mutex.c: whoever writes code for fibers needs all of
 * it. */
#ifndef NET_FIBER_H
#define NET_FIBER_H
#include "base/err.h"
#include <stdint.h>

struct fiber;

struct net_options {
    unsigned loops;         /* loop threads; 0: one a core */
    unsigned store_workers; /* threads of POOL_STORE */
    unsigned cpu_workers;   /* threads of POOL_CPU */
    unsigned fibers_max;    /* fibers alive at once, all loops */
};

bool net_start(const struct net_options *o, struct err *e);
/* Ends every fiber's waits (their calls fail with ERR_CLOSED), waits for all fibers to return, joins all threads. */
void net_stop(void);
bool net_stopping(void);
/* The server is about to stop: waits of streams for the next command end now (see stream_drains), all others go on.
 * Any thread but a loop's; before net_stop, which cuts everything. */
void net_drain(void);
bool net_draining(void);
unsigned net_loops(void);

/* Starts run(arg) as a fiber on loop number `loop` (FIBER_ANY: the one with the fewest fibers). Any thread.
 * ERR_BUSY past fibers_max. */
#define FIBER_ANY (~0u)
bool fiber_start(unsigned loop, void (*run)(void *arg), void *arg, struct err *e);
struct fiber *fiber_self(void); /* NULL outside fibers */
unsigned fiber_loop(void);      /* the number of the calling fiber's loop, 0 outside */
/* Sleeps; false when net_stop cut it short. Deadline in monotonic ms. */
bool fiber_sleep_until(int64_t deadline);
void fiber_yield(void); /* lets the loop's other fibers run */
/* The same, where the loop has been at work for FIBER_TURN ms without a look at its sockets: in loops over what a
 * client sends, which may have all of it there at once. */
void fiber_turn(void);
#define FIBER_TURN 5
/* Waits until fd is readable or writable. ERR_TIMEOUT, ERR_CLOSED. */
bool fiber_wait_readable(int fd, int64_t deadline, struct err *e);
bool fiber_wait_writable(int fd, int64_t deadline, struct err *e);

/* Whose work the calling fiber does from here on: any number of an account's, 0 (as every fiber begins): nobody's. The
 * workers are shared out by it: owners take turns, and none has more than pool.owner_share of them at once, so that
 * whoever asks for much waits for themselves. Outside fibers it does nothing. */
void fiber_for(uint64_t owner);
/* Runs work(arg) on a worker thread while the fiber sleeps; from a plain thread runs it right there. ERR_BUSY (work was
 * not run) when more than pool.<name>_queue jobs wait. */
enum pool { POOL_STORE, POOL_CPU };
bool offload(enum pool pool, void (*work)(void *arg), void *arg, struct err *e);
/* Number (0 …) of the calling worker thread within its pool, -1 elsewhere: for a connection a thread. */
int offload_worker(void);

/* A lock that fibers may wait for while holding nothing else; also from plain threads. Fair, not recursive. */
struct fiber_mutex;
struct fiber_mutex *fiber_mutex_new(void);
void fiber_mutex_free(struct fiber_mutex **m);
void fiber_mutex_lock(struct fiber_mutex *m);
void fiber_mutex_unlock(struct fiber_mutex *m);
#endif
