/* service/service.h - the process's one service: store, keys, caches, background work. Every door is given it.
 *
 *     service_open    opens the store, loads settings, makes the first account and admin key in an empty store
 *     service_start   background fibers: due work, sweeps, node heartbeat, settings of other nodes (after net_start)
 *     service_stop, service_close
 * Shared by all threads. */
#ifndef SERVICE_SERVICE_H
#define SERVICE_SERVICE_H
#include "service/core/state.h"

/* ERR_INVALID with what to do: server.key missing or different, its store missing or damaged, newer schema, folder of
 * another live node. */
bool service_open(const struct service_options *o, struct service **out, struct err *e);
bool service_start(struct service *svc, struct err *e);
void service_stop(struct service *svc);
void service_close(struct service **svc);
/* For `postrider check`: is the store of that URL there, and could we use it? Changes nothing. ERR_MISSING before the
 * first start. */
bool service_probe_store(const char *url, char *found, size_t n, struct err *e);
/* The URL without user, password and options. */
#define SERVICE_STORE_SHOWN 256
void service_show_store(const char *url, char out[SERVICE_STORE_SHOWN]);
#endif
