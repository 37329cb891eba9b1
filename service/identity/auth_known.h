/* service/identity/auth_known.h - who has logged in from where: whose turn comes first (auth_turn.h). Who passed is
 * remembered in memory for auth.known of auth.known_names pairs and networks at most; after a start all are strangers
 * until they pass once. Any thread or fiber. */
#ifndef SERVICE_AUTH_KNOWN_H
#define SERVICE_AUTH_KNOWN_H
#include "service/identity/auth_turn.h"

struct known;
struct known *known_new(void);
void known_free(struct known **k);
/* Of c's network and this user. */
enum standing known_standing(struct call *c, struct bytes user);
void known_note(struct call *c, struct bytes user); /* it has passed */
#endif
