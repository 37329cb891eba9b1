/* service/identity/domain_keys.c - the next pair of keys, and how keys move on by what the DNS shows.
 *
 * A pair is published ahead; RSA and Ed25519 take over each for itself, when it was seen. Nothing but the DNS moves
 * the signer: a rotation whose records nobody publishes changes nothing, for ever. */
#include "service/identity/domain_keys.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/params.h"
#include "service/core/retry.h"
#include "service/identity/dkim.h"
#include "service/identity/domain_records.h"

#define WAIT_FOR_MS ((int64_t)7 * 24 * 3600 * 1000)

struct following {
    struct call *c;
    struct batch *b;
    const struct dkim_row *rows; /* as they were read */
    struct dkim_row *after;      /* as they will be */
    size_t n;
    int64_t now;
};

/* The one before it has made place already, in this batch. */
static bool is_taken(const struct following *f, const struct dkim_row *next)
{
    for (size_t i = 0; i < f->n; i++)
        if (bytes_equal(f->rows[i].algorithm, next->algorithm) && dkim_is(&f->after[i], DKIM_ACTIVE) &&
            !dkim_is(&f->rows[i], DKIM_ACTIVE))
            return true;
    return false;
}

static void succeed(struct following *f, size_t at)
{
    const struct dkim_row *next = &f->rows[at];

    dkim_seen(f->b, f->c->arena, next, f->now);
    dkim_succeed(f->b, f->c->arena, f->rows, f->n, next, f->now);
    for (size_t i = 0; i < f->n; i++)
        if (bytes_equal(f->rows[i].algorithm, next->algorithm) && dkim_is(&f->rows[i], DKIM_ACTIVE))
            dkim_become(&f->after[i], DKIM_RETIRING, f->now);
    dkim_become(&f->after[at], DKIM_ACTIVE, f->now);
    f->after[at].seen_at = f->now;
    log_info("dkim", LOG_BYTES("selector", next->selector), LOG_TEXT("result", "its record was seen: it signs now"));
}

/* True: the key is no more. */
static bool follow(struct following *f, size_t at, bool seen)
{
    const struct dkim_row *key = &f->rows[at];
    int64_t keep = PARAM_INT(dkim, retire_after);

    if (dkim_is(key, DKIM_REVOKED)) {
        if (!seen || f->now < key->revoked_at + keep)
            return false;
        dkim_remove(f->b, f->c->arena, key);
        return true;
    }
    if (dkim_is(key, DKIM_RETIRING) && f->now >= key->retired_at + keep) {
        dkim_move(f->b, f->c->arena, key, DKIM_REVOKED, f->now);
        dkim_become(&f->after[at], DKIM_REVOKED, f->now);
    } else if (dkim_is(key, DKIM_NEXT) && seen && !is_taken(f, key)) {
        succeed(f, at);
    } else if (dkim_is(key, DKIM_ACTIVE) && seen && dkim_is(&f->after[at], DKIM_ACTIVE)) {
        dkim_seen(f->b, f->c->arena, key, f->now);
        f->after[at].seen_at = f->now;
    }
    return false;
}

static bool is_seen(const struct publish_out *out, size_t key)
{
    for (size_t i = 0; i < out->n; i++)
        if (out->records[i].purpose == PUBLISH_DKIM && out->records[i].dkim == key)
            return out->records[i].status == PUBLISH_OK;
    return false;
}

void domain_keys_follow(struct call *c, struct batch *b, const struct publish_out *out, struct domain_view *v)
{
    struct following f = { .c = c, .b = b, .rows = v->dkim, .n = v->n_dkim, .now = clock_wall() };
    size_t left = 0;

    f.after = arena_array(c->arena, f.n ? f.n : 1, sizeof *f.after);
    for (size_t i = 0; i < f.n; i++)
        f.after[i] = f.rows[i];
    /* Those that follow first: who makes place for one is not seen for itself in the same batch. */
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < f.n; i++)
            if (dkim_is(&f.rows[i], DKIM_NEXT) == (pass == 0) && follow(&f, i, is_seen(out, i)))
                f.after[i].id = NO_ID;
    for (size_t i = 0; i < f.n; i++)
        if (!id_is_none(f.after[i].id))
            f.after[left++] = f.after[i];
    v->dkim = f.after;
    v->n_dkim = left;
}

bool domain_keys_wait(const struct domain_view *v, int64_t now)
{
    for (size_t i = 0; i < v->n_dkim; i++)
        if (dkim_is(&v->dkim[i], DKIM_NEXT) && now < v->dkim[i].created_at + WAIT_FOR_MS)
            return true;
    return false;
}

/* ---- the next pair ---- */

static bool has_next(const struct domain_view *v)
{
    for (size_t i = 0; i < v->n_dkim; i++)
        if (dkim_is(&v->dkim[i], DKIM_NEXT))
            return true;
    return false;
}

/* The view is as it will be before the batch goes: the kept answer shows it. */
static bool add_pair(struct call *c, struct domain_view *v, bool *again)
{
    struct batch *b = batch_new(c->arena);
    struct dkim_row *all = arena_array(c->arena, v->n_dkim + 2, sizeof *all);
    struct set soon;

    for (size_t i = 0; i < v->n_dkim; i++)
        all[i] = v->dkim[i];
    if (!dkim_pair(c, &v->row, DKIM_NEXT, all + v->n_dkim))
        return false;
    soon = SET("check_at", V_TIME(clock_wall() + PARAM_INT(domain, check_soon)));
    dkim_add(b, c->arena, all + v->n_dkim, 2);
    batch_update(b, &domain_kind, v->row.id, NULL, 0, &soon, 1);
    v->dkim = all;
    v->n_dkim += 2;
    if (!domain_records(c, v))
        return false;
    return call_commit(c, b, v, v->row.id) || dkim_refused(c, b, again);
}

/* Nothing to do, and said so under the request's key as well. */
static bool leave(struct call *c, struct domain_view *v)
{
    struct batch *b = batch_new(c->arena);

    batch_require(b, &domain_kind, v->row.id, NULL, 0);
    return domain_records(c, v) && call_commit(c, b, v, v->row.id);
}

static bool rotate_once(struct call *c, void *arg, bool *again)
{
    struct domain_view *v = arg;

    if (!dkim_ensure(c, &v->row, &v->dkim, &v->n_dkim))
        return false;
    return has_next(v) ? leave(c, v) : add_pair(c, v, again);
}

bool domain_dkim_rotate(struct call *c, const struct domain_dkim_rotate_in *in, struct domain_view *out)
{
    *out = (struct domain_view){ 0 };
    if (!domain_reached(c, in->id, &out->row) || !retry_run(c, in->id, rotate_once, out))
        return false;
    dkim_changed(c->svc);
    return true;
}

static bool is_old(const struct domain_view *v)
{
    int64_t every = PARAM_INT(dkim, rotate_every), now = clock_wall();

    for (size_t i = 0; every && i < v->n_dkim; i++)
        if (dkim_is(&v->dkim[i], DKIM_ACTIVE) && !v->dkim[i].imported && now > v->dkim[i].active_at + every)
            return true;
    return false;
}

bool domain_keys_renew(struct call *c, struct domain_view *v)
{
    if (!is_old(v) || has_next(v))
        return true;
    log_info("dkim", LOG_BYTES("domain", v->row.name),
             LOG_TEXT("result", "dkim.rotate_every has passed: the next keys are there to be published"));
    return retry_run(c, v->row.name, rotate_once, v);
}
