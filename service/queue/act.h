/* service/queue/act.h - what is done by hand with deliveries that are not over: the rules, once, for one of them
 * (delivery.h), for many (action.h), and for suspensions.
 *
 * | act     | of                    | comes to                                                                       |
 * | retry   | queued, deferred      | its next attempt is due now                                                    |
 * | hold    | queued, deferred      | held, email.held: nothing is tried, and its time stands still                  |
 * | release | held                  | queued and due now, email.released; what was left of its time is left          |
 * | bounce  | queued, deferred, held| failed (5.7.0), email.failed                                                   |
 * What is yet to begin (a message with a time) can be given up; for the rest it has its message.
 * What is so already is left as it is. What is over stays so, and what is under a live lease is somebody's: a dot may
 * be on its way. Each act is on condition that the row is as it was judged by, so of an act and a claim at once one
 * wins, and nothing is sent once a hold has been answered. A lease that had run out tells of an attempt whose end
 * nobody knows: whoever ends or holds such a one tells that, too (email.ambiguous). */
#ifndef SERVICE_ACT_H
#define SERVICE_ACT_H
#include "service/queue/report.h"

enum act { ACT_RETRY, ACT_HOLD, ACT_RELEASE, ACT_BOUNCE, ACTS };
bool act_read(struct bytes name, enum act *out);

enum act_fit {
    ACT_FITS,
    ACT_SO_ALREADY,
    ACT_IN_FLIGHT,
    ACT_OVER,  /* it has ended */
    ACT_HELD,  /* a retry of what is held */
    ACT_WAITS, /* its message is yet to begin */
};
enum act_fit act_judge(enum act act, const struct delivery_row *d, int64_t now);

struct order {
    enum act act;
    struct bytes reason, author; /* NO_BYTES: not said */
    struct id suspension;        /* of a hold; or none */
};

/* Acts on deliveries of one message that fit, in a batch: as with endings (ending.h), whatever is refused is left out
 * of the next try. What is given up is told to the sender by mail, where reports are (report.h). */
struct acts {
    const struct order *order;
    struct endings list;
    struct report *report;
};
void acts_begin(struct acts *x, const struct order *o, const struct message_row *m, struct arena *a, size_t most);
void acts_take(struct acts *x, const struct delivery_row *row, struct arena *a);
bool acts_ready(struct service *svc, struct acts *x, struct err *e); /* all are taken; *x must not move from now on */
bool acts_add(struct acts *x, struct batch *b, struct arena *a, int64_t now, struct err *e);
bool acts_mend(struct acts *x, struct batch_failure f);
size_t acts_lost(const struct acts *x);
/* Once it is committed: who sends hears of what is due. */
void acts_tell(struct service *svc, struct acts *x);
void acts_end(struct acts *x); /* always */
#endif
