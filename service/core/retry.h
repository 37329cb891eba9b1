/* service/core/retry.h - a change that is judged by what was read, and looks again at what others changed meanwhile.
 *
 *     static bool once(struct call *c, void *arg, bool *again)
 *     {
 *         read, judge, commit on condition that it is still so; *again: the condition did not hold
 *     }
 *     return retry_run(c, in->id, once, &arg);
 * Those of one process that have lost once go on one after the other (by `row`, the text of what they change), and
 * before each look it waits a little, for a random time: those who only hinder one another would never finish, and who
 * is slow would lose against who is quick each time. */
#ifndef SERVICE_RETRY_H
#define SERVICE_RETRY_H
#include "service/core/call.h"

struct retries;
struct retries *retries_new(void);
void retries_free(struct retries **r); /* nobody may be at work */

/* c->err is empty before each look. False with the last look's error. */
bool retry_run(struct call *c, struct bytes row, bool (*once)(struct call *c, void *arg, bool *again), void *arg);
#endif
