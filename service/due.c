#include "service/due.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/params.h"
#include "net/wait.h"
#include "service/filing.h"
#include "service/intake_private.h"
#include "service/mail_private.h"
#include "service/message_private.h"
#include "service/outcome.h"
#include "service/play.h"
#include "service/service_private.h"

#define ROUND_ARENA ((size_t)16 * 1024 * 1024) /* the claimed rows */
#define SLICE_ARENA ((size_t)64 * 1024 * 1024) /* a message, its mailboxes and what is written; anew for each slice */
/* Without a poke, how long until due work is looked for again. */
#define PAUSE_MS 1000
/* How long a sweep keeps the other nodes from sweeping. */
#define SWEEP_LOCK_MS 60000

/* Deliveries of one message that are ended by one batch. */
struct slice {
    struct service *svc;
    struct arena *arena;
    struct call call; /* for the directory */
    struct message_row message;
    struct crypt_key content;
    struct delivery_row *rows;
    enum outcome *outcomes;
    struct directory_user *users; /* of those that are filed; id none otherwise */
    struct filed *filed;
    bool *shares; /* its entry is there already */
    size_t n;
    int first_delivery;
};

static bool is_local(const struct delivery_row *d)
{
    return bytes_equal(d->kind, BYTES("local"));
}

/* What the attempt that is due now comes to. */
static bool decide(struct slice *s, size_t i)
{
    struct delivery_row *d = &s->rows[i];

    if (!is_local(d)) {
        s->outcomes[i] = play_next(d->email);
        return true;
    }
    if (d->expires_at <= clock_wall()) {
        s->outcomes[i] = OUTCOME_EXPIRED;
        return true;
    }
    if (directory_user(&s->call, d->user_id, &s->users[i])) {
        s->outcomes[i] = s->users[i].disabled ? OUTCOME_MISSING : OUTCOME_DELIVERED;
        return true;
    }
    if (s->call.err.code != ERR_MISSING)
        return false;
    s->call.err = (struct err){ 0 };
    s->outcomes[i] = OUTCOME_MISSING;
    return true;
}

/* Which message row an entry belongs to: that of its account. */
static struct id message_of(const struct slice *s, struct id account)
{
    return id_equal(account, s->message.account_id) ? s->message.id : message_id_for(s->message.body_id, account);
}

static bool is_foreign(const struct slice *s, size_t i)
{
    return !id_is_none(s->users[i].id) && !id_equal(s->users[i].account_id, s->message.account_id);
}

static bool file(struct slice *s, struct batch *b, size_t i, struct err *e)
{
    const struct directory_user *user = &s->users[i];
    const struct message_row *m = &s->message;
    struct filing f = { .user = user,
                        .mailbox_id = user->inbox_id,
                        .entry_id = s->rows[i].entry_id,
                        .message_id = message_of(s, user->account_id),
                        .body_id = m->body_id,
                        .content = &s->content,
                        .trace = filing_trace(m->envelope_from, m->trace, s->arena),
                        .summary = m->summary,
                        .body_size = m->size - (int64_t)m->trace.n,
                        .sent_at = m->sent_at,
                        .received_at = m->created_at,
                        .header_8bit = m->header_8bit };

    return filing_add(s->svc, b, s->arena, &f, &s->filed[i], e);
}

static void end_delivery(struct slice *s, struct batch *b, size_t i, int64_t now)
{
    struct delivery_row *after = arena_alloc(s->arena, sizeof *after);
    struct cond *ours = arena_array(s->arena, 2, sizeof *ours);
    struct set *sets = arena_array(s->arena, 10, sizeof *sets);

    *after = s->rows[i];
    outcome_apply(after, s->outcomes[i], now, s->arena);
    if (s->outcomes[i] != OUTCOME_DELIVERED || is_foreign(s, i))
        after->entry_id = NO_ID;
    ours[0] = COND("token", IS, V_INT(s->rows[i].token));
    ours[1] = COND("status", IS, V_TEXT(s->rows[i].status)); /* not cancelled meanwhile */
    sets[0] = SET("status", V_TEXT(after->status));
    sets[1] = SET("attempts", V_INT(after->attempts));
    sets[2] = SET("last", V_JSON(after->last));
    sets[3] = SET("due_at", V_TIME(after->due_at));
    sets[4] = SET("lease_until", V_TIME(0));
    sets[5] = SET("final_at", V_TIME(after->final_at));
    sets[6] = SET("keep_until", V_TIME(after->keep_until));
    sets[7] = SET("wrapped_key", V_BYTES(NO_BYTES));
    sets[8] = SET("wrap", V_TEXT(NO_BYTES));
    sets[9] = SET("entry_id", V_ID(after->entry_id));
    batch_update(b, &delivery_kind, after->id, ours, 2, sets, 10);
    event_record(b, s->arena, &s->message, after,
                 bytes_equal(s->message.direction, BYTES("inbound")) && s->outcomes[i] == OUTCOME_DELIVERED
                     ? "email.received"
                     : outcome_row(s->outcomes[i])->event,
                 now);
}

