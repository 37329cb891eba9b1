/* service/queue/outcomes.h - outcomes.log in the data folder: what other servers have said while the store was away, so
 * that it is not lost with the process. A line of JSON for each delivery, on disk when outcomes_note returns.
 *
 * It is read before anything is claimed. What the store knows by then (the lease has ended, another token) is passed
 * over, so a note that was written down in the end does no harm. From a fiber. */
#ifndef SERVICE_OUTCOMES_H
#define SERVICE_OUTCOMES_H
#include "service/queue/queue.h"

bool outcomes_note(struct service *svc, const struct done *each, size_t n);
/* Writes down what is noted, and takes the file away. False: the store is away; the file stays. */
bool outcomes_replay(struct service *svc, struct err *e);
#endif
