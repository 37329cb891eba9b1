/* net/http_request.c - one request to one address: what libcurl is told, what it asks us, and what came of it.
 *
 * Every setting that matters is set here and none is left to the environment or libcurl's defaults: no proxy, no
 * redirects, no other protocols, our roots. The caller's rule is asked when a socket is made and again before anything
 * is sent, because a connection may be an old one. Another address is tried only while nothing has been sent. */
#include "base/params.h"
#include "net/http_inner.h"
#include "net/peer.h"
#include "net/tls_client_inner.h"
#include <openssl/ssl.h>

#define SECURITY_LEVEL 2 /* OpenSSL's, as for TLS_BY_NAME */

/* --- what libcurl calls, on the loop thread --- */

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;

    buf_add(&t->body, (struct bytes){ p, size * n });
    return t->body.overflowed ? 0 : size * n;
}

/* The fields of an interim answer are forgotten when the next status line comes (RFC 9110 15.2). */
static size_t on_head(char *p, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    struct bytes line = { p, size * n };

    if (bytes_starts(line, BYTES("HTTP/")))
        buf_reset(&t->head);
    buf_add(&t->head, line);
    return t->head.overflowed ? 0 : line.n;
}

static bool allowed(struct transfer *t, const struct network *address, uint16_t port)
{
    t->denied = !t->ask->allow(t->ask->ctx, address, port);
    return !t->denied;
}

static curl_socket_t on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
    struct network to;
    uint16_t port;

    (void)purpose;
    if (!peer_address(&a->addr, &to, &port) || !allowed(arg, &to, port))
        return CURL_SOCKET_BAD;
    return socket(a->family, a->socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, a->protocol);
}

/* Connected, be it long ago, and nothing of this request sent yet. */
static int on_connected(void *arg, char *peer, char *local, int peer_port, int local_port)
{
    struct transfer *t = arg;

    (void)local;
    (void)local_port;
    if (!network_parse_address(bytes_of(peer), &t->address) || !allowed(t, &t->address, (uint16_t)peer_port))
        return CURL_PREREQFUNC_ABORT;
    t->sent = true;
    return CURL_PREREQFUNC_OK;
}

static CURLcode on_tls(CURL *easy, void *context, void *arg)
{
    const struct http_hop *h = arg;
    struct tls_wish wish = { .name = h->host };
    SSL_CTX *c = context;

    (void)easy;
    SSL_CTX_set1_cert_store(c, SSL_CTX_get_cert_store(tls_client_context(h->trusted)));
    SSL_CTX_set_security_level(c, SECURITY_LEVEL);
    tls_names_expect(SSL_CTX_get0_param(c), &wish);
    return CURLE_OK;
}

/* --- one request to one address --- */

static bool add_field(struct curl_slist **list, struct arena *a, const struct http_client_field *f)
{
    struct curl_slist *longer;
    const char *line;

    if (!f->name.n || bytes_plain(f->name) < f->name.n || bytes_find(f->name, ':') < f->name.n ||
        bytes_find(f->name, ';') < f->name.n || bytes_find(f->name, ' ') < f->name.n || bytes_has_ctl_line(f->value))
        return false;
    line = f->value.n ? arena_printf(a, "%.*s: %.*s", SHOW(f->name), SHOW(f->value))
                      : arena_printf(a, "%.*s;", SHOW(f->name)); /* libcurl's way to say: empty */
    longer = curl_slist_append(*list, line);
    if (!longer)
        die("out of memory");
    *list = longer;
    return true;
}

static bool make_fields(const struct http_hop *h, struct curl_slist **list)
{
    *list = curl_slist_append(NULL, "Expect:"); /* no waiting for 100 */
    for (size_t i = 0; h->same_origin && i < h->ask->n_fields; i++)
        if (!add_field(list, h->arena, &h->ask->fields[i]))
            return false;
    return true;
}

static struct curl_slist *connect_to(const struct http_hop *h, const struct network *address)
{
    char shown[NETWORK_TEXT], text[NETWORK_TEXT + 16];

    network_show(address, shown);
    snprintf(text, sizeof text, network_is_ipv4(address) ? "::%s:%u" : "::[%s]:%u", shown, h->port);
    return curl_slist_append(NULL, text);
}

static void set_method(CURL *c, const struct http_ask *ask)
{
    if (strcmp(ask->method, "HEAD") == 0) {
        curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
        return;
    }
    if (ask->body.p) {
        curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)ask->body.n);
        curl_easy_setopt(c, CURLOPT_POSTFIELDS, ask->body.p);
    }
    curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, ask->method);
    curl_easy_setopt(c, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)ask->answer_max); /* what Content-Length says */
}

static void set_bounds(CURL *c)
{
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(c, CURLOPT_PROXY, ""); /* also keeps the environment's away */
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_USERAGENT, "Postrider/" POSTRIDER_VERSION);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)PARAM_INT(http_client, connect_timeout));
    curl_easy_setopt(c, CURLOPT_MAXAGE_CONN, (long)(PARAM_INT(http_client, idle) / 1000));
}

static void set_tls(CURL *c, struct http_hop *h)
{
    curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(c, CURLOPT_CAINFO, NULL); /* on_tls brings the roots */
    curl_easy_setopt(c, CURLOPT_CAPATH, NULL);
    curl_easy_setopt(c, CURLOPT_CA_CACHE_TIMEOUT, 0L);
    curl_easy_setopt(c, CURLOPT_SSL_CTX_FUNCTION, on_tls);
    curl_easy_setopt(c, CURLOPT_SSL_CTX_DATA, h);
}

