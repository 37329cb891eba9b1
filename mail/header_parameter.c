/* mail/header_parameter.c - parameters of Content-Type and the like (RFC 2045 5.1, RFC 2231).
 *
 * A parameter may come in pieces, in any order (RFC 2231 3): they are gathered in one pass and sorted, so that ten
 * thousand of them cost no more than their length. What opens and is never closed is looked for once (struct open), for
 * the same reason. Forms that no RFC has but programs write are read as those programs mean them. */
#include "mail/address_form.h"
#include "mail/chars.h"
#include "mail/charset.h"
#include "mail/header.h"

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

/* Lengths of what opens at the front; 0 when nothing closes it. */
static size_t comment_length(struct bytes in)
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
    return 0;
}

static size_t quoted_length(struct bytes in)
{
    for (size_t i = 1; i < in.n; i++) {
        if (in.p[i] == '\\')
            i++;
        else if (in.p[i] == '"')
            return i + 1;
    }
    return 0;
}

/* What was found to stay open to the end: it is plain text from there on, and nobody looks for its end again. */
struct open {
    bool quote, comment;
};

static size_t closed_length(struct bytes in, struct open *o)
{
    bool quote = in.p[0] == '"', *open = quote ? &o->quote : &o->comment;
    size_t n = 0;

    if ((!quote && in.p[0] != '(') || *open)
        return 0;
    n = quote ? quoted_length(in) : comment_length(in);
    *open = n == 0;
    return n;
}

/* Up to the next ';' that is in no quotes and no comment. */
static struct bytes until_semicolon(struct bytes in, struct open *o)
{
    size_t i = 0;

    while (i < in.n && in.p[i] != ';') {
        bool starts_word = i == 0 || char_is_blank(in.p[i - 1]) || in.p[i - 1] == '=';
        size_t closed = starts_word ? closed_length(bytes_from(in, i), o) : 0;

        i += closed ? closed : 1;
    }
    return bytes_head(in, i);
}

static size_t skip_blanks(struct bytes in)
{
    size_t n = 0;

    while (n < in.n && char_is_blank(in.p[n]))
        n++;
    return n;
}

/* Blanks stand around the '/' of a type at most (RFC 2045 5.1, RFC 5322 4.5): behind others begins what should have a
 * semicolon before it ("text/plain charset=utf-8"). */
static bool ends_token(char last, struct bytes in)
{
    return last && last != '/' && in.n && in.p[0] != '/' && in.p[0] != '(';
}

struct bytes header_token(struct bytes value, struct arena *a)
{
    struct open open = { .quote = false };
    struct bytes in = until_semicolon(value, &open);
    char *p = arena_try(a, in.n + 1);
    size_t n = 0;

    if (!p)
        return BYTES("");
    while (in.n) {
        size_t blanks = skip_blanks(in);

        if (in.p[0] == '(') {
            size_t comment = comment_length(in);

            in = bytes_from(in, comment ? comment : in.n);
        } else if (blanks) {
            in = bytes_from(in, blanks);
            if (ends_token(n ? p[n - 1] : '\0', in))
                break;
        } else {
            p[n++] = char_lower(in.p[0]);
            in = bytes_from(in, 1);
        }
    }
    return (struct bytes){ p, n };
}

/* What the quotes hold. Programs that do not escape write quotes inside of them: then the last one ends it. */
static struct bytes between_quotes(struct bytes raw)
{
    size_t n = quoted_length(raw);
    struct bytes behind = bytes_trim(bytes_from(raw, n));

    if (n == 0)
        return bytes_from(raw, 1);
    if (behind.n && behind.p[0] != '(')
        n = bytes_find_last(raw, '"') + 1;
    return bytes_head(bytes_from(raw, 1), n - 2);
}

/* The text of a raw value: unquoted, or what stands before a comment. In a file name "(1)" is none, and a backslash
 * belongs to the path of a Windows program that escapes nothing. */
