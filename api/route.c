#include "api/route.h"

/* The next segment of a path "/a/b"; false at the end. "/a/" has an empty last one. */
static bool segment(struct bytes *path, struct bytes *out)
{
    if (!path->n || path->p[0] != '/')
        return false;
    *path = bytes_from(*path, 1);
    *out = bytes_head(*path, bytes_find(*path, '/'));
    *path = bytes_from(*path, out->n);
    return true;
}

static bool matches(const char *template, struct bytes path, struct bytes *parameters)
{
    struct bytes rest = bytes_of(template), want, have;
    size_t n = 0;

    for (;;) {
        bool more = segment(&rest, &want);

        if (more != segment(&path, &have))
            return false;
        if (!more)
            return true;
        if (want.n && want.p[0] == '{' && have.n)
            parameters[n++] = have;
        else if (!bytes_equal(want, have))
            return false;
    }
}

static bool method_fits(const struct route *route, const char *method)
{
    return strcmp(route->method, method) == 0 || (strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0);
}

static bool decode(struct route_match *m, struct arena *a)
{
    for (size_t i = 0; i < ROUTE_PARAMETERS; i++)
        if (m->parameters[i].p && !percent_decode(m->parameters[i], false, a, &m->parameters[i]))
            return false;
    return true;
}

static void allow(struct route_match *m, const struct route *route, struct arena *a)
{
    /* RFC 9110 15.5.6: a 405 names all that the path takes. */
    const char *both = strcmp(route->method, "GET") == 0 ? "GET, HEAD" : route->method;

    m->allow = m->allow.p ? arena_bytesf(a, "%.*s, %s", SHOW(m->allow), both) : bytes_of(both);
}

enum route_result route_find(const char *method, struct bytes path, struct arena *a, struct route_match *out)
{
    struct bytes whole = NO_BYTES;

    const char *taken = NULL; /* a path as it is goes before one with a parameter, which comes later in the contract */

    *out = (struct route_match){ 0 };
    if (!percent_decode(path, false, a, &whole))
        return ROUTE_MALFORMED;
    for (size_t i = 0; i < n_routes; i++) {
        struct bytes parameters[ROUTE_PARAMETERS] = { NO_BYTES, NO_BYTES };

        if ((taken && strcmp(taken, routes[i].path) != 0) || !matches(routes[i].path, path, parameters))
            continue;
        taken = routes[i].path;
        if (!method_fits(&routes[i], method)) {
            allow(out, &routes[i], a);
            continue;
        }
        out->route = &routes[i];
        out->allow = NO_BYTES;
        memcpy(out->parameters, parameters, sizeof parameters);
        return decode(out, a) ? ROUTE_FOUND : ROUTE_MALFORMED;
    }
    return out->allow.p ? ROUTE_NO_METHOD : ROUTE_NO_PATH;
}
