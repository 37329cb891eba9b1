/* cli/mail_message.h - inside cli/: the parts of a message for `postrider mail parse`. */
#ifndef CLI_MAIL_MESSAGE_H
#define CLI_MAIL_MESSAGE_H
#include "cli/mail.h"
#include "mail/mime.h"

struct message {
    struct mail_case *c;
    struct bytes bytes;
    const struct mime_index *x;
};

struct bytes message_content(struct message *m, int part); /* decoded, in the arena of the case */
struct bytes message_text(struct message *m, int part);    /* of a text part: UTF-8 with LF */
bool message_is_message(const struct message *m, int part);
/* Members of the open object. */
void message_write_part(struct message *m, int part);
/* "attachments": as the API lists them, and behind each winmail.dat what is in it. */
void message_write_attachments(struct message *m, const struct mime_view *v, size_t tnef_most);
void message_write_calendar(struct message *m); /* "calendar": method and text of each text/calendar part */

/* "name": [{name, email, group}], of a list of addresses; empty for NO_BYTES. */
void mail_write_people(struct mail_case *c, const char *name, struct bytes value);
#endif
