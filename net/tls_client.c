/* net/tls_client.c - the context of outgoing TLS: trusted roots, how names are compared, and remembered sessions.
 *
 * A session is kept under all that was demanded of the peer when it was verified, since a resumed handshake shows no
 * certificate: another demand never finds it. One is used once (RFC 8446 C.4). Failures are told apart by what
 * somebody can do about them, and names are compared by RFC 9525, with the peculiarities of OpenSSL shut out before
 * (is_name). */
#include "net/tls_client.h"
#include "base/log.h"
#include "base/params.h"
#include "net/tls_client_inner.h"
#include "net/tls_inner.h"
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <time.h>
#define uthash_fatal(message) die("out of memory: TLS sessions")
#include <uthash.h>

#define NAMES_MOST 16
#define NAME_MOST  253 /* RFC 1035 3.1, as text */
#define KEY_MOST   2048

struct kept {
    UT_hash_handle hh;
    SSL_SESSION *session;
    size_t n;
    char key[];
};

struct tls_client {
    SSL_CTX *context;
    pthread_mutex_t lock; /* over kept */
    struct kept *kept;    /* the oldest first */
};

static int key_index; /* of an SSL: the struct kept that its next session goes into */

/* --- names --- */

bool tls_is_address(struct bytes name)
{
    struct network n;

    return network_parse_address(name, &n);
}

static struct bytes without_dot(struct bytes name)
{
    return bytes_ends(name, BYTES(".")) ? bytes_head(name, name.n - 1) : name;
}

/* A name with a leading dot would stand for all names below it in OpenSSL, and a NUL would end it early. */
static bool is_name(struct bytes name)
{
    return name.n > 0 && name.n <= NAME_MOST && name.p[0] != '.' && bytes_plain(name) == name.n;
}

static struct bytes name_at(const struct tls_wish *w, size_t i)
{
    return without_dot(w->names ? w->names[i] : w->name);
}

static size_t names_of(const struct tls_wish *w)
{
    return w->names ? w->n_names : 1;
}

bool tls_names_check(const struct tls_wish *w, struct err *e)
{
    size_t n = names_of(w);

    if (n < 1 || n > NAMES_MOST)
        return err_set(e, ERR_INVALID, "TLS: 1 to %d names, not %zu", NAMES_MOST, n);
    if (!is_name(without_dot(w->name)))
        return err_set(e, ERR_INVALID, "TLS: this is no name of a host");
    for (size_t i = 0; i < n; i++)
        if (!is_name(name_at(w, i)) || (n > 1 && tls_is_address(name_at(w, i))))
            return err_set(e, ERR_INVALID, "TLS: this is no name of a certificate");
    return true;
}

