/* service/core/secrets.h - the server's key and what is derived from it. Any thread, once secrets_open is through. */
#ifndef SERVICE_SECRETS_H
#define SERVICE_SECRETS_H
#include "service/core/state.h"

/* The hidden row of the kind setting that names the key. */
#define FINGERPRINT_SETTING "server.key_fingerprint"

bool secrets_open(struct service *svc, struct err *e); /* server.key against the store's fingerprint */

/* A new content key of a user, wrapped; `wrapped` has CRYPT_WRAPPED bytes of the arena. The context is the user's id.
 */
void user_key_make(struct service *svc, struct id user_id, struct arena *a, struct bytes *wrapped, struct bytes *wrap);
/* ERR_SEALED when the row's key does not open under this server's key. */
bool user_key_open(const struct service *svc, struct id user_id, struct bytes wrapped, struct bytes wrap,
                   struct crypt_key *out, struct err *e);
/* The same of the key by which a user's mails are indexed; neither opens in the other's place. */
void index_key_make(struct service *svc, struct id user_id, struct arena *a, struct bytes *wrapped, struct bytes *wrap);
bool index_key_open(const struct service *svc, struct id user_id, struct bytes wrapped, struct bytes wrap,
                    struct crypt_key *out, struct err *e);

/* The id of the row that is kept for a name: the same on every node, and telling nobody the name. `purpose` keeps the
 * names of different uses apart. */
struct id id_of_name(const struct service *svc, const char *purpose, struct bytes name);
#endif
