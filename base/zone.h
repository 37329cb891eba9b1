/* base/zone.h - time zones by their names ("Europe/Berlin"), from the system's tz database: TZif files (RFC 9636) in
 * the folder template.zones. The C library's own reader is not used: it knows one zone for the whole process.
 *
 * What was read of a zone stays, and never changes: a newer database is seen after a restart. Any thread. */
#ifndef BASE_ZONE_H
#define BASE_ZONE_H
#include "base/bytes.h"

/* How many seconds local time is ahead of UTC there at that moment. False: there is no such zone. Reads a file of a few
 * KiB when the zone was not asked for before. */
bool zone_offset(struct bytes name, int64_t wall, int *offset);
/* The same of one that was read before, whatever thread may not wait for a file; false of any other. */
bool zone_offset_known(struct bytes name, int64_t wall, int *offset);

/* For tests: the same by what a file says. */
bool zone_offset_in(struct bytes file, int64_t wall, int *offset);
#endif
