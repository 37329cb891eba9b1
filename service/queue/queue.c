/* service/queue/queue.c - flows, claims and leases of mail that leaves: see queue.h. How attempts end is in
 * queue_finish.c.
 *
 * Everything here is a look along the index "flow" {flow, send_at} or an update by id, so no call costs more for a
 * queue that is long. What is learnt by the way is put right at once: a row that an older build beside us ended keeps
 * its flow, and would be met by each claim, were it not cleared by the first. */
#include "base/clock.h"
#include "base/log.h"
#include "base/params.h"
#include "mail/srs.h"
#include "service/body/seal.h"
#include "service/core/state.h"
#include "service/queue/outcome.h"
#include "service/queue/path_state.h"
#include "service/queue/poke.h"
#include "service/queue/queue_private.h"
#include <assert.h>

#define BEGIN_ROWS 256
#define LOOK_IDS   64 /* of store_get_many */

/* ---- who is told ---- */

void queue_listen(struct service *svc, struct outlet *o)
{
    atomic_store(&svc->outlet, o);
}

void queue_poke(struct service *svc, struct bytes flow, int64_t send_at)
{
    struct outlet *o = atomic_load(&svc->outlet);

    if (!o || !o->arrived(o, flow, send_at))
        poke_other(svc, flow, send_at);
}

bool queue_is_shared(const struct service *svc)
{
    return svc->pokes != NULL;
}

bool queue_explain(struct service *svc, const struct routes *routes, struct bytes flow, struct arena *a, int64_t until,
                   struct outlook *out)
{
    struct outlet *o = atomic_load(&svc->outlet);

    return o && o->explain && o->explain(o, routes, flow, a, until, out);
}

void queue_paths(struct service *svc, const struct bytes *sites, size_t n, struct arena *a, struct bytes *out)
{
    struct outlet *o = atomic_load(&svc->outlet);

    for (size_t i = 0; i < n; i++)
        out[i] = NO_BYTES;
    if (o && o->paths)
        o->paths(o, sites, n, a, out);
    path_states_find(svc, sites, n, a, out);
}

/* ---- flows ---- */

bool queue_flows(struct service *svc, struct bytes after, size_t most, struct arena *a, struct flow_found **out,
                 size_t *n, struct err *e)
{
    static const char *const only[] = { "id", "flow", "send_at", NULL };
    struct query q = { .kind = &delivery_kind, .index = "flow", .n_conds = 1, .limit = 1, .only = only };
    struct delivery_row *row;
    void *rows;
    size_t found;

    *out = arena_array(a, most ? most : 1, sizeof **out);
    for (*n = 0; *n < most; after = row->flow) {
        q.conds[0] = after.p ? COND("flow", ABOVE, V_TEXT(after)) : COND("flow", IS_NOT, V_TEXT(NO_BYTES));
        if (!store_find(svc->store, &q, a, &rows, &found, e))
            return false;
        if (!found)
            break;
        row = rows;
        (*out)[(*n)++] = (struct flow_found){ row->flow, row->send_at };
    }
    return arena_check(a, e);
}

bool queue_next(struct service *svc, struct bytes flow, struct arena *a, int64_t *send_at, struct err *e)
{
    static const char *const only[] = { "id", "flow", "send_at", NULL };
    struct query q = { .kind = &delivery_kind, .index = "flow", .n_conds = 1, .limit = 1, .only = only };
    void *rows;
    size_t n;

    q.conds[0] = COND("flow", IS, V_TEXT(flow));
    if (!store_find(svc->store, &q, a, &rows, &n, e))
        return false;
    *send_at = n ? ((const struct delivery_row *)rows)->send_at : 0;
    return true;
}

/* ---- one engine for all nodes ---- */

#define LOCK BYTES("delivery")

bool queue_lock(struct service *svc, int64_t *token, struct err *e)
{
    return store_lock(svc->store, LOCK, QUEUE_LOCK_MS, token, e);
}

