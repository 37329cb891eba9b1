/* service/identity/domain_watch.h - in live mode each domain is checked every domain.check_every, by whichever node
 * holds the lock "domains"; those that are new, have lost what they had or wait for their next keys, every
 * domain.check_soon. */
#ifndef SERVICE_DOMAIN_WATCH_H
#define SERVICE_DOMAIN_WATCH_H
#include "service/core/state.h"

void domain_watch(struct service *svc); /* fiber */
#endif
