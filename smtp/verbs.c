/* smtp/verbs.c - the table of commands, and from it EHLO and HELP.
 *
 * When a command is allowed is judged in one place, smtp_verb_allowed, in the order that clients rely on: a login that
 * is missing or lost before an order that is wrong. An extension is announced while the command that brings it is
 * offered, so the two never disagree. */
#include "base/params.h"
#include "service/service.h"
#include "smtp/transfer.h"

#define ANY (~0u)

static bool ehlo(struct smtp *s, const struct command *c);
static bool helo(struct smtp *s, const struct command *c);
static bool rset(struct smtp *s, const struct command *c);
static bool noop(struct smtp *s, const struct command *c);
static bool help(struct smtp *s, const struct command *c);
static bool vrfy(struct smtp *s, const struct command *c);
static bool expn(struct smtp *s, const struct command *c);
static bool quit(struct smtp *s, const struct command *c);

static bool never(const struct smtp *s)
{
    (void)s;
    return false;
}

static const struct verb verbs[] = {
    { "EHLO", ehlo, ANY, ARGUMENT, LINE_COMMAND, NULL, "EHLO host" },
    { "HELO", helo, ANY, ARGUMENT, LINE_COMMAND, NULL, "HELO host" },
    { "MAIL", smtp_mail, IN(GREETED), ARGUMENT | LOGIN, LINE_ENVELOPE, NULL, "MAIL FROM:<sender> [parameters]" },
    { "RCPT", smtp_rcpt, IN(MAIL) | IN(RCPT), ARGUMENT | LOGIN, LINE_ENVELOPE, NULL,
      "RCPT TO:<recipient> [parameters]" },
    { "DATA", smtp_data, IN(MAIL) | IN(RCPT), NO_ARGUMENT | LOGIN, LINE_COMMAND, NULL, "DATA" },
    { "BDAT", smtp_bdat, IN(RCPT) | IN(BDAT), LOGIN | OWN_ORDER, LINE_COMMAND, NULL, "BDAT octets [LAST]" },
    { "AUTH", smtp_auth, IN(GREETED), ARGUMENT | OWN_ORDER, LINE_AUTH, smtp_auth_offered,
      "AUTH PLAIN|LOGIN [response]" },
    { "STARTTLS", smtp_starttls, IN(GREETED), NO_ARGUMENT | OWN_ORDER, LINE_COMMAND, smtp_starttls_offered,
      "STARTTLS" },
    { "RSET", rset, ANY, NO_ARGUMENT, LINE_COMMAND, NULL, "RSET" },
    { "NOOP", noop, ANY, 0, LINE_COMMAND, NULL, "NOOP" },
    { "VRFY", vrfy, ANY, ARGUMENT, LINE_COMMAND, NULL, "VRFY address" },
    { "EXPN", expn, ANY, ARGUMENT, LINE_COMMAND, never, "EXPN list" },
    { "HELP", help, ANY, 0, LINE_COMMAND, NULL, "HELP [command]" },
    { "QUIT", quit, ANY, NO_ARGUMENT, LINE_COMMAND, NULL, "QUIT" },
};
enum { VERBS = sizeof verbs / sizeof *verbs };

/* What EHLO announces, in this order: a keyword stands while the command that brings it is offered. */
struct extension {
    const char *verb;
    const char *keyword;
    const char *value;    /* NULL: none */
    enum param parameter; /* its number ends the line; PARAMS: none */
};
static const struct extension extensions[] = {
    { "MAIL", "SIZE", "", PARAM_message_size_max },              /* RFC 1870 */
    { "MAIL", "8BITMIME", NULL, PARAMS },                        /* RFC 6152 */
    { "MAIL", "SMTPUTF8", NULL, PARAMS },                        /* RFC 6531 */
    { "EHLO", "PIPELINING", NULL, PARAMS },                      /* RFC 2920 */
    { "BDAT", "CHUNKING", NULL, PARAMS },                        /* RFC 3030 */
    { "RCPT", "DSN", NULL, PARAMS },                             /* RFC 3461 */
    { "EHLO", "ENHANCEDSTATUSCODES", NULL, PARAMS },             /* RFC 2034 */
    { "RCPT", "LIMITS", "RCPTMAX=", PARAM_smtp_recipients_max }, /* RFC 9422 */
    { "STARTTLS", "STARTTLS", NULL, PARAMS },                    /* RFC 3207 */
    { "AUTH", "AUTH", "PLAIN LOGIN", PARAMS },                   /* RFC 4954 */
    { "HELP", "HELP", NULL, PARAMS },
};
enum { EXTENSIONS = sizeof extensions / sizeof *extensions };

const struct verb *smtp_verb_find(struct bytes name)
{
    for (size_t i = 0; i < VERBS; i++)
        if (bytes_equal_nocase(name, bytes_of(verbs[i].name)))
            return &verbs[i];
    return NULL;
}

static const char *order_text(const struct smtp *s, const struct verb *v)
{
    switch (s->phase) {
    case PHASE_NEW: return "Say EHLO first";
    case PHASE_GREETED: return "MAIL comes first";
    case PHASE_MAIL: return v->phases & IN(GREETED) ? "A mail is under way" : "RCPT comes first";
    case PHASE_BDAT: return "Chunks are under way: BDAT or RSET";
    case PHASE_FAILED: return "A chunk was refused: RSET comes first";
    default: return "A mail is under way";
    }
}

