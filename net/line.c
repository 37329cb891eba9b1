#include "net/line.h"

enum { LONGEST_JUNK = 1 << 20 };

static bool is_clean(struct bytes line)
{
    for (size_t i = 0; i < line.n; i++)
        if ((unsigned char)line.p[i] < ' ' && line.p[i] != '\t')
            return false;
    return true;
}

enum line line_read(struct stream *s, size_t max, struct bytes *line, struct err *e)
{
    struct bytes got;

    *line = NO_BYTES;
    if (!stream_line(s, max, &got, e))
        return e->code == ERR_TOO_LARGE ? LINE_LONG : LINE_NONE;
    if (!bytes_ends(got, BYTES("\r\n")))
        return LINE_BROKEN;
    got.n -= 2;
    if (!is_clean(got))
        return LINE_DIRTY;
    *line = got;
    return LINE_GOOD;
}

bool line_skip_rest(struct stream *s, struct err *e)
{
    return stream_skip_line(s, LONGEST_JUNK, e);
}

bool line_is_there(const struct stream *s, size_t max)
{
    struct bytes have = stream_peek(s);

    return have.n >= max || bytes_find(have, '\n') < have.n;
}
