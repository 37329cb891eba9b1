/* cli/send_body.h - what `send` sends: its flags as the JSON of a send, and with files (--attach) a form around it. */
#ifndef CLI_SEND_BODY_H
#define CLI_SEND_BODY_H
#include "cli/command.h"
#include <stdio.h>

#define SEND_MAIL_MAX ((size_t)64 * 1024 * 1024)

extern const struct flag send_flags[];
/* *type: its media type, valid until the next call. False after a word to the user. */
bool send_body(const struct command_line *l, struct buf *out, const char **type);
/* All that is left of it. False when it cannot be read, or is more than fits. */
bool send_read_file(FILE *f, struct buf *out);
#endif
