/* service/keep/sweep.c - deletes what has expired and bodies that nobody can read any more.
 *
 * A body is judged only when it is marked, and deleted on condition that its mark is still the same. Its referents are
 * looked for in this order: open deliveries, messages, entries. A reference moves only from a delivery to an entry
 * (when it is filed), so one that has just moved is still seen. What is past is judged by the store's clock: a node
 * whose own runs ahead must not sweep what the others still count. */
#include "service/keep/sweep.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/params.h"
#include "service/body/body.h"
#include "service/core/idempotency.h"
#include "service/core/state.h"
#include "service/keep/past.h"
#include "service/queue/ending.h"
#include "service/queue/queue.h"
#include "store/value.h"
#include <assert.h>

#define SWEEP_ARENA ((size_t)64 * 1024 * 1024)
#define COMMIT_MS   30000
/* How long a sweep keeps the other nodes from sweeping. */
#define SWEEP_LOCK_MS 60000

struct sweep {
    struct service *svc;
    struct arena *arena; /* of one slice */
    size_t rows;
    struct err *e;
};

static size_t slice_length(void)
{
    return (size_t)PARAM_INT(sweep, slice);
}

/* Up to a slice of rows of which `field` is past, with no more of them than the sweep looks at: some are large. */
static bool find_past(struct sweep *s, const struct kind *k, const char *index, const char *field, struct cond more,
                      void **rows, size_t *n)
{
    static const char *const id_only[] = { "id", NULL }, *const of_message[] = { "id", "body_id", "wrapped_key", NULL },
                             *const of_change[] = { "id", "user_id", "modseq", NULL };
    struct query q = { .kind = k, .index = index, .n_conds = 1, .limit = slice_length() };

    q.only = k == &message_kind ? of_message : k == &change_kind ? of_change : id_only;
    arena_reset(s->arena);
    q.conds[0] = COND(field, AT_MOST, V_TIME(store_now(s->svc->store)));
    if (more.field)
        q.conds[q.n_conds++] = more;
    if (k == &message_kind)
        q.conds[q.n_conds++] = COND("n_held", IS, V_INT(0));
    return store_find(s->svc->store, &q, s->arena, rows, n, s->e);
}

/* A batch that meets a change made meanwhile is left for the next sweep. */
static bool commit(struct sweep *s, struct batch *b, bool *done)
{
    struct err e = { 0 };

    *done = batch_count(b) == 0 || store_commit(s->svc->store, b, clock_monotonic() + COMMIT_MS, &e);
    if (*done || e.code == ERR_CONFLICT)
        return true;
    *s->e = e;
    return false;
}

/* ---- bodies ---- */

static bool referred(struct sweep *s, const struct kind *k, struct id body, const struct cond *more, bool *yes)
{
    static const char *const only[] = { "id", NULL };
    struct query q = { .kind = k, .index = "body", .n_conds = 1, .limit = 1, .only = only };
    void *rows;
    size_t n;

    q.conds[0] = COND("body_id", IS, V_ID(body));
    if (more)
        q.conds[q.n_conds++] = *more;
    if (!store_find(s->svc->store, &q, s->arena, &rows, &n, s->e))
        return false;
    *yes = *yes || n > 0;
    return true;
}

static bool is_wanted(struct sweep *s, struct id body, bool *yes)
{
    struct value open[] = { V_TEXT(BYTES("queued")), V_TEXT(BYTES("sending")), V_TEXT(BYTES("deferred")),
                            V_TEXT(BYTES("held")) };
    struct cond is_open = COND_ONE_OF("status", open, 4), has_content = COND("content_until", IS_NOT, V_TIME(0));

    *yes = false;
    return referred(s, &delivery_kind, body, &is_open, yes) && referred(s, &message_kind, body, &has_content, yes) &&
           referred(s, &entry_kind, body, NULL, yes);
}

static bool sweep_body(struct sweep *s, const struct body_row *row)
{
    struct batch *b = batch_new(s->arena);
    struct cond same = COND("expires_at", IS, V_TIME(row->expires_at));
    struct set keep = SET("expires_at", V_TIME(0));
    bool wanted, done;

    if (!is_wanted(s, row->id, &wanted))
        return false;
    if (wanted) {
        batch_update(b, &body_kind, row->id, &same, 1, &keep, 1);
    } else {
        batch_delete(b, &body_kind, row->id, &same, 1);
        batch_blob_delete(b, row->id);
    }
    if (!commit(s, b, &done))
        return false;
    s->rows += done && !wanted;
    return true;
}

