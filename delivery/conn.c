/* delivery/conn.c - connections to hosts: made under a policy of TLS, kept for the next message, ended in good order.
 *
 * TLS is opportunistic unless a route asks for more (RFC 7435, RFC 3207): whatever goes wrong with it is no reason not
 * to deliver, so an address with which it failed is met in clear, at once by the caller and for a day or more by what
 * is remembered here. A connection is lent to other domains of its way only if it satisfies what their mail asks. */
#include "base/clock.h"
#include "base/params.h"
#include "delivery/engine_private.h"
#include "service/queue/route.h"
#include <stdio.h>
#include <utlist.h>

#define IN_MAX       16384
#define OUT_MAX      ((size_t)128 * 1024)
#define GREET_ARENA  ((size_t)256 * 1024)
#define LIFE_MS      300000
#define IDLE_MS      5000
#define MEMORIES_MAX 10000
#define SECRET_MAX   512

/* ---- where TLS fails ---- */

static struct tls_failure_row *failure_find(struct engine *e, const struct network *address, int port)
{
    struct tls_failure_row *row, wanted = { 0 };

    memcpy(wanted.key.address, address->address, sizeof wanted.key.address);
    wanted.key.port = port;
    HASH_FIND(hh, e->tls_failures, &wanted.key, sizeof wanted.key, row);
    return row;
}

bool tls_is_avoided(struct engine *e, const struct network *address, int port)
{
    struct tls_failure_row *row = failure_find(e, address, port);

    return row && clock_monotonic() < row->until;
}

static void forget_oldest(struct engine *e)
{
    struct tls_failure_row *oldest = e->tls_failures; /* uthash keeps them in the order they came */

    HASH_DEL(e->tls_failures, oldest);
    free(oldest);
}

void tls_avoid(struct engine *e, const struct network *address, int port)
{
    struct tls_failure_row *row = failure_find(e, address, port);
    int64_t first = PARAM_INT(delivery, tls_memory);

    if (!row) {
        if (HASH_COUNT(e->tls_failures) >= MEMORIES_MAX)
            forget_oldest(e);
        row = calloc(1, sizeof *row);
        if (!row)
            die("out of memory: TLS failures");
        memcpy(row->key.address, address->address, sizeof row->key.address);
        row->key.port = port;
        HASH_ADD(hh, e->tls_failures, key, sizeof row->key, row);
    }
    row->lasts = !row->lasts ? first : 2 * row->lasts < 3 * first ? 2 * row->lasts : 3 * first;
    row->until = clock_monotonic() + row->lasts;
}

void tls_memory_free(struct engine *e)
{
    while (e->tls_failures)
        forget_oldest(e);
}

/* ---- the pool ---- */

static void conn_free(struct conn *c)
{
    client_drop(&c->client);
    arena_free(&c->arena);
    free(c);
}

/* What domain and message ask of a connection that was made for others. */
bool conn_satisfies(const struct site *s, enum route_tls tls, const struct conn *c)
{
    const struct mx_host *h = site_host(s, &c->address);

    if (!h)
        return false;
    if (tls == ROUTE_TLS_VERIFY && (c->security != IN_TLS_VERIFIED || !bytes_equal_nocase(c->mx, h->name)))
        return false;
    return c->security != IN_CLEAR || (tls != ROUTE_TLS_REQUIRE && !c->way->tls_required);
}

/* Is there room for one more behind so many messages? */
static bool has_room(const struct way *w, const struct conn *c, size_t sent)
{
    int64_t most = client_offer(c->client)->mail_max; /* RFC 9422 */

    return sent < (size_t)w->per_connection && (!most || (int64_t)sent < most) &&
           clock_monotonic() - c->opened_at < LIFE_MS;
}

bool conn_is_usable(const struct way *w, struct conn *c)
{
    return has_room(w, c, client_messages(c->client)) && client_is_usable(c->client);
}

bool conn_may_follow(const struct way *w, const struct conn *c)
{
    return has_room(w, c, client_messages(c->client) + 1);
}

/* `at`: where its way keeps it. */
static struct conn *take_out(struct conn **at)
{
    struct conn *c = *at;

    *at = c->next;
    DL_DELETE2(c->engine->idle, c, older, newer);
    c->engine->idle_n--;
    return c;
}

struct conn *conn_take(struct engine *e, const struct site *s, enum route_tls tls)
{
    for (struct conn **at = &s->way->idle; *at;) {
        struct conn *c = *at;

        if (!conn_satisfies(s, tls, c)) {
            at = &c->next;
            continue;
        }
        take_out(at);
        if (conn_is_usable(s->way, c))
            return c;
        conn_end(e, &c);
        at = &s->way->idle;
    }
    return NULL;
}

