/* pop3/session.h - inside pop3/: one session, what its commands share.
 *
 *     session.c   greeting, command loop, dispatch     verbs.c    the table of commands, CAPA, and the small ones
 *     login.c     USER, PASS, AUTH, STLS               listing.c  STAT LIST UIDL DELE RSET LAST QUIT
 *     retrieve.c  RETR, TOP                            reply.c    every answer
 *
 * A struct pop3 lies on its fiber's stack. Two arenas: `session` holds who logged in and the marks of DELE (a bit a
 * message), `command` is emptied by every command. A command returns false when the session must end; every refusal is
 * a reply and true. */
#ifndef POP3_SESSION_H
#define POP3_SESSION_H
#include "net/line.h"
#include "pop3/pop3.h"
#include "service/box/maildrop.h"
#include "service/identity/auth.h"

/* With CRLF: RFC 2449 section 4 asks for 255, addresses may be longer; RFC 5034 section 4 for AUTH. */
enum { LINE_COMMAND = 512, LINE_AUTH = 12288, LONGEST_NAME = 320 };

enum phase { PHASE_AUTHORIZATION, PHASE_TRANSACTION };
#define IN(phase) (1u << PHASE_##phase)

struct pop3 {
    const struct pop3_door *door;
    struct stream *stream;
    struct arena *session, *command;
    struct call call;
    enum phase phase;
    bool utf8;
    char name[LONGEST_NAME + 1]; /* of USER; "" none */
    struct maildrop *drop;
    uint8_t *marked;       /* bit i: message i is to be deleted */
    size_t n_marked, last; /* last: highest number retrieved, 0 none */
    int64_t octets;        /* of the unmarked ones */
    int64_t keep_at, errors;
};

/* ---- reply.c: false when the session must end ---- */
bool pop3_ok(struct pop3 *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A line of a listing, without "+OK". */
bool pop3_line_out(struct pop3 *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* -ERR; counts towards pop3.errors_max. */
bool pop3_refuse(struct pop3 *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The answer to the error of the call, with its response code (RFC 2449 section 8, 3206). */
bool pop3_refuse_error(struct pop3 *s);
/* -ERR, and then we hang up. */
bool pop3_hang_up(struct pop3 *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- verbs.c ---- */
struct verb {
    const char *name;
    bool (*run)(struct pop3 *s, struct bytes arg);
    unsigned phases;
    unsigned least, most;                  /* arguments; RAW: all behind the first space is one, as it stands */
    bool (*offered)(const struct pop3 *s); /* NULL: always */
    size_t line_max;
};
#define RAW 1000u
const struct verb *pop3_verb_find(struct bytes name);
/* Splits off the next argument. */
struct bytes pop3_argument(struct bytes *rest);

/* ---- the commands ---- */
bool pop3_user(struct pop3 *s, struct bytes arg);
bool pop3_pass(struct pop3 *s, struct bytes arg);
bool pop3_auth(struct pop3 *s, struct bytes arg);
bool pop3_stls(struct pop3 *s, struct bytes arg);
bool pop3_stat(struct pop3 *s, struct bytes arg);
bool pop3_list(struct pop3 *s, struct bytes arg);
bool pop3_uidl(struct pop3 *s, struct bytes arg);
bool pop3_dele(struct pop3 *s, struct bytes arg);
bool pop3_rset(struct pop3 *s, struct bytes arg);
bool pop3_last(struct pop3 *s, struct bytes arg);
bool pop3_quit(struct pop3 *s, struct bytes arg);
bool pop3_retr(struct pop3 *s, struct bytes arg);
bool pop3_top(struct pop3 *s, struct bytes arg);
bool pop3_login_offered(const struct pop3 *s);
bool pop3_stls_offered(const struct pop3 *s);

/* ---- listing.c ---- */
/* The message of a number, counted from 1; refused when there is none or it is marked. */
enum step pop3_message_number(struct pop3 *s, struct bytes text, size_t *index);
/* After a login: the marks and sums of the maildrop. */
void pop3_listing_begin(struct pop3 *s);

/* ---- session.c ---- */
/* A line of input without its CRLF (line_next). */
enum step pop3_read_line(struct pop3 *s, struct bytes *line);
/* Renews the lock on the maildrop when it is time. False when it was lost or the login no longer holds, with the call's
 * error; pop3_lost then says so and hangs up. */
bool pop3_keep_lock(struct pop3 *s);
bool pop3_lost(struct pop3 *s);
void pop3_write_deadline(struct pop3 *s);
#endif
