/* delivery/explain.c - what the engine would do with mail of a flow, asked from outside its loop. Whoever asks waits on
 * another loop; the look runs as a fiber of the engine's own, and what both hold ends with the last of them, so that
 * nobody has to wait for a DNS that does not answer. */
#include "base/clock.h"
#include "base/params.h"
#include "delivery/engine_private.h"

#define ASKING_ARENA ((size_t)1024 * 1024)

struct asking {
    struct engine *engine;
    struct arena *arena;
    struct course to;
    struct signal *done;
    struct outlook out; /* in the arena */
    atomic_bool answered;
    atomic_int users;
};

static void asking_leave(struct asking *x)
{
    if (atomic_fetch_sub(&x->users, 1) > 1)
        return;
    signal_free(&x->done);
    arena_free(&x->arena);
    free(x);
}

static const char *const verdicts[MX_VERDICTS] = {
    [MX_OK] = "ok",
    [MX_NO_DOMAIN] = "no_domain",
    [MX_NULL] = "takes_no_mail",
    [MX_NO_HOST] = "no_host",
    [MX_TEMPORARY] = "dns_fails",
    [MX_UNUSABLE] = "hosts_unusable",
    [MX_GIVEN_UP] = "hosts_unusable",
    [MX_LOOP] = "loop",
    [MX_DENIED] = "denied",
    [MX_NO_FAMILY] = "unreachable",
};

static void copy_hosts(const struct site *s, struct arena *a, struct outlook *out)
{
    struct outlook_host *hosts = arena_array(a, s->plan.n ? s->plan.n : 1, sizeof *hosts);
    char ip[NETWORK_TEXT];

    for (size_t i = 0; i < s->plan.n; i++) {
        const struct mx_host *h = &s->plan.hosts[i];

        hosts[i] = (struct outlook_host){ arena_copy(a, h->name), arena_copy(a, network_show(&h->address, ip)),
                                          h->preference };
    }
    out->hosts = hosts;
    out->n_hosts = s->plan.n;
}

static void copy_way(struct engine *e, struct way *w, struct arena *a, struct outlook *out)
{
    int64_t now = clock_monotonic(), next = w->shut_until > now ? w->shut_until : path_next(&w->path, now);

    out->path = arena_copy(a, way_name(w));
    out->state = w->shut_until > now ? "shut" : path_state_text(w->path.state);
    out->until = next ? queue_now(e->svc) + next - now : 0;
    out->window = path_window(&w->path, now);
    out->connections = w->path.open;
    out->connections_max = w->path.max;
    out->per_connection = w->per_connection;
    out->tls_required = w->tls_required;
}

static void ask_fiber(void *arg)
{
    struct asking *x = arg;
    struct engine *e = x->engine;
    struct site *s = site_asked(e, &x->to);

    if (s) {
        x->out.verdict = verdicts[s->plan.verdict];
        x->out.why = arena_copy(x->arena, s->plan.why);
        copy_hosts(s, x->arena, &x->out);
        copy_way(e, s->way, x->arena, &x->out);
        site_leave(s);
    }
    atomic_store(&x->answered, s != NULL);
    signal_raise(x->done);
    asking_leave(x);
    engine_left(e);
}

/* Texts lie in x's arena, which ends. */
static void hand_over(const struct asking *x, struct arena *a, struct outlook *out)
{
    struct outlook_host *hosts = arena_array(a, x->out.n_hosts ? x->out.n_hosts : 1, sizeof *hosts);

    *out = x->out;
    out->why = arena_copy(a, out->why);
    out->path = arena_copy(a, out->path);
    for (size_t i = 0; i < out->n_hosts; i++)
        hosts[i] = (struct outlook_host){ arena_copy(a, out->hosts[i].name), arena_copy(a, out->hosts[i].ip),
                                          out->hosts[i].preference };
    out->hosts = hosts;
}

bool engine_explain(struct outlet *o, const struct routes *routes, struct bytes flow, struct arena *a, int64_t until,
                    struct outlook *out)
{
    struct engine *e = (struct engine *)(void *)o;
    struct asking *x = calloc(1, sizeof *x);
    uint64_t seen;
    bool answered = false;

    if (!x)
        die("out of memory: a question");
    *x = (struct asking){ .engine = e, .arena = arena_new(ASKING_ARENA), .done = signal_new(), .users = 1 };
    seen = signal_count(x->done);
    if (course_of_flow(routes, flow, x->arena, &x->to)) {
        struct mail_route kept;

        mail_route_copy(x->arena, &x->to.route, &kept); /* the snapshot may end before the fiber */
        x->to.route = kept;
        x->to.domain = arena_copy(x->arena, x->to.domain);
        x->to.place = arena_copy(x->arena, x->to.place);
        atomic_store(&x->users, 2);
        if (!engine_stops(e) && engine_spawn(e, ask_fiber, x)) {
            signal_wait(x->done, seen, until);
            answered = atomic_load(&x->answered);
        } else {
            atomic_store(&x->users, 1);
        }
    }
    if (answered)
        hand_over(x, a, out);
    asking_leave(x);
    return answered;
}
