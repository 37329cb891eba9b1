/* Claims: candidates are looked up, then taken one document at a time by the server, each only if it is still due and
 * free by the server's own clock; what carries our mark afterwards is ours. Nothing is locked meanwhile: of two nodes
 * that looked up the same row one finds it taken, and has a row less. */
#include "net/fiber.h"
#include "store/mongo/mongo.h"

struct errand {
    struct mongo_store *store;
    mongoc_client_t *client;
    mongoc_collection_t *collection;
    const struct claim *claim;
    const struct plan *plan;
    struct arena *arena;
    struct rows *out;
    bool ok;
    struct err *e;
};

static bool find_whole(struct errand *r, const struct claimable *able, struct gather *g)
{
    struct pass pass;
    bool ok = true;

    for (size_t i = 0; ok && g->n < r->plan->query->limit && plan_pass(r->plan, i, &pass); i++) {
        bson_t filter, opts = BSON_INITIALIZER;

        if (pass.empty)
            continue;
        if (mongo_pass(r->plan, &pass, able, r->plan->query->limit - g->n, &filter, &opts))
            ok = mongo_read(r->store, r->collection, &filter, &opts, mongo_claim_fields(r->claim), g, r->arena, r->e);
        bson_destroy(&filter);
        bson_destroy(&opts);
    }
    return ok;
}

/* ---- many values, each with a limit: one aggregation, a union of the finds ---- */

struct stages {
    bson_t list;
    uint32_t n;
};

static void append_stage(struct stages *s, const char *name, const bson_iter_t *value)
{
    char room[16];
    const char *key;
    bson_t stage;

    bson_uint32_to_string(s->n++, &key, room, sizeof room);
    bson_append_document_begin(&s->list, key, -1, &stage);
    bson_append_iter(&stage, name, -1, value);
    bson_append_document_end(&s->list, &stage);
}

/* What a find with this filter and these options would do. */
static void append_find(struct stages *s, const bson_t *filter, const bson_t *opts)
{
    static const char *const names[][2] = { { "sort", "$sort" }, { "limit", "$limit" }, { "projection", "$project" } };
    bson_t match = BSON_INITIALIZER;
    bson_iter_t at;

    bson_append_document(&match, "m", -1, filter);
    if (bson_iter_init_find(&at, &match, "m"))
        append_stage(s, "$match", &at);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (bson_iter_init_find(&at, opts, names[i][0]))
            append_stage(s, names[i][1], &at);
    bson_destroy(&match);
}

static void append_union(struct stages *s, const char *collection, const struct stages *part)
{
    bson_t outer = BSON_INITIALIZER, with;
    bson_iter_t at;

    bson_append_document_begin(&outer, "u", -1, &with);
    bson_append_utf8(&with, "coll", -1, collection, -1);
    bson_append_array(&with, "pipeline", -1, &part->list);
    bson_append_document_end(&outer, &with);
    if (bson_iter_init_find(&at, &outer, "u"))
        append_stage(s, "$unionWith", &at);
    bson_destroy(&outer);
}

static bool append_part(struct errand *r, size_t i, const struct claimable *able, struct stages *all)
{
    struct stages part = { .list = BSON_INITIALIZER };
    bson_t filter = BSON_INITIALIZER, opts = BSON_INITIALIZER;
    struct query q;
    struct plan p;
    struct pass pass;
    bool ok = true;

    if (claim_part(r->claim, i, r->claim->query.limit, &q)) {
        ok = plan_make(&q, r->arena, &p, r->e);
        if (ok && plan_pass(&p, 0, &pass) && !pass.empty) {
            bson_destroy(&filter);
            if (mongo_pass(&p, &pass, able, q.limit, &filter, &opts)) {
                append_find(all->n ? &part : all, &filter, &opts);
                if (part.n)
                    append_union(all, q.kind->name, &part);
            }
        }
    }
    bson_destroy(&filter);
    bson_destroy(&opts);
    bson_destroy(&part.list);
    return ok;
}

