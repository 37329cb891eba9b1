/* api/private.h - inside api/: the door itself. */
#ifndef API_PRIVATE_H
#define API_PRIVATE_H
#include "api/api.h"
#include "api/exchange.h"
#include "net/fiber.h"
#include "net/listener.h"

#define API_SMALL      ((size_t)64 * 1024)        /* bodies up to this are read before we know who asks */
#define API_DROP_MOST  ((size_t)64 * 1024 * 1024) /* read of a refused body, so that the answer arrives */
#define API_CHUNK_MOST ((size_t)128 * 1024)       /* most the library hands over at once: its connection memory */
#define API_STEP       ((size_t)256 * 1024)       /* of a streamed body, held for the fiber */
#define API_MEMORY     (32 * 1024)                /* the library's memory of a connection: both headers, a chunk */
#define API_ARENA      ((size_t)256 * 1024 * 1024)

struct api {
    struct service *svc;
    struct listener *listeners[API_LISTENERS];
    size_t n_listeners;
    struct MHD_Daemon *daemon, *unix_daemon;
    char *socket_path;
    int unix_fd;
    struct api_tls *tls; /* api/https.c; NULL without HTTPS */
    atomic_bool stopping, watching;
    atomic_int running;            /* fibers of requests */
    atomic_int_least64_t stop_due; /* while stopping: monotonic ms when what still runs is cut */
    struct signal *ended;
    _Atomic int64_t body_memory;
    pthread_mutex_t lines_lock;
    struct line *lines;
};

void api_request_ended(struct api *a);

/* ---- api/lines.c: connections, and those that are too slow ---- */
void lines_notify(void *api, struct MHD_Connection *mhd, void **socket_context,
                  enum MHD_ConnectionNotificationCode code);
/* The fiber that cuts them; runs until api->stopping. */
void lines_watch(void *api);

/* ---- api/https.c: GnuTLS beneath the library ---- */
struct api_tls;
bool api_tls_new(const char *cert_file, const char *key_file, struct api_tls **out, struct err *e);
bool api_tls_reload(struct api_tls *t, struct err *e);
void api_tls_free(struct api_tls **t);
/* MHD_OPTION_HTTPS_CERT_CALLBACK; it finds `t` through api_tls_current. */
void *api_tls_callback(void);

/* ---- api/proxy.c ---- */
/* True when `address` is in the comma separated list of addresses and networks. */
bool network_list_has(struct bytes list, struct bytes address);
/* Makes the call that of the client at `address`; false when that is no IP address. */
bool client_set(struct call *c, struct bytes address);
#endif
