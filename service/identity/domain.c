/* service/identity/domain.c - domains.
 *
 * A name is kept in one form (A-labels, lower case) and unique in the whole server, whoever's it is. Counters stand in
 * for locks: domain.addresses and account.domains are raised by the batches that make such rows, and a delete demands
 * 0. */
#include "service/identity/domain.h"
#include "mail/address.h"
#include "service/core/member.h"
#include "service/core/retry.h"
#include "service/core/state.h"
#include "service/identity/directory.h"
#include "service/identity/dkim.h"
#include "service/identity/domain_check.h"
#include "service/identity/domain_records.h"

static bool missing(struct call *c)
{
    return err_set(&c->err, ERR_MISSING, "No such domain");
}

static bool by_name(struct call *c, struct bytes name, struct domain_row *out)
{
    struct bytes plain;
    struct value v;
    struct err ignored = { 0 };

    if (!domain_normalize(name, c->arena, &plain, &ignored))
        return missing(c);
    v = V_TEXT(plain);
    return store_get_by(c->store, &domain_kind, "name", &v, 1, c->arena, out, &c->err);
}

bool domain_of_account(struct call *c, struct bytes text, struct domain_row *out)
{
    struct id id;
    bool found;

    *out = (struct domain_row){ 0 };
    if (id_parse("dom", text, &id))
        found = store_get(c->store, &domain_kind, id, c->arena, out, &c->err);
    else
        found = by_name(c, text, out);
    if (found && id_equal(out->account_id, c->account))
        return true;
    *out = (struct domain_row){ 0 };
    return !found && c->err.code != ERR_MISSING ? false : missing(c);
}

bool domain_reached(struct call *c, struct bytes id, struct domain_row *out)
{
    return call_may(c, SCOPE_DOMAINS) && domain_of_account(c, id, out) && (call_reaches(c, out->id) || missing(c));
}

static bool domain_find(struct call *c, struct bytes id, void *out)
{
    return domain_reached(c, id, out);
}

bool domain_show(struct call *c, struct domain_view *out)
{
    return dkim_ensure(c, &out->row, &out->dkim, &out->n_dkim) && domain_records(c, out);
}

/* Those of older builds that nobody has looked at by itself have no keys yet. */
static bool show_all(struct call *c, const struct domain_row *rows, struct domain_list_out *out)
{
    struct id *ids = arena_array(c->arena, out->n ? out->n : 1, sizeof *ids);
    const struct dkim_row *keys;
    size_t n_keys;

    out->rows = arena_array(c->arena, out->n ? out->n : 1, sizeof *out->rows);
    for (size_t i = 0; i < out->n; i++)
        ids[i] = rows[i].id;
    if (!dkim_list(c, ids, out->n, &keys, &n_keys))
        return false;
    for (size_t i = 0; i < out->n; i++) {
        struct domain_view *v = &out->rows[i];

        v->row = rows[i];
        for (size_t j = 0; j < n_keys; j++)
            if (id_equal(keys[j].domain_id, v->row.id) && v->n_dkim++ == 0)
                v->dkim = &keys[j];
        if (!domain_records(c, v))
            return false;
    }
    return true;
}

bool domain_list(struct call *c, const struct domain_list_in *in, struct domain_list_out *out)
{
    struct query q = { .kind = &domain_kind, .index = "account", .n_conds = 1 };
    void *rows = NULL;

    *out = (struct domain_list_out){ 0 };
    if (!call_may(c, SCOPE_DOMAINS))
        return false;
    q.conds[0] = COND("account_id", IS, V_ID(c->account));
    query_reached(c, &q, "id");
    return call_list(c, &q, &in->page, &rows, &out->n, &out->page) && show_all(c, rows, out);
}

bool domain_get(struct call *c, const struct domain_get_in *in, struct domain_view *out)
{
    *out = (struct domain_view){ 0 };
    return domain_reached(c, in->id, &out->row) && domain_show(c, out);
}

/* ---- the members ---- */

static bool rule_name(struct call *c, const void *given, void *out)
{
    struct domain_row *row = out;
    struct err why = { 0 };

    if (!domain_normalize(((const struct domain_row *)given)->name, c->arena, &row->name, &why))
        call_fault(c, "/name", "invalid_domain", "%s", why.message);
    else if (row->name.p[0] == '[' || bytes_equal(row->name, BYTES("sandbox.test")))
        call_fault(c, "/name", "invalid_domain", "This name cannot be a domain here");
    return true;
}

static bool rule_inbound(struct call *c, const void *given, void *row)
{
    struct bytes inbound = ((const struct domain_row *)given)->inbound;

    if (!bytes_equal(inbound, BYTES("mailboxes")) && !bytes_equal(inbound, BYTES("off")))
        call_fault(c, "/inbound", "invalid_value", "inbound is mailboxes or off");
    ((struct domain_row *)row)->inbound = inbound;
    return true;
}

