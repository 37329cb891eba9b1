/* net/tls.h - the server's certificate: loaded from PEM files, replaced while running.
 * TLS 1.2 and 1.3, no renegotiation, session tickets on, but where stream.h says (resumption survives a reload within
 * the process). Any thread; sessions that have begun keep the certificate they began with. */
#ifndef NET_TLS_H
#define NET_TLS_H
#include "base/err.h"

struct tls_server;

/* Loads the certificate chain and key. ERR_INVALID names the file and what is wrong (missing, no match, expired is only
 * a warning in the log). */
bool tls_server_new(const char *cert_file, const char *key_file, struct tls_server **out, struct err *e);
/* Reads both files again; on failure the old pair stays in use. */
bool tls_server_reload(struct tls_server *t, struct err *e);
void tls_server_free(struct tls_server **t);
/* Writes a self-signed ECDSA P-256 certificate for `host` (and localhost, 127.0.0.1, ::1) valid 10 years; key 0600. */
bool tls_self_signed(const char *host, const char *cert_file, const char *key_file, struct err *e);
#endif
