/* delivery/client_send.c - one message over a connection: MAIL, RCPT, DATA, text, dot (RFC 5321 3.3).
 *
 * With PIPELINING (RFC 2920) MAIL and every RCPT leave in one write, and DATA with them once the host has shown on this
 * connection that it takes mail: one round trip less, and no fear of a host whose DATA nobody has seen. Answers are
 * matched in their order. A host that says 354 though it has refused every recipient is hung up on: a lone dot might
 * deliver an empty mail (RFC 2920 3.1 allows it). Up to the dot nothing is delivered; from its first byte on it may be,
 * and what goes wrong then is ambiguous. BDAT (RFC 3030) has the same shape: each piece is a chunk, and an empty last
 * one stands for the dot, said when all the others have been taken. */
#include "base/clock.h"
#include "base/params.h"
#include "delivery/client_private.h"
#include <assert.h>

#define RSET_MS 20000

struct sending {
    struct client *c;
    const struct envelope *e;
    struct answer *each;
    struct answer mail, data;
    size_t n_taken;
    size_t chunks; /* that are not answered yet */
    bool data_said, data_heard;
};

static bool is_taken(const struct answer *x)
{
    return x->at == STEP_RCPT && answer_class(x) == 2;
}

/* To everybody who has no refusal yet. */
static void tell(struct sending *s, const struct answer *x)
{
    for (size_t i = 0; i < s->e->n; i++)
        if (is_taken(&s->each[i]))
            s->each[i] = *x;
}

static void tell_all(struct sending *s, const struct answer *x)
{
    for (size_t i = 0; i < s->e->n; i++)
        s->each[i] = *x;
}

/* ---- envelope ---- */

static bool say_mail(struct sending *s, struct answer *out)
{
    struct buf line;
    bool ok;

    buf_init(&line, 8192);
    offer_add_mail(s->e->how, s->e->needs, s->e->sender, &line);
    ok = client_say(s->c, buf_bytes(&line), STEP_MAIL, out);
    buf_clear(&line);
    return ok;
}

static bool say_rcpt(struct sending *s, size_t i, struct answer *out)
{
    struct buf line;
    bool ok;

    buf_init(&line, 8192);
    offer_add_rcpt(s->e->how, &s->e->to[i], &line);
    ok = client_say(s->c, buf_bytes(&line), STEP_RCPT, out);
    buf_clear(&line);
    return ok;
}

/* "Too many recipients": of the transaction, once one was taken (RFC 5321 4.5.3.1.10; 552 is what RFC 821 had). */
static bool is_too_many(const struct sending *s, const struct answer *x)
{
    return s->n_taken && x->what == ANSWER_REPLY &&
           (x->reply.code == 452 || x->reply.code == 552 || bytes_equal(x->reply.enhanced, BYTES("4.5.3")));
}

static bool hear_mail(struct sending *s)
{
    if (!client_hear(s->c, STEP_MAIL, PARAM_INT(delivery, timeout_command), &s->mail))
        return false;
    if (answer_class(&s->mail) < 2 || answer_class(&s->mail) == 3)
        client_confused(s->c, &s->mail);
    return s->mail.what == ANSWER_REPLY;
}

static bool hear_rcpt(struct sending *s, size_t i)
{
    struct answer *x = &s->each[i];

    if (!client_hear(s->c, STEP_RCPT, PARAM_INT(delivery, timeout_command), x))
        return false;
    if (answer_class(x) < 2 || answer_class(x) == 3)
        client_confused(s->c, x);
    else if (is_too_many(s, x))
        x->what = ANSWER_WAITS;
    s->n_taken += is_taken(x);
    return x->what != ANSWER_PROTOCOL;
}

/* The connection broke in the middle: nobody has got anything. What was refused for good stays refused. */
static void broke(struct sending *s, size_t from, const struct answer *why)
{
    tell(s, why);
    for (size_t i = from; i < s->e->n; i++)
        s->each[i] = *why;
}

static bool hear_data(struct sending *s)
{
    s->data_heard = true;
    return client_hear(s->c, STEP_DATA, PARAM_INT(delivery, timeout_data), &s->data);
}

static bool say_envelope(struct sending *s, struct answer *lost)
{
    bool ok = say_mail(s, lost);

    for (size_t i = 0; ok && i < s->e->n; i++)
        ok = say_rcpt(s, i, lost);
    return ok;
}

