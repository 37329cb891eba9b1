/* service/service.h - the process's one service: store, keys, caches, background work. Every door is given it.
 *
 *     service_open    opens the store, loads settings, makes the first account and admin key in an empty store
 *     service_start   background fibers: due work, sweeps, node heartbeat, settings of other nodes (after net_start)
 *     service_stop, service_close
 * Shared by all threads. */
#ifndef SERVICE_SERVICE_H
#define SERVICE_SERVICE_H
#include "service/call.h"

struct service_options {
    const char *data_dir;       /* 0700: server.key, node.id, admin.key live here */
    const char *store_url;      /* "sqlite:…" */
    const char *admin_key_file; /* where the first admin key is written; NULL: data_dir/admin.key */
    bool may_print_admin_key;   /* standard output is a terminal */
    /* A store that is missing or empty beside its server.key, or of which a part is lost, is not refused: what is left
     * is copied first, and opened as far as it goes. */
    bool accept_loss;
};

/* ERR_INVALID with what to do: server.key missing or different, its store missing or damaged, newer schema, folder of
 * another live node. */
bool service_open(const struct service_options *o, struct service **out, struct err *e);
bool service_start(struct service *svc, struct err *e);
void service_stop(struct service *svc);
void service_close(struct service **svc);
struct store *service_store(struct service *svc);
struct id service_node(const struct service *svc);
struct id service_operator_account(const struct service *svc);
/* For `postrider check`: is the store of that URL there, and could we use it? Changes nothing. ERR_MISSING before the
 * first start. */
bool service_probe_store(const char *url, char *found, size_t n, struct err *e);
/* The URL without user, password and options. */
#define SERVICE_STORE_SHOWN 256
void service_show_store(const char *url, char out[SERVICE_STORE_SHOWN]);
/* True while mail can be accepted: store up, room on the disk. Asked at MAIL and by /readyz. ERR_BUSY,
 * ERR_STORAGE_FULL. */
bool service_ready(struct service *svc, struct err *e);
bool service_accepts(struct service *svc, struct err *e);
/* delivery.mode is live. */
bool service_is_live(const struct service *svc);
#endif
