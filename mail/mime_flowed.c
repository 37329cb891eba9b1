/* mail/mime_flowed.c - paragraphs of format=flowed (RFC 3676), each on one line again.
 *
 * A line that ends in a space goes on in the next one of the same quote depth (4.1, 4.5); the line before a signature
 * and one of another depth end it, whatever they end in. */
#include "mail/mime_flowed.h"

struct flow {
    struct buf *out;
    bool delsp, soft; /* soft: the last line goes on */
    size_t depth;
};

static void line_begin(struct flow *f, size_t depth, bool empty)
{
    if (f->soft)
        buf_addc(f->out, '\n');
    for (size_t i = 0; i < depth; i++)
        buf_addc(f->out, '>');
    if (depth && !empty)
        buf_addc(f->out, ' ');
}

static void add_line(struct flow *f, struct bytes line)
{
    size_t depth = 0;
    bool signature, goes_on;

    while (depth < line.n && line.p[depth] == '>')
        depth++;
    line = bytes_from(line, depth);
    if (line.n && line.p[0] == ' ') /* stuffed (4.4) */
        line = bytes_from(line, 1);
    signature = bytes_equal(line, BYTES("-- "));
    goes_on = !signature && bytes_ends(line, BYTES(" "));
    if (!f->soft || depth != f->depth || signature)
        line_begin(f, depth, line.n == 0);
    if (goes_on && f->delsp)
        line.n--;
    buf_add(f->out, line);
    if (!goes_on)
        buf_addc(f->out, '\n');
    f->soft = goes_on;
    f->depth = depth;
}

void mime_unflow(struct bytes text, bool delsp, struct buf *out)
{
    struct flow f = { .out = out, .delsp = delsp };
    struct bytes line;

    while (text.n && !out->overflowed) {
        bytes_cut(text, '\n', &line, &text);
        add_line(&f, line);
    }
    if (f.soft)
        buf_addc(out, '\n');
}
