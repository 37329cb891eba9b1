/* store/mongo/apply.h - one try to write a group: apply.c reads and judges, in alone.c with fewer calls for one batch;
 * lookup.c asks for unique keys beforehand, write.c writes. All run in the committer's thread, within its
 * transaction. */
#ifndef STORE_MONGO_APPLY_H
#define STORE_MONGO_APPLY_H
#include "store/mongo/mongo.h"

struct attempt {
    struct mongo_store *store;
    mongoc_client_t *client;
    bson_t session; /* options that put a call into the transaction */
    struct group group;
    struct arena *arena;
    struct err *e;
    bool raised; /* rows were written before the batch was judged: alone.c */
};

/* What a failure means for the group; fills t->e. */
enum applied attempt_broke(struct attempt *t, const bson_error_t *why);
/* The row's unique key is taken: the job that gave it the key has ended. */
enum applied attempt_refuse(struct attempt *t, struct row_state *s, const char *index);
mongoc_collection_t *attempt_collection(struct attempt *t, const char *name);
/* A document that was read becomes the row's state; false: t->e says what is wrong with it. */
bool attempt_take_row(struct attempt *t, const struct kind *k, const bson_t *doc);

/* ---- alone.c ---- */

/* Raises the counters of the group's only job, before anything is read. REFUSED: not in this way. */
enum applied raise_alone(struct attempt *t, struct job *j);

/* ---- lookup.c ---- */

/* All jobs that fail by a unique key at once, where the server would name one at a time, and abort for each. */
enum applied lookup_keys(struct attempt *t);

/* ---- write.c ---- */

enum applied write_group(struct attempt *t, const struct lane *lane, int64_t *seq);
#endif
