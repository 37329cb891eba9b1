/* mail/template/template_lookup.c - what a name means while a template is rendered.
 *
 * Handlebars looks where it stands, goes up only when it is told to (../), and knows the names of a block before those
 * of the variables; mustache looks for the first part of a name through all scopes, from the innermost. The rest of a
 * path is looked up strictly. */
#include "mail/template/template_private.h"

bool render_failed(struct render *r, size_t at, const char *message)
{
    return template_fault_at(r->t, at, r->fault, "%s", message);
}

bool render_charge(struct render *r, size_t steps, size_t at)
{
    if (steps <= r->limits->steps - r->steps) {
        r->steps += (unsigned)steps;
        return true;
    }
    return template_fault_at(r->t, at, r->fault, "rendering takes more than %u steps", r->limits->steps);
}

bool render_charge_print(struct render *r, const struct datum *d, size_t at)
{
    size_t left = r->limits->steps - r->steps;

    if (d->kind == DATUM_TEXT)
        return render_charge(r, d->text.n / 32, at);
    if (d->kind != DATUM_LIST && d->kind != DATUM_OBJECT)
        return true;
    return render_charge(r, 8 * datum_values(d, left / 8 + 1), at);
}

void render_note(struct render *r, struct bytes *list, size_t *n, struct bytes text)
{
    for (size_t i = 0; i < *n; i++)
        if (bytes_equal(list[i], text))
            return;
    if (*n < TEMPLATE_MISSING_MAX)
        list[(*n)++] = arena_copy(r->arena, text);
}

static bool data_of(const struct render *r, const struct expression *e, struct datum *out)
{
    const struct frame *f = r->frame;
    struct bytes name = e->n_parts ? e->parts[0] : NO_BYTES;

    if (bytes_equal(name, BYTES("root"))) {
        *out = r->root;
        return true;
    }
    if (bytes_equal(name, BYTES("partial-block"))) {
        *out = datum_bool(true);
        return r->handed != NULL;
    }
    for (unsigned up = e->up; f && up; up--)
        f = f->up;
    if (!f)
        return false;
    if (bytes_equal(name, BYTES("index")))
        *out = f->index;
    else if (bytes_equal(name, BYTES("key")))
        *out = f->key;
    else if (bytes_equal(name, BYTES("first")))
        *out = datum_bool(f->first);
    else if (bytes_equal(name, BYTES("last")))
        *out = datum_bool(f->last);
    else
        return false;
    return true;
}

static bool param_of(const struct render *r, const struct expression *e, struct datum *out)
{
    if (e->up || e->scoped || e->n_parts == 0)
        return false;
    for (const struct block_params *p = r->params; p; p = p->up) {
        for (size_t i = 0; i < 2; i++) {
            if (!p->names[i].n || !bytes_equal(p->names[i], e->parts[0]))
                continue;
            *out = p->values[i];
            return true;
        }
    }
    return false;
}

/* Where the path begins; *from is the part behind what was found already. */
static bool begin_of(struct render *r, const struct expression *e, struct datum *out, unsigned *from)
{
    const struct scope *s = r->scope;

    *from = 1;
    if (e->data)
        return data_of(r, e, out);
    if (param_of(r, e, out))
        return true;
    *from = 0;
    for (unsigned up = e->up; s && up; up--)
        s = s->up;
    if (!s)
        return false;
    *out = s->self;
    if (!r->t->dialect->mustache || e->n_parts == 0)
        return true;
    for (*from = 1; s; s = s->up)
        if (datum_member(&s->self, e->parts[0], out))
            return true;
    return false;
}

bool render_lookup(struct render *r, const struct expression *e, struct datum *out)
{
    unsigned from = 0;
    bool found = begin_of(r, e, out, &from);

    for (; found && from < e->n_parts; from++) {
        struct datum in = *out;

        if (!render_charge(r, in.kind == DATUM_TEXT ? in.text.n / 32 : in.over ? in.over->length / 8 : 0, e->at))
            return false;
        found = datum_member(&in, e->parts[from], out);
    }
    if (!found)
        *out = (struct datum){ .kind = DATUM_MISSING };
    return found;
}

bool render_evaluate(struct render *r, const struct expression *e, struct datum *out)
{
    if (!render_charge(r, 1 + e->n_parts, e->at))
        return false;
    switch (e->kind) {
    case EXPRESSION_LITERAL: *out = e->literal; return true;
    case EXPRESSION_CALL: return render_call(r, e, out);
    case EXPRESSION_PATH: break;
    }
    render_lookup(r, e, out);
    return r->fault->message[0] == '\0';
}
