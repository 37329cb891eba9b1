/* The queries of every mail, list and sweep, as the MongoDB engine asks them and as the server explains that it answers
 * them: by an index, sorting nothing, and looking at no more than twice the documents that it returns. */
#include "base/params.h"
#include "net/fiber.h"
#include "service/core/kinds.h"
#include "store/mongo/mongo.h"
#include "tests/store/mongod.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define ROWS  600
#define OWNER 8 /* of each id that is not the key there are so many */

static struct mongod mongod;
static struct store *st;
static struct arena *a;
static struct id owners[OWNER];

/* ---- rows of every kind ---- */

static bool is_unique(const struct kind *k, const struct field *f)
{
    for (size_t i = 0; i < k->n_indexes; i++)
        for (size_t j = 0; k->indexes[i].unique && j < INDEX_FIELDS && k->indexes[i].fields[j]; j++)
            if (strcmp(k->indexes[i].fields[j], f->name) == 0)
                return true;
    return false;
}

static struct bytes text_for(const struct kind *k, const struct field *f, int i)
{
    if (is_unique(k, f))
        return arena_bytesf(a, "%s-%d", f->name, i);
    if (strcmp(f->name, "status") == 0 && k == &action_kind)
        return i % 16 < 8 ? BYTES("running") : BYTES("done");
    if (strcmp(f->name, "status") == 0)
        return i % 16 < 8 ? BYTES("queued") : BYTES("delivered");
    if (strcmp(f->name, "direction") == 0)
        return i % 16 < 8 ? BYTES("outbound") : BYTES("inbound");
    return arena_bytesf(a, "%s-%d", f->name, i / OWNER % 2);
}

static void fill_field(const struct kind *k, const struct field *f, void *row, int i)
{
    struct value v = { .type = f->type };

    switch (f->type) {
    case FIELD_ID: v.id = f == k->fields ? id_new() : owners[i % OWNER]; break;
    case FIELD_TEXT: v.bytes = text_for(k, f, i); break;
    case FIELD_BYTES: v.bytes = arena_bytesf(a, "%d", i); break;
    case FIELD_JSON: v.bytes = BYTES("{}"); break;
    case FIELD_INT: v.number = i; break;
    case FIELD_BOOL: v.number = i % 2; break;
    case FIELD_TIME: v.number = i % 3 ? 1000 + i : 0; break;
    }
    /* A free delivery */
    if (strcmp(f->name, "lease_until") == 0)
        v.number = 0;
    value_put(f, row, &v);
}

static void fill(const struct kind *k)
{
    struct batch *b = batch_new(a);
    struct err e;

    for (int i = 0; i < ROWS; i++) {
        void *row = arena_alloc(a, k->size);

        for (size_t j = 0; j < k->n_fields; j++)
            fill_field(k, &k->fields[j], row, i);
        batch_insert(b, k, row, NULL, 0);
    }
    if (!store_commit(st, b, clock_monotonic() + 30000, &e))
        die("%s: %s", k->name, e.message);
}

/* ---- asking ---- */

struct cost {
    int64_t returned, examined;
};

static int64_t number_in(const bson_t *doc, const char *path)
{
    bson_iter_t at, deep;

    if (!bson_iter_init(&at, doc) || !bson_iter_find_descendant(&at, path, &deep))
        die("explain says no %s", path);
    return bson_iter_as_int64(&deep);
}

static void explain(const char *name, const bson_t *filter, const bson_t *opts, struct cost *cost)
{
    struct mongo_store *s = (struct mongo_store *)st;
    mongoc_client_t *c = mongo_client(s);
    bson_t find = BSON_INITIALIZER, command = BSON_INITIALIZER, reply;
    bson_error_t why;
    char *text;

    bson_append_utf8(&find, "find", -1, name, -1);
    bson_append_document(&find, "filter", -1, filter);
    bson_concat(&find, opts);
    bson_append_document(&command, "explain", -1, &find);
    bson_append_utf8(&command, "verbosity", -1, "executionStats", -1);
    if (!mongoc_client_command_simple(c, s->database, &command, NULL, &reply, &why))
        fail_msg("%s: %s", name, why.message);
    text = bson_as_relaxed_extended_json(&reply, NULL);
    if (strstr(text, "\"COLLSCAN\"") || strstr(text, "\"SORT\"") || !strstr(text, "\"IXSCAN\""))
        fail_msg("%s: %s", name, text);
    cost->returned += number_in(&reply, "executionStats.nReturned");
    cost->examined += number_in(&reply, "executionStats.totalDocsExamined");
    bson_free(text);
    bson_destroy(&reply);
    bson_destroy(&find);
    bson_destroy(&command);
    mongo_client_back(s, c);
}

