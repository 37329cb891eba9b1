/* delivery/path.c - the window and the breaker, see path.h. The states change in path_event and, at the end of DEAD, by
 * being looked at. */
#include "delivery/path.h"
#include "delivery/hash.h"
#include <assert.h>

#define SECOND     INT64_C(1000)
#define MINUTE     (60 * SECOND)
#define HALVE_MS   (10 * SECOND)
#define QUIET_MS   (30 * SECOND)
#define CROWDED_MS (10 * MINUTE)
#define SICK_MS    (2 * MINUTE)

enum { DEAD_FROM = 5 };

const char *path_state_text(enum path_state s)
{
    static const char *const names[] = { [PATH_OPEN] = "open", [PATH_DEAD] = "dead", [PATH_PROBE] = "probe" };

    return names[s];
}

void path_init(struct path *p, int max, uint64_t seed)
{
    *p = (struct path){ .max = max, .seed = seed, .window = 2 };
}

static int64_t dead_for(const struct path *p)
{
    static const struct pauses standard = { { MINUTE, 5 * MINUTE, 10 * MINUTE, 20 * MINUTE, 30 * MINUTE }, 5 };
    int64_t pause = pauses_nth(p->pauses ? p->pauses : &standard, p->deaths + 1);

    return hash_spread(pause, 20, hash_mix(p->seed, (uint64_t)p->deaths));
}

static void die_for_now(struct path *p, int64_t now)
{
    p->state = PATH_DEAD;
    p->until = now + dead_for(p);
    p->deaths++;
}

static void open_with(struct path *p, double window)
{
    p->state = PATH_OPEN;
    p->window = window;
    p->failures = p->deaths = 0;
}

/* DEAD ends by itself. */
static void look(struct path *p, int64_t now)
{
    if (p->state == PATH_DEAD && now >= p->until)
        p->state = PATH_PROBE;
}

/* M, or what "too many connections" taught, which is forgotten step by step. */
static int most(const struct path *p, int64_t now)
{
    int64_t learnt = p->crowded;

    if (!p->crowded)
        return p->max < 1 ? 1 : p->max;
    learnt += (now - p->crowded_at) / CROWDED_MS;
    return learnt < p->max ? (int)learnt : p->max < 1 ? 1 : p->max;
}

static void judged(struct path *p, int64_t now)
{
    p->failures = 0;
    if (p->state != PATH_OPEN) { /* also one that was begun before it was DEAD */
        open_with(p, 2);
        p->revived = true;
    } else if (p->busy >= (int)p->window - 1) { /* one slot may be kept for hurried mail: it is full without that */
        double limit = most(p, now), grown = p->window + 1 / p->window;

        p->window = grown < limit ? grown : limit;
    }
    if (p->window < 1)
        p->window = 1;
}

static void failed(struct path *p, bool all, int64_t now)
{
    p->failures++;
    p->window = p->window > 2 ? p->window - 1 : 1;
    if (p->state == PATH_PROBE || (p->state == PATH_OPEN && all && p->failures >= DEAD_FROM))
        die_for_now(p, now);
}

static void slower(struct path *p, int64_t now)
{
    p->failures = 0; /* it speaks */
    p->quiet = now + QUIET_MS;
    if (p->halved_at && now - p->halved_at < HALVE_MS)
        return;
    p->halved_at = now;
    p->window = p->window > 2 ? p->window / 2 : 1;
}

/* A PROBE that is told to wait has not worked, and has not failed either: the path is open, and narrow. */
static void told_to_wait(struct path *p, bool crowded, int64_t now)
{
    if (crowded) {
        p->crowded = p->open > 2 ? p->open - 1 : 1;
        p->crowded_at = now;
    }
    slower(p, now);
    if (p->state == PATH_PROBE)
        open_with(p, 1);
}

