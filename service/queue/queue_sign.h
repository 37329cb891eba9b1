/* service/queue/queue_sign.h - DKIM signatures made when a mail leaves: anew, where other bytes leave than were signed
 * (a conversion), or for the first time, where no key opened when it was accepted (message.to_sign).
 *
 *     if (queue_is_signed(w->message))
 *     queue_open_bare(svc, a, w, &out, e)        what leaves, but for our signatures
 *     queue_sign_begin(&s)
 *     queue_sign_feed(s, piece)                  all of it as it will leave
 *     queue_sign_end(&s, svc, a, w, &lines, e)   the signatures, to be written before it
 * Any fiber; memory is the header's and a few KiB. */
#ifndef SERVICE_QUEUE_SIGN_H
#define SERVICE_QUEUE_SIGN_H
#include "service/queue/queue.h"

/* It bears signatures of ours, or should. */
bool queue_is_signed(const struct message_row *m);
bool queue_open_bare(struct service *svc, struct arena *a, const struct work *w, struct content_out *out,
                     struct err *e);

struct queue_signing;
void queue_sign_begin(struct queue_signing **out);
/* ERR_HEADERS_TOO_LARGE past message.header_max and what we add. */
bool queue_sign_feed(struct queue_signing *s, struct bytes piece, struct err *e);
/* *s is NULL afterwards. *lines lie in the arena; they are empty when the domain is gone, or no key opens and
 * dkim.on_failure is unsigned (otherwise ERR_UNSIGNED). */
bool queue_sign_end(struct queue_signing **s, struct service *svc, struct arena *a, const struct work *w,
                    struct bytes *lines, struct err *e);
void queue_sign_drop(struct queue_signing **s); /* *s may be NULL */
#endif