/* The other account's message and timeline follow. */
static void tell_foreign(struct slice *s, struct batch *b, size_t i, int64_t now)
{
    struct message_row *theirs;
    struct delivery_row *visitor;
    struct set *sets;

    if (!is_foreign(s, i))
        return;
    theirs = arena_alloc(s->arena, sizeof *theirs);
    theirs->account_id = s->users[i].account_id;
    theirs->id = message_of(s, theirs->account_id);
    sets = arena_array(s->arena, 2, sizeof *sets);
    sets[0] = ADD("n_open", -1);
    sets[1] = ADD(outcome_row(s->outcomes[i])->counter, 1);
    batch_update(b, &message_kind, theirs->id, NULL, 0, sets, 2);
    if (s->outcomes[i] != OUTCOME_DELIVERED)
        return;
    visitor = arena_alloc(s->arena, sizeof *visitor);
    visitor->email = s->rows[i].email;
    event_record(b, s->arena, theirs, visitor, "email.received", now);
}

static void count(struct slice *s, struct batch *b)
{
    struct message_row sum = { 0 };
    struct set *sets = arena_array(s->arena, 3, sizeof *sets);

    for (size_t i = 0; i < s->n; i++)
        outcome_count(&sum, s->outcomes[i], 1);
    sets[0] = ADD("n_open", -(int64_t)s->n);
    sets[1] = ADD("n_delivered", sum.n_delivered);
    sets[2] = ADD("n_failed", sum.n_failed);
    batch_update(b, &message_kind, s->message.id, NULL, 0, sets, 3);
}

/* Is nothing left to do for the message? Where two slices end at once, the sweep sees it. */
static bool ends_it(const struct slice *s)
{
    for (size_t i = 0; i < s->n; i++)
        if (!outcome_is_final(s->outcomes[i]))
            return false;
    return s->message.n_open == (int64_t)s->n && !s->message.n_held;
}

static bool build(struct slice *s, struct batch *b, struct err *e)
{
    int64_t now = clock_wall();
    bool left_out = false;

    for (size_t i = 0; i < s->n; i++) {
        s->filed[i] = (struct filed){ .first = -1 };
        if (s->outcomes[i] == OUTCOME_DELIVERED && is_local(&s->rows[i]) && !id_is_none(s->rows[i].entry_id) &&
            !s->shares[i] && !file(s, b, i, e))
            return false;
        left_out = left_out || s->outcomes[i] != OUTCOME_DELIVERED || !is_local(&s->rows[i]);
    }
    s->first_delivery = (int)batch_count(b);
    for (size_t i = 0; i < s->n; i++) {
        end_delivery(s, b, i, now);
        tell_foreign(s, b, i, now);
    }
    count(s, b);
    if (s->message.no_store && s->message.wrapped_key.p && ends_it(s))
        message_erase(b, s->arena, &s->message);
    else if (left_out)
        body_mark(b, s->message.body_id, s->arena);
    return true;
}

/* Learns from a refused batch. False when it was not the mailbox's fault: another holder has the work, or the store. */
static bool mend(struct slice *s, struct batch_failure f)
{
    for (size_t i = 0; i < s->n; i++) {
        int first = s->filed[i].first;
        if (first < 0 || f.operation < first || f.operation >= first + FILING_OPS)
            continue;
        if (f.fault == FAULT_UNIQUE)
            s->shares[i] = true; /* the entry is there: an earlier recipient has the same mailbox */
        else
            s->outcomes[i] = f.fault == FAULT_BOUND ? OUTCOME_FULL : OUTCOME_MISSING;
        return true;
    }
    return false;
}

static void spread(struct slice *s)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct delivery_row *d = &s->rows[i];
        if (s->filed[i].first >= 0)
            directory_add_used(s->svc, s->users[i].id, s->filed[i].row->size);
        log_info("delivery", LOG_BYTES("id", id_text(s->arena, delivery_kind.prefix, d->id)),
                 LOG_BYTES("message", id_text(s->arena, message_kind.prefix, d->message_id)),
                 LOG_BYTES("rcpt", d->email), LOG_TEXT("result", outcome_row(s->outcomes[i])->status));
    }
}

