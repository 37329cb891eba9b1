/* service/identity/key.c - API keys, and the rule that none grows.
 *
 * Nobody gives what they lack, in scopes, domains or mode, and nobody changes or deletes a key that may do more than
 * their own. An update demands that the fields by which that was judged are still the same, or two changes that cross
 * could pass it. This process forgets a changed key at once; others within a second. */
#include "service/identity/key.h"
#include "base/network.h"
#include "service/core/member.h"
#include "service/core/scope.h"
#include "service/core/state.h"
#include "service/identity/auth.h"
#include "service/identity/domain.h"
#include "service/identity/key_secret.h"

#define NAME_MOST   255
#define SCOPE_BOUND 100 /* domains, networks */

/* ---- checks ---- */

/* Nobody gives what they do not have; and what only the operator's account knows stays there. */
static bool rule_scopes(struct call *c, const void *given, void *row)
{
    unsigned scopes = (unsigned)((const struct key_row *)given)->scopes;
    bool at_home = id_equal(c->account, c->svc->operator_account);
    unsigned mine = c->who->scopes & (at_home ? SCOPE_ALL : SCOPE_TENANT);

    for (unsigned i = 0; i < SCOPES; i++)
        if ((scopes & ~mine) & (1u << i))
            call_fault(c, "/scopes", "not_yours", "The scope %s is not yours to give", scope_name(i));
    if (!scopes)
        call_fault(c, "/scopes", "required", "A key needs a scope");
    ((struct key_row *)row)->scopes = scopes;
    return true;
}

/* One of the domains a key shall be bound to, as an id; false for an error of the store only. */
static bool write_domain(struct call *c, size_t i, struct bytes text, struct jw *w)
{
    struct domain_row row = { 0 };

    if (!domain_of_account(c, text, &row)) {
        if (c->err.code != ERR_MISSING)
            return false;
        c->err = (struct err){ 0 };
    }
    if (id_is_none(row.id) || !call_reaches(c, row.id))
        call_fault(c, arena_printf(c->arena, "/domain_ids/%zu", i), "not_found", "No such domain in this account");
    else
        jw_id(w, "dom", row.id);
    return true;
}

/* Whoever is bound to domains gives keys that are bound to some of them. */
static bool rule_domains(struct call *c, const void *given, void *row)
{
    struct buf text;
    struct bytes *domains;
    struct jw w;
    size_t n;
    bool ok = true;

    if (!members_texts(c, ((const struct key_row *)given)->domain_ids, &domains, &n))
        return false;
    if (n > SCOPE_BOUND)
        call_fault(c, "/domain_ids", "too_many", "At most %d domains", SCOPE_BOUND);
    if (!n && c->who->n_domain_ids)
        call_fault(c, "/domain_ids", "not_yours", "Your own key is bound to domains: name some of them");
    buf_init(&text, 64 * 1024);
    jw_init(&w, &text);
    jw_array(&w);
    for (size_t i = 0; ok && i < n && i < SCOPE_BOUND; i++)
        ok = write_domain(c, i, domains[i], &w);
    jw_array_end(&w);
    ((struct key_row *)row)->domain_ids = n ? arena_copy(c->arena, buf_bytes(&text)) : NO_BYTES;
    buf_clear(&text);
    return ok;
}

static bool rule_networks(struct call *c, const void *given, void *row)
{
    struct bytes list = ((const struct key_row *)given)->allowed_ips, *networks;
    struct network net;
    size_t n;

    if (!members_texts(c, list, &networks, &n))
        return false;
    if (n > SCOPE_BOUND)
        call_fault(c, "/allowed_ips", "too_many", "At most %d networks", SCOPE_BOUND);
    for (size_t i = 0; i < n && i < SCOPE_BOUND; i++)
        if (!network_parse(networks[i], &net))
            call_fault(c, arena_printf(c->arena, "/allowed_ips/%zu", i), "invalid_address",
                       "Not an address or network (192.0.2.0/24, 2001:db8::/32)");
    ((struct key_row *)row)->allowed_ips = n ? list : NO_BYTES;
    return true;
}

static bool rule_mode(struct call *c, const void *given, void *row)
{
    bool test = bytes_equal(((const struct key_row *)given)->mode, BYTES("test"));

    if (c->who->test && !test)
        call_fault(c, "/mode", "not_yours", "A test key makes test keys only");
    ((struct key_row *)row)->mode = test ? BYTES("test") : BYTES("live");
    return true;
}

static bool rule_expires(struct call *c, const void *given, void *row)
{
    int64_t at = ((const struct key_row *)given)->expires_at;

    if (at && at <= clock_wall())
        call_fault(c, "/expires_at", "in_the_past", "This time has passed");
    ((struct key_row *)row)->expires_at = at;
    return true;
}

/* ---- the members ---- */

static void show_scopes(struct jw *w, const void *row)
{
    scopes_show(w, (unsigned)((const struct key_row *)row)->scopes);
}

static void read_scopes(struct json_object *value, struct arena *a, void *given)
{
    struct key_row *row = given;

    (void)a;
    for (size_t i = 0; i < json_object_array_length(value); i++)
        row->scopes |= scope_of(bytes_of(json_object_get_string(json_object_array_get_idx(value, i))));
}

