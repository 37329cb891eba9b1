/* mail/mime_body.c - textBody, htmlBody and attachments of RFC 8621 section 4.1.4, step by step as its algorithm has
 * it.
 *
 * There it is a function that calls itself; here what it remembers of each multipart stands on a stack, since a
 * stranger chooses the depth. One thing is added: a part that the algorithm would put into none of the lists (of two
 * texts in one branch of an alternative) is an attachment. */
#include "mail/mime.h"
#include "mail/mime_part.h"

struct frame {
    int part;
    size_t text_from, html_from; /* lengths of the lists when it began */
    bool text, html;             /* does it still fill the list? */
    bool alternative;            /* it is one, or is in one */
    size_t children;
};

struct filling {
    const struct mime_index *x;
    struct mime_view *out;
};

static bool is_media(const struct mime_part *p)
{
    return bytes_starts(p->type, BYTES("image/")) || bytes_starts(p->type, BYTES("audio/")) ||
           bytes_starts(p->type, BYTES("video/"));
}

static bool is_type(const struct mime_part *p, const char *type)
{
    return bytes_equal(p->type, bytes_of(type));
}

static const struct mime_part *kind_of(const struct filling *f, const struct frame *in)
{
    static const struct mime_part none = { .type = { "", 0 } };

    return in->part < 0 ? &none : &f->x->parts[in->part];
}

static bool is_inline(const struct filling *f, const struct frame *in, const struct mime_part *p)
{
    if (bytes_equal(p->disposition, BYTES("attachment")) ||
        (!is_type(p, "text/plain") && !is_type(p, "text/html") && !is_media(p)))
        return false;
    return in->children == 0 || (!is_type(kind_of(f, in), "multipart/related") && (is_media(p) || !p->filename.n));
}

static void leaf(struct filling *f, struct frame *in, int i)
{
    const struct mime_part *p = &f->x->parts[i];
    struct mime_view *v = f->out;
    bool text = is_type(p, "text/plain"), html = is_type(p, "text/html");

    if (!is_inline(f, in, p)) {
        v->attachments[v->n_attachments++] = i;
        return;
    }
    if (is_type(kind_of(f, in), "multipart/alternative")) {
        if (in->text && text)
            v->text[v->n_text++] = i;
        else if (in->html && html)
            v->html[v->n_html++] = i;
        else
            v->attachments[v->n_attachments++] = i;
        return;
    }
    if (in->alternative) {
        in->html = in->html && !text;
        in->text = in->text && !html;
    }
    if (in->text)
        v->text[v->n_text++] = i;
    if (in->html)
        v->html[v->n_html++] = i;
    if ((!in->text || !in->html) && (is_media(p) || (!in->text && !in->html)))
        v->attachments[v->n_attachments++] = i;
}

/* What an alternative has in one form only stands in the list of the other form too. */
static void end(struct filling *f, const struct frame *in)
{
    struct mime_view *v = f->out;
    size_t text = v->n_text, html = v->n_html;

    if (!is_type(kind_of(f, in), "multipart/alternative") || !in->text || !in->html)
        return;
    if (text == in->text_from)
        for (size_t i = in->html_from; i < html; i++)
            v->text[v->n_text++] = v->html[i];
    else if (html == in->html_from)
        for (size_t i = in->text_from; i < text; i++)
            v->html[v->n_html++] = v->text[i];
}

static bool is_parted(const struct mime_index *x, size_t i)
{
    return i + 1 < x->n && x->parts[i + 1].parent == (int)i;
}

static void walk(struct filling *f, struct frame *stack)
{
    const struct mime_index *x = f->x;
    size_t depth = 1;

    stack[0] = (struct frame){ .part = -1, .text = true, .html = true };
    for (size_t i = 0; i < x->n; i++) {
        struct frame *in = NULL;

        while (stack[depth - 1].part != x->parts[i].parent)
            end(f, &stack[--depth]);
        in = &stack[depth - 1];
        if (is_parted(x, i)) {
            stack[depth++] =
                (struct frame){ .part = (int)i,
                                .text_from = f->out->n_text,
                                .html_from = f->out->n_html,
                                .text = in->text,
                                .html = in->html,
                                .alternative = in->alternative || is_type(&x->parts[i], "multipart/alternative") };
        } else if (!mime_is_multipart(&x->parts[i]) || x->parts[i].end_at > x->parts[i].body_at) {
            leaf(f, in, (int)i);
        }
        in->children++;
    }
    while (depth > 1)
        end(f, &stack[--depth]);
}

void mime_body(const struct mime_index *x, struct arena *a, struct mime_view *out)
{
    struct filling f = { .x = x, .out = out };
    int *numbers = arena_try(a, 5 * x->n * sizeof *numbers);
    struct frame *stack = arena_try(a, (x->n + 1) * sizeof *stack);

    *out = (struct mime_view){ .text = NULL };
    if (!numbers || !stack)
        return;
    out->text = numbers;
    out->html = numbers + 2 * x->n;
    out->attachments = numbers + 4 * x->n;
    walk(&f, stack);
}