static struct conn *take_oldest(struct engine *e)
{
    struct conn **at = &e->idle->way->idle;

    while (*at != e->idle)
        at = &(*at)->next;
    return take_out(at);
}

void conn_keep(struct engine *e, struct conn *c)
{
    struct conn *over;

    if (engine_stops(e) || client_has_said(c->client) || !conn_is_usable(c->way, c)) {
        conn_end(e, &c);
        return;
    }
    c->idle_since = clock_monotonic();
    c->next = c->way->idle;
    c->way->idle = c;
    DL_APPEND2(e->idle, c, older, newer);
    if (++e->idle_n > (size_t)PARAM_INT(delivery, idle_max)) {
        over = take_oldest(e);
        conn_end(e, &over);
    }
}

static void quit_fiber(void *arg)
{
    struct conn *c = arg;
    struct engine *e = c->engine;

    client_arena(c->client, c->arena);
    client_quit(&c->client, e->leaving_n <= (size_t)PARAM_INT(delivery, idle_max));
    conn_free(c);
    e->leaving_n--;
    engine_left(e);
}

void conn_end(struct engine *e, struct conn **c)
{
    struct conn *x = *c;

    *c = NULL;
    if (!x)
        return;
    way_tell(e, x->way, PATH_CLOSED);
    e->leaving_n++;
    if (client_is_usable(x->client) && engine_spawn(e, quit_fiber, x))
        return;
    e->leaving_n--;
    conn_free(x);
}

/* The list of all is in the order of time. It is looked at anew each time: other fibers have turns while one ends. */
void conn_reap(struct engine *e, int64_t now)
{
    while (e->idle && now - e->idle->idle_since >= IDLE_MS) {
        struct conn *c = take_oldest(e);

        conn_end(e, &c);
    }
}

void conns_end(struct engine *e)
{
    conn_reap(e, CLOCK_NEVER);
}

void conns_free(struct engine *e)
{
    while (e->idle)
        conn_free(take_oldest(e));
}

/* ---- a new one ---- */

/* First line of the file; a file is read in a moment, and seldom. */
static bool read_secret(struct bytes file, struct arena *a, struct bytes *out)
{
    char line[SECRET_MAX];
    FILE *f = fopen(arena_text(a, file), "re");
    bool ok = f && fgets(line, sizeof line, f);

    if (f)
        fclose(f);
    if (ok)
        *out = arena_copy(a, bytes_trim(bytes_of(line)));
    return ok;
}

static bool refuse(struct answer *out, enum step at, enum answered what, const char *text)
{
    *out = (struct answer){ .at = at, .what = what, .reply.text = bytes_of(text) };
    return false;
}

static bool log_in(struct engine *e, struct conn *c, const struct demand *d, struct answer *out)
{
    const struct mail_route *r = d->route;
    struct bytes secret = NO_BYTES;

    if (!r->auth_user.n)
        return true;
    if (c->security != IN_TLS_VERIFIED && !r->insecure_auth)
        return refuse(out, STEP_AUTH, ANSWER_TLS, "no login without TLS with a verified name");
    if (!id_is_none(r->id))
        secret = route_password(e->svc, r->id, r->auth_sealed, c->arena);
    else if (!read_secret(r->auth_file, c->arena, &secret))
        return refuse(out, STEP_AUTH, ANSWER_TLS, "delivery.relay_secret_file cannot be read");
    if (!secret.p)
        return refuse(out, STEP_AUTH, ANSWER_TLS, "the route's password is sealed with another server key");
    return client_login(c->client, r->auth_user, secret, out);
}

/* Ours from the first byte (RFC 8314 3.3). */
static bool is_tls_port(const struct demand *d)
{
    return d->route->way == ROUTE_RELAY && d->port == PORT_SUBMISSIONS;
}

static bool start_tls(struct engine *e, struct conn *c, const struct demand *d, struct answer *out)
{
    bool verify = d->tls == ROUTE_TLS_VERIFY;
    int64_t from = clock_monotonic();
    struct tls_wish wish = { .client = e->tls,
                             .verify = verify ? TLS_BY_NAME : TLS_UNVERIFIED,
                             .least = TLS_1_2,
                             .name = c->mx,
                             .session = arena_bytesf(c->arena, "%s %d %.*s", c->ip, d->port, SHOW(c->mx)) };

    if (c->mx.n && c->mx.p[0] == '[') /* a literal: no name to be sent */
        wish.name = bytes_head(bytes_from(c->mx, 1), c->mx.n - 2);
    if (is_tls_port(d) ? !client_begin_tls(c->client, &wish, &c->tls, out)
                       : !client_start_tls(c->client, &wish, &c->tls, out)) {
        out->at = STEP_STARTTLS; /* EHLO behind it, too */
        return false;
    }
    c->delays.tls = clock_monotonic() - from;
    c->security = c->tls.verified ? IN_TLS_VERIFIED : IN_TLS;
    return true;
}