/* 421, again at every command until the client goes (RFC 5321 3.8): it keeps its mail, comes back, and hears 535 from
 * AUTH if it must. 530 would be final for a mail that waits in somebody's queue, and RFC 4954 section 4 allows no
 * second AUTH here. */
static bool login_lost(struct smtp *s)
{
    const struct err *e = &s->call.err;

    smtp_log_refused(s, NULL, NO_BYTES);
    return smtp_refuse(s, "%s %s", err_row(e->code)->smtp, err_told(e));
}

enum step smtp_verb_allowed(struct smtp *s, const struct verb *v)
{
    if ((v->flags & LOGIN) && s->door->kind != SMTP_RECEIVE && !s->call.who && s->phase != PHASE_NEW)
        return step_refused(smtp_refuse(s, "530 5.7.0 Authentication required"));
    if ((v->flags & LOGIN) && !auth_current(&s->call))
        return step_refused(login_lost(s));
    if (!(v->phases & (1u << s->phase)))
        return step_refused(smtp_refuse(s, "503 5.5.1 %s", order_text(s, v)));
    return STEP_DONE;
}

static bool offered(const struct smtp *s, const struct verb *v)
{
    return !v->offered || v->offered(s);
}

/* ---- EHLO and HELO ---- */

/* What it calls itself is only recorded: a computer whose owner gave it a name of another script has mail too. */
static bool hello(struct smtp *s, struct bytes arg)
{
    struct bytes name = bytes_head(arg, bytes_find(arg, ' '));

    if (name.n >= sizeof s->helo)
        return false;
    smtp_mail_clear(s);
    for (size_t i = 0; i < name.n; i++)
        s->helo[i] = name.p[i] > ' ' && name.p[i] <= '~' ? name.p[i] : '?';
    s->helo[name.n] = '\0';
    s->phase = PHASE_GREETED;
    return true;
}

static bool extension_line(struct smtp *s, const struct extension *x, bool last)
{
    char mark = last ? ' ' : '-';

    if (x->parameter != PARAMS)
        return smtp_reply(s, "250%c%s %s%lld", mark, x->keyword, x->value, (long long)param_int(x->parameter));
    if (x->value)
        return smtp_reply(s, "250%c%s %s", mark, x->keyword, x->value);
    return smtp_reply(s, "250%c%s", mark, x->keyword);
}

static bool ehlo(struct smtp *s, const struct command *c)
{
    if (!hello(s, c->arg))
        return smtp_refuse(s, "501 5.5.4 Write: %s", c->verb->usage);
    s->esmtp = true;
    if (!smtp_reply(s, "250-%.*s greets %s", SHOW(PARAM_TEXT(server, hostname)), s->helo))
        return false;
    for (size_t i = 0; i < EXTENSIONS; i++)
        if (offered(s, smtp_verb_find(bytes_of(extensions[i].verb))) &&
            !extension_line(s, &extensions[i], i == EXTENSIONS - 1))
            return false;
    return true;
}

static bool helo(struct smtp *s, const struct command *c)
{
    if (!hello(s, c->arg))
        return smtp_refuse(s, "501 5.5.4 Write: %s", c->verb->usage);
    s->esmtp = false;
    return smtp_reply(s, "250 %.*s", SHOW(PARAM_TEXT(server, hostname)));
}

/* ---- the small ones ---- */

static bool rset(struct smtp *s, const struct command *c)
{
    (void)c;
    smtp_mail_clear(s);
    return smtp_reply(s, "250 2.0.0 Ok");
}

static bool noop(struct smtp *s, const struct command *c)
{
    (void)c;
    return smtp_reply(s, "250 2.0.0 Ok");
}

/* RFC 5321 3.5.3: saying nothing keeps lists of users from being made here. */
static bool vrfy(struct smtp *s, const struct command *c)
{
    (void)c;
    return smtp_reply(s, "252 2.1.5 Send mail to it, and RCPT will tell");
}

static bool expn(struct smtp *s, const struct command *c)
{
    (void)c;
    return smtp_refuse(s, "502 5.5.1 EXPN is not offered");
}

static bool help_one(struct smtp *s, struct bytes arg)
{
    const struct verb *v = smtp_verb_find(arg);

    if (!v || !offered(s, v))
        return smtp_refuse(s, "504 5.5.4 No such command; HELP lists them");
    return smtp_reply(s, "214 2.0.0 %s", v->usage);
}

static bool help(struct smtp *s, const struct command *c)
{
    if (c->arg.n)
        return help_one(s, c->arg);
    for (size_t i = 0; i < VERBS; i++)
        if (offered(s, &verbs[i]) && !smtp_reply(s, "214-2.0.0 %s", verbs[i].usage))
            return false;
    return smtp_reply(s, "214 2.0.0 Postrider " POSTRIDER_VERSION);
}

static bool quit(struct smtp *s, const struct command *c)
{
    (void)c;
    return smtp_hang_up(s, "221 2.0.0 Goodbye");
}
