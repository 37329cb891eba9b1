#include "base/params.h"
#include "pop3/session.h"
#include <stdarg.h>

enum { REPLY_MAX = 512 }; /* RFC 2449 section 4 */

/* Texts of others may be echoed: no control character leaves. */
__attribute__((format(printf, 3, 0))) static bool answer(struct pop3 *s, const char *status, const char *format,
                                                         va_list args)
{
    char line[REPLY_MAX];
    struct err e;
    size_t n = (size_t)snprintf(line, sizeof line, "%s", status);
    int more = vsnprintf(line + n, sizeof line - n - 2, format, args);

    n += more < 0 ? 0 : (size_t)more;
    if (n > sizeof line - 3)
        n = sizeof line - 3;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)line[i] < ' ' || line[i] == 127)
            line[i] = '?';
    line[n] = '\r';
    line[n + 1] = '\n';
    return stream_write(s->stream, (struct bytes){ line, n + 2 }, &e);
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
