/* net/stream_tls_client.c - a stream's TLS when we are the one who connects.
 *
 * What is demanded and what came of it are structs, because whoever delivers decides by the difference: no TLS there,
 * an old version, an alert and a wrong name are different reasons to go on or to stop. */
#include "base/clock.h"
#include "net/stream_inner.h"
#include "net/tls_client_inner.h"
#include <openssl/err.h>
#include <openssl/ssl.h>

/* RFC 9325 4.2 for what is verified; what is not is better than clear text with a short key too (RFC 7435 3). */
enum { LEVEL_UNVERIFIED = 1, LEVEL_VERIFIED = 2 };

static void set_alpn(SSL *ssl, struct bytes protocol)
{
    unsigned char wire[256];

    if (!protocol.n || protocol.n >= sizeof wire)
        return;
    wire[0] = (unsigned char)protocol.n;
    memcpy(wire + 1, protocol.p, protocol.n);
    SSL_set_alpn_protos(ssl, wire, (unsigned)protocol.n + 1);
}

static void set_server_name(SSL *ssl, struct bytes name)
{
    char text[256];

    if (tls_is_address(name) || name.n >= sizeof text)
        return;
    snprintf(text, sizeof text, "%.*s", (int)(name.n - bytes_ends(name, BYTES("."))), name.p);
    SSL_set_tlsext_host_name(ssl, text);
}

static void prepare(SSL *ssl, const struct tls_wish *w, struct tls_result *result)
{
    bool verified = w->verify == TLS_BY_NAME;

    SSL_set_connect_state(ssl);
    SSL_set_security_level(ssl, verified ? LEVEL_VERIFIED : LEVEL_UNVERIFIED);
    SSL_set_verify(ssl, verified ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    if (w->least == TLS_1_3)
        SSL_set_min_proto_version(ssl, TLS1_3_VERSION);
    tls_names_expect(SSL_get0_param(ssl), w);
    set_server_name(ssl, w->name);
    set_alpn(ssl, w->alpn);
    result->offered = tls_session_use(ssl, w);
}

static enum tls_failure of_reason(SSL *ssl, unsigned long code, int *alert)
{
    int reason = ERR_GET_REASON(code);

    if (!code)
        return TLS_FAILED_CLOSED;
    if (ERR_GET_LIB(code) != ERR_LIB_SSL)
        return TLS_FAILED_HANDSHAKE;
    switch (reason) {
    case SSL_R_CERTIFICATE_VERIFY_FAILED: return tls_failure_of_certificate(SSL_get_verify_result(ssl));
    case SSL_R_WRONG_VERSION_NUMBER: return TLS_FAILED_NO_TLS; /* of a record: its first bytes are something else */
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_WRONG_SSL_VERSION:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION: return TLS_FAILED_VERSION;
    case SSL_R_DH_KEY_TOO_SMALL:
    case SSL_R_EE_KEY_TOO_SMALL:
    case SSL_R_CA_KEY_TOO_SMALL:
    case SSL_R_CA_MD_TOO_WEAK: return TLS_FAILED_WEAK;
    default: break;
    }
    if (reason < SSL_AD_REASON_OFFSET)
        return TLS_FAILED_HANDSHAKE;
    *alert = reason - SSL_AD_REASON_OFFSET;
    return TLS_FAILED_ALERT;
}

static void describe(SSL *ssl, struct tls_result *result)
{
    const char *name = SSL_get0_peername(ssl);
    const unsigned char *alpn = NULL;
    unsigned n = 0;

    SSL_get0_alpn_selected(ssl, &alpn, &n);
    result->verified = SSL_get0_peer_certificate(ssl) && SSL_get_verify_result(ssl) == X509_V_OK;
    result->resumed = SSL_session_reused(ssl);
    result->version = SSL_get_version(ssl);
    result->cipher = SSL_get_cipher_name(ssl);
    result->bits = SSL_get_cipher_bits(ssl, NULL);
    snprintf(result->name, sizeof result->name, "%s", name ? name : "");
    snprintf(result->alpn, sizeof result->alpn, "%.*s", (int)n, alpn ? (const char *)alpn : "");
}

bool stream_start_tls_client(struct stream *s, const struct tls_wish *w, struct tls_result *result, struct err *e)
{
    struct err why = { 0 };
    unsigned long reason = 0;

    *result = (struct tls_result){ .failure = TLS_FAILED_CLOSED };
    if (!tls_names_check(w, e) || !stream_tls_begin(s, tls_client_context(w->client), e))
        return false;
    prepare(s->ssl, w, result);
    if (stream_tls_shake(s, w->deadline, &reason, &why)) {
        result->failure = TLS_FAILED_NONE;
        describe(s->ssl, result);
        if (result->resumed && SSL_version(s->ssl) < TLS1_3_VERSION)
            tls_session_return(s->ssl);
        return true;
    }
    result->failure = why.code == ERR_TIMEOUT ? TLS_FAILED_TIMEOUT : of_reason(s->ssl, reason, &result->alert);
    return err_set(e, why.code, "TLS with %.*s: %s (%s)", SHOW(w->name), tls_failure_text(result->failure),
                   why.message);
}
