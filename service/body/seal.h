/* service/body/seal.h - who may read a body: content keys and what is sealed with them.
 *
 * A body has a content key of its own. The key is kept wrapped in each row through which somebody may read: in a
 * message and an open delivery under the server's key, in an entry under its user's key. The wrap is bound to the row's
 * id, so it opens nowhere else; the name of the server key stands beside it. What lists show (subject, summary) is
 * sealed with the content key and bound to the body. Wrapping takes a microsecond; any thread. */
#ifndef SERVICE_SEAL_H
#define SERVICE_SEAL_H
#include "base/crypt.h"
#include "service/core/call.h"
#include "service/identity/directory.h"

/* The content key for a row `row` under the server's key. */
struct bytes seal_for_server(struct service *svc, const struct crypt_key *content, struct id row, struct arena *a);
/* ERR_GONE when there is no key any more, ERR_SEALED when it was wrapped by a key this server has not. */
bool seal_open_server(struct service *svc, struct id row, struct bytes wrapped, struct bytes wrap,
                      struct crypt_key *out, struct err *e);
/* The same under a user's key. */
bool seal_user_key(struct service *svc, const struct directory_user *user, struct crypt_key *out, struct err *e);
struct bytes seal_for_user(const struct crypt_key *user, const struct crypt_key *content, struct id entry,
                           struct arena *a);
bool seal_open_user(const struct crypt_key *user, const struct entry_row *entry, struct crypt_key *out, struct err *e);
struct bytes seal_wrap_name(struct service *svc);

/* Texts of at most SEALED_MAX bytes. */
#define SEALED_MAX (64 * 1024)
struct bytes seal_text(const struct crypt_key *content, struct id body, struct bytes text, struct arena *a);
/* NO_BYTES when it does not open. */
struct bytes seal_open_text(const struct crypt_key *content, struct id body, struct bytes sealed, struct arena *a);
#endif
