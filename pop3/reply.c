#include "base/params.h"
#include "pop3/session.h"

/* 8 bits leave as they are: what is echoed the client has sent. */
__attribute__((format(printf, 3, 0))) static bool answer(struct pop3 *s, const char *status, const char *format,
                                                         va_list args)
{
    return line_write(s->stream, true, status, format, args);
}

bool pop3_ok(struct pop3 *s, const char *format, ...)
{
    va_list args;
    bool sent;

    va_start(args, format);
    sent = answer(s, "+OK ", format, args);
    va_end(args);
    return sent;
}

bool pop3_line_out(struct pop3 *s, const char *format, ...)
{
    va_list args;
    bool sent;

    va_start(args, format);
    sent = answer(s, "", format, args);
    va_end(args);
    return sent;
}

bool pop3_refuse(struct pop3 *s, const char *format, ...)
{
    va_list args;
    bool sent;

    va_start(args, format);
    sent = answer(s, "-ERR ", format, args);
    va_end(args);
    if (!sent || ++s->errors <= PARAM_INT(pop3, errors_max))
        return sent;
    return pop3_hang_up(s, "Too many errors");
}

bool pop3_refuse_error(struct pop3 *s)
{
    const struct err *e = &s->call.err;
    const char *status = err_row(e->code)->pop3 + sizeof "-ERR" - 1; /* " [SYS/TEMP]" */

    return pop3_refuse(s, "%s%s%s", *status ? status + 1 : "", *status ? " " : "", err_told(e));
}

bool pop3_hang_up(struct pop3 *s, const char *format, ...)
{
    va_list args;
    struct err e;

    va_start(args, format);
    if (answer(s, "-ERR ", format, args))
        (void)stream_flush(s->stream, &e);
    va_end(args);
    return false;
}
