/* net/http_client.c - one request: its URL taken apart, its host resolved, its addresses tried, redirects followed.
 *
 * The parser of the URL is libcurl's own, and what it found is what libcurl is given: two readers that differ about
 * where the host ends are how such guards are got around. */
#include "net/http_client.h"
#include "base/clock.h"
#include "net/dns.h"
#include "net/fiber.h"
#include "net/http_inner.h"
#include <assert.h>

#define URL_MOST 8192

static struct tls_client *trusted;

const char *http_failure_text(enum http_failure f)
{
    static const char *const texts[] = {
#define X(name, text) text,
        HTTP_FAILURES(X)
#undef X
    };

    return texts[f];
}

bool http_fail(struct http_answer *out, enum http_failure f, const char *more, struct err *e)
{
    enum err_code code = ERR_BUSY;

    out->failure = f;
    if (f == HTTP_FAILED_TIMEOUT)
        code = ERR_TIMEOUT;
    else if (f == HTTP_FAILED_TOO_LARGE)
        code = ERR_TOO_LARGE;
    else if (f == HTTP_FAILED_URL)
        code = ERR_INVALID;
    else if (f == HTTP_FAILED_STOPPED)
        code = ERR_CLOSED;
    return err_set(e, code, "%s%s%s", http_failure_text(f), more ? ": " : "", more ? more : "");
}

/* --- the URL --- */

static struct bytes part(struct http_hop *h, CURLUPart which, unsigned flags)
{
    char *text = NULL;
    struct bytes out = NO_BYTES;

    if (curl_url_get(h->url, which, &text, flags) == CURLUE_OK)
        out = arena_copy(h->arena, bytes_of(text));
    curl_free(text);
    return out;
}

static bool read_url(struct http_hop *h, struct bytes url, struct http_answer *out, struct err *e)
{
    struct bytes scheme, host;
    int64_t port = 0;

    if (!url.n || url.n > URL_MOST || bytes_plain(url) < url.n)
        return http_fail(out, HTTP_FAILED_URL, "one of printable ASCII is wanted", e);
    if (curl_url_set(h->url, CURLUPART_URL, arena_text(h->arena, url), CURLU_DISALLOW_USER) != CURLUE_OK)
        return http_fail(out, HTTP_FAILED_URL, NULL, e);
    scheme = part(h, CURLUPART_SCHEME, 0);
    host = part(h, CURLUPART_HOST, 0);
    h->https = bytes_equal(scheme, BYTES("https"));
    if ((!h->https && !bytes_equal(scheme, BYTES("http"))) || part(h, CURLUPART_ZONEID, 0).n)
        return http_fail(out, HTTP_FAILED_URL, "http or https is wanted", e);
    if (!bytes_to_int(part(h, CURLUPART_PORT, CURLU_DEFAULT_PORT), &port) || port < 1 || port > 65535)
        return http_fail(out, HTTP_FAILED_URL, "no such port", e);
    if (bytes_starts(host, BYTES("[")) && bytes_ends(host, BYTES("]")))
        host = bytes_head(bytes_from(host, 1), host.n - 2);
    h->host = host;
    h->port = (uint16_t)port;
    out->url = part(h, CURLUPART_URL, 0);
    return host.n > 0 || http_fail(out, HTTP_FAILED_URL, "no host", e);
}

/* --- the addresses --- */

static void add_records(struct http_hop *h, enum dns_type type, struct dns_answer *answer)
{
    dns_ask(h->arena, h->host, type, h->ask->deadline, answer);
    for (size_t i = 0; answer->result == DNS_FOUND && i < answer->n && h->n < HTTP_ADDRESSES; i++)
        if (network_from_raw(answer->records[i].data, &h->addresses[h->n]))
            h->n++;
}

static int by_bits(const void *a, const void *b)
{
    return memcmp(((const struct network *)a)->address, ((const struct network *)b)->address, 16);
}

static bool is_absent(enum dns_result r)
{
    return r == DNS_NO_NAME || r == DNS_NO_DATA;
}

