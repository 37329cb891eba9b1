/* service/identity/first_start.h - a store without accounts gets the operator's account and its admin key. */
#ifndef SERVICE_FIRST_START_H
#define SERVICE_FIRST_START_H
#include "service/core/state.h"

bool first_start(struct service *svc, const struct service_options *o, struct err *e);
#endif
