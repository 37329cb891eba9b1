/* service/message/release.c - see release.h.
 *
 * A few fibers look at the time: of the earliest message, at least once a second, so that a clock that is set, forwards
 * or back, moves no message by more than that. What is due is claimed by the dozen, read together, and begun by several
 * fibers at once, for a thousand messages of one moment are to commit in groups; while one dozen commits the next is
 * claimed and read. What fails because of the store keeps its lease and
 * comes again; what fails by itself is put off, longer each time. */
#include "service/message/release.h"
#include "net/wait.h"
#include "service/core/state.h"
#include "service/identity/directory.h"
#include "service/identity/stream.h"
#include "service/message/intake_private.h"
#include "service/message/message_private.h"
#include "service/message/release_ahead.h"
#include "service/queue/queue.h"

#define FIBERS        2
#define AT_ONCE       64 /* messages that begin at once, for each of them */
#define CLAIM_ARENA   ((size_t)256 * 1024 * 1024)
#define ONE_ARENA     ((size_t)64 * 1024 * 1024)
#define PAUSE_MS      1000
#define NOTHING_MS    20
#define PUT_OFF_MOST  (5 * 60 * 1000)
#define DISABLED_WAIT 60000
#define TRIES         4 /* as often it is looked at again because something of it has changed */

struct release {
    struct service *svc;
    struct arena *arena;
    struct call call;
    struct principal who;
    struct message_row message;
    const struct body_row *body; /* or NULL: not read yet */
    const struct delivery_row *waiting;
    size_t n;
    bool disabled; /* its account */
    struct crypt_key content;
    bool changed; /* another one had a part of it: it is to be looked at again */
};

/* ---- what there is ---- */

/* As it was sent, for the rules; what it was counted for is not counted again. */
static void act_as_sender(struct release *r)
{
    const struct message_row *m = &r->message;

    call_init(&r->call, r->svc, r->arena, "release");
    r->who = (struct principal){ .kind = !id_is_none(m->key_id)    ? WHO_KEY
                                         : !id_is_none(m->user_id) ? WHO_USER
                                                                   : WHO_SOCKET,
                                 .id = !id_is_none(m->key_id) ? m->key_id : m->user_id,
                                 .account_id = m->account_id,
                                 .scopes = SCOPE_SEND,
                                 .test = bytes_equal(m->mode, BYTES("test")),
                                 .name = BYTES("its sender") };
    r->call.who = &r->who;
    r->call.account = m->account_id;
    r->call.request = m->request_id;
    r->call.deadline = clock_monotonic() + PARAM_INT(delivery, lease) / 2;
}

bool message_waiting(struct store *st, struct id message, struct arena *a, struct delivery_row **rows, size_t *n,
                     struct err *e)
{
    struct query q = { .kind = &delivery_kind, .index = "message", .n_conds = 2, .limit = WAITING_MOST };
    void *found;
    size_t all;

    q.conds[0] = COND("message_id", IS, V_ID(message));
    q.conds[1] = COND("status", IS, V_TEXT(BYTES("queued")));
    if (!store_find(st, &q, a, &found, &all, e))
        return false;
    *rows = found;
    *n = 0;
    for (size_t i = 0; i < all; i++)
        if (delivery_waits(&(*rows)[i]))
            (*rows)[(*n)++] = (*rows)[i];
    return true;
}

/* By itself: what was read with others may be another by now, or there was too much of it. */
static bool look_again(struct release *r, struct err *e)
{
    struct account_row account;
    struct delivery_row *waiting;
    bool there;

    if (!message_waiting(r->svc->store, r->message.id, r->arena, &waiting, &r->n, e) ||
        !store_look(r->svc->store, &account_kind, r->message.account_id, r->arena, &account, &there, e))
        return false;
    r->waiting = waiting;
    r->disabled = there && account.disabled;
    return true;
}

/* Any delivery has the key, as long as the server has its own. */
static bool open_content(struct release *r)
{
    struct err ignored = { 0 };

    for (size_t i = 0; i < r->n; i++)
        if (seal_open_server(r->svc, r->waiting[i].id, r->waiting[i].wrapped_key, r->waiting[i].wrap, &r->content,
                             &ignored))
            return true;
    return false;
}

