/* service/core/kinds.c - the schema: fields and indexes of every kind. An index costs on each write, so there is one
 * only where a list, a check or a sweep needs it; lists with rarer filters walk the account's index, and of what lives
 * alike long the sweep walks the old end (keep/past.h). */
#include "service/core/kinds.h"

#define COUNT(x) (sizeof(x) / sizeof *(x))

#define KIND(name_, prefix_, ...)                                                                                      \
    const struct kind name_##_kind = { .name = #name_,                                                                 \
                                       .prefix = prefix_,                                                              \
                                       .size = sizeof(struct name_##_row),                                             \
                                       .fields = name_##_fields,                                                       \
                                       .n_fields = COUNT(name_##_fields),                                              \
                                       __VA_ARGS__ }
#define INDEXES(name_) .indexes = name_##_indexes, .n_indexes = COUNT(name_##_indexes)

static const struct field account_fields[] = {
    FIELD(ID, account_row, id),         FIELD(TEXT, account_row, name),       FIELD(BOOL, account_row, disabled),
    FIELD(BOOL, account_row, operator), FIELD(TIME, account_row, created_at), FIELD(INT, account_row, domains),
    FIELD(INT, account_row, routes),
};
KIND(account, "acc", .indexes = NULL);

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
static const struct field route_fields[] = {
    FIELD(ID, route_row, id),           FIELD(ID, route_row, account_id),      FIELD(INT, route_row, position),
    FIELD(TEXT, route_row, domain),     FIELD(TEXT, route_row, sender_domain), FIELD(TEXT, route_row, tag),
    FIELD(TEXT, route_row, class),      FIELD(TEXT, route_row, source),        FIELD(TEXT, route_row, type),
    FIELD(JSON, route_row, hosts),      FIELD(INT, route_row, port),           FIELD(TEXT, route_row, lookup),
    FIELD(TEXT, route_row, tls),        FIELD(TEXT, route_row, username),      FIELD(BYTES, route_row, secret),
    FIELD(BOOL, route_row, private),    FIELD(BOOL, route_row, insecure_auth), FIELD(INT, route_row, version),
    FIELD(TIME, route_row, created_at), FIELD(TIME, route_row, updated_at),
};
static const struct index route_indexes[] = {
    { .name = "account", .fields = { "account_id" } },
};
KIND(route, "rte", INDEXES(route));

static const struct field revision_fields[] = { FIELD(ID, revision_row, id), FIELD(INT, revision_row, n) };
KIND(revision, "rev", .indexes = NULL);

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

static const struct field body_fields[] = {
    FIELD(ID, body_row, id),           FIELD(INT, body_row, size),   FIELD(INT, body_row, chunks),
    FIELD(TEXT, body_row, codec),      FIELD(BYTES, body_row, data), FIELD(TIME, body_row, expires_at),
    FIELD(TIME, body_row, created_at), FIELD(INT, body_row, frame),
};
/* Only what waits for acceptance or for the sweep is in it. */
static const struct index body_indexes[] = {
    { .name = "expires", .fields = { "expires_at" }, .when = "expires_at" },
};
KIND(body, "bod", INDEXES(body), .large = true);

static const struct field message_fields[] = {
    FIELD(ID, message_row, id),
    FIELD(ID, message_row, account_id),
    FIELD(ID, message_row, body_id),
    FIELD(ID, message_row, key_id),
    FIELD(ID, message_row, user_id),
    FIELD(ID, message_row, request_id),
    FIELD(TEXT, message_row, header_message_id),
    FIELD(TEXT, message_row, direction),
    FIELD(TEXT, message_row, source),
    FIELD(TEXT, message_row, mode),
    FIELD(TEXT, message_row, envelope_from),
    FIELD(JSON, message_row, people),
    FIELD(BYTES, message_row, subject),
    FIELD(JSON, message_row, tags),
    FIELD(JSON, message_row, metadata),
    FIELD(BYTES, message_row, wrapped_key),
    FIELD(TEXT, message_row, wrap),
    FIELD(BYTES, message_row, trace),
    FIELD(JSON, message_row, dsn),
    FIELD(INT, message_row, size),
    FIELD(TIME, message_row, content_until),
    FIELD(TIME, message_row, created_at),
    FIELD(BOOL, message_row, no_store),
    FIELD(BOOL, message_row, dsn_wanted),
    FIELD(INT, message_row, n_open),
    FIELD(INT, message_row, n_held),
    FIELD(INT, message_row, n_delivered),
    FIELD(INT, message_row, n_captured),
    FIELD(INT, message_row, n_failed),
    FIELD(INT, message_row, n_cancelled),
    FIELD(TIME, message_row, expires_at),
    FIELD(BYTES, message_row, summary),
    FIELD(TIME, message_row, sent_at),
    FIELD(BOOL, message_row, header_8bit),
    FIELD(BOOL, message_row, body_8bit),
    FIELD(BOOL, message_row, foreign_dkim),
    FIELD(BOOL, message_row, needs_utf8),
    FIELD(BOOL, message_row, to_sign),
    FIELD(INT, message_row, longest_line),
    FIELD(BOOL, message_row, token_path),
    FIELD(ID, message_row, domain_id),
    FIELD(BYTES, message_row, thread_root),
    FIELD(INT, message_row, bypass),
    FIELD(BOOL, message_row, require_tls),
};
/* "content" holds what still has content of its own to erase: not the mail that came in. */
static const struct index message_indexes[] = {
    { .name = "account", .fields = { "account_id", "direction" } },
    { .name = "body", .fields = { "body_id" }, .when = "content_until" },
    { .name = "content", .fields = { "content_until" }, .when = "content_until" },
};
KIND(message, "msg", INDEXES(message));

static const struct field tag_fields[] = {
    FIELD(ID, tag_row, id),      FIELD(ID, tag_row, account_id),   FIELD(ID, tag_row, message_id),
    FIELD(TEXT, tag_row, label), FIELD(TIME, tag_row, expires_at),
};
/* A list by tag is newest first (label, id); a tag has a row for "name=value" and one for "name". */
static const struct index tag_indexes[] = {
    { .name = "label", .fields = { "account_id", "label" } },
    { .name = "message", .fields = { "message_id" } },
    { .name = "expires", .fields = { "expires_at" }, .when = "expires_at" },
};
KIND(tag, "tag", INDEXES(tag));

static const struct field delivery_fields[] = {
    FIELD(ID, delivery_row, id),
    FIELD(ID, delivery_row, account_id),
    FIELD(ID, delivery_row, message_id),
    FIELD(ID, delivery_row, body_id),
    FIELD(ID, delivery_row, user_id),
    FIELD(ID, delivery_row, entry_id),
    FIELD(TEXT, delivery_row, email),
    FIELD(TEXT, delivery_row, kind),
    FIELD(TEXT, delivery_row, status),
    FIELD(TEXT, delivery_row, site),
    FIELD(INT, delivery_row, part),
    FIELD(TEXT, delivery_row, mode),
    FIELD(JSON, delivery_row, dsn),
    FIELD(BYTES, delivery_row, wrapped_key),
    FIELD(TEXT, delivery_row, wrap),
    FIELD(INT, delivery_row, attempts),
    FIELD(JSON, delivery_row, last),
    FIELD(TIME, delivery_row, due_at),
    FIELD(TIME, delivery_row, lease_until),
    FIELD(INT, delivery_row, token),
    FIELD(ID, delivery_row, holder),
    FIELD(TIME, delivery_row, expires_at),
    FIELD(TIME, delivery_row, final_at),
    FIELD(TIME, delivery_row, created_at),
    FIELD(TIME, delivery_row, keep_until),
    FIELD(INT, delivery_row, failures),
    FIELD(ID, delivery_row, guest_id),
    FIELD(ID, delivery_row, domain_id),
    FIELD(TIME, delivery_row, lapsed),
    FIELD(TEXT, delivery_row, flow),
    FIELD(TIME, delivery_row, send_at),
    FIELD(ID, delivery_row, source_id),
    FIELD(TIME, delivery_row, warned),
    FIELD(TIME, delivery_row, complained_at),
    FIELD(TEXT, delivery_row, via),
    FIELD(TIME, delivery_row, held_at),
    FIELD(ID, delivery_row, held_by),
    FIELD(TEXT, delivery_row, held_why),
};
static const char *const delivery_open[] = { "queued", "sending", "deferred", "held", NULL };
/* What people look for by status; delivered and captured ones, nearly all, are found through the account. */
static const char *const delivery_notable[] = { "queued", "sending", "deferred",  "held",       "bounced",
                                                "failed", "expired", "cancelled", "suppressed", NULL };
/* "due" serves the claims of local work, "flow" those of mail that leaves, "expiry" gives it up; "body" the sweep (does
 * an open delivery refer to it?). */
static const struct index delivery_indexes[] = {
    { .name = "message", .fields = { "message_id" } },
    { .name = "account", .fields = { "account_id" } },
    { .name = "email", .fields = { "account_id", "email" } },
    { .name = "status", .fields = { "account_id", "status" }, .when = "status", .values = delivery_notable },
    { .name = "due", .fields = { "due_at" }, .when = "due_at" },
    { .name = "flow", .fields = { "flow", "send_at" }, .when = "flow" },
    { .name = "expiry", .fields = { "expires_at" }, .when = "flow" },
    { .name = "body", .fields = { "body_id" }, .when = "status", .values = delivery_open },
};
KIND(delivery, "dlv", INDEXES(delivery));

static const struct field suspension_fields[] = {
    FIELD(ID, suspension_row, id),           FIELD(ID, suspension_row, account_id),
    FIELD(TEXT, suspension_row, scope),      FIELD(TEXT, suspension_row, match),
    FIELD(TEXT, suspension_row, effect),     FIELD(JSON, suspension_row, limits),
    FIELD(TEXT, suspension_row, reason),     FIELD(TEXT, suspension_row, author),
    FIELD(TEXT, suspension_row, origin),     FIELD(BOOL, suspension_row, by_operator),
    FIELD(TIME, suspension_row, created_at), FIELD(TIME, suspension_row, expires_at),
};
static const struct index suspension_indexes[] = {
    { .name = "account", .fields = { "account_id" } },
};
KIND(suspension, "sus", INDEXES(suspension));

static const struct field action_fields[] = {
    FIELD(ID, action_row, id),
    FIELD(ID, action_row, account_id),
    FIELD(TEXT, action_row, act),
    FIELD(JSON, action_row, filter),
    FIELD(TEXT, action_row, reason),
    FIELD(TEXT, action_row, author),
    FIELD(TEXT, action_row, status),
    FIELD(BOOL, action_row, dry_run),
    FIELD(BOOL, action_row, everywhere),
    FIELD(BOOL, action_row, test),
    FIELD(JSON, action_row, domain_ids),
    FIELD(INT, action_row, most),
    FIELD(INT, action_row, matched),
    FIELD(INT, action_row, done),
    FIELD(INT, action_row, failed),
    FIELD(INT, action_row, step),
    FIELD(TEXT, action_row, place),
    FIELD(TIME, action_row, created_at),
    FIELD(TIME, action_row, finished_at),
    FIELD(TIME, action_row, expires_at),
};
static const char *const action_running[] = { "running", NULL };
static const struct index action_indexes[] = {
    { .name = "account", .fields = { "account_id" } },
    { .name = "running", .fields = { "status" }, .when = "status", .values = action_running },
    { .name = "expires", .fields = { "expires_at" }, .when = "expires_at" },
};
KIND(action, "act", INDEXES(action));

static const struct field transcript_fields[] = {
    FIELD(ID, transcript_row, id),          FIELD(ID, transcript_row, account_id),
    FIELD(ID, transcript_row, delivery_id), FIELD(INT, transcript_row, attempt),
    FIELD(TIME, transcript_row, at),        FIELD(ID, transcript_row, of),
    FIELD(BYTES, transcript_row, lines),    FIELD(BYTES, transcript_row, wrapped_key),
    FIELD(TEXT, transcript_row, wrap),      FIELD(TIME, transcript_row, expires_at),
};
static const struct index transcript_indexes[] = {
    { .name = "delivery", .fields = { "delivery_id" } },
    { .name = "expires", .fields = { "expires_at" }, .when = "expires_at" },
};
KIND(transcript, "trs", INDEXES(transcript), .wide = true);

static const struct field path_fields[] = {
    FIELD(ID, path_row, id),      FIELD(TEXT, path_row, name), FIELD(JSON, path_row, state),
    FIELD(JSON, path_row, sites), FIELD(TIME, path_row, at),   FIELD(TIME, path_row, expires_at),
};
static const struct index path_indexes[] = {
    { .name = "expires", .fields = { "expires_at" }, .when = "expires_at" },
};
KIND(path, "pth", INDEXES(path));

static const struct field nudge_fields[] = {
    FIELD(ID, nudge_row, id),
    FIELD(TEXT, nudge_row, what),
    FIELD(TIME, nudge_row, at),
    FIELD(TIME, nudge_row, expires_at),
};
static const struct index nudge_indexes[] = {
    { .name = "expires", .fields = { "expires_at" }, .when = "expires_at" },
};
KIND(nudge, "ndg", INDEXES(nudge), .watched = true);

static const struct field mailbox_fields[] = {
    FIELD(ID, mailbox_row, id),
    FIELD(ID, mailbox_row, account_id),
    FIELD(ID, mailbox_row, user_id),
    FIELD(ID, mailbox_row, parent_id),
    FIELD(TEXT, mailbox_row, name),
    FIELD(TEXT, mailbox_row, role),
    FIELD(TEXT, mailbox_row, slot),
    FIELD(INT, mailbox_row, total),
    FIELD(INT, mailbox_row, unseen),
    FIELD(INT, mailbox_row, bytes),
    FIELD(INT, mailbox_row, uid_next),
    FIELD(INT, mailbox_row, uid_validity),
    FIELD(INT, mailbox_row, modseq),
    FIELD(TIME, mailbox_row, created_at),
    FIELD(INT, mailbox_row, created_modseq),
    FIELD(INT, mailbox_row, props_modseq),
    FIELD(BOOL, mailbox_row, unsubscribed),
};
static const struct index mailbox_indexes[] = {
    { .name = "slot", .unique = true, .fields = { "user_id", "slot" } },
    { .name = "role", .unique = true, .fields = { "user_id", "role" }, .when = "role" },
    { .name = "user", .fields = { "user_id" } },
};
KIND(mailbox, "mbx", INDEXES(mailbox));

static const struct field entry_fields[] = {
    FIELD(ID, entry_row, id),
    FIELD(ID, entry_row, account_id),
    FIELD(ID, entry_row, user_id),
    FIELD(ID, entry_row, mailbox_id),
    FIELD(ID, entry_row, message_id),
    FIELD(ID, entry_row, body_id),
    FIELD(INT, entry_row, uid),
    FIELD(INT, entry_row, modseq),
    FIELD(INT, entry_row, flags),
    FIELD(INT, entry_row, size),
    FIELD(JSON, entry_row, keywords),
    FIELD(BYTES, entry_row, trace),
    FIELD(BYTES, entry_row, wrapped_key),
    FIELD(TEXT, entry_row, wrap),
    FIELD(BYTES, entry_row, summary),
    FIELD(TIME, entry_row, sent_at),
    FIELD(TIME, entry_row, received_at),
    FIELD(BOOL, entry_row, header_8bit),
    FIELD(INT, entry_row, created_modseq),
    FIELD(INT, entry_row, arrived_modseq),
    FIELD(ID, entry_row, thread_id),
    FIELD(BYTES, entry_row, msgid),
    FIELD(ID, entry_row, email_id),
    FIELD(TIME, entry_row, saved_at),
    FIELD(INT, entry_row, changed_modseq),
    FIELD(TIME, entry_row, changed_at),
};
/* A thread is of one user, whose key made its id: nothing else leads to it. What came into a mailbox is found by its
 * uids, so that only entries that were changed since are in "changed", and a delivery does not pay for it. */
static const struct index entry_indexes[] = {
    { .name = "uid", .unique = true, .fields = { "mailbox_id", "uid" } },
    { .name = "body", .fields = { "body_id" } },
    { .name = "thread", .fields = { "thread_id" }, .when = "thread_id" },
    { .name = "changed", .fields = { "user_id", "changed_modseq" }, .when = "changed_at" },
};
KIND(entry, "ent", INDEXES(entry), .wide = true); /* 900 bytes: in the tree of its id they would fill the inner pages */

static const struct field change_fields[] = {
    FIELD(ID, change_row, id),         FIELD(ID, change_row, account_id),   FIELD(ID, change_row, user_id),
    FIELD(ID, change_row, mailbox_id), FIELD(INT, change_row, modseq),      FIELD(TEXT, change_row, what),
    FIELD(INT, change_row, n),         FIELD(BYTES, change_row, uids),      FIELD(BYTES, change_row, entry_ids),
    FIELD(TIME, change_row, at),       FIELD(TIME, change_row, expires_at),
};
static const struct index change_indexes[] = {
    { .name = "user", .fields = { "user_id", "modseq" } },
    { .name = "expires", .fields = { "expires_at" }, .when = "expires_at" },
};
KIND(change, "vsh", INDEXES(change), .watched = true, .large = true);

static const struct field event_fields[] = {
    FIELD(ID, event_row, id),          FIELD(ID, event_row, account_id), FIELD(ID, event_row, message_id),
    FIELD(ID, event_row, delivery_id), FIELD(ID, event_row, user_id),    FIELD(TEXT, event_row, type),
    FIELD(TEXT, event_row, email),     FIELD(TIME, event_row, at),       FIELD(JSON, event_row, tags),
    FIELD(JSON, event_row, metadata),  FIELD(JSON, event_row, data),     FIELD(TIME, event_row, expires_at),
    FIELD(TEXT, event_row, mode),      FIELD(ID, event_row, domain_id),  FIELD(BYTES, event_row, bundle),
};
/* The events of one delivery are picked from those of its message. "feed" finds what is new of one account, however
 * much there is of others. */
static const struct index event_indexes[] = {
    { .name = "account", .fields = { "account_id" } },
    { .name = "feed", .fields = { "account_id" }, .feed = true },
    { .name = "message", .fields = { "message_id" }, .when = "message_id" },
};
KIND(event, "evt", INDEXES(event), .watched = true);

static const struct field suppression_fields[] = {
    FIELD(ID, suppression_row, id),           FIELD(ID, suppression_row, account_id),
    FIELD(TEXT, suppression_row, email),      FIELD(TEXT, suppression_row, reason),
    FIELD(INT, suppression_row, strength),    FIELD(ID, suppression_row, stream_id),
    FIELD(TEXT, suppression_row, topic),      FIELD(ID, suppression_row, delivery_id),
    FIELD(TEXT, suppression_row, text),       FIELD(TIME, suppression_row, created_at),
    FIELD(TIME, suppression_row, expires_at),
};
/* What acceptance asks is found by the id. "account" is the order of lists, since the id says no time; "email" finds
 * all streams and topics of an address. */
static const struct index suppression_indexes[] = {
    { .name = "account", .fields = { "account_id", "created_at" } },
    { .name = "email", .fields = { "account_id", "email", "created_at" } },
    { .name = "expires", .fields = { "expires_at" }, .when = "expires_at" },
};
KIND(suppression, "sup", INDEXES(suppression));

static const struct field suppression_import_fields[] = {
    FIELD(ID, suppression_import_row, id),
    FIELD(ID, suppression_import_row, account_id),
    FIELD(ID, suppression_import_row, body_id),
    FIELD(BYTES, suppression_import_row, wrapped_key),
    FIELD(TEXT, suppression_import_row, wrap),
    FIELD(TEXT, suppression_import_row, status),
    FIELD(BYTES, suppression_import_row, columns),
    FIELD(INT, suppression_import_row, separator),
    FIELD(INT, suppression_import_row, place),
    FIELD(INT, suppression_import_row, row),
    FIELD(INT, suppression_import_row, read),
    FIELD(INT, suppression_import_row, added),
    FIELD(INT, suppression_import_row, unchanged),
    FIELD(JSON, suppression_import_row, faults),
    FIELD(INT, suppression_import_row, n_faults),
    FIELD(TIME, suppression_import_row, due_at),
    FIELD(TIME, suppression_import_row, lease_until),
    FIELD(INT, suppression_import_row, token),
    FIELD(ID, suppression_import_row, holder),
    FIELD(TIME, suppression_import_row, created_at),
    FIELD(TIME, suppression_import_row, finished_at),
    FIELD(TIME, suppression_import_row, expires_at),
};
static const struct index suppression_import_indexes[] = {
    { .name = "due", .fields = { "due_at" }, .when = "due_at" },
    { .name = "open", .fields = { "account_id" }, .when = "due_at" },
    { .name = "expires", .fields = { "expires_at" }, .when = "expires_at" },
};
KIND(suppression_import, "imp", INDEXES(suppression_import));
static const struct field poke_fields[] = {
    FIELD(ID, poke_row, id),
    FIELD(TEXT, poke_row, flow),
    FIELD(TIME, poke_row, send_at),
    FIELD(TIME, poke_row, expires_at),
};
static const struct index poke_indexes[] = {
    { .name = "expires", .fields = { "expires_at" }, .when = "expires_at" },
};
KIND(poke, "pok", INDEXES(poke), .watched = true);

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
    &revision_kind,
    &poke_kind,
    NULL,
};
