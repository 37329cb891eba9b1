/* service/message/letter.h - mail that the server itself writes, filed or sent on by a batch of somebody else's: how
 * reports (service/queue/report.h) are accepted. From <>, by no limit; the mailbox's quota is looked at only when it is
 * filed, so nothing of it refuses the batch. */
#ifndef SERVICE_LETTER_H
#define SERVICE_LETTER_H
#include "service/queue/report.h"

extern const struct letters letters_filed;
#endif
