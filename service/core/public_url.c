#include "service/core/public_url.h"
#include "base/params.h"
#include "service/core/state.h"

static const struct bytes schemes[] = { BYTES_ROW("https://"), BYTES_ROW("http://") };

/* "https://host:port" apart; the scheme's end is in `scheme`. */
static bool url_cut(struct bytes url, struct bytes *scheme, struct bytes *host, struct bytes *port)
{
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        if (!bytes_starts(url, schemes[i]))
            continue;
        *scheme = schemes[i];
        *host = bytes_from(url, schemes[i].n);
        if (bytes_ends(*host, BYTES("/")))
            host->n--;
        *port = bytes_from(*host, bytes_find(*host, ':'));
        host->n -= port->n;
        return true;
    }
    return false;
}

static bool host_ok(struct bytes host)
{
    for (size_t i = 0; i < host.n; i++) {
        char c = host.p[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.'))
            return false;
    }
    return host.n > 0 && host.n <= 253;
}

static bool port_ok(struct bytes port)
{
    int64_t n;

    return !port.n || (port.n <= 6 && port.n > 1 && port.p[1] >= '0' && bytes_to_int(bytes_from(port, 1), &n) &&
                       n > 0 && n <= 65535);
}

bool public_url_check(struct bytes url, struct err *e)
{
    struct bytes scheme, host, port;

    return (url_cut(url, &scheme, &host, &port) && host_ok(host) && port_ok(port)) ||
           err_set(e, ERR_INVALID, "It is the beginning of our links, as https://mail.example.org: no path, no user");
}

struct bytes public_url(void)
{
    struct bytes url = PARAM_TEXT(server, public_url);
    struct err ignored = { 0 };

    if (!url.n || !public_url_check(url, &ignored))
        return NO_BYTES;
    return bytes_ends(url, BYTES("/")) ? bytes_head(url, url.n - 1) : url;
}

bool public_url_of_links(struct call *c, struct bytes *out)
{
    struct bytes url = public_url(), tracking = PARAM_TEXT(tracking, host), scheme, host, port;

    if (!url.p && service_is_live(c->svc))
        return err_set(&c->err, ERR_NO_PUBLIC_URL, "Links of ours in a mail need server.public_url, which is %s",
                       PARAM_TEXT(server, public_url).n ? "no URL of the form https://mail.example.org" : "not set");
    *out = url.p ? url : c->svc->own_url[0] ? bytes_of(c->svc->own_url) : BYTES("http://localhost");
    if (url.p && tracking.n && host_ok(tracking) && url_cut(url, &scheme, &host, &port))
        *out = arena_bytesf(c->arena, "%.*s%.*s%.*s", SHOW(scheme), SHOW(tracking), SHOW(port));
    return true;
}

bool public_url_is_host(struct bytes host)
{
    struct bytes tracking = PARAM_TEXT(tracking, host), scheme, own, port;

    host = bytes_head(host, bytes_find_last(host, ':'));
    if (!tracking.n || !bytes_equal_nocase(host, tracking))
        return false;
    return !url_cut(public_url(), &scheme, &own, &port) || !bytes_equal_nocase(own, tracking);
}

void public_url_own(struct service *svc, const char *url)
{
    snprintf(svc->own_url, sizeof svc->own_url, "%s", url);
}
