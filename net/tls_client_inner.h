/* net/tls_client_inner.h - inside net/: what the handshake and the HTTP client take from a tls_client. */
#ifndef NET_TLS_CLIENT_INNER_H
#define NET_TLS_CLIENT_INNER_H
#include "net/tls_client.h"
#include <openssl/types.h>

SSL_CTX *tls_client_context(struct tls_client *t); /* lives as long as t */
/* ERR_INVALID: a name that no certificate could have, or an address beside names. */
bool tls_names_check(const struct tls_wish *w, struct err *e);
/* What a certificate must be for the wish: its names, and how they are compared. */
void tls_names_expect(X509_VERIFY_PARAM *p, const struct tls_wish *w);
bool tls_is_address(struct bytes name);
/* X509_V_ERR_… as ours; TLS_FAILED_NONE for X509_V_OK. */
enum tls_failure tls_failure_of_certificate(long verify_result);

/* Has the SSL resume what is remembered, if anything is (true), and keep what the peer gives for the next time. */
bool tls_session_use(SSL *ssl, const struct tls_wish *w);
/* Keeps the present session: servers of TLS 1.2 give no new one to who has resumed. */
void tls_session_return(SSL *ssl);
#endif
