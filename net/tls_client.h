/* net/tls_client.h - TLS on the way out: whom we trust, what must hold of a peer, and what came of it.
 *
 *     struct tls_wish wish = { .client = tls, .verify = TLS_BY_NAME, .name = mx, .deadline = soon };
 *     if (!stream_start_tls_client(s, &wish, &result, e))
 *         result.failure tells a certificate that has expired from a peer that speaks no TLS.
 *
 * Two ways to ask. TLS_UNVERIFIED is opportunistic (RFC 7435): any certificate will do, keys of OpenSSL's level 1 too;
 * `verified` then says what a look at it would have found. TLS_BY_NAME needs a chain to a trusted root and one of the
 * names in it, by RFC 9525: subjectAltName only, never the common name, "*" only as the whole leftmost label; keys of
 * level 2. TLS 1.2 and 1.3 (RFC 9325).
 *
 * Sessions are remembered under the caller's key, which should say address, port and name. Whatever is verified goes
 * into the key too, so a session of an unverified handshake never stands for a verified one. Those of TLS 1.3 are used
 * once (RFC 8446 C.4), none after its certificate has expired or when a handshake with it has failed. A tls_client may
 * be used by any thread; it ends after the streams that were made with it. */
#ifndef NET_TLS_CLIENT_H
#define NET_TLS_CLIENT_H
#include "net/stream.h"

struct tls_client;

enum tls_verify { TLS_UNVERIFIED, TLS_BY_NAME };
enum tls_version { TLS_1_2, TLS_1_3 };

#define TLS_FAILURES(X)                                                                                                \
    X(NONE, "none")                                                                                                    \
    X(TIMEOUT, "no handshake in time")                                                                                 \
    X(CLOSED, "connection closed")                                                                                     \
    X(NO_TLS, "the peer speaks no TLS")                                                                                \
    X(VERSION, "no version in common")                                                                                 \
    X(ALERT, "refused by the peer")  /* `alert` of the result */                                                       \
    X(HANDSHAKE, "handshake failed") /* anything else */                                                               \
    X(NAME, "certificate of another name")                                                                             \
    X(EXPIRED, "certificate expired")                                                                                  \
    X(NOT_YET, "certificate not valid yet")                                                                            \
    X(SELF_SIGNED, "certificate self-signed")                                                                          \
    X(UNTRUSTED, "certificate not trusted") /* no chain to a root of ours */                                           \
    X(WEAK, "key too weak")                                                                                            \
    X(CERTIFICATE, "certificate not usable") /* revoked, of another purpose, broken */

enum tls_failure {
#define X(name, text) TLS_FAILED_##name,
    TLS_FAILURES(X)
#undef X
};

struct tls_wish {
    struct tls_client *client;
    int64_t deadline; /* of the handshake */
    enum tls_verify verify;
    enum tls_version least;
    struct bytes name; /* asked for by SNI: A-labels, a last dot is dropped; an address is not sent (RFC 6066 3) */
    const struct bytes *names; /* one of these must be in the certificate, at most 16; NULL: `name` */
    size_t n_names;
    struct bytes alpn;    /* one protocol, "http/1.1" (RFC 7301); NO_BYTES: none */
    struct bytes session; /* key of remembered sessions; NO_BYTES: none is used or kept */
};

struct tls_result {
    enum tls_failure failure;
    int alert;                    /* RFC 8446 6, of TLS_FAILED_ALERT */
    bool verified;                /* chain, dates and name are good, whether it was asked for or not */
    bool offered, resumed;        /* a remembered session; it was taken */
    const char *version, *cipher; /* "TLSv1.3", "TLS_AES_256_GCM_SHA384" */
    int bits;
    char name[256]; /* the name in the certificate that fitted; "" of an address or a resumed session */
    char alpn[32];  /* what the peer has chosen, "" nothing */
};

/* Trusts the roots in tls.out_ca, or the system's. ERR_INVALID names the file. */
bool tls_client_new(struct tls_client **out, struct err *e);
void tls_client_free(struct tls_client **t);

/* Forgets buffered input (what came in clear, RFC 3207 4), flushes output, shakes hands. On false the stream is dead
 * and `result` says why: ERR_TIMEOUT, else ERR_CLOSED; ERR_INVALID when a wished name is none, the stream as it was. */
bool stream_start_tls_client(struct stream *s, const struct tls_wish *w, struct tls_result *result, struct err *e);

const char *tls_failure_text(enum tls_failure f);
#endif
