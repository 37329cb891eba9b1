#include "mail/build.h"
#include "mail/chars.h"

/* White space, and what only looks like nothing: mails fill their preview with such characters. */
static size_t blank_length(struct bytes text)
{
    static const char *const blanks[] = { " ",           "\t",       "\r",           "\n",           "\xC2\xA0",
                                          "\xC2\xAD",    "\xCD\x8F", "\xE2\x80\x8B", "\xE2\x80\xA8", "\xE2\x80\xA9",
                                          "\xEF\xBB\xBF" };

    if (text.p[0] > ' ' && text.p[0] < 0x7F) /* most are */
        return 0;
    for (size_t i = 0; i < sizeof blanks / sizeof *blanks; i++)
        if (bytes_starts(text, bytes_of(blanks[i])))
            return strlen(blanks[i]);
    return char_is_control(text.p[0]) ? 1 : 0;
}

static size_t skip_blanks(struct bytes text)
{
    size_t all = 0;

    while (all < text.n) {
        size_t n = blank_length(bytes_from(text, all));

        if (n == 0)
            break;
        all += n;
    }
    return all;
}

void text_snippet(struct bytes text, size_t max, struct buf *out)
{
    size_t start = out->n;

    while (text.n) {
        size_t blank = skip_blanks(text), n = 0;
        bool space = blank && out->n > start;

        text = bytes_from(text, blank);
        n = bytes_utf8_length(text);
        if (text.n == 0 || out->n - start + space + (n ? n : 3) > max)
            return;
        if (space)
            buf_addc(out, ' ');
        buf_add(out, n ? bytes_head(text, n) : BYTES("\xEF\xBF\xBD"));
        text = bytes_from(text, n ? n : 1);
    }
}
