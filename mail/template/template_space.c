/* mail/template/template_space.c - white space that tags take with them.
 *
 * A tag that prints nothing and stands alone on its line goes with the whole line (mustache(5), "standalone tags"; the
 * same rule as WhitespaceControl of Handlebars, said by lines): blanks before it, and blanks and the line's end behind.
 * What is asked is the text as it was written, so that neighbours do not depend on each other. `~` takes all white
 * space up to the next tag. For blocks of mustache's inheritance, the indentation that their text was written with is
 * taken from each line, and the one of the place where they are put is remembered. */
#include "mail/chars.h"
#include "mail/template/template_private.h"
#include <string.h>

static bool is_space(char c)
{
    return char_is_blank(c) || c == '\v' || c == '\f';
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Only blanks since its last line end, or since its start when `first` (nothing stands before it). */
static bool ends_line(struct bytes text, bool first)
{
    size_t n = text.n;

    while (n && is_space(text.p[n - 1])) {
        if (text.p[n - 1] == '\n')
            return true;
        n--;
    }
    return n == 0 && first;
}

static bool begins_line(struct bytes text, bool last)
{
    size_t i = 0;

    while (i < text.n && is_space(text.p[i])) {
        if (text.p[i] == '\n')
            return true;
        i++;
    }
    return i == text.n && last;
}

static struct bytes blanks_behind(struct bytes text)
{
    size_t n = text.n;

    while (n && is_blank(text.p[n - 1]))
        n--;
    return bytes_from(text, n);
}

static struct bytes blanks_before(struct bytes text)
{
    size_t n = 0;

    while (n < text.n && is_blank(text.p[n]))
        n++;
    return bytes_head(text, n);
}

static bool may_stand_alone(const struct token *t)
{
    return t->kind != TOKEN_TEXT && t->kind != TOKEN_VALUE && t->kind != TOKEN_RAW;
}

/* The last tag of what is one thing for its line: {{<parent}} … {{/parent}}. */
static size_t region_end(const struct tokens *k, size_t i)
{
    size_t depth = 0;

    if (k->list[i].kind != TOKEN_PARENT)
        return i;
    for (size_t j = i; j < k->n; j++) {
        enum token_kind kind = k->list[j].kind;

        if (token_opens(kind))
            depth++;
        if (kind == TOKEN_END && --depth == 0)
            return j;
    }
    return i;
}

static struct token *text_at(const struct tokens *k, size_t i)
{
    return i < k->n && k->list[i].kind == TOKEN_TEXT ? &k->list[i] : NULL;
}

static void take_blanks_behind(struct token *text)
{
    text->text.n -= blanks_behind(text->text).n;
}

static void take_line_before(struct token *text) /* blanks and one line end at its start, once */
{
    struct bytes b = bytes_from(text->text, blanks_before(text->text).n);

    if (text->line_taken)
        return;
    text->line_taken = true;
    if (bytes_starts(b, BYTES("\r\n")))
        b = bytes_from(b, 2);
    else if (b.n && b.p[0] == '\n')
        b = bytes_from(b, 1);
    text->text = b;
}

/* The tags from i to `last` on a line of their own. */
static void stand_alone(struct tokens *k, size_t i, size_t last)
{
    struct token *before = i ? text_at(k, i - 1) : NULL, *after = text_at(k, last + 1);
    bool starts = before ? ends_line(before->was, i == 1) : i == 0;
    bool ends = after ? begins_line(after->was, last + 2 == k->n) : last + 1 == k->n;

    if (!starts || !ends)
        return;
    k->list[i].alone = true;
    if (before) {
        k->list[i].indent = blanks_behind(before->was);
        take_blanks_behind(before);
    }
    if (after)
        take_line_before(after);
}

static void strip(struct tokens *k, size_t i)
{
    struct token *before = i ? text_at(k, i - 1) : NULL, *after = text_at(k, i + 1);

    while (k->list[i].strip_before && before && before->text.n && is_space(before->text.p[before->text.n - 1]))
        before->text.n--;
    while (k->list[i].strip_after && after && after->text.n && is_space(after->text.p[0])) {
        after->text = bytes_from(after->text, 1);
        after->line_taken = true;
    }
}

/* Takes up to `n` blanks from the start of each line of a text; the first line only when one begins there. */
static struct bytes dedent(struct arena *a, struct bytes text, size_t n, bool at_line)
{
    char *out = arena_alloc(a, text.n + 1);
    size_t filled = 0;

    for (size_t i = 0; i < text.n;) {
        size_t line = bytes_find(bytes_from(text, i), '\n') + i + 1, blanks;

        line = line > text.n ? text.n : line;
        blanks = at_line ? blanks_before(bytes_from(text, i)).n : 0;
        i += blanks < n ? blanks : n;
        memcpy(out + filled, text.p + i, line - i);
        filled += line - i;
        i = line;
        at_line = true;
    }
    return (struct bytes){ out, filled };
}

/* The text of a block that is handed to a parent: its opening tag ends the line, and its first line says the
 * indentation that all of them have. */
static void dedent_block(struct compiling *c, size_t open)
{
    struct tokens *k = &c->tokens;
    struct token *first = text_at(k, open + 1);
    size_t depth = 1, indent;

    if (!first || !begins_line(first->text, false))
        return;
    take_line_before(first);
    indent = blanks_before(first->text).n;
    for (size_t i = open + 1; i < k->n && depth; i++) {
        struct token *t = &k->list[i];

        if (t->kind == TOKEN_TEXT && indent)
            t->text = dedent(c->t->arena, t->text, indent, i == open + 1);
        if (t->kind == TOKEN_TEXT && i > open + 1)
            t->was = t->text; /* what its lines are now */
        if (token_opens(t->kind))
            depth++;
        else if (t->kind == TOKEN_END)
            depth--;
    }
}

/* All blocks that stand directly in a parent tag, from the outermost. */
static void dedent_blocks(struct compiling *c)
{
    size_t parents = 0; /* one bit a level that is open, the last one lowest: it is a parent */

    for (size_t i = 0; i < c->tokens.n; i++) {
        enum token_kind kind = c->tokens.list[i].kind;

        if (kind == TOKEN_BLOCK && parents & 1)
            dedent_block(c, i);
        if (token_opens(kind))
            parents = parents << 1 | (kind == TOKEN_PARENT);
        else if (kind == TOKEN_END)
            parents >>= 1;
    }
}

/* Where a block's text is put, its lines stand as those that it takes the place of. */
static void block_indent(struct tokens *k, size_t i)
{
    struct token *t = &k->list[i], *before = i ? text_at(k, i - 1) : NULL, *after = text_at(k, i + 1);

    if (t->alone)
        t->indent = after ? blanks_before(after->text) : NO_BYTES;
    else if (before && ends_line(before->was, i == 1))
        t->indent = blanks_behind(before->was);
}

void template_space(struct compiling *c)
{
    struct tokens *k = &c->tokens;

    if (c->t->dialect->mustache)
        dedent_blocks(c);
    for (size_t i = 0; i < k->n; i++) {
        size_t last = region_end(k, i);

        strip(k, i);
        if (may_stand_alone(&k->list[i]) && !c->t->dialect->flat)
            stand_alone(k, i, last);
        if (k->list[i].kind == TOKEN_BLOCK)
            block_indent(k, i);
    }
}