static struct cost ask(const struct query *q, const struct claimable *claim)
{
    struct cost cost = { 0, 0 };
    struct pass pass;
    struct plan p;
    struct err e;

    if (!plan_make(q, a, &p, &e))
        fail_msg("%s", e.message);
    for (size_t i = 0; plan_pass(&p, i, &pass); i++) {
        bson_t filter, opts = BSON_INITIALIZER;

        if (!pass.empty && mongo_pass(&p, &pass, claim, q->limit, &filter, &opts)) {
            explain(q->kind->name, &filter, &opts, &cost);
            bson_destroy(&filter);
        }
        bson_destroy(&opts);
    }
    return cost;
}

static void check(struct query *q, const struct claimable *claim)
{
    struct cost cost = ask(q, claim);

    if (cost.returned == 0 || cost.examined > 2 * cost.returned)
        fail_msg("%s.%s: %lld documents for %lld", q->kind->name, q->index ? q->index : "id", (long long)cost.examined,
                 (long long)cost.returned);
}

/* ---- the queries ---- */

/* What the service asks, by which index. IS takes what a row of ours holds, other comparisons what about half of them
 * satisfy. */
static const struct asked {
    const struct kind *kind;
    const char *index; /* NULL: the id */
    struct {
        const char *field;
        enum compare how;
    } conds[3];
} asked[] = {
    { &account_kind, "disabled", { { "disabled", IS } } },
    { &message_kind, "account", { { "account_id", IS } } },
    { &message_kind, "account", { { "account_id", IS }, { "direction", IS } } },
    { &message_kind, "content", { { "content_until", AT_MOST } } },
    { &message_kind, "body", { { "body_id", IS }, { "content_until", IS_NOT } } },
    { &message_kind, "release", { { "release_at", IS_NOT } } },
    { &message_kind, "batch", { { "batch_id", IS } } },
    { &batch_kind, "account", { { "account_id", IS } } },
    { &batch_kind, "slot", { { "slot", IS } } },
    { &batch_kind, "expires", { { "expires_at", AT_MOST } } },
    { &view_kind, "account", { { "account_id", IS } } },
    { &view_kind, "expires", { { "expires_at", AT_MOST } } },
    { &dkim_kind, "domain", { { "domain_id", IS } } },
    { &tag_kind, "label", { { "account_id", IS }, { "label", IS } } },
    { &tag_kind, "message", { { "message_id", IS } } },
    { &delivery_kind, "message", { { "message_id", IS } } },
    { &delivery_kind, "account", { { "account_id", IS } } },
    { &delivery_kind, "email", { { "account_id", IS }, { "email", IS } } },
    { &delivery_kind, "status", { { "account_id", IS }, { "status", IS } } },
    { &entry_kind, "uid", { { "mailbox_id", IS } } },
    { &entry_kind, "uid", { { "mailbox_id", IS }, { "uid", ABOVE } } },
    { &delivery_kind, "flow", { { "flow", IS }, { "send_at", AT_MOST } } },
    { &delivery_kind, "expiry", { { "expires_at", AT_MOST }, { "flow", IS_NOT } } },
    { &entry_kind, "body", { { "body_id", IS } } },
    { &entry_kind, "thread", { { "thread_id", IS } } },
    { &entry_kind, "changed", { { "user_id", IS }, { "changed_modseq", ABOVE }, { "changed_at", IS_NOT } } },
    { &event_kind, "account", { { "account_id", IS } } },
    { &change_kind, "expires", { { "expires_at", AT_MOST } } },
    { &change_kind, "user", { { "user_id", IS }, { "modseq", ABOVE } } },
    { &event_kind, "message", { { "message_id", IS } } },
    { &body_kind, "expires", { { "expires_at", AT_MOST } } },
    { &idempotency_kind, "expires", { { "expires_at", AT_MOST } } },
    { &mailbox_kind, "user", { { "user_id", IS } } },
    { &user_kind, "account", { { "account_id", IS } } },
    { &user_kind, "domain", { { "domain_id", IS } } },
    { &domain_kind, "account", { { "account_id", IS } } },
    { &address_kind, "user", { { "user_id", IS } } },
    { &key_kind, "account", { { "account_id", IS } } },
    { &delivery_kind, "flow", { { "flow", AT_LEAST } } },
    { &delivery_kind, "body", { { "status", ONE_OF } } },
    { &suspension_kind, "account", { { "account_id", IS } } },
    { &action_kind, "account", { { "account_id", IS } } },
    { &action_kind, "running", { { "status", IS } } },
    { &transcript_kind, "delivery", { { "delivery_id", IS } } },
    { &route_kind, "account", { { "account_id", IS } } },
    { &template_kind, "account", { { "account_id", IS } } },
    { &template_kind, "layout", { { "layout_id", IS } } },
    { &template_version_kind, "account", { { "account_id", IS } } },
    { &template_version_kind, "template", { { "template_id", IS } } },
    { &template_version_kind, "number", { { "template_id", IS }, { "number", AT_MOST } } },
    { &layout_kind, "account", { { "account_id", IS } } },
    { &partial_kind, "account", { { "account_id", IS } } },
    { &stream_kind, "account", { { "account_id", IS } } },
    { &stream_kind, "paused", { { "paused_at", IS_NOT } } },
    { &stream_kind, "paced", { { "recipients_per_second", ABOVE } } },
    { &suppression_kind, "account", { { "account_id", IS } } },
    { &suppression_kind, "account", { { "account_id", IS }, { "created_at", AT_LEAST } } },
    { &suppression_kind, "email", { { "account_id", IS }, { "email", IS } } },
    /* the look-ups of each mail and login, by unique keys */
    { &address_kind, "address", { { "address", IS } } },
    { &template_kind, "alias", { { "account_id", IS }, { "alias", IS } } },
    { &template_version_kind, "number", { { "template_id", IS }, { "number", IS } } },
    { &partial_kind, "name", { { "account_id", IS }, { "name", IS } } },
    { &stream_kind, "slug", { { "account_id", IS }, { "slug", IS } } },
    { &user_kind, "address", { { "address", IS } } },
    { &domain_kind, "name", { { "name", IS } } },
    { &key_kind, "hash", { { "hash", IS } } },
    { &dkim_kind, "selector", { { "domain_id", IS }, { "selector", IS } } },
    { &idempotency_kind, "slot", { { "slot", IS } } },
    { &mailbox_kind, "role", { { "user_id", IS }, { "role", IS } } },
    { &mailbox_kind, "slot", { { "user_id", IS }, { "slot", IS } } },
    { &setting_kind, "name", { { "name", IS } } },
    /* sweeps, checks before a delete, histories */
    { &delivery_kind, "body", { { "body_id", IS }, { "status", ONE_OF } } },
    { &tag_kind, "expires", { { "expires_at", AT_MOST } } },
    { &limit_kind, "expires", { { "expires_at", AT_MOST } } },
    { &stream_day_kind, "expires", { { "expires_at", AT_MOST } } },
    { &poke_kind, "expires", { { "expires_at", AT_MOST } } },
    { &throttle_kind, "expires", { { "expires_at", AT_MOST } } },
    { &domain_kind, "check", { { "check_at", AT_MOST } } },
    { &suppression_kind, "expires", { { "expires_at", AT_MOST } } },
    { &suppression_import_kind, "due", { { "due_at", AT_MOST } } },
    { &suppression_import_kind, "open", { { "account_id", IS }, { "due_at", IS_NOT } } },
    { &suppression_import_kind, "expires", { { "expires_at", AT_MOST } } },
    { &action_kind, "expires", { { "expires_at", AT_MOST } } },
    { &transcript_kind, "expires", { { "expires_at", AT_MOST } } },
    { &path_kind, "expires", { { "expires_at", AT_MOST } } },
    { &nudge_kind, "expires", { { "expires_at", AT_MOST } } },
    { &address_kind, "account", { { "account_id", IS } } },
    { &address_kind, "domain", { { "domain_id", IS } } },
    { &setting_change_kind, "name", { { "name", IS } } },
    /* lists by id */
    { .kind = &account_kind },
    { .kind = &delivery_kind },
    { .kind = &setting_kind },
};
#define ASKED (sizeof asked / sizeof *asked)

