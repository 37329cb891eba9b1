/* service/identity/domain_dkim.c - keys that were made elsewhere come into a domain.
 *
 * Who moves in brings the key whose record is published already, and has just been given a pair that nobody has seen:
 * the one that is brought then comes in the place of the made one, and signs with no look at the DNS. Beside a key that
 * was seen it waits for its turn like the next one of a rotation. */
#include "base/clock.h"
#include "base/params.h"
#include "mail/chars.h"
#include "net/fiber.h"
#include "service/core/retry.h"
#include "service/core/state.h"
#include "service/identity/dkim.h"
#include "service/identity/domain.h"
#include "service/identity/domain_records.h"

/* Labels of letters, digits and hyphens (RFC 6376 3.1, RFC 1035 2.3.1), so that the record's name can be looked up. */
static bool is_label(struct bytes label)
{
    if (label.n == 0 || label.n > 63 || label.p[0] == '-' || label.p[label.n - 1] == '-')
        return false;
    for (size_t i = 0; i < label.n; i++)
        if (!char_is_alnum(label.p[i]) && label.p[i] != '-')
            return false;
    return true;
}

static void check_selector(struct call *c, struct bytes domain, struct dkim_row *row)
{
    struct bytes rest = row->selector, label;
    bool ok = rest.n && rest.p[rest.n - 1] != '.';

    while (ok && rest.n) {
        bytes_cut(rest, '.', &label, &rest);
        ok = is_label(label);
    }
    if (!ok)
        call_fault(c, "/selector", "invalid_selector", "A selector is a name in the DNS: letters, digits and hyphens");
    else if (dkim_record_name(c->arena, row, domain).n > 253)
        call_fault(c, "/selector", "too_long", "With the domain behind it no name in the DNS may have over 253 bytes");
    row->selector = arena_lower(c->arena, row->selector);
}

/* Reading and sealing, on a worker: a key of 4,096 bits takes a while to check. */
struct import_job {
    struct call *c;
    struct bytes text;
    struct dkim_row *row;
    struct err err;
    bool ok;
};

static void import_work(void *arg)
{
    struct import_job *job = arg;
    struct dkim_key *key = NULL;

    job->ok = dkim_key_read(job->text, &key, &job->err);
    if (job->ok)
        dkim_fill(job->c->svc, job->c->arena, key, job->row);
    dkim_key_free(&key);
}

static bool read_key(struct call *c, struct bytes text, struct dkim_row *row)
{
    struct import_job job = { .c = c, .text = text, .row = row };

    if (!offload(POOL_CPU, import_work, &job, &c->err))
        return false;
    if (!job.ok && job.err.code != ERR_INVALID) {
        c->err = job.err;
        return false;
    }
    if (!job.ok)
        call_fault(c, "/private_key", "invalid_key", "%s", job.err.message);
    return call_check(c);
}

static const struct dkim_row *signer_of(const struct dkim_row *rows, size_t n, struct bytes algorithm)
{
    for (size_t i = 0; i < n; i++)
        if (dkim_is(&rows[i], DKIM_ACTIVE) && bytes_equal(rows[i].algorithm, algorithm))
            return &rows[i];
    return NULL;
}

struct importing {
    const struct domain_dkim_import_in *in;
    struct dkim_row row;
    struct domain_view *out;
};

/* What the domain has once the batch is through. */
static void show(struct call *c, struct importing *w, const struct dkim_row *rows, size_t n,
                 const struct dkim_row *without)
{
    struct dkim_row *all = arena_array(c->arena, n + 1, sizeof *all);

    w->out->dkim = all;
    w->out->n_dkim = 0;
    for (size_t i = 0; i < n; i++)
        if (&rows[i] != without)
            all[w->out->n_dkim++] = rows[i];
    all[w->out->n_dkim++] = w->row;
}

static bool commit(struct call *c, struct importing *w, const struct dkim_row *rows, size_t n, bool *again)
{
    struct batch *b = batch_new(c->arena);
    const struct dkim_row *signer = signer_of(rows, n, w->row.algorithm);
    bool instead = signer && !signer->seen_at;

    dkim_become(&w->row, !signer || instead ? DKIM_ACTIVE : DKIM_NEXT, w->row.created_at);
    if (instead)
        dkim_remove(b, c->arena, signer);
    dkim_add(b, c->arena, &w->row, 1);
    show(c, w, rows, n, instead ? signer : NULL);
    if (!domain_records(c, w->out))
        return false;
    if (call_commit(c, b, w->out, w->row.domain_id))
        return true;
    if (c->err.code == ERR_CONFLICT && batch_failure(b).fault == FAULT_UNIQUE)
        return err_again(c, ERR_CONFLICT, "The domain has a key with this selector already");
    return dkim_refused(c, b, again);
}

static bool import_once(struct call *c, void *arg, bool *again)
{
    struct importing *w = arg;
    const struct dkim_row *rows;
    size_t n;

    return domain_reached(c, w->in->id, &w->out->row) && dkim_ensure(c, &w->out->row, &rows, &n) &&
           commit(c, w, rows, n, again);
}

bool domain_dkim_import(struct call *c, const struct domain_dkim_import_in *in, struct domain_view *out)
{
    struct importing w = { .in = in, .out = out };

    *out = (struct domain_view){ 0 };
    if (!domain_reached(c, in->id, &out->row))
        return false;
    w.row = (struct dkim_row){ .id = id_new(),
                               .account_id = out->row.account_id,
                               .domain_id = out->row.id,
                               .selector = in->selector,
                               .imported = true,
                               .created_at = clock_wall() };
    check_selector(c, out->row.name, &w.row);
    if (!read_key(c, in->private_key, &w.row) || !retry_run(c, in->id, import_once, &w))
        return false;
    dkim_changed(c->svc);
    return true;
}
