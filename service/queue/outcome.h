/* service/queue/outcome.h - how a delivery can stand, as rows: its status, the event that tells of it, the counter of
 * its message. */
#ifndef SERVICE_OUTCOME_H
#define SERVICE_OUTCOME_H
#include "service/core/call.h"
#include "service/queue/attempt.h"

struct outcome_row {
    const char *status;  /* of the delivery */
    const char *event;   /* NULL: none */
    const char *counter; /* field of the message */
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
void outcome_apply(struct delivery_row *d, const struct verdict *v, int64_t now, struct arena *a);

/* An event of a message (d NULL) or of one delivery; *m gives account, tags and metadata. `last` of d is its
 * data, and of a deferred one when it is tried again; `more`: JSON members that it has beside these
 * ("\"reason\":\"…\""). In the arena, and in no batch yet. */
struct event_row *event_make(struct arena *a, const struct message_row *m, const struct delivery_row *d,
                             const char *type, struct bytes more, int64_t now);
/* One that says when the message is to begin. */
struct event_row *event_scheduled(struct arena *a, const struct message_row *m, int64_t now);
/* event_make, inserted. */
void event_record(struct batch *b, struct arena *a, const struct message_row *m, const struct delivery_row *d,
                  const char *type, int64_t now);
void event_record_more(struct batch *b, struct arena *a, const struct message_row *m, const struct delivery_row *d,
                       const char *type, struct bytes more, int64_t now);
#endif
