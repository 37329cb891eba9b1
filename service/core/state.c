/* service/core/state.c - whether the service can take mail, and its fibers in the background.
 *
 * What it is asked is asked at each MAIL and each /readyz, so it is answered from memory: the engines notice by what
 * they do that a store is away or full. A background fiber is counted before it starts, so that service_stop never
 * misses one; it sleeps where it hears of the end. */
#include "service/core/state.h"
#include "base/network.h"
#include "net/wait.h"

bool full_name_check(struct bytes name, struct err *e)
{
    size_t dot = bytes_find(name, '.');
    struct network address;

    if (dot == 0 || dot >= name.n - 1 || bytes_ends_nocase(name, BYTES(".localhost")) ||
        bytes_ends_nocase(name, BYTES(".localdomain")) || network_parse_address(name, &address))
        return err_set(e, ERR_INVALID,
                       "delivery.mode=live needs server.hostname to be the full name of this server, as DNS has it; "
                       "\"%.*s\" is none",
                       SHOW(name));
    return true;
}

bool service_has_full_name(struct err *e)
{
    return full_name_check(PARAM_TEXT(server, hostname), e);
}

/* ---- background ---- */

struct spawned {
    struct service *svc;
    void (*run)(struct service *svc);
};

static void run_spawned(void *arg)
{
    struct spawned s = *(struct spawned *)arg;

    free(arg);
    s.run(s.svc);
    atomic_fetch_sub(&s.svc->fibers, 1);
}

bool service_spawn(struct service *svc, void (*run)(struct service *svc), struct err *e)
{
    struct spawned *s = malloc(sizeof *s);

    if (!s)
        die("out of memory: a background fiber");
    *s = (struct spawned){ svc, run };
    atomic_fetch_add(&svc->fibers, 1);
    if (fiber_start(FIBER_ANY, run_spawned, s, e))
        return true;
    atomic_fetch_sub(&svc->fibers, 1);
    free(s);
    return false;
}

bool service_sleep(struct service *svc, int64_t ms)
{
    uint64_t seen = signal_count(svc->ending); /* before the look, so that no end between is slept through */

    if (!atomic_load(&svc->stopping))
        signal_wait(svc->ending, seen, clock_monotonic() + ms);
    return !atomic_load(&svc->stopping) && !net_stopping();
}

/* ---- what the doors ask ---- */

bool service_ready(struct service *svc, struct err *e)
{
    struct err why = { 0 };

    if (store_is_up(svc->store, &why))
        return true;
    return err_set(e, why.code == ERR_STORAGE_FULL ? ERR_STORAGE_FULL : ERR_BUSY, "The store is away: %s", why.message);
}

bool service_accepts(struct service *svc, struct err *e)
{
    if (!service_ready(svc, e))
        return false;
    if (!store_has_room(svc->store))
        return err_set(e, ERR_STORAGE_FULL, "Less than store.free_min is free for the store");
    return true;
}

bool service_is_live(const struct service *svc)
{
    (void)svc;
    return bytes_equal(PARAM_TEXT(delivery, mode), BYTES("live"));
}