static void set_callbacks(CURL *c, struct transfer *t)
{
    curl_easy_setopt(c, CURLOPT_PRIVATE, t);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_head);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, on_open);
    curl_easy_setopt(c, CURLOPT_OPENSOCKETDATA, t);
    curl_easy_setopt(c, CURLOPT_PREREQFUNCTION, on_connected);
    curl_easy_setopt(c, CURLOPT_PREREQDATA, t);
}

/* --- the answer --- */

static enum http_failure failure_of(const struct transfer *t, enum tls_failure *tls)
{
    long verified = 0;

    if (t->stopped)
        return HTTP_FAILED_STOPPED;
    if (t->denied)
        return HTTP_FAILED_DENIED;
    if (t->head.overflowed || t->body.overflowed)
        return HTTP_FAILED_TOO_LARGE;
    switch (t->code) {
    case CURLE_OK: return HTTP_FAILED_NONE;
    case CURLE_OPERATION_TIMEDOUT: return HTTP_FAILED_TIMEOUT;
    case CURLE_COULDNT_CONNECT: return HTTP_FAILED_CONNECT;
    case CURLE_FILESIZE_EXCEEDED: return HTTP_FAILED_TOO_LARGE;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_PEER_FAILED_VERIFICATION: break;
    default: return HTTP_FAILED_PROTOCOL;
    }
    curl_easy_getinfo(t->easy, CURLINFO_SSL_VERIFYRESULT, &verified);
    /* Unspecified is what libcurl begins with. */
    *tls = verified > X509_V_ERR_UNSPECIFIED ? tls_failure_of_certificate(verified) : TLS_FAILED_HANDSHAKE;
    return HTTP_FAILED_TLS;
}

static size_t count_lines(struct bytes head)
{
    size_t n = 0;

    for (size_t i = 0; i < head.n; i++)
        n += head.p[i] == '\n';
    return n;
}

static void read_fields(struct bytes head, struct arena *a, struct http_answer *out)
{
    struct bytes line, name, value;

    out->fields = arena_array(a, count_lines(head) + 1, sizeof *out->fields);
    out->n_fields = 0;
    head = arena_copy(a, head);
    bytes_cut(head, '\n', &line, &head); /* the status */
    while (head.n) {
        bytes_cut(head, '\n', &line, &head);
        if (bytes_cut(bytes_trim(line), ':', &name, &value) && name.n)
            out->fields[out->n_fields++] = (struct http_client_field){ name, bytes_trim(value) };
    }
}

static bool read_answer(struct transfer *t, struct http_hop *h, struct http_answer *out, struct err *e)
{
    long status = 0, connects = 0;
    char *body = arena_try(h->arena, t->body.n + 1);

    if (!body)
        return http_fail(out, HTTP_FAILED_TOO_LARGE, NULL, e);
    if (t->body.n)
        memcpy(body, t->body.p, t->body.n);
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(t->easy, CURLINFO_NUM_CONNECTS, &connects);
    out->failure = HTTP_FAILED_NONE;
    out->status = (int)status;
    out->body = (struct bytes){ body, t->body.n };
    out->address = t->address;
    out->reused = connects == 0;
    read_fields(buf_bytes(&t->head), h->arena, out);
    return true;
}

static bool give_reason(const struct transfer *t, struct http_answer *out, struct err *e)
{
    enum http_failure f = failure_of(t, &out->tls);
    const char *more = f == HTTP_FAILED_TLS ? tls_failure_text(out->tls) : curl_easy_strerror(t->code);

    return http_fail(out, f, t->code == CURLE_OK || f == HTTP_FAILED_STOPPED ? NULL : more, e);
}

bool http_hop_try(struct http_hop *h, const struct network *address, struct http_answer *out, struct err *e)
{
    struct transfer t = { .easy = curl_easy_init(), .ask = h->ask, .deadline = h->ask->deadline };
    struct curl_slist *fields = NULL, *to = connect_to(h, address);
    bool answered = false;

    if (!t.easy || !to)
        die("out of memory");
    buf_init(&t.head, (size_t)PARAM_INT(http_client, header_max));
    buf_init(&t.body, h->ask->answer_max);
    set_bounds(t.easy);
    set_method(t.easy, h->ask);
    set_tls(t.easy, h);
    set_callbacks(t.easy, &t);
    curl_easy_setopt(t.easy, CURLOPT_CURLU, h->url);
    curl_easy_setopt(t.easy, CURLOPT_CONNECT_TO, to);
    if (!make_fields(h, &fields))
        http_fail(out, HTTP_FAILED_URL, "a header field is not well formed", e);
    else if (curl_easy_setopt(t.easy, CURLOPT_HTTPHEADER, fields), !http_transfer_run(&t))
        http_fail(out, HTTP_FAILED_BUSY, NULL, e);
    else if (t.code != CURLE_OK || t.stopped || t.denied)
        give_reason(&t, out, e);
    else
        answered = read_answer(&t, h, out, e);
    curl_easy_cleanup(t.easy);
    curl_slist_free_all(fields);
    curl_slist_free_all(to);
    buf_clear(&t.head);
    buf_clear(&t.body);
    return answered || t.sent ||
           (out->failure != HTTP_FAILED_CONNECT && out->failure != HTTP_FAILED_TIMEOUT &&
            out->failure != HTTP_FAILED_TLS);
}
