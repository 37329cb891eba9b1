/* service/queue/path_state.h - paths that are not open, or narrow, as the engine last wrote them down: for the nodes
 * that do not run it, and for the one that runs it next. A path that is as a new one again has no row. What is written
 * is a moment old, and at most one in ten seconds a path. */
#ifndef SERVICE_PATH_STATE_H
#define SERVICE_PATH_STATE_H
#include "service/core/call.h"

#define PATH_SITES_MOST 200 /* of its sites are named */

struct path_note {
    struct bytes name;
    struct bytes state;        /* JSON, as queue_paths gives it; NO_BYTES: it is as a new one */
    struct bytes kept;         /* JSON of the engine's own, for path_states_take */
    const struct bytes *sites; /* recipient domains; "*": all of them */
    size_t n;
};
bool path_state_note(struct service *svc, struct arena *a, const struct path_note *note, struct err *e);
/* What an earlier engine left (name, state, kept), to go on with; the rows go, for they are not kept up any more. */
bool path_states_take(struct service *svc, struct arena *a, struct path_note **out, size_t *n, struct err *e);
/* Fills those of out[] that are empty and of which there is a note. */
void path_states_find(struct service *svc, const struct bytes *sites, size_t n, struct arena *a, struct bytes *out);
#endif