static struct cond cond_of(const struct kind *k, const char *name, enum compare how)
{
    static const char *const open_states[] = { "queued", "sending", "deferred", "held" };
    const struct field *f = kind_field(k, name);
    void *row = arena_alloc(a, k->size);
    struct value *list;

    switch (how) {
    case IS: fill_field(k, f, row, OWNER - 1); return COND(name, IS, value_of(f, row));
    case IS_NOT: return COND(name, IS_NOT, ((struct value){ .type = f->type }));
    case ONE_OF:
        list = arena_array(a, 4, sizeof *list);
        for (size_t i = 0; i < 4; i++)
            list[i] = V_TEXT(bytes_of(open_states[i]));
        return COND_ONE_OF(name, list, 4);
    default:
        if (f->type == FIELD_TEXT) {
            fill_field(k, f, row, OWNER - 1);
            return COND(name, how, value_of(f, row));
        }
        return COND(name, how, f->type == FIELD_TIME ? V_TIME(1000 + ROWS / 2) : V_INT(100));
    }
}

static struct query query_of(const struct asked *row)
{
    struct query q = { .kind = row->kind, .index = row->index };

    for (size_t i = 0; i < 3 && row->conds[i].field; i++)
        q.conds[q.n_conds++] = cond_of(row->kind, row->conds[i].field, row->conds[i].how);
    return q;
}

