/* service/core/kinds.c - the schema: fields and indexes of every kind, those of accounts, of the server's own state,
 * and the list of all; mail is in kinds_mail.c, the queue in kinds_queue.c. An index costs on each write, so there is
 * one only where a list, a check or a sweep needs it; lists with rarer filters walk the account's index, and of what
 * lives alike long the sweep walks the old end (keep/past.h). */
#include "service/core/kinds_table.h"

static const struct field account_fields[] = {
    FIELD(ID, account_row, id),         FIELD(TEXT, account_row, name),       FIELD(BOOL, account_row, disabled),
    FIELD(BOOL, account_row, operator), FIELD(TIME, account_row, created_at), FIELD(INT, account_row, domains),
    FIELD(INT, account_row, routes),    FIELD(INT, account_row, templates),   FIELD(INT, account_row, layouts),
    FIELD(INT, account_row, partials),  FIELD(INT, account_row, streams),
};
static const struct index account_indexes[] = {
    { .name = "disabled", .fields = { "disabled" } },
};
KIND(account, "acc", INDEXES(account));

static const struct field domain_fields[] = {
    FIELD(ID, domain_row, id),           FIELD(ID, domain_row, account_id),  FIELD(TEXT, domain_row, name),
    FIELD(TEXT, domain_row, inbound),    FIELD(TEXT, domain_row, catch_all), FIELD(TIME, domain_row, verified_at),
    FIELD(TIME, domain_row, created_at), FIELD(INT, domain_row, addresses),  FIELD(INT, domain_row, dkim_keys),
    FIELD(TEXT, domain_row, proof),      FIELD(TIME, domain_row, lost_at),   FIELD(BOOL, domain_row, return_path),
    FIELD(TIME, domain_row, checked_at), FIELD(TIME, domain_row, check_at),  FIELD(JSON, domain_row, seen),
};
static const struct index domain_indexes[] = {
    { .name = "name", .unique = true, .fields = { "name" } },
    { .name = "account", .fields = { "account_id" } },
    { .name = "check", .fields = { "check_at" } },
};
KIND(domain, "dom", INDEXES(domain));

static const struct field dkim_fields[] = {
    FIELD(ID, dkim_row, id),           FIELD(ID, dkim_row, account_id),     FIELD(ID, dkim_row, domain_id),
    FIELD(TEXT, dkim_row, selector),   FIELD(TEXT, dkim_row, algorithm),    FIELD(TEXT, dkim_row, status),
    FIELD(TEXT, dkim_row, record),     FIELD(BYTES, dkim_row, private_key), FIELD(TEXT, dkim_row, wrap),
    FIELD(INT, dkim_row, bits),        FIELD(BOOL, dkim_row, imported),     FIELD(TIME, dkim_row, created_at),
    FIELD(TIME, dkim_row, seen_at),    FIELD(TIME, dkim_row, active_at),    FIELD(TIME, dkim_row, retired_at),
    FIELD(TIME, dkim_row, revoked_at),
};
static const struct index dkim_indexes[] = {
    { .name = "selector", .unique = true, .fields = { "domain_id", "selector" } },
    { .name = "domain", .fields = { "domain_id" } },
};
KIND(dkim, "dkm", INDEXES(dkim));

static const struct field user_fields[] = {
    FIELD(ID, user_row, id),
    FIELD(ID, user_row, account_id),
    FIELD(ID, user_row, domain_id),
    FIELD(TEXT, user_row, address),
    FIELD(TEXT, user_row, name),
    FIELD(TEXT, user_row, password_hash),
    FIELD(TEXT, user_row, encryption),
    FIELD(BYTES, user_row, user_key),
    FIELD(TEXT, user_row, user_key_wrap),
    FIELD(INT, user_row, quota),
    FIELD(INT, user_row, used),
    FIELD(BOOL, user_row, disabled),
    FIELD(BOOL, user_row, save_sent),
    FIELD(JSON, user_row, send_as),
    FIELD(JSON, user_row, metadata),
    FIELD(TIME, user_row, last_login_at),
    FIELD(TIME, user_row, created_at),
    FIELD(INT, user_row, addresses),
    FIELD(TIME, user_row, guarded_until),
    FIELD(INT, user_row, mailboxes_made),
    FIELD(INT, user_row, modseq),
    FIELD(INT, user_row, uid_validity),
    FIELD(INT, user_row, gone_floor),
    FIELD(BYTES, user_row, index_key),
    FIELD(TEXT, user_row, index_key_wrap),
};
static const struct index user_indexes[] = {
    { .name = "address", .unique = true, .fields = { "address" } },
    { .name = "account", .fields = { "account_id" } },
    { .name = "domain", .fields = { "domain_id" } },
};
KIND(user, "usr", INDEXES(user));

static const struct field address_fields[] = {
    FIELD(ID, address_row, id),           FIELD(ID, address_row, account_id), FIELD(ID, address_row, domain_id),
    FIELD(ID, address_row, user_id),      FIELD(TEXT, address_row, address),  FIELD(BOOL, address_row, primary),
    FIELD(TIME, address_row, created_at), FIELD(JSON, address_row, forward),
};
static const struct index address_indexes[] = {
    { .name = "address", .unique = true, .fields = { "address" } },
    { .name = "account", .fields = { "account_id" } },
    { .name = "user", .fields = { "user_id" } },
    { .name = "domain", .fields = { "domain_id" } },
};
KIND(address, "adr", INDEXES(address));

