/* service/queue/return_path.h - addresses of ours that say which mail came back (mail/token.h): what mail of the API
 * leaves with, and what reports and complaints come to.
 *
 * Below the sender's own domain, rp.example.org, once its records lead there (SPF is then aligned); else at
 * delivery.bounce_domain; where neither is there, the envelope sender stays what it was. Keys come from the server's
 * key. */
#ifndef SERVICE_RETURN_PATH_H
#define SERVICE_RETURN_PATH_H
#include "mail/token.h"
#include "service/core/call.h"

/* The sender's address of a transaction in which delivery `d` of message `m` leaves; `several`: with others, of the
 * same `via`. What is sent on leaves with an address of the domain that sends it on (mail/srs.h), or with <> where the
 * sender's is too long for that. */
struct bytes return_path_write(struct service *svc, const struct message_row *m, const struct delivery_row *d,
                               bool several, struct arena *a);

/* A message's id as the Message-IDs that we make show it, and back: by these a complaint that bears nothing else finds
 * its mail, while those who get it learn no id of another account. */
struct id return_path_veil(const struct service *svc, struct id id);

/* Where mail of such a form comes to. */
struct return_domain {
    bool is;            /* one of those */
    struct bytes below; /* rp.: the domain it stands below; NO_BYTES: delivery.bounce_domain */
};
/* `name` as domain_normalize has it. False when the store fails. */
bool return_domain_find(struct call *c, struct bytes name, struct return_domain *out);
/* A token of ours in an address; as old as it may be (TOKEN_OLD past it). */
enum token_read return_path_read(const struct service *svc, struct bytes local, struct bytes domain, int64_t now,
                                 struct token *t, enum token_use *use);
#endif
