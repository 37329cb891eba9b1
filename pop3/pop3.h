/* pop3/pop3.h - the POP3 server: 110 with STLS, 995 with TLS. RFC 1939, 2449, 2595, 5034, 6856, 3206.
 * A protocol adapter over service/box/maildrop.h; it holds no rule. */
#ifndef POP3_POP3_H
#define POP3_POP3_H
#include "net/stream.h"
#include "net/tls.h"
#include "service/service.h"

struct pop3_door {
    bool implicit_tls;
    struct service *svc;
    struct tls_server *tls;
};

void pop3_session(int fd, void *door);
void pop3_run(struct stream *s, const struct pop3_door *door);
#endif
