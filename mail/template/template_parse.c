/* mail/template/template_parse.c - tokens made a program: one row after another, where the row of a block says where
 * what is behind its "else" begins and where it ends.
 *
 * Of HTML the place at the start and the end of each text is worked out along the way (place.h), as if each branch
 * began where its block did; rendering looks whether that was so. What names a template looks up is collected for
 * whoever wants to know which variables it does not use. */
#include "mail/chars.h"
#include "mail/template/template_private.h"
#include <assert.h>
#include <json-c/linkhash.h>
#include <string.h>

enum { OPEN_MAX = 128, SHOWN = 40 };

struct open {
    uint32_t op;
    struct bytes name;
    struct place place;
    bool has_else, chained, context;
};

struct parser {
    struct compiling *c;
    struct template *t;
    struct op *ops;
    uint32_t n, room;
    struct open *open; /* OPEN_MAX of them */
    unsigned depth;
    struct place place;
};

static bool fault(const struct parser *p, const struct token *t, const char *message)
{
    return template_fault_at(p->t, t->at, p->c->fault, "%s", message);
}

/* The row lives until the next one is added. */
static struct op *add(struct parser *p, enum op_kind kind, size_t at)
{
    if (p->n == p->room) {
        p->room = p->room ? 2 * p->room : 64;
        p->ops = arena_more(p->c->scratch, p->ops, p->n, p->room, sizeof *p->ops);
    }
    p->ops[p->n] = (struct op){ .kind = kind, .at = at, .other = p->n + 1, .end = p->n + 1 };
    return &p->ops[p->n++];
}

static void set_add(struct json_object *set, struct bytes name, struct arena *a)
{
    const char *key = arena_text(a, name);

    if (!json_object_object_get_ex(set, key, NULL))
        json_object_object_add(set, key, NULL);
}

/* One that is named by a block alone may lack. */
static void partial_note(struct parser *p, struct bytes name, bool may_lack)
{
    struct json_object *set = p->c->partials;
    const char *key = arena_text(p->t->arena, name);

    if (may_lack && json_object_object_get_ex(set, key, NULL))
        return;
    json_object_object_add(set, key, may_lack ? json_object_new_boolean(true) : NULL);
}

void template_name_note(struct compiling *c, const struct expression *path)
{
    bool root = path->data && path->n_parts > 0 && bytes_equal(path->parts[0], BYTES("root"));
    unsigned first = root ? 1 : 0;

    if (path->data && !root)
        return;
    if (path->n_parts > first)
        set_add(c->names, path->parts[first], c->t->arena);
    else if (root || path->up >= c->contexts)
        c->t->names_all = true;
}

static void add_text(struct parser *p, const struct token *token)
{
    struct op *op;

    if (token->text.n == 0)
        return;
    op = add(p, OP_TEXT, token->at);
    op->text = token->text;
    op->before = p->place;
    if (p->t->part == TEMPLATE_HTML)
        place_step(&p->place, token->text);
    op->after = p->place;
    p->t->static_bytes += token->text.n;
}

/* Resend knows names of letters, digits and _. */
static bool flat_name(const struct parser *p, const struct token *t)
{
    for (size_t i = 0; i < t->text.n; i++)
        if (!char_is_alnum(t->text.p[i]) && t->text.p[i] != '_')
            return fault(p, t, "a variable is {{{NAME}}}, of letters, digits and _");
    return t->text.n > 0 || fault(p, t, "a variable has a name");
}

/* What a tag means: its expression in the way of the dialect. */
static bool read_expression(struct parser *p, const struct token *t, struct bytes text, bool block,
                            struct expression **out)
{
    size_t at = (size_t)(text.p - p->t->source.p);

    if (text.n == 0)
        return fault(p, t, "this tag is empty");
    return p->t->dialect->mustache ? template_mustache_path(p->c, text, at, out)
                                   : template_expression(p->c, text, at, block, out);
}

