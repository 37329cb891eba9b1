/* service/identity/stream_private.h - what the files about streams share: stream.c is the resource, stream_known.c what
 * sends ask for. */
#ifndef SERVICE_STREAM_PRIVATE_H
#define SERVICE_STREAM_PRIVATE_H
#include "service/identity/stream.h"

/* The row from the store, by id or slug; the default one is made where it is not there yet. ERR_MISSING. */
bool stream_read(struct call *c, struct bytes name, struct stream_row *out);
#endif
