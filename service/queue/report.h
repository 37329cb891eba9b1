/* service/queue/report.h - what the sender of a mail is told by mail about its recipients (RFC 3461, RFC 3464): which
 * reports are due, what they say. A report commits in the batch that ends the deliveries which it tells of, so it is
 * there exactly when they have ended, and once.
 *
 *     report_begin(svc, &list, text, &r, e)     who is to be told of what; before the first endings_add
 *     report_add(r, b, e)                       behind endings_add, in each try: what was lost meanwhile is left out
 *     report_mend(r, batch_failure(b))          an operation of the report has failed: it is there already
 *     report_done(r)                            it is committed
 *     report_drop(&r)                           always; may be NULL, as it may be for all of these
 *
 * Failures (also after the mail's time) are told unless NOTIFY says otherwise, delays after delivery.delay_report,
 * deliveries when NOTIFY asks for it: `relayed` of a server that knows no DSN, of others they tell themselves. Only who
 * submitted with a login, or lives here, is told: who came over port 25 may bear a false name, and mail of the API has
 * events, and reports with `dsn` alone. Never told are <>, mail of the server's own, of lists and of machines
 * (RFC 3834), test mail. A report that cannot be delivered has an event like any mail, and no report. */
#ifndef SERVICE_REPORT_H
#define SERVICE_REPORT_H
#include "service/queue/ending.h"

struct report;

/* `text`: of the mail, or its beginning with the whole header, where it is at hand; NO_BYTES: it is read. *out is NULL
 * when nobody is to be told. Marks the endings whose delay is told. Keeps `list`, which must not move. */
bool report_begin(struct service *svc, struct endings *list, struct bytes text, struct report **out, struct err *e);
bool report_add(struct report *r, struct batch *b, struct err *e);
bool report_mend(struct report *r, struct batch_failure f);
void report_done(struct report *r);
void report_drop(struct report **r);

/* ---- who files it ---- */

/* A mail that the server itself writes, to one address. Accepting mail stands above this folder, so whoever does it
 * (service/message/letter.h) is found through the service. */
struct letter_in {
    struct bytes to;
    struct id account, message_id; /* whose mail it is */
    struct bytes text;
};
struct letter;
struct letters {
    /* *out NULL: nobody has that address here. */
    bool (*begin)(struct service *svc, const struct letter_in *in, struct letter **out, struct err *e);
    bool (*add)(struct letter *l, struct batch *b, struct err *e);
    void (*done)(struct letter *l);
    void (*drop)(struct letter **l);
};
#endif
