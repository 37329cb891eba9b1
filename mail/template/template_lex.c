/* mail/template/template_lex.c - a text cut into tags and what stands between them.
 *
 * A tag ends at the closing sign, in dialects with quoted texts the first that is not in one. Nothing is read of what
 * is in it but the sign in front, so that each dialect's reader sees the whole tag. Every step goes forward; an open
 * tag without an end is a fault where it begins. */
#include "mail/chars.h"
#include "mail/template/template_private.h"
#include <string.h>

struct lexer {
    struct compiling *c;
    const struct dialect *d;
    struct bytes source, open, close;
    size_t i;
};

static size_t find(struct bytes in, struct bytes what)
{
    const char *p = what.n <= in.n ? memmem(in.p, in.n, what.p, what.n) : NULL;

    return p ? (size_t)(p - in.p) : in.n;
}

static struct bytes part(const struct lexer *l, size_t from, size_t to)
{
    return (struct bytes){ l->source.p + from, to - from };
}

static struct token *add(struct lexer *l, enum token_kind kind, struct bytes text, size_t at)
{
    struct tokens *k = &l->c->tokens;

    if (k->n == k->room) {
        k->room = k->room ? 2 * k->room : 64;
        k->list = arena_more(l->c->scratch, k->list, k->n, k->room, sizeof *k->list);
    }
    k->list[k->n] = (struct token){ .kind = kind, .text = text, .was = text, .at = at };
    return &k->list[k->n++];
}

static void add_text(struct lexer *l, size_t from, size_t to)
{
    if (to > from)
        add(l, TOKEN_TEXT, part(l, from, to), from);
}

/* Where a quoted text or a [name] that begins at i ends; its last byte, or the end of the source. */
static size_t skip_quoted(const struct lexer *l, size_t i)
{
    char close = l->source.p[i] == '[' ? ']' : l->source.p[i];

    for (i++; i < l->source.n && l->source.p[i] != close; i++)
        if (l->source.p[i] == '\\' && i + 1 < l->source.n)
            i++;
    return i;
}

/* The closing sign of the tag whose inside begins at i. */
static size_t tag_close(const struct lexer *l, size_t i, struct bytes close)
{
    if (!l->d->expressions)
        return i + find(bytes_from(l->source, i), close);
    for (; i < l->source.n; i++) {
        if (bytes_starts(bytes_from(l->source, i), close))
            return i;
        if (char_in(l->source.p[i], BYTES("\"'[")))
            i = skip_quoted(l, i);
    }
    return l->source.n;
}

static bool not_closed(struct lexer *l, size_t at)
{
    return template_fault_at(l->c->t, at, l->c->fault, "this tag has no end");
}

/* Behind the dashes of --}} or --~}}; the end of the source when there are none. */
static size_t dashes_close(const struct lexer *l)
{
    for (size_t i = l->i; i < l->source.n; i++) {
        i += find(bytes_from(l->source, i), BYTES("--"));
        if (bytes_starts(bytes_from(l->source, i + 2), BYTES("}}")) ||
            bytes_starts(bytes_from(l->source, i + 2), BYTES("~}}")))
            return i + 2;
    }
    return l->source.n;
}

/* {{! up to the closing sign, {{!-- up to --}}; l->i stands behind the "!". */
static bool lex_comment(struct lexer *l, size_t at, bool strip)
{
    bool dashes = l->d->expressions && bytes_starts(bytes_from(l->source, l->i), BYTES("--"));
    size_t end = dashes ? dashes_close(l) : l->i + find(bytes_from(l->source, l->i), l->close);
    struct token *t;

    if (end >= l->source.n)
        return template_fault_at(l->c->t, at, l->c->fault, "this comment has no end");
    t = add(l, TOKEN_NOTHING, NO_BYTES, at);
    t->strip_before = strip;
    t->strip_after = l->d->expressions && (l->source.p[end] == '~' || (!dashes && l->source.p[end - 1] == '~'));
    l->i = end + (l->source.p[end] == '~' ? 1 : 0) + l->close.n;
    return true;
}

