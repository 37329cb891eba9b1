/* service/identity/stream_day.h - what became of a day's mail of a stream: how much of it left, how much was called
 * spam. A stream whose mail is called spam too often is paused before others pay for it, and says so (`stream.paused`).
 *
 * A row for each stream and day (UTC, of acceptance): a complaint counts for the day of its mail, however late it
 * comes. Mails are counted in memory and written every other second, so that acceptance does not pay for a row that all
 * mail of a stream would meet in; a process that is killed forgets that much, and never counts twice. */
#ifndef SERVICE_STREAM_DAY_H
#define SERVICE_STREAM_DAY_H
#include "service/core/call.h"

struct stream_counts;
struct stream_counts *stream_counts_new(void);
void stream_counts_free(struct stream_counts **s);

/* So many recipients of that mail are elsewhere. Any thread. */
void stream_counts_add(struct service *svc, const struct message_row *m, int64_t recipients);
/* Writes what has been counted. */
bool stream_counts_write(struct service *svc, struct err *e);
/* The same, every other second, until the service stops. */
void stream_counts_run(struct service *svc);

/* A recipient called that mail spam: adds it to the batch. */
void stream_day_complain(struct batch *b, struct arena *a, const struct message_row *m);
/* Once that is committed: pauses the stream, when the day's mail was called spam by more than stream.complaints_rate in
 * a thousand, and by stream.complaints_least. Mail of before it was last resumed has been thought over. */
bool stream_day_judge(struct call *c, const struct message_row *m);
/* With the batch that resumes it: the day begins anew. */
void stream_day_reset(struct batch *b, struct arena *a, const struct stream_row *row);
#endif
