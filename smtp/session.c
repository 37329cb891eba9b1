/* smtp/session.c - the greeting, the command loop, and the end.
 *
 * A session has one fiber, which sleeps in smtp_read_line and nowhere longer. Every command has a deadline of its own;
 * a client that sends many without a mail is sent away. Draining ends a session only between commands. */
#include "smtp/session.h"
#include "base/budget.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/params.h"
#include "net/fiber.h"
#include "smtp/transfer.h"

enum {
    SESSION_ARENA_MAX = 1 << 20, /* who logged in; emptied after each failed login */
    MAIL_ARENA_MAX = 8 << 20,    /* an envelope: smtp.recipients_max recipients with what is kept of each */
};

void smtp_deadline_in(struct smtp *s, int64_t milliseconds)
{
    stream_deadline(s->stream, clock_monotonic() + milliseconds);
}

void smtp_mail_clear(struct smtp *s)
{
    transfer_drop(&s->mail.transfer);
    s->mail = (struct transaction){ .from = NO_BYTES };
    arena_reset(s->mail_arena);
    if (s->phase != PHASE_NEW)
        s->phase = PHASE_GREETED;
}

static bool going_down(struct smtp *s)
{
    return smtp_hang_up(s, "421 4.3.2 %.*s is going down, come back soon", SHOW(PARAM_TEXT(server, hostname)));
}

static bool line_refused(void *session, bool too_long, const char *text)
{
    struct smtp *s = session;

    return smtp_refuse(s, "500 5.5.%d %s", too_long && s->asking ? 6 : 2, text); /* RFC 4954 section 4 */
}

static void no_line(void *session, const struct err *why)
{
    struct smtp *s = session;

    if (why->code == ERR_TOO_LARGE)
        (void)smtp_hang_up(s, "421 4.7.0 Line too long");
    else if (why->code == ERR_CLOSED && net_draining())
        (void)going_down(s);
    else
        (void)smtp_lost(s, why);
}

enum step smtp_read_line(struct smtp *s, size_t max, struct bytes *line)
{
    static const struct line_manners manners = { line_refused, no_line };
    enum step read;

    smtp_deadline_in(s, PARAM_INT(smtp, command_timeout));
    /* A server that stops ends sessions between commands, not in the middle of an AUTH. */
    stream_drains(s->stream, !s->asking);
    read = line_next(s->stream, max, &manners, s, line);
    stream_drains(s->stream, false);
    return read;
}

/* A browser that was lured here, with SMTP in the body of its request. */
static bool is_http(struct bytes name)
{
    static const char *const methods[] = { "GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT", "DELETE", "PATCH" };

    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (bytes_equal(name, bytes_of(methods[i])))
            return true;
    return false;
}

static bool command_unknown(struct smtp *s, struct bytes name)
{
    if (is_http(name))
        return smtp_hang_up(s, "421 4.7.0 This is SMTP, not HTTP");
    return smtp_refuse(s, "500 5.5.1 Command not known");
}

static bool command_run(struct smtp *s, const struct command *c)
{
    const struct verb *v = c->verb;
    enum step allowed;

    if ((v->flags & ARGUMENT) && !c->arg.n)
        return smtp_refuse(s, "501 5.5.4 Write: %s", v->usage);
    if ((v->flags & NO_ARGUMENT) && c->arg.n)
        return smtp_refuse(s, "501 5.5.4 %s takes no parameters", v->name);
    allowed = v->flags & OWN_ORDER ? STEP_DONE : smtp_verb_allowed(s, v);
    return allowed == STEP_DONE ? v->run(s, c) : step_alive(allowed);
}

static bool command(struct smtp *s, struct bytes line)
{
    struct bytes name, arg;
    const struct verb *v;

    bytes_cut(line, ' ', &name, &arg);
    name = bytes_trim(name);
    v = smtp_verb_find(name);
    if (!v)
        return command_unknown(s, name);
    if (line.n + 2 > v->line_max)
        return smtp_refuse(s, "500 5.5.2 Line too long");
    call_renew(&s->call);
    s->call.deadline = clock_monotonic() + PARAM_INT(smtp, work_timeout);
    return command_run(s, &(struct command){ v, bytes_trim(arg) });
}

static void commands(struct smtp *s)
{
    struct bytes line;
    enum step read;

    for (;;) {
        if (net_draining()) {
            (void)going_down(s);
            return;
        }
        read = smtp_read_line(s, LINE_AUTH, &line);
        if (read == STEP_END || (read == STEP_DONE && !command(s, line)))
            return;
        if (++s->commands > PARAM_INT(smtp, commands_max)) {
            smtp_hang_up(s, "421 4.7.0 Too many commands without a mail");
            return;
        }
    }
}

/* The server speaks first (RFC 5321 3.1); who does not wait is a script that would not listen either. */
static bool talks_early(const struct smtp *s)
{
    return PARAM_INT(smtp, refuse_early_talk) && !stream_is_tls(s->stream) && stream_has_input(s->stream);
}

static bool greet(struct smtp *s)
{
    struct bytes host = PARAM_TEXT(server, hostname);
    int64_t delay = PARAM_INT(smtp, greeting_delay);
    struct err away = { 0 };

    smtp_deadline_in(s, PARAM_INT(smtp, goodbye_timeout));
    if (delay)
        fiber_sleep_until(clock_monotonic() + delay);
    if (talks_early(s))
        return smtp_hang_up(s, "554 5.5.0 %.*s speaks first", SHOW(host));
    if (!service_ready(s->door->svc, &away) && away.code == ERR_BUSY) /* RFC 5321 section 3.1; another MX may be well */
        return smtp_hang_up(s, "421 4.3.0 %.*s cannot take mail now, come back soon", SHOW(host));
    return smtp_reply(s, "220 %.*s %.*s", SHOW(host), SHOW(PARAM_TEXT(smtp, greeting)));
}

static void converse(struct smtp *s)
{
    struct err e;

    if (!line_start_tls(s->stream, s->door->kind == SMTP_SUBMISSIONS ? s->door->tls : NULL,
                        PARAM_INT(smtp, tls_timeout), &e))
        return;
    call_client(&s->call, s->stream);
    if (greet(s))
        commands(s);
    smtp_mail_clear(s);
    smtp_deadline_in(s, PARAM_INT(smtp, goodbye_timeout));
    stream_shutdown(s->stream);
}

void smtp_run(struct stream *stream, const struct smtp_door *door)
{
    struct smtp s = { .door = door,
                      .stream = stream,
                      .session_arena = arena_new_in(&budget_smtp, SESSION_ARENA_MAX),
                      .mail_arena = arena_new_in(&budget_smtp, MAIL_ARENA_MAX),
                      .started = clock_monotonic() };

    call_init(&s.call, door->svc, s.mail_arena, door->kind == SMTP_RECEIVE ? "smtp" : "submission");
    metric_add(METRIC_smtp_sessions, 1);
    converse(&s);
    metric_add(METRIC_smtp_sessions, -1);
    arena_free(&s.mail_arena);
    arena_free(&s.session_arena);
    stream_free(&stream);
}

void smtp_session(int fd, void *door)
{
    struct stream_options o = { .in_max = (size_t)PARAM_INT(smtp, read_max),
                                .out_max = (size_t)PARAM_INT(net, write_high) };

    smtp_run(stream_socket(fd, &o), door);
}
