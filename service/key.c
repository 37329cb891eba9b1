#include "service/key.h"
#include "base/network.h"
#include "service/domain.h"
#include "service/service_private.h"

#define SECRET_CHARS 40
#define HINT_CHARS   12
#define NAME_MOST    255
#define SCOPE_BOUND  100 /* domains, networks */

static const char *const names[SCOPES] = {
#define X(name, text) text,
    SCOPE_LIST(X)
#undef X
};

const char *scope_name(enum scope_number n)
{
    return names[n];
}

unsigned scope_of(struct bytes name)
{
    for (unsigned i = 0; i < SCOPES; i++)
        if (bytes_equal(name, bytes_of(names[i])))
            return 1u << i;
    return 0;
}

/* ---- secrets ---- */

/* 40 characters of 32: 200 bits. A hash without salt or passes serves for what nobody can guess. */
void key_secret_make(bool test, struct arena *a, struct key_secret *out)
{
    static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";
    uint8_t random[SECRET_CHARS];
    char text[8 + SECRET_CHARS + 1];

    crypt_random(random, sizeof random);
    memcpy(text, test ? "pr_test_" : "pr_live_", 8);
    for (size_t i = 0; i < SECRET_CHARS; i++)
        text[8 + i] = digits[random[i] % 32];
    out->text = arena_copy(a, (struct bytes){ text, 8 + SECRET_CHARS });
    out->hash = key_secret_hash(out->text, a);
    out->hint = arena_copy(a, bytes_head(out->text, HINT_CHARS));
    crypt_wipe(random, sizeof random);
    crypt_wipe(text, sizeof text);
}

struct bytes key_secret_hash(struct bytes text, struct arena *a)
{
    uint8_t *hash = arena_alloc(a, CRYPT_HASH);

    crypt_hash(text, hash);
    return (struct bytes){ (char *)hash, CRYPT_HASH };
}

void key_row_make(struct key_row *row, struct id account_id, struct bytes name, unsigned scopes, bool test,
                  const struct key_secret *secret)
{
    *row = (struct key_row){
        .id = id_new(),
        .account_id = account_id,
        .name = name,
        .mode = test ? BYTES("test") : BYTES("live"),
        .scopes = scopes,
        .hash = secret->hash,
        .hint = secret->hint,
        .created_at = clock_wall(),
    };
}

/* ---- checks ---- */

/* Nobody gives what they do not have; and what only the operator's account knows stays there. */
static void check_scopes(struct call *c, unsigned scopes)
{
    bool at_home = id_equal(c->account, c->svc->operator_account);
    unsigned mine = c->who->scopes & (at_home ? SCOPE_ALL : SCOPE_TENANT);

    for (unsigned i = 0; i < SCOPES; i++)
        if ((scopes & ~mine) & (1u << i))
            call_fault(c, "/scopes", "not_yours", "The scope %s is not yours to give", names[i]);
    if (!scopes)
        call_fault(c, "/scopes", "required", "A key needs a scope");
}

/* Whoever is bound to domains gives keys that are bound to some of them. */
static bool write_domains(struct call *c, const struct key_change *in, struct bytes *out)
{
    struct buf text;
    struct jw w;

    buf_init(&text, 64 * 1024);
    jw_init(&w, &text);
    jw_array(&w);
    for (size_t i = 0; i < in->n_domain_ids && i < SCOPE_BOUND; i++) {
        struct domain_row row = { 0 };

        if (!domain_of_account(c, in->domain_ids[i], &row)) {
            if (c->err.code != ERR_MISSING) {
                buf_clear(&text);
                return false;
            }
            c->err = (struct err){ 0 };
        }
        if (id_is_none(row.id) || !call_reaches(c, row.id))
            call_fault(c, arena_printf(c->arena, "/domain_ids/%zu", i), "not_found", "No such domain in this account");
        else
            jw_id(&w, "dom", row.id);
    }
    jw_array_end(&w);
    *out = in->n_domain_ids ? arena_copy(c->arena, buf_bytes(&text)) : NO_BYTES;
    buf_clear(&text);
    if (!in->n_domain_ids && c->who->n_domain_ids)
        call_fault(c, "/domain_ids", "not_yours", "Your own key is bound to domains: name some of them");
    return true;
}

static struct bytes write_networks(struct call *c, const struct key_change *in)
{
    struct buf text;
    struct jw w;
    struct bytes out = NO_BYTES;

