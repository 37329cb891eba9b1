/* cli/check_doors.c - check, the part that looks at ports and certificates.
 *
 * Beside a running server a door is tried as a client would, up to the first characters of its greeting, for a port may
 * be somebody else's. Without one it is opened for a moment, which tells who holds it. A certificate is judged by what
 * clients look at: its key, its time, and the name it is for. */
#include "cli/check.h"
#include "cli/listen.h"
#include "net/listener.h"
#include <errno.h>
#include <netdb.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <unistd.h>

enum { WAIT_SECONDS = 5, DAYS_LOW = 14 };

/* ---- doors ---- */

struct door_check {
    struct checkup *c;
    const char *name, *greeting;
};

static int dial(const struct addrinfo *to)
{
    struct timeval wait = { .tv_sec = WAIT_SECONDS };
    int fd = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    if (connect(fd, to->ai_addr, to->ai_addrlen) == 0)
        return fd;
    close(fd);
    return -1;
}

/* Connects and reads the greeting's first characters. */
static bool greets(const struct addrinfo *to, const char *want)
{
    char text[256] = "";
    int fd = dial(to);
    bool ok;

    if (fd < 0)
        return false;
    ok = !*want || (recv(fd, text, sizeof text - 1, 0) > 0 && strncmp(text, want, strlen(want)) == 0);
    close(fd);
    return ok;
}

static void check_answer(struct door_check *d, struct bytes host, uint16_t port)
{
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    char name[256], number[8], where[300], found[400];
    struct addrinfo *list = NULL;
    bool ok = false;

    snprintf(name, sizeof name, "%.*s", SHOW(bytes_equal(host, BYTES("*")) ? BYTES("localhost") : host));
    snprintf(number, sizeof number, "%u", port);
    listen_text(host, port, where, sizeof where);
    if (getaddrinfo(name, number, &hints, &list) == 0) {
        for (const struct addrinfo *at = list; at && !ok; at = at->ai_next)
            ok = greets(at, d->greeting);
        freeaddrinfo(list);
    }
    snprintf(found, sizeof found, "%s %s", where, ok ? "answers" : "does not answer, or is something else's port");
    check_say(d->c, ok ? PASS : FAIL, d->name, found,
              "the log of `postrider serve` says why the door is shut; `ss -ltnp` shows who has the port");
}

static void refuse_all(int fd, void *ctx)
{
    (void)ctx;
    close(fd);
}

static void check_free(struct door_check *d, struct bytes host, uint16_t port)
{
    const struct door door = { .name = d->name, .host = host, .port = port, .session = refuse_all };
    struct listener *l = NULL;
    struct err e = { 0 };
    char where[300], found[400];
    bool ok = listener_open(&door, &l, &e);

    listen_text(host, port, where, sizeof where);
    snprintf(found, sizeof found, "%s is free", where);
    check_say(d->c, ok ? PASS : FAIL, d->name, ok ? found : e.message,
              "stop that program, or give this door another port: `--set NAME.listen=host:port` or the boot file");
    listener_close(&l);
}

static bool check_one(void *ctx, struct bytes host, uint16_t port, struct err *e)
{
    struct door_check *d = ctx;

    (void)e;
    if (port && d->c->running) /* 0: a free one, which the parameter does not tell */
        check_answer(d, host, port);
    else if (port)
        check_free(d, host, port);
    return true;
}

void check_doors(struct checkup *c)
{
    static const char *const all[][2] = { { "api", "" },         { "smtp", "220" }, { "submission", "220" },
                                          { "submissions", "" }, { "pop3", "+OK" }, { "pop3s", "" } };

    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct door_check d = { c, all[i][0], all[i][1] };
        struct err e = { 0 };
        char name[64];

        snprintf(name, sizeof name, "%s.listen", d.name);
        if (!listen_each(name, check_setting(c, name), check_one, &d, &e))
            check_say(c, FAIL, d.name, e.message, "write host:port, or off");
    }
}

/* ---- certificates ---- */

struct pair {
    X509 *cert;
    EVP_PKEY *key;
};

static bool read_pair(const char *cert_file, const char *key_file, struct pair *p, char *found, size_t size)
{
    FILE *f = fopen(cert_file, "r");

    p->cert = f ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;
    if (f)
        fclose(f);
    if (!p->cert) {
        snprintf(found, size, "%s: %s", cert_file, f ? "no certificate is in it" : strerror(errno));
        return false;
    }
    f = fopen(key_file, "r");
    p->key = f ? PEM_read_PrivateKey(f, NULL, NULL, NULL) : NULL;
    if (f)
        fclose(f);
    if (!p->key)
        snprintf(found, size, "%s: %s", key_file, f ? "no key is in it" : strerror(errno));
    else if (X509_check_private_key(p->cert, p->key) != 1)
        snprintf(found, size, "%s is not the key of %s", key_file, cert_file);
    else
        return true;
    return false;
}

static enum verdict judge(const struct pair *p, const char *host, char *found, size_t size)
{
    bool self = X509_check_issued(p->cert, p->cert) == X509_V_OK;
    int days = 0, seconds = 0;

    if (!ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(p->cert)) || days < 0 || seconds < 0) {
        snprintf(found, size, "it has expired");
        return FAIL;
    }
    if (X509_check_host(p->cert, host, 0, 0, NULL) != 1) {
        snprintf(found, size, "it is not for %s (server.hostname)", host);
        return WARN;
    }
    snprintf(found, size, "for %s, %d days left%s", host, days, self ? ", self-signed" : "");
    return days < DAYS_LOW ? WARN : PASS;
}

static void check_pair(struct checkup *c, const char *name, const char *cert_file, const char *key_file)
{
    struct pair p = { 0 };
    char found[1000], host[256];
    enum verdict v = FAIL;

    snprintf(host, sizeof host, "%.*s", SHOW(check_setting(c, "server.hostname")));
    if (read_pair(cert_file, key_file, &p, found, sizeof found))
        v = judge(&p, host, found, sizeof found);
    check_say(c, v, name, found,
              "name a certificate for server.hostname with its key, and send the server SIGHUP when it is renewed");
    X509_free(p.cert);
    EVP_PKEY_free(p.key);
}

void check_certificates(struct checkup *c)
{
    struct bytes cert = check_setting(c, "tls.cert"), key = check_setting(c, "tls.key");
    char cert_file[700], key_file[700];

    snprintf(cert_file, sizeof cert_file, "%s/tls/cert.pem", c->data);
    snprintf(key_file, sizeof key_file, "%s/tls/key.pem", c->data);
    if (cert.n)
        check_pair(c, "certificate", arena_text(c->arena, cert), arena_text(c->arena, key));
    else if (access(cert_file, F_OK) != 0)
        check_say(c, PASS, "certificate", "none yet: a self-signed one is made at the first start", "");
    else
        check_pair(c, "certificate", cert_file, key_file);
    cert = check_setting(c, "api.cert");
    key = check_setting(c, "api.key");
    if (cert.n)
        check_pair(c, "https", arena_text(c->arena, cert), arena_text(c->arena, key));
}
