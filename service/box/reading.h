/* service/box/reading.h - whose turn it is to have a large mail read for an answer. What such an answer is made of is
 * several times as large as the mail: so only entry.large_parallel are made at once, and who comes later waits, holding
 * nothing. Turns go round among accounts, as those of logins do among networks (service/identity/auth_turn.h).
 *
 *     reading_begin(c, row.size)     the operation, once it knows the size; ERR_BUSY
 *     reading_end(c)                 the door, when the answer is made, before it waits for its client */
#ifndef SERVICE_READING_H
#define SERVICE_READING_H
#include "service/core/call.h"

/* What is smaller waits for no turn. */
#define READING_SMALL ((int64_t)256 * 1024)

struct turns *readings_new(void);
bool reading_begin(struct call *c, int64_t size);
void reading_end(struct call *c); /* of one that never began, too */
#endif
