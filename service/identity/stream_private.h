/* service/identity/stream_private.h - what the files about streams share: stream.c is the resource, stream_pause.c
 * pauses, stream_known.c is what sends ask for. */
#ifndef SERVICE_STREAM_PRIVATE_H
#define SERVICE_STREAM_PRIVATE_H
#include "service/identity/stream.h"

/* The row from the store, by id or slug; the default one is made where it is not there yet. ERR_MISSING. */
bool stream_read(struct call *c, struct bytes name, struct stream_row *out);
/* The same for whoever may see it, and change it where the call does more than to read. */
bool stream_find(struct call *c, struct bytes name, void *out);
#endif
