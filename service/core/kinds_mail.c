/* service/core/kinds_mail.c - the schema of mail: bodies, messages, their deliveries, mailboxes and what is in them,
 * and the events that tell of it. See kinds.c for what an index is there for. */
#include "service/core/kinds_table.h"

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
    FIELD(JSON, message_row, auth),
    FIELD(BOOL, message_row, junk),
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
    FIELD(TIME, message_row, scheduled_at),
    FIELD(TIME, message_row, release_at),
    FIELD(TIME, message_row, lease_until),
    FIELD(INT, message_row, token),
    FIELD(ID, message_row, holder),
    FIELD(INT, message_row, expires_after),
    FIELD(BOOL, message_row, undated),
    FIELD(BOOL, message_row, save_to_sent),
    FIELD(ID, message_row, batch_id),
    FIELD(TEXT, message_row, priority),
    FIELD(ID, message_row, template_id),
    FIELD(INT, message_row, template_version),
    FIELD(ID, message_row, stream_id),
    FIELD(TEXT, message_row, topic),
    FIELD(BOOL, message_row, unsubscribes),
    FIELD(INT, message_row, tracking),
    FIELD(INT, message_row, opens),
    FIELD(INT, message_row, clicks),
};
/* "content" holds what still has content of its own to erase: not the mail that came in. "release" serves the claims of
 * what waits for its time. */
static const struct index message_indexes[] = {
    { .name = "account", .fields = { "account_id", "direction" } },
    { .name = "body", .fields = { "body_id" }, .when = "content_until" },
    { .name = "content", .fields = { "content_until" }, .when = "content_until" },
    { .name = "release", .fields = { "release_at" }, .when = "release_at" },
    { .name = "batch", .fields = { "batch_id" }, .when = "batch_id" },
};
KIND(message, "msg", INDEXES(message));

static const struct field batch_fields[] = {
    FIELD(ID, batch_row, id),
    FIELD(ID, batch_row, account_id),
    FIELD(ID, batch_row, key_id),
    FIELD(ID, batch_row, request_id),
    FIELD(BYTES, batch_row, slot),
    FIELD(BYTES, batch_row, body_hash),
    FIELD(BOOL, batch_row, permissive),
    FIELD(BOOL, batch_row, test),
    FIELD(INT, batch_row, total),
    FIELD(INT, batch_row, accepted),
    FIELD(INT, batch_row, rejected),
    FIELD(TIME, batch_row, created_at),
    FIELD(TIME, batch_row, completed_at),
    FIELD(TIME, batch_row, expires_at),
};
static const struct index batch_indexes[] = {
    { .name = "account", .fields = { "account_id" } },
    { .name = "slot", .unique = true, .fields = { "slot" }, .when = "slot" },
    { .name = "expires", .fields = { "expires_at" }, .when = "expires_at" },
};
KIND(batch, "bat", INDEXES(batch));

static const struct field view_fields[] = {
    FIELD(ID, view_row, id),           FIELD(ID, view_row, account_id),   FIELD(BYTES, view_row, html),
    FIELD(TIME, view_row, created_at), FIELD(TIME, view_row, expires_at),
};
static const struct index view_indexes[] = {
    { .name = "account", .fields = { "account_id", "created_at" } },
    { .name = "expires", .fields = { "expires_at" }, .when = "expires_at" },
};
KIND(view, "viw", INDEXES(view));

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
    FIELD(INT, delivery_row, blocks),
    FIELD(TIME, delivery_row, first_block_at),
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
    FIELD(JSON, entry_row, auth),
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
