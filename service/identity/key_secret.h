/* service/identity/key_secret.h - the secret of an API key: made, hashed, and the row that keeps its hash. Pure but for
 * the random numbers. */
#ifndef SERVICE_KEY_SECRET_H
#define SERVICE_KEY_SECRET_H
#include "service/core/call.h"

struct key_secret {
    struct bytes text, hash, hint;
};
void key_secret_make(bool test, struct arena *a, struct key_secret *out);
struct bytes key_secret_hash(struct bytes text, struct arena *a);
/* The row of a new key, for an insert; domain_ids and allowed_ips are left to the caller. */
void key_row_make(struct key_row *row, struct id account_id, struct bytes name, unsigned scopes, bool test,
                  const struct key_secret *secret);
#endif