static const struct member key_list_[] = {
    MEMBER(ID, key_row, id, .prefix = "key", .column = true),
    MEMBER(ID, key_row, account_id, .prefix = "acc"),
    MEMBER(TEXT, key_row, name, .given = MADE | CHANGED, .most = NAME_MOST, .column = true),
    MEMBER(TEXT, key_row, mode, .given = MADE, .rule = rule_mode, .column = true),
    MEMBER(OWN, key_row, scopes, .given = MADE | CHANGED, .rule = rule_scopes, .show = show_scopes, .read = read_scopes,
           .column = true),
    MEMBER(JSON, key_row, domain_ids, .given = MADE | CHANGED, .rule = rule_domains, .otherwise = "[]"),
    MEMBER(JSON, key_row, allowed_ips, .given = MADE | CHANGED, .rule = rule_networks, .otherwise = "[]"),
    MEMBER(TIME, key_row, expires_at, .given = MADE | CHANGED, .rule = rule_expires),
    MEMBER(TIME, key_row, last_used_at, .column = true),
    MEMBER(TEXT, key_row, hint, .column = true),
    MEMBER(TIME, key_row, created_at),
};
MEMBERS(key, .object = "key", .path = "/v1/keys/", .kind = &key_kind);

/* The secret is shown once, and not in an answer that is kept. */
static const struct member key_created_list_[] = { MEMBER(TEXT, key_create_out, secret) };
MEMBERS(key_created, .object = "key", .path = "/v1/keys/", .base = &key_members);

/* ---- the resource ---- */

bool key_list(struct call *c, const struct key_list_in *in, struct key_list_out *out)
{
    struct query q = { .kind = &key_kind, .index = "account", .n_conds = 1 };

    *out = (struct key_list_out){ 0 };
    if (!call_may(c, SCOPE_KEYS))
        return false;
    q.conds[0] = COND("account_id", IS, V_ID(c->account));
    return call_list(c, &q, &in->page, (void **)&out->rows, &out->n, &out->page);
}

static bool key_find(struct call *c, struct bytes text, struct key_row *out)
{
    struct id id;

    if (!call_may(c, SCOPE_KEYS))
        return false;
    if (!id_parse("key", text, &id))
        return err_set(&c->err, ERR_MISSING, "No such key");
    return store_get(c->store, &key_kind, id, c->arena, out, &c->err) &&
           (id_equal(out->account_id, c->account) || err_set(&c->err, ERR_MISSING, "No such key"));
}

bool key_get(struct call *c, const struct key_get_in *in, struct key_row *out)
{
    return key_find(c, in->id, out);
}

bool key_create(struct call *c, const struct key_create_in *in, struct key_create_out *out)
{
    uint64_t always = members_named(&key_members, "mode,scopes,domain_ids");
    bool test = bytes_equal(in->given.mode, BYTES("test"));
    struct batch *b = batch_new(c->arena);
    struct key_secret secret;

    if (!call_may(c, SCOPE_KEYS))
        return false;
    key_secret_make(test, c->arena, &secret);
    *out = (struct key_create_out){ .secret = secret.text };
    key_row_make(&out->row, c->account, NO_BYTES, 0, test, &secret);
    if (!members_apply(c, &key_members, &in->given, in->named | always, &out->row) || !call_check(c))
        return false;
    batch_insert(b, &key_kind, &out->row, NULL, 0);
    return call_commit(c, b, out, out->row.id);
}

/* Are the key's domains among those that the credential is bound to? */
static bool domains_are_mine(struct call *c, const struct key_row *row)
{
    struct json_object *list = NULL;
    struct err ignored = { 0 };
    struct bytes *texts;
    size_t n = 0;
    bool mine = true;

    if (!c->who->n_domain_ids)
        return true;
    if (!row->domain_ids.p || !json_read(row->domain_ids, &list, &ignored))
        return false; /* it reaches every domain */
    texts = json_texts(c->arena, list, &n);
    for (size_t i = 0; i < n && mine; i++) {
        struct id id;

        mine = id_parse("dom", texts[i], &id) && call_reaches(c, id);
    }
    json_object_put(list);
    return mine;
}

/* A key that may do more than its holder's is not theirs to change: no lesser key takes the owner's away. */
static bool within_mine(struct call *c, const struct key_row *row)
{
    bool live = !bytes_equal(row->mode, BYTES("test"));

    if ((unsigned)row->scopes & ~c->who->scopes || (c->who->test && live) || !domains_are_mine(c, row))
        return err_set(&c->err, ERR_SCOPE, "That key may do more than you");
    return true;
}

static bool find_mine(struct call *c, struct bytes id, void *row)
{
    return key_find(c, id, row) && within_mine(c, row);
}

bool key_update(struct call *c, const struct key_update_in *in, struct key_row *out)
{
    static const char *const judged[] = { "scopes", "domain_ids", NULL }; /* by within_mine */
    const struct patch patch = {
        .members = &key_members,
        .given = &in->given,
        .named = in->named,
        .id = in->id,
        .find = find_mine,
        .same = judged,
    };

    if (!members_patch(c, &patch, out))
        return false;
    auth_forget_key(c->svc, out->id);
    return true;
}

bool key_delete(struct call *c, const struct key_delete_in *in, void *out)
{
    struct batch *b = batch_new(c->arena);
    struct key_row row = { 0 };

    (void)out;
    if (!key_find(c, in->id, &row) || !within_mine(c, &row))
        return false;
    batch_delete(b, &key_kind, row.id, NULL, 0);
    if (!call_commit(c, b, NULL, row.id))
        return false;
    auth_forget_key(c->svc, row.id);
    return true;
}
