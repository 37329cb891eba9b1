/* api/private.h - inside api/: the door itself. */
#ifndef API_PRIVATE_H
#define API_PRIVATE_H
#include "api/api.h"
#include "api/line.h"
#include "net/fiber.h"
#include "net/listener.h"
#include "net/wait.h"
#include <stdatomic.h>

#define API_SMALL       ((size_t)64 * 1024)        /* of a body; what is larger is parsed on a worker thread */
#define API_DROP_MOST   ((size_t)64 * 1024 * 1024) /* read of a refused body, so that the answer arrives */
#define API_IN          ((size_t)64 * 1024)        /* a connection's buffers */
#define API_OUT         ((size_t)64 * 1024)
#define API_ANSWER      ((size_t)64 * 1024 * 1024) /* of what changes something: one object at most */
#define API_ANSWER_FREE ((size_t)16 * 1024)        /* of an answer, held without asking the door's budget */
#define API_UNSENT      ((size_t)128 * 1024)       /* of an answer, held for a client that does not read */
#define API_PATIENCE    50                         /* ms before what it is made of is dropped */
#define API_PATIENT     4                          /* answers at once that are waited for so */
#define API_PIPELINED   ((size_t)8 * 1024)         /* of answers, before a further request is run */
#define API_TRIM        ((size_t)1024 * 1024)      /* a request from which on memory is given back */
#define API_UNPACK_FREE ((size_t)1024 * 1024)      /* unpacked without looking at the ratio */
#define API_ARENA       ((size_t)256 * 1024 * 1024)
#define API_LOOPS       64 /* net.loops has at most so many */

struct api {
    struct service *svc;
    struct listener *listeners[API_LISTENERS];
    size_t n_listeners;
    char *socket_path;
    int unix_fd;
    struct tls_server *tls; /* NULL without HTTPS */
    atomic_bool stopping;
    atomic_int connections, running; /* running: requests */
    struct signal *ended;            /* nothing runs any more, while stopping */
    atomic_bool trim;                /* large requests have ended: their memory goes back to the system */
    _Atomic int64_t body_memory;
    atomic_int patient; /* answers whose client is waited for while what they are made of is held */
};

/* ---- api/unix.c ---- */
bool unix_open(struct api *a, const char *path, struct err *e);
void unix_accept(void *api); /* a fiber */
void unix_stop(struct api *a);

/* ---- api/proxy.c ---- */
/* True when `address` is in the comma separated list of addresses and networks. */
bool network_list_has(struct bytes list, struct bytes address);
/* Makes the call that of the client at `address`; false when that is no IP address. */
bool client_set(struct call *c, struct bytes address);
#endif
