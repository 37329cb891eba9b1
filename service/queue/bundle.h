/* service/queue/bundle.h - events that one batch tells of one message to one account, in one row.
 *
 * A mail that is filed as it is accepted has an event for that and one for each recipient; of a row and its indexes
 * each would cost more than the filing of a line of log. So the row of the first holds the others, packed, and whoever
 * reads the feed or a list sees them as if each had a row:
 *
 *     n = event_expand(&row, out)
 *
 * Their ids are the row's with their number in the lowest six bits, which are zero in its own: so they are in order,
 * and an id that no row has leads to the row (shown_row in core/shown.h). A row without a bundle, as older builds write
 * them, is one event. Pure; any thread. */
#ifndef SERVICE_BUNDLE_H
#define SERVICE_BUNDLE_H
#include "service/core/shown.h"

#define BUNDLE_MOST  SHOWN_MOST /* events of a row, its own among them */
#define BUNDLE_BYTES 4096       /* of those behind its own */

/* One that is being filled; all zero has no row yet. */
struct bundle {
    struct event_row *row, last;
    char *bytes;
    size_t n, used, room;
};

/* Takes the event into the row that is being filled. False when there is none or it has no room: then the event is to
 * be a row of its own, by bundle_begin. The row may be in a batch already, which reads it when it is committed. */
bool bundle_add(struct bundle *x, const struct event_row *event, struct arena *a);
/* The row is filled from now on. It gets an id that leaves room. */
void bundle_begin(struct bundle *x, struct event_row *row);

/* All events of a row, in order, whose bytes are the row's; their number. With out NULL: how many there are at most,
 * and room is to be for. */
size_t event_expand(const struct event_row *row, struct event_row *out);
extern const struct shown event_shown; /* the same for lists */
#endif