/* An address that was one when it was accepted and is none now has nobody. What would come back to ourselves is kept
 * for the account. */
static bool find_recipient(struct release *r, const struct delivery_row *d, struct recipient *out)
{
    struct recipient_check_in in = { .utf8_ok = true, .lenient = true, .uncounted = true };
    struct call *c = &r->call;

    in.size = r->message.size - (int64_t)r->message.trace.n;
    if (!address_parse(d->email, r->arena, &in.address, &c->err) || !recipient_check(c, &in, out)) {
        if (c->err.code != ERR_SYNTAX && c->err.code != ERR_MISSING)
            return false;
        c->err = (struct err){ 0 };
        *out = (struct recipient){ .missing = true };
    }
    if (out->kind == RECIPIENT_RETURNED)
        out->kind = RECIPIENT_CAPTURED;
    out->email = d->email;
    out->dsn = d->dsn;
    return true;
}

/* ---- it begins ---- */

/* The address in "from" of what its people are. */
static struct bytes author_of(struct release *r)
{
    struct json_object *people = NULL;
    struct bytes email = NO_BYTES;
    struct err ignored = { 0 };

    if (r->message.people.p && json_read(r->message.people, &people, &ignored))
        email = arena_copy(r->arena, json_text(json_member(people, "from"), "email"));
    json_object_put(people);
    return email;
}

/* Its slug, while it is there: one that is gone gives no name. */
static bool find_stream(struct release *r, struct bytes *slug)
{
    struct stream_row stream;

    *slug = NO_BYTES;
    if (id_is_none(r->message.stream_id))
        return true;
    if (!stream_known(&r->call, id_text(r->arena, stream_kind.prefix, r->message.stream_id), &stream))
        return call_was_missing(&r->call);
    *slug = stream.slug;
    return true;
}

static bool intake_in_of(struct release *r, struct intake_in *in)
{
    const struct message_row *m = &r->message;
    struct bytes stream;
    struct recipient *to = arena_array(r->arena, r->n, sizeof *to);

    if (!find_stream(r, &stream))
        return false;
    for (size_t i = 0; i < r->n; i++)
        if (!find_recipient(r, &r->waiting[i], &to[i]))
            return false;
    *in = (struct intake_in){ .source = SOURCE_API,
                              .envelope_from = m->envelope_from,
                              .recipients = to,
                              .n_recipients = r->n,
                              .utf8 = true,
                              .message_id = m->id,
                              .tags = m->tags,
                              .metadata = m->metadata,
                              .token_path = m->token_path,
                              .dsn_wanted = m->dsn_wanted,
                              .no_store = m->no_store,
                              .require_tls = m->require_tls,
                              .save_to_sent = m->save_to_sent,
                              .sent_address = m->save_to_sent ? author_of(r) : NO_BYTES,
                              .priority = m->priority,
                              .stream_id = m->stream_id,
                              .stream = stream,
                              .topic = m->topic,
                              .unsubscribes = m->unsubscribes,
                              .expires_after = m->expires_after,
                              .bypass = (unsigned)m->bypass };
    return true;
}

/* Another node, a cancel or a move was faster with some of it. */
static bool lost(struct release *r)
{
    r->changed = r->call.err.code == ERR_CONFLICT || r->call.err.code == ERR_BUSY;
    return false;
}

static bool commit(struct release *r, struct intake *k)
{
    struct call *c = &r->call;
    struct intake_out out;

    for (;;) {
        struct batch *b = batch_new(r->arena);

        if (!intake_build(k, c, b, &out))
            return false;
        if (store_commit(c->store, b, c->deadline, &c->err))
            break;
        if (!intake_mend(k, c, batch_failure(b)))
            return batch_failure(b).fault == FAULT_NONE ? false : lost(r);
    }
    intake_done(k, c);
    return true;
}

static bool begin(struct release *r)
{
    const struct again again = { &r->message, r->waiting, r->body };
    struct intake *k = NULL;
    struct intake_in in;
    bool ok = intake_in_of(r, &in) && intake_again(&r->call, &in, &again, &r->content, &k) && commit(r, k);

    intake_drop(&k);
    return ok;
}

