/* store/mongo/schema.h - what making a database (schema.c) and its indexes (index.c) share. One thread, at start. */
#ifndef STORE_MONGO_SCHEMA_H
#define STORE_MONGO_SCHEMA_H
#include "store/mongo/mongo.h"

struct making {
    struct mongo_store *store;
    mongoc_client_t *client;
    mongoc_database_t *database;
    bson_t opts;   /* majority, journaled, patient */
    bson_t listed; /* the collections that were there, each under its name */
};
/* Fills e with what to do about it; false. */
bool making_failed(struct making *m, const bson_error_t *why, struct err *e);
bool making_done(struct making *m, const bson_t *command, bson_error_t *why);
/* The same, where a collection that is there already is no failure. */
bool making_run(struct making *m, const bson_t *command, struct err *e);

/* ---- index.c ---- */

/* Made when it is not there, and made anew when it was defined in another way. */
bool index_set(struct making *m, const char *collection, const bson_t *spec, const char *name, struct err *e);
/* So with all of a kind, and that of its feed. */
bool indexes_set(struct making *m, const struct kind *k, struct err *e);
/* Those of a new collection in one command: each alone costs as much as the collection. */
bool indexes_create(struct making *m, const struct kind *k, struct err *e);
#endif
