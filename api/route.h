/* api/route.h - which operation a request means: the table that openapi/generate.py made, and the look into it. Pure.
 */
#ifndef API_ROUTE_H
#define API_ROUTE_H
#include "api/schema.h"

enum route_flags {
    ROUTE_OPEN = 1,     /* needs no credential */
    ROUTE_USER = 2,     /* a user's address and password will do */
    ROUTE_JSON = 4,     /* takes application/json */
    ROUTE_STREAM = 8,   /* takes its body as it comes, as `stream` */
    ROUTE_POST = 16,    /* takes Idempotency-Key */
    ROUTE_METRICS = 32, /* needs no credential while api.metrics_open is set */
    ROUTE_BODY_MAY_LACK = 64,
    ROUTE_READS = 128,  /* a POST that changes nothing: a test key may */
    ROUTE_FORM = 256,   /* a POST of a form, or of nothing: its body, as it came, is read into r->x->in */
    ROUTE_PUBLIC = 512, /* of a link in a mail: there on tracking.host too, and what goes wrong is a page for people */
    ROUTE_PARTS = 1024  /* takes its JSON as a part of multipart/form-data, files beside it */
};

struct request;
struct route {
    const char *method, *path; /* "/v1/users/{id}" */
    bool (*run)(struct request *r);
    const char *name; /* the operationId, for logs */
    unsigned scopes, flags;
    const struct schema *body;                     /* of application/json, or NULL */
    const struct schema_property *query, *headers; /* never NULL */
    const char *stream;                            /* "message/rfc822", "text/csv" */
};

extern const struct route routes[];
extern const size_t n_routes;
extern const unsigned char openapi_json[];
extern const size_t openapi_json_size;

#define ROUTE_PARAMETERS 2
enum route_result { ROUTE_FOUND, ROUTE_NO_PATH, ROUTE_NO_METHOD, ROUTE_MALFORMED };
struct route_match {
    const struct route *route;
    struct bytes parameters[ROUTE_PARAMETERS]; /* of the path in order, decoded */
    struct bytes allow;                        /* ROUTE_NO_METHOD: "GET, HEAD, POST" */
};
/* `path` without the query, still encoded. HEAD finds what GET does. ROUTE_MALFORMED: a broken escape, or NUL. */
enum route_result route_find(const char *method, struct bytes path, struct arena *a, struct route_match *out);

/* Every operation's handler; a missing one does not link. They read the request, call the service function of the same
 * name, and write its result. */
#define X(name) bool api_##name(struct request *r);
OPERATION_LIST(X)
#undef X
#endif
