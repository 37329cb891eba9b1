#include "base/clock.h"
#include "base/log.h"
#include "base/params.h"
#include "smtp/session.h"

bool smtp_starttls_offered(const struct smtp *s)
{
    return s->door->tls && !stream_is_tls(s->stream);
}

/* RFC 3207 4.2: after the handshake nothing is known of the client, not even its name. */
static void forget(struct smtp *s)
{
    smtp_mail_clear(s);
    arena_reset(s->session_arena);
    s->call.who = NULL;
    s->call.account = NO_ID;
    s->phase = PHASE_NEW;
    s->esmtp = false;
    s->helo[0] = '\0';
    call_client(&s->call, s->stream);
}

/* Servers that send us mail seldom resume a session; mail programs do. */
static bool start(struct smtp *s, struct err *e)
{
    int64_t deadline = clock_monotonic() + PARAM_INT(smtp, tls_timeout);

    return s->door->kind == SMTP_RECEIVE ? stream_start_tls_once(s->stream, s->door->tls, deadline, e)
                                         : stream_start_tls(s->stream, s->door->tls, deadline, e);
}

bool smtp_starttls(struct smtp *s, const struct command *c)
{
    struct err e = { 0 };
    enum step allowed;

    if (!smtp_starttls_offered(s))
        return smtp_refuse(s,
                           stream_is_tls(s->stream) ? "503 5.5.1 TLS is on already" : "502 5.5.1 TLS is not offered");
    allowed = smtp_verb_allowed(s, c->verb);
    if (allowed != STEP_DONE)
        return step_alive(allowed);
    if (!smtp_reply(s, "220 2.0.0 Ready to start TLS"))
        return false;
    if (!start(s, &e)) {
        log_info("smtp", LOG_TEXT("door", s->call.door), LOG_BYTES("client", s->call.client_ip),
                 LOG_TEXT("result", "tls_failed"), LOG_TEXT("reason", e.message));
        return false;
    }
    forget(s);
    return true;
}
