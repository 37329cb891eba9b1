/* service/identity/user_check.c - the rules of a user's fields.
 *
 * All faults are found before anything dear is done: the hash of a password is made last, in user_finish, when the rest
 * is known to be right. A key that is bound to domains sets a password only where all of the user's addresses and
 * senders are within its reach, or it would open mail of domains that it does not have. */
#include "service/identity/user_check.h"
#include "mail/address.h"
#include "service/core/state.h"
#include "service/identity/auth.h"
#include <json-c/linkhash.h>

#define NAME_MOST     255
#define PASSWORD_MOST 1024
#define SEND_AS_MOST  100
#define METADATA_MOST (16 * 1024)

bool user_address_check(struct call *c, struct bytes text, struct bytes *plain, struct domain_row *domain)
{
    struct address address;
    struct err why = { 0 };

    *plain = NO_BYTES;
    *domain = (struct domain_row){ 0 };
    if (!text.n) {
        call_fault(c, "/address", "required", "An address is needed");
        return true;
    }
    if (!address_parse(text, c->arena, &address, &why) || !address_normalize(&address, true, c->arena, plain, &why)) {
        call_fault(c, "/address", "invalid_address", "%s", why.message);
        return true;
    }
    if (domain_of_account(c, address.domain, domain) && call_reaches(c, domain->id))
        return true;
    if (!call_was_missing(c))
        return false;
    call_fault(c, "/address", "unknown_domain", "The domain %.*s is not in this account", SHOW(address.domain));
    return true;
}

static size_t characters(struct bytes text)
{
    size_t n = 0;

    for (size_t i = 0; i < text.n; i++)
        n += ((uint8_t)text.p[i] & 0xc0) != 0x80;
    return n;
}

static bool rule_password(struct call *c, const void *given, void *row)
{
    struct bytes password = ((const struct user_change *)given)->password;

    (void)row;
    if (!password.p)
        return true; /* none: cannot log in */
    if ((int64_t)characters(password) < PARAM_INT(users, password_min))
        call_fault(c, "/password", "too_short", "A password has at least %lld characters",
                   (long long)PARAM_INT(users, password_min));
    if (password.n > PASSWORD_MOST)
        call_fault(c, "/password", "too_long", "A password has at most %d bytes", PASSWORD_MOST);
    if (bytes_find(password, '\0') != password.n)
        call_fault(c, "/password", "invalid_characters", "A password holds no NUL"); /* SASL PLAIN could not carry it */
    return true;
}

bool user_finish(struct call *c, const void *given, uint64_t named, void *row)
{
    struct bytes password = ((const struct user_change *)given)->password;
    struct user_row *user = row;

    if (!(named & members_named(&user_members, "password")))
        return true;
    if (!user_within_reach(c, user))
        return false;
    user->password_hash = NO_BYTES;
    return !password.p || password_hash(c, password, &user->password_hash);
}

/* ---- send_as ---- */

/* "a@b" or "@b", of domains of this account, in the form that is kept. */
static bool one_send_as(struct call *c, size_t i, struct bytes text, struct bytes *plain)
{
    const char *pointer = arena_printf(c->arena, "/send_as/%zu", i);
    struct domain_row row;
    struct address address = { .domain = NO_BYTES };
    struct err why = { 0 };
    bool whole = text.n && text.p[0] == '@';

    if (whole)
        address.domain = bytes_from(text, 1);
    else if (!address_parse(text, c->arena, &address, &why) ||
             !address_normalize(&address, true, c->arena, plain, &why))
        return call_fault(c, pointer, "invalid_address", "%s", why.message), true;
    if (!domain_of_account(c, address.domain, &row) && !call_was_missing(c))
        return false;
    if (id_is_none(row.id) || !call_reaches(c, row.id))
        return call_fault(c, pointer, "unknown_domain", "This domain is not in this account"), true;
    if (whole)
        *plain = arena_bytesf(c->arena, "@%.*s", SHOW(row.name));
    return true;
}

static bool write_send_as(struct call *c, const struct bytes *texts, size_t n, struct bytes *out)
{
    struct bytes *plain = arena_array(c->arena, n ? n : 1, sizeof *plain);
    size_t good = 0;

    for (size_t i = 0; i < n; i++) {
        if (!one_send_as(c, i, texts[i], &plain[good]))
            return false;
        good += plain[good].p != NULL;
    }
    *out = members_texts_json(c->arena, plain, good);
    return true;
}

static bool rule_send_as(struct call *c, const void *given, void *row)
{
    struct bytes *texts;
    size_t n;

    if (!members_texts(c, ((const struct user_row *)given)->send_as, &texts, &n))
        return false;
    if (n > SEND_AS_MOST) {
        call_fault(c, "/send_as", "too_many", "At most %d", SEND_AS_MOST);
        return true;
    }
    return write_send_as(c, texts, n, &((struct user_row *)row)->send_as);
}

/* ---- metadata ---- */