static bool read_parts(struct errand *r, const struct stages *all, struct gather *g)
{
    mongoc_cursor_t *cursor;
    const bson_t *doc;
    bson_error_t why;
    bool ok = true;
    bson_t opts = BSON_INITIALIZER, pipeline = BSON_INITIALIZER;

    bson_append_array(&pipeline, "pipeline", -1, &all->list);
    bson_append_int64(&opts, "batchSize", -1, (int64_t)r->claim->query.limit);
    cursor = mongoc_collection_aggregate(r->collection, MONGOC_QUERY_NONE, &pipeline, &opts, NULL);
    while (ok && g->n < r->claim->query.limit && mongoc_cursor_next(cursor, &doc))
        ok = document_to_row(doc, g->kind, mongo_claim_fields(r->claim), r->arena, gather_add(g), r->e);
    if (ok && mongoc_cursor_error(cursor, &why))
        ok = mongo_err(r->store, &why, r->e);
    mongoc_cursor_destroy(cursor);
    bson_destroy(&pipeline);
    bson_destroy(&opts);
    return ok;
}

static bool find_parts(struct errand *r, const struct claimable *able, struct gather *g)
{
    struct stages all = { .list = BSON_INITIALIZER };
    bool ok = true;

    for (size_t i = 0; ok && i < claim_parts(r->claim); i++)
        ok = append_part(r, i, able, &all);
    ok = ok && (all.n == 0 || read_parts(r, &all, g));
    bson_destroy(&all.list);
    return ok;
}

static bool find_candidates(struct errand *r, struct gather *g)
{
    struct claimable able = { r->claim, mongo_now(&r->store->store) };

    return r->claim->each ? find_parts(r, &able, g) : find_whole(r, &able, g);
}

/* ---- taking ---- */

static void append_ids(bson_t *filter, const struct gather *g)
{
    bson_t in, list;
    char room[16];
    const char *key;

    bson_append_document_begin(filter, "_id", -1, &in);
    bson_append_array_begin(&in, "$in", -1, &list);
    for (size_t i = 0; i < g->n; i++) {
        struct value id = value_of(&g->kind->fields[0], g->rows + i * g->kind->size);

        bson_uint32_to_string((uint32_t)i, &key, room, sizeof room);
        document_id(&list, key, id.id);
    }
    bson_append_array_end(&in, &list);
    bson_append_document_end(filter, &in);
}

/* Due, and lease null (absent is below all) or past, by the server's clock. */
static void append_free(bson_t *filter, const struct errand *r)
{
    const struct claim *c = r->claim;
    char due[128], lease[128];

    snprintf(due, sizeof due, "$%s", c->due);
    snprintf(lease, sizeof lease, "$%s", c->lease);
    BCON_APPEND(filter, c->due, "{", "$exists", BCON_BOOL(true), "}", "$expr", "{", "$and", "[", "{", "$lte", "[",
                BCON_UTF8(due), "$$NOW", "]", "}", "{", "$lte", "[", BCON_UTF8(lease), "$$NOW", "]", "}", "]", "}");
}

/* lease = due = now + lease_ms; lapsed = the lease of before; token = max(token, epoch) + 1; holder = we; _claim = this
 * one. */
static void append_taking(bson_t *pipeline, const struct errand *r, struct id mark)
{
    const struct claim *c = r->claim;
    char token[128], lease[128];
    bson_t stage, set;

    snprintf(token, sizeof token, "$%s", c->token);
    snprintf(lease, sizeof lease, "$%s", c->lease);
    bson_append_document_begin(pipeline, "0", 1, &stage);
    bson_append_document_begin(&stage, "$set", -1, &set);
    BCON_APPEND(&set, c->lease, "{", "$add", "[", "$$NOW", BCON_INT64(c->lease_ms), "]", "}", c->due, "{", "$add", "[",
                "$$NOW", BCON_INT64(c->lease_ms), "]", "}", c->token, "{", "$add", "[", "{", "$max", "[",
                BCON_UTF8(token), BCON_INT64(r->store->epoch), "]", "}", BCON_INT64(1), "]", "}");
    if (c->lapsed)
        BCON_APPEND(&set, c->lapsed, "{", "$ifNull", "[", BCON_UTF8(lease), "$$REMOVE", "]", "}");
    document_id(&set, c->holder, r->store->node);
    document_id(&set, "_claim", mark);
    bson_append_document_end(&stage, &set);
    bson_append_document_end(pipeline, &stage);
}

