/* mail/template/template_expression.c - what stands in a tag: names, texts, numbers, helpers with arguments.
 *
 * Recursive descent over one tag, as deep as brackets may be. One name alone is always a variable; with anything behind
 * it, it is a helper, and one that we do not know is a fault now and not when the mail is to be sent. Handlebars'
 * grammar, but for what runs code (decorators, raw blocks) or has no data here. */
#include "mail/chars.h"
#include "mail/template/template_private.h"
#include <assert.h>
#include <string.h>

enum { PARTS_MAX = 32, ARGS_MAX = 32, NAMED_MAX = 16, SHOWN = 40 };

struct reader {
    struct compiling *c;
    struct bytes text;
    size_t at, i; /* of text in the source; in text */
    unsigned depth;
};

static bool fault(const struct reader *r, size_t i, const char *message)
{
    struct bytes rest = bytes_head(bytes_from(r->text, i), SHOWN);

    return template_fault_at(r->c->t, r->at + i, r->c->fault, "%s: %.*s", message, SHOW(rest));
}

static char peek(const struct reader *r)
{
    return r->i < r->text.n ? r->text.p[r->i] : '\0';
}

static void blanks(struct reader *r)
{
    while (r->i < r->text.n && char_is_blank(r->text.p[r->i]))
        r->i++;
}

static bool is_name_char(char c) /* ID of Handlebars' lexer */
{
    return char_is_alnum(c) || char_is_8bit(c) || char_in(c, BYTES("$-:?_"));
}

/* What may stand behind a number or true. */
static bool word_ends(const struct reader *r, size_t i)
{
    return i >= r->text.n || char_is_blank(r->text.p[i]) || char_in(r->text.p[i], BYTES(")]}~|"));
}

static struct expression *expression_new(const struct reader *r, enum expression_kind kind, size_t i)
{
    struct expression *e = arena_alloc(r->c->t->arena, sizeof *e);

    e->kind = kind;
    e->at = r->at + i;
    return e;
}

/* One part of a path: a name or [anything]; NO_BYTES when there is none. */
static struct bytes read_part(struct reader *r, bool *literal)
{
    size_t from = r->i;
    struct bytes rest = bytes_from(r->text, r->i), part;

    *literal = peek(r) == '[';
    if (*literal) {
        size_t n = bytes_find(rest, ']');

        if (n == rest.n)
            return NO_BYTES;
        r->i += n + 1;
        return (struct bytes){ rest.p + 1, n - 1 };
    }
    if (bytes_starts(rest, BYTES("..")))
        r->i += 2;
    else if (peek(r) == '.')
        r->i++;
    else
        while (is_name_char(peek(r)))
            r->i++;
    part = (struct bytes){ r->text.p + from, r->i - from };
    return part.n ? part : NO_BYTES;
}

static bool is_special(struct bytes part)
{
    return bytes_equal(part, BYTES("..")) || bytes_equal(part, BYTES(".")) || bytes_equal(part, BYTES("this"));
}

/* Adds a part; "this", "." and ".." only in front. */
static bool add_part(struct reader *r, struct expression *e, struct bytes part, bool literal, struct bytes *parts)
{
    if (!part.p)
        return fault(r, r->i, "a name was expected");
    if (!literal && is_special(part)) {
        if (e->n_parts)
            return fault(r, r->i - part.n, "this and .. may only begin a path");
        e->scoped = true;
        e->up += part.n == 2;
        return true;
    }
    if (e->n_parts == PARTS_MAX)
        return fault(r, r->i, "the path has too many parts");
    parts[e->n_parts++] = arena_copy(r->c->t->arena, part);
    return true;
}

static struct bytes *parts_copy(struct arena *a, const struct bytes *parts, size_t n)
{
    struct bytes *copy = arena_array(a, n + 1, sizeof *copy);

    memcpy(copy, parts, n * sizeof *parts);
    return copy;
}

static bool path_goes_on(const struct reader *r)
{
    return (peek(r) == '/' || peek(r) == '.') && r->i + 1 < r->text.n && !word_ends(r, r->i + 1);
}

