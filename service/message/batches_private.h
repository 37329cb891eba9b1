/* service/message/batches_private.h - what the files about batches share. */
#ifndef SERVICE_BATCHES_PRIVATE_H
#define SERVICE_BATCHES_PRIVATE_H
#include "service/message/batches.h"
#include "service/message/message_private.h"

/* A message as it was composed when it was judged, in the run's `kept`; empty: it is read anew. */
struct ready {
    struct bytes mail;
    struct intake_in in;
};

/* One that is being made. */
struct batch_run {
    struct call *call;
    const struct batch_create_in *in;
    struct batch_row row;
    struct batch_item *items;
    bool resumed;        /* a request before this one has begun it */
    bool begun;          /* its row is there */
    struct ready *ready; /* one for each message */
    struct arena *kept;
    struct arena *work; /* of the messages at hand; anew for each, or each group */
    struct call one;    /* for them: its faults are theirs */
};

/* Every message by itself: what is wrong with each. False: nothing of it is to be taken, and the call says why. */
bool run_judge(struct batch_run *x);
/* Accepts those that are good, and are not there yet, group by group; *out is what is answered, and kept. */
bool run_take(struct batch_run *x, struct batch_view *out);

/* With its end: an event (email.rendering_failed) for each message that its template kept from being sent. */
void run_tell(struct batch_run *x, struct batch *b);
/* The next message, into x->one, that arena and *in. False: the call's own trouble. */
bool run_read(struct batch_run *x, struct arena *a, size_t i, struct message_send_in *in);
/* x->one for the next message, in that arena. */
void run_next(struct batch_run *x, struct arena *a);
/* x->one has refused message i. False: it is the server's trouble, not the message's. */
bool run_reject(struct batch_run *x, size_t i);
/* The id of message i. */
struct id batch_message_id(const struct batch_row *row, size_t i);
/* How messages of a batch that was just made stand, as JSON. */
struct bytes batch_counts_of(struct arena *a, const struct batch_item *items, size_t n);
#endif
