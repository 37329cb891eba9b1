/* net/tls.c - the server's certificate, and how it is replaced under load.
 *
 * A reload makes a whole new context and only then swaps the pointer: a wrong file leaves the old one in use, and
 * sessions keep the one they hold by its reference count. Ticket keys are ours and stay, so clients resume over a
 * reload. */
#include "net/tls.h"
#include "base/log.h"
#include "net/tls_inner.h"
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <unistd.h>

#define TICKET_KEYS 80 /* what SSL_CTX_set_tlsext_ticket_keys takes in OpenSSL 3.0: name, HMAC key, AES key */

struct tls_server {
    pthread_mutex_t lock; /* over context */
    SSL_CTX *context;
    char *cert_file, *key_file;
    unsigned char ticket_keys[TICKET_KEYS]; /* kept over a reload, so that clients may resume after it */
};

const char *tls_reason(void)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;

    ERR_clear_error();
    return reason ? reason : "the peer closed the connection";
}

SSL_CTX *tls_server_context(struct tls_server *t)
{
    SSL_CTX *context;

    pthread_mutex_lock(&t->lock);
    context = t->context;
    SSL_CTX_up_ref(context);
    pthread_mutex_unlock(&t->lock);
    return context;
}

static SSL_CTX *bare_context(struct tls_server *t)
{
    SSL_CTX *c = SSL_CTX_new(TLS_server_method());

    if (!c)
        die("out of memory");
    SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION);
    SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF |
                               SSL_OP_CIPHER_SERVER_PREFERENCE);
    /* SHA-384 costs a handshake 10 us more than SHA-256, and 128 bits are what the certificate's curve has. */
    if (SSL_CTX_set_ciphersuites(c, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256") != 1)
        die("OpenSSL lacks a cipher of TLS 1.3");
    SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(c, 1); /* one read for many records */
    /* Tickets carry the session, nothing is kept here. One a handshake. */
    SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(c, 1);
    SSL_CTX_set_session_id_context(c, (const unsigned char *)"postrider", 9);
    SSL_CTX_set_tlsext_ticket_keys(c, t->ticket_keys, TICKET_KEYS);
    return c;
}

static bool readable(const char *file, struct err *e)
{
    FILE *f = fopen(file, "r");

    if (!f)
        return err_set(e, ERR_INVALID, "%s: %s", file, strerror(errno));
    fclose(f);
    return true;
}

static void warn_of_expiry(SSL_CTX *c, const char *file)
{
    X509 *cert = SSL_CTX_get0_certificate(c);

    if (X509_cmp_current_time(X509_get0_notAfter(cert)) < 0)
        log_warn("tls", LOG_TEXT("result", "certificate has expired"), LOG_TEXT("file", file));
    else if (X509_cmp_current_time(X509_get0_notBefore(cert)) > 0)
        log_warn("tls", LOG_TEXT("result", "certificate is not valid yet"), LOG_TEXT("file", file));
}

static bool load_pair(struct tls_server *t, SSL_CTX *c, struct err *e)
{
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(c, t->cert_file) != 1)
        return err_set(e, ERR_INVALID, "%s: no certificate in it (%s)", t->cert_file, tls_reason());
    if (SSL_CTX_use_PrivateKey_file(c, t->key_file, SSL_FILETYPE_PEM) != 1) {
        bool other = ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_VALUES_MISMATCH ||
                     ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_TYPE_MISMATCH;

        return other ? err_set(e, ERR_INVALID, "%s does not belong to %s", t->key_file, t->cert_file)
                     : err_set(e, ERR_INVALID, "%s: no private key in it (%s)", t->key_file, tls_reason());
    }
    if (SSL_CTX_check_private_key(c) != 1)
        return err_set(e, ERR_INVALID, "%s does not belong to %s", t->key_file, t->cert_file);
    return true;
}

bool tls_server_reload(struct tls_server *t, struct err *e)
{
    SSL_CTX *old, *c;

    if (!readable(t->cert_file, e) || !readable(t->key_file, e))
        return false;
    c = bare_context(t);
    if (!load_pair(t, c, e)) {
        ERR_clear_error();
        SSL_CTX_free(c);
        return false;
    }
    warn_of_expiry(c, t->cert_file);
    pthread_mutex_lock(&t->lock);
    old = t->context;
    t->context = c;
    pthread_mutex_unlock(&t->lock);
    SSL_CTX_free(old);
    return true;
}

bool tls_server_new(const char *cert_file, const char *key_file, struct tls_server **out, struct err *e)
{
    struct tls_server *t = calloc(1, sizeof *t);

    if (!t || !(t->cert_file = strdup(cert_file)) || !(t->key_file = strdup(key_file)))
        die("out of memory");
    pthread_mutex_init(&t->lock, NULL);
    if (RAND_bytes(t->ticket_keys, TICKET_KEYS) != 1)
        die("no random numbers");
    if (!tls_server_reload(t, e)) {
        tls_server_free(&t);
        return false;
    }
    *out = t;
    return true;
}

void tls_server_free(struct tls_server **t)
{
    if (!*t)
        return;
    SSL_CTX_free((*t)->context);
    OPENSSL_cleanse((*t)->ticket_keys, TICKET_KEYS);
    pthread_mutex_destroy(&(*t)->lock);
    free((*t)->cert_file);
    free((*t)->key_file);
    free(*t);
    *t = NULL;
}