static bool sweep_bodies(struct sweep *s)
{
    static const char *const only[] = { "id", "expires_at", NULL };
    struct query q = { .kind = &body_kind, .index = "expires", .n_conds = 1, .only = only };
    struct body_row *rows;
    void *found;
    size_t n;

    do {
        q.limit = slice_length();
        q.conds[0] = COND("expires_at", AT_MOST, V_TIME(store_now(s->svc->store)));
        arena_reset(s->arena);
        if (!store_find(s->svc->store, &q, s->arena, &found, &n, s->e))
            return false;
        rows = found;
        for (size_t i = 0; i < n; i++)
            if (!sweep_body(s, &rows[i]))
                return false;
    } while (n == q.limit && !s->svc->stopping);
    return true;
}

/* ---- messages ---- */

static struct cond all_done(void)
{
    return COND("n_open", IS, V_INT(0));
}

static bool erase_contents(struct sweep *s)
{
    struct message_row *rows;
    void *found;
    size_t n;
    bool done = false;

    do {
        if (!find_past(s, &message_kind, "content", "content_until", all_done(), &found, &n))
            return false;
        rows = found;
        for (size_t i = 0; i < n; i++) {
            struct batch *b = batch_new(s->arena);
            message_erase(b, s->arena, &rows[i]);
            if (!commit(s, b, &done))
                return false;
            s->rows += done;
        }
    } while (n == slice_length() && done && !s->svc->stopping);
    return true;
}

/* One that is still at work is met again by a later round. */
static bool delete_message(struct sweep *s, struct past *past, const struct message_row *row)
{
    struct cond done_with[] = { all_done(), COND("n_held", IS, V_INT(0)) };
    struct batch *b = batch_new(s->arena);
    bool done;

    if (row->n_open || row->n_held) {
        past->looked++;
        return true;
    }
    if (row->wrapped_key.p)
        body_mark(b, row->body_id, s->arena);
    batch_delete(b, &message_kind, row->id, done_with, 2);
    if (!commit(s, b, &done))
        return false;
    s->rows += done;
    return true;
}

static bool delete_messages(struct sweep *s)
{
    static const char *const only[] = { "id", "body_id", "wrapped_key", "n_open", "n_held", "expires_at", NULL };
    static const struct past_kind messages = { &message_kind, only, "expires_at", 0 };
    struct past past;
    void *rows;
    size_t n;

    past_begin(&past, &messages);
    do {
        if (!past_next(&past, s->svc, s->arena, &rows, &n, s->e))
            return false;
        for (size_t i = 0; i < n; i++)
            if (!delete_message(s, &past, (const struct message_row *)rows + i))
                return false;
    } while (n && !s->svc->stopping);
    return true;
}

/* ---- rows that just expire, in order of time ---- */

/* In one batch; each that others have taken meanwhile is left out of the next. *done: how many have gone. */
static bool delete_rows(struct sweep *s, const struct kind *k, char *rows, size_t n, const struct cond *only_if,
                        size_t *done)
{
    struct arena_mark clean = arena_mark(s->arena);

    for (*done = n; *done > 0; (*done)--) {
        struct batch *b;
        struct err e = { 0 };
        char *lost;

        arena_rewind(s->arena, clean);
        b = batch_new(s->arena);
        for (size_t i = 0; i < *done; i++)
            batch_delete(b, k, *(struct id *)(void *)(rows + i * k->size), only_if, only_if ? 1 : 0);
        if (store_commit(s->svc->store, b, clock_monotonic() + COMMIT_MS, &e))
            break;
        if (e.code != ERR_CONFLICT) {
            *s->e = e;
            return false;
        }
        lost = rows + (size_t)batch_failure(b).operation * k->size;
        memmove(lost, lost + k->size, (size_t)(rows + *done * k->size - lost) - k->size);
    }
    s->rows += *done;
    return true;
}