static bool is_content(const struct parser *p, const struct token *t)
{
    return p->t->layout && t->kind == TOKEN_RAW &&
           (bytes_equal(t->text, BYTES("content")) || bytes_equal(t->text, BYTES("@content")));
}

static bool add_value(struct parser *p, const struct token *t)
{
    struct expression *e = NULL;
    struct op *op;

    if (is_content(p, t)) {
        add(p, OP_CONTENT, t->at);
        return true;
    }
    if ((p->t->dialect->flat && !flat_name(p, t)) || !read_expression(p, t, t->text, false, &e))
        return false;
    op = add(p, OP_VALUE, t->at);
    op->expression = e;
    op->raw = t->kind == TOKEN_RAW && !p->t->dialect->flat;
    if (p->t->part == TEMPLATE_HTML && !op->raw)
        place_value(&p->place, BYTES("x"));
    return true;
}

/* What an end tag repeats: the first word, which may be quoted. */
static struct bytes first_word(struct bytes text)
{
    char close = text.n && char_in(text.p[0], BYTES("\"'")) ? text.p[0] : text.n && text.p[0] == '[' ? ']' : '\0';
    size_t n = 0;

    if (close)
        return bytes_head(text, bytes_find(bytes_from(text, 1), close) + 2);
    while (n < text.n && !char_is_blank(text.p[n]))
        n++;
    return bytes_head(text, n);
}

static bool push(struct parser *p, const struct token *t, struct bytes name, bool context)
{
    if (p->depth == OPEN_MAX || p->depth >= 2 * p->c->limits->depth)
        return fault(p, t, "blocks are too deep");
    p->open[p->depth++] = (struct open){ .op = p->n - 1, .name = name, .place = p->place, .context = context };
    p->c->contexts += context;
    return true;
}

/* "a b", 'a b' and [a b] without their signs. */
static struct bytes unquoted(struct bytes name)
{
    return name.n > 1 && char_in(name.p[0], BYTES("\"'[")) ? (struct bytes){ name.p + 1, name.n - 2 } : name;
}

static bool partial_name(struct parser *p, const struct token *t, struct bytes text, struct op *op, struct bytes *rest)
{
    struct bytes name = first_word(text);

    *rest = bytes_from(text, name.n);
    name = unquoted(name);
    if (op->kind == OP_PARTIAL && p->t->dialect->expressions && bytes_equal(name, BYTES("@partial-block"))) {
        op->kind = OP_PARTIAL_GIVEN;
        op->text = name;
        return true;
    }
    if (name.n == 0 || char_in(name.p[0], BYTES("(@")))
        return fault(p, t, "a partial is named as it is");
    op->text = name;
    partial_note(p, name, op->kind == OP_PARTIAL_BLOCK);
    return true;
}

static bool partial_arguments(struct parser *p, struct bytes rest, struct op *op)
{
    rest = bytes_trim(rest);
    return template_partial_arguments(p->c, rest, (size_t)(rest.p - p->t->source.p), op);
}

/* {{#*inline "name"}} */
static bool open_inline(struct parser *p, const struct token *t, struct bytes text, struct op *op)
{
    struct bytes word = first_word(text), name = bytes_trim(bytes_from(text, word.n));

    if (!bytes_equal(word, BYTES("inline")) || name.n < 3 || !char_in(name.p[0], BYTES("\"'")) ||
        first_word(name).n != name.n)
        return fault(p, t, "of decorators there is one: {{#*inline \"name\"}}");
    op->text = unquoted(name);
    set_add(p->c->inlines, op->text, p->t->arena);
    return push(p, t, word, false);
}

/* {{#> partial context key=value}} and {{#*inline "name"}} */
static bool open_special(struct parser *p, const struct token *t, struct bytes text)
{
    bool partial = text.p[0] == '>';
    struct op *op = add(p, partial ? OP_PARTIAL_BLOCK : OP_INLINE, t->at);
    struct bytes rest;

    if (!p->t->dialect->expressions)
        return fault(p, t, "this dialect has no partial blocks");
    text = bytes_trim(bytes_from(text, 1));
    if (!partial)
        return open_inline(p, t, text, op);
    return partial_name(p, t, text, op, &rest) && partial_arguments(p, rest, op) && push(p, t, first_word(text), false);
}

