#include "cli/listen.h"

static bool split(struct bytes text, struct bytes *host, uint16_t *port)
{
    size_t colon = bytes_find_last(text, ':');
    int64_t number;

    if (colon == text.n || !bytes_to_int(bytes_from(text, colon + 1), &number) || number < 0 || number > 65535)
        return false;
    *host = bytes_head(text, colon);
    if (host->n > 2 && host->p[0] == '[' && host->p[host->n - 1] == ']')
        *host = bytes_head(bytes_from(*host, 1), host->n - 2);
    *port = (uint16_t)number;
    return host->n > 0;
}

bool listen_each(const char *name, struct bytes list,
                 bool (*open)(void *ctx, struct bytes host, uint16_t port, struct err *e), void *ctx, struct err *e)
{
    struct bytes one, host;
    uint16_t port;

    if (bytes_equal(list, BYTES("off")) || !list.n)
        return true;
    for (bool more = true; more;) {
        more = bytes_cut(list, ',', &one, &list);
        if (!split(bytes_trim(one), &host, &port))
            return err_set(e, ERR_INVALID, "%s: \"%.*s\" is not host:port", name, SHOW(one));
        if (!open(ctx, host, port, e))
            return false;
    }
    return true;
}

void listen_text(struct bytes host, uint16_t port, char *out, size_t size)
{
    bool v6 = bytes_find(host, ':') < host.n;

    snprintf(out, size, v6 ? "[%.*s]:%u" : "%.*s:%u", SHOW(host), port);
}
