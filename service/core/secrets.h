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

/* A secret of a row (a private key, a password for another server) as it is kept: sealed by the server, bound to the
 * row's id. The row also keeps the name of the key, svc->wrap_name. Secrets that were opened are wiped by the caller
 * (crypt_wipe). ERR_SEALED: under another server's key, or damaged. */
struct bytes secret_seal(const struct service *svc, struct id row, struct bytes text, struct arena *a);
bool secret_open(const struct service *svc, struct id row, struct bytes sealed, struct bytes wrap, struct buf *out,
                 struct err *e);

/* The id of the row that is kept for a name: the same on every node, and telling nobody the name. `purpose` keeps the
 * names of different uses apart. */
struct id id_of_name(const struct service *svc, const char *purpose, struct bytes name);
#endif
