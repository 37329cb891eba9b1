/* smtp/auth.c - AUTH (RFC 4954): PLAIN, and LOGIN for the programs that know nothing else.
 *
 * This file only moves bytes: whether a login is possible on this connection and whether it succeeds is said by
 * service/identity/auth.h. Passwords are decoded into bufs of our own and wiped. A failed login is a reply and the
 * session goes on; guessing is slowed where all doors meet, not here. */
#include "base/params.h"
#include "base/sasl.h"
#include "smtp/session.h"

bool smtp_auth_offered(const struct smtp *s)
{
    return s->door->kind != SMTP_RECEIVE && auth_clear_allowed(&s->call);
}

/* Ends an AUTH that brought nothing; `tried` tells a failed login from a misspelt one. */
static bool auth_failed(struct smtp *s)
{
    struct err *e = &s->call.err;

    arena_reset(s->session_arena);
    if (e->code == ERR_SYNTAX)
        return smtp_refuse(s, "501 5.5.2 %s", err_told(e));
    if (e->code == ERR_AUTH)
        return smtp_refuse(s, "535 5.7.8 Authentication failed");
    if (e->code == ERR_KEY_AS_NAME)
        return smtp_refuse(s, "535 5.7.8 %s", err_told(e));
    return smtp_refuse(s, "454 4.7.0 %s", err_told(e)); /* RFC 4954 section 6: try again later */
}

static bool login(struct smtp *s, struct bytes name, struct bytes password)
{
    const struct principal *who = NULL;
    bool ok;

    s->call.arena = s->session_arena; /* it outlives this mail */
    ok = auth_submission(&s->call, name, password, &who) && call_act_as(&s->call, who, NO_BYTES);
    s->call.arena = s->mail_arena;
    if (!ok)
        return auth_failed(s);
    return smtp_reply(s, "235 2.7.0 Authenticated");
}

/* One answer of the client to a 334; the view lasts until the next. */
static enum step ask(struct smtp *s, const char *challenge, struct bytes *line)
{
    enum step answered = STEP_END;

    s->asking = true;
    if (smtp_reply(s, "334 %s", challenge))
        answered = smtp_read_line(s, LINE_AUTH, line);
    s->asking = false;
    if (answered == STEP_DONE && bytes_equal(*line, BYTES("*")))
        return step_refused(smtp_refuse(s, "501 5.7.0 Authentication cancelled"));
    return answered;
}

/* The first answer may stand behind the command. */
static enum step ask_first(struct smtp *s, const char *challenge, struct bytes *response)
{
    return response->p ? STEP_DONE : ask(s, challenge, response);
}

static bool auth_plain(struct smtp *s, struct bytes response)
{
    enum step answered = ask_first(s, "", &response);
    struct sasl_plain plain;
    struct buf decoded;
    bool alive;

    if (answered != STEP_DONE)
        return step_alive(answered);
    buf_init(&decoded, LINE_AUTH);
    if (sasl_plain_read(response, &decoded, &plain, &s->call.err))
        alive = login(s, plain.name, plain.password);
    else
        alive = auth_failed(s);
    sasl_wipe(&decoded);
    return alive;
}

/* The password's turn; both were decoded into bufs of our own. */
static bool auth_login_password(struct smtp *s, struct bytes name, struct buf *decoded)
{
    struct bytes line;
    enum step answered = ask(s, "UGFzc3dvcmQ6", &line); /* "Password:" */

    if (answered != STEP_DONE)
        return step_alive(answered);
    if (!sasl_decode(line, decoded, &s->call.err))
        return auth_failed(s);
    return login(s, name, buf_bytes(decoded));
}

static bool auth_login(struct smtp *s, struct bytes response)
{
    enum step answered = ask_first(s, "VXNlcm5hbWU6", &response); /* "Username:" */
    struct buf name, password;
    bool alive;

    if (answered != STEP_DONE)
        return step_alive(answered);
    buf_init(&name, LINE_AUTH);
    buf_init(&password, LINE_AUTH);
    if (sasl_decode(response, &name, &s->call.err))
        alive = auth_login_password(s, buf_bytes(&name), &password);
    else
        alive = auth_failed(s);
    sasl_wipe(&name);
    sasl_wipe(&password);
    return alive;
}

static const struct mechanism {
    const char *name;
    bool (*run)(struct smtp *s, struct bytes response);
} mechanisms[] = { { "PLAIN", auth_plain }, { "LOGIN", auth_login } };

/* Why logins are out of place here; NULL: they are not. */
static const char *why_not(const struct smtp *s)
{
    if (s->door->kind == SMTP_RECEIVE)
        return "503 5.5.1 No logins at this port; submit mail at the submission port";
    if (!auth_clear_allowed(&s->call))
        return "530 5.7.0 STARTTLS comes first";
    return s->call.who ? "503 5.5.1 You are logged in" : NULL;
}

static enum step auth_possible(struct smtp *s, const struct verb *v)
{
    const char *why = why_not(s);

    return why ? step_refused(smtp_refuse(s, "%s", why)) : smtp_verb_allowed(s, v);
}

bool smtp_auth(struct smtp *s, const struct command *c)
{
    enum step possible = auth_possible(s, c->verb);
    struct bytes name, response;

    if (possible != STEP_DONE)
        return step_alive(possible);
    if (bytes_cut(c->arg, ' ', &name, &response))
        response = bytes_trim(response);
    for (size_t i = 0; i < sizeof mechanisms / sizeof *mechanisms; i++)
        if (bytes_equal_nocase(name, bytes_of(mechanisms[i].name)))
            return mechanisms[i].run(s, response);
    return smtp_refuse(s, "504 5.5.4 Mechanism not known: PLAIN or LOGIN");
}