/* {{=<% %>=}} */
static bool lex_delimiters(struct lexer *l, size_t at)
{
    size_t end = l->i + find(bytes_from(l->source, l->i), BYTES("="));
    struct bytes inside = bytes_trim(part(l, l->i, end)), close = NO_BYTES;
    size_t blank = 0;

    while (blank < inside.n && !char_is_blank(inside.p[blank]))
        blank++;
    close = bytes_trim(bytes_from(inside, blank));
    if (blank == 0 || close.n == 0 || !bytes_starts(bytes_from(l->source, end + 1), l->close))
        return template_fault_at(l->c->t, at, l->c->fault, "delimiters are set as in {{=<%% %%>=}}");
    for (size_t i = 0; i < close.n; i++)
        if (char_is_blank(close.p[i]))
            return template_fault_at(l->c->t, at, l->c->fault, "a delimiter has no blanks");
    add(l, TOKEN_NOTHING, NO_BYTES, at);
    l->i = end + 1 + l->close.n;
    l->open = bytes_head(inside, blank);
    l->close = close;
    return true;
}

static bool is_else(struct bytes inside)
{
    struct bytes rest = bytes_from(inside, 4);

    return bytes_starts(inside, BYTES("else")) && (rest.n == 0 || char_is_blank(rest.p[0]));
}

/* What the sign in front says; it is cut off. */
static enum token_kind kind_of(const struct lexer *l, struct bytes *inside)
{
    static const struct {
        char sign;
        enum token_kind kind;
        bool mustache;
    } signs[] = {
        { '#', TOKEN_OPEN, false },    { '^', TOKEN_INVERTED, false }, { '/', TOKEN_END, false },
        { '>', TOKEN_PARTIAL, false }, { '&', TOKEN_RAW, false },      { '<', TOKEN_PARENT, true },
        { '$', TOKEN_BLOCK, true },
    };

    for (size_t i = 0; inside->n && i < sizeof signs / sizeof *signs; i++) {
        if (inside->p[0] != signs[i].sign || (signs[i].mustache && !l->d->mustache))
            continue;
        *inside = bytes_trim(bytes_from(*inside, 1));
        return signs[i].kind == TOKEN_INVERTED && inside->n == 0 && !l->d->mustache ? TOKEN_ELSE : signs[i].kind;
    }
    if (l->d->expressions && is_else(*inside)) {
        *inside = bytes_trim(bytes_from(*inside, 4));
        return TOKEN_ELSE;
    }
    return TOKEN_VALUE;
}

/* {{{x}}}; l->i stands behind the third brace. */
static bool lex_triple(struct lexer *l, size_t at, bool strip)
{
    size_t end = tag_close(l, l->i, BYTES("}")), from = l->i;
    bool strip_after;
    struct token *t;

    if (end >= l->source.n)
        return not_closed(l, at);
    strip_after = l->d->expressions && end + 1 < l->source.n && l->source.p[end + 1] == '~';
    l->i = end + 1 + (strip_after ? 1 : 0);
    if (!bytes_starts(bytes_from(l->source, l->i), BYTES("}}")))
        return template_fault_at(l->c->t, at, l->c->fault, "three braces are closed by three");
    t = add(l, TOKEN_RAW, bytes_trim(part(l, from, end)), at);
    t->strip_before = strip;
    t->strip_after = strip_after;
    l->i += 2;
    return true;
}

/* Behind the {{{{/name}}}} that ends a raw block whose text begins at i; those within it have theirs. *text: up to it.
 */
static bool raw_close(const struct lexer *l, size_t i, struct bytes name, struct bytes *text, size_t *end)
{
    size_t from = i, depth = 0;

    for (;; i++) {
        struct bytes rest;

        i += find(bytes_from(l->source, i), BYTES("{{{{"));
        rest = bytes_from(l->source, i + 4);
        if (rest.n == 0)
            return false;
        if (rest.p[0] != '/') {
            depth++;
            i += 3;
        } else if (depth) {
            depth--;
        } else {
            struct bytes closed = bytes_head(bytes_from(rest, 1), find(bytes_from(rest, 1), BYTES("}}}}")));

            *text = part(l, from, i);
            *end = i + 5 + closed.n + 4;
            return *end <= l->source.n && bytes_equal(bytes_trim(closed), name);
        }
    }
}

/* {{{{raw}}}} text {{{{/raw}}}}: in Handlebars a block of a helper that is its author's; of ours there is this one,
 * which prints the text as it stands. l->i stands behind two braces. */
