#include "base/params.h"
#include "mail/address_form.h"
#include "mail/chars.h"
#include "mail/charset.h"
#include "mail/header.h"

/* A parameter may come in pieces, in any order (RFC 2231 3): they are gathered in one pass and sorted, so that ten
 * thousand of them cost no more than their length. */
struct piece {
    size_t number;
    struct bytes value; /* raw: quoted string or token */
    bool extended;      /* %XX inside */
};

enum { PIECES_MAX = 10000 };

struct search {
    struct bytes name;
    struct buf pieces; /* of struct piece */
    struct bytes plain, extended;
};

static size_t skip_comment(struct bytes in)
{
    size_t depth = 0;

    for (size_t i = 0; i < in.n; i++) {
        if (in.p[i] == '\\')
            i++;
        else if (in.p[i] == '(')
            depth++;
        else if (in.p[i] == ')' && --depth == 0)
            return i + 1;
    }
    return in.n;
}

static size_t skip_quoted(struct bytes in)
{
    for (size_t i = 1; i < in.n; i++) {
        if (in.p[i] == '\\')
            i++;
        else if (in.p[i] == '"')
            return i + 1;
    }
    return in.n;
}

/* Up to the next ';' that is in no quotes and no comment. */
static struct bytes until_semicolon(struct bytes in)
{
    size_t i = 0;

    while (i < in.n && in.p[i] != ';') {
        struct bytes rest = bytes_from(in, i);
        bool starts_word = i == 0 || char_is_blank(in.p[i - 1]) || in.p[i - 1] == '=';

        if (in.p[i] == '"')
            i += skip_quoted(rest);
        else if (in.p[i] == '(' && starts_word)
            i += skip_comment(rest);
        else
            i++;
    }
    return bytes_head(in, i < in.n ? i : in.n);
}

struct bytes header_token(struct bytes value, struct arena *a)
{
    struct bytes in = until_semicolon(value);
    char *p = arena_try(a, in.n + 1);
    size_t n = 0;

    if (!p)
        return BYTES("");
    while (in.n) {
        if (in.p[0] == '(') {
            in = bytes_from(in, skip_comment(in));
            continue;
        }
        if (!char_is_blank(in.p[0]))
            p[n++] = char_lower(in.p[0]);
        in = bytes_from(in, 1);
    }
    return (struct bytes){ p, n };
}

/* The text of a raw value: unquoted, or what stands before a comment. */
static void add_text(struct bytes raw, struct buf *out)
{
    raw = bytes_trim(raw);
    if (raw.n && raw.p[0] == '"') {
        for (size_t i = 1; i < raw.n && raw.p[i] != '"'; i++) {
            if (raw.p[i] == '\\' && i + 1 < raw.n)
                i++;
            if (raw.p[i] != '\r' && raw.p[i] != '\n')
                buf_addc(out, raw.p[i]);
        }
        return;
    }
    for (size_t i = 0; i + 1 < raw.n; i++)
        if (char_is_blank(raw.p[i]) && raw.p[i + 1] == '(')
            raw = bytes_head(raw, i);
    buf_add(out, bytes_trim(raw));
}

static void add_percent(struct bytes text, struct buf *out)
{
    for (size_t i = 0; i < text.n; i++) {
        int high = text.p[i] == '%' && i + 2 < text.n ? char_hex(text.p[i + 1]) : -1;
        int low = high >= 0 ? char_hex(text.p[i + 2]) : -1;

        buf_addc(out, low >= 0 ? (char)(high * 16 + low) : text.p[i]);
        i += low >= 0 ? 2 : 0;
    }
}

/* "name*3*": which piece of the wanted parameter is this? */
static void keep(struct search *s, struct bytes name, struct bytes value)
{
    struct bytes base, suffix;
    struct piece piece = { .value = value };
    int64_t number = 0;

    if (!bytes_cut(name, '*', &base, &suffix)) {
        if (bytes_equal_nocase(base, s->name) && !s->plain.p)
            s->plain = value;
        return;
    }
    if (!bytes_equal_nocase(base, s->name))
        return;
    if (suffix.n == 0) {
        s->extended = s->extended.p ? s->extended : value;
        return;
    }
    piece.extended = bytes_ends(suffix, BYTES("*"));
    suffix.n -= piece.extended;
    if (!bytes_to_int(suffix, &number) || number < 0 || number >= PIECES_MAX)
        return;
    piece.number = (size_t)number;
    buf_add(&s->pieces, (struct bytes){ (const char *)&piece, sizeof piece });
}

