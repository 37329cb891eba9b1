/* store/mongo/alone.c - counters that the only batch of a group raises, read and raised in one call.
 *
 * A round trip costs more than the row that it carries, and a lone mail makes a dozen. The rows of its user and mailbox
 * are read for nothing but to be raised: findAndModify answers what was there, and has raised it. What the batch makes
 * of that is judged in memory as always (group.c). Should it fail there, by a bound or a condition, the transaction is
 * given up and the batch runs again in the ordinary way, which tells what is wrong with it. */
#include "store/mongo/apply.h"

/* Longer batches are not searched for rows that they name once. Slots of the batch, a bit each. */
enum { OPS_MOST = 64, SLOTS_MOST = 64 };

struct raising {
    struct attempt *t;
    struct batch *batch;
    uint64_t known; /* slots that are filled */
};

static bool is_named_once(const struct batch *b, const struct op *op)
{
    for (size_t i = 0; i < b->n; i++)
        if (&b->ops[i] != op && b->ops[i].kind == op->kind && id_equal(b->ops[i].id, op->id))
            return false;
    return true;
}

/* What the server can work out as group.c does: sums that only grow, and values that are known by now. */
static bool can_set(const struct raising *r, const struct op *op, size_t i)
{
    const struct set *s = &op->sets[i];

    if (keys_fields(op->kind) >> (op->set_fields[i] - op->kind->fields) & 1)
        return false;
    switch (s->how) {
    case SET_VALUE: return true;
    case SET_ADD: return s->value.number >= 0 && s->slot < SLOTS_MOST;
    case SET_FROM_SLOT: return s->slot < SLOTS_MOST && r->known >> s->slot & 1;
    }
    return false;
}

static bool can_raise(const struct raising *r, const struct op *op)
{
    if (op->type != OP_UPDATE || !is_named_once(r->batch, op))
        return false;
    for (size_t i = 0; i < op->n_sets; i++)
        if (!can_set(r, op, i))
            return false;
    return true;
}

/* As append_update writes it: null as nothing, and a mark where the sums may end where they began. */
static void append_sets(const struct raising *r, const struct op *op, bson_t *set, bson_t *unset, bson_t *inc)
{
    bool held = op->n_conds > 0;

    for (size_t i = 0; i < op->n_sets; i++) {
        const struct set *s = &op->sets[i];
        const struct field *f = op->set_fields[i];
        struct value v = s->value;

        held = held || s->bounded || (s->how == SET_ADD && s->value.number == 0);
        if (s->how == SET_FROM_SLOT)
            v = (struct value){ .type = f->type, .number = batch_from_slot(r->batch, s) };
        if (s->how == SET_ADD)
            bson_append_int64(inc, f->name, -1, v.number);
        else if (value_is_null(&v))
            bson_append_bool(unset, f->name, -1, true);
        else
            document_value(set, f->name, &v);
    }
    if (held)
        bson_append_int32(inc, "_w", -1, 1);
}

static void build_update(const struct raising *r, const struct op *op, bson_t *update)
{
    bson_t set = BSON_INITIALIZER, unset = BSON_INITIALIZER, inc = BSON_INITIALIZER;

    append_sets(r, op, &set, &unset, &inc);
    if (!bson_empty(&set))
        bson_append_document(update, "$set", -1, &set);
    if (!bson_empty(&unset))
        bson_append_document(update, "$unset", -1, &unset);
    if (!bson_empty(&inc))
        bson_append_document(update, "$inc", -1, &inc);
    bson_destroy(&set);
    bson_destroy(&unset);
    bson_destroy(&inc);
}

static mongoc_find_and_modify_opts_t *build_opts(struct raising *r, const struct op *op, uint64_t fields)
{
    mongoc_find_and_modify_opts_t *opts = mongoc_find_and_modify_opts_new();
    bson_t update = BSON_INITIALIZER, projection = BSON_INITIALIZER, only;
    bson_iter_t at;

    build_update(r, op, &update);
    document_projection(&projection, op->kind, fields);
    mongoc_find_and_modify_opts_set_update(opts, &update);
    if (bson_iter_init_find(&at, &projection, "projection")) {
        uint32_t n;
        const uint8_t *p;

        bson_iter_document(&at, &n, &p);
        if (bson_init_static(&only, p, n))
            mongoc_find_and_modify_opts_set_fields(opts, &only);
    }
    mongoc_find_and_modify_opts_append(opts, &r->t->session);
    bson_destroy(&update);
    bson_destroy(&projection);
    return opts;
}

/* The row as it was; one that is not there fails when the batch is judged. */
static enum applied take_answer(struct raising *r, const struct op *op, struct row_state *s, const bson_t *reply)
{
    bson_iter_t at;
    uint32_t n;
    const uint8_t *p;
    bson_t doc;

    s->need = 0;
    if (!bson_iter_init_find(&at, reply, "value") || !BSON_ITER_HOLDS_DOCUMENT(&at))
        return APPLIED;
    bson_iter_document(&at, &n, &p);
    if (!bson_init_static(&doc, p, n) || !attempt_take_row(r->t, op->kind, &doc))
        return CONFLICT;
    s->raised = r->t->raised = true;
    for (size_t i = 0; i < op->n_sets; i++)
        if (op->sets[i].how == SET_ADD && op->sets[i].slot >= 0) {
            r->batch->slots[op->sets[i].slot] = value_of(op->set_fields[i], s->row).number + op->sets[i].value.number;
            r->known |= (uint64_t)1 << op->sets[i].slot;
        }
    return APPLIED;
}

static enum applied raise_one(struct raising *r, const struct op *op)
{
    struct row_state *s = group_row(&r->t->group, op->kind, op->id);
    mongoc_collection_t *c = attempt_collection(r->t, op->kind->name);
    mongoc_find_and_modify_opts_t *opts = build_opts(r, op, s->need);
    bson_t filter = BSON_INITIALIZER, reply;
    bson_error_t why;
    enum applied result;

    document_id(&filter, "_id", op->id);
    if (mongoc_collection_find_and_modify_with_opts(c, &filter, opts, &reply, &why))
        result = take_answer(r, op, s, &reply);
    else
        result = attempt_broke(r->t, &why);
    bson_destroy(&reply);
    bson_destroy(&filter);
    mongoc_find_and_modify_opts_destroy(opts);
    mongoc_collection_destroy(c);
    return result;
}

enum applied raise_alone(struct attempt *t, struct job *j)
{
    struct raising r = { .t = t, .batch = j->batch };
    enum applied result = APPLIED;

    for (size_t i = 0; result == APPLIED && j->batch->n <= OPS_MOST && i < j->batch->n; i++)
        if (can_raise(&r, &j->batch->ops[i]))
            result = raise_one(&r, &j->batch->ops[i]);
    /* What the server cannot work out, a number that would be too high, is not the batch's fault. */
    return result == CONFLICT && t->e->code != ERR_BUSY ? REFUSED : result;
}