/* if, unless, each, with, once their argument is known. */
static bool open_known(struct parser *p, const struct token *t, struct expression *call, struct op *op)
{
    bool each = bytes_equal(call->text, BYTES("each")), with = bytes_equal(call->text, BYTES("with"));

    if (call->n_args != 1)
        return template_fault_at(p->t, t->at, p->c->fault, "#%.*s takes one argument", SHOW(call->text));
    op->kind = each ? OP_EACH : with ? OP_WITH : OP_IF;
    op->inverted = bytes_equal(call->text, BYTES("unless"));
    for (const struct named *n = call->named; n; n = n->next)
        op->zero |= bytes_equal(n->name, BYTES("includeZero")) && n->value->literal.flag;
    call->args[0]->params[0] = call->params[0];
    call->args[0]->params[1] = call->params[1];
    op->expression = call->args[0];
    return true;
}

static bool open_block(struct parser *p, const struct token *t, struct bytes text, bool inverted)
{
    struct expression *e = NULL;
    struct bytes name = first_word(text);
    bool each = p->t->dialect->each && bytes_equal(name, BYTES("each"));
    struct op *op;

    if (p->t->dialect->flat)
        return fault(p, t, "this dialect has no blocks");
    if (text.n && char_in(text.p[0], BYTES(">*")))
        return open_special(p, t, text);
    op = add(p, OP_SECTION, t->at);
    if (!read_expression(p, t, each ? bytes_trim(bytes_from(text, name.n)) : text, true, &e))
        return false;
    assert(e);
    op->expression = e;
    if (each)
        op->kind = OP_EACH;
    else if (e->kind == EXPRESSION_CALL && e->helper)
        op->kind = OP_IF;
    else if (e->kind == EXPRESSION_CALL && !open_known(p, t, e, op))
        return false;
    op->inverted ^= inverted;
    return push(p, t, name, op->kind != OP_IF);
}

static bool has_no_else(enum op_kind kind)
{
    return kind == OP_PARENT || kind == OP_BLOCK || kind == OP_PARTIAL_BLOCK || kind == OP_INLINE;
}

static bool add_else(struct parser *p, const struct token *t)
{
    struct open *open = p->depth ? &p->open[p->depth - 1] : NULL;

    if (!open || open->has_else || has_no_else(p->ops[open->op].kind))
        return fault(p, t, open && open->has_else ? "this block has an else already" : "else without a block");
    open->has_else = true;
    p->ops[open->op].other = p->n;
    p->place = open->place;
    if (open->context)
        p->c->contexts--;
    open->context = false;
    if (t->text.n == 0)
        return true;
    if (!open_block(p, t, t->text, false))
        return false;
    p->open[p->depth - 1].chained = true;
    return true;
}

static void pop(struct parser *p)
{
    struct open *open = &p->open[--p->depth];
    struct op *op = &p->ops[open->op];

    op->end = p->n;
    if (!open->has_else)
        op->other = p->n;
    if (open->context)
        p->c->contexts--;
}

static bool add_end(struct parser *p, const struct token *t)
{
    unsigned depth = p->depth;

    while (depth && p->open[depth - 1].chained)
        depth--;
    if (depth == 0)
        return template_fault_at(p->t, t->at, p->c->fault, "%.*s is closed and was not opened",
                                 SHOW(bytes_head(t->text, SHOWN)));
    if (!bytes_equal(unquoted(p->open[depth - 1].name), unquoted(t->text)))
        return template_fault_at(p->t, t->at, p->c->fault, "%.*s is closed where %.*s is open",
                                 SHOW(bytes_head(t->text, SHOWN)), SHOW(bytes_head(p->open[depth - 1].name, SHOWN)));
    while (p->depth >= depth)
        pop(p);
    return true;
}

