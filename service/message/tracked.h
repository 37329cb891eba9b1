/* service/message/tracked.h - opens and clicks on their way to being events.
 *
 * Who answers a reader writes nothing: what was asked is kept in memory, and a fiber makes events of it once in
 * tracking.gather, those of many mails in one batch. So a flood of requests costs no commits, what is asked again
 * meanwhile is one event, and a mail has at most tracking.events_max of each kind for each recipient. What is in memory
 * is lost in a crash, and past tracking.pending_memory; a server that stops writes it first. */
#ifndef SERVICE_TRACKED_H
#define SERVICE_TRACKED_H
#include "service/queue/public_token.h"

struct hit {
    enum public_kind kind;
    bool several; /* as struct public_token */
    bool ahead;   /* the program itself says that nobody looks yet */
    struct id account, message;
    int64_t at;
    struct bytes url, agent, address; /* url: of a click; agent: as it names itself */
};

struct tracked;
struct tracked *tracked_new(void);
void tracked_free(struct tracked **t);

/* Copies it; any thread, waits for nothing. */
void tracked_note(struct service *svc, const struct hit *hit);
bool tracked_start(struct service *svc, struct err *e);
void tracked_poke(struct service *svc); /* the service stops */
/* Makes events of all that was noted: for the background and tests. False while the store is away; it is kept. */
bool tracked_round(struct service *svc, struct err *e);
#endif
