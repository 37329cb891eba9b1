/* service/queue/outcome.h - how a delivery can stand, as rows: its status, the event that tells of it, the counter of
 * its message, and what its `last` attempt says. */
#ifndef SERVICE_OUTCOME_H
#define SERVICE_OUTCOME_H
#include "service/core/call.h"

enum outcome {
    OUTCOME_QUEUED,    /* a local mailbox past accept.local_max */
    OUTCOME_DELIVERED, /* filed, or played by sandbox.test or a test key */
    OUTCOME_CAPTURED,  /* outside mail in the sandbox */
    OUTCOME_MISSING,   /* no such user, 5.1.1 */
    OUTCOME_FULL,      /* over quota, 5.2.2 */
    OUTCOME_REFUSED,   /* played by bounced@sandbox.test */
    OUTCOME_DEFERRED,  /* played by deferred@ and expired@sandbox.test */
    OUTCOME_EXPIRED,
    OUTCOME_CANCELLED,
    OUTCOME_GONE, /* its message or content is no longer there */
    OUTCOME_HELD, /* ending it failed again and again */
    OUTCOMES
};

struct outcome_row {
    const char *status;  /* of the delivery */
    const char *event;   /* NULL: none */
    const char *counter; /* field of the message */
    int code;            /* SMTP reply as a peer would give it */
    const char *enhanced, *text, *cause, *permanence;
};
const struct outcome_row *outcome_row(enum outcome o);
bool outcome_is_final(enum outcome o);

/* Adds n to the counter of the message where `o` is counted. */
void outcome_count(struct message_row *m, enum outcome o, int64_t n);
/* Adds what is counted in *sum to the counters of a message; the number of the operation, -1 for none. */
int outcome_add(struct batch *b, struct arena *a, struct id message, const struct message_row *sum);
/* The API's status of a message, from its counters. */
struct bytes message_status(const struct message_row *m);
/* The API's word for a delivery in the answer to a send. */
struct bytes outcome_answer(enum outcome o);

/* Sets status, attempts, last, due and final times of a delivery: as it is born, or as an attempt ends. */
void outcome_apply(struct delivery_row *d, enum outcome o, int64_t now, struct arena *a);

/* An event of a message (d NULL) or of one delivery; *m gives account, tags and metadata. `last` of d is its data. */
void event_record(struct batch *b, struct arena *a, const struct message_row *m, const struct delivery_row *d,
                  const char *type, int64_t now);
/* How long after a played deferral the next attempt comes. */
#define PLAY_PAUSE_MS 60000
#endif
