/* service/message/returned.h - mail that comes back to an address of ours (service/queue/return_path.h): reports of
 * other servers about our mail (RFC 3464, or the free texts of those that write none), and complaints (ARF, RFC 5965).
 *
 * Nothing in such a mail is believed but what its address proves: the token names the delivery, or the message of
 * several, and only who got that mail, or carried it, can know it. What is said then commits with the mail's
 * acceptance, and the mail itself is not kept:
 *   - not delivered: a delivery that had been taken is bounced, with email.bounced and `async` in its data, once;
 *   - delayed: email.delayed; delivered, or the answer of a machine: nothing;
 *   - a complaint: email.complained, once for a delivery. It may come to fbl+TOKEN@, or to fbl@ of the same domains
 *     (the address to give to feedback loops) with our return path or our Message-ID in it.
 * Who is unknown there for good, or complains by a token, gets no more mail of the account
 * (service/queue/suppression.h). Anything else is captured for the operator. A report that is faster than our own note
 * of the delivery is put off. */
#ifndef SERVICE_RETURNED_H
#define SERVICE_RETURNED_H
#include "service/message/recipient.h"
#include "service/queue/ending.h"

/* Is the address one of these? ERR_MISSING: of their form, but no token of ours, or too old. Otherwise *out is
 * untouched. */
bool returned_check(struct call *c, const struct address *address, struct bytes domain, struct recipient *out,
                    bool *taken);

struct returned; /* what one mail says */
/* `text`: the mail, or its beginning. *out NULL: nothing that we know. ERR_BUSY: what it tells of is under way. */
bool returned_read(struct call *c, const struct recipient *to, struct bytes text, struct arena *a,
                   struct returned **out);
void returned_add(struct returned *x, struct batch *b, struct arena *a, int64_t now);
/* What it bounces, as endings, for the report to who asked for one; none: nothing. */
void returned_endings(const struct returned *x, struct arena *a, struct endings *out);
/* Once that is committed: whether so many complain that the stream is paused (service/identity/stream_day.h). */
void returned_done(struct returned *x, struct call *c);
/* Learns from a refused batch; false when the failure is of no operation of its. */
bool returned_mend(struct returned *x, struct batch_failure f);
#endif
