/* pop3/login.c - USER and PASS, AUTH PLAIN (RFC 5034), STLS (RFC 2595).
 *
 * A login is a credential and the mailbox's lock: one without the other is none, and leaves nothing behind in the
 * session. Whether passwords may cross the connection is said by the service. USER is answered alike for every name. */
#include "base/clock.h"
#include "base/log.h"
#include "base/params.h"
#include "base/sasl.h"
#include "pop3/session.h"

bool pop3_login_offered(const struct pop3 *s)
{
    return auth_clear_allowed(&s->call);
}

bool pop3_stls_offered(const struct pop3 *s)
{
    return s->door->tls && !stream_is_tls(s->stream);
}

static void log_in_forget(struct pop3 *s)
{
    s->call.who = NULL;
    s->call.account = NO_ID;
    s->name[0] = '\0';
    arena_reset(s->session);
}

/* Who it is, then the lock. What both leave behind lives as long as the session. */
static bool log_in(struct pop3 *s, struct bytes name, struct bytes password)
{
    const struct principal *who = NULL;
    char id[ID_TEXT + 1];
    bool done;

    s->call.arena = s->session;
    done = auth_password(&s->call, name, password, &who) && call_act_as(&s->call, who, NO_BYTES) &&
           maildrop_open(&s->call, &s->drop);
    s->call.arena = s->command;
    if (!done) {
        log_in_forget(s);
        return pop3_refuse_error(s);
    }
    s->phase = PHASE_TRANSACTION;
    s->keep_at = clock_monotonic() + PARAM_INT(pop3, keep_lock);
    pop3_listing_begin(s);
    log_info("pop3", LOG_BYTES("id", id_format("req", s->call.request, id)), LOG_BYTES("client", s->call.client_ip),
             LOG_BYTES("user", who->name), LOG_TEXT("result", "login"), LOG_INT("messages", maildrop_count(s->drop)));
    return pop3_ok(s, "%zu messages, %lld octets", maildrop_count(s->drop), (long long)s->octets);
}

static bool refuse_clear(struct pop3 *s)
{
    return pop3_refuse(s, "A password does not cross this connection in clear: STLS first");
}

bool pop3_user(struct pop3 *s, struct bytes arg)
{
    struct bytes name = bytes_trim(arg);

    if (!pop3_login_offered(s))
        return refuse_clear(s);
    if (!name.n || name.n > LONGEST_NAME)
        return pop3_refuse(s, "[AUTH] No such form of a name");
    memcpy(s->name, name.p, name.n);
    s->name[name.n] = '\0';
    return pop3_ok(s, "Send PASS"); /* also when nobody has this name */
}

/* RFC 1939 section 7: everything behind the one space is the password. */
bool pop3_pass(struct pop3 *s, struct bytes arg)
{
    char name[LONGEST_NAME + 1];

    if (!pop3_login_offered(s))
        return refuse_clear(s);
    if (!s->name[0])
        return pop3_refuse(s, "USER comes first");
    memcpy(name, s->name, sizeof name);
    s->name[0] = '\0';
    return log_in(s, bytes_of(name), arg);
}

static bool auth_plain(struct pop3 *s, struct bytes response)
{
    struct sasl_plain plain;
    struct buf decoded;
    bool alive;

    buf_init(&decoded, LINE_AUTH);
    if (sasl_plain_read(response, &decoded, &plain, &s->call.err))
        alive = log_in(s, plain.name, plain.password);
    else
        alive = pop3_refuse_error(s);
    sasl_wipe(&decoded);
    return alive;
}

/* RFC 5034; without a mechanism the list of them, as servers did before CAPA. */
bool pop3_auth(struct pop3 *s, struct bytes arg)
{
    struct bytes mechanism = pop3_argument(&arg), response = pop3_argument(&arg);

    if (!pop3_login_offered(s))
        return refuse_clear(s);
    if (!mechanism.p)
        return pop3_ok(s, "Mechanisms follow") && pop3_line_out(s, "PLAIN") && pop3_line_out(s, ".");
    if (!bytes_equal_nocase(mechanism, BYTES("PLAIN")))
        return pop3_refuse(s, "Mechanism not known: PLAIN");
    if (!response.p) {
        enum step answered = pop3_line_out(s, "+ ") ? pop3_read_line(s, &response) : STEP_END;

        if (answered != STEP_DONE)
            return step_alive(answered);
    }
    if (bytes_equal(response, BYTES("*")))
        return pop3_refuse(s, "Authentication cancelled");
    return auth_plain(s, response);
}

/* RFC 2595 section 4: what was said in clear is forgotten. */
bool pop3_stls(struct pop3 *s, struct bytes arg)
{
    struct err e = { 0 };

    (void)arg;
    if (!pop3_stls_offered(s))
        return pop3_refuse(s, stream_is_tls(s->stream) ? "TLS is on already" : "TLS is not offered");
    if (!pop3_ok(s, "Begin TLS"))
        return false;
    if (!line_start_tls(s->stream, s->door->tls, PARAM_INT(pop3, tls_timeout), &e)) {
        log_info("pop3", LOG_BYTES("client", s->call.client_ip), LOG_TEXT("result", "tls_failed"),
                 LOG_TEXT("reason", e.message));
        return false;
    }
    log_in_forget(s);
    s->utf8 = false;
    call_client(&s->call, s->stream);
    return true;
}
