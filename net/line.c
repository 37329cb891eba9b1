#include "net/line.h"
#include "base/clock.h"
#include <stdio.h>

enum { LONGEST_JUNK = 1 << 20, REPLY_MAX = 512 };

static bool is_clean(struct bytes line)
{
    for (size_t i = 0; i < line.n; i++)
        if ((unsigned char)line.p[i] < ' ' && line.p[i] != '\t')
            return false;
    return true;
}

/* The rest of a line that was refused, so that its end is never taken for a command. */
static bool skip_rest(struct stream *s, const struct line_manners *m, void *session)
{
    struct err e = { 0 };

    if (stream_skip_line(s, LONGEST_JUNK, &e))
        return true;
    m->lost(session, &e);
    return false;
}

enum step line_next(struct stream *s, size_t max, const struct line_manners *m, void *session, struct bytes *line)
{
    static const char not_clean[] = "A line ends in CRLF and holds no control characters";
    struct err e = { 0 };
    struct bytes got;

    *line = NO_BYTES;
    if (!stream_line(s, max, &got, &e)) {
        if (e.code == ERR_TOO_LARGE)
            return step_refused(skip_rest(s, m, session) && m->refuse(session, true, "Line too long"));
        m->lost(session, &e);
        return STEP_END;
    }
    if (!bytes_ends(got, BYTES("\r\n")))
        return step_refused(m->refuse(session, false, not_clean) && skip_rest(s, m, session));
    got.n -= 2;
    if (!is_clean(got))
        return step_refused(m->refuse(session, false, not_clean));
    *line = got;
    return STEP_DONE;
}

bool line_is_there(const struct stream *s, size_t max)
{
    struct bytes have = stream_peek(s);

    return have.n >= max || bytes_find(have, '\n') < have.n;
}

static void clean(char *text, size_t n, bool utf8)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c < ' ' || c == 127 || (c > 127 && !utf8))
            text[i] = '?';
    }
}

bool line_write(struct stream *s, bool utf8, const char *status, const char *format, va_list args)
{
    char line[REPLY_MAX];
    struct err e;
    size_t n = (size_t)snprintf(line, sizeof line, "%s", status);
    int more = vsnprintf(line + n, sizeof line - n - 2, format, args);

    n += more < 0 ? 0 : (size_t)more;
    if (n > sizeof line - 3)
        n = sizeof line - 3;
    clean(line, n, utf8);
    line[n] = '\r';
    line[n + 1] = '\n';
    return stream_write(s, (struct bytes){ line, n + 2 }, &e);
}

bool line_start_tls(struct stream *s, struct tls_server *tls, int64_t timeout, struct err *e)
{
    return !tls || stream_start_tls(s, tls, clock_monotonic() + timeout, e);
}
