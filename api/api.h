/* api/api.h - the HTTP door: HTTP/1.1 as http/ reads it, a fiber for each connection; routing and request checking come
 * from openapi/postrider.yaml. It holds no rule. RFC 9110, 9112, 9457. */
#ifndef API_API_H
#define API_API_H
#include "net/tls.h"
#include "service/service.h"

struct api;
struct api_options {
    struct service *svc;
    const char *socket_path;          /* the unix socket for root and the owner; NULL: none */
    const char *cert_file, *key_file; /* HTTPS when given */
};

/* The socket is bound, nothing served yet. ERR_INVALID: a file or path that cannot be used. */
bool api_open(const struct api_options *o, struct api **out, struct err *e);
/* Binds one more address, at most API_LISTENERS; host and port as in struct door. ERR_IN_USE names the holder;
 * ERR_INVALID: off loopback without HTTPS or api.behind_proxy. */
#define API_LISTENERS 8
bool api_listen(struct api *a, struct bytes host, uint16_t port, struct err *e);
uint16_t api_port(const struct api *a); /* of the first; 0: there is none */
bool api_serve(struct api *a, struct err *e);
bool api_reload(struct api *a, struct err *e); /* certificates */
void api_stop(struct api *a);                  /* accepts no more, waits for what runs, server.grace at most */
void api_close(struct api **a);                /* after net_stop: connections are fibers */
#endif
