/* smtp/envelope.c - MAIL and RCPT: the path, the parameters, and one question each to the service.
 *
 * A large envelope is built out of small steps, so each RCPT works in an arena of its own and leaves only what is kept
 * of the recipient. A refused one leaves nothing: a client that tries a million addresses must not fill the envelope,
 * and is hung up on after smtp.refused_recipients_max. */
#include "base/budget.h"
#include "base/params.h"
#include "net/fiber.h"
#include "smtp/params.h"
#include "smtp/transfer.h"

#define RCPT_ARENA ((size_t)1024 * 1024)

/* The part behind "FROM:" or "TO:". Blanks around the colon are common, if wrong (RFC 5321 3.3), and harmless. */
static bool path_of(struct bytes arg, struct bytes word, struct bytes *path)
{
    struct bytes said;

    if (!bytes_cut(arg, ':', &said, path) || !bytes_equal_nocase(bytes_trim(said), word))
        return false;
    *path = bytes_trim(*path);
    return true;
}

static bool refuse_param(struct smtp *s, struct bytes rcpt)
{
    const struct err *e = &s->call.err;
    const char *number = e->code == ERR_METHOD ? "555 5.5.4" : err_row(e->code)->smtp;

    smtp_log_refused(s, number, rcpt);
    return smtp_refuse(s, "%s %s", number, e->message);
}

static bool refuse_path(struct smtp *s, const char *number)
{
    smtp_log_refused(s, number, NO_BYTES);
    return smtp_refuse(s, "%s %s", number, s->call.err.message);
}

static bool refuse_utf8(struct smtp *s, struct bytes rcpt)
{
    err_set(&s->call.err, ERR_SYNTAX, "The address needs SMTPUTF8");
    smtp_log_refused(s, "553 5.6.7", rcpt);
    return smtp_refuse(s, "553 5.6.7 The address needs SMTPUTF8");
}

/* Old programs and devices leave the brackets out; they talk to the receiving port. */
static unsigned path_how(const struct smtp *s, unsigned how)
{
    return s->door->kind == SMTP_RECEIVE ? how | PATH_BARE : how;
}

/* ---- MAIL ---- */

static bool mail_begin(struct smtp *s)
{
    struct err *e = &s->call.err;

    if (!service_accepts(s->door->svc, e) || !sender_check(&s->call, &s->mail.sender)) {
        bool alive;

        smtp_log_refused(s, NULL, NO_BYTES);
        alive = smtp_reply_error(s);
        smtp_mail_clear(s);
        return alive;
    }
    s->phase = PHASE_MAIL;
    return smtp_reply(s, "250 2.1.0 Sender ok");
}

bool smtp_mail(struct smtp *s, const struct command *c)
{
    struct err *e = &s->call.err;
    struct bytes path, rest;
    struct address sender;
    struct mail_params p;

    smtp_mail_clear(s);
    if (!path_of(c->arg, BYTES("FROM"), &path))
        return smtp_refuse(s, "501 5.5.4 Write: MAIL FROM:<sender>");
    if (!path_parse(path, path_how(s, PATH_SENDER), s->mail_arena, &sender, &rest, e))
        return refuse_path(s, "501 5.1.7");
    if (!mail_params_read(rest, s->door->kind != SMTP_RECEIVE, s->mail_arena, &p, e)) {
        s->mail.from = sender.email;
        return refuse_param(s, NO_BYTES);
    }
    s->mail = (struct transaction){
        .sender = sender, .from = sender.email, .ret = p.ret, .envid = p.envid, .size = p.size, .utf8 = p.utf8
    };
    if (sender.utf8 && !p.utf8)
        return refuse_utf8(s, NO_BYTES);
    return mail_begin(s);
}

/* ---- RCPT ---- */

static void recipients_grow(struct transaction *t, struct arena *a)
{
    if (t->n_recipients < t->recipients_room)
        return;
    t->recipients_room = t->recipients_room ? 4 * t->recipients_room : 4;
    t->recipients = arena_more(a, t->recipients, t->n_recipients, t->recipients_room, sizeof *t->recipients);
}

/* Refused for what the address is. Too many of these look for addresses to send to. */
static bool recipient_refused(struct smtp *s, struct bytes rcpt)
{
    smtp_log_refused(s, NULL, rcpt);
    if (++s->refused > PARAM_INT(smtp, refused_recipients_max))
        return smtp_hang_up(s, "421 4.7.0 Too many recipients refused");
    return smtp_reply_error(s);
}

static bool recipient_add(struct smtp *s, const struct address *address, const struct rcpt_params *p)
{
    struct recipient_check_in in = {
        .address = *address, .size = s->mail.size, .utf8_ok = s->mail.utf8, .from_nobody = !s->mail.from.n
    };
    struct recipient one = { .email = NO_BYTES };

    if (!recipient_check(&s->call, &in, &one) || !arena_check(s->call.arena, &s->call.err))
        return recipient_refused(s, address->email);
    one.email = arena_copy(s->mail_arena, one.email);
    one.forward = arena_copy(s->mail_arena, one.forward);
    one.dsn = rcpt_params_json(p, s->mail_arena);
    recipients_grow(&s->mail, s->mail_arena);
    if (arena_full(s->mail_arena))
        return smtp_reply(s, "452 4.5.3 Too many recipients");
    s->mail.recipients[s->mail.n_recipients++] = one;
    s->phase = PHASE_RCPT;
    return smtp_reply(s, "250 2.1.5 Recipient ok");
}

static bool rcpt(struct smtp *s, struct bytes arg)
{
    struct err *e = &s->call.err;
    struct bytes path, rest;
    struct address address;
    struct rcpt_params p;

    if (!path_of(arg, BYTES("TO"), &path))
        return smtp_refuse(s, "501 5.5.4 Write: RCPT TO:<recipient>");
    if (!path_parse(path, path_how(s, 0), s->call.arena, &address, &rest, e))
        return refuse_path(s, "501 5.1.3");
    if (!rcpt_params_read(rest, s->mail.utf8, s->call.arena, &p, e))
        return refuse_param(s, address.email);
    if (address.utf8 && !s->mail.utf8)
        return refuse_utf8(s, address.email);
    if ((int64_t)s->mail.n_recipients >= PARAM_INT(smtp, recipients_max))
        return smtp_reply(s, "452 4.5.3 Too many recipients");
    return recipient_add(s, &address, &p);
}

/* What finding a recipient takes (a user's row may be large) is given back at once, what a refused one left in the
 * envelope too: many of them must not fill it. */
bool smtp_rcpt(struct smtp *s, const struct command *c)
{
    struct arena_mark before = arena_mark(s->mail_arena);
    size_t taken = s->mail.n_recipients;
    bool alive;

    s->call.arena = arena_new_in(&budget_smtp, RCPT_ARENA);
    alive = rcpt(s, c->arg);
    arena_free(&s->call.arena);
    s->call.arena = s->mail_arena;
    if (s->mail.n_recipients == taken)
        arena_rewind(s->mail_arena, before);
    return alive;
}
