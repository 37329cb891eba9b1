/* mail/mime_uu.c - uuencoded files.
 *
 * A line says how many bytes it holds, so blanks that a gateway cut off and check sums that some programs add at its
 * end change nothing. Nothing is an error: a mail that was damaged is shown as far as it goes. */
#include "mail/mime_uu.h"
#include "mail/chars.h"

enum { FULL = 45 };

enum line { LINE_DATA, LINE_LAST, LINE_END, LINE_OTHER };
enum at { SEEK, SKIP, BEGUN, START, DATA, PASS, DONE };

static unsigned value_of(char c)
{
    return ((unsigned char)c - 32u) & 63u;
}

static bool is_uu(char c)
{
    return c >= ' ' && c <= '`';
}

static struct bytes without_end(struct bytes line)
{
    while (line.n && (line.p[line.n - 1] == '\r' || line.p[line.n - 1] == '\n'))
        line.n--;
    return line;
}

/* "begin 644 name"; some leave the name out. */
static bool begins(struct uu_finder *f, struct bytes line, size_t at)
{
    struct bytes in = bytes_from(without_end(line), 6);
    size_t digits = 0;

    if (!bytes_starts(line, BYTES("begin ")))
        return false;
    while (digits < in.n && in.p[digits] >= '0' && in.p[digits] <= '7')
        digits++;
    if (digits < 3 || digits > 4 || (digits < in.n && in.p[digits] != ' '))
        return false;
    in = bytes_trim(bytes_from(in, digits));
    if (in.n > sizeof f->name)
        return false;
    if (in.n)
        memcpy(f->name, in.p, in.n);
    f->name_n = in.n;
    f->begin = at;
    return true;
}

static enum line line_of(struct bytes line, bool first)
{
    size_t count = 0, needs = 0;

    line = without_end(line);
    if (bytes_equal(bytes_trim(line), BYTES("end")))
        return LINE_END;
    if (bytes_trim(line).n == 0 || (value_of(line.p[0]) == 0 && line.n == 1))
        return LINE_LAST;
    for (size_t i = 0; i < line.n; i++)
        if (!is_uu(line.p[i]))
            return LINE_OTHER;
    count = value_of(line.p[0]);
    needs = (count + 2) / 3 * 4 + 1;
    if (count == 0 || count > FULL || line.n > needs + 1 || (first && line.n < needs))
        return LINE_OTHER;
    return LINE_DATA;
}

enum uu_found uu_find(struct uu_finder *f, struct bytes line, size_t at)
{
    bool file = f->state == UU_IN_FILE || f->state == UU_AT_END, first = f->state == UU_AT_BEGIN;
    enum line what = file || first ? line_of(line, first) : LINE_OTHER;

    if (what == LINE_DATA && f->state != UU_AT_END) {
        f->state = UU_IN_FILE;
        return first ? UU_OPENS : UU_NOTHING;
    }
    if (what == LINE_LAST && file) {
        f->state = UU_AT_END;
        return UU_NOTHING;
    }
    if (what == LINE_END && file) {
        f->state = UU_IN_TEXT;
        return UU_CLOSES;
    }
    f->state = begins(f, line, at) ? UU_AT_BEGIN : UU_IN_TEXT;
    return file ? UU_BREAKS : UU_NOTHING;
}

static void add_value(struct uu_state *s, unsigned value, struct buf *out)
{
    s->bits = s->bits << 6 | value;
    if (++s->bits_n < 4)
        return;
    for (int shift = 16; shift >= 0 && s->left; shift -= 8, s->left--)
        buf_addc(out, (char)(s->bits >> shift));
    s->bits = s->bits_n = 0;
}

static void line_end(struct uu_state *s, struct buf *out)
{
    switch (s->at) {
    case SEEK:
    case SKIP: s->at = SEEK; break;
    case DATA:
        while (s->left)
            add_value(s, 0, out);
        s->bits = s->bits_n = 0;
        s->at = START;
        break;
    case BEGUN:
    case START:
    case PASS: s->at = START; break;
    default: break;
    }
    s->head_n = 0;
}

static void line_start(struct uu_state *s, char c)
{
    s->left = is_uu(c) ? (unsigned char)value_of(c) : 0;
    s->at = s->left ? DATA : c == 'e' ? DONE : PASS;
}

static void seek(struct uu_state *s, char c)
{
    s->head[s->head_n++] = c;
    if (s->head_n == 6)
        s->at = memcmp(s->head, "begin ", 6) == 0 ? BEGUN : SKIP;
}

void uu_decode(struct uu_state *s, struct bytes chunk, struct buf *out)
{
    for (size_t i = 0; i < chunk.n && s->at != DONE; i++) {
        char c = chunk.p[i];

        if (c == '\n')
            line_end(s, out);
        else if (c == '\r')
            continue;
        else if (s->at == SEEK)
            seek(s, c);
        else if (s->at == START)
            line_start(s, c);
        else if (s->at == DATA && s->left)
            add_value(s, value_of(c), out);
    }
}

void uu_decode_end(struct uu_state *s, struct buf *out)
{
    line_end(s, out);
}
