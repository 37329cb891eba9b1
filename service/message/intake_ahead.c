/* service/message/intake_ahead.c - names of a mail's origin asked for while it still comes: see intake_origin.c.
 *
 * Each is a fiber with a memory of its own, on the loop of the session; what it hears stays in the resolver's cache.
 * None is waited for, and where there is no room for one the mail only takes longer. */
#include "base/clock.h"
#include "base/params.h"
#include "net/fiber.h"
#include "service/core/lookup.h"
#include "service/message/intake_private.h"

enum { ROUNDS_MAX = 40 };
#define AHEAD_ARENA ((size_t)1024 * 1024)

struct ahead {
    struct arena *arena;
    struct lookups book;
    struct spf_asked spf; /* domain NO_BYTES: only what stands in the book */
    int64_t deadline;
};

static void answer(struct ahead *a, size_t *asked)
{
    for (; *asked < a->book.n && clock_monotonic() < a->deadline && !arena_full(a->arena); ++*asked)
        lookup_ask(a->arena, a->deadline, &a->book.list[*asked]);
}

static void run(void *arg)
{
    struct ahead *a = arg;
    struct arena *arena = a->arena;
    struct spf_verdict v;
    size_t asked = 0;

    answer(a, &asked);
    for (int i = 0; a->spf.domain.p && i < ROUNDS_MAX && !spf_check(&a->spf, &a->book, &v); i++) {
        answer(a, &asked);
        if (asked < a->book.n)
            break;
    }
    arena_free(&arena); /* it holds *a, too */
}

static struct ahead *begin(struct intake *k)
{
    struct arena *arena;
    struct ahead *a;

    if (!fiber_self() || !PARAM_INT(origin, ahead))
        return NULL;
    arena = arena_new_in(k->budget, AHEAD_ARENA);
    a = arena_alloc(arena, sizeof *a);
    a->arena = arena;
    a->deadline = clock_monotonic() + PARAM_INT(origin, timeout);
    lookups_init(&a->book, arena);
    return a;
}

static void start(struct ahead *a)
{
    struct arena *arena = a->arena;
    struct err e = { 0 };

    if (arena_full(arena) || !fiber_start(fiber_loop(), run, a, &e))
        arena_free(&arena);
}

void intake_ahead_spf(struct intake *k)
{
    const struct spf_asked *q = &k->origin.spf;
    struct ahead *a = begin(k);

    if (!a)
        return;
    a->spf = *q;
    a->spf.sender = arena_copy(a->arena, q->sender);
    a->spf.domain = arena_copy(a->arena, q->domain);
    a->spf.helo = arena_copy(a->arena, q->helo);
    a->spf.host = arena_copy(a->arena, q->host);
    start(a);
}

/* The keys of its signatures, and where its author's policy may stand (RFC 9989 4.10). */
void intake_ahead_keys(struct intake *k)
{
    struct intake_origin *o = &k->origin;
    struct ahead *a = begin(k);
    struct dmarc_asked q = { .from = o->from };
    struct dmarc_verdict v;

    if (!a)
        return;
    if (o->author == AUTH_PASS) /* first, as intake_origin.c says */
        dmarc_check(&q, &a->book, &v);
    verify_ask(o->verifier, &a->book);
    start(a);
}
