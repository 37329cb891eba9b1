/* cli/mail.h - inside cli/: `postrider mail VERB`, the pure functions of mail/ at the shell. No server runs, no store
 * is opened.
 *
 * What a verb works on is a *case*, a JSON object: the members that its table names come from flags, the main one from
 * the argument or standard input, and with --batch all of them from one line of JSON each. A verb reads members and
 * writes members:
 *
 *     static bool count(struct mail_case *c)
 *     {
 *         jw_key_int(c->out, "bytes", (int64_t)c->value.n);
 *         return true;                    false: c->err is filled, and told in place of the answer
 *     }
 *     const struct mail_verb mail_verb_count = { .name = "count", .member = "message", .run = count, … };
 * Then it is a row of verbs[] in cli/mail.c, and of docs/mail.md. Texts of the case live as long as it does. Runs on
 * the main thread. */
#ifndef CLI_MAIL_H
#define CLI_MAIL_H
#include "base/json.h"
#include "cli/command.h"
#include "mail/lookups.h"

#define MAIL_INPUT_MAX  ((size_t)256 * 1024 * 1024) /* of standard input, or of one line of a batch */
#define MAIL_OUTPUT_MAX ((size_t)1024 * 1024 * 1024)
#define MAIL_ARENA_MAX  ((size_t)1024 * 1024 * 1024)

struct mail_zone;

struct mail_case {
    struct arena *a;
    struct json_object *in; /* the case, or NULL: no members */
    struct bytes value;     /* the main member; a message has CRLF line ends (mail_lines) */
    struct mail_zone *zone; /* what stands for the DNS; NULL: the DNS */
    int64_t now;            /* wall ms */
    struct jw *out;         /* an object is open */
    struct err err;
};

struct mail_verb {
    const char *name;
    const char *member; /* the main one */
    bool message;       /* it is a message: line ends of files without any CRLF become CRLF */
    bool raw;           /* it is bytes, as they are; of others blanks and line ends around the input do not count */
    bool members;       /* the input may be a case itself: text that begins with "{" is read as one */
    bool optional;      /* without an argument and with standard input from a terminal it is empty */
    const struct flag *flags; /* `field` is the member; NULL: none */
    bool (*run)(struct mail_case *c);
    const char *help;
};

/* A member as text: NO_BYTES when absent or null; a number as its digits. */
struct bytes mail_text(const struct mail_case *c, const char *member);
/* A member that is true or false (or a flag that was given). */
bool mail_flag(const struct mail_case *c, const char *member);
/* A member that is a number; `other` when absent. */
int64_t mail_number(const struct mail_case *c, const char *member, int64_t other);
/* A member that is a list of texts, or one text. */
struct bytes *mail_texts(const struct mail_case *c, const char *member, size_t *n);
/* Writes a list of texts. */
void mail_write_texts(struct mail_case *c, const char *name, const struct bytes *list, size_t n);
/* `text` with CRLF for each LF when there is no CRLF in it. */
struct bytes mail_lines(struct arena *a, struct bytes text);

/* Answers by the zone or the DNS, until `judge` asks nothing new. False: it asked without end, or there is no DNS. */
bool mail_ask(struct mail_case *c, struct lookups *l, void (*judge)(void *arg), void *arg);

/* ---- cli/mail_case.c, for cli/mail.c ---- */

/* Writes one object: the answer, or {"error": {code, message}} in its place; and the case's id. `zone` (JSON, NULL:
 * none) is used where the case brings none. */
bool mail_case_run(const struct mail_verb *verb, struct json_object *zone, struct mail_case *c, struct buf *out);
/* "error": {code, message} */
void mail_write_error(struct jw *w, const struct err *e);
bool mail_now(struct bytes text, int64_t *now, struct err *e);

/* ---- cli/mail_zone.c: docs/mail.md says what it may hold ---- */

bool mail_zone_read(struct json_object *list, struct arena *a, struct mail_zone **out, struct err *e);
void mail_zone_answer(const struct mail_zone *z, struct arena *a, struct lookup *q);

extern const struct mail_verb mail_verb_address, mail_verb_html, mail_verb_parse;
extern const struct mail_verb mail_verb_arc, mail_verb_bounce, mail_verb_dkim_key, mail_verb_dmarc, mail_verb_report,
    mail_verb_sign, mail_verb_spf, mail_verb_verify;
#endif
