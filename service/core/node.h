/* service/core/node.h - which process this is, and which others are alive: node.id and the rows of the kind node. */
#ifndef SERVICE_NODE_H
#define SERVICE_NODE_H
#include "base/network.h"
#include "service/core/state.h"

#define HEARTBEAT_MS        10000
#define NODE_ALIVE_MS       30000
#define NODE_ADDRESSES_MOST 256

bool node_open(struct service *svc, struct err *e); /* node.id, or a new id */
bool node_keep(struct service *svc, struct err *e); /* writes a new one; after the store was opened */
/* ERR_INVALID: the node id is alive elsewhere. Else what earlier processes of the node left in the store is ended. */
bool node_alone(struct service *svc, struct err *e);
bool node_claim(struct service *svc, struct err *e); /* our row; after node_alone and the settings */
void node_heartbeat(struct service *svc);            /* fiber */
void node_leave(struct service *svc);                /* last heartbeat, draining */
/* Of this node: its interfaces', those it listens on, and delivery.own_addresses. How many. */
size_t node_addresses(struct network *out, size_t most);
#endif