static bool read_path(struct reader *r, struct expression **out)
{
    struct bytes parts[PARTS_MAX];
    size_t from = r->i;
    struct expression *e = expression_new(r, EXPRESSION_PATH, from);
    bool literal = false;

    if (peek(r) == '@') {
        e->data = true;
        r->i++;
    }
    for (;;) {
        struct bytes part = read_part(r, &literal);

        if (!add_part(r, e, part, literal, parts))
            return false;
        if (!path_goes_on(r))
            break;
        r->i++;
    }
    if (peek(r) == '/' || peek(r) == '.')
        return fault(r, r->i, "a name was expected");
    e->text = (struct bytes){ r->text.p + from, r->i - from };
    e->parts = parts_copy(r->c->t->arena, parts, e->n_parts);
    *out = e;
    return true;
}

static bool read_text(struct reader *r, struct expression **out)
{
    char quote = peek(r);
    size_t from = r->i++, n = 0;
    char *copy = arena_alloc(r->c->t->arena, r->text.n - from + 1);

    for (; r->i < r->text.n && r->text.p[r->i] != quote; r->i++) {
        if (r->text.p[r->i] == '\\' && r->i + 1 < r->text.n && r->text.p[r->i + 1] == quote)
            r->i++;
        copy[n++] = r->text.p[r->i];
    }
    if (r->i == r->text.n)
        return fault(r, from, "this text has no end");
    r->i++;
    *out = expression_new(r, EXPRESSION_LITERAL, from);
    (*out)->literal = datum_text((struct bytes){ copy, n });
    return true;
}

/* -?digits(.digits)? with an end behind it; false when it is none (a name may begin with a digit). */
static bool read_number(struct reader *r, struct expression **out)
{
    size_t i = r->i + (peek(r) == '-'), digits = i;
    char copy[64];
    struct bytes text;
    int64_t whole = 0;

    while (i < r->text.n && char_is_digit(r->text.p[i]))
        i++;
    if (i == digits)
        return false;
    if (i + 1 < r->text.n && r->text.p[i] == '.' && char_is_digit(r->text.p[i + 1]))
        for (i++; i < r->text.n && char_is_digit(r->text.p[i]);)
            i++;
    text = (struct bytes){ r->text.p + r->i, i - r->i };
    if (!word_ends(r, i) || text.n >= sizeof copy)
        return false;
    *out = expression_new(r, EXPRESSION_LITERAL, r->i);
    memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    (*out)->literal = bytes_to_int(text, &whole) ? datum_int(whole) : datum_number(strtod(copy, NULL));
    (*out)->text = text;
    r->i = i;
    return true;
}

static bool read_word(struct reader *r, struct expression **out)
{
    static const struct {
        struct bytes word;
        struct datum value;
    } words[] = {
        { BYTES_ROW("true"), { .kind = DATUM_BOOL, .flag = true } },
        { BYTES_ROW("false"), { .kind = DATUM_BOOL } },
        { BYTES_ROW("null"), { .kind = DATUM_NULL } },
        { BYTES_ROW("undefined"), { .kind = DATUM_MISSING } },
    };
    struct bytes rest = bytes_from(r->text, r->i);

    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (!bytes_starts(rest, words[i].word) || !word_ends(r, r->i + words[i].word.n))
            continue;
        *out = expression_new(r, EXPRESSION_LITERAL, r->i);
        (*out)->literal = words[i].value;
        (*out)->text = words[i].word;
        r->i += words[i].word.n;
        return true;
    }
    return false;
}

static bool read_call(struct reader *r, bool block, struct expression **out);

static bool read_brackets(struct reader *r, struct expression **out)
{
    size_t from = r->i++;

    if (++r->depth > r->c->limits->depth)
        return fault(r, from, "brackets are too deep");
    if (!read_call(r, false, out))
        return false;
    if (peek(r) != ')')
        return fault(r, from, "this bracket has no end");
    r->i++;
    r->depth--;
    if ((*out)->kind == EXPRESSION_CALL)
        return true;
    return fault(r, from + 1, "no helper of this name");
}

static bool read_value(struct reader *r, struct expression **out)
{
    char c = peek(r);

    if (c == '(')
        return read_brackets(r, out);
    if (c == '"' || c == '\'')
        return read_text(r, out);
    if (read_number(r, out) || read_word(r, out))
        return true;
    if (!read_path(r, out))
        return false;
    template_name_note(r->c, *out);
    return true;
}

