/* smtp/smtp.h - the SMTP server: receive (25), submission (587 STARTTLS, 465 TLS). RFC 5321, 6409, 8314 and the
 * extensions of smtp/extensions. A protocol adapter: bytes in, one service call, bytes out; it holds no rule. */
#ifndef SMTP_SMTP_H
#define SMTP_SMTP_H
#include "net/stream.h"
#include "net/tls.h"
#include "service/service.h"

enum smtp_kind { SMTP_RECEIVE, SMTP_SUBMISSION, SMTP_SUBMISSIONS };

struct smtp_door {
    enum smtp_kind kind;
    struct service *svc;
    struct tls_server *tls; /* NULL: no STARTTLS offered (tests) */
};

/* A whole session on a connection; `door` is a struct smtp_door. Fits struct door's `session`. */
void smtp_session(int fd, void *door);
/* The same over any stream (tests, fuzzers); takes the stream. */
void smtp_run(struct stream *s, const struct smtp_door *door);
#endif