static void every_query_has_its_index(void **state)
{
    (void)state;
    for (size_t i = 0; i < ASKED; i++)
        for (int down = 0; down < 2; down++) {
            struct query q = query_of(&asked[i]);

            q.limit = 20;
            q.descending = down;
            check(&q, NULL);
        }
}

/* An index is there because something is asked by it: no query of the service is left out here. */
static void every_index_is_asked(void **state)
{
    (void)state;
    for (const struct kind *const *k = all_kinds; *k; k++)
        for (size_t i = 0; i < (*k)->n_indexes; i++) {
            const char *name = (*k)->indexes[i].name;
            bool is = *k == &delivery_kind && strcmp(name, "due") == 0; /* below, as a claim */

            is = is || (*k)->indexes[i].feed; /* below, as a part of the feed */
            for (size_t j = 0; j < ASKED; j++)
                is = is || (asked[j].kind == *k && asked[j].index && strcmp(asked[j].index, name) == 0);
            if (!is)
                fail_msg("nothing is asked by %s.%s", (*k)->name, name);
        }
}

/* What is new of one account costs what it is. */
static void a_part_of_the_feed_has_its_index(void **state)
{
    bson_t *filter = BCON_NEW("_seq", "{", "$gt", BCON_INT64(0), "}");
    bson_t *opts = BCON_NEW("sort", "{", "_seq", BCON_INT32(1), "}", "hint", "feed");
    struct cost cost = { 0, 0 };

    (void)state;
    document_value(filter, "account_id", &V_ID(owners[3]));
    explain("event", filter, opts, &cost);
    assert_int_equal(cost.returned, ROWS / OWNER);
    assert_int_equal(cost.examined, ROWS / OWNER);
    bson_destroy(filter);
    bson_destroy(opts);
}

/* ---- sharding ---- */

static void check_unique(const char *collection, const bson_t *index, char *first, size_t room)
{
    bson_iter_t at, key;
    char name[64] = "";

    if (!bson_iter_init_find(&at, index, "unique") || !bson_iter_as_bool(&at))
        return;
    assert_true(bson_iter_init_find(&at, index, "key") && bson_iter_recurse(&at, &key) && bson_iter_next(&key));
    snprintf(name, sizeof name, "%s", bson_iter_key(&key));
    if (bson_iter_as_int64(&key) != 1)
        fail_msg("%s.%s is no range", collection, name);
    if (*first && strcmp(first, name) != 0)
        fail_msg("%s has unique indexes that begin with %s and %s: no shard key is a prefix of both", collection, first,
                 name);
    snprintf(first, room, "%s", name);
}

