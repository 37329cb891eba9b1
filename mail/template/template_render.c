/* mail/template/template_render.c - a program runs: rows in order, blocks as often as their value says.
 *
 * Everything that is done is charged: each row and each turn of a loop a step, texts by their length. So hostile
 * nesting, loops in loops and partials that call themselves end after the same work, and what was written by then is
 * bounded too. Of HTML the place (place.h) is followed as it is written, across partials, layouts and branches. Lines
 * of a partial that stands indented are indented as they are written, in Handlebars those of values too. */
#include "mail/template/escape.h"
#include "mail/template/template_private.h"
#include <string.h>

enum { LINE_MOST = 64 * 1024 }; /* of a subject, before whoever sends it says how long one may be */

static bool check_output(struct render *r, size_t at)
{
    size_t most = r->limits->output;

    if (r->job->body->part == TEMPLATE_LINE && most > LINE_MOST)
        most = LINE_MOST;
    if (!r->out->overflowed && r->out->n - r->start <= most)
        return true;
    return template_fault_at(r->t, at, r->fault, "what is rendered has more than %zu bytes", most);
}

/* What was written since `before` gets the indentation: each line, or only the first. */
static bool indent_written(struct render *r, size_t before, bool lines, size_t at)
{
    struct bytes rest = arena_copy(r->arena, (struct bytes){ r->out->p + before, r->out->n - before });

    r->out->n = before;
    while (rest.n) {
        size_t n = lines ? bytes_find(rest, '\n') + 1 : rest.n;

        n = n > rest.n ? rest.n : n;
        if (r->line_start)
            buf_add(r->out, r->indent);
        buf_add(r->out, bytes_head(rest, n));
        r->line_start = lines && rest.p[n - 1] == '\n';
        rest = bytes_from(rest, n);
        if (!render_charge(r, 1 + n / 32, at) || !check_output(r, at))
            return false;
    }
    return true;
}

static bool written(struct render *r, size_t before, bool lines, size_t at)
{
    if (!check_output(r, at))
        return false;
    return r->indent.n == 0 || r->out->n == before || indent_written(r, before, lines, at);
}

static bool put_static(struct render *r, const struct op *op)
{
    size_t before = r->out->n;

    if (r->job->body->part == TEMPLATE_LINE)
        escape_line(op->text, r->out);
    else
        buf_add(r->out, op->text);
    if (r->job->body->part == TEMPLATE_HTML) {
        if (place_equal(&r->place, &op->before))
            r->place = op->after;
        else
            place_step(&r->place, op->text);
    }
    return written(r, before, true, op->at);
}

static void put_escaped(struct render *r, const struct op *op, const struct datum *d, struct bytes text)
{
    if (r->job->body->part == TEMPLATE_LINE) {
        escape_line(text, r->out);
    } else if (r->job->body->part == TEMPLATE_TEXT) {
        escape_text(text, r->out);
    } else if (op->raw) {
        buf_add(r->out, text);
        place_step(&r->place, text);
    } else if (!escape_html(&r->place, d, text, r->out)) {
        render_note(r, r->report->unsafe, &r->report->n_unsafe, op->expression->text);
    }
}

static bool put_value(struct render *r, const struct op *op)
{
    struct datum d = { .kind = DATUM_MISSING };
    bool silent = r->t->dialect->silent, nothing;
    struct bytes text;
    size_t before;

    if (!render_evaluate(r, op->expression, &d))
        return false;
    nothing = silent && (d.kind == DATUM_LIST || d.kind == DATUM_OBJECT);
    if (d.kind == DATUM_MISSING && op->expression->kind == EXPRESSION_PATH)
        render_note(r, r->report->missing, &r->report->n_missing, op->expression->text);
    buf_reset(&r->scratch);
    if (!nothing && !render_charge_print(r, &d, op->at))
        return false;
    if (d.kind != DATUM_TEXT && !nothing)
        datum_print(&d, &r->scratch);
    text = d.kind == DATUM_TEXT ? d.text : buf_bytes(&r->scratch);
    if (r->scratch.overflowed)
        return render_failed(r, op->at, "a value is too large");
    if (r->job->body->part == TEMPLATE_LINE && text.n > LINE_MOST)
        return render_failed(r, op->at, "a value is too long for one line");
    before = r->out->n;
    put_escaped(r, op, &d, text);
    return written(r, before, !r->t->dialect->mustache, op->at);
}

static bool run_part(struct render *r, const struct op *op, bool first)
{
    uint32_t self = (uint32_t)(op - r->t->ops);

    return first ? render_run(r, r->t, self + 1, op->other) : render_run(r, r->t, op->other, op->end);
}

/* The part of a block for what is true, with another "this". */
static bool run_in(struct render *r, const struct op *op, const struct datum *self, const struct datum *second)
{
    struct scope scope = { .self = *self, .up = r->scope };
    struct block_params params = { .names = { op->expression->params[0], op->expression->params[1] },
                                   .values = { *self, *second },
                                   .up = r->params };
    const struct scope *was = r->scope;
    bool push = r->t->dialect->mustache || r->t->dialect->enters || !datum_is_equal(self, &was->self), good;

    if (push)
        r->scope = &scope;
    if (params.names[0].n)
        r->params = &params;
    good = run_part(r, op, !op->inverted);
    r->scope = was;
    r->params = params.up;
    return good;
}

static bool turn(struct render *r, const struct op *op, struct frame *f, const struct datum *value)
{
    return render_charge(r, 1, op->at) && run_in(r, op, value, &f->key);
}

