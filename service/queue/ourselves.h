/* service/queue/ourselves.h - what leads back to us: addresses and names of all nodes, and domains that are here though
 * mail for them is not kept here. For who sends: such mail would come in again. */
#ifndef SERVICE_OURSELVES_H
#define SERVICE_OURSELVES_H
#include "base/network.h"
#include "service/core/call.h"

struct ourselves {
    struct network *addresses;
    struct bytes *names; /* as domain_normalize has them */
    size_t n_addresses, n_names;
};

/* This node's, as they are now, and those of other nodes, as they last said (node.load). False: the others could not be
 * asked, and are left out. */
bool ourselves_find(struct service *svc, struct arena *a, struct ourselves *out, struct err *e);
/* Why mail for a domain of ours is not kept here, and what to do, for people; NO_BYTES: it is none of ours. */
struct bytes ourselves_domain(struct service *svc, struct bytes domain, struct arena *a);
#endif