bool queue_lock_renew(struct service *svc, int64_t token, struct err *e)
{
    return store_lock_renew(svc->store, LOCK, token, QUEUE_LOCK_MS, e);
}

void queue_unlock(struct service *svc, int64_t token)
{
    store_unlock(svc->store, LOCK, token);
}

int64_t queue_now(struct service *svc)
{
    return store_now(svc->store);
}

/* ---- claims ---- */

static struct claim leaving(int64_t lease_ms, size_t limit)
{
    return (struct claim){ .query = { .kind = &delivery_kind, .index = "flow", .n_conds = 1, .limit = limit },
                           .due = "send_at",
                           CLAIMED_BY,
                           .lapsed = "lapsed",
                           .lease_ms = lease_ms };
}

bool queue_begin(struct service *svc, struct err *e)
{
    struct claim c = leaving(LEASE_MOST_MS, BEGIN_ROWS);

    c.query.conds[0] = COND("flow", IS_NOT, V_TEXT(NO_BYTES));
    return store_end_leases(svc->store, &c, e);
}

/* Commits what `add` writes of each that is not lost, one operation each; whoever fails it is lost, and the others go
 * on without. */
static bool write_each(struct service *svc, struct arena *a, struct work *const *each, size_t n,
                       void (*add)(struct batch *b, struct arena *a, const struct work *w, int64_t lease),
                       int64_t lease, struct err *e)
{
    for (;;) {
        struct batch *b = batch_new(a);
        size_t *of = arena_array(a, n ? n : 1, sizeof *of);
        struct batch_failure f;
        int64_t until = clock_monotonic() + PARAM_INT(delivery, lease) / 4;

        for (size_t i = 0; i < n; i++)
            if (!each[i]->lost) {
                of[batch_count(b)] = i;
                add(b, a, each[i], lease);
            }
        *e = (struct err){ 0 };
        if (!batch_count(b) || store_commit(svc->store, b, until, e))
            return true;
        f = batch_failure(b);
        if (e->code != ERR_CONFLICT || f.operation < 0)
            return false;
        each[of[f.operation]]->lost = true;
    }
}

static bool is_open(const struct delivery_row *row)
{
    return bytes_equal(row->status, BYTES("queued")) || bytes_equal(row->status, BYTES("deferred"));
}

/* By an older build, which does not know what a flow is. */
static void clear_flow(struct batch *b, struct arena *a, const struct work *w, int64_t lease)
{
    struct set *sets = arena_array(a, 3, sizeof *sets);

    (void)lease;
    sets[0] = SET("flow", V_TEXT(NO_BYTES));
    sets[1] = SET("send_at", V_TIME(0));
    sets[2] = SET("lease_until", V_TIME(0));
    batch_update(b, &delivery_kind, w->row.id, delivery_unchanged(&w->row, a), DELIVERY_UNCHANGED, sets, 3);
}

static bool drop_ended(struct service *svc, struct arena *a, struct work *all, size_t *n, struct err *e)
{
    struct work **ended = arena_array(a, *n ? *n : 1, sizeof *ended);
    size_t n_ended = 0, kept = 0;

    for (size_t i = 0; i < *n; i++)
        if (!is_open(&all[i].row))
            ended[n_ended++] = &all[i];
    if (n_ended && !write_each(svc, a, ended, n_ended, clear_flow, 0, e))
        return false;
    for (size_t i = 0; n_ended && i < *n; i++)
        if (is_open(&all[i].row))
            all[kept++] = all[i];
    *n = n_ended ? kept : *n;
    return true;
}

/* One insert of an event: the row is ours, so nothing needs to be on condition. */
static void tell_lapsed(struct batch *b, struct arena *a, const struct work *w, int64_t lease)
{
    (void)lease;
    event_record(b, a, w->message, &w->row, "email.ambiguous", clock_wall());
}

