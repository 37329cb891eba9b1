#include "mail/markdown.h"
#include <md4c-html.h>

/* md4c reads a nesting of quotes or lists by a loop over what is open, for each line: a text of '>' alone would be
 * quadratic. Deeper ones than any text has are cut. */
enum { MARKS_MOST = 100, LONGEST = 4 << 20 };

static void add(const MD_CHAR *text, MD_SIZE n, void *out)
{
    buf_add(out, (struct bytes){ text, n });
}

static bool is_mark(char c)
{
    return c == '>' || c == ' ' || c == '\t' || c == '-' || c == '*' || c == '+';
}

/* The text with at most MARKS_MOST marks of blocks at the start of a line. */
static void flatten(struct bytes text, struct buf *out)
{
    while (text.n) {
        size_t end = bytes_find(text, '\n'), line = end < text.n ? end + 1 : end, marks = 0, kept = 0;

        while (marks < line && is_mark(text.p[marks]))
            marks++;
        kept = marks < MARKS_MOST ? marks : MARKS_MOST;
        buf_add(out, bytes_head(text, kept));
        buf_add(out, bytes_from(bytes_head(text, line), marks));
        text = bytes_from(text, line);
    }
}

bool markdown_to_html(struct bytes text, struct buf *out)
{
    unsigned flags =
        MD_DIALECT_COMMONMARK | MD_FLAG_TABLES | MD_FLAG_STRIKETHROUGH | MD_FLAG_PERMISSIVEAUTOLINKS | MD_FLAG_NOHTML;
    struct buf flat;
    bool ok;

    buf_init(&flat, LONGEST);
    flatten(text, &flat);
    ok = !flat.overflowed &&
         md_html(flat.p ? flat.p : "", (MD_SIZE)flat.n, add, out, flags, MD_HTML_FLAG_SKIP_UTF8_BOM) == 0;
    buf_clear(&flat);
    return ok && !out->overflowed;
}
