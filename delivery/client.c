/* delivery/client.c - a connection up to the point at which mail can be sent on it: greeting, EHLO, STARTTLS, AUTH, and
 * its end. client_send.c has the mail.
 *
 * Every step is a line said and a reply heard, with a deadline for the whole of it. Whoever breaks the protocol is not
 * argued with: the connection is marked as broken, and the caller takes another. */
#include "base/clock.h"
#include "base/crypt.h"
#include "base/params.h"
#include "delivery/client_private.h"
#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define QUIT_MS 1000

static const char *const steps[] = {
    [STEP_CONNECT] = "connect", [STEP_GREETING] = "greeting", [STEP_HELLO] = "EHLO", [STEP_STARTTLS] = "STARTTLS",
    [STEP_AUTH] = "AUTH",       [STEP_MAIL] = "MAIL",         [STEP_RCPT] = "RCPT",  [STEP_DATA] = "DATA",
    [STEP_DOT] = ".",           [STEP_RSET] = "RSET",
};

const char *step_text(enum step s)
{
    assert(s < STEPS);
    return steps[s];
}

bool answer_is_ambiguous(const struct answer *x)
{
    return x->at == STEP_DOT && x->what != ANSWER_REPLY;
}

int answer_class(const struct answer *x)
{
    return x->what == ANSWER_REPLY ? x->reply.code / 100 : 0;
}

/* ---- one step ---- */

void client_note(struct client *c, enum script_who who, const char *format, ...)
{
    char text[SCRIPT_LINE_MOST];
    va_list args;
    int n;

    if (!c->script)
        return;
    va_start(args, format);
    n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n > 0)
        script_add(c->script, who, bytes_of(text), clock_monotonic());
}

void client_script(struct client *c, struct script *s)
{
    c->script = s;
}

void client_failed(struct client *c, enum step at, struct answer *out)
{
    *out = (struct answer){ .at = at, .what = c->err.code == ERR_TIMEOUT ? ANSWER_TIMEOUT : ANSWER_CLOSED };
    out->reply.text = arena_copy(c->arena, bytes_of(c->err.message));
    client_note(c, SCRIPT_NOTE, "%s", c->err.message);
    c->broken = true;
}

bool client_say(struct client *c, struct bytes line, enum step at, struct answer *out)
{
    c->err = (struct err){ 0 };
    if (c->script)
        script_add(c->script, SCRIPT_OUT, bytes_trim(line), clock_monotonic());
    if (stream_write(c->stream, line, &c->err))
        return true;
    client_failed(c, at, out);
    return false;
}

void client_confused(struct client *c, struct answer *out)
{
    out->what = ANSWER_PROTOCOL;
    c->broken = true;
}

/* Its lines are one entry, as they come out of the reader: clean, and no longer than that keeps. */
static void note_reply(struct client *c, const struct reply *r)
{
    if (c->script)
        client_note(c, SCRIPT_IN, "%d%s%.*s%s%.*s", r->code, r->enhanced.n ? " " : "", SHOW(r->enhanced),
                    r->text.n ? " " : "", SHOW(r->text));
}

static void answer_keep(struct client *c, const struct reply *r, enum step at, struct answer *out)
{
    *out = (struct answer){ .at = at, .what = ANSWER_REPLY, .reply = *r };
    out->reply.enhanced = arena_copy(c->arena, out->reply.enhanced);
    out->reply.text = arena_copy(c->arena, out->reply.text);
    note_reply(c, &out->reply);
    c->broken = c->broken || out->reply.code == 421; /* RFC 5321 3.8: it is about to close */
}

/* REPLY_MORE: the stream has ended. */
static enum reply_state read_reply(struct client *c, struct reply_reader *r)
{
    enum reply_state state = REPLY_MORE;

    reply_begin(r);
    while (state == REPLY_MORE) {
        size_t used;

        state = reply_read(r, stream_peek(c->stream), &used);
        stream_skip(c->stream, used);
        if (state == REPLY_MORE && !stream_fill(c->stream, &c->err))
            break;
    }
    return state;
}

