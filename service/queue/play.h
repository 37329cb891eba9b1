/* service/queue/play.h - the addresses of sandbox.test: delivered@, bounced@, deferred@, expired@, suppressed@,
 * complained@, unsubscribed@, opened@, clicked@, each with any +label. */
#ifndef SERVICE_PLAY_H
#define SERVICE_PLAY_H
#include "service/queue/attempt.h"

/* How a delivery to it is born; false for an address that plays nothing. */
bool play_first(struct bytes email, enum cause *first);
/* What who gets it does then, as an event's type; NULL: nothing. *data: of the event, JSON, or NO_BYTES. */
const char *play_follows(struct bytes email, struct bytes *data);
/* How a deferred one ends. */
enum cause play_next(struct bytes email);
#endif
