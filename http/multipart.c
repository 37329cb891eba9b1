/* http/multipart.c - see multipart.h. A delimiter is looked for as a whole, so what might be the beginning of one is
 * left until more has come: at most as much as a delimiter is long. */
#include "http/multipart.h"
#include <string.h>

enum state {
    START,  /* before the first delimiter, which no line end precedes */
    BEHIND, /* a delimiter: it begins a part, or is the last one */
    HEADER,
    DATA,
    CLOSED
};

#define PADDING_MAX 70 /* blanks behind a boundary */

/* RFC 2046 5.1.1: bchars, not ending in a blank. */
bool multipart_init(struct multipart *m, struct bytes boundary, size_t header_max)
{
    static const char others[] = "'()+_,-./:=? ";

    *m = (struct multipart){ .header_max = header_max, .n = 4 + boundary.n };
    if (!boundary.n || boundary.n > MULTIPART_BOUNDARY_MAX || boundary.p[boundary.n - 1] == ' ')
        return false;
    for (size_t i = 0; i < boundary.n; i++) {
        char c = boundary.p[i];

        if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
              memchr(others, c, sizeof others - 1)))
            return false;
    }
    memcpy(m->delimiter, "\r\n--", 4);
    memcpy(m->delimiter + 4, boundary.p, boundary.n);
    return true;
}

bool multipart_closed(const struct multipart *m)
{
    return m->state == CLOSED;
}

static enum multipart_event go(struct multipart *m, enum state to, enum multipart_event event)
{
    m->state = (unsigned char)to;
    return event;
}

static enum multipart_event bad(struct multipart *m, const char *why)
{
    m->why = why;
    return MULTIPART_BAD;
}

static enum multipart_event start(struct multipart *m, struct bytes have, size_t *used)
{
    struct bytes first = { m->delimiter + 2, m->n - 2 };

    if (have.n < first.n)
        return bytes_starts(first, have) ? MULTIPART_MORE : bad(m, "The body does not begin with its boundary");
    if (!bytes_starts(have, first))
        return bad(m, "The body does not begin with its boundary");
    *used = first.n;
    return go(m, BEHIND, MULTIPART_MORE);
}

/* Blanks may stand behind a boundary (RFC 2046 5.1.1, transport padding). */
static enum multipart_event behind(struct multipart *m, struct bytes have, size_t *used)
{
    size_t i = 0;
    struct bytes end;

    if (bytes_starts(have, BYTES("--"))) {
        *used = 2;
        return go(m, CLOSED, MULTIPART_CLOSED);
    }
    if (bytes_equal(have, BYTES("-")))
        return MULTIPART_MORE;
    while (i < have.n && (have.p[i] == ' ' || have.p[i] == '\t'))
        i++;
    end = bytes_head(bytes_from(have, i), 2);
    if (i > PADDING_MAX || !bytes_starts(BYTES("\r\n"), end))
        return bad(m, "Behind a boundary something stands that is no line end");
    if (end.n < 2)
        return MULTIPART_MORE;
    *used = i + 2;
    return go(m, HEADER, MULTIPART_MORE);
}

static enum multipart_event header(struct multipart *m, struct bytes have, size_t *used, struct bytes *out)
{
    const char *end = have.n >= 4 ? memmem(have.p, have.n, "\r\n\r\n", 4) : NULL;
    size_t n = end ? (size_t)(end - have.p) + 2 : have.n - 1; /* at least: CRLF CR may be its end */

    if (bytes_starts(have, BYTES("\r\n")))
        return bad(m, "A part has no header");
    if (n > m->header_max)
        return bad(m, "The header of a part is too large");
    if (!end)
        return MULTIPART_MORE;
    *out = bytes_head(have, n);
    *used = n + 2;
    return go(m, DATA, MULTIPART_HEADER);
}

/* Bytes of `have` that no delimiter can begin in any more. */
static size_t safe(const struct multipart *m, struct bytes have)
{
    size_t keep = m->n - 1 < have.n ? m->n - 1 : have.n;

    for (; keep; keep--)
        if (memcmp(have.p + have.n - keep, m->delimiter, keep) == 0)
            break;
    return have.n - keep;
}

static enum multipart_event data(struct multipart *m, struct bytes have, size_t *used, struct bytes *out)
{
    const char *at = have.n >= m->n ? memmem(have.p, have.n, m->delimiter, m->n) : NULL;
    size_t n = at ? (size_t)(at - have.p) : safe(m, have);

    if (n) {
        *out = bytes_head(have, n);
        *used = n;
        return MULTIPART_DATA;
    }
    if (!at)
        return MULTIPART_MORE;
    *used = m->n;
    return go(m, BEHIND, MULTIPART_END);
}

/* What stands behind the last boundary: line ends. */
static enum multipart_event closed(struct multipart *m, struct bytes have, size_t *used)
{
    for (size_t i = 0; i < have.n; i++)
        if (!memchr("\r\n \t", have.p[i], 4))
            return bad(m, "Something stands behind the last boundary");
    *used = have.n;
    return MULTIPART_MORE;
}

enum multipart_event multipart_next(struct multipart *m, struct bytes have, size_t *used, struct bytes *out)
{
    enum multipart_event event = MULTIPART_MORE;

    for (size_t at = 0, n;; at += n) {
        struct bytes rest = bytes_from(have, at);

        n = 0;
        *out = NO_BYTES;
        if (rest.n)
            switch ((enum state)m->state) {
            case START: event = start(m, rest, &n); break;
            case BEHIND: event = behind(m, rest, &n); break;
            case HEADER: event = header(m, rest, &n, out); break;
            case DATA: event = data(m, rest, &n, out); break;
            case CLOSED: event = closed(m, rest, &n); break;
            }
        *used = at + n;
        if (event != MULTIPART_MORE || !n)
            return event;
    }
}