/* There is a reader only from a reply's first byte on: thousands of connections wait, and one of them is read. */
bool client_hear(struct client *c, enum step at, int64_t ms, struct answer *out)
{
    enum reply_state state = REPLY_MORE;
    struct reply_reader *r = NULL;

    stream_deadline(c->stream, clock_monotonic() + ms);
    c->err = (struct err){ 0 };
    if (stream_peek(c->stream).n || stream_fill(c->stream, &c->err)) {
        r = malloc(sizeof *r);
        if (!r)
            die("out of memory: a reply");
        state = read_reply(c, r);
    }
    if (state == REPLY_MORE)
        client_failed(c, at, out);
    else
        answer_keep(c, &r->reply, at, out);
    free(r);
    if (state == REPLY_BROKEN)
        client_confused(c, out);
    return state == REPLY_DONE;
}

/* ---- a connection ---- */

struct client *client_new(struct stream **s, struct bytes ehlo, struct arena *a)
{
    struct client *c = calloc(1, sizeof *c);

    if (!c)
        die("out of memory: a connection");
    c->stream = *s;
    *s = NULL;
    c->arena = a;
    snprintf(c->ehlo, sizeof c->ehlo, "%.*s", SHOW(ehlo));
    return c;
}

void client_drop(struct client **c)
{
    if (!*c)
        return;
    stream_free(&(*c)->stream);
    free(*c);
    *c = NULL;
}

void client_quit(struct client **c, bool heard)
{
    struct answer ignored;

    if (*c && !(*c)->broken && !(*c)->told_data && !(*c)->said &&
        client_say(*c, BYTES("QUIT\r\n"), STEP_RSET, &ignored) &&
        (!heard || client_hear(*c, STEP_RSET, QUIT_MS, &ignored)))
        stream_shutdown((*c)->stream);
    client_drop(c);
}

void client_arena(struct client *c, struct arena *a)
{
    c->arena = a;
}

const struct offer *client_offer(const struct client *c)
{
    return &c->offer;
}

struct bytes client_greeted_as(const struct client *c)
{
    return bytes_of(c->greeted_as);
}

struct bytes client_named_as(const struct client *c)
{
    return bytes_of(c->named_as);
}

struct stream *client_stream(struct client *c)
{
    return c->stream;
}

size_t client_messages(const struct client *c)
{
    return c->messages;
}

const struct err *client_err(const struct client *c)
{
    return &c->err;
}

bool client_is_usable(struct client *c)
{
    struct err e = { 0 };

    if (c->broken || c->told_data)
        return false;
    if (c->said)
        return true;
    /* Nothing is to come now: neither a word ("421, too long idle") nor the end. */
    c->broken = stream_await(c->stream, clock_monotonic(), &e) || e.code != ERR_TIMEOUT;
    return !c->broken;
}

/* ---- greeting ---- */

static bool hello(struct client *c, const char *verb, struct answer *out)
{
    struct bytes line = arena_bytesf(c->arena, "%s %s\r\n", verb, c->ehlo);

    return client_say(c, line, STEP_HELLO, out) &&
           client_hear(c, STEP_HELLO, PARAM_INT(delivery, timeout_command), out);
}

static void note_name(char to[256], const struct reply *r)
{
    snprintf(to, 256, "%.*s", SHOW(offer_name(r)));
}

/* Ready for commands: true. */
static bool introduce(struct client *c, bool tls_wanted, struct answer *out)
{
    if (!hello(c, "EHLO", out))
        return false;
    if (out->reply.code == 250) {
        offer_read(&out->reply, &c->offer);
        note_name(c->named_as, &out->reply);
        return true;
    }
    if (tls_wanted || !offer_wants_helo(&out->reply) || !hello(c, "HELO", out))
        return false;
    offer_none(&c->offer);
    note_name(c->named_as, &out->reply);
    if (out->reply.code == 250)
        return true;
    if (answer_class(out) < 4)
        client_confused(c, out);
    return false;
}

