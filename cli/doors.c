/* cli/doors.c - which doors there are, and the order in which they open.
 *
 * All are bound before any serves: a port that is taken ends the start with nothing half open, and root can be given up
 * in between. Without a certificate of the operator's one is made for the data folder, once. */
#include "cli/doors.h"
#include "base/json.h"
#include "cli/listen.h"
#include "service/core/public_url.h"
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct bytes busy_smtp = { "421 4.3.2 Too many connections, try again later\r\n", 49 };
static const struct bytes busy_pop3 = { "-ERR [SYS/TEMP] Too many connections, try again later\r\n", 55 };

struct opening {
    struct doors *d;
    const char *name;
    void (*session)(int fd, void *ctx);
    void *ctx;
    struct bytes busy;
};

static bool open_one(void *ctx, struct bytes host, uint16_t port, struct err *e)
{
    struct opening *o = ctx;
    struct doors *d = o->d;
    struct door door = {
        .name = o->name, .host = host, .port = port, .busy_line = o->busy, .session = o->session, .ctx = o->ctx
    };

    if (d->n == LISTENERS_MAX)
        return err_set(e, ERR_INVALID, "more than %d listening addresses", LISTENERS_MAX);
    if (!listener_open(&door, &d->listeners[d->n], e))
        return false;
    snprintf(d->hosts[d->n], sizeof d->hosts[d->n], "%.*s", SHOW(host));
    d->names[d->n++] = o->name;
    return true;
}

static bool open_http(void *ctx, struct bytes host, uint16_t port, struct err *e)
{
    struct doors *d = ctx;

    if (!api_listen(d->api, host, port, e))
        return false;
    if (!d->api_host[0])
        snprintf(d->api_host, sizeof d->api_host, "%.*s", SHOW(host));
    return true;
}

static bool open_tls(struct doors *d, const struct datadir *dir, struct err *e)
{
    struct bytes cert = PARAM_TEXT(tls, cert), key = PARAM_TEXT(tls, key), name = PARAM_TEXT(server, hostname);
    char cert_file[4200], key_file[4200], folder[600], host[256];

    if ((cert.n > 0) != (key.n > 0))
        return err_set(e, ERR_INVALID, "tls.cert and tls.key go together: set both or neither");
    if (cert.n) {
        snprintf(cert_file, sizeof cert_file, "%.*s", SHOW(cert));
        snprintf(key_file, sizeof key_file, "%.*s", SHOW(key));
    } else {
        datadir_file(dir, "tls", folder, sizeof folder);
        if (mkdir(folder, 0700) != 0 && errno != EEXIST)
            return err_set(e, ERR_INVALID, "%s: %s", folder, strerror(errno));
        snprintf(cert_file, sizeof cert_file, "%s/cert.pem", folder);
        snprintf(key_file, sizeof key_file, "%s/key.pem", folder);
        snprintf(host, sizeof host, "%.*s", SHOW(name));
        /* Made once and kept over restarts, so that clients can pin it. */
        if (access(key_file, F_OK) != 0 && !tls_self_signed(host, cert_file, key_file, e))
            return false;
    }
    return tls_server_new(cert_file, key_file, &d->tls, e);
}

static bool open_api(struct doors *d, struct service *svc, const struct datadir *dir, struct err *e)
{
    struct bytes cert = PARAM_TEXT(api, cert), key = PARAM_TEXT(api, key);
    char socket[600], cert_file[4200], key_file[4200];
    struct api_options o = { .svc = svc };

    o.socket_path = datadir_file(dir, "postrider.sock", socket, sizeof socket);
    snprintf(cert_file, sizeof cert_file, "%.*s", SHOW(cert));
    snprintf(key_file, sizeof key_file, "%.*s", SHOW(key));
    o.cert_file = cert.n ? cert_file : NULL;
    o.key_file = key.n ? key_file : NULL;
    return api_open(&o, &d->api, e) && listen_each("api.listen", PARAM_TEXT(api, listen), open_http, d, e);
}

bool doors_open(struct doors *d, struct service *svc, const struct datadir *dir, struct err *e)
{
    struct opening all[] = {
        { d, "smtp", smtp_session, &d->receive, busy_smtp },
        { d, "submission", smtp_session, &d->submission, busy_smtp },
        { d, "submissions", smtp_session, &d->submissions, NO_BYTES },
        { d, "pop3", pop3_session, &d->pop3, busy_pop3 },
        { d, "pop3s", pop3_session, &d->pop3s, NO_BYTES },
    };
    const enum param listen[] = { PARAM_smtp_listen, PARAM_submission_listen, PARAM_submissions_listen,
                                  PARAM_pop3_listen, PARAM_pop3s_listen };

    memset(d, 0, sizeof *d);
    if (!open_tls(d, dir, e) || !open_api(d, svc, dir, e))
        return false;
    d->receive = (struct smtp_door){ SMTP_RECEIVE, svc, d->tls };
    d->submission = (struct smtp_door){ SMTP_SUBMISSION, svc, d->tls };
    d->submissions = (struct smtp_door){ SMTP_SUBMISSIONS, svc, d->tls };
    d->pop3 = (struct pop3_door){ false, svc, d->tls };
    d->pop3s = (struct pop3_door){ true, svc, d->tls };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!listen_each(param_row(listen[i])->name, param_text(listen[i]), open_one, &all[i], e))
            return false;
    return true;
}

/* The API's first address; "" without one. */
static void api_url(const struct doors *d, char *out, size_t n)
{
    char text[128];

    listen_text(bytes_of(d->api_host), api_port(d->api), text, sizeof text);
    snprintf(out, n, "%s%s", d->api_host[0] ? PARAM_TEXT(api, cert).n ? "https://" : "http://" : "",
             d->api_host[0] ? text : "");
}

bool doors_serve(struct doors *d, struct err *e)
{
    char url[160];

    api_url(d, url, sizeof url);
    public_url_own(d->receive.svc, url);
    for (size_t i = 0; i < d->n; i++)
        if (!listener_serve(d->listeners[i], e))
            return false;
    return api_serve(d->api, e);
}

bool doors_reload(struct doors *d, struct err *e)
{
    return tls_server_reload(d->tls, e) && api_reload(d->api, e);
}

void doors_stop(struct doors *d)
{
    for (size_t i = 0; i < d->n; i++)
        listener_stop(d->listeners[i]);
    if (d->api)
        api_stop(d->api);
}

void doors_close(struct doors *d)
{
    for (size_t i = 0; i < d->n; i++)
        listener_close(&d->listeners[i]);
    tls_server_free(&d->tls);
}

void doors_describe(const struct doors *d, struct bytes admin_key, struct buf *out)
{
    char text[128], url[160];
    struct jw w;

    api_url(d, url, sizeof url);
    jw_init(&w, out);
    jw_object(&w);
    jw_key_text(&w, "api", url[0] ? bytes_of(url) : NO_BYTES);
    for (size_t i = 0; i < d->n; i++) {
        listen_text(bytes_of(d->hosts[i]), listener_port(d->listeners[i]), text, sizeof text);
        if (i == 0 || strcmp(d->names[i], d->names[i - 1]) != 0)
            jw_key_text(&w, d->names[i], bytes_of(text));
    }
    jw_key_text(&w, "admin_key", admin_key);
    jw_object_end(&w);
    buf_addc(out, '\n');
}
