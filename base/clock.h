/* base/clock.h - times. Wall times are milliseconds since 1970 UTC (int64_t, 0 = none); waits and deadlines use the
 * monotonic clock, in milliseconds too, so a jump of the wall clock moves no deadline. Tests may shift the wall clock
 * with POSTRIDER_CLOCK_SHIFT (seconds; debug builds). */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H
#include "base/arena.h"
#include <pthread.h>

#define CLOCK_NEVER INT64_MAX
#define CLOCK_TEXT  32

int64_t clock_wall(void);
int64_t clock_monotonic(void);
/* A condition variable that is waited for with clock_cond_wait: as pthread_cond_timedwait, until a monotonic time.
 * False when that has come. */
void clock_cond_init(pthread_cond_t *c);
bool clock_cond_wait(pthread_cond_t *c, pthread_mutex_t *m, int64_t until);
/* A date and time of the proleptic Gregorian calendar; months from 1, weekdays from Sunday, 0. */
struct civil {
    int64_t year;
    int month, day, weekday, hour, minute, second, ms;
};
/* In UTC; of years 0000 to 9999, the nearest one of others. */
struct civil clock_civil(int64_t wall);
int64_t clock_days(int64_t year, int month, int day); /* since 1970-01-01 */
/* "2026-11-21T09:52:00.123Z" (RFC 3339) and NUL. */
struct bytes clock_rfc3339(int64_t wall, char out[CLOCK_TEXT]);
/* Any RFC 3339 time with an offset; false on others. Leap second 60 counts as 59.999. */
bool clock_parse_rfc3339(struct bytes text, int64_t *wall);
/* "Sat, 21 Nov 2026 09:52:00 +0000" (RFC 5322 3.3). */
struct bytes clock_rfc5322(int64_t wall, char out[CLOCK_TEXT + 8]);
#endif