/* Nobody can read it any more. */
static bool give_up(struct release *r, struct err *e)
{
    struct ending *each = arena_array(r->arena, r->n, sizeof *each);
    struct endings list = { .message = &r->message, .each = each, .n = r->n };

    for (size_t i = 0; i < r->n; i++)
        each[i] = (struct ending){ .row = &r->waiting[i], .verdict = verdict_of(CAUSE_CONTENT_GONE, clock_wall()) };
    return endings_commit(r->svc, &list, r->arena, r->call.deadline, e);
}

/* When it is due again; 0: nothing of it waits any more. */
static bool put_off(struct release *r, int64_t until, struct err *e)
{
    struct batch *b = batch_new(r->arena);
    struct cond ours[] = { COND("token", IS, V_INT(r->message.token)), COND("release_at", IS_NOT, V_TIME(0)) };
    struct set sets[] = { SET("release_at", V_TIME(until)), SET("lease_until", V_TIME(0)) };

    batch_update(b, &message_kind, r->message.id, ours, 2, sets, 2);
    return store_commit(r->svc->store, b, clock_monotonic() + PARAM_INT(delivery, lease) / 2, e) ||
           e->code == ERR_CONFLICT;
}

static bool release_once(struct release *r, struct err *e)
{
    bool ok;

    act_as_sender(r);
    if (!r->waiting && !look_again(r, e))
        return false;
    if (!r->n)
        return put_off(r, 0, e);
    if (r->disabled)
        return put_off(r, store_now(r->svc->store) + DISABLED_WAIT, e);
    if (!open_content(r))
        return give_up(r, e) && put_off(r, 0, e);
    ok = begin(r);
    crypt_wipe(&r->content, sizeof r->content);
    if (!ok)
        *e = r->call.err;
    return ok;
}

/* Each time twice as late, nearly. */
static int64_t later(const struct release *r)
{
    int64_t now = store_now(r->svc->store), wait = now - r->message.scheduled_at;

    return now + (wait < PAUSE_MS ? PAUSE_MS : wait < PUT_OFF_MOST ? wait : PUT_OFF_MOST);
}

static void release_one(struct service *svc, const struct message_row *row, const struct release_ahead *ahead)
{
    struct release r = { .svc = svc, .arena = arena_new(ONE_ARENA) };
    struct err e = { 0 };
    bool ok = false;

    for (int i = 0; i < TRIES && !ok && (i == 0 || r.changed); i++) {
        arena_reset(r.arena);
        e = (struct err){ 0 };
        r.changed = false;
        r.message = *row;
        r.body = ahead->body;
        r.waiting = i ? NULL : ahead->waiting;
        r.n = ahead->n;
        r.disabled = ahead->disabled;
        ok = release_once(&r, &e);
    }
    if (!ok) {
        struct err ignored = { 0 };

        log_error("release", LOG_BYTES("message", id_text(r.arena, message_kind.prefix, row->id)),
                  LOG_TEXT("error", e.message), LOG_TEXT("where", e.where));
        put_off(&r, later(&r), &ignored);
    }
    arena_free(&r.arena);
}

/* ---- claims ---- */

static struct claim claim_of(int64_t lease_ms, size_t most)
{
    struct claim claim = { .query = { .kind = &message_kind, .index = "release", .n_conds = 1, .limit = most },
                           .due = "release_at",
                           CLAIMED_BY,
                           .lease_ms = lease_ms };

    claim.query.conds[0] = COND("release_at", IS_NOT, V_TIME(0));
    return claim;
}

bool release_begin(struct service *svc, struct err *e)
{
    struct claim claim = claim_of(LEASE_MOST_MS, 100);

    return store_end_leases(svc->store, &claim, e);
}

/* Those of one claim, begun by several fibers at once: then they commit in groups. Whoever leaves it last frees it: one
 * that is done still holds it while it says so. */
struct round {
    struct service *svc;
    const struct message_row *rows;
    const struct release_ahead *ahead;
    size_t n;
    atomic_size_t next, busy, users; /* busy: beside the first one */
    struct signal *done;
};

static void round_leave(struct round *r)
{
    if (atomic_fetch_sub(&r->users, 1) > 1)
        return;
    signal_free(&r->done);
    free(r);
}