static bool together(struct sending *s)
{
    bool said = s->c->said == s->e;
    struct answer lost;

    s->c->said = NULL;
    s->data_said = s->c->messages > 0 && !s->e->chunked;
    if (said)
        client_note(s->c, SCRIPT_NOTE, "MAIL and RCPT were said behind the mail before");
    else if (!say_envelope(s, &lost))
        return tell_all(s, &lost), false;
    if (s->data_said && !client_say(s->c, BYTES("DATA\r\n"), said ? STEP_MAIL : STEP_DATA, &lost))
        return tell_all(s, &lost), false;
    if (!hear_mail(s) || s->c->broken) /* by 421: nothing more will be said */
        return tell_all(s, &s->mail), false;
    for (size_t i = 0; i < s->e->n; i++) {
        bool heard = hear_rcpt(s, i);

        lost = s->each[i];
        if (!heard || s->c->broken)
            return broke(s, heard ? i + 1 : i, &lost), false;
    }
    if (answer_class(&s->mail) != 2) /* what was said to RCPT says nothing more (503) */
        return tell_all(s, &s->mail), true;
    return true;
}

static bool one_by_one(struct sending *s)
{
    struct answer lost;

    if (!say_mail(s, &lost))
        return tell_all(s, &lost), false;
    if (!hear_mail(s))
        return tell_all(s, &s->mail), false;
    if (answer_class(&s->mail) != 2)
        return tell_all(s, &s->mail), true;
    for (size_t i = 0; i < s->e->n; i++) {
        if (!say_rcpt(s, i, &lost))
            return broke(s, i, &lost), false;
        if (!hear_rcpt(s, i)) {
            lost = s->each[i];
            return broke(s, i, &lost), false;
        }
        if (s->c->broken) /* 421: what follows would be said to nobody */
            return lost = s->each[i], broke(s, i + 1, &lost), false;
    }
    return true;
}

/* ---- text ---- */

/* A word before its time: it stops us, and is the verdict when it is a refusal. */
static bool interrupted(struct sending *s)
{
    struct client *c = s->c;
    struct answer x;

    if (!stream_has_input(c->stream))
        return false;
    if (client_hear(c, STEP_DATA, PARAM_INT(delivery, timeout_data), &x) && answer_class(&x) < 4)
        client_confused(c, &x);
    c->broken = true;
    tell(s, &x);
    return true;
}

/* A write that fails: the host may have said why before it hung up. */
static void lost_in_text(struct sending *s)
{
    struct client *c = s->c;
    struct answer closed, x;

    client_failed(c, STEP_DATA, &closed);
    if (closed.what == ANSWER_CLOSED && client_hear(c, STEP_DATA, RSET_MS, &x) && answer_class(&x) >= 4)
        closed = x;
    c->broken = true;
    tell(s, &closed);
}

/* What is said of a chunk is said of the whole. */
static bool hear_chunk(struct sending *s)
{
    struct client *c = s->c;
    struct answer x;

    s->chunks--;
    if (client_hear(c, STEP_DATA, PARAM_INT(delivery, timeout_data), &x) && answer_class(&x) == 2)
        return true;
    if (x.what == ANSWER_REPLY && answer_class(&x) < 4)
        client_confused(c, &x);
    c->broken = true; /* chunks that are under way may not be taken for anything else */
    tell(s, &x);
    return false;
}

/* Those that have been answered, or, without PIPELINING, all. */
static bool hear_chunks(struct sending *s, bool all)
{
    while (s->chunks && (all || !s->c->offer.pipelining || stream_has_input(s->c->stream)))
        if (!hear_chunk(s))
            return false;
    return true;
}

static bool begin_chunk(struct sending *s, struct bytes piece, struct err *e)
{
    char line[32];
    int n = snprintf(line, sizeof line, "BDAT %zu\r\n", piece.n);

    s->chunks++;
    return stream_write(s->c->stream, (struct bytes){ line, (size_t)n }, e);
}

static bool may_go_on(struct sending *s)
{
    return s->e->chunked ? hear_chunks(s, false) : !interrupted(s);
}

static bool say_text(struct sending *s)
{
    struct client *c = s->c;
    struct answer x = { .at = STEP_DATA, .what = ANSWER_CONTENT };
    struct bytes piece;
    size_t bytes = 0;

    for (;;) {
        c->err = (struct err){ 0 };
        if (!s->e->content.next(s->e->content.ctx, &piece, &c->err)) {
            c->broken = true;
            tell(s, &x);
            return false;
        }
        if (!piece.n) {
            client_note(c, SCRIPT_OUT, "(%zu bytes of content)", bytes);
            return true;
        }
        bytes += piece.n;
        if (!may_go_on(s))
            return false;
        stream_deadline(c->stream, clock_monotonic() + PARAM_INT(delivery, timeout_block));
        if ((s->e->chunked && !begin_chunk(s, piece, &c->err)) || !stream_write(c->stream, piece, &c->err)) {
            lost_in_text(s);
            return false;
        }
    }
}

