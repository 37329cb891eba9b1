/* mail/template/template_partial.c - partials, and text that stands in for text of theirs: of a block that names one,
 * of one that is defined where it is used, of mustache's parents.
 *
 * What is handed over is text of another template: it runs with the scopes and names around the place where it was
 * written, below a "this" that whoever runs it gives. It is only run while that place is, so all of it may lie on the
 * stack. */
#include "mail/template/template_private.h"

static const struct template *partial_find(struct render *r, struct bytes name, size_t at)
{
    if (!render_charge(r, r->job->n_partials / 8, at))
        return NULL;
    for (size_t i = 0; i < r->job->n_partials; i++)
        if (bytes_equal(r->job->partials[i].name, name))
            return r->job->partials[i].body;
    return NULL;
}

/* What a partial sees as "this". */
static bool partial_self(struct render *r, const struct op *op, struct datum *self)
{
    const struct datum_member *over;
    struct datum base;

    *self = r->scope->self;
    if (op->text.p && op->expression && !render_evaluate(r, op->expression, self))
        return false;
    if (!op->named)
        return true;
    base = *self;
    over = base.kind == DATUM_OBJECT ? base.over : NULL;
    *self = (struct datum){ .kind = DATUM_OBJECT, .tree = base.kind == DATUM_OBJECT ? base.tree : NULL };
    for (const struct named *n = op->named; n; n = n->next) {
        struct datum_member *m = arena_alloc(r->arena, sizeof *m);

        m->name = n->name;
        m->next = over;
        m->length = over ? over->length + 1 : 1;
        over = m;
        if (!render_evaluate(r, n->value, &m->value))
            return false;
    }
    self->over = over;
    return true;
}

/* Lines that begin from here on stand as deep as the tag that they take the place of. */
static struct bytes indent_more(struct render *r, struct bytes more, bool first)
{
    struct bytes was = r->indent;

    if (more.n == 0)
        return was;
    r->indent = arena_bytesf(r->arena, "%.*s%.*s", SHOW(was), SHOW(more));
    r->line_start = first;
    return was;
}

static bool run_other(struct render *r, const struct template *t, struct bytes indent)
{
    struct bytes was = indent_more(r, indent, true);
    bool good = render_run(r, t, 0, t->n_ops);

    r->indent = was;
    return good;
}

static bool partial_missing(struct render *r, const struct op *op, struct bytes name)
{
    if (r->fault->message[0] || r->t->dialect->mustache)
        return r->fault->message[0] == '\0';
    return template_fault_at(r->t, op->at, r->fault, "no partial is called %.*s", SHOW(bytes_head(name, 64)));
}

static const struct inlined *inlined_find(struct render *r, struct bytes name, size_t at)
{
    for (const struct inlined *one = r->inlined; one; one = one->up) {
        if (!render_charge(r, 1, at))
            return NULL;
        if (bytes_equal(one->name, name))
            return one;
    }
    return NULL;
}

/* Text that was written elsewhere, with another "this". */
static bool run_handed(struct render *r, const struct handed *h, const struct datum *self)
{
    struct scope scope = { .self = *self, .up = h->scope };
    const struct scope *was = r->scope;
    const struct block_params *params = r->params;
    bool good;

    r->scope = datum_is_equal(self, &h->scope->self) ? h->scope : &scope;
    r->params = h->params;
    good = render_run(r, h->in, h->from, h->to);
    r->scope = was;
    r->params = params;
    return good;
}

bool render_partial_given(struct render *r, const struct op *op)
{
    const struct handed *h = r->handed;
    struct bytes was;
    struct datum self;
    bool good;

    if (!h)
        return render_failed(r, op->at, "there is no block that stands for @partial-block");
    if (!partial_self(r, op, &self))
        return false;
    was = indent_more(r, op->indent, true);
    r->handed = h->handed;
    good = run_handed(r, h, &self);
    r->handed = h;
    r->indent = was;
    return good;
}

/* The partial sees its context alone. */
static bool run_alone(struct render *r, const struct template *t, const struct datum *self, struct bytes indent)
{
    struct scope scope = { .self = *self, .up = NULL };
    const struct scope *was = r->scope;
    const struct block_params *params = r->params;
    bool good;

    if (!r->t->dialect->mustache) {
        r->scope = &scope;
        r->params = NULL;
    }
    good = run_other(r, t, indent);
    r->scope = was;
    r->params = params;
    return good;
}