static bool delete_old(struct sweep *s, const struct past_kind *of)
{
    struct past past;
    size_t n, done;
    void *rows;

    past_begin(&past, of);
    do {
        if (!past_next(&past, s->svc, s->arena, &rows, &n, s->e) || !delete_rows(s, of->kind, rows, n, NULL, &done))
            return false;
    } while (n && !s->svc->stopping);
    return true;
}

static bool delete_deliveries(struct sweep *s)
{
    static const char *const only[] = { "id", "keep_until", NULL };
    static const struct past_kind deliveries = { &delivery_kind, only, "keep_until", 1 };

    return delete_old(s, &deliveries);
}

static bool delete_events(struct sweep *s)
{
    static const char *const only[] = { "id", "expires_at", NULL };
    static const struct past_kind events = { &event_kind, only, "expires_at", 2 };

    return delete_old(s, &events);
}

/* ---- rows that just expire, by an index ---- */

/* Rows of these kinds are used again, and live longer then: each goes only if its time is past still. */
static bool is_used_again(const struct kind *k)
{
    return k == &throttle_kind || k == &limit_kind || k == &suppression_kind || k == &path_kind;
}

static bool delete_past(struct sweep *s, const struct kind *k, const char *index, const char *field)
{
    struct cond past;
    size_t n, done;
    void *rows;

    do {
        if (!find_past(s, k, index, field, (struct cond){ 0 }, &rows, &n))
            return false;
        past = COND(field, AT_MOST, V_TIME(store_now(s->svc->store)));
        if (!delete_rows(s, k, rows, n, is_used_again(k) ? &past : NULL, &done))
            return false;
    } while (n == slice_length() && done && !s->svc->stopping);
    return true;
}

/* ---- what left a mailbox ---- */

/* First the user is told up to where nothing is known any more. */
static bool forget_change(struct sweep *s, const struct change_row *row, bool *done)
{
    struct batch *b = batch_new(s->arena);
    struct user_row user;
    struct cond same;
    struct set floor = SET("gone_floor", V_INT(row->modseq));
    bool there;

    if (!store_look(s->svc->store, &user_kind, row->user_id, s->arena, &user, &there, s->e))
        return false;
    same = COND("gone_floor", IS, V_INT(user.gone_floor));
    if (there && user.gone_floor < row->modseq)
        batch_update(b, &user_kind, row->user_id, &same, 1, &floor, 1);
    batch_delete(b, &change_kind, row->id, NULL, 0);
    return commit(s, b, done);
}

static bool forget_changes(struct sweep *s)
{
    struct change_row *rows;
    bool done = false;
    void *found;
    size_t n;

    do {
        if (!find_past(s, &change_kind, "expires", "expires_at", (struct cond){ 0 }, &found, &n))
            return false;
        rows = found;
        for (size_t i = 0; i < n; i++) {
            if (!forget_change(s, &rows[i], &done))
                return false;
            s->rows += done;
        }
    } while (n == slice_length() && done && !s->svc->stopping);
    return true;
}

/* ---- what accounts that are gone have left ---- */

#define ORPHAN_LOOKS 100 /* accounts of one round and kind; the next goes on behind them */

/* Rows that nothing else ends, with an index "account". */
static const struct kind *const of_accounts[] = {
    &suppression_kind, &route_kind, &template_kind, &template_version_kind, &layout_kind, &partial_kind, &stream_kind
};
#define OF_ACCOUNTS (sizeof of_accounts / sizeof *of_accounts)
static_assert(OF_ACCOUNTS <= ORPHAN_KINDS, "a place for each");

static bool delete_left(struct sweep *s, const struct kind *k, struct id account)
{
    static const char *const only[] = { "id", NULL };
    struct query q = { .kind = k, .index = "account", .n_conds = 1, .only = only };
    size_t n, done;
    void *rows;

    q.limit = slice_length();
    q.conds[0] = COND("account_id", IS, V_ID(account));
    do {
        arena_reset(s->arena);
        if (!store_find(s->svc->store, &q, s->arena, &rows, &n, s->e) || !delete_rows(s, k, rows, n, NULL, &done))
            return false;
    } while (n == q.limit && done && !s->svc->stopping);
    return true;
}

