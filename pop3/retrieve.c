/* pop3/retrieve.c - RETR and TOP: a message on its way out.
 *
 * "+OK" is said with the first piece, as long as an error can still be an answer; after it only the end of the
 * connection tells that a message is not whole. A slow client may take hours, so with each piece the login is looked at
 * again, the lock renewed and the deadline moved. */
#include "base/clock.h"
#include "base/params.h"
#include "pop3/session.h"

/* A message on its way out: dots are stuffed at the start of a line (RFC 1939 section 3), and TOP stops after its
 * lines. Pieces come in any size, so the state lies between bytes. */
struct sending {
    struct pop3 *s;
    enum { AT_START, IN_LINE, BEHIND_CR } at;
    bool top, in_body, done; /* done: TOP has what it wants */
    bool empty;              /* the present line has no character yet */
    int64_t lines;           /* of the body, still wanted */
    bool begun;              /* "+OK" was said: only once there is something to send */
    bool dead;               /* the connection */
    size_t number;
};

/* TOP: how much of the piece is wanted. Looks for line ends only, with memchr. */
static size_t wanted(struct sending *o, struct bytes piece)
{
    const char *p = piece.p, *end = piece.p + piece.n;

    if (o->in_body && o->lines == 0)
        o->done = true;
    while (p < end && !o->done) {
        const char *lf = memchr(p, '\n', (size_t)(end - p));
        size_t before = (size_t)((lf ? lf : end) - p);

        if (before > 1 || (before == 1 && *p != '\r'))
            o->empty = false;
        if (!lf)
            return piece.n;
        p = lf + 1;
        if (o->in_body)
            o->lines--;
        else
            o->in_body = o->empty;
        o->empty = true;
        o->done = o->in_body && o->lines == 0;
    }
    return (size_t)(p - piece.p);
}

static bool put(struct sending *o, const char *p, size_t n, struct err *e)
{
    if (stream_write(o->s->stream, (struct bytes){ p, n }, e))
        return true;
    o->dead = true;
    return false;
}

/* Writes a piece with its dots stuffed; what lies between two of them leaves in one write. */
static bool stuff(struct sending *o, struct bytes piece, struct err *e)
{
    const char *p = piece.p, *end = piece.p + piece.n, *from = p;

    while (p < end) {
        const char *lf;

        if (o->at == AT_START && *p == '.') {
            if (!put(o, from, (size_t)(p - from), e) || !put(o, ".", 1, e))
                return false;
            from = p;
        }
        if (o->at == BEHIND_CR && *p == '\n') {
            o->at = AT_START;
            p++;
            continue;
        }
        lf = memchr(p, '\n', (size_t)(end - p));
        if (!lf) {
            o->at = end[-1] == '\r' ? BEHIND_CR : IN_LINE;
            break;
        }
        o->at = lf > p && lf[-1] == '\r' ? AT_START : IN_LINE;
        p = lf + 1;
    }
    return put(o, from, (size_t)(end - from), e);
}

/* The length of a surrogate is not known before it is made, and RFC 1939 asks for none: a client that believes the
 * number would look for the end elsewhere. */
static bool say_ok(struct pop3 *s, size_t i)
{
    if (maildrop_is_surrogate(s->drop, i, s->utf8))
        return pop3_ok(s, "The message follows, its headers made ASCII");
    return pop3_ok(s, "%lld octets", (long long)maildrop_item(s->drop, i).size);
}

static bool message_begin(struct sending *o)
{
    if (!o->begun)
        o->dead = !say_ok(o->s, o->number);
    o->begun = true;
    return !o->dead;
}

static bool each(void *ctx, struct bytes piece, struct err *e)
{
    struct sending *o = ctx;

    pop3_write_deadline(o->s);
    o->s->call.deadline = clock_monotonic() + PARAM_INT(pop3, work_timeout); /* a slow client may take long */
    if (!message_begin(o))
        return err_set(e, ERR_CLOSED, "The client went away");
    if (o->top)
        piece = bytes_head(piece, wanted(o, piece));
    if (piece.n && !stuff(o, piece, e))
        return false;
    if (!auth_current(&o->s->call) || !pop3_keep_lock(o->s)) {
        *e = o->s->call.err;
        return false;
    }
    return !o->done || err_set(e, ERR_CLOSED, "TOP has its lines");
}

static bool send_message(struct pop3 *s, size_t i, struct sending *o)
{
    bool sent;

    o->number = i;
    sent = maildrop_read(s->drop, &s->call, i, s->utf8, each, o) || o->done;
    if (!sent && !o->begun)
        return pop3_refuse_error(s);
    if (!sent ||
        !message_begin(o)) /* once +OK is out, only the end of the connection tells that the message is not whole */
        return false;
    if (i + 1 > s->last)
        s->last = i + 1;
    return (o->at == AT_START || pop3_line_out(s, "%s", "")) && pop3_line_out(s, ".");
}

static bool send_number(struct pop3 *s, struct bytes number, struct sending *o)
{
    size_t i;
    enum step found = pop3_message_number(s, number, &i);

    return found == STEP_DONE ? send_message(s, i, o) : step_alive(found);
}

bool pop3_retr(struct pop3 *s, struct bytes arg)
{
    struct sending o = { .s = s, .empty = true };

    return send_number(s, pop3_argument(&arg), &o);
}

bool pop3_top(struct pop3 *s, struct bytes arg)
{
    struct sending o = { .s = s, .top = true, .empty = true };
    struct bytes number = pop3_argument(&arg), lines = pop3_argument(&arg);

    if (lines.p[0] < '0' || lines.p[0] > '9' || !bytes_to_int(lines, &o.lines))
        return pop3_refuse(s, "Write: TOP message lines");
    return send_number(s, number, &o);
}