static bool mark_lapsed(struct service *svc, struct arena *a, struct work *all, size_t n, struct err *e)
{
    struct work **lapsed = arena_array(a, n ? n : 1, sizeof *lapsed);
    size_t n_lapsed = 0;

    for (size_t i = 0; i < n; i++)
        if (all[i].row.lapsed)
            lapsed[n_lapsed++] = &all[i];
    return !n_lapsed || write_each(svc, a, lapsed, n_lapsed, tell_lapsed, 0, e);
}

/* The messages of the works, each once. */
static bool look_up(struct service *svc, struct arena *a, struct work *all, size_t n, struct err *e)
{
    struct message_row *found = arena_array(a, n ? n : 1, sizeof *found);
    struct id *ids = arena_array(a, n ? n : 1, sizeof *ids);
    size_t *of = arena_array(a, n ? n : 1, sizeof *of), n_ids = 0;
    bool *gone = arena_array(a, n ? n : 1, sizeof *gone);

    for (size_t i = 0; i < n; i++) {
        size_t j = n_ids;

        while (j > 0 && !id_equal(ids[j - 1], all[i].row.message_id))
            j--;
        of[i] = j ? j - 1 : n_ids;
        if (!j)
            ids[n_ids++] = all[i].row.message_id;
    }
    for (size_t i = 0; i < n_ids; i += LOOK_IDS)
        if (!store_get_many(svc->store, &message_kind, &ids[i], n_ids - i < LOOK_IDS ? n_ids - i : LOOK_IDS, a,
                            &found[i], e))
            return false;
    for (size_t i = 0; i < n; i++) {
        struct message_row *m = &found[of[i]];

        all[i].message_gone = id_is_none(m->id) || gone[of[i]];
        if (id_is_none(m->id)) {
            gone[of[i]] = true;
            *m = message_stand_in(&all[i].row);
        }
        all[i].message = m;
    }
    return true;
}

static bool claim_rows(struct service *svc, const struct claim *c, struct arena *a, struct work **out, size_t *n_out,
                       struct err *e)
{
    struct delivery_row *rows;
    void *found;

    if (!store_claim(svc->store, c, a, &found, n_out, e))
        return false;
    rows = found;
    *out = arena_array(a, *n_out ? *n_out : 1, sizeof **out);
    for (size_t i = 0; i < *n_out; i++)
        (*out)[i].row = rows[i];
    return true;
}

static bool claim_works(struct service *svc, const struct claim *c, struct arena *a, struct work **out, size_t *n_out,
                        struct err *e)
{
    return claim_rows(svc, c, a, out, n_out, e) && drop_ended(svc, a, *out, n_out, e) &&
           look_up(svc, a, *out, *n_out, e) && mark_lapsed(svc, a, *out, *n_out, e) &&
           queue_drop_suppressed(svc, a, *out, n_out, e) && arena_check(a, e);
}

bool queue_claim(struct service *svc, const struct want *wants, size_t n, struct arena *a, struct work **out,
                 size_t *n_out, struct err *e)
{
    struct claim c = leaving(PARAM_INT(delivery, lease), QUEUE_ROWS);
    struct value *flows = arena_array(a, n, sizeof *flows);
    size_t *each = arena_array(a, n, sizeof *each);

    assert(n > 0 && n <= QUEUE_WANTS);
    for (size_t i = 0; i < n; i++) {
        flows[i] = V_TEXT(wants[i].flow);
        each[i] = wants[i].most;
    }
    c.query.conds[0] = COND_ONE_OF("flow", flows, n);
    c.each = each;
    return claim_works(svc, &c, a, out, n_out, e);
}

/* All of a message and site that was put off together is due together: two fields of the index find it. */
bool queue_claim_rest(struct service *svc, const struct work *of, size_t most, struct arena *a, struct work **out,
                      size_t *n_out, struct err *e)
{
    struct claim c = leaving(PARAM_INT(delivery, lease), most < QUEUE_ROWS ? most : QUEUE_ROWS);

    c.query.conds[0] = COND("flow", IS, V_TEXT(of->row.flow));
    c.query.conds[1] = COND("send_at", IS, V_TIME(of->row.send_at));
    c.query.conds[2] = COND("message_id", IS, V_ID(of->row.message_id));
    c.query.n_conds = 3;
    return claim_works(svc, &c, a, out, n_out, e);
}