/* "key=" ahead; its length with the sign, 0 when it is another thing. */
static size_t named_ahead(const struct reader *r)
{
    size_t i = r->i;

    while (i < r->text.n && is_name_char(r->text.p[i]))
        i++;
    return i > r->i && i < r->text.n && r->text.p[i] == '=' ? i + 1 - r->i : 0;
}

static bool read_named(struct reader *r, size_t n, struct named ***last)
{
    struct named *named = arena_alloc(r->c->t->arena, sizeof *named);

    named->name = arena_copy(r->c->t->arena, (struct bytes){ r->text.p + r->i, n - 1 });
    r->i += n;
    blanks(r);
    if (!read_value(r, &named->value))
        return false;
    **last = named;
    *last = &named->next;
    return true;
}

/* "as |x y|" */
static bool read_params(struct reader *r, struct expression *e)
{
    struct bytes rest = bytes_from(r->text, r->i), inside;
    size_t open = bytes_find(rest, '|'), close;

    inside = bytes_from(rest, open + 1);
    close = bytes_find(inside, '|');
    if (open == rest.n || close == inside.n || bytes_trim(bytes_from(inside, close + 1)).n)
        return fault(r, r->i, "names of a block are given as in: as |item index|");
    inside = bytes_trim(bytes_head(inside, close));
    for (size_t i = 0; i < 2 && inside.n; i++) {
        size_t n = 0;

        while (n < inside.n && !char_is_blank(inside.p[n]))
            n++;
        e->params[i] = arena_copy(r->c->t->arena, bytes_head(inside, n));
        inside = bytes_trim(bytes_from(inside, n));
    }
    if (inside.n)
        return fault(r, r->i, "a block has at most two names");
    r->i = r->text.n;
    return true;
}

static bool params_ahead(const struct reader *r)
{
    struct bytes rest = bytes_from(r->text, r->i);

    return bytes_starts(rest, BYTES("as")) && rest.n > 2 && char_is_blank(rest.p[2]) &&
           bytes_starts(bytes_trim(bytes_from(rest, 2)), BYTES("|"));
}

static bool read_arguments(struct reader *r, bool block, struct expression *call)
{
    struct expression *args[ARGS_MAX];
    struct named **last = &call->named;
    unsigned n_named = 0;

    for (blanks(r); r->i < r->text.n && peek(r) != ')'; blanks(r)) {
        size_t n = named_ahead(r);

        if (block && params_ahead(r)) {
            if (!read_params(r, call))
                return false;
        } else if (n) {
            if (++n_named > NAMED_MAX)
                return fault(r, r->i, "there are too many arguments");
            if (!read_named(r, n, &last))
                return false;
        } else if (call->named || call->n_args == ARGS_MAX) {
            return fault(r, r->i, call->named ? "arguments stand before key=value" : "there are too many arguments");
        } else if (!read_value(r, &args[call->n_args])) {
            return false;
        } else {
            call->n_args++;
        }
    }
    call->args = arena_array(r->c->t->arena, call->n_args + 1, sizeof(void *));
    memcpy(call->args, args, call->n_args * sizeof *args);
    return true;
}

/* A literal in the place of a name is one: {{"a b"}}, {{12}}. */
static void literal_to_path(struct reader *r, struct expression *e)
{
    struct bytes name = e->literal.kind == DATUM_TEXT ? e->literal.text : e->text;

    e->kind = EXPRESSION_PATH;
    e->text = name;
    e->n_parts = 1;
    e->parts = arena_array(r->c->t->arena, 1, sizeof *e->parts);
    e->parts[0] = arena_copy(r->c->t->arena, name);
    template_name_note(r->c, e);
}