/* An address of this account that somebody reads; NO_BYTES for none. */
static bool rule_catch_all(struct call *c, const void *given, void *out)
{
    struct domain_row *row = out;
    struct bytes text = ((const struct domain_row *)given)->catch_all;
    struct directory_user user;
    struct address address;
    struct err why = { 0 };

    row->catch_all = NO_BYTES;
    if (!text.p)
        return true;
    if (!address_parse(text, c->arena, &address, &why) ||
        !address_normalize(&address, true, c->arena, &row->catch_all, &why)) {
        call_fault(c, "/catch_all", "invalid_address", "%s", why.message);
        return true;
    }
    if (directory_find(c, &address, &user) && user.how == FOUND_EXACT && id_equal(user.account_id, c->account) &&
        call_reaches(c, user.domain_id))
        return true;
    if (c->err.code && c->err.code != ERR_MISSING)
        return false;
    c->err = (struct err){ 0 };
    call_fault(c, "/catch_all", "not_found", "No such address in this account");
    return true;
}

static void show_status(struct jw *w, const void *row)
{
    const struct domain_row *d = row;

    jw_text(w, d->verified_at && !d->lost_at ? BYTES("verified") : BYTES("unverified"));
}

static void show_verified_by(struct jw *w, const void *row)
{
    const struct domain_row *d = row;

    jw_text(w, !d->verified_at || d->lost_at ? NO_BYTES : d->proof.p ? d->proof : BYTES("operator"));
}

static void show_records(struct jw *w, const void *row)
{
    jw_raw(w, ((const struct domain_view *)row)->records);
}

static void show_dkim(struct jw *w, const void *row)
{
    const struct domain_view *v = row;

    jw_array(w);
    for (size_t i = 0; i < v->n_dkim; i++) {
        const struct dkim_row *key = &v->dkim[i];

        jw_object(w);
        jw_key_text(w, "selector", key->selector);
        jw_key_text(w, "algorithm", key->algorithm);
        jw_key_int(w, "bits", key->bits);
        jw_key_text(w, "status", key->status);
        jw_key_time(w, "seen_at", key->seen_at);
        jw_key_time(w, "created_at", key->created_at);
        jw_object_end(w);
    }
    jw_array_end(w);
}

static const struct member domain_list_[] = {
    MEMBER(ID, domain_row, id, .prefix = "dom", .column = true),
    MEMBER(ID, domain_row, account_id, .prefix = "acc"),
    MEMBER(TEXT, domain_row, name, .given = MADE, .rule = rule_name, .column = true),
    MEMBER(TEXT, domain_row, inbound, .given = MADE | CHANGED, .rule = rule_inbound, .column = true),
    MEMBER(TEXT, domain_row, catch_all, .given = MADE | CHANGED, .rule = rule_catch_all),
    { .name = "status", .type = MEMBER_OWN, .show = show_status, .column = true },
    MEMBER(TIME, domain_view, verified_at),
    { .name = "verified_by", .type = MEMBER_OWN, .show = show_verified_by },
    MEMBER(TIME, domain_view, sends_until),
    MEMBER(TIME, domain_row, checked_at),
    { .name = "dkim", .type = MEMBER_OWN, .show = show_dkim },
    { .name = "records", .type = MEMBER_OWN, .show = show_records },
    MEMBER(TIME, domain_row, created_at),
};
MEMBERS(domain, .object = "domain", .path = "/v1/domains/", .kind = &domain_kind);

/* ---- changes ---- */

/* Asked before keys are made for it, which takes longer than all the rest; the unique name decides. */
static bool is_free(struct call *c, struct bytes name)
{
    struct domain_row row;

    if (by_name(c, name, &row))
        return err_set(&c->err, ERR_CONFLICT, "The domain exists already");
    return call_was_missing(c);
}

static bool insert(struct call *c, struct domain_view *out)
{
    struct batch *b = batch_new(c->arena);
    struct dkim_row *pair = arena_array(c->arena, 2, sizeof *pair);
    const struct set more = ADD("domains", 1);

    if (!dkim_pair(c, &out->row, DKIM_ACTIVE, pair))
        return false;
    out->dkim = pair;
    out->row.dkim_keys = (int64_t)(out->n_dkim = 2);
    out->row.check_at = out->row.created_at + PARAM_INT(domain, check_soon);
    if (!domain_records(c, out))
        return false;
    batch_insert(b, &domain_kind, &out->row, NULL, 0);
    batch_insert(b, &dkim_kind, &pair[0], NULL, 0);
    batch_insert(b, &dkim_kind, &pair[1], NULL, 0);
    batch_update(b, &account_kind, c->account, NULL, 0, &more, 1);
    if (call_commit(c, b, out, out->row.id))
        return true;
    return c->err.code == ERR_CONFLICT ? err_again(c, ERR_CONFLICT, "The domain exists already") : false;
}

