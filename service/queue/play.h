/* service/queue/play.h - the addresses of sandbox.test: delivered@, bounced@, deferred@, expired@, suppressed@,
 * complained@, unsubscribed@, each with any +label. */
#ifndef SERVICE_PLAY_H
#define SERVICE_PLAY_H
#include "service/queue/attempt.h"

/* How a delivery to it is born; false for an address that plays nothing. */
bool play_first(struct bytes email, enum cause *first);
/* Does who gets it call it spam? */
bool play_complains(struct bytes email);
/* Does who gets it unsubscribe? */
bool play_unsubscribes(struct bytes email);
/* How a deferred one ends. */
enum cause play_next(struct bytes email);
#endif
