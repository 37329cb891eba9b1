/* mail/template/template.c - compiling from end to end, the dialects, and where a fault is.
 *
 * A compiled template is one arena with a copy of its text, which most of its rows only borrow from. What only
 * compiling needs (tokens, rows while their number is not known) lies in another, which ends with it. */
#include "mail/template/template.h"
#include "mail/template/template_private.h"
#include <stdarg.h>

static const struct dialect dialects[] = {
    [TEMPLATE_HANDLEBARS] = { .expressions = true },
    [TEMPLATE_MUSTACHE] = { .mustache = true, .falsy = true },
    [TEMPLATE_MUSTACHIO] = { .each = true, .enters = true, .falsy = true, .silent = true },
    [TEMPLATE_SENDGRID] = { .expressions = true },
    [TEMPLATE_RESEND] = { .flat = true, .silent = true },
};

static const struct bytes dialect_texts[] = {
#define X(name, text) BYTES_ROW(text),
    TEMPLATE_DIALECTS(X)
#undef X
};

struct bytes template_dialect_text(enum template_dialect d)
{
    return dialect_texts[d];
}

bool template_dialect_of(struct bytes text, enum template_dialect *out)
{
    for (int i = 0; i < TEMPLATE_DIALECT_COUNT; i++) {
        if (!bytes_equal(dialect_texts[i], text))
            continue;
        *out = (enum template_dialect)i;
        return true;
    }
    return false;
}

bool template_fault_at(const struct template *t, size_t at, struct template_fault *fault, const char *format, ...)
{
    int n = t->label.n ? snprintf(fault->message, sizeof fault->message, "%.*s: ", SHOW(t->label)) : 0;
    size_t used = n < 0 ? 0 : (size_t)n < sizeof fault->message ? (size_t)n : sizeof fault->message - 1;
    va_list args;

    va_start(args, format);
    vsnprintf(fault->message + used, sizeof fault->message - used, format, args);
    va_end(args);
    for (char *c = fault->message; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7F)
            *c = ' ';
    fault->line = fault->column = 1;
    for (size_t i = 0; i < at && i < t->source.n; i++) {
        fault->column = t->source.p[i] == '\n' ? 1 : fault->column + 1;
        fault->line += t->source.p[i] == '\n';
    }
    return false;
}

static bool compile(struct compiling *c, const struct template_source *source)
{
    if (source->text.n > c->limits->source)
        return template_fault_at(c->t, 0, c->fault, "the template has more than %zu bytes", c->limits->source);
    if (!bytes_is_utf8(source->text))
        return template_fault_at(c->t, 0, c->fault, "the template is not UTF-8");
    c->t->source = arena_copy(c->t->arena, source->text.p ? source->text : BYTES(""));
    if (!template_lex(c))
        return false;
    template_space(c);
    return template_parse(c);
}

bool template_compile(const struct template_source *source, const struct template_limits *limits, struct template **out,
                      struct template_fault *fault)
{
    struct arena *a = arena_new(((size_t)1 << 20) + 64 * limits->source);
    struct template *t = arena_alloc(a, sizeof *t);
    struct compiling c = { .t = t,
                           .limits = limits,
                           .fault = fault,
                           .scratch = arena_new(((size_t)1 << 20) + 128 * limits->source),
                           .sendgrid = source->dialect == TEMPLATE_SENDGRID };

    t->arena = a;
    t->label = arena_copy(a, source->label);
    t->dialect = &dialects[source->dialect];
    t->part = source->part;
    t->layout = source->layout;
    c.names = json_object_new_object();
    c.partials = json_object_new_object();
    c.inlines = json_object_new_object();
    if (!compile(&c, source))
        template_free(&t);
    json_object_put(c.names);
    json_object_put(c.partials);
    json_object_put(c.inlines);
    arena_free(&c.scratch);
    *out = t;
    return t != NULL;
}

void template_free(struct template **t)
{
    struct arena *a = *t ? (*t)->arena : NULL;

    *t = NULL;
    arena_free(&a);
}

size_t template_weight(const struct template *t)
{
    return arena_used(t->arena);
}

bool template_takes_body(const struct template *t)
{
    for (uint32_t i = 0; i < t->n_ops; i++)
        if (t->ops[i].kind == OP_CONTENT)
            return true;
    return false;
}

const struct bytes *template_partials(const struct template *t, size_t *n, bool *all)
{
    *n = t->n_partials;
    *all = t->partials_all;
    return t->partials;
}

bool template_partial_may_lack(const struct template *t, size_t i)
{
    return t->may_lack[i];
}

const struct bytes *template_inlines(const struct template *t, size_t *n)
{
    *n = t->n_inlines;
    return t->inlines;
}

const struct bytes *template_names(const struct template *t, size_t *n, bool *all)
{
    *n = t->n_names;
    *all = t->names_all;
    return t->names;
}