bool client_greet(struct client *c, bool tls_wanted, struct answer *out)
{
    if (!client_hear(c, STEP_GREETING, PARAM_INT(delivery, timeout_greeting), out))
        return false;
    note_name(c->greeted_as, &out->reply);
    if (out->reply.code == 220)
        return introduce(c, tls_wanted, out);
    if (answer_class(out) < 4)
        client_confused(c, out);
    return false;
}

/* ---- TLS ---- */

bool client_begin_tls(struct client *c, const struct tls_wish *wish, struct tls_result *result, struct answer *out)
{
    struct tls_wish timed = *wish;

    memset(result, 0, sizeof *result);
    timed.deadline = clock_monotonic() + PARAM_INT(delivery, timeout_tls);
    c->err = (struct err){ 0 };
    if (stream_start_tls_client(c->stream, &timed, result, &c->err)) {
        client_note(c, SCRIPT_NOTE, "%s %s%s", result->version, result->cipher, result->verified ? ", verified" : "");
        return true;
    }
    client_failed(c, STEP_STARTTLS, out);
    out->what = ANSWER_TLS;
    return false;
}

bool client_start_tls(struct client *c, const struct tls_wish *wish, struct tls_result *result, struct answer *out)
{
    memset(result, 0, sizeof *result);
    if (!client_say(c, BYTES("STARTTLS\r\n"), STEP_STARTTLS, out) ||
        !client_hear(c, STEP_STARTTLS, PARAM_INT(delivery, timeout_command), out))
        return false;
    if (out->reply.code != 220)
        return false;
    if (stream_has_input(c->stream)) { /* said in clear, heard as if it were not (CVE-2011-0411) */
        client_confused(c, out);
        return false;
    }
    if (!client_begin_tls(c, wish, result, out))
        return false;
    memset(&c->offer, 0, sizeof c->offer);
    return introduce(c, true, out);
}

/* ---- AUTH ---- */

static bool say_secret(struct client *c, const char *before, struct bytes secret, struct answer *out)
{
    struct script *script = c->script;
    struct buf line;
    bool ok;

    buf_init(&line, 4096);
    buf_adds(&line, before);
    crypt_to_base64(secret, CRYPT_BASE64, &line);
    buf_adds(&line, "\r\n");
    client_note(c, SCRIPT_OUT, "%s(%zu bytes)", before, line.n - strlen(before) - 2);
    c->script = NULL; /* the secret itself is not noted */
    ok = client_say(c, buf_bytes(&line), STEP_AUTH, out);
    c->script = script;
    ok = ok && client_hear(c, STEP_AUTH, PARAM_INT(delivery, timeout_command), out);
    buf_clear(&line);
    return ok;
}

bool client_login(struct client *c, struct bytes user, struct bytes password, struct answer *out)
{
    bool ok;

    *out = (struct answer){ .at = STEP_AUTH, .what = ANSWER_PROTOCOL };
    out->reply.text = BYTES("AUTH PLAIN and LOGIN are not offered");
    if (c->offer.auth_plain) {
        struct bytes both = arena_bytesf(c->arena, "%c%.*s%c%.*s", 0, SHOW(user), 0, SHOW(password));

        ok = say_secret(c, "AUTH PLAIN ", both, out);
    } else {
        ok = c->offer.auth_login && client_say(c, BYTES("AUTH LOGIN\r\n"), STEP_AUTH, out) &&
             client_hear(c, STEP_AUTH, PARAM_INT(delivery, timeout_command), out);
        ok = ok && (out->reply.code != 334 || say_secret(c, "", user, out));
        ok = ok && (out->reply.code != 334 || say_secret(c, "", password, out));
    }
    if (!ok || out->reply.code == 235)
        return ok;
    if (answer_class(out) < 4)
        client_confused(c, out);
    return false;
}
