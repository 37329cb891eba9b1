#include "mail/chars.h"
#include "mail/mime.h"

enum { ENDING_MAX = 32 };

/* Length of a character that no name may show: control characters (C0, C1), separators of lines, and those that turn
 * the direction of writing, so that "exe" reads as something else. */
static size_t hidden_length(struct bytes in)
{
    static const char *const hidden[] = {
        "\xE2\x80\xA8", "\xE2\x80\xA9", "\xE2\x80\xAA", "\xE2\x80\xAB", "\xE2\x80\xAC", "\xE2\x80\xAD", "\xE2\x80\xAE",
        "\xE2\x81\xA6", "\xE2\x81\xA7", "\xE2\x81\xA8", "\xE2\x81\xA9", "\xE2\x80\x8E", "\xE2\x80\x8F", "\xD8\x9C",
    };

    if (char_is_control(in.p[0]))
        return 1;
    if (in.p[0] == '\xC2' && in.n > 1 && (unsigned char)in.p[1] < 0xA0)
        return 2;
    for (size_t i = 0; char_is_8bit(in.p[0]) && i < sizeof hidden / sizeof *hidden; i++)
        if (bytes_starts(in, bytes_of(hidden[i])))
            return strlen(hidden[i]);
    return 0;
}

/* Behind the last separator of any system that something follows. */
static struct bytes without_path(struct bytes name)
{
    size_t from = 0;

    while (name.n && char_in(name.p[name.n - 1], BYTES("/\\")))
        name.n--;
    for (size_t i = 0; i < name.n; i++)
        if (char_in(name.p[i], BYTES("/\\")))
            from = i + 1;
    return bytes_from(name, from);
}

static bool only_dots(struct bytes name)
{
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] != '.')
            return false;
    return true;
}

static size_t whole_characters(struct bytes text, size_t n)
{
    while (n > 0 && n < text.n && ((unsigned char)text.p[n] & 0xC0) == 0x80)
        n--;
    return n;
}

/* What is too long loses its middle: the ending says what to open it with. */
static void add_cut(struct bytes name, size_t max, struct buf *out)
{
    size_t dot = bytes_find_last(name, '.');
    struct bytes ending = name.n - dot <= ENDING_MAX ? bytes_from(name, dot) : NO_BYTES;

    if (name.n <= max) {
        buf_add(out, name);
        return;
    }
    buf_add(out, bytes_head(name, whole_characters(name, max - ending.n)));
    buf_add(out, ending);
}

void mime_filename(struct bytes name, size_t max, struct buf *out)
{
    struct buf clean;
    struct bytes rest = without_path(name), shown;

    buf_init(&clean, rest.n + 1);
    while (rest.n) {
        size_t hidden = hidden_length(rest);

        if (!hidden)
            buf_addc(&clean, rest.p[0]);
        rest = bytes_from(rest, hidden ? hidden : 1);
    }
    shown = bytes_trim(buf_bytes(&clean));
    if (!only_dots(shown))
        add_cut(shown, max, out);
    buf_clear(&clean);
}
