#include "mail/mime.h"
#include "mail/mime_part.h"

/* Much as RFC 8621 4.1.4 does, cut down to one text and one html: the first part that people can read is the body.
 * Inside a multipart/alternative the other form of the same is looked for; what is no alternative of it is an
 * attachment. */

static bool is_leaf(const struct mime_index *x, size_t i)
{
    return i + 1 >= x->n || x->parts[i + 1].parent != (int)i; /* a first child follows its parent at once */
}

static bool is_first_child(const struct mime_index *x, size_t i)
{
    return x->parts[i].parent == (int)i - 1;
}

static bool readable(const struct mime_index *x, size_t i, struct bytes type)
{
    const struct mime_part *p = &x->parts[i];

    return is_leaf(x, i) && bytes_equal(p->type, type) && !bytes_equal(p->disposition, BYTES("attachment")) &&
           (!p->filename.p || is_first_child(x, i));
}

static int alternative_of(const struct mime_index *x, int part)
{
    while (part >= 0 && !bytes_equal(x->parts[part].type, BYTES("multipart/alternative")))
        part = x->parts[part].parent;
    return part;
}

/* The first readable part of `type` inside `top`, or -1. Parts inside it stand behind it without a gap. */
static int first_inside(const struct mime_index *x, int top, struct bytes type)
{
    for (size_t i = (size_t)top + 1; i < x->n && x->parts[i].depth > x->parts[top].depth; i++)
        if (readable(x, i, type))
            return (int)i;
    return -1;
}

static void find_body(const struct mime_index *x, struct mime_view *out)
{
    for (size_t i = 0; i < x->n; i++) {
        bool text = readable(x, i, BYTES("text/plain")), html = !text && readable(x, i, BYTES("text/html"));
        int both = text || html ? alternative_of(x, (int)i) : -1;

        if (!text && !html)
            continue;
        out->text = both >= 0 ? first_inside(x, both, BYTES("text/plain")) : text ? (int)i : -1;
        out->html = both >= 0 ? first_inside(x, both, BYTES("text/html")) : html ? (int)i : -1;
        return;
    }
}

/* A leaf directly in the multipart/alternative whose text or html is shown. */
static bool is_alternative(const struct mime_index *x, size_t i, const struct mime_view *v)
{
    int parent = x->parts[i].parent, shown = v->text >= 0 ? v->text : v->html;

    return parent >= 0 && shown >= 0 && bytes_equal(x->parts[parent].type, BYTES("multipart/alternative")) &&
           alternative_of(x, shown) == parent;
}

void mime_view(const struct mime_index *x, struct arena *a, struct mime_view *out)
{
    *out = (struct mime_view){ .text = -1, .html = -1, .attachments = arena_array(a, x->n, sizeof *out->attachments) };
    find_body(x, out);
    for (size_t i = 0; i < x->n; i++) {
        if (!is_leaf(x, i) || (int)i == out->text || (int)i == out->html || is_alternative(x, i, out))
            continue;
        if (mime_is_multipart(&x->parts[i]) && x->parts[i].end_at == x->parts[i].body_at)
            continue; /* empty */
        out->attachments[out->n_attachments++] = (int)i;
    }
}
