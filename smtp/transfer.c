/* smtp/transfer.c - a mail on its way into the intake, and its line in the log.
 *
 * A fault of the text or the intake's refusal does not end the transfer: the client is answered when it has sent all,
 * as it does not listen before. The reply 250 follows intake_commit alone. Whether bare newlines are mended is a
 * setting for each kind of door. */
#include "smtp/transfer.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/params.h"

/* RFC 3848, RFC 6531 section 4.3: the protocol in Received. */
static const char *protocol(const struct smtp *s)
{
    static const char *const names[2][2][2] = { { { "ESMTP", "ESMTPA" }, { "ESMTPS", "ESMTPSA" } },
                                                { { "UTF8SMTP", "UTF8SMTPA" }, { "UTF8SMTPS", "UTF8SMTPSA" } } };

    if (!s->esmtp)
        return "SMTP";
    return names[s->mail.utf8][stream_is_tls(s->stream)][s->call.who != NULL];
}

static bool take_piece(void *ctx, struct bytes piece)
{
    struct transfer *t = ctx;

    t->s->call.deadline = clock_monotonic() + PARAM_INT(smtp, work_timeout); /* a mail may take an hour to come */
    if (intake_append(t->intake, &t->s->call, piece))
        return true;
    t->err = t->s->call.err;
    intake_drop(&t->intake);
    return false;
}

/* Other servers' mail is refused, since what one of them took for a line end another one did not. */
static bool mends_bare_newlines(const struct smtp *s)
{
    struct bytes what =
        s->door->kind == SMTP_RECEIVE ? PARAM_TEXT(smtp, bare_newline) : PARAM_TEXT(submission, bare_newline);

    return bytes_equal(what, BYTES("normalize"));
}

bool transfer_begin(struct smtp *s, bool dotted)
{
    struct intake_in in = {
        .source = s->door->kind == SMTP_RECEIVE ? SOURCE_SMTP : SOURCE_SUBMISSION,
        .envelope_from = s->mail.from,
        .recipients = s->mail.recipients,
        .n_recipients = s->mail.n_recipients,
        .received = { .helo = bytes_of(s->helo),
                      .client_ip = s->call.client_ip,
                      .with = protocol(s),
                      .tls_version = stream_tls_version(s->stream),
                      .tls_cipher = stream_tls_cipher(s->stream),
                      .tls_bits = stream_tls_bits(s->stream) },
        .utf8 = s->mail.utf8,
        .ret = s->mail.ret,
        .envid = s->mail.envid,
        .expected = s->mail.size,
    };
    struct transfer *t = arena_alloc(s->mail_arena, sizeof *t);

    t->s = s;
    if (!intake_begin(&s->call, &in, &t->intake)) {
        smtp_log_refused(s, NULL, NO_BYTES);
        return false;
    }
    text_init(&t->text, dotted, (size_t)PARAM_INT(smtp, line_max), take_piece, t);
    t->text.mend = mends_bare_newlines(s);
    s->mail.transfer = t;
    return true;
}

bool transfer_failed(const struct transfer *t)
{
    return t->text.fault != TEXT_OK || !t->intake;
}

void transfer_drop(struct transfer **t)
{
    if (*t)
        intake_drop(&(*t)->intake);
    *t = NULL;
}

/* ---- log ---- */

static struct bytes user_of(const struct smtp *s)
{
    return s->call.who ? s->call.who->name : NO_BYTES;
}

/* As many as one log value holds; `recipients` has the number of all. */
static struct bytes addresses(struct smtp *s)
{
    struct buf list;
    struct bytes kept;

    buf_init(&list, LOG_VALUE_MAX);
    for (size_t i = 0; i < s->mail.n_recipients && list.n + s->mail.recipients[i].email.n < LOG_VALUE_MAX - 4; i++)
        buf_addf(&list, "%s<%.*s>", i ? "," : "", SHOW(s->mail.recipients[i].email));
    kept = arena_copy(s->mail_arena, buf_bytes(&list));
    buf_clear(&list);
    return kept;
}

static struct bytes bracketed(struct smtp *s, struct bytes address)
{
    return arena_bytesf(s->mail_arena, "<%.*s>", SHOW(address));
}