/* In one order always, so that a kept connection is found again; IPv4 comes first by its bits. */
static bool resolve(struct http_hop *h, struct http_answer *out, struct err *e)
{
    struct dns_answer four, six;

    h->n = 1;
    if (network_parse_address(h->host, &h->addresses[0]))
        return true;
    h->n = 0;
    add_records(h, DNS_A, &four);
    add_records(h, DNS_AAAA, &six);
    qsort(h->addresses, h->n, sizeof *h->addresses, by_bits);
    if (h->n)
        return true;
    if (net_stopping())
        return http_fail(out, HTTP_FAILED_STOPPED, NULL, e);
    return http_fail(out, is_absent(four.result) && is_absent(six.result) ? HTTP_FAILED_NAME : HTTP_FAILED_DNS,
                     arena_text(h->arena, h->host), e);
}

static void drop_denied(struct http_hop *h)
{
    size_t kept = 0;

    for (size_t i = 0; i < h->n; i++)
        if (h->ask->allow(h->ask->ctx, &h->addresses[i], h->port))
            h->addresses[kept++] = h->addresses[i];
    h->n = kept;
}

static bool ask_hop(struct http_hop *h, struct http_answer *out, struct err *e)
{
    if (!resolve(h, out, e))
        return false;
    drop_denied(h);
    if (!h->n)
        return http_fail(out, HTTP_FAILED_DENIED, arena_text(h->arena, h->host), e);
    for (size_t i = 0; i < h->n; i++) {
        struct err mine = { 0 };

        if (clock_monotonic() >= h->ask->deadline)
            return http_fail(out, HTTP_FAILED_TIMEOUT, NULL, e);
        if (http_hop_try(h, &h->addresses[i], out, &mine) || i + 1 == h->n) {
            if (out->failure)
                *e = mine;
            break;
        }
    }
    return out->failure == HTTP_FAILED_NONE;
}

/* --- redirects --- */

static bool redirects(const struct http_ask *in, const struct http_answer *answer)
{
    int s = answer->status;

    return in->redirects && (strcmp(in->method, "GET") == 0 || strcmp(in->method, "HEAD") == 0) &&
           (s == 301 || s == 302 || s == 303 || s == 307 || s == 308) && http_answer_field(answer, BYTES("location")).n;
}

/* The next URL, relative to the present one. What was sent in clear or to another origin before stays allowed, but the
 * caller's fields (a token, a signature) go to the origin they were meant for only (RFC 9110 15.4). */
static bool follow(struct http_hop *h, struct http_answer *out, struct err *e)
{
    struct bytes host = h->host, location = http_answer_field(out, BYTES("location"));
    bool https = h->https;
    uint16_t port = h->port;

    if (++out->redirects > h->ask->redirects)
        return http_fail(out, HTTP_FAILED_REDIRECT, NULL, e);
    if (!read_url(h, location, out, e))
        return false;
    if (https && !h->https)
        return http_fail(out, HTTP_FAILED_REDIRECT, NULL, e);
    h->same_origin = h->same_origin && https == h->https && port == h->port && bytes_equal_nocase(host, h->host);
    return true;
}

bool http_client_ask(const struct http_ask *in, struct arena *a, struct http_answer *out, struct err *e)
{
    struct http_hop h = { .trusted = trusted, .ask = in, .arena = a, .url = curl_url(), .same_origin = true };
    bool answered;

    assert(in->allow && in->method && in->deadline);
    if (!h.url)
        die("out of memory");
    *out = (struct http_answer){ .failure = HTTP_FAILED_URL };
    answered = read_url(&h, in->url, out, e) && ask_hop(&h, out, e);
    while (answered && redirects(in, out))
        answered = follow(&h, out, e) && ask_hop(&h, out, e);
    curl_url_cleanup(h.url);
    if (answered && arena_full(a))
        return http_fail(out, HTTP_FAILED_TOO_LARGE, NULL, e);
    return answered;
}

struct bytes http_answer_field(const struct http_answer *answer, struct bytes name)
{
    for (size_t i = 0; i < answer->n_fields; i++)
        if (bytes_equal_nocase(answer->fields[i].name, name))
            return answer->fields[i].value;
    return NO_BYTES;
}

bool http_client_start(struct tls_client *tls, struct err *e)
{
    trusted = tls;
    return http_driver_start(e);
}

void http_client_stop(void)
{
    http_driver_stop();
}
