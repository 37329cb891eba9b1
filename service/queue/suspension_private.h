/* service/queue/suspension_private.h - what the files about suspensions share: suspension.c keeps them in memory,
 * suspension_api.c is the operator's side, suspension_match.c matches. */
#ifndef SERVICE_SUSPENSION_PRIVATE_H
#define SERVICE_SUSPENSION_PRIVATE_H
#include "service/queue/suspension.h"

enum {
    SUSPENSIONS_MOST = 2000,     /* kept in memory */
    SUSPENSIONS_OF_TENANT = 100, /* made by one */
    DISABLED_MOST = 10000,       /* accounts */
    STREAMS_MOST = 10000         /* that are paused; that have a pace */
};

bool suspension_scope_read(struct bytes name, enum suspension_scope *out);
/* Takes it away, on condition `same` (may be NULL), tells the other nodes, and has what it held released. */
void suspension_end(struct batch *b, struct arena *a, const struct suspension_row *row, const struct cond *same);
#endif
