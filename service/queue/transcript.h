/* service/queue/transcript.h - what was said in an attempt, kept for a while: of each one that failed, and of some that
 * did not (delivery.transcript_sample).
 *
 * The engine gives the lines, without secrets and content (delivery/script.h); they are sealed, and committed by the
 * batch that ends the attempt, whose event names the transcript. Recipients of one transaction share one: the others'
 * rows point to the first. */
#ifndef SERVICE_TRANSCRIPT_H
#define SERVICE_TRANSCRIPT_H
#include "service/core/call.h"

struct transcript_view {
    struct transcript_row row;
    struct bytes lines; /* JSON */
};
struct delivery_transcript_in {
    struct bytes id; /* of the delivery */
    int64_t attempt; /* 0: the latest that is kept */
};
/* ERR_MISSING: none is kept. */
bool delivery_transcript(struct call *c, const struct delivery_transcript_in *in, struct transcript_view *out);

/* A row for the next attempt of a delivery; `of`: the row that has the same lines already, or NULL. */
struct transcript_row *transcript_make(struct service *svc, struct arena *a, const struct delivery_row *d,
                                       struct bytes lines, const struct transcript_row *of);
/* Is the success of this delivery to be kept? The same whenever it is asked. */
bool transcript_wanted(struct id delivery);
#endif