void tls_names_expect(X509_VERIFY_PARAM *p, const struct tls_wish *w)
{
    /* RFC 9525 6.3: identifiers are those of the subjectAltName, and a wildcard is a whole label. */
    X509_VERIFY_PARAM_set_hostflags(p, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    for (size_t i = 0; i < names_of(w); i++) {
        struct bytes name = name_at(w, i);
        struct network n;
        int set;

        if (!network_parse_address(name, &n))
            set = X509_VERIFY_PARAM_add1_host(p, name.p, name.n);
        else if (network_is_ipv4(&n))
            set = X509_VERIFY_PARAM_set1_ip(p, n.address + 12, 4);
        else
            set = X509_VERIFY_PARAM_set1_ip(p, n.address, 16);
        if (!set)
            die("out of memory");
    }
}

/* --- failures --- */

const char *tls_failure_text(enum tls_failure f)
{
    static const char *const texts[] = {
#define X(name, text) text,
        TLS_FAILURES(X)
#undef X
    };

    return texts[f];
}

enum tls_failure tls_failure_of_certificate(long verify_result)
{
    switch (verify_result) {
    case X509_V_OK: return TLS_FAILED_NONE;
    case X509_V_ERR_CERT_HAS_EXPIRED: return TLS_FAILED_EXPIRED;
    case X509_V_ERR_CERT_NOT_YET_VALID: return TLS_FAILED_NOT_YET;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH: return TLS_FAILED_NAME;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT: return TLS_FAILED_SELF_SIGNED;
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_UNTRUSTED: return TLS_FAILED_UNTRUSTED;
    case X509_V_ERR_EE_KEY_TOO_SMALL:
    case X509_V_ERR_CA_KEY_TOO_SMALL:
    case X509_V_ERR_CA_MD_TOO_WEAK: return TLS_FAILED_WEAK;
    default: return TLS_FAILED_CERTIFICATE;
    }
}

/* --- sessions --- */

static void kept_free(struct kept *k)
{
    SSL_SESSION_free(k->session);
    free(k);
}

/* What was verified belongs to the key: a resumed handshake shows no certificate again. */
static struct kept *kept_new(const struct tls_wish *w)
{
    struct kept *k;
    struct buf key;

    buf_init(&key, KEY_MOST);
    buf_add(&key, w->session);
    buf_addf(&key, "%c%d %d %.*s %.*s", '\0', w->verify, w->least, SHOW(w->alpn), SHOW(w->name));
    for (size_t i = 0; i < names_of(w); i++)
        buf_addf(&key, " %.*s", SHOW(name_at(w, i)));
    k = key.overflowed ? NULL : calloc(1, sizeof *k + key.n);
    if (!k && !key.overflowed)
        die("out of memory");
    if (k) {
        memcpy(k->key, key.p, key.n);
        k->n = key.n;
    }
    buf_clear(&key);
    return k;
}

static void forget(struct tls_client *t, struct kept *k)
{
    HASH_DEL(t->kept, k);
    kept_free(k);
}

/* Takes the place of an older one; the oldest leave when there are too many. */
static void session_keep(struct tls_client *t, const struct kept *like, SSL_SESSION *session)
{
    struct kept *k = calloc(1, sizeof *k + like->n), *old = NULL;
    size_t most = (size_t)PARAM_INT(tls, out_sessions);

    if (!k)
        die("out of memory");
    memcpy(k->key, like->key, like->n);
    k->n = like->n;
    k->session = session;
    pthread_mutex_lock(&t->lock);
    HASH_FIND(hh, t->kept, k->key, k->n, old);
    if (old)
        forget(t, old);
    while (t->kept && HASH_COUNT(t->kept) >= most)
        forget(t, t->kept);
    HASH_ADD_KEYPTR(hh, t->kept, k->key, k->n, k);
    pthread_mutex_unlock(&t->lock);
}

static SSL_SESSION *session_take(struct tls_client *t, const struct kept *like)
{
    struct kept *k = NULL;
    SSL_SESSION *session;

    pthread_mutex_lock(&t->lock);
    HASH_FIND(hh, t->kept, like->key, like->n, k);
    if (k)
        HASH_DEL(t->kept, k);
    pthread_mutex_unlock(&t->lock);
    if (!k)
        return NULL;
    session = k->session;
    k->session = NULL;
    kept_free(k);
    return session;
}

static bool is_fresh(SSL_SESSION *session)
{
    long life = SSL_SESSION_get_timeout(session), hint = (long)SSL_SESSION_get_ticket_lifetime_hint(session);
    X509 *certificate = SSL_SESSION_get0_peer(session);

    if (hint && hint < life)
        life = hint;
    return time(NULL) < SSL_SESSION_get_time(session) + life &&
           (!certificate || X509_cmp_current_time(X509_get0_notAfter(certificate)) > 0);
}

bool tls_session_use(SSL *ssl, const struct tls_wish *w)
{
    struct kept *like = w->session.n ? kept_new(w) : NULL;
    SSL_SESSION *session;
    bool used;

    if (!like)
        return false;
    SSL_set_ex_data(ssl, key_index, like);
    session = session_take(w->client, like);
    used = session && is_fresh(session) && SSL_set_session(ssl, session) == 1;
    SSL_SESSION_free(session);
    return used;
}

/* With TLS 1.3 long after the handshake, while something is read. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct kept *like = SSL_get_ex_data(ssl, key_index);

    if (!like || !SSL_SESSION_is_resumable(session) || !PARAM_INT(tls, out_sessions))
        return 0;
    session_keep(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)), like, session);
    return 1;
}

void tls_session_return(SSL *ssl)
{
    SSL_SESSION *session = SSL_get1_session(ssl);

    if (session && !on_session(ssl, session))
        SSL_SESSION_free(session);
}

static void free_key(void *parent, void *like, CRYPTO_EX_DATA *data, int index, long argl, void *argp)
{
    (void)parent;
    (void)data;
    (void)index;
    (void)argl;
    (void)argp;
    free(like);
}

static void make_index(void)
{
    key_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, free_key);
    if (key_index < 0)
        die("out of memory");
}

/* --- the context --- */

static SSL_CTX *make_context(struct tls_client *t)
{
    SSL_CTX *c = SSL_CTX_new(TLS_client_method());

    if (!c)
        die("out of memory");
    SSL_CTX_set_app_data(c, t);
    SSL_CTX_set_security_level(c, 1); /* a verified handshake asks for more */
    SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION);
    SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(c, 1); /* one read for many records */
    SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(c, on_session);
    return c;
}

static bool trust(SSL_CTX *c, struct err *e)
{
    struct bytes file = PARAM_TEXT(tls, out_ca);
    char path[4097];

    ERR_clear_error();
    if (!file.n) {
        if (SSL_CTX_set_default_verify_paths(c) != 1)
            log_warn("tls", LOG_TEXT("result", "no trusted roots on this system"));
        ERR_clear_error();
        return true;
    }
    snprintf(path, sizeof path, "%.*s", SHOW(file));
    return SSL_CTX_load_verify_file(c, path) == 1 ||
           err_set(e, ERR_INVALID, "tls.out_ca: %s: no certificate in it (%s)", path, tls_reason());
}

bool tls_client_new(struct tls_client **out, struct err *e)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct tls_client *t = calloc(1, sizeof *t);

    if (!t)
        die("out of memory");
    pthread_once(&once, make_index);
    pthread_mutex_init(&t->lock, NULL);
    t->context = make_context(t);
    if (!trust(t->context, e)) {
        tls_client_free(&t);
        return false;
    }
    *out = t;
    return true;
}

void tls_client_free(struct tls_client **t)
{
    struct kept *k, *next;

    if (!*t)
        return;
    HASH_ITER (hh, (*t)->kept, k, next) {
        HASH_DEL((*t)->kept, k);
        kept_free(k);
    }
    SSL_CTX_free((*t)->context);
    pthread_mutex_destroy(&(*t)->lock);
    free(*t);
    *t = NULL;
}

SSL_CTX *tls_client_context(struct tls_client *t)
{
    return t->context;
}
