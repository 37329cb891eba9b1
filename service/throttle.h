/* service/throttle.h - failed logins of a pair (client network and user): after auth.failures_free of them each further
 * one doubles a delay during which the pair is not heard at all. Never the user alone, so that a stranger cannot lock
 * the owner out. In memory and bounded (auth.throttle_names; the pair that failed longest ago is forgotten); what
 * several nodes know together will lie behind the same calls. Any thread, no waits. */
#ifndef SERVICE_THROTTLE_H
#define SERVICE_THROTTLE_H
#include "base/bytes.h"

struct throttle;
struct throttle *throttle_new(void);
void throttle_free(struct throttle **t);

/* Milliseconds until the pair is heard again; 0: now. */
int64_t throttle_wait(struct throttle *t, struct bytes net, struct bytes user);
void throttle_failed(struct throttle *t, struct bytes net, struct bytes user);
void throttle_passed(struct throttle *t, struct bytes net, struct bytes user);
#endif
