/* service/queue/ending.h - ends deliveries of one message, or attempts of them, in a batch. Whoever ends one does it
 * here: the local work (slice.h), cancel, what leaves. What commits together:
 *   - each delivery, on condition that it is still as it was read (token and status): where it stands, its last
 *     attempt, when it is due again; of one that is over also the keys, which are cleared,
 *   - the counters of the message and of the messages that other accounts have of it (guests),
 *   - the events of both, and who is suppressed from now on,
 *   - once nothing is left to do, the content of a message that asked not to be kept; the mark by which the sweep looks
 *     at a body that has one way less to it (body_mark).
 *
 *     do {
 *         b = batch_new(arena)
 *         endings_add(&list, b, arena, now)          nothing to add: others were faster with all of them
 *     } while (!store_commit(..., b, ...) && endings_mend(&list, batch_failure(b)))
 * Each refusal teaches one thing of one delivery or of the message, which is left out of the next batch: so nothing
 * that is gone, or was ended by others, keeps the rest. */
#ifndef SERVICE_ENDING_H
#define SERVICE_ENDING_H
#include "service/queue/bundle.h"
#include "service/queue/outcome.h"
#include "service/queue/suppression.h"

struct ending {
    const struct delivery_row *row; /* as it was read */
    struct verdict verdict;
    struct id guest, guest_domain; /* the other account that counts it, and the domain of its user; none: nobody */
    int64_t failures;              /* of ours, to be noted with it; 0: as they are */
    bool ambiguous;                /* the peer may have taken it all the same: told by an event */
    struct bytes reason, author;   /* who acts, and why: told by the event, and kept of one that is held */
    struct id suspension;          /* HELD: by which */
    const struct transcript_row *transcript; /* of the attempt, or NULL */
    struct bytes flow;                       /* QUEUED, and it leaves: where it waits again */
    const struct id *source; /* the address it has to leave from next time; NULL: as it is (we have but one) */
    const struct suppressing *suppresses; /* its recipient, from now on; NULL: nobody */
    bool warns;                           /* its sender is mailed of the delay: set by report_begin */
    /* What is learnt of it. */
    bool lost;       /* somebody else's by now */
    bool guest_gone; /* the guest's message is no more */
    int op, guest_op, require_op;
};

struct endings {
    const struct message_row *message; /* with what an event wants to know */
    struct ending *each;
    size_t n;
    bool unleased; /* on condition that the lease, too, is as it was read */
    /* What is learnt of the message. */
    bool message_gone, body_gone;
    int count_op, erase_op, mark_op;
};

/* A delivery that is deferred the third time is told as delayed, too. */
void endings_add(struct endings *list, struct batch *b, struct arena *a, int64_t now);
/* False when the failure is of no operation of theirs. */
bool endings_mend(struct endings *list, struct batch_failure f);

/* Adds them, commits, and mends as often as that teaches something; with it goes what their sender is told by mail
 * (report.h). Nothing to add is no failure. What is made lies in the arena until then. */
bool endings_commit(struct service *svc, struct endings *list, struct arena *a, int64_t until, struct err *e);

/* An account that hears of a delivery: by its message, and by a bundle that its events are gathered in, or NULL. */
struct hearer {
    const struct message_row *message;
    struct bundle *bundle;
    struct bytes more; /* JSON members that its events have beside what an attempt tells */
};

/* The events of one delivery: its sender's account hears of it, and the account of a mailbox of what came in. For
 * deliveries that are over as soon as they are made, beside endings_add. `guest` may be NULL. */
void ending_tell(struct batch *b, struct arena *a, const struct hearer *own, const struct delivery_row *d,
                 enum outcome o, const struct hearer *guest, struct id guest_domain, int64_t now);

/* Nobody else has claimed, ended or cancelled it since it was read, nor, by the last of them, renewed its lease. */
#define DELIVERY_UNCHANGED 3
struct cond *delivery_unchanged(const struct delivery_row *was, struct arena *a);

/* Is its message yet to begin (message/release.h)? Until then it is nobody's work: neither due nor in a flow. */
bool delivery_waits(const struct delivery_row *d);
/* From when it could be tried: its acceptance, or the time of its message. */
int64_t delivery_begun(const struct delivery_row *d, const struct message_row *m);

/* In place of a message that is gone: what an event of the delivery wants to know of it. */
struct message_row message_stand_in(const struct delivery_row *d);
/* That of a delivery; *gone: it is a stand-in. */
bool message_of(struct service *svc, const struct delivery_row *d, struct arena *a, struct message_row *m, bool *gone,
                struct err *e);
/* Takes the content of a message away: its key, its subject; the body is marked. */
void message_erase(struct batch *b, struct arena *a, const struct message_row *row);
/* The message of an account over a body, where it is not the first one: every node names it alike. */
struct id message_id_for(struct id body, struct id account);
#endif
