/* net/tls_self_signed.c - a certificate for a first start without one.
 *
 * It proves nothing to strangers; it makes mail to us travel encrypted (RFC 7435), and clients on this machine can pin
 * it. Files are written aside and renamed, the key first and for the owner alone. */
#include "base/clock.h"
#include "base/network.h"
#include "net/tls.h"
#include "net/tls_inner.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#define VALID_SECONDS (10L * 365 * 24 * 3600)
#define CN_MAX        64 /* RFC 5280 ub-common-name; a longer name stands in the SAN only */

static bool add_name(GENERAL_NAMES *names, const char *host)
{
    struct network address;
    int n = !network_parse_address(bytes_of(host), &address) ? 0 : network_is_ipv4(&address) ? 4 : 16;
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_STRING *text = n ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();

    if (!name || !text)
        die("out of memory");
    if (n)
        ASN1_STRING_set(text, address.address + 16 - n, n);
    else
        ASN1_STRING_set(text, host, -1);
    GENERAL_NAME_set0_value(name, n ? GEN_IPADD : GEN_DNS, text);
    return sk_GENERAL_NAME_push(names, name) > 0;
}

static bool add_names(X509 *cert, const char *host)
{
    static const char *const always[] = { "localhost", "127.0.0.1", "::1" };
    GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
    bool added = names && add_name(names, host);

    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        if (strcmp(always[i], host) != 0)
            added = added && add_name(names, always[i]);
    added = added && X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, 0) == 1;
    GENERAL_NAMES_free(names);
    return added;
}

static bool add_subject(X509 *cert, const char *host)
{
    X509_NAME *name = X509_get_subject_name(cert);
    const char *cn = strlen(host) <= CN_MAX ? host : "postrider";

    return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1, -1, 0) == 1 &&
           X509_set_issuer_name(cert, name) == 1;
}

static bool add_serial(X509 *cert)
{
    uint64_t serial;

    if (RAND_bytes((unsigned char *)&serial, sizeof serial) != 1)
        return false;
    return ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), serial >> 1 | 1) == 1; /* positive, RFC 5280 4.1.2.2 */
}

static X509 *make_cert(EVP_PKEY *key, const char *host)
{
    X509 *cert = X509_new();

    if (cert && X509_set_version(cert, X509_VERSION_3) == 1 && add_serial(cert) &&
        X509_gmtime_adj(X509_getm_notBefore(cert), -3600) && X509_gmtime_adj(X509_getm_notAfter(cert), VALID_SECONDS) &&
        X509_set_pubkey(cert, key) == 1 && add_subject(cert, host) && add_names(cert, host) &&
        X509_sign(cert, key, EVP_sha256()) > 0)
        return cert;
    X509_free(cert);
    return NULL;
}

/* Written aside and renamed: a crash leaves the old file or the new one. */
static bool write_pem(const char *file, EVP_PKEY *key, X509 *cert, struct err *e)
{
    char aside[4096];
    FILE *f = NULL;
    int fd = -1;
    bool written = false;

    if (snprintf(aside, sizeof aside, "%s.new", file) >= (int)sizeof aside)
        return err_set(e, ERR_INVALID, "%s: the name is too long", file);
    unlink(aside);
    fd = open(aside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, key ? 0600 : 0644);
    f = fd < 0 ? NULL : fdopen(fd, "w");
    if (f) {
        written = key ? PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1 : PEM_write_X509(f, cert) == 1;
        written = fflush(f) == 0 && fsync(fd) == 0 && written;
        written = fclose(f) == 0 && written;
    }
    if (written && rename(aside, file) == 0)
        return true;
    return err_set(e, ERR_INVALID, "%s: %s", file, strerror(errno));
}

bool tls_self_signed(const char *host, const char *cert_file, const char *key_file, struct err *e)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = key ? make_cert(key, host) : NULL;
    bool written = false;

    if (!cert)
        err_set(e, ERR_INTERNAL, "cannot make a certificate: %s", tls_reason());
    else
        written = write_pem(key_file, key, NULL, e) && write_pem(cert_file, NULL, cert, e);
    X509_free(cert);
    EVP_PKEY_free(key);
    return written;
}
