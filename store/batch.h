/* store/batch.h - the inside of a batch, for engines: operations in order, with the fields they name already found.
 *
 * A batch belongs to its caller until store_commit, and to the engine until that returns. An engine may apply it more
 * than once (an aborted group): slots are written anew each time. */
#ifndef STORE_BATCH_H
#define STORE_BATCH_H
#include "store/store.h"

enum op_type { OP_INSERT, OP_UPDATE, OP_RAISE, OP_DELETE, OP_REQUIRE, OP_BLOB_PUT, OP_BLOB_DELETE, OP_BLOB_REQUIRE };

/* Limits of one operation; more is a broken promise. */
#define OP_CONDS    16
#define OP_SETS     32
#define BATCH_SLOTS 4096

struct op {
    enum op_type type;
    const struct kind *kind;
    struct id id;
    const void *row;
    const struct cond *conds;
    const struct field **cond_fields; /* beside conds */
    size_t n_conds;
    const struct set *sets;
    const struct field **set_fields; /* beside sets */
    size_t n_sets;
    unsigned chunk; /* of OP_BLOB_REQUIRE: how many */
    int64_t mark;
    struct bytes bytes;
};

struct batch {
    struct arena *arena;
    struct op *ops;
    size_t n, cap;
    int64_t *slots;
    size_t n_slots, cap_slots;
    size_t weight;
    bool lazy;
    struct batch_failure failure;
};

/* What FROM_SLOT writes. */
int64_t batch_from_slot(const struct batch *b, const struct set *s);
void batch_forget(struct batch *b); /* before it is applied (again) */
/* Notes why operation `i` failed and fills e with ERR_CONFLICT; false. */
bool batch_fails(struct batch *b, size_t i, enum batch_fault fault, const char *name, struct err *e);
/* An OP_RAISE whose row is not there, or counts as such: are the bounds kept by what it begins with? Then its slots are
 * filled, and the engine writes op->row. Otherwise fills e; false. */
bool batch_begins(struct batch *b, size_t i, struct err *e);
/* Judges an update, delete or require that touched no row: `row` is what is there now (NULL: nothing), with the fields
 * that the operation names. Fills e; false. */
bool batch_judge(struct batch *b, size_t i, const void *row, struct err *e);
#endif