/* JSON Merge Patch (RFC 7396): names set to null go, the others are set. */
static bool merge(struct call *c, struct bytes now, struct bytes patch, struct bytes *out)
{
    struct json_object *merged = NULL, *given = NULL;
    bool ok = (!now.p || json_read(now, &merged, &c->err)) && json_read(patch, &given, &c->err);

    if (ok) {
        if (!merged)
            merged = json_object_new_object();
        json_object_object_foreach(given, name, value)
        {
            if (value)
                json_object_object_add(merged, name, json_object_get(value));
            else
                json_object_object_del(merged, name);
        }
        *out = json_tree_text(c->arena, merged);
    }
    json_object_put(merged);
    json_object_put(given);
    return ok;
}

static bool rule_metadata(struct call *c, const void *given, void *out)
{
    struct bytes metadata = ((const struct user_row *)given)->metadata;
    struct user_row *row = out;

    if (!metadata.p)
        row->metadata = NO_BYTES;
    else if (!merge(c, row->metadata, metadata, &row->metadata))
        return false;
    if (row->metadata.n > METADATA_MOST)
        call_fault(c, "/metadata", "too_long", "At most %d bytes", METADATA_MOST);
    return true;
}

/* ---- the members ---- */

static bool rule_encryption(struct call *c, const void *given, void *row)
{
    (void)row;
    if (!bytes_equal(((const struct user_row *)given)->encryption, BYTES("server")))
        call_fault(c, "/encryption", "not_available", "this build encrypts by the server's key: server");
    return true;
}

static const struct member user_list_[] = {
    MEMBER(ID, user_row, id, .prefix = "usr", .column = true),
    MEMBER(ID, user_row, account_id, .prefix = "acc"),
    MEMBER(TEXT, user_row, address, .given = MADE, .column = true),
    MEMBER(TEXT, user_row, name, .given = MADE | CHANGED, .most = NAME_MOST, .column = true),
    MEMBER(TEXT, user_change, password, .given = MADE | CHANGED, .hidden = true, .rule = rule_password,
           .field = "password_hash"),
    MEMBER(TEXT, user_row, encryption, .given = MADE | CHANGED, .rule = rule_encryption),
    MEMBER(INT, user_row, quota, .given = MADE | CHANGED, .column = true),
    MEMBER(INT, user_row, used, .column = true),
    MEMBER(BOOL, user_row, disabled, .given = MADE | CHANGED, .column = true),
    MEMBER(BOOL, user_row, save_sent, .given = MADE | CHANGED),
    MEMBER(JSON, user_row, send_as, .given = MADE | CHANGED, .rule = rule_send_as, .otherwise = "[]"),
    MEMBER(JSON, user_row, metadata, .given = MADE | CHANGED, .rule = rule_metadata, .merged = true, .otherwise = "{}"),
    MEMBER(TIME, user_row, last_login_at),
    MEMBER(TIME, user_row, created_at),
};
MEMBERS(user, .object = "user", .path = "/v1/users/", .kind = &user_kind);

/* ---- reach ---- */

#define ADDRESSES_MOST 10000

static bool addresses_reached(struct call *c, struct id user, bool *all)
{
    static const char *const only[] = { "id", "user_id", "domain_id", NULL };
    struct query q = { .kind = &address_kind, .index = "user", .n_conds = 1, .limit = ADDRESSES_MOST, .only = only };
    struct address_row *rows;
    size_t n;

    q.conds[0] = COND("user_id", IS, V_ID(user));
    if (!store_find(c->store, &q, c->arena, (void **)&rows, &n, &c->err))
        return false;
    for (size_t i = 0; i < n; i++)
        *all = *all && call_reaches(c, rows[i].domain_id);
    return true;
}

/* A domain that is gone by now reaches nobody. */
static bool senders_reached(struct call *c, struct bytes send_as, bool *all)
{
    struct json_object *list = NULL;
    struct bytes *texts;
    bool ok = true;
    size_t n;

    if (!send_as.p)
        return true;
    if (!json_read(send_as, &list, &c->err))
        return false;
    texts = json_texts(c->arena, list, &n);
    for (size_t i = 0; ok && i < n; i++) {
        struct domain_row row;

        ok = domain_of_account(c, bytes_from(texts[i], bytes_find_last(texts[i], '@') + 1), &row) ||
             c->err.code == ERR_MISSING;
        *all = *all && (id_is_none(row.id) || call_reaches(c, row.id));
    }
    if (ok)
        c->err = (struct err){ 0 };
    json_object_put(list);
    return ok;
}

bool user_within_reach(struct call *c, const struct user_row *row)
{
    bool all = true;

    if (!c->who->n_domain_ids)
        return true;
    if (!addresses_reached(c, row->id, &all) || !senders_reached(c, row->send_as, &all))
        return false;
    return all ||
           err_set(&c->err, ERR_SCOPE, "The user has addresses or senders in domains that this key does not reach");
}
