/* smtp/session.h - inside smtp/: one session, what its commands share.
 *
 *     session.c   greeting, command loop, dispatch        reply.c     every reply line
 *     verbs.c     the table of commands, and the small ones   params.c    ESMTP parameters of MAIL and RCPT
 *     envelope.c  MAIL and RCPT                           data.c, bdat.c  the content; text.c reads it
 *     auth.c, starttls.c                                  transfer.c  from the first byte to the 250, log lines
 *
 * A struct smtp lies on its fiber's stack. Two arenas: one holds who logged in, one the mail under way. A command
 * returns false when the session must end (the connection is dead or we hang up); every refusal is a reply and true. */
#ifndef SMTP_SESSION_H
#define SMTP_SESSION_H
#include "mail/address.h"
#include "net/line.h"
#include "service/identity/auth.h"
#include "service/message/intake.h"
#include "smtp/smtp.h"

/* Longest lines with CRLF: RFC 5321 4.5.3.1.4, with the room the extensions of MAIL and RCPT ask for (RFC 1870, 3461,
 * 4954, 6531); RFC 4954 section 4 for AUTH. */
enum { LINE_COMMAND = 512, LINE_ENVELOPE = 2048, LINE_AUTH = 12288 };

enum phase {
    PHASE_NEW,     /* no EHLO yet */
    PHASE_GREETED, /* no mail under way */
    PHASE_MAIL,    /* a sender */
    PHASE_RCPT,    /* at least one recipient */
    PHASE_BDAT,    /* chunks have come */
    PHASE_FAILED,  /* a chunk was refused: the rest of them is read and dropped (RFC 3030 section 2) */
    PHASES
};
#define IN(phase) (1u << PHASE_##phase)

/* A mail under way, from MAIL to its end: one assignment begins anew. What it points to lies in the mail arena. */
struct transaction {
    struct address sender;
    struct bytes from; /* NO_BYTES: the null path */
    struct bytes ret, envid;
    int64_t size;
    bool utf8;
    struct recipient *recipients; /* room for recipients_room */
    size_t n_recipients, recipients_room;
    struct transfer *transfer; /* transfer.c; of BDAT it lasts from chunk to chunk */
};

struct smtp {
    const struct smtp_door *door;
    struct stream *stream;
    struct arena *session_arena, *mail_arena;
    struct call call;
    enum phase phase;
    bool esmtp;
    bool asking; /* the next line answers a 334 */
    char helo[256];
    struct transaction mail;
    int64_t commands, errors, refused, started; /* commands since the last accepted mail; refused recipients */
};

/* One command as it came. */
struct command {
    const struct verb *verb;
    struct bytes arg;
};

/* ---- reply.c: false when the session must end ---- */
bool smtp_reply(struct smtp *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The answer to the error of the call: its code and what the client may know. */
bool smtp_reply_error(struct smtp *s);
/* A refusal of what the client asked for wrongly: counts towards smtp.errors_max, past which it is 421 and the end. */
bool smtp_refuse(struct smtp *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The reply, and then we hang up. */
bool smtp_hang_up(struct smtp *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The stream failed: 421 to a peer that was too slow, nothing to one that is gone. Always false. */
bool smtp_lost(struct smtp *s, const struct err *why);

/* ---- verbs.c ---- */
enum verb_flag {
    ARGUMENT = 1,    /* must have one */
    NO_ARGUMENT = 2, /* must have none */
    LOGIN = 4,       /* at the submission doors only after AUTH */
    OWN_ORDER = 8    /* checks phase and login itself, since bytes that follow must be read in any case */
};
struct verb {
    const char *name;
    bool (*run)(struct smtp *s, const struct command *c);
    unsigned phases, flags;
    size_t line_max;
    bool (*offered)(const struct smtp *s); /* NULL: always */
    const char *usage;                     /* for HELP */
};
const struct verb *smtp_verb_find(struct bytes name);
/* Right order, logged in where needed; else it is refused. */
enum step smtp_verb_allowed(struct smtp *s, const struct verb *v);

/* ---- the commands ---- */
bool smtp_mail(struct smtp *s, const struct command *c);
bool smtp_rcpt(struct smtp *s, const struct command *c);
bool smtp_data(struct smtp *s, const struct command *c);
bool smtp_bdat(struct smtp *s, const struct command *c);
bool smtp_auth(struct smtp *s, const struct command *c);
bool smtp_starttls(struct smtp *s, const struct command *c);
bool smtp_auth_offered(const struct smtp *s);
bool smtp_starttls_offered(const struct smtp *s);

/* ---- session.c ---- */
void smtp_mail_clear(struct smtp *s); /* ends a transaction: RSET, EHLO, after DATA */
/* A line of input without its CRLF, by the command deadline (line_next). */
enum step smtp_read_line(struct smtp *s, size_t max, struct bytes *line);
void smtp_deadline_in(struct smtp *s, int64_t milliseconds);
#endif
