#include "peer.h"
#include "net_test.h"
#include <dirent.h>
#include <fcntl.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

void peer_folder_make(char folder[64])
{
    snprintf(folder, 64, "/tmp/postrider-net-XXXXXX");
    assert_non_null(mkdtemp(folder));
}

void peer_folder_remove(const char *folder)
{
    DIR *d = opendir(folder);

    assert_non_null(d);
    for (struct dirent *f; (f = readdir(d));)
        unlinkat(dirfd(d), f->d_name, 0);
    closedir(d);
    rmdir(folder);
}

static void add_extension(X509 *cert, int nid, const char *value)
{
    X509_EXTENSION *x;
    X509V3_CTX c;

    X509V3_set_ctx(&c, cert, cert, NULL, NULL, 0);
    x = X509V3_EXT_conf_nid(NULL, &c, nid, value);
    assert_non_null(x);
    X509_add_ext(cert, x, -1);
    X509_EXTENSION_free(x);
}

static void read_pair(const char *file, X509 **cert, EVP_PKEY **key)
{
    FILE *f = fopen(file, "r");

    assert_non_null(f);
    *cert = PEM_read_X509(f, NULL, NULL, NULL);
    *key = PEM_read_PrivateKey(f, NULL, NULL, NULL);
    fclose(f);
    assert_true(*cert && *key);
}

static void sign(X509 *cert, EVP_PKEY *key, const char *issuer)
{
    X509 *by = NULL;
    EVP_PKEY *with = NULL;

    if (!issuer) {
        X509_set_issuer_name(cert, X509_get_subject_name(cert));
        assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
        return;
    }
    read_pair(issuer, &by, &with);
    X509_set_issuer_name(cert, X509_get_subject_name(by));
    assert_true(X509_sign(cert, with, EVP_sha256()) > 0);
    X509_free(by);
    EVP_PKEY_free(with);
}

void cert_make(const struct cert_wish *w)
{
    static long serial = 1000;
    EVP_PKEY *key = w->rsa_bits ? EVP_RSA_gen((size_t)w->rsa_bits) : EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    bool usual = !w->from && !w->to;
    FILE *f = fopen(w->file, "w");

    assert_true(key && cert && f);
    X509_set_version(cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), serial++);
    X509_gmtime_adj(X509_getm_notBefore(cert), 86400L * (usual ? -1 : w->from));
    X509_gmtime_adj(X509_getm_notAfter(cert), 86400L * (usual ? 30 : w->to));
    X509_set_pubkey(cert, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_UTF8, (const unsigned char *)w->cn, -1, -1,
                               0);
    add_extension(cert, NID_basic_constraints, w->is_ca ? "critical,CA:TRUE" : "CA:FALSE");
    if (w->san)
        add_extension(cert, NID_subject_alt_name, w->san);
    sign(cert, key, w->issuer);
    assert_true(PEM_write_X509(f, cert) == 1 && PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1);
    fclose(f);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static void read_port(struct peer_program *p, const char *before)
{
    char text[4096];
    size_t n = 0;

    for (;;) {
        ssize_t got = read(p->out, text + n, sizeof text - 1 - n);
        char *at;

        if (got <= 0)
            fail_msg("a peer did not start: %.*s", (int)n, text);
        n += (size_t)got;
        text[n] = '\0';
        at = strstr(text, before);
        if (at && strchr(at, '\n')) {
            p->port = (uint16_t)strtoul(at + strlen(before), NULL, 10);
            return;
        }
    }
}

void peer_start(struct peer_program *p, const char *before_port, const char *const argv[])
{
    int out[2];
    pid_t us = getpid();

    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    p->pid = fork();
    assert_true(p->pid >= 0);
    if (p->pid == 0) {
        int null = open("/dev/null", O_RDWR);

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != us)
            _exit(1);
        dup2(null, 0);
        dup2(out[1], 1);
        dup2(null, 2);
        execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    close(out[1]);
    p->out = out[0];
    read_port(p, before_port);
}

void peer_end(struct peer_program *p)
{
    kill(p->pid, SIGKILL);
    waitpid(p->pid, NULL, 0);
    close(p->out);
}