static const struct field key_fields[] = {
    FIELD(ID, key_row, id),
    FIELD(ID, key_row, account_id),
    FIELD(TEXT, key_row, name),
    FIELD(TEXT, key_row, mode),
    FIELD(INT, key_row, scopes),
    FIELD(JSON, key_row, domain_ids),
    FIELD(JSON, key_row, allowed_ips),
    FIELD(BYTES, key_row, hash),
    FIELD(TEXT, key_row, hint),
    FIELD(TIME, key_row, expires_at),
    FIELD(TIME, key_row, last_used_at),
    FIELD(TIME, key_row, created_at),
};
static const struct index key_indexes[] = {
    { .name = "hash", .unique = true, .fields = { "hash" } },
    { .name = "account", .fields = { "account_id" } },
};
KIND(key, "key", INDEXES(key));

static const struct field setting_fields[] = {
    FIELD(ID, setting_row, id),
    FIELD(TEXT, setting_row, name),
    FIELD(TEXT, setting_row, value),
    FIELD(TIME, setting_row, updated_at),
};
static const struct index setting_indexes[] = {
    { .name = "name", .unique = true, .fields = { "name" } },
};
KIND(setting, "set", INDEXES(setting));

static const struct field setting_change_fields[] = {
    FIELD(ID, setting_change_row, id),          FIELD(TEXT, setting_change_row, name),
    FIELD(TEXT, setting_change_row, old_value), FIELD(TEXT, setting_change_row, new_value),
    FIELD(TEXT, setting_change_row, who),       FIELD(TIME, setting_change_row, at),
};
static const struct index setting_change_indexes[] = {
    { .name = "name", .fields = { "name" } },
};
KIND(setting_change, "chg", INDEXES(setting_change), .watched = true);

static const struct field node_fields[] = {
    FIELD(ID, node_row, id),           FIELD(TEXT, node_row, name),    FIELD(TEXT, node_row, version),
    FIELD(TIME, node_row, started_at), FIELD(TIME, node_row, seen_at), FIELD(BOOL, node_row, draining),
    FIELD(JSON, node_row, load),
};
KIND(node, "nod", .indexes = NULL);

static const struct field idempotency_fields[] = {
    FIELD(ID, idempotency_row, id),           FIELD(ID, idempotency_row, account_id),
    FIELD(BYTES, idempotency_row, slot),      FIELD(BYTES, idempotency_row, body_hash),
    FIELD(INT, idempotency_row, status),      FIELD(BYTES, idempotency_row, answer),
    FIELD(TEXT, idempotency_row, location),   FIELD(ID, idempotency_row, ref),
    FIELD(TIME, idempotency_row, expires_at), FIELD(TIME, idempotency_row, created_at),
};
static const struct index idempotency_indexes[] = {
    { .name = "slot", .unique = true, .fields = { "slot" } },
    { .name = "expires", .fields = { "expires_at" }, .when = "expires_at" },
};
KIND(idempotency, "idm", INDEXES(idempotency));

static const struct field consumer_fields[] = {
    FIELD(ID, consumer_row, id),
    FIELD(TEXT, consumer_row, name),
    FIELD(TEXT, consumer_row, cursor),
    FIELD(TIME, consumer_row, moved_at),
};
KIND(consumer, "con", .indexes = NULL);

static const struct field throttle_fields[] = {
    FIELD(ID, throttle_row, id),
    FIELD(INT, throttle_row, n),
    FIELD(TIME, throttle_row, failed_at),
    FIELD(TIME, throttle_row, expires_at),
};
static const struct index throttle_indexes[] = {
    { .name = "expires", .fields = { "expires_at" }, .when = "expires_at" },
};
KIND(throttle, "thr", INDEXES(throttle));

static const struct field limit_fields[] = {
    FIELD(ID, limit_row, id),
    FIELD(INT, limit_row, full_at),
    FIELD(TIME, limit_row, expires_at),
};
static const struct index limit_indexes[] = {
    { .name = "expires", .fields = { "expires_at" }, .when = "expires_at" },
};
KIND(limit, "lim", INDEXES(limit));

static const struct field copy_fields[] = {
    FIELD(ID, copy_row, id),        FIELD(INT, copy_row, origin), FIELD(TEXT, copy_row, step),
    FIELD(TEXT, copy_row, place),   FIELD(INT, copy_row, rows),   FIELD(TIME, copy_row, started_at),
    FIELD(TIME, copy_row, done_at),
};
KIND(copy, "cpy", .indexes = NULL);

static const struct field upgrade_fields[] = { FIELD(ID, upgrade_row, id), FIELD(INT, upgrade_row, step) };
KIND(upgrade, "upg", .indexes = NULL);

const struct kind *const all_kinds[] = {
    &account_kind,
    &domain_kind,
    &dkim_kind,
    &user_kind,
    &address_kind,
    &key_kind,
    &setting_kind,
    &setting_change_kind,
    &node_kind,
    &idempotency_kind,
    &body_kind,
    &message_kind,
    &tag_kind,
    &delivery_kind,
    &mailbox_kind,
    &entry_kind,
    &event_kind,
    &consumer_kind,
    &throttle_kind,
    &limit_kind,
    &change_kind,
    &upgrade_kind,
    &copy_kind,
    &suppression_kind,
    &suppression_import_kind,
    &suspension_kind,
    &action_kind,
    &transcript_kind,
    &nudge_kind,
    &path_kind,
    &route_kind,
    &poke_kind,
    &batch_kind,
    &view_kind,
    &template_kind,
    &template_version_kind,
    &layout_kind,
    &partial_kind,
    &stream_kind,
    &stream_day_kind,
    NULL,
};