/* A unique index of a sharded collection begins with the shard key. What the server has is looked at, not our tables:
 * of each collection all unique indexes begin with one and the same field, of one value in each row, ascending. */
static void nothing_forbids_sharding(void **state)
{
    struct mongo_store *s = (struct mongo_store *)st;
    mongoc_client_t *client = mongo_client(s);
    mongoc_database_t *database = mongoc_client_get_database(client, s->database);
    bson_error_t why;
    char **names = mongoc_database_get_collection_names_with_opts(database, NULL, &why);

    (void)state;
    assert_non_null(names);
    for (size_t i = 0; names[i]; i++) {
        mongoc_collection_t *c = mongoc_database_get_collection(database, names[i]);
        mongoc_cursor_t *cursor = mongoc_collection_find_indexes_with_opts(c, NULL);
        const bson_t *index;
        char first[64] = "";

        while (mongoc_cursor_next(cursor, &index))
            check_unique(names[i], index, first, sizeof first);
        mongoc_cursor_destroy(cursor);
        mongoc_collection_destroy(c);
    }
    bson_strfreev(names);
    mongoc_database_destroy(database);
    mongo_client_back(s, client);
}

/* The page behind a cursor costs what the first costs. */
static void every_page_costs_the_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < ASKED; i++) {
        struct query q = query_of(&asked[i]);
        struct err e;
        void *rows;
        size_t found;

        q.limit = 10;
        if (!store_find(st, &q, a, &rows, &found, &e))
            fail_msg("%s", e.message);
        if (found < q.limit)
            continue;
        q.after = store_cursor(&q, (char *)rows + (found - 1) * q.kind->size, a);
        check(&q, NULL);
    }
}

static void claims_have_their_index(void **state)
{
    struct query q = { .kind = &delivery_kind, .index = "due", .limit = 20, .n_conds = 1 };
    struct claim claim = { .due = "due_at", .lease = "lease_until", .token = "token", .holder = "holder" };
    struct claimable able = { &claim, 1000 + ROWS / 2 };

    (void)state;
    q.conds[0] = COND("due_at", IS_NOT, V_TIME(0));
    claim.query = q;
    check(&q, &able);
    q.index = "flow";
    q.n_conds = 2;
    q.conds[0] = cond_of(&delivery_kind, "flow", IS);
    q.conds[1] = COND("send_at", IS_NOT, V_TIME(0));
    claim.due = "send_at";
    claim.query = q;
    check(&q, &able);
    q = (struct query){ .kind = &message_kind, .index = "release", .limit = 20, .n_conds = 1 };
    q.conds[0] = COND("release_at", IS_NOT, V_TIME(0));
    claim.due = "release_at";
    claim.query = q;
    check(&q, &able);
}

int main(void)
{
    struct net_options o = { .loops = 1, .store_workers = 4, .cpu_workers = 1, .fibers_max = 100 };
    struct store_options so = { .url = mongod.uri, .kinds = all_kinds, .schema = 1, .node = id_new(), .readers = 1 };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_query_has_its_index),        cmocka_unit_test(every_index_is_asked),
        cmocka_unit_test(a_part_of_the_feed_has_its_index), cmocka_unit_test(nothing_forbids_sharding),
        cmocka_unit_test(every_page_costs_the_same),        cmocka_unit_test(claims_have_their_index)
    };
    struct err e;
    int failed;

    if (!mongod_start(&mongod, 1))
        return MONGOD_NONE;
    params_init();
    a = arena_new(256 << 20);
    if (!net_start(&o, &e) || !store_open(&so, &st, &e))
        die("%s", e.message);
    for (int i = 0; i < OWNER; i++)
        owners[i] = id_new();
    for (const struct kind *const *k = all_kinds; *k; k++)
        fill(*k);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    store_close(&st);
    arena_free(&a);
    net_stop();
    mongod_stop(&mongod);
    return failed;
}
