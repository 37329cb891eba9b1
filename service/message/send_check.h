/* service/message/send_check.h - what a send by JSON may hold: every fault at once, with the pointer of its field. */
#ifndef SERVICE_SEND_CHECK_H
#define SERVICE_SEND_CHECK_H
#include "service/message/message.h"

#define SEND_HEADERS_MAX       100
#define SEND_HEADER_NAME_MAX   76
#define SEND_HEADER_BYTES_MAX  (64 * 1024)
#define SEND_ATTACHMENTS_MAX   100
#define SEND_TAGS_MAX          10
#define SEND_TAG_TEXT_MAX      256
#define SEND_METADATA_KEYS_MAX 50
#define SEND_METADATA_MAX      (16 * 1024)
#define SEND_SUBJECT_MAX       998
#define SEND_EXPIRES_MIN       60
#define SEND_EXPIRES_MAX       (30 * 86400)

/* When a message is to begin; 0: now. */
void schedule_check(struct call *c, int64_t at);
/* Notes the faults in c; call_check tells. */
void send_check(struct call *c, const struct message_send_in *in);
#endif