static bool each_of_list(struct render *r, const struct op *op, const struct datum *list, struct frame *f)
{
    size_t n = datum_count(list);

    for (size_t i = 0; i < n; i++) {
        struct datum value = datum_at(list, i);

        f->index = f->key = datum_int((int64_t)i);
        f->first = i == 0;
        f->last = i + 1 == n;
        if (!turn(r, op, f, &value))
            return false;
    }
    return true;
}

static bool each_of_object(struct render *r, const struct op *op, const struct datum *object, struct frame *f)
{
    size_t n = datum_count(object), i = 0;
    struct datum_walk at = { 0 };
    struct bytes name;
    struct datum value;

    for (; datum_next(object, &at, &name, &value); i++) {
        f->index = datum_int((int64_t)i);
        f->key = datum_text(name);
        f->first = i == 0;
        f->last = i + 1 == n;
        if (!turn(r, op, f, &value))
            return false;
    }
    return true;
}

static bool run_each(struct render *r, const struct op *op, const struct datum *d)
{
    struct frame f = { .up = r->frame };
    bool good;

    if (r->t->dialect->each && d->kind != DATUM_LIST && datum_is_true(d))
        return render_failed(r, op->at, "each wants a list");
    if ((d->kind != DATUM_LIST && d->kind != DATUM_OBJECT) || datum_count(d) == 0)
        return run_part(r, op, op->inverted);
    r->frame = &f;
    good = d->kind == DATUM_LIST ? each_of_list(r, op, d, &f) : each_of_object(r, op, d, &f);
    r->frame = f.up;
    return good;
}

static bool section_is_true(const struct render *r, const struct datum *d)
{
    if (r->t->dialect->falsy || d->kind == DATUM_LIST)
        return datum_is_true(d);
    return !datum_is_nothing(d) && !(d->kind == DATUM_BOOL && !d->flag);
}

static bool run_section(struct render *r, const struct op *op, const struct datum *d)
{
    if (!section_is_true(r, d))
        return run_part(r, op, op->inverted);
    if (d->kind == DATUM_LIST && !r->t->dialect->enters)
        return run_each(r, op, d);
    if (d->kind == DATUM_BOOL && r->t->dialect->expressions)
        return run_part(r, op, !op->inverted);
    return run_in(r, op, d, d);
}

static bool run_with(struct render *r, const struct op *op, const struct datum *d)
{
    if (!datum_is_true(d) && d->kind != DATUM_NUMBER)
        return run_part(r, op, op->inverted);
    return run_in(r, op, d, d);
}

static bool run_block(struct render *r, const struct op *op)
{
    struct datum d = { .kind = DATUM_MISSING };

    if (!render_evaluate(r, op->expression, &d))
        return false;
    switch (op->kind) {
    case OP_IF: return run_part(r, op, (datum_is_true(&d) || (op->zero && d.kind == DATUM_NUMBER)) != op->inverted);
    case OP_EACH: return run_each(r, op, &d);
    case OP_WITH: return run_with(r, op, &d);
    default: return run_section(r, op, &d);
    }
}

static bool run_op(struct render *r, const struct op *op)
{
    switch (op->kind) {
    case OP_TEXT: return put_static(r, op);
    case OP_VALUE: return put_value(r, op);
    case OP_PARTIAL:
    case OP_PARTIAL_BLOCK: return render_partial(r, op);
    case OP_PARTIAL_GIVEN: return render_partial_given(r, op);
    case OP_INLINE: return true; /* is there from the beginning of what it stands in */
    case OP_PARENT: return render_parent(r, op);
    case OP_BLOCK: return render_inherited(r, op);
    case OP_CONTENT: return render_run(r, r->job->body, 0, r->job->body->n_ops);
    default: return run_block(r, op);
    }
}

bool render_run(struct render *r, const struct template *t, uint32_t from, uint32_t to)
{
    const struct template *was = r->t;
    const struct inlined *inlined = r->inlined;
    bool good = true;

    if (r->depth == r->limits->depth)
        return template_fault_at(r->t, from < r->t->n_ops ? r->t->ops[from].at : 0, r->fault,
                                 "blocks and partials are more than %u deep", r->limits->depth);
    r->depth++;
    r->t = t;
    if (t->n_inlines)
        good = render_inlines(r, t, from, to);
    for (uint32_t i = from; good && i < to; i = t->ops[i].end)
        good = render_charge(r, 1, t->ops[i].at) && run_op(r, &t->ops[i]);
    if (good && arena_full(r->arena))
        good = render_failed(r, 0, "rendering takes too much memory");
    r->t = was;
    r->inlined = inlined;
    r->depth--;
    return good;
}

bool template_render(const struct template_job *job, const struct template_limits *limits, struct arena *a,
                     struct buf *out, struct template_report *report, struct template_fault *fault)
{
    const struct template *t = job->layout ? job->layout : job->body;
    struct render r = { .job = job,
                        .limits = limits,
                        .arena = a,
                        .out = out,
                        .report = report,
                        .fault = fault,
                        .t = t,
                        .start = out->n,
                        .place = PLACE_START,
                        .line_start = true };
    struct scope scope = { .up = NULL };
    size_t expected = job->body->static_bytes + (job->layout ? job->layout->static_bytes : 0);
    bool good;

    *fault = (struct template_fault){ 0 };
    scope.self = job->variables ? datum_of(job->variables) : (struct datum){ .kind = DATUM_OBJECT };
    if (scope.self.kind == DATUM_OBJECT)
        scope.self.over = job->fixed;
    r.root = scope.self;
    r.scope = &scope;
    buf_init(&r.scratch, limits->output);
    if (expected <= out->max - out->n)
        buf_room(out, expected);
    good = render_run(&r, t, 0, t->n_ops);
    buf_clear(&r.scratch);
    return good;
}