void path_event(struct path *p, enum path_event event, int64_t now)
{
    look(p, now);
    switch (event) {
    case PATH_NOTHING: break;
    case PATH_OPENED: p->open++; break;
    case PATH_CLOSED: assert(p->open-- > 0); break;
    case PATH_BEGUN: p->busy++; break;
    case PATH_ENDED: assert(p->busy-- > 0); break;
    case PATH_VERDICT: judged(p, now); break;
    case PATH_FAILED: failed(p, false, now); break;
    case PATH_ALL_FAILED: failed(p, true, now); break;
    case PATH_SLOW: told_to_wait(p, false, now); break;
    case PATH_CROWDED: told_to_wait(p, true, now); break;
    case PATH_RESUMED: open_with(p, 1); break;
    }
}

int path_window(struct path *p, int64_t now)
{
    int limit = most(p, now);

    look(p, now);
    if (p->state != PATH_OPEN)
        return p->state == PATH_PROBE;
    return p->window < limit ? (int)p->window : limit;
}

bool path_may_connect(struct path *p, int64_t now)
{
    return p->open < path_window(p, now) && now >= p->quiet;
}

static void earlier(int64_t *next, int64_t at, int64_t now)
{
    if (at > now && (!*next || at < *next))
        *next = at;
}

int64_t path_next(const struct path *p, int64_t now)
{
    int64_t next = 0;

    if (p->state == PATH_DEAD)
        earlier(&next, p->until, now);
    earlier(&next, p->quiet, now);
    if (p->crowded && most(p, now) < p->max)
        earlier(&next, p->crowded_at + ((now - p->crowded_at) / CROWDED_MS + 1) * CROWDED_MS, now);
    return next;
}

bool path_revived(struct path *p)
{
    bool was = p->revived;

    p->revived = false;
    return was;
}

bool path_is_narrow(const struct path *p, int64_t now)
{
    return p->state != PATH_OPEN || (p->crowded && most(p, now) < p->max) ||
           (p->halved_at && now - p->halved_at < CROWDED_MS);
}

static int64_t shifted(int64_t at, int64_t by)
{
    return at ? at + by : 0;
}

void path_keep(const struct path *p, int64_t ahead, struct path_kept *out)
{
    *out = (struct path_kept){ .state = p->state,
                               .window = p->window,
                               .failures = p->failures,
                               .deaths = p->deaths,
                               .crowded = p->crowded,
                               .until = shifted(p->until, ahead),
                               .quiet = shifted(p->quiet, ahead),
                               .crowded_at = shifted(p->crowded_at, ahead) };
}

void path_restore(struct path *p, int64_t ahead, const struct path_kept *kept)
{
    p->state = kept->state;
    p->window = kept->window < 1 ? 1 : kept->window;
    p->failures = kept->failures;
    p->deaths = kept->deaths;
    p->crowded = kept->crowded;
    p->until = shifted(kept->until, -ahead);
    p->quiet = shifted(kept->quiet, -ahead);
    p->crowded_at = shifted(kept->crowded_at, -ahead);
}

static bool same(const struct network *a, const struct network *b)
{
    return network_holds(a, b) && network_holds(b, a);
}

void path_host_failed(struct path *p, const struct network *address, int64_t now)
{
    size_t at = 0;

    for (size_t i = 0; i < PATH_SICK_MAX; i++) {
        if (p->sick[i].until && same(&p->sick[i].address, address)) {
            at = i;
            break;
        }
        if (p->sick[i].until < p->sick[at].until)
            at = i;
    }
    p->sick[at].address = *address;
    p->sick[at].until = now + SICK_MS;
}

void path_host_worked(struct path *p, const struct network *address)
{
    for (size_t i = 0; i < PATH_SICK_MAX; i++)
        if (p->sick[i].until && same(&p->sick[i].address, address))
            p->sick[i].until = 0;
}

bool path_host_sick(const struct path *p, const struct network *address, int64_t now)
{
    for (size_t i = 0; i < PATH_SICK_MAX; i++)
        if (p->sick[i].until > now && same(&p->sick[i].address, address))
            return true;
    return false;
}