static bool check_helper(struct reader *r, struct expression *name, struct expression *call)
{
    bool plain = name->kind == EXPRESSION_PATH && name->n_parts == 1 && !name->scoped && !name->data;

    call->helper = plain ? helper_find(name->parts[0], r->c->sendgrid) : NULL;
    if (!call->helper)
        return template_fault_at(r->c->t, name->at, r->c->fault, "no helper is called %.*s",
                                 SHOW(bytes_head(name->text, SHOWN)));
    if (call->n_args < call->helper->least || call->n_args > call->helper->most)
        return template_fault_at(r->c->t, name->at, r->c->fault, "%s takes %u to %u arguments, not %u",
                                 call->helper->name, call->helper->least, call->helper->most, call->n_args);
    return true;
}

/* What a tag begins with: a name, or a literal in its place. */
static bool read_name(struct reader *r, struct expression **out)
{
    if (char_in(peek(r), BYTES("(\"'")))
        return read_value(r, out);
    return read_number(r, out) || read_word(r, out) || read_path(r, out);
}

static bool is_block_word(struct bytes name)
{
    return bytes_equal(name, BYTES("if")) || bytes_equal(name, BYTES("unless")) || bytes_equal(name, BYTES("each")) ||
           bytes_equal(name, BYTES("with"));
}

/* One name alone: a variable. */
static void name_alone(struct reader *r, struct expression *name, const struct expression *call)
{
    if (name->kind == EXPRESSION_LITERAL)
        literal_to_path(r, name);
    else if (name->kind == EXPRESSION_PATH)
        template_name_note(r->c, name);
    name->params[0] = call->params[0];
    name->params[1] = call->params[1];
}

/* "name", or "name arguments"; *out is then a call. Blocks of the language (if, each …) are calls without a helper. */
static bool read_call(struct reader *r, bool block, struct expression **out)
{
    struct expression *name = NULL, *call = expression_new(r, EXPRESSION_CALL, r->i);

    blanks(r);
    if (r->i == r->text.n)
        return fault(r, 0, "a name was expected");
    if (!read_name(r, &name))
        return false;
    assert(name);
    call->text = name->text;
    if (!read_arguments(r, block, call))
        return false;
    *out = call;
    if (block && is_block_word(name->text))
        return true;
    if (call->n_args || call->named)
        return check_helper(r, name, call);
    name_alone(r, name, call);
    *out = name;
    return true;
}

static bool at_end(struct reader *r)
{
    blanks(r);
    return r->i == r->text.n || fault(r, r->i, "this was not expected");
}

bool template_expression(struct compiling *c, struct bytes text, size_t at, bool block, struct expression **out)
{
    struct reader r = { .c = c, .text = text, .at = at };

    if (c->t->dialect->expressions)
        return read_call(&r, block, out) && at_end(&r);
    if (text.n == 0)
        return fault(&r, 0, "a name was expected");
    if (!read_path(&r, out) || !at_end(&r))
        return false;
    template_name_note(c, *out);
    return true;
}

bool template_partial_arguments(struct compiling *c, struct bytes text, size_t at, struct op *op)
{
    struct reader r = { .c = c, .text = text, .at = at };
    struct expression *call = expression_new(&r, EXPRESSION_CALL, 0);

    if (!read_arguments(&r, false, call) || !at_end(&r))
        return false;
    if (call->n_args > 1)
        return fault(&r, 0, "a partial takes one context");
    op->expression = call->n_args ? call->args[0] : NULL;
    op->named = call->named;
    return true;
}

bool template_mustache_path(struct compiling *c, struct bytes text, size_t at, struct expression **out)
{
    struct reader r = { .c = c, .text = text, .at = at };
    struct expression *e = expression_new(&r, EXPRESSION_PATH, 0);
    struct bytes head, rest = text, parts[PARTS_MAX];

    for (size_t i = 0; i < text.n; i++)
        if (char_is_blank(text.p[i]))
            return fault(&r, i, "names have no blanks");
    e->text = text;
    *out = e;
    if (bytes_equal(text, BYTES("."))) {
        e->scoped = true;
        template_name_note(c, e);
        return true;
    }
    do {
        bytes_cut(rest, '.', &head, &rest);
        if (head.n == 0 || e->n_parts == PARTS_MAX)
            return fault(&r, 0, "a name was expected");
        parts[e->n_parts++] = arena_copy(c->t->arena, head);
    } while (rest.p);
    e->parts = parts_copy(c->t->arena, parts, e->n_parts);
    template_name_note(c, e);
    return true;
}