bool domain_create(struct call *c, const struct domain_create_in *in, struct domain_view *out)
{
    *out = (struct domain_view){
        .row = { .id = id_new(), .account_id = c->account, .inbound = BYTES("mailboxes"), .created_at = clock_wall() }
    };
    if (!call_may(c, SCOPE_DOMAINS))
        return false;
    if (c->who->n_domain_ids)
        return err_set(&c->err, ERR_SCOPE, "A key that is bound to domains makes no others");
    if (!members_apply(c, &domain_members, &in->given, in->named | members_named(&domain_members, "name"), &out->row) ||
        !call_check(c) || !is_free(c, out->row.name) || !insert(c, out))
        return false;
    directory_changed(c->svc);
    return true;
}

bool domain_update(struct call *c, const struct domain_update_in *in, struct domain_view *out)
{
    const struct patch patch = {
        .members = &domain_members, .given = &in->given, .named = in->named, .id = in->id, .find = domain_find
    };

    *out = (struct domain_view){ 0 };
    if (!members_patch(c, &patch, &out->row))
        return false;
    directory_changed(c->svc);
    return domain_show(c, out);
}

/* The counts are raised by the batches that make an address or a key: of one of those and a deletion at once only one
 * passes. A key that came meanwhile is taken along in the next try. */
static bool delete_once(struct call *c, void *arg, bool *again)
{
    const struct domain_delete_in *in = arg;
    struct batch *b = batch_new(c->arena);
    const struct set less = ADD("domains", -1);
    struct domain_row row;
    const struct dkim_row *keys;
    struct batch_failure f;
    size_t n;

    if (!domain_reached(c, in->id, &row) || !dkim_list(c, &row.id, 1, &keys, &n))
        return false;
    const struct cond unused[] = { COND("addresses", IS, V_INT(0)), COND("dkim_keys", IS, V_INT((int64_t)n)) };

    batch_delete(b, &domain_kind, row.id, unused, 2);
    batch_update(b, &account_kind, row.account_id, NULL, 0, &less, 1);
    for (size_t i = 0; i < n; i++)
        batch_delete(b, &dkim_kind, keys[i].id, NULL, 0);
    if (call_commit(c, b, NULL, row.id))
        return true;
    f = batch_failure(b);
    if (c->err.code != ERR_CONFLICT)
        return false;
    *again = f.operation > 1 || (f.operation == 0 && f.fault == FAULT_CONDITION && strcmp(f.name, "dkim_keys") == 0);
    return *again ? false
                  : err_again(c, f.fault == FAULT_MISSING ? ERR_MISSING : ERR_IN_USE, "The domain has addresses");
}

bool domain_delete(struct call *c, const struct domain_delete_in *in, void *out)
{
    struct domain_delete_in arg = *in;

    (void)out;
    if (!retry_run(c, in->id, delete_once, &arg))
        return false;
    directory_changed(c->svc);
    dkim_changed(c->svc);
    return true;
}

/* An operator's word, which no answer of the DNS takes back. */
static bool force(struct call *c, struct domain_view *v)
{
    struct batch *b = batch_new(c->arena);
    struct set sets[3];
    bool fresh;

    if (!call_is_operator(c))
        return err_set(&c->err, ERR_SCOPE, "Only an operator may force it");
    fresh = !v->row.verified_at || v->row.lost_at;
    if (fresh)
        v->row.verified_at = clock_wall();
    v->row.lost_at = 0;
    v->row.proof = NO_BYTES;
    if (!domain_records(c, v))
        return false;
    if (fresh)
        domain_event(c, b, v, "domain.verified");
    sets[0] = SET("verified_at", V_TIME(v->row.verified_at));
    sets[1] = SET("lost_at", V_TIME(0));
    sets[2] = SET("proof", V_TEXT(NO_BYTES));
    batch_update(b, &domain_kind, v->row.id, NULL, 0, sets, 3);
    return call_commit(c, b, v, v->row.id);
}

bool domain_verify(struct call *c, const struct domain_verify_in *in, struct domain_view *out)
{
    *out = (struct domain_view){ 0 };
    if (!domain_reached(c, in->id, &out->row) || !domain_show(c, out) ||
        !(in->force ? force(c, out) : domain_check(c, out)))
        return false;
    directory_changed(c->svc);
    return true;
}
