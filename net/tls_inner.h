/* net/tls_inner.h - inside net/: the present context of a tls_server. */
#ifndef NET_TLS_INNER_H
#define NET_TLS_INNER_H
#include "net/tls.h"
#include <openssl/types.h>

SSL_CTX *tls_server_context(struct tls_server *t); /* end it with SSL_CTX_free */
/* What OpenSSL said last, for people; empties its queue. */
const char *tls_reason(void);
#endif
