#include "base/params.h"
#include "smtp/session.h"

/* 8 bits leave only when the client asked for SMTPUTF8 (RFC 6531 3.7.4). */
__attribute__((format(printf, 2, 0))) static bool reply_list(struct smtp *s, const char *format, va_list args)
{
    return line_write(s->stream, s->mail.utf8, "", format, args);
}

bool smtp_reply(struct smtp *s, const char *format, ...)
{
    va_list args;
    bool sent;

    va_start(args, format);
    sent = reply_list(s, format, args);
    va_end(args);
    return sent;
}

bool smtp_reply_error(struct smtp *s)
{
    const struct err *e = &s->call.err;

    return smtp_reply(s, "%s %s", err_row(e->code)->smtp, err_told(e));
}

bool smtp_refuse(struct smtp *s, const char *format, ...)
{
    va_list args;
    bool sent;

    va_start(args, format);
    sent = reply_list(s, format, args);
    va_end(args);
    /* Every refusal counts: who goes on making mistakes is no mail program. */
    if (!sent || ++s->errors <= PARAM_INT(smtp, errors_max))
        return sent;
    return smtp_hang_up(s, "421 4.7.0 Too many errors");
}

bool smtp_hang_up(struct smtp *s, const char *format, ...)
{
    va_list args;
    struct err e;

    va_start(args, format);
    if (reply_list(s, format, args))
        (void)stream_flush(s->stream, &e);
    va_end(args);
    return false;
}

bool smtp_lost(struct smtp *s, const struct err *why)
{
    if (why->code == ERR_TIMEOUT) {
        smtp_deadline_in(s, PARAM_INT(smtp, goodbye_timeout));
        return smtp_hang_up(s, "421 4.4.2 Nothing came in time, closing");
    }
    return false;
}