void smtp_log_refused(struct smtp *s, const char *number, struct bytes rcpt)
{
    const struct err *e = &s->call.err;
    char id[ID_TEXT + 1];

    metric_add(METRIC_smtp_refused_total, 1);
    log_info("smtp", LOG_BYTES("id", id_format("req", s->call.request, id)), LOG_TEXT("door", s->call.door),
             LOG_BYTES("client", s->call.client_ip), LOG_TEXT("helo", s->helo), LOG_BYTES("user", user_of(s)),
             LOG_BYTES("from", bracketed(s, s->mail.from)), LOG_BYTES("to", rcpt.p ? bracketed(s, rcpt) : addresses(s)),
             LOG_TEXT("result", "refused"), LOG_TEXT("reply", number ? number : err_row(e->code)->smtp),
             LOG_TEXT("reason", e->message), LOG_TEXT("where", e->where));
}

static void log_accepted(struct smtp *s, const struct intake_out *out, int64_t began)
{
    char id[ID_TEXT + 1], message[ID_TEXT + 1];

    metric_add(METRIC_smtp_accepted_total, 1);
    log_info("smtp", LOG_BYTES("id", id_format("req", s->call.request, id)), LOG_TEXT("door", s->call.door),
             LOG_BYTES("client", s->call.client_ip), LOG_TEXT("helo", s->helo), LOG_BYTES("user", user_of(s)),
             LOG_BYTES("from", bracketed(s, s->mail.from)), LOG_BYTES("to", addresses(s)),
             LOG_INT("recipients", s->mail.n_recipients), LOG_INT("size", out->size), LOG_TEXT("result", "accepted"),
             LOG_BYTES("message", id_format("msg", out->message_id, message)),
             LOG_INT("ms", clock_monotonic() - began));
}

/* ---- the end ---- */

bool transfer_refuse(struct smtp *s)
{
    static const struct {
        enum err_code code;
        const char *number, *text;
    } faults[] = {
        [TEXT_BARE] = { ERR_INVALID, "550 5.5.2", "A line of the mail does not end in CRLF" },
        [TEXT_NUL] = { ERR_INVALID, "554 5.6.0", "The mail holds a NUL" },
        [TEXT_LONG] = { ERR_INVALID, "554 5.6.0", "A line of the mail is too long" },
    };
    const struct transfer *t = s->mail.transfer;
    enum text_fault f = t->text.fault;

    if (t->intake || t->err.code == ERR_NONE) {
        err_set(&s->call.err, faults[f].code, "%s", faults[f].text);
        smtp_log_refused(s, faults[f].number, NO_BYTES);
        return smtp_reply(s, "%s %s", faults[f].number, faults[f].text);
    }
    s->call.err = t->err;
    smtp_log_refused(s, NULL, NO_BYTES);
    return smtp_reply_error(s);
}

/* What a new user must know: mail for others stays here (api.md, modes). */
static const char *mode_text(struct bytes mode)
{
    if (bytes_equal(mode, BYTES("sandbox")))
        return " (sandbox: mail to other servers is captured)";
    return bytes_equal(mode, BYTES("test")) ? " (test: nothing is sent or filed)" : "";
}

static bool mail_keep(struct smtp *s)
{
    struct intake_out out = { .size = 0 };
    int64_t began = clock_monotonic();
    char id[ID_TEXT + 1];

    s->call.deadline = began + PARAM_INT(smtp, accept_timeout);
    if (!intake_commit(&s->mail.transfer->intake, &s->call, &out)) {
        smtp_log_refused(s, NULL, NO_BYTES);
        return smtp_reply_error(s);
    }
    s->commands = 0;
    log_accepted(s, &out, began);
    id_format("msg", out.message_id, id);
    return smtp_reply(s, "250 2.0.0 queued as %s%s", id, mode_text(out.mode));
}

bool transfer_finish(struct smtp *s)
{
    bool alive = transfer_failed(s->mail.transfer) ? transfer_refuse(s) : mail_keep(s);

    smtp_mail_clear(s);
    return alive;
}
