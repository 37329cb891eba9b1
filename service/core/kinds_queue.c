/* service/core/kinds_queue.c - the schema of what decides over mail that leaves: routes, streams, suspensions,
 * suppressions, acts on the queue, and how nodes hear of them. The deliveries themselves are in kinds_mail.c. */
#include "service/core/kinds_table.h"

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

static const struct field stream_fields[] = {
    FIELD(ID, stream_row, id),
    FIELD(ID, stream_row, account_id),
    FIELD(TEXT, stream_row, name),
    FIELD(TEXT, stream_row, slug),
    FIELD(TEXT, stream_row, kind),
    FIELD(JSON, stream_row, tracking),
    FIELD(TEXT, stream_row, unsubscribe),
    FIELD(INT, stream_row, recipients_per_second),
    FIELD(INT, stream_row, expires_after),
    FIELD(TIME, stream_row, paused_at),
    FIELD(TIME, stream_row, resumed_at),
    FIELD(TIME, stream_row, created_at),
    FIELD(ID, stream_row, pool_id),
};
/* What every node knows by heart: which are paused, and which have a pace. */
static const struct index stream_indexes[] = {
    { .name = "account", .fields = { "account_id" } },
    { .name = "slug", .unique = true, .fields = { "account_id", "slug" } },
    { .name = "paused", .fields = { "paused_at" }, .when = "paused_at" },
    { .name = "paced", .fields = { "recipients_per_second" } },
};
KIND(stream, "str", INDEXES(stream));

static const struct field stream_day_fields[] = {
    FIELD(ID, stream_day_row, id),           FIELD(ID, stream_day_row, account_id),
    FIELD(ID, stream_day_row, stream_id),    FIELD(TIME, stream_day_row, day),
    FIELD(INT, stream_day_row, mails),       FIELD(INT, stream_day_row, complaints),
    FIELD(TIME, stream_day_row, expires_at),
};
static const struct index stream_day_indexes[] = {
    { .name = "expires", .fields = { "expires_at" }, .when = "expires_at" },
};
KIND(stream_day, "sdy", INDEXES(stream_day));

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
    FIELD(ID, path_row, id),           FIELD(TEXT, path_row, name),  FIELD(JSON, path_row, state),
    FIELD(JSON, path_row, kept),       FIELD(JSON, path_row, sites), FIELD(TIME, path_row, at),
    FIELD(TIME, path_row, expires_at),
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