static void gather(struct search *s, struct bytes value)
{
    struct bytes rest = bytes_from(value, until_semicolon(value).n + 1), name, text;

    while (rest.n) {
        struct bytes one = until_semicolon(rest);

        rest = bytes_from(rest, one.n + 1);
        if (bytes_cut(one, '=', &name, &text))
            keep(s, bytes_trim(name), text);
    }
}

static int by_number(const void *a, const void *b)
{
    const struct piece *x = a, *y = b;

    return (x->number > y->number) - (x->number < y->number);
}

/* "charset'language'text": the charset's length goes to *label, the text is what is left. */
static struct bytes after_charset(struct bytes text, struct bytes *label)
{
    struct bytes language, rest;

    if (!bytes_cut(text, '\'', label, &rest) || !bytes_cut(rest, '\'', &language, &rest)) {
        *label = NO_BYTES;
        return text;
    }
    return rest;
}

/* Appends the decoded bytes of one piece; of the first, `charset` gets the name. */
static void add_piece(const struct piece *p, struct buf *charset, struct buf *out)
{
    struct buf raw;
    struct bytes text, label = NO_BYTES;

    buf_init(&raw, p->value.n + 1);
    add_text(p->value, &raw);
    text = buf_bytes(&raw);
    if (p->extended && p->number == 0) {
        text = after_charset(text, &label);
        buf_add(charset, label);
    }
    if (p->extended)
        add_percent(text, out);
    else
        buf_add(out, text);
    buf_clear(&raw);
}

static struct bytes join(const struct piece *pieces, size_t n, struct arena *a)
{
    struct buf charset, joined, text;
    struct bytes done;
    size_t most = (size_t)PARAM_INT(message, header_value_max), next = 0;

    buf_init(&charset, 64);
    buf_init(&joined, most);
    buf_init(&text, most * 3);
    for (size_t i = 0; i < n; i++)
        if (pieces[i].number == next) {
            add_piece(&pieces[i], &charset, &joined);
            next++;
        }
    charset_decode(buf_bytes(&charset), buf_bytes(&joined), &text);
    done = address_copy(a, buf_bytes(&text));
    buf_clear(&charset);
    buf_clear(&joined);
    buf_clear(&text);
    return done.p ? done : BYTES("");
}

static struct bytes plain_value(struct bytes raw, struct arena *a)
{
    struct buf text;
    struct bytes done;

    buf_init(&text, raw.n + 1);
    add_text(raw, &text);
    done = address_copy(a, buf_bytes(&text));
    buf_clear(&text);
    return done.p ? header_decode(done, a) : BYTES("");
}

/* In pieces before in one, extended before plain: who sends both sends the plain one for old readers (RFC 6266 4.3). */
struct bytes header_parameter(struct bytes value, const char *name, struct arena *a)
{
    struct search s = { .name = bytes_of(name) };
    struct bytes out = NO_BYTES;
    struct piece *pieces = NULL;
    size_t n = 0;

    buf_init(&s.pieces, PIECES_MAX * sizeof *pieces);
    gather(&s, bytes_head(value, (size_t)PARAM_INT(message, header_value_max)));
    pieces = (void *)s.pieces.p;
    n = s.pieces.n / sizeof *pieces;
    if (n > 1)
        qsort(pieces, n, sizeof *pieces, by_number);
    if (n && pieces[0].number == 0)
        out = join(pieces, n, a);
    else if (s.extended.p)
        out = join(&(struct piece){ .value = s.extended, .extended = true }, 1, a);
    else if (s.plain.p)
        out = plain_value(s.plain, a);
    buf_clear(&s.pieces);
    return out;
}