/* ---- leases ---- */

static void give_back(struct batch *b, struct arena *a, const struct work *w, int64_t lease)
{
    struct set *sets = arena_array(a, 2, sizeof *sets);

    (void)lease;
    sets[0] = SET("send_at", V_TIME(w->row.send_at));
    sets[1] = SET("lease_until", V_TIME(0));
    batch_update(b, &delivery_kind, w->row.id, delivery_unchanged(&w->row, a), DELIVERY_UNCHANGED, sets, 2);
}

bool queue_return(struct service *svc, struct arena *a, struct work *const *each, size_t n, struct err *e)
{
    return write_each(svc, a, each, n, give_back, 0, e);
}

/* The row's flow is the new one by now. */
static void move(struct batch *b, struct arena *a, const struct work *w, int64_t lease)
{
    struct set *sets = arena_array(a, 3, sizeof *sets);

    (void)lease;
    sets[0] = SET("flow", V_TEXT(w->row.flow));
    sets[1] = SET("send_at", V_TIME(w->row.send_at));
    sets[2] = SET("lease_until", V_TIME(0));
    batch_update(b, &delivery_kind, w->row.id, delivery_unchanged(&w->row, a), DELIVERY_UNCHANGED, sets, 3);
}

bool queue_move(struct service *svc, struct arena *a, struct work *const *each, const struct bytes *flows, size_t n,
                struct err *e)
{
    for (size_t i = 0; i < n; i++)
        each[i]->row.flow = flows[i];
    return write_each(svc, a, each, n, move, 0, e);
}

static void work_keep(struct batch *b, struct arena *a, const struct work *w, int64_t lease)
{
    struct set *sets = arena_array(a, 2, sizeof *sets);

    sets[0] = SET("send_at", V_TIME(lease));
    sets[1] = SET("lease_until", V_TIME(lease));
    batch_update(b, &delivery_kind, w->row.id, delivery_unchanged(&w->row, a), DELIVERY_UNCHANGED, sets, 2);
}

bool queue_renew(struct service *svc, struct arena *a, struct work *const *each, size_t n, struct err *e)
{
    int64_t until = store_now(svc->store) + PARAM_INT(delivery, lease);

    if (!write_each(svc, a, each, n, work_keep, until, e))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!each[i]->lost)
            each[i]->row.lease_until = until;
    return true;
}

/* ---- the bytes ---- */

static struct bytes mark_of(const struct delivery_row *d, struct arena *a)
{
    struct bytes line = NO_BYTES;
    struct buf text;

    buf_init(&text, 1024);
    if (d->via.p)
        srs_mark(&text, d->via);
    if (text.n)
        line = arena_copy(a, buf_bytes(&text));
    buf_clear(&text);
    return line;
}

int64_t queue_mark_size(const struct delivery_row *d)
{
    return d->via.p ? (int64_t)(sizeof "Delivered-To: \r\n" - 1 + d->via.n) : 0;
}

bool queue_open(struct service *svc, struct arena *a, const struct work *w, struct content_out *out, struct err *e)
{
    struct bytes mark = mark_of(&w->row, a), trace = w->message->trace;
    struct crypt_key key;
    struct call c;
    bool ok;

    if (mark.p)
        trace = arena_bytesf(a, "%.*s%.*s", SHOW(mark), SHOW(trace));
    call_init(&c, svc, a, "delivery");
    ok = seal_open_server(svc, w->row.id, w->row.wrapped_key, w->row.wrap, &key, &c.err) &&
         content_open(&c, w->row.body_id, &key, trace, out);
    crypt_wipe(&key, sizeof key);
    if (!ok)
        *e = c.err;
    return ok;
}
