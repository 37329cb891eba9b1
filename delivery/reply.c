/* delivery/reply.c - lines are collected as far as they are kept, judged at their end, and added to the text.
 *
 * The reader is a stranger's to fill: every counter has its maximum before anything is stored. A character that was cut
 * where keeping ended goes whole, so that it is not shown as a broken one. */
#include "delivery/reply.h"

void reply_begin(struct reply_reader *r)
{
    r->reply = (struct reply){ .text = { r->text, 0 } };
    r->line_n = r->line_seen = r->text_n = r->lines = 0;
    r->ended = r->broken = false;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* RFC 3463 2: class "." subject "." detail, of 1 and up to 3 digits. */
size_t reply_enhanced_length(struct bytes text)
{
    size_t n = 2;

    if (text.n < 5 || (text.p[0] != '2' && text.p[0] != '4' && text.p[0] != '5') || text.p[1] != '.')
        return 0;
    for (int part = 0; part < 2; part++) {
        size_t from = n;

        while (n < text.n && n - from < 3 && is_digit(text.p[n]))
            n++;
        if (n == from || (part == 0 && (n == text.n || text.p[n++] != '.')))
            return 0;
    }
    return n < text.n && (is_digit(text.p[n]) || text.p[n] == '.') ? 0 : n;
}

/* Without a character of which only the beginning was kept. */
static struct bytes whole_characters(struct bytes text)
{
    size_t n = text.n;

    for (size_t back = 1; back <= 3 && back <= n; back++) {
        unsigned char c = (unsigned char)text.p[n - back];

        if (c >= 0xC0 && !bytes_utf8_length(bytes_from(text, n - back)))
            return bytes_head(text, n - back);
        if (c < 0x80 || c >= 0xC0)
            break;
    }
    return text;
}

/* Of ASCII what there is room for, of another character all or nothing. */
static bool add(struct reply_reader *r, struct bytes piece)
{
    size_t room = sizeof r->text - r->text_n, n = piece.n <= room ? piece.n : bytes_plain(bytes_head(piece, room));

    memcpy(r->text + r->text_n, piece.p, n);
    r->text_n += n;
    return n == piece.n;
}

/* Controls are ASCII's and U+0080 to U+009F. */
static struct bytes cleaned(struct bytes text, size_t n)
{
    if (!n)
        return BYTES("\xEF\xBF\xBD");
    return n == 1 || (n == 2 && bytes_compare(bytes_head(text, 2), BYTES("\xC2\xA0")) < 0) ? BYTES(" ")
                                                                                           : bytes_head(text, n);
}

static void add_clean(struct reply_reader *r, struct bytes text)
{
    bool fits = true;

    while (text.n && fits) {
        size_t plain = bytes_plain(text), n = plain ? plain : bytes_utf8_length(text);

        fits = add(r, plain ? bytes_head(text, plain) : cleaned(text, n));
        text = bytes_from(text, n ? n : 1);
    }
}

/* The first line's enhanced code counts, and is taken off every line that repeats it. */
static struct bytes without_enhanced(struct reply_reader *r, struct bytes text)
{
    size_t n = reply_enhanced_length(text);
    struct bytes code = bytes_head(text, n);

    if (!n || code.p[0] != (char)('0' + r->reply.code / 100))
        return text;
    if (r->lines == 0) {
        memcpy(r->enhanced, code.p, n);
        r->reply.enhanced = (struct bytes){ r->enhanced, n };
    }
    return bytes_equal(code, r->reply.enhanced) ? bytes_trim(bytes_from(text, n)) : text;
}

/* What stands behind the code of a line. */
static void add_line(struct reply_reader *r, struct bytes text, bool cut)
{
    if (cut)
        text = whole_characters(text);
    text = without_enhanced(r, bytes_trim(text));
    if (r->lines)
        add(r, BYTES("\n"));
    add_clean(r, text);
    r->reply.text.n = r->text_n;
}

static int code_of(struct bytes line)
{
    if (line.n < 3 || line.p[0] < '1' || line.p[0] > '5' || !is_digit(line.p[1]) || !is_digit(line.p[2]))
        return 0;
    if (line.n > 3 && line.p[3] != ' ' && line.p[3] != '-' && line.p[3] != '\t')
        return 0;
    return (line.p[0] - '0') * 100 + (line.p[1] - '0') * 10 + (line.p[2] - '0');
}

static void line_ended(struct reply_reader *r)
{
    struct bytes line = { r->line, r->line_n };
    bool cut = r->line_seen > r->line_n;
    int code = 0;

    if (!cut && line.n && line.p[line.n - 1] == '\r')
        line.n--;
    code = code_of(line);
    r->broken = !code || (r->lines && code != r->reply.code) || r->lines == REPLY_LINES_MAX;
    r->line_n = r->line_seen = 0;
    if (r->broken)
        return;
    r->reply.code = code;
    add_line(r, bytes_from(line, 4), cut);
    r->lines++;
    r->ended = line.n == 3 || line.p[3] != '-';
}

static void keep(struct reply_reader *r, struct bytes part)
{
    size_t room = sizeof r->line - r->line_n, n = part.n < room ? part.n : room;

    if (n)
        memcpy(r->line + r->line_n, part.p, n);
    r->line_n += n;
    r->line_seen += part.n;
    r->broken = r->line_seen > REPLY_LINE_MAX;
}

enum reply_state reply_read(struct reply_reader *r, struct bytes chunk, size_t *used)
{
    struct bytes rest = chunk;

    while (rest.n && !r->ended && !r->broken) {
        size_t lf = bytes_find(rest, '\n');

        keep(r, bytes_head(rest, lf));
        if (lf < rest.n && !r->broken)
            line_ended(r);
        rest = bytes_from(rest, lf + 1);
    }
    *used = chunk.n - rest.n;
    return r->broken ? REPLY_BROKEN : r->ended ? REPLY_DONE : REPLY_MORE;
}

bool reply_next_line(struct bytes *rest, struct bytes *line)
{
    if (!rest->p)
        return false;
    bytes_cut(*rest, '\n', line, rest);
    return true;
}

void reply_add_flat(struct bytes text, struct buf *out)
{
    struct bytes line;

    for (bool first = true; reply_next_line(&text, &line); first = false) {
        if (!first)
            buf_addc(out, ' ');
        buf_add(out, line);
    }
}
