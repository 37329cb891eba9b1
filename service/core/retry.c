#include "service/core/retry.h"
#include "service/core/state.h"

#define TRIES         30
#define PAUSE_MOST_MS 32
/* Rows whose names fall into one lane wait for each other without need. */
#define LANES 64

struct retries {
    struct fiber_mutex *lanes[LANES];
};

struct retries *retries_new(void)
{
    struct retries *r = calloc(1, sizeof *r);

    if (!r)
        die("out of memory: retries");
    for (size_t i = 0; i < LANES; i++)
        r->lanes[i] = fiber_mutex_new();
    return r;
}

void retries_free(struct retries **r)
{
    if (!*r)
        return;
    for (size_t i = 0; i < LANES; i++)
        fiber_mutex_free(&(*r)->lanes[i]);
    free(*r);
    *r = NULL;
}

static struct fiber_mutex *lane_of(const struct retries *r, struct bytes row)
{
    uint8_t hash[CRYPT_HASH];

    crypt_hash(row, hash);
    return r->lanes[hash[0] % LANES];
}

/* Of two that hinder one another each time one has to be late. */
static void pause_before(int attempt)
{
    uint8_t random;
    int most = attempt < 5 ? 1 << attempt : PAUSE_MOST_MS;

    crypt_random(&random, sizeof random);
    fiber_sleep_until(clock_monotonic() + random % most);
}

bool retry_run(struct call *c, struct bytes row, bool (*once)(struct call *c, void *arg, bool *again), void *arg)
{
    struct fiber_mutex *lane = NULL;
    bool again = false, done = once(c, arg, &again);

    for (int i = 1; !done && again && i < TRIES && clock_monotonic() < c->deadline; i++) {
        if (!lane) {
            lane = lane_of(c->svc->retries, row);
            fiber_mutex_lock(lane);
        }
        pause_before(i);
        c->err = (struct err){ 0 };
        again = false;
        done = once(c, arg, &again);
    }
    if (lane)
        fiber_mutex_unlock(lane);
    return done || (again ? err_again(c, ERR_CONFLICT, "Others are changing the same; try again") : false);
}
