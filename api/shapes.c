#include "api/shapes.h"
#include "service/account.h"
#include "service/domain.h"
#include "service/key.h"
#include "service/mailbox.h"
#include "service/user.h"

void object_begin(struct jw *w, const char *object, const char *prefix, struct id id, struct id account_id)
{
    jw_object(w);
    jw_key_text(w, "object", bytes_of(object));
    jw_key_id(w, "id", prefix, id);
    jw_key_id(w, "account_id", "acc", account_id);
}

void json_or(struct jw *w, const char *name, struct bytes json, const char *otherwise)
{
    jw_key_raw(w, name, json.p ? json : bytes_of(otherwise));
}

/* ---- accounts ---- */

static void account_members(struct jw *w, const struct account_row *row)
{
    object_begin(w, "account", "acc", row->id, row->id);
    jw_key_text(w, "name", row->name);
    jw_key_bool(w, "disabled", row->disabled);
    jw_key_time(w, "created_at", row->created_at);
}

static void account_write(struct jw *w, const void *row, struct call *c)
{
    (void)c;
    account_members(w, row);
    jw_object_end(w);
}

/* ---- keys ---- */

void scopes_write(struct jw *w, unsigned scopes)
{
    jw_array(w);
    for (unsigned i = 0; i < SCOPES; i++)
        if (scopes & (1u << i))
            jw_text(w, bytes_of(scope_name((enum scope_number)i)));
    jw_array_end(w);
}

static void key_members(struct jw *w, const struct key_row *row)
{
    object_begin(w, "key", "key", row->id, row->account_id);
    jw_key_text(w, "name", row->name);
    jw_key_text(w, "mode", row->mode);
    jw_key(w, "scopes");
    scopes_write(w, (unsigned)row->scopes);
    json_or(w, "domain_ids", row->domain_ids, "[]");
    json_or(w, "allowed_ips", row->allowed_ips, "[]");
    jw_key_time(w, "expires_at", row->expires_at);
    jw_key_time(w, "last_used_at", row->last_used_at);
    jw_key_text(w, "hint", row->hint);
    jw_key_time(w, "created_at", row->created_at);
}

static void key_write(struct jw *w, const void *row, struct call *c)
{
    (void)c;
    key_members(w, row);
    jw_object_end(w);
}

static void key_created_write(struct jw *w, const void *out, struct call *c)
{
    const struct key_create_out *made = out;

    (void)c;
    key_members(w, &made->row);
    jw_key_text(w, "secret", made->secret);
    jw_object_end(w);
}

/* What is kept for a replay: all but the secret. */
static void key_kept_write(struct jw *w, const void *out, struct call *c)
{
    key_write(w, &((const struct key_create_out *)out)->row, c);
}

static void account_created_write(struct jw *w, const void *out, struct call *c)
{
    const struct account_create_out *made = out;

    account_members(w, &made->row);
    jw_key(w, "key");
    key_created_write(w, &made->key, c);
    jw_object_end(w);
}

static void account_kept_write(struct jw *w, const void *out, struct call *c)
{
    const struct account_create_out *made = out;

    account_members(w, &made->row);
    jw_key(w, "key");
    key_kept_write(w, &made->key, c);
    jw_object_end(w);
}

/* ---- domains, users, addresses ---- */

static void domain_write(struct jw *w, const void *row, struct call *c)
{
    const struct domain_row *d = row;

    (void)c;
    object_begin(w, "domain", "dom", d->id, d->account_id);
    jw_key_text(w, "name", d->name);
    jw_key_text(w, "inbound", d->inbound);
    jw_key_text(w, "catch_all", d->catch_all);
    jw_key_text(w, "status", d->verified_at ? BYTES("verified") : BYTES("unverified"));
    jw_key_time(w, "verified_at", d->verified_at);
    jw_key_raw(w, "records", BYTES("[]")); /* what to publish comes with outgoing mail */
    jw_key_time(w, "created_at", d->created_at);
    jw_object_end(w);
}

static void user_write(struct jw *w, const void *row, struct call *c)
{
    const struct user_row *u = row;

    (void)c;
    object_begin(w, "user", "usr", u->id, u->account_id);
    jw_key_text(w, "address", u->address);
    jw_key_text(w, "name", u->name);
    jw_key_text(w, "encryption", u->encryption);
    jw_key_int(w, "quota", u->quota);
    jw_key_int(w, "used", u->used);
    jw_key_bool(w, "disabled", u->disabled);
    jw_key_bool(w, "save_sent", u->save_sent);
    json_or(w, "send_as", u->send_as, "[]");
    json_or(w, "metadata", u->metadata, "{}");
    jw_key_time(w, "last_login_at", u->last_login_at);
    jw_key_time(w, "created_at", u->created_at);
    jw_object_end(w);
}

static void address_row_write(struct jw *w, const void *row, struct call *c)
{
    const struct address_row *a = row;

    (void)c;
    object_begin(w, "address", "adr", a->id, a->account_id);
    jw_key_text(w, "address", a->address);
    jw_key_bool(w, "primary", a->primary);
    jw_key(w, "target");
    jw_object(w);
    jw_key_text(w, "type", BYTES("user"));
    jw_key_id(w, "user_id", "usr", a->user_id);
    jw_object_end(w);
    jw_key_time(w, "created_at", a->created_at);
    jw_object_end(w);
}

/* ---- mailboxes ---- */

void mailbox_write(struct jw *w, const void *row, struct call *c)
{
    const struct mailbox_row *m = row;

    (void)c;
    object_begin(w, "mailbox", "mbx", m->id, m->account_id);
    jw_key_id(w, "user_id", "usr", m->user_id);
    jw_key_text(w, "name", m->name);
    jw_key_id(w, "parent_id", "mbx", m->parent_id);
    jw_key_text(w, "role", m->role);
    jw_key_int(w, "total", m->total);
    jw_key_int(w, "unseen", m->unseen);
    jw_key_int(w, "bytes", m->bytes);
    jw_key_int(w, "uid_next", m->uid_next);
    jw_key_int(w, "uid_validity", m->uid_validity);
    jw_key_int(w, "modseq", m->modseq);
    jw_key_time(w, "created_at", m->created_at);
    jw_object_end(w);
}

const struct shape account_shape = { account_write, "/v1/accounts/", "acc", offsetof(struct account_row, id) };
const struct shape account_created_shape = { account_created_write, "/v1/accounts/", "acc",
                                             offsetof(struct account_create_out, row.id) };
const struct shape account_kept_shape = { account_kept_write, "/v1/accounts/", "acc",
                                          offsetof(struct account_create_out, row.id) };
const struct shape key_shape = { key_write, "/v1/keys/", "key", offsetof(struct key_row, id) };
const struct shape key_created_shape = { key_created_write, "/v1/keys/", "key",
                                         offsetof(struct key_create_out, row.id) };
const struct shape key_kept_shape = { key_kept_write, "/v1/keys/", "key", offsetof(struct key_create_out, row.id) };
const struct shape domain_shape = { domain_write, "/v1/domains/", "dom", offsetof(struct domain_row, id) };
const struct shape user_shape = { user_write, "/v1/users/", "usr", offsetof(struct user_row, id) };
const struct shape address_shape = { address_row_write, "/v1/addresses/", "adr", offsetof(struct address_row, id) };
const struct shape mailbox_shape = { mailbox_write, "/v1/mailboxes/", "mbx", offsetof(struct mailbox_row, id) };
