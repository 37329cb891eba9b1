/* service/message/tracked_private.h - what the two files about opens and clicks share. */
#ifndef SERVICE_TRACKED_PRIVATE_H
#define SERVICE_TRACKED_PRIVATE_H
#include "service/message/tracked.h"

struct noted {
    struct hit hit; /* its texts lie behind */
    struct noted *next;
    bool machine;
    char texts[];
};

/* Of a list in order of mails the events of the first ones, in one batch; *used: how many were told of. */
bool tracked_tell(struct service *svc, struct noted **list, size_t n, struct arena *a, size_t *used, struct err *e);
#endif
