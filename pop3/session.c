/* pop3/session.c - the command loop, the lock that is kept alive, and why a session ends.
 *
 * The lock is a lease: whenever a session waits or sends it is renewed in time, and one that was lost ends the session,
 * as another may be deleting by now. Silence ends it without a word and without deletions (RFC 1939 3). A store that is
 * away for a moment does not. */
#include "pop3/session.h"
#include "base/budget.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/params.h"
#include "net/fiber.h"

enum {
    SESSION_ARENA_MAX = 8 << 20, /* who logged in, the marks */
    COMMAND_ARENA_MAX = 16 << 20,
    INPUT_MAX = 16384, /* the longest line and what is pipelined behind it */
};

void pop3_write_deadline(struct pop3 *s)
{
    stream_deadline(s->stream, clock_monotonic() + PARAM_INT(pop3, write_timeout));
}

bool pop3_keep_lock(struct pop3 *s)
{
    int64_t now;

    if (!s->drop)
        return true;
    now = clock_monotonic();
    if (now < s->keep_at)
        return true;
    s->keep_at = now + PARAM_INT(pop3, keep_lock);
    s->call.deadline = now + PARAM_INT(pop3, work_timeout);
    /* A store that is away now may be back before the lock runs out. */
    return (auth_current(&s->call) && maildrop_keep(s->drop, &s->call)) ||
           (s->call.err.code != ERR_IN_USE && s->call.err.code != ERR_REVOKED);
}

/* RFC 3206: [AUTH] is for all that is wrong with the credentials, and AUTH-RESP-CODE is in our CAPA. Nothing that was
 * marked is deleted. */
bool pop3_lost(struct pop3 *s)
{
    if (s->call.err.code == ERR_REVOKED)
        return pop3_hang_up(s, "[AUTH] %s", err_told(&s->call.err));
    return pop3_hang_up(s, "[IN-USE] The lock on the mailbox was lost");
}

/* Sleeps until something has come, but wakes to renew the lock. */
static bool wait_for_more(struct pop3 *s, int64_t until, struct err *e)
{
    for (;;) {
        int64_t next = s->drop && s->keep_at < until ? s->keep_at : until;

        pop3_write_deadline(s);
        if (!stream_flush(s->stream, e))
            return false;
        if (stream_await(s->stream, next, e))
            return true;
        if (e->code != ERR_TIMEOUT || next == until)
            return false;
        if (!pop3_keep_lock(s)) {
            *e = s->call.err;
            return false;
        }
    }
}

/* Why no line came. RFC 1939 section 3: silence ends a session without an answer and without deletions. */
static void no_line(void *session, const struct err *why)
{
    struct pop3 *s = session;

    if (why->code == ERR_TOO_LARGE)
        (void)pop3_hang_up(s, "Line too long");
    else if (why->code == ERR_CLOSED && net_draining())
        (void)pop3_hang_up(s, "[SYS/TEMP] The server is going down");
    else if (why->code == ERR_IN_USE || why->code == ERR_REVOKED)
        (void)pop3_lost(s);
}

static bool line_refused(void *session, bool too_long, const char *text)
{
    (void)too_long;
    return pop3_refuse(session, "%s", text);
}

enum step pop3_read_line(struct pop3 *s, struct bytes *line)
{
    static const struct line_manners manners = { line_refused, no_line };
    int64_t silence = s->phase == PHASE_TRANSACTION ? PARAM_INT(pop3, idle) : PARAM_INT(pop3, login_timeout);
    int64_t until = clock_monotonic() + silence;
    struct err e = { 0 };
    bool came = true;

    *line = NO_BYTES;
    stream_drains(s->stream, true);
    while (came && !line_is_there(s->stream, LINE_AUTH))
        came = wait_for_more(s, until, &e);
    stream_drains(s->stream, false);
    if (!came) {
        no_line(s, &e);
        return STEP_END;
    }
    stream_deadline(s->stream, until);
    return line_next(s->stream, LINE_AUTH, &manners, s, line);
}

static bool arguments_fit(const struct verb *v, struct bytes arg)
{
    unsigned n = 0;

    if (v->most == RAW)
        return arg.p || !v->least;
    while (pop3_argument(&arg).p)
        n++;
    return n >= v->least && n <= v->most;
}

static bool command(struct pop3 *s, struct bytes line)
{
    struct bytes name, arg;
    const struct verb *v;

    (void)bytes_cut(line, ' ', &name, &arg);
    v = pop3_verb_find(name);
    if (!v)
        return pop3_refuse(s, "Command not known");
    if (line.n + 2 > v->line_max)
        return pop3_refuse(s, "Line too long");
    if (!(v->phases & (1u << s->phase)))
        return pop3_refuse(s, s->phase == PHASE_TRANSACTION ? "You are logged in" : "Log in first");
    if (!arguments_fit(v, arg))
        return pop3_refuse(s, "Wrong number of arguments for %s", v->name);
    call_renew(&s->call);
    arena_reset(s->command);
    s->call.deadline = clock_monotonic() + PARAM_INT(pop3, work_timeout);
    pop3_write_deadline(s);
    if (!auth_current(&s->call))
        return s->call.err.code == ERR_REVOKED ? pop3_lost(s) : pop3_refuse_error(s);
    return v->run(s, arg);
}

static void commands(struct pop3 *s)
{
    struct bytes line;
    enum step read;

    for (;;) {
        if (net_draining()) {
            pop3_hang_up(s, "[SYS/TEMP] The server is going down");
            return;
        }
        if (!pop3_keep_lock(s)) {
            pop3_lost(s);
            return;
        }
        read = pop3_read_line(s, &line);
        if (read == STEP_END || (read == STEP_DONE && !command(s, line)))
            return;
    }
}

static void converse(struct pop3 *s)
{
    struct err e;

    if (!line_start_tls(s->stream, s->door->implicit_tls ? s->door->tls : NULL, PARAM_INT(pop3, tls_timeout), &e))
        return;
    call_client(&s->call, s->stream);
    pop3_write_deadline(s);
    if (pop3_ok(s, "%.*s", SHOW(PARAM_TEXT(pop3, greeting))))
        commands(s);
    maildrop_close(&s->drop); /* first: the lock is free as soon as the client is gone */
    stream_shutdown(s->stream);
}

void pop3_run(struct stream *stream, const struct pop3_door *door)
{
    struct pop3 s = { .door = door,
                      .stream = stream,
                      .session = arena_new_in(&budget_pop3, SESSION_ARENA_MAX),
                      .command = arena_new_in(&budget_pop3, COMMAND_ARENA_MAX) };

    call_init(&s.call, door->svc, s.command, "pop3");
    metric_add(METRIC_pop3_sessions, 1);
    converse(&s);
    metric_add(METRIC_pop3_sessions, -1);
    arena_free(&s.command);
    arena_free(&s.session);
    stream_free(&stream);
}

void pop3_session(int fd, void *door)
{
    struct stream_options o = { .in_max = INPUT_MAX, .out_max = (size_t)PARAM_INT(net, write_high) };

    pop3_run(stream_socket(fd, &o), door);
}