/* The next account that has such rows, behind *at. */
static bool next_account(struct sweep *s, const struct kind *k, struct id *at, bool *any)
{
    static const char *const only[] = { "id", "account_id", NULL };
    struct query q = { .kind = k, .index = "account", .n_conds = 1, .limit = 1, .only = only };
    void *rows;
    size_t n;

    arena_reset(s->arena);
    q.conds[0] = COND("account_id", id_is_none(*at) ? IS_NOT : ABOVE, V_ID(*at));
    if (!store_find(s->svc->store, &q, s->arena, &rows, &n, s->e))
        return false;
    *any = n > 0;
    *at = n ? value_of(kind_field(k, "account_id"), rows).id : NO_ID;
    return true;
}

static bool delete_orphans_of(struct sweep *s, const struct kind *k, struct id *at)
{
    bool any = true, there;

    for (int i = 0; any && i < ORPHAN_LOOKS; i++) {
        struct account_row account;

        if (!next_account(s, k, at, &any))
            return false;
        if (!any)
            break;
        if (!store_look(s->svc->store, &account_kind, *at, s->arena, &account, &there, s->e) ||
            (!there && !delete_left(s, k, *at)))
            return false;
    }
    return true;
}

static bool delete_orphans(struct sweep *s)
{
    for (size_t i = 0; i < OF_ACCOUNTS; i++)
        if (!delete_orphans_of(s, of_accounts[i], &s->svc->orphans[i]))
            return false;
    return true;
}

bool sweep_round(struct service *svc, size_t *n, struct err *e)
{
    struct sweep s = { .svc = svc, .arena = arena_new(SWEEP_ARENA), .e = e };
    size_t kept_answers = 0, given_up = 0;
    bool ok;

    ok = queue_expire(svc, &given_up, e) && erase_contents(&s) && delete_messages(&s) && delete_deliveries(&s) &&
         delete_past(&s, &tag_kind, "expires", "expires_at") && delete_events(&s) &&
         delete_past(&s, &throttle_kind, "expires", "expires_at") &&
         delete_past(&s, &limit_kind, "expires", "expires_at") &&
         delete_past(&s, &transcript_kind, "expires", "expires_at") &&
         delete_past(&s, &path_kind, "expires", "expires_at") &&
         delete_past(&s, &action_kind, "expires", "expires_at") &&
         delete_past(&s, &stream_day_kind, "expires", "expires_at") &&
         delete_past(&s, &nudge_kind, "expires", "expires_at") &&
         delete_past(&s, &batch_kind, "expires", "expires_at") &&
         delete_past(&s, &view_kind, "expires", "expires_at") && delete_past(&s, &poke_kind, "expires", "expires_at") &&
         delete_past(&s, &suppression_kind, "expires", "expires_at") &&
         delete_past(&s, &suppression_import_kind, "expires", "expires_at") && delete_orphans(&s) &&
         forget_changes(&s) && sweep_bodies(&s) && idempotency_sweep(svc, &kept_answers, e);
    arena_free(&s.arena);
    *n = s.rows + kept_answers + given_up;
    return ok;
}

/* ---- background ---- */

/* Two nodes that sweep at once do no harm (what one deletes fails under the other's condition, and is left), but work
 * that comes to nothing: so one does it for all. A round may outlast the lock. */
static bool sweep_is_ours(struct service *svc, int64_t *token, struct err *e)
{
    if (store_lock(svc->store, BYTES("sweep"), SWEEP_LOCK_MS, token, e))
        return true;
    if (e->code != ERR_IN_USE)
        log_warn("sweep", LOG_TEXT("error", e->message), LOG_TEXT("where", e->where));
    return false;
}

static void sweep_fiber(struct service *svc)
{
    while (service_sleep(svc, PARAM_INT(sweep, every))) {
        struct err e = { 0 };
        int64_t token;
        size_t n = 0;

        if (!sweep_is_ours(svc, &token, &e))
            continue;
        if (!sweep_round(svc, &n, &e))
            log_warn("sweep", LOG_TEXT("error", e.message), LOG_TEXT("where", e.where));
        else if (n)
            log_info("sweep", LOG_INT("rows", n));
        store_unlock(svc->store, BYTES("sweep"), token);
    }
}

bool sweep_start(struct service *svc, struct err *e)
{
    return service_spawn(svc, sweep_fiber, e);
}