static void add_text(struct bytes raw, bool file, struct buf *out)
{
    raw = bytes_trim(raw);
    if (raw.n && raw.p[0] == '"') {
        raw = between_quotes(raw);
        for (size_t i = 0; i < raw.n; i++) {
            if (raw.p[i] == '\\' && i + 1 < raw.n && (!file || char_in(raw.p[i + 1], BYTES("\\\""))))
                i++;
            if (raw.p[i] != '\r' && raw.p[i] != '\n')
                buf_addc(out, raw.p[i]);
        }
        return;
    }
    for (size_t i = 0; !file && i + 1 < raw.n; i++)
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
static void piece_keep(struct search *s, struct bytes name, struct bytes value)
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

/* What stands behind the type with a blank in place of a semicolon. */
static struct bytes forgotten(struct bytes first)
{
    size_t i = skip_blanks(first);

    while (i < first.n && !char_is_blank(first.p[i]))
        i++;
    return bytes_from(first, i);
}

static void gather(struct search *s, struct bytes value)
{
    struct open open = { .quote = false };
    struct bytes first = until_semicolon(value, &open), rest = bytes_from(value, first.n + 1), name, text;

    if (bytes_cut(forgotten(first), '=', &name, &text))
        piece_keep(s, bytes_trim(name), text);
    while (rest.n) {
        struct bytes one = until_semicolon(rest, &open);

        rest = bytes_from(rest, one.n + 1);
        if (bytes_cut(one, '=', &name, &text))
            piece_keep(s, bytes_trim(name), text);
    }
}

static int by_number(const void *a, const void *b)
{
    const struct piece *x = a, *y = b;

    if (x->number != y->number)
        return x->number > y->number ? 1 : -1;
    return (x->value.p > y->value.p) - (x->value.p < y->value.p); /* the first of two counts */
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

struct joining {
    struct buf charset, text; /* text: decoded from %XX, not yet from its charset */
    size_t next;              /* number of the piece that is to come */
    bool file, extended;
};

/* Appends the decoded bytes of one piece; the first one names the charset. */
static void add_piece(struct joining *j, const struct piece *p, bool first)
{
    struct buf raw;
    struct bytes text, label = NO_BYTES;

    buf_init(&raw, p->value.n + 1);
    add_text(p->value, j->file, &raw);
    text = buf_bytes(&raw);
    if (p->extended && first) {
        text = after_charset(text, &label);
        buf_add(&j->charset, label);
    }
    if (p->extended)
        add_percent(text, &j->text);
    else
        buf_add(&j->text, text);
    j->extended |= p->extended;
    buf_clear(&raw);
}

static struct bytes decoded(struct bytes text, struct mail_limits limits, struct arena *a)
{
    struct bytes copy = address_copy(a, text);

    return copy.p ? header_decode(copy, limits, a) : BYTES("");
}

static struct bytes converted(const struct joining *j, struct arena *a)
{
    struct bytes done;
    struct buf text;

    buf_init(&text, j->text.max * 3);
    charset_decode(buf_bytes(&j->charset), buf_bytes(&j->text), &text);
    done = address_copy(a, buf_bytes(&text));
    buf_clear(&text);
    return done.p ? done : BYTES("");
}

/* Pieces without an asterisk may be those of an encoded word that was too long. */
static struct bytes join(const struct piece *pieces, size_t n, bool file, struct mail_limits limits, struct arena *a)
{
    struct joining j = { .file = file, .next = pieces[0].number };
    struct bytes done;

    buf_init(&j.charset, CHARSET_LABEL_MAX);
    buf_init(&j.text, limits.header_value);
    for (size_t i = 0; i < n; i++)
        if (pieces[i].number == j.next) {
            add_piece(&j, &pieces[i], i == 0);
            j.next++;
        }
    done = j.extended ? converted(&j, a) : decoded(buf_bytes(&j.text), limits, a);
    buf_clear(&j.charset);
    buf_clear(&j.text);
    return done;
}

static struct bytes plain_value(struct bytes raw, bool file, struct mail_limits limits, struct arena *a)
{
    struct buf text;
    struct bytes done;

    buf_init(&text, raw.n + 1);
    add_text(raw, file, &text);
    done = decoded(buf_bytes(&text), limits, a);
    buf_clear(&text);
    return done;
}

/* In pieces before in one, extended before plain: who sends both sends the plain one for old readers (RFC 6266 4.3). */
struct bytes header_parameter(struct bytes value, const char *name, struct mail_limits limits, struct arena *a)
{
    struct search s = { .name = bytes_of(name) };
    struct bytes out = NO_BYTES;
    struct piece *pieces = NULL;
    bool file = bytes_ends(s.name, BYTES("name"));
    size_t n = 0;

    buf_init(&s.pieces, PIECES_MAX * sizeof *pieces);
    gather(&s, bytes_head(value, limits.header_value));
    pieces = (void *)s.pieces.p;
    n = s.pieces.n / sizeof *pieces;
    if (n > 1)
        qsort(pieces, n, sizeof *pieces, by_number);
    if (n && pieces[0].number <= 1) /* some count from one */
        out = join(pieces, n, file, limits, a);
    else if (s.extended.p)
        out = join(&(struct piece){ .value = s.extended, .extended = true }, 1, file, limits, a);
    else if (s.plain.p)
        out = plain_value(s.plain, file, limits, a);
    buf_clear(&s.pieces);
    return out;
}
