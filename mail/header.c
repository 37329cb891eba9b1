/* mail/header.c - fields in the bytes as they are.
 *
 * Where the header ends is a rule of its own, header_line_of: the MIME index, this reader and the intake share it, or
 * one would take for text what another takes for a field. Raw 8-bit text is mended only for reading, field by field, by
 * the charset that the mail names for its body. */
#include "mail/header.h"
#include "mail/address_form.h"
#include "mail/chars.h"
#include "mail/charset.h"

/* One line with its line end. */
static struct bytes line_of(struct bytes text)
{
    return bytes_head(text, bytes_find(text, '\n') + 1);
}

/* A field: its first line and all that start with white space. */
static struct bytes field_of(struct bytes text)
{
    struct bytes rest = text;
    size_t n = 0;

    do {
        size_t line = line_of(rest).n;

        n += line;
        rest = bytes_from(rest, line);
    } while (rest.n && (rest.p[0] == ' ' || rest.p[0] == '\t'));
    return bytes_head(text, n);
}

bool header_name_ok(struct bytes name)
{
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] <= ' ' || name.p[i] >= 0x7F || name.p[i] == ':')
            return false;
    return name.n > 0;
}

static bool split(struct bytes whole, struct header *out)
{
    struct bytes name, value;

    if (!bytes_cut(whole, ':', &name, &value))
        return false;
    while (name.n && char_is_blank(name.p[name.n - 1])) /* obsolete: space before the colon */
        name.n--;
    if (!header_name_ok(name))
        return false;
    *out = (struct header){ .name = name, .value = bytes_trim(value), .whole = whole };
    return true;
}

bool header_next(struct bytes *rest, struct header *out)
{
    while (rest->n) {
        struct bytes whole = field_of(*rest);

        *rest = bytes_from(*rest, whole.n);
        if (split(whole, out))
            return true;
    }
    return false;
}

bool header_find(struct bytes headers, const char *name, size_t n, struct header *out)
{
    struct bytes wanted = bytes_of(name);

    while (header_next(&headers, out))
        if (bytes_equal_nocase(out->name, wanted) && n-- == 0)
            return true;
    return false;
}

size_t header_count(struct bytes headers, const char *name)
{
    struct bytes wanted = bytes_of(name);
    struct header h;
    size_t n = 0;

    while (header_next(&headers, &h))
        n += bytes_equal_nocase(h.name, wanted);
    return n;
}

static bool is_field(struct bytes line)
{
    struct bytes name, rest;

    if (!bytes_cut(bytes_head(line, HEADER_NAME_MAX), ':', &name, &rest))
        return false;
    while (name.n && char_is_blank(name.p[name.n - 1]))
        name.n--;
    return header_name_ok(name);
}

enum header_line header_line_of(struct bytes line, bool begun)
{
    if (line.n && (line.p[0] == '\r' || line.p[0] == '\n'))
        return bytes_equal(line, BYTES("\r\n")) || bytes_equal(line, BYTES("\n")) ? HEADER_EMPTY : HEADER_NONE;
    if (line.n && (line.p[0] == ' ' || line.p[0] == '\t'))
        return begun ? HEADER_FOLDED : bytes_trim(line).n ? HEADER_NONE : HEADER_EMPTY;
    if (is_field(line))
        return HEADER_FIELD;
    if (bytes_starts(line, BYTES("From ")) || (!begun && bytes_starts(line, BYTES(">From "))))
        return HEADER_MAILBOX;
    return HEADER_NONE;
}

/* Whoever verifies a signature passes over "From " of a mailbox file wherever it stands, so the body begins for us
 * where it does for them. */
bool header_passes(enum header_line what, struct bytes line, bool first)
{
    return what == HEADER_FIELD || what == HEADER_FOLDED || (what == HEADER_MAILBOX && (first || line.p[0] == 'F'));
}

size_t header_end(struct bytes message)
{
    struct bytes rest = message;
    bool begun = false;

    while (rest.n) {
        struct bytes line = line_of(rest);
        enum header_line what = header_line_of(line, begun);

        if (!header_passes(what, line, rest.p == message.p))
            return (size_t)(rest.p - message.p);
        begun |= what == HEADER_FIELD;
        rest = bytes_from(rest, line.n);
    }
    return message.n;
}

bool header_whole(struct header_scan *s, struct bytes text, size_t *end)
{
    while (s->at < text.n) {
        struct bytes line = line_of(bytes_from(text, s->at));
        bool whole = line.p[line.n - 1] == '\n';
        enum header_line what = header_line_of(line, s->begun);
        bool ends = what != HEADER_EMPTY && !header_passes(what, line, s->at == 0);

        if (!whole && (!ends || line.n < HEADER_NAME_MAX))
            return false;
        if (ends || what == HEADER_EMPTY) {
            *end = s->at + (ends ? 0 : line.n);
            return true;
        }
        s->begun |= what == HEADER_FIELD;
        s->at += line.n;
    }
    return false;
}

/* ISO-2022 is raw text in seven bits: it shows by its escapes. */
static bool must_mend(struct bytes text, enum charset charset)
{
    bool escapes = charset == CHARSET_ISO_2022_JP || charset == CHARSET_ISO_2022_KR;

    return !bytes_is_utf8(text) || (escapes && bytes_find(text, '\x1B') < text.n);
}

struct bytes header_mend(struct bytes header, struct bytes label, struct arena *a)
{
    enum charset charset = charset_find(label);
    struct bytes rest = header, done;
    struct buf out;

    if (charset == CHARSET_UTF_8)
        charset = CHARSET_WINDOWS_1252; /* what is mended is not that */
    if (!must_mend(header, charset))
        return header;
    buf_init(&out, header.n * 4);
    while (rest.n) {
        struct bytes field = field_of(rest);

        if (must_mend(field, charset))
            charset_read(charset, field, &out);
        else
            buf_add(&out, field);
        rest = bytes_from(rest, field.n);
    }
    done = address_copy(a, buf_bytes(&out));
    buf_clear(&out);
    return done.p ? done : header;
}