static bool has_waiting(const struct sending *s)
{
    for (size_t i = 0; i < s->e->n; i++)
        if (s->each[i].what == ANSWER_WAITS)
            return true;
    return false;
}

/* What goes wrong with it shows when it is the next one's turn. */
static void say_ahead(struct sending *s)
{
    struct client *c = s->c;
    struct script *script = c->script;
    struct sending next = { .c = c };
    struct answer ignored;

    next.e = s->e->follow && c->offer.pipelining && !has_waiting(s) ? s->e->follow(s->e->ctx) : NULL;
    if (!next.e)
        return;
    c->said = next.e;
    c->script = NULL; /* it is not this mail's */
    (void)say_envelope(&next, &ignored);
    c->script = script;
}

static bool finish(struct sending *s)
{
    struct client *c = s->c;
    struct answer x = { .at = STEP_DATA, .what = ANSWER_STOPPED };

    if (s->e->chunked ? !hear_chunks(s, true) : interrupted(s))
        return false;
    if (s->e->may_finish && !s->e->may_finish(s->e->ctx)) {
        c->broken = true;
        tell(s, &x);
        return false;
    }
    stream_deadline(c->stream, clock_monotonic() + PARAM_INT(delivery, timeout_block));
    if (!client_say(c, s->e->chunked ? BYTES("BDAT 0 LAST\r\n") : BYTES(".\r\n"), STEP_DOT, &x)) {
        tell(s, &x);
        return false;
    }
    say_ahead(s);
    if (!client_hear(c, STEP_DOT, PARAM_INT(delivery, timeout_dot), &x)) {
        tell(s, &x);
        return false;
    }
    c->told_data = false;
    if (answer_class(&x) < 2 || answer_class(&x) == 3)
        client_confused(c, &x);
    tell(s, &x);
    c->messages += answer_class(&x) == 2;
    return answer_class(&x) == 2;
}

/* Ends what was begun, so that the next message can be sent: 250, or the connection goes. */
static void reset(struct client *c)
{
    struct answer x;

    if (c->broken)
        return;
    if (!client_say(c, BYTES("RSET\r\n"), STEP_RSET, &x) || !client_hear(c, STEP_RSET, RSET_MS, &x) ||
        x.reply.code != 250)
        c->broken = true;
}

/* DATA was said or is to be: *go when the text is wanted. */
static bool open_text(struct sending *s)
{
    struct client *c = s->c;
    struct answer lost;

    if (!s->data_said && !client_say(c, BYTES("DATA\r\n"), STEP_DATA, &lost))
        return tell(s, &lost), false;
    if (!hear_data(s))
        return tell(s, &s->data), false;
    if (s->data.reply.code == 354)
        return c->told_data = true;
    if (answer_class(&s->data) < 4)
        client_confused(c, &s->data);
    tell(s, &s->data);
    reset(c);
    return false;
}

/* Nobody is to get it. DATA that has left already is still answered. */
static void give_up(struct sending *s)
{
    if (s->data_said && !hear_data(s))
        return;
    if (s->data_said && s->data.reply.code == 354)
        s->c->broken = true;
    reset(s->c);
}

const struct envelope *client_has_said(const struct client *c)
{
    return c->said;
}

void client_take_back(struct client *c)
{
    size_t n = c->said ? c->said->n + 1 : 0;
    struct answer x;

    c->said = NULL;
    for (size_t i = 0; i < n && !c->broken; i++)
        (void)client_hear(c, i ? STEP_RCPT : STEP_MAIL, PARAM_INT(delivery, timeout_command), &x);
    if (n)
        reset(c);
}

bool client_send(struct client *c, const struct envelope *e, struct answer *each)
{
    struct sending s = { .c = c, .e = e, .each = each };
    bool heard;

    assert(e->n > 0 && (!c->said || c->said == e));
    stream_deadline(c->stream, clock_monotonic() + PARAM_INT(delivery, timeout_command));
    heard = c->offer.pipelining ? together(&s) : one_by_one(&s);
    if (!heard)
        return false;
    if (answer_class(&s.mail) != 2 || !s.n_taken)
        return give_up(&s), false;
    return (e->chunked || open_text(&s)) && say_text(&s) && finish(&s);
}
