/* Claims: candidates are looked up, then taken one document at a time by the server, each only if it is still due and
 * free by the server's own clock; what carries our mark afterwards is ours. */
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

static bool find_candidates(struct errand *r, struct gather *g)
{
    struct claimable able = { r->claim, mongo_now(&r->store->store) };
    struct pass pass;
    bool ok = true;

    for (size_t i = 0; ok && g->n < r->plan->query->limit && plan_pass(r->plan, i, &pass); i++) {
        bson_t filter, opts = BSON_INITIALIZER;

        if (pass.empty)
            continue;
        if (mongo_pass(r->store, r->plan, &pass, &able, r->plan->query->limit - g->n, &filter, &opts))
            ok = mongo_read(r->store, r->collection, &filter, &opts, document_fields(g->kind, r->plan->query->only), g,
                            r->arena, r->e);
        bson_destroy(&filter);
        bson_destroy(&opts);
    }
    return ok;
}

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

/* { $or: [ lease is null, lease <= now, ours of before our start ] } by the server's clock. */
static void append_free(bson_t *filter, const struct errand *r)
{
    const struct claim *c = r->claim;
    char due[128], lease[128];
    bson_t either, one, test;

    snprintf(due, sizeof due, "$%s", c->due);
    snprintf(lease, sizeof lease, "$%s", c->lease);
    BCON_APPEND(filter, c->due, "{", "$exists", BCON_BOOL(true), "}", "$expr", "{", "$lte", "[", BCON_UTF8(due),
                "$$NOW", "]", "}");
    bson_append_array_begin(filter, "$or", -1, &either);
    bson_append_document_begin(&either, "0", 1, &one);
    BCON_APPEND(&one, "$expr", "{", "$lte", "[", BCON_UTF8(lease), "$$NOW", "]", "}"); /* absent is below all */
    bson_append_document_end(&either, &one);
    bson_append_document_begin(&either, "1", 1, &one);
    document_id(&one, c->holder, r->store->node);
    bson_append_document_begin(&one, c->token, -1, &test);
    bson_append_int64(&test, "$lte", -1, r->store->epoch);
    bson_append_document_end(&one, &test);
    bson_append_document_end(&either, &one);
    bson_append_array_end(filter, &either);
}

/* lease = now + lease_ms; token = max(token, epoch) + 1; holder = we; _claim = this one. */
static void append_taking(bson_t *pipeline, const struct errand *r, struct id mark)
{
    const struct claim *c = r->claim;
    char token[128];
    bson_t stage, set;

    snprintf(token, sizeof token, "$%s", c->token);
    bson_append_document_begin(pipeline, "0", 1, &stage);
    bson_append_document_begin(&stage, "$set", -1, &set);
    BCON_APPEND(&set, c->lease, "{", "$add", "[", "$$NOW", BCON_INT64(c->lease_ms), "]", "}", c->token, "{", "$add",
                "[", "{", "$max", "[", BCON_UTF8(token), BCON_INT64(r->store->epoch), "]", "}", BCON_INT64(1), "]",
                "}");
    document_id(&set, c->holder, r->store->node);
    document_id(&set, "_claim", mark);
    bson_append_document_end(&stage, &set);
    bson_append_document_end(pipeline, &stage);
}

static bool take(struct errand *r, const struct gather *g, struct id mark)
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
    uint64_t fields = document_fields(k, r->plan->query->only);
    bool ok;

    fields |= 1 | (uint64_t)1 << (kind_field(k, r->claim->lease) - k->fields) |
              (uint64_t)1 << (kind_field(k, r->claim->token) - k->fields) |
              (uint64_t)1 << (kind_field(k, r->claim->holder) - k->fields);
    append_ids(&filter, candidates);
    document_id(&filter, "_claim", mark);
    document_projection(&opts, k, fields);
    bson_append_int64(&opts, "batchSize", -1, (int64_t)candidates->n);
    ok = mongo_read(r->store, r->collection, &filter, &opts, fields, taken, r->arena, r->e);
    bson_destroy(&filter);
    bson_destroy(&opts);
    return ok;
}

/* In the candidates' order. */
static void put_in_order(const struct gather *candidates, struct gather *taken)
{
    const struct kind *k = candidates->kind;
    struct gather sorted = { .kind = k };
    size_t id = k->fields[0].offset;

    for (size_t i = 0; i < candidates->n; i++)
        for (size_t j = 0; j < taken->n; j++)
            if (memcmp(candidates->rows + i * k->size + id, taken->rows + j * k->size + id, sizeof(struct id)) == 0)
                memcpy(gather_add(&sorted), taken->rows + j * k->size, k->size);
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
        r->ok = take(r, &candidates, mark) && read_taken(r, &candidates, mark, &taken);
    if (r->ok)
        put_in_order(&candidates, &taken);
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