static void release_some(struct round *r)
{
    size_t i;

    while ((i = atomic_fetch_add(&r->next, 1)) < r->n)
        release_one(r->svc, &r->rows[i], &r->ahead[i]);
}

static void release_beside(void *arg)
{
    struct round *r = arg;

    release_some(r);
    atomic_fetch_sub(&r->busy, 1);
    signal_raise(r->done);
    round_leave(r);
}

static bool start_beside(struct round *r)
{
    struct err ignored = { 0 };

    atomic_fetch_add(&r->busy, 1);
    atomic_fetch_add(&r->users, 1);
    if (fiber_start(FIBER_ANY, release_beside, r, &ignored))
        return true;
    atomic_fetch_sub(&r->busy, 1);
    atomic_fetch_sub(&r->users, 1);
    return false;
}

static void release_all(struct service *svc, const struct message_row *rows, const struct release_ahead *ahead,
                        size_t n)
{
    struct round *r = calloc(1, sizeof *r);

    if (!r)
        die("out of memory: messages that begin");
    r->svc = svc;
    r->rows = rows;
    r->ahead = ahead;
    r->n = n;
    r->users = 1;
    r->done = signal_new();
    for (size_t i = 1; fiber_self() && i < n && i < AT_ONCE && start_beside(r); i++)
        ;
    release_some(r);
    for (uint64_t seen = signal_count(r->done); atomic_load(&r->busy); seen = signal_count(r->done))
        if (!signal_wait(r->done, seen, clock_monotonic() + PAUSE_MS))
            fiber_yield();
    round_leave(r);
}

bool release_round(struct service *svc, size_t *n, struct err *e)
{
    struct claim claim = claim_of(PARAM_INT(delivery, lease), RELEASE_TOGETHER);
    struct release_ahead ahead[RELEASE_TOGETHER] = { { .n = 0 } };
    struct arena *a = arena_new(CLAIM_ARENA);
    void *rows = NULL;
    bool ok = store_claim(svc->store, &claim, a, &rows, n, e);

    if (ok && *n) {
        ok = release_ahead(svc, rows, *n, a, ahead, e);
        if (ok)
            release_all(svc, rows, ahead, *n);
    }
    arena_free(&a);
    return ok;
}

/* ---- background ---- */

void release_poke(struct service *svc)
{
    signal_raise(svc->releasing);
}

/* In how many milliseconds the earliest is due; PAUSE_MS at most. */
static int64_t until_next(struct service *svc)
{
    static const char *const only[] = { "id", "release_at", NULL };
    struct query q = { .kind = &message_kind, .index = "release", .n_conds = 1, .limit = 1, .only = only };
    struct arena *a = arena_new(64 * 1024);
    int64_t wait = PAUSE_MS;
    struct err ignored = { 0 };
    void *rows;
    size_t n;

    q.conds[0] = COND("release_at", IS_NOT, V_TIME(0));
    if (store_find(svc->store, &q, a, &rows, &n, &ignored) && n)
        wait = ((const struct message_row *)rows)->release_at - store_now(svc->store);
    arena_free(&a);
    return wait < 0 ? 0 : wait < PAUSE_MS ? wait : PAUSE_MS;
}

/* All that is due now. Where nothing could be claimed (the store's own clock is behind what we know of it, another node
 * was faster) it is not asked again at once. */
static void work(struct service *svc)
{
    struct err e = { 0 };
    size_t n = 1, all = 0;

    for (; n && !svc->stopping; all += n)
        if (!release_round(svc, &n, &e)) {
            service_sleep(svc, PAUSE_MS);
            return;
        }
    if (!all)
        service_sleep(svc, NOTHING_MS);
}

static void release_fiber(struct service *svc)
{
    while (!svc->stopping) {
        uint64_t seen = signal_count(svc->releasing);
        int64_t wait = until_next(svc);

        if (wait)
            signal_wait(svc->releasing, seen, clock_monotonic() + wait);
        else
            work(svc);
    }
}

bool releases_start(struct service *svc, struct err *e)
{
    for (int i = 0; i < FIBERS; i++)
        if (!service_spawn(svc, release_fiber, e))
            return false;
    return true;
}