static bool run_inlined(struct render *r, const struct inlined *one, const struct datum *self, struct bytes indent)
{
    struct bytes was = indent_more(r, indent, true);
    bool good = run_handed(r, &one->body, self);

    r->indent = was;
    return good;
}

static struct handed handed_of(const struct render *r, const struct op *op)
{
    return (struct handed){ .in = r->t,
                            .from = (uint32_t)(op - r->t->ops) + 1,
                            .to = op->end,
                            .scope = r->scope,
                            .params = r->params,
                            .handed = r->handed };
}

bool render_inlines(struct render *r, const struct template *t, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i = t->ops[i].end) {
        struct inlined *one;

        if (!render_charge(r, 1, t->ops[i].at))
            return false;
        if (t->ops[i].kind != OP_INLINE)
            continue;
        one = arena_alloc(r->arena, sizeof *one);
        *one = (struct inlined){ .name = t->ops[i].text, .body = handed_of(r, &t->ops[i]), .up = r->inlined };
        r->inlined = one;
    }
    return true;
}

/* As a block: its text is handed over, with the partials that are defined in it, or is what runs. */
static bool run_partial_block(struct render *r, const struct op *op, const struct template *t,
                              const struct inlined *one, const struct datum *self)
{
    const struct handed mine = handed_of(r, op), *was = r->handed;
    const struct inlined *inlined = r->inlined;
    bool good;

    if (!t && !one)
        return run_handed(r, &mine, self);
    if (!render_inlines(r, mine.in, mine.from, mine.to))
        return false;
    r->handed = &mine;
    good = one ? run_inlined(r, one, self, NO_BYTES) : run_alone(r, t, self, NO_BYTES);
    r->handed = was;
    r->inlined = inlined;
    return good;
}

bool render_partial(struct render *r, const struct op *op)
{
    const struct inlined *one;
    const struct template *t;
    struct bytes name = op->text;
    struct datum d;

    if (!name.p) {
        if (!render_evaluate(r, op->expression, &d))
            return false;
        name = d.kind == DATUM_TEXT ? d.text : BYTES("");
    }
    one = inlined_find(r, name, op->at);
    t = one ? NULL : partial_find(r, name, op->at);
    if (!t && !one && (op->kind != OP_PARTIAL_BLOCK || r->fault->message[0]))
        return partial_missing(r, op, name);
    if (!partial_self(r, op, &d))
        return false;
    if (op->kind == OP_PARTIAL_BLOCK)
        return run_partial_block(r, op, t, one, &d);
    return one ? run_inlined(r, one, &d, op->indent) : run_alone(r, t, &d, op->indent);
}

/* {{<parent}}: its blocks stand in for those of the same name until it ends; who is further out comes first. */
bool render_parent(struct render *r, const struct op *op)
{
    const struct template *t = partial_find(r, op->text, op->at);
    struct given mine = { .in = r->t, .from = (uint32_t)(op - r->t->ops) + 1, .to = op->end }, **last = &r->given;
    bool good;

    if (!t)
        return partial_missing(r, op, op->text);
    while (*last)
        last = &(*last)->next;
    *last = &mine;
    good = run_other(r, t, op->alone ? op->indent : NO_BYTES);
    *last = NULL;
    return good;
}

/* The block of this name among those that are handed over; NULL when there is none, or a fault. */
static const struct op *given_find(struct render *r, struct bytes name, size_t at)
{
    for (const struct given *g = r->given; g; g = g->next)
        for (uint32_t i = g->from; i < g->to; i = g->in->ops[i].end) {
            if (!render_charge(r, 1, at))
                return NULL;
            if (g->in->ops[i].kind == OP_BLOCK && bytes_equal(g->in->ops[i].text, name))
                return &g->in->ops[i];
        }
    return NULL;
}

static const struct template *given_in(const struct given *g, const struct op *op)
{
    while (op < g->in->ops || op >= g->in->ops + g->in->n_ops)
        g = g->next;
    return g->in;
}

bool render_inherited(struct render *r, const struct op *op)
{
    const struct op *given = given_find(r, op->text, op->at);
    const struct template *in;
    struct bytes was;
    bool good;

    if (!given)
        return r->fault->message[0] == '\0' && render_run(r, r->t, (uint32_t)(op - r->t->ops) + 1, op->other);
    in = given_in(r->given, given);
    was = indent_more(r, op->indent, op->alone);
    good = render_run(r, in, (uint32_t)(given - in->ops) + 1, given->end);
    r->indent = was;
    return good;
}
