/* service/core/precondition.h - a change on condition of a version (RFC 9110 13.1.1): of things that are changed by
 * more than one person, and kept with a number that rises with each change. Pure. */
#ifndef SERVICE_PRECONDITION_H
#define SERVICE_PRECONDITION_H
#include "service/core/call.h"

/* The entity tag of a version: "7" with its quotes. */
struct bytes precondition_tag(struct arena *a, int64_t version);
/* True without If-Match (NO_BYTES), for "*", and when it names this version; else ERR_PRECONDITION. Whoever writes
 * demands the version in the batch, too. */
bool precondition_holds(struct call *c, struct bytes if_match, int64_t version);
#endif