static bool claim_take(struct errand *r, const struct gather *g, struct id mark)
{
    bson_t filter = BSON_INITIALIZER, pipeline = BSON_INITIALIZER;
    bson_error_t why;
    bool ok;

    append_ids(&filter, g);
    append_free(&filter, r);
    append_taking(&pipeline, r, mark);
    ok = mongoc_collection_update_many(r->collection, &filter, &pipeline, NULL, NULL, &why) ||
         mongo_err(r->store, &why, r->e);
    bson_destroy(&filter);
    bson_destroy(&pipeline);
    return ok;
}

static bool read_taken(struct errand *r, const struct gather *candidates, struct id mark, struct gather *taken)
{
    bson_t filter = BSON_INITIALIZER, opts = BSON_INITIALIZER;
    const struct kind *k = candidates->kind;
    uint64_t fields = mongo_claim_fields(r->claim);
    bool ok;

    append_ids(&filter, candidates);
    document_id(&filter, "_claim", mark);
    document_projection(&opts, k, fields);
    bson_append_int64(&opts, "batchSize", -1, (int64_t)candidates->n);
    ok = mongo_read(r->store, r->collection, &filter, &opts, fields, taken, r->arena, r->e);
    bson_destroy(&filter);
    bson_destroy(&opts);
    return ok;
}

/* In the candidates' order, and due when they were. */
static void put_in_order(const struct gather *candidates, const char *due, struct gather *taken)
{
    const struct kind *k = candidates->kind;
    const struct field *when = kind_field(k, due);
    struct gather sorted = { .kind = k };
    size_t id = k->fields[0].offset;

    for (size_t i = 0; i < candidates->n; i++)
        for (size_t j = 0; j < taken->n; j++)
            if (memcmp(candidates->rows + i * k->size + id, taken->rows + j * k->size + id, sizeof(struct id)) == 0) {
                struct value before = value_of(when, candidates->rows + i * k->size);
                void *row = memcpy(gather_add(&sorted), taken->rows + j * k->size, k->size);

                value_put(when, row, &before);
            }
    free(taken->rows);
    *taken = sorted;
}

static void run(void *arg)
{
    struct errand *r = arg;
    const struct kind *k = r->claim->query.kind;
    struct gather candidates = { .kind = k }, taken = { .kind = k };
    struct id mark = id_new();

    r->client = mongo_reach(r->store, r->e);
    if (!r->client)
        return;
    r->collection = mongo_collection(r->store, r->client, k->name);
    r->ok = find_candidates(r, &candidates);
    if (r->ok && candidates.n)
        r->ok = claim_take(r, &candidates, mark) && read_taken(r, &candidates, mark, &taken);
    if (r->ok)
        put_in_order(&candidates, r->claim->due, &taken);
    free(candidates.rows);
    r->ok = gather_end(&taken, r->ok, r->arena, r->out, r->e);
    mongoc_collection_destroy(r->collection);
    mongo_leave(r->store, r->client);
}

bool mongo_claim(struct store *st, const struct claim *claim, struct plan *p, struct arena *a, struct rows *out,
                 struct err *e)
{
    struct errand r = { .store = (struct mongo_store *)st, .claim = claim, .plan = p, .arena = a, .out = out, .e = e };

    return offload(POOL_STORE, run, &r, e) && r.ok;
}