    buf_init(&text, 64 * 1024);
    jw_init(&w, &text);
    jw_array(&w);
    for (size_t i = 0; i < in->n_allowed_ips && i < SCOPE_BOUND; i++) {
        struct network net;

        if (!network_parse(in->allowed_ips[i], &net))
            call_fault(c, arena_printf(c->arena, "/allowed_ips/%zu", i), "invalid_address",
                       "Not an address or network (192.0.2.0/24, 2001:db8::/32)");
        else
            jw_text(&w, in->allowed_ips[i]);
    }
    jw_array_end(&w);
    if (in->n_allowed_ips)
        out = arena_copy(c->arena, buf_bytes(&text));
    buf_clear(&text);
    return out;
}

/* Checks what is set and writes it into the row. */
static bool change_row(struct call *c, const struct key_change *in, struct key_row *row)
{
    if ((in->set & KEY_SET_NAME) && (in->name.n > NAME_MOST || bytes_has_ctl_line(in->name)))
        call_fault(c, "/name", "too_long", "A name has at most %d bytes, in one line", NAME_MOST);
    if (in->n_domain_ids > SCOPE_BOUND)
        call_fault(c, "/domain_ids", "too_many", "At most %d domains", SCOPE_BOUND);
    if (in->n_allowed_ips > SCOPE_BOUND)
        call_fault(c, "/allowed_ips", "too_many", "At most %d networks", SCOPE_BOUND);
    if ((in->set & KEY_SET_EXPIRES) && in->expires_at && in->expires_at <= clock_wall())
        call_fault(c, "/expires_at", "in_the_past", "This time has passed");
    if (in->set & KEY_SET_NAME)
        row->name = in->name;
    if (in->set & KEY_SET_SCOPES) {
        check_scopes(c, in->scopes);
        row->scopes = in->scopes;
    }
    if ((in->set & KEY_SET_DOMAINS) && !write_domains(c, in, &row->domain_ids))
        return false;
    if (in->set & KEY_SET_IPS)
        row->allowed_ips = write_networks(c, in);
    if (in->set & KEY_SET_EXPIRES)
        row->expires_at = in->expires_at;
    return call_check(c);
}

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

static bool find(struct call *c, struct bytes text, struct key_row *out)
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
    return find(c, in->id, out);
}

bool key_create(struct call *c, const struct key_create_in *in, struct key_create_out *out)
{
    struct batch *b = batch_new(c->arena);
    struct key_change change = in->change;
    struct key_secret secret;

    if (!call_may(c, SCOPE_KEYS))
        return false;
    change.set |= KEY_SET_SCOPES | KEY_SET_DOMAINS;
    if (c->who->test && !in->test)
        call_fault(c, "/mode", "not_yours", "A test key makes test keys only");
    key_secret_make(in->test, c->arena, &secret);
    *out = (struct key_create_out){ .secret = secret.text };
    key_row_make(&out->row, c->account, change.name, change.scopes, in->test, &secret);
    if (!change_row(c, &change, &out->row))
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

bool key_update(struct call *c, const struct key_update_in *in, struct key_row *out)
{
    struct batch *b = batch_new(c->arena);

    if (!find(c, in->id, out) || !within_mine(c, out) || !change_row(c, &in->change, out))
        return false;
    const struct set sets[] = {
        SET("name", V_TEXT(out->name)),
        SET("scopes", V_INT(out->scopes)),
        SET("domain_ids", V_JSON(out->domain_ids)),
        SET("allowed_ips", V_JSON(out->allowed_ips)),
        SET("expires_at", V_TIME(out->expires_at)),
    };

    batch_update(b, &key_kind, out->id, NULL, 0, sets, sizeof sets / sizeof *sets);
    if (!call_commit(c, b, out, out->id))
        return false;
    auth_forget_key(c->svc, out->id);
    return true;
}

bool key_delete(struct call *c, const struct key_delete_in *in, void *out)
{
    struct batch *b = batch_new(c->arena);
    struct key_row row = { 0 };

    (void)out;
    if (!find(c, in->id, &row) || !within_mine(c, &row))
        return false;
    batch_delete(b, &key_kind, row.id, NULL, 0);
    if (!call_commit(c, b, NULL, row.id))
        return false;
    auth_forget_key(c->svc, row.id);
    return true;
}