static bool lex_raw_block(struct lexer *l, size_t at)
{
    size_t from = l->i + 2, close = from + find(bytes_from(l->source, from), BYTES("}}}}")), end = 0;
    struct bytes name = bytes_trim(part(l, from, close)), text = NO_BYTES;

    if (close >= l->source.n)
        return not_closed(l, at);
    if (!bytes_equal(name, BYTES("raw")))
        return template_fault_at(l->c->t, at, l->c->fault, "no helper is called %.*s: a raw block is {{{{raw}}}}",
                                 SHOW(bytes_head(name, 40)));
    if (!raw_close(l, close + 4, name, &text, &end))
        return template_fault_at(l->c->t, at, l->c->fault, "this raw block has no end");
    add(l, TOKEN_NOTHING, NO_BYTES, at);
    add_text(l, close + 4, close + 4 + text.n);
    add(l, TOKEN_NOTHING, NO_BYTES, close + 4 + text.n);
    l->i = end;
    return true;
}

static bool lex_named(struct lexer *l, size_t at, bool strip)
{
    size_t end = tag_close(l, l->i, l->close);
    struct bytes inside = part(l, l->i, end);
    bool strip_after = l->d->expressions && bytes_ends(inside, BYTES("~"));
    enum token_kind kind;
    struct token *t;

    if (end >= l->source.n)
        return not_closed(l, at);
    inside = bytes_trim(bytes_head(inside, inside.n - (strip_after ? 1 : 0)));
    kind = kind_of(l, &inside);
    t = add(l, kind, inside, at);
    t->strip_before = strip;
    t->strip_after = strip_after;
    l->i = end + l->close.n;
    return true;
}

static bool lex_tag(struct lexer *l)
{
    size_t at = l->i;
    bool strip = false;
    char sign;

    l->i += l->open.n;
    if (l->d->expressions && l->i < l->source.n && l->source.p[l->i] == '~') {
        strip = true;
        l->i++;
    }
    sign = l->i < l->source.n ? l->source.p[l->i] : '\0';
    if (l->d->expressions && !strip && bytes_starts(bytes_from(l->source, l->i), BYTES("{{")))
        return lex_raw_block(l, at);
    if (sign == '{' && bytes_equal(l->open, BYTES("{{"))) {
        l->i++;
        return lex_triple(l, at, strip);
    }
    if (sign == '!' || (sign == '=' && l->d->mustache)) {
        l->i++;
        return sign == '!' ? lex_comment(l, at, strip) : lex_delimiters(l, at);
    }
    return lex_named(l, at, strip);
}

/* \{{ is text up to the next tag, \\{{ a backslash and a tag. True when it was text. */
static bool lex_escaped(struct lexer *l, size_t from, size_t at)
{
    bool twice = at >= from + 2 && l->source.p[at - 2] == '\\';
    size_t end;

    add_text(l, from, at - 1);
    if (twice) {
        l->i = at;
        return false;
    }
    end = at + 2;
    end += find(bytes_from(l->source, end), BYTES("{{"));
    while (end < l->source.n && end > at + 2 && l->source.p[end - 1] == '\\')
        end--;
    add_text(l, at, end);
    l->i = end;
    return true;
}

/* Blocks within each other, before anybody walks them. */
static bool check_depth(struct compiling *c)
{
    unsigned depth = 0;

    for (size_t i = 0; i < c->tokens.n; i++) {
        const struct token *t = &c->tokens.list[i];

        if (token_opens(t->kind))
            depth++;
        else if (t->kind == TOKEN_END && depth > 0)
            depth--;
        if (depth > c->limits->depth)
            return template_fault_at(c->t, t->at, c->fault, "blocks are more than %u deep", c->limits->depth);
    }
    return true;
}

bool template_lex(struct compiling *c)
{
    struct lexer l = { .c = c, .d = c->t->dialect, .source = c->t->source, .open = BYTES("{{"), .close = BYTES("}}") };

    size_t tags = 0;

    while (l.i < l.source.n) {
        size_t at = l.i + find(bytes_from(l.source, l.i), l.open);
        bool escaped = l.d->expressions && at < l.source.n && at > l.i && l.source.p[at - 1] == '\\';

        if (escaped && lex_escaped(&l, l.i, at))
            continue;
        if (!escaped)
            add_text(&l, l.i, at);
        l.i = at;
        if (at < l.source.n && !lex_tag(&l))
            return false;
        if (at < l.source.n && ++tags > c->limits->tags)
            return template_fault_at(c->t, at, c->fault, "the template has more than %zu tags", c->limits->tags);
    }
    return check_depth(c);
}
