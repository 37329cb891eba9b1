#include "api/private.h"
#include "base/clock.h"
#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>

/* A pair once loaded stays until the end: a handshake may still use it. Reloads are rare. */
struct pair {
    gnutls_pcert_st chain[8];
    unsigned n;
    gnutls_privkey_t key;
    struct pair *older;
};

struct api_tls {
    char *cert_file, *key_file;
    _Atomic(struct pair *) pair;
};

/* The library's callback knows neither daemon nor context, and there is one HTTPS door a process. */
static _Atomic(struct api_tls *) current;

static void pair_free(struct pair **p)
{
    while (*p) {
        struct pair *older = (*p)->older;

        for (unsigned i = 0; i < (*p)->n; i++)
            gnutls_pcert_deinit(&(*p)->chain[i]);
        if ((*p)->key)
            gnutls_privkey_deinit((*p)->key);
        free(*p);
        *p = older;
    }
}

static bool file_load(const char *file, gnutls_datum_t *out, struct err *e)
{
    int result = gnutls_load_file(file, out);

    return result == 0 || err_set(e, ERR_INVALID, "%s: %s", file, gnutls_strerror(result));
}

static bool pair_read(struct api_tls *t, struct pair *p, struct err *e)
{
    gnutls_datum_t cert = { 0 }, key = { 0 };
    unsigned most = sizeof p->chain / sizeof *p->chain;
    int result = 0;
    bool good = file_load(t->cert_file, &cert, e) && file_load(t->key_file, &key, e);

    if (good && (result = gnutls_pcert_list_import_x509_raw(p->chain, &most, &cert, GNUTLS_X509_FMT_PEM, 0)) < 0)
        good = err_set(e, ERR_INVALID, "%s: %s", t->cert_file, gnutls_strerror(result));
    p->n = good ? most : 0;
    if (good && ((result = gnutls_privkey_init(&p->key)) < 0 ||
                 (result = gnutls_privkey_import_x509_raw(p->key, &key, GNUTLS_X509_FMT_PEM, NULL, 0)) < 0))
        good = err_set(e, ERR_INVALID, "%s: %s", t->key_file, gnutls_strerror(result));
    gnutls_free(cert.data);
    gnutls_free(key.data);
    return good;
}

bool api_tls_reload(struct api_tls *t, struct err *e)
{
    struct pair *p = calloc(1, sizeof *p);

    if (!p)
        die("out of memory: a certificate");
    if (!pair_read(t, p, e)) {
        pair_free(&p);
        return false;
    }
    p->older = atomic_load(&t->pair);
    atomic_store(&t->pair, p);
    return true;
}

bool api_tls_new(const char *cert_file, const char *key_file, struct api_tls **out, struct err *e)
{
    struct api_tls *t = calloc(1, sizeof *t);

    if (!t || !(t->cert_file = strdup(cert_file)) || !(t->key_file = strdup(key_file)))
        die("out of memory: a certificate");
    if (!api_tls_reload(t, e)) {
        api_tls_free(&t);
        return false;
    }
    atomic_store(&current, t);
    *out = t;
    return true;
}

void api_tls_free(struct api_tls **t)
{
    struct pair *p;

    if (!*t)
        return;
    if (atomic_load(&current) == *t)
        atomic_store(&current, NULL);
    p = atomic_load(&(*t)->pair);
    pair_free(&p);
    free((*t)->cert_file);
    free((*t)->key_file);
    free(*t);
    *t = NULL;
}

static int certificate(gnutls_session_t session, const gnutls_datum_t *ca, int n_ca,
                       const gnutls_pk_algorithm_t *algorithms, int n_algorithms, gnutls_pcert_st **chain, unsigned *n,
                       gnutls_privkey_t *key)
{
    struct api_tls *t = atomic_load(&current);
    struct pair *p = t ? atomic_load(&t->pair) : NULL;

    (void)session, (void)ca, (void)n_ca, (void)algorithms, (void)n_algorithms;
    if (!p)
        return -1;
    *chain = p->chain;
    *n = p->n;
    *key = p->key;
    return 0;
}

void *api_tls_callback(void)
{
    gnutls_certificate_retrieve_function2 *f = certificate;
    void *p = NULL;

    memcpy(&p, &f, sizeof p); /* ISO C has no cast for this; POSIX promises it works */
    return p;
}