static bool commit(struct slice *s, struct err *e)
{
    for (size_t tries = 2 * s->n + 1; tries > 0; tries--) {
        struct batch *b = batch_new(s->arena);
        *e = (struct err){ 0 };
        if (!build(s, b, e))
            return false;
        if (store_commit(s->svc->store, b, clock_monotonic() + PARAM_INT(delivery, lease) / 2, e)) {
            spread(s);
            return true;
        }
        if (e->code != ERR_CONFLICT || !mend(s, batch_failure(b)))
            break;
    }
    /* Another holder, or a cancel, was faster: that work is no longer ours. */
    return e->code == ERR_CONFLICT;
}

static bool do_slice(struct slice *s, struct err *e)
{
    s->outcomes = arena_array(s->arena, s->n, sizeof *s->outcomes);
    s->users = arena_array(s->arena, s->n, sizeof *s->users);
    s->filed = arena_array(s->arena, s->n, sizeof *s->filed);
    s->shares = arena_array(s->arena, s->n, sizeof *s->shares);
    if (!store_get(s->svc->store, &message_kind, s->rows[0].message_id, s->arena, &s->message, e) ||
        !seal_open_server(s->svc, s->rows[0].id, s->rows[0].wrapped_key, s->rows[0].wrap, &s->content, e))
        return false;
    for (size_t i = 0; i < s->n; i++)
        if (!decide(s, i)) {
            *e = s->call.err;
            return false;
        }
    return commit(s, e);
}

static int by_message(const void *a, const void *b)
{
    const struct delivery_row *x = a, *y = b;
    int order = id_compare(x->message_id, y->message_id);

    return order ? order : id_compare(x->id, y->id);
}

/* A slice that fails keeps its lease, and falls due again when that ends; the others go on. */
static bool do_claimed(struct service *svc, struct delivery_row *rows, size_t n, struct err *e)
{
    size_t most = (size_t)PARAM_INT(accept, local_max);
    struct arena *a = arena_new(SLICE_ARENA);
    bool ok = true;

    qsort(rows, n, sizeof *rows, by_message);
    for (size_t i = 0, length; i < n; i += length) {
        struct slice s = { .svc = svc, .arena = a, .rows = rows + i };
        struct err why = { 0 };

        arena_reset(a);
        for (length = 1; length < most && i + length < n; length++)
            if (!id_equal(rows[i].message_id, rows[i + length].message_id))
                break;
        s.n = length;
        call_init(&s.call, svc, a, "due");
        if (!do_slice(&s, &why)) {
            log_error("due", LOG_BYTES("message", id_text(a, message_kind.prefix, rows[i].message_id)),
                      LOG_INT("deliveries", length), LOG_TEXT("error", why.message), LOG_TEXT("where", why.where));
            *e = why;
            ok = false;
        }
        crypt_wipe(&s.content, sizeof s.content);
    }
    arena_free(&a);
    return ok;
}

bool due_round(struct service *svc, size_t *n, struct err *e)
{
    struct claim claim = { .query = { .kind = &delivery_kind, .index = "due" },
                           .due = "due_at",
                           .lease = "lease_until",
                           .token = "token",
                           .holder = "holder",
                           .lease_ms = PARAM_INT(delivery, lease) };
    struct arena *a = arena_new(ROUND_ARENA);
    void *rows = NULL;
    bool ok;

    claim.query.limit = (size_t)PARAM_INT(delivery, claim);
    claim.query.conds[0] = COND("due_at", IS_NOT, V_TIME(0));
    claim.query.n_conds = 1;
    *n = 0;
    ok = store_claim(svc->store, &claim, a, &rows, n, e) && (*n == 0 || do_claimed(svc, rows, *n, e));
    arena_free(&a);
    return ok;
}

/* ---- background ---- */

void due_poke(struct service *svc)
{
    if (svc->mail)
        signal_raise(svc->mail->poked);
}

static void due_fiber(struct service *svc)
{
    while (!svc->stopping) {
        uint64_t seen = signal_count(svc->mail->poked);
        struct err e = { 0 };
        size_t n = 0;

        if (!due_round(svc, &n, &e))
            service_sleep(svc, PAUSE_MS);
        else if (n == 0)
            signal_wait(svc->mail->poked, seen, clock_monotonic() + PAUSE_MS);
    }
}

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

bool mail_start(struct service *svc, struct err *e)
{
    svc->mail = calloc(1, sizeof *svc->mail);
    if (!svc->mail)
        die("out of memory");
    svc->mail->poked = signal_new();
    return service_spawn(svc, due_fiber, e) && service_spawn(svc, sweep_fiber, e);
}

void mail_stop(struct service *svc)
{
    if (!svc->mail)
        return;
    signal_free(&svc->mail->poked);
    free(svc->mail);
    svc->mail = NULL;
}
