/* smtp/transfer.h - inside smtp/: one mail from its first byte to the 250, and the log line of each mail accepted or
 * refused. Lies in the mail arena. */
#ifndef SMTP_TRANSFER_H
#define SMTP_TRANSFER_H
#include "smtp/session.h"
#include "smtp/text.h"

struct transfer {
    struct smtp *s;
    struct text text;
    struct intake *intake; /* NULL once it failed */
    struct err err;        /* why it did */
};

/* s->transfer is set on true; false with the call's error. */
bool transfer_begin(struct smtp *s, bool dotted);
/* Bytes that will not be a mail, whatever follows: the rest is read and dropped. */
bool transfer_failed(const struct transfer *t);
/* The reply to a transfer that failed, logged; the transaction goes on to exist. */
bool transfer_refuse(struct smtp *s);
/* All has come: keeps the mail, replies, logs, ends the transaction. */
bool transfer_finish(struct smtp *s);
/* Forgets; *t may be NULL. */
void transfer_drop(struct transfer **t);

/* One line: a mail, its sender or a recipient was refused with the call's error (`reply` is the number we answer with,
 * NULL: the error's own). `rcpt` may be NO_BYTES. */
void smtp_log_refused(struct smtp *s, const char *number, struct bytes rcpt);
#endif
