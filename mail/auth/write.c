/* mail/auth/write.c: see write.h */
#include "mail/auth/write.h"
#include "mail/chars.h"

enum { FOLD_AT = 78, VALUE_MOST = 400 };

static bool is_plain(struct bytes value)
{
    for (size_t i = 0; i < value.n; i++)
        if (!char_is_alnum(value.p[i]) && !char_in(value.p[i], BYTES("-._+!#$&*^`|~")))
            return false;
    return value.n > 0;
}

/* A line has 998 octets at most (RFC 5322 2.1.1), and each here may get a backslash. */
static struct bytes head_of(struct bytes text)
{
    size_t n = VALUE_MOST;

    if (text.n <= VALUE_MOST)
        return text;
    while (n > VALUE_MOST - 3 && ((unsigned char)text.p[n] & 0xC0) == 0x80) /* no half of a character */
        n--;
    return bytes_head(text, n);
}

static void add_quoted(struct buf *out, struct bytes text, struct bytes special)
{
    text = head_of(text);
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];

        if (char_in(c, special))
            buf_addc(out, '\\');
        buf_addc(out, char_is_control(c) ? '?' : c);
    }
}

void auth_write_value(struct buf *out, struct bytes value)
{
    value = head_of(value);
    if (is_plain(value)) {
        buf_add(out, value);
        return;
    }
    buf_addc(out, '"');
    add_quoted(out, value, BYTES("\"\\"));
    buf_addc(out, '"');
}

void auth_write_comment(struct buf *out, struct bytes text)
{
    add_quoted(out, text, BYTES("()\\"));
}

/* A blank where the line would pass FOLD_AT becomes a fold; a word that is longer stays whole. */
void auth_write_field(struct buf *out, const char *name, struct bytes value)
{
    struct bytes word, rest = value;
    size_t line = out->n;
    bool first = true;

    buf_addf(out, "%s:", name);
    while (rest.n) {
        bytes_cut(rest, ' ', &word, &rest);
        if (!first && out->n - line + 1 + word.n > FOLD_AT) {
            buf_adds(out, "\r\n\t");
            line = out->n - 1;
        } else {
            buf_addc(out, ' ');
        }
        buf_add(out, word);
        first = false;
    }
    buf_adds(out, "\r\n");
}