static bool add_partial(struct parser *p, const struct token *t)
{
    struct op *op = add(p, OP_PARTIAL, t->at);
    struct bytes rest;

    op->indent = t->alone ? t->indent : NO_BYTES;
    if (p->t->dialect->flat)
        return fault(p, t, "this dialect has no partials");
    if (p->t->dialect->mustache && bytes_starts(t->text, BYTES("*"))) {
        p->t->partials_all = true;
        return read_expression(p, t, bytes_trim(bytes_from(t->text, 1)), false, &op->expression);
    }
    if (!partial_name(p, t, t->text, op, &rest))
        return false;
    if (!p->t->dialect->expressions)
        return bytes_trim(rest).n == 0 || fault(p, t, "names have no blanks");
    return partial_arguments(p, rest, op);
}

static bool add_inherited(struct parser *p, const struct token *t)
{
    struct op *op = add(p, t->kind == TOKEN_PARENT ? OP_PARENT : OP_BLOCK, t->at);

    if (t->text.n == 0)
        return fault(p, t, "this tag is empty");
    op->text = t->text;
    op->indent = t->indent;
    op->alone = t->alone;
    if (t->kind == TOKEN_PARENT)
        partial_note(p, t->text, false);
    return push(p, t, t->text, false);
}

static bool parse_token(struct parser *p, const struct token *t)
{
    switch (t->kind) {
    case TOKEN_TEXT: add_text(p, t); return true;
    case TOKEN_VALUE:
    case TOKEN_RAW: return add_value(p, t);
    case TOKEN_OPEN:
    case TOKEN_INVERTED: return open_block(p, t, t->text, t->kind == TOKEN_INVERTED);
    case TOKEN_ELSE: return add_else(p, t);
    case TOKEN_END: return add_end(p, t);
    case TOKEN_PARTIAL: return add_partial(p, t);
    case TOKEN_PARENT:
    case TOKEN_BLOCK: return add_inherited(p, t);
    case TOKEN_NOTHING: break;
    }
    return true;
}

static struct bytes *set_list(struct arena *a, struct json_object *set, size_t *n)
{
    struct bytes *list = arena_array(a, (size_t)json_object_object_length(set) + 1, sizeof *list);

    *n = 0;
    for (struct lh_entry *e = json_object_get_object(set)->head; e; e = e->next)
        list[(*n)++] = arena_copy(a, bytes_of(e->k));
    return list;
}

bool template_parse(struct compiling *c)
{
    struct parser p = { .c = c, .t = c->t, .place = PLACE_START };

    p.open = arena_array(c->scratch, OPEN_MAX, sizeof *p.open);
    for (size_t i = 0; i < c->tokens.n; i++) {
        if (!parse_token(&p, &c->tokens.list[i]))
            return false;
        if (arena_full(c->t->arena) || arena_full(c->scratch))
            return fault(&p, &c->tokens.list[i], "the template has too many tags");
    }
    if (p.depth)
        return template_fault_at(c->t, p.ops[p.open[p.depth - 1].op].at, c->fault, "%.*s is not closed",
                                 SHOW(bytes_head(p.open[p.depth - 1].name, SHOWN)));
    c->t->ops = arena_array(c->t->arena, (size_t)p.n + 1, sizeof *p.ops);
    if (p.n)
        memcpy(c->t->ops, p.ops, p.n * sizeof *p.ops);
    c->t->n_ops = p.n;
    c->t->names = set_list(c->t->arena, c->names, &c->t->n_names);
    c->t->partials = set_list(c->t->arena, c->partials, &c->t->n_partials);
    c->t->inlines = set_list(c->t->arena, c->inlines, &c->t->n_inlines);
    c->t->may_lack = arena_array(c->t->arena, c->t->n_partials + 1, sizeof *c->t->may_lack);
    for (size_t i = 0; i < c->t->n_partials; i++)
        c->t->may_lack[i] = json_object_object_get(c->partials, arena_text(c->scratch, c->t->partials[i])) != NULL;
    return true;
}