static bool secure(struct engine *e, struct conn *c, const struct demand *d, struct answer *out)
{
    bool needed = d->tls == ROUTE_TLS_REQUIRE || d->tls == ROUTE_TLS_VERIFY;

    if (is_tls_port(d) || d->tls == ROUTE_TLS_NONE || (d->in_clear && !needed))
        return true;
    if (client_offer(c->client)->starttls)
        return start_tls(e, c, d, out);
    return !needed || refuse(out, STEP_STARTTLS, ANSWER_TLS, "STARTTLS is not offered, and TLS is required");
}

/* A host that calls itself by a name of ours is ourselves, or would send the mail back (RFC 5321 5.1). */
static bool is_ourselves(const struct conn *c, const struct demand *d)
{
    return d->route->way == ROUTE_MX &&
           (own_is_name(c->engine, client_greeted_as(c->client)) || own_is_name(c->engine, client_named_as(c->client)));
}

static bool connect_to(struct conn *c, const struct demand *d, int64_t until, struct answer *out)
{
    struct stream_target target = { .address = d->host->address,
                                    .port = (uint16_t)d->port,
                                    .options = { IN_MAX, OUT_MAX } };
    int64_t now = clock_monotonic(), deadline = now + PARAM_INT(delivery, timeout_connect);
    struct stream *s = NULL;
    struct err e = { 0 };

    script_add(d->script, SCRIPT_NOTE,
               arena_bytesf(c->arena, "connect to %s (%.*s), port %d", c->ip, SHOW(c->mx), d->port), now);
    if (!stream_connect(&target, deadline < until ? deadline : until, &s, &e)) {
        script_add(d->script, SCRIPT_NOTE, bytes_of(e.message), clock_monotonic());
        *out = (struct answer){ .at = STEP_CONNECT, .what = e.code == ERR_TIMEOUT ? ANSWER_TIMEOUT : ANSWER_CLOSED };
        out->reply.text = arena_copy(c->arena, bytes_of(e.message));
        return false;
    }
    c->delays.connect = clock_monotonic() - now;
    stream_drains(s, true); /* until there is mail on it, a stop ends it */
    c->client = client_new(&s, PARAM_TEXT(server, hostname), c->arena);
    client_script(c->client, d->script);
    return true;
}

/* Pools that are full of what is idle make room. */
static bool make_room(struct engine *e, struct way *w)
{
    while (!path_may_connect(&w->path, clock_monotonic()) && w->idle) {
        struct conn *c = take_out(&w->idle);

        conn_end(e, &c);
    }
    return path_may_connect(&w->path, clock_monotonic());
}

static struct conn *conn_new(struct engine *e, struct way *w, const struct mx_host *h)
{
    struct conn *c = calloc(1, sizeof *c);

    if (!c)
        die("out of memory: a connection");
    c->arena = arena_new_small(GREET_ARENA);
    c->engine = e;
    c->way = w;
    c->address = h->address;
    c->mx = arena_copy(c->arena, h->name);
    network_show(&c->address, c->ip);
    c->opened_at = clock_monotonic();
    way_tell(e, w, PATH_OPENED);
    return c;
}

struct conn *conn_make(struct engine *e, struct way *w, const struct demand *d, int64_t until, struct answer *out,
                       struct tls_result *tls, bool *loops, struct arena *a)
{
    bool needed = d->tls == ROUTE_TLS_REQUIRE || d->tls == ROUTE_TLS_VERIFY, ok;
    struct conn *c;

    *loops = false;
    if (!make_room(e, w) || !rates_connect(e, w)) {
        refuse(out, STEP_CONNECT, ANSWER_STOPPED, "no connection may be made now");
        return NULL;
    }
    c = conn_new(e, w, d->host);
    c->policy = d->tls;
    ok = connect_to(c, d, until, out) && (!is_tls_port(d) || start_tls(e, c, d, out)) &&
         client_greet(c->client, needed, out);
    *loops = ok && is_ourselves(c, d);
    ok = ok && !*loops && secure(e, c, d, out) && log_in(e, c, d, out);
    *tls = c->tls;
    if (c->client)
        client_script(c->client, NULL);
    if (ok)
        return c;
    out->reply.text = arena_copy(a, out->reply.text);
    out->reply.enhanced = arena_copy(a, out->reply.enhanced);
    way_tell(e, w, PATH_CLOSED);
    conn_free(c);
    return NULL;
}
