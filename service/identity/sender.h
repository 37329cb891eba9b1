/* service/identity/sender.h - which addresses a credential may send from; for From and for the envelope sender, at
 * every door.
 *
 * A key: any address in its account's domains, in its domain_ids when it has some. The socket: any of the account acted
 * in. A user: an own address (with any +tag) or one in send_as ("a@b", or "@b" for the whole domain). */
#ifndef SERVICE_SENDER_H
#define SERVICE_SENDER_H
#include "mail/address.h"
#include "service/core/call.h"

/* c->who must be set. ERR_SENDER with the address; ERR_SCOPE without the scope `send`. */
bool sender_allowed(struct call *c, const struct address *from);

/* The domain of the author or of the envelope (an address, may be NO_BYTES) that must not leave the machine yet: what
 * refuses it is where it would. NO_BYTES: it may. */
struct directory_domain;
bool sender_untrusted(struct call *c, const struct directory_domain *author, struct bytes envelope, struct bytes *out);
#endif
