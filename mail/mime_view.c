/* mail/mime_view.c - which parts are the text, the HTML and the attachments: RFC 8621 4.1.4 in one text and one html.
 *
 * A part is read for what it is, whether it stands in a branch of an alternative or not; first all parts that could be
 * body are marked, then each alternative gives up what it shows in a better form. Nothing is lost by that: what is
 * given up is listed as an attachment. */
#include "mail/mime.h"
#include "mail/mime_part.h"

enum kind { NOTHING, TEXT, HTML, OTHER };

struct viewing {
    const struct mime_index *x;
    unsigned char *kinds; /* of each part */
};

static bool is_leaf(const struct mime_index *x, size_t i)
{
    return i + 1 >= x->n || x->parts[i + 1].parent != (int)i; /* a first child follows its parent at once */
}

static size_t end_of(const struct mime_index *x, size_t top)
{
    size_t i = top + 1;

    while (i < x->n && x->parts[i].depth > x->parts[top].depth)
        i++;
    return i;
}

static enum kind text_kind(const struct mime_part *p)
{
    if (bytes_equal(p->disposition, BYTES("attachment")))
        return OTHER;
    return bytes_equal(p->type, BYTES("text/plain")) ? TEXT : bytes_equal(p->type, BYTES("text/html")) ? HTML : OTHER;
}

/* Of a multipart/related only the root is body (RFC 2387 3.2): its first part, or the first one that can be. Elsewhere
 * a text that has a name and is not the first is a file. */
static enum kind kind_of(const struct mime_index *x, size_t i, bool root_found)
{
    const struct mime_part *p = &x->parts[i];
    bool related = p->parent >= 0 && bytes_equal(x->parts[p->parent].type, BYTES("multipart/related"));

    if (!is_leaf(x, i) || (mime_is_multipart(p) && p->end_at == p->body_at))
        return NOTHING;
    if (related ? root_found : p->filename.p && p->parent >= 0 && p->parent != (int)i - 1)
        return OTHER;
    return text_kind(p);
}

static void mark(struct viewing *v, bool *root_found)
{
    for (size_t i = 0; i < v->x->n; i++) {
        int parent = v->x->parts[i].parent;

        v->kinds[i] = (unsigned char)kind_of(v->x, i, parent >= 0 && root_found[parent]);
        if (parent >= 0)
            root_found[parent] |= v->kinds[i] != OTHER;
    }
}

static bool has(const struct viewing *v, size_t from, size_t end, enum kind kind)
{
    return memchr(v->kinds + from, (int)kind, end - from);
}

struct branch {
    size_t from, end;
};

static void give_up(struct viewing *v, struct branch top, struct branch chosen, enum kind kind)
{
    for (size_t i = top.from; i < top.end; i++)
        if (v->kinds[i] == kind && (i < chosen.from || i >= chosen.end))
            v->kinds[i] = OTHER;
}

/* The last branch with html is shown. The text is that of the last branch that is nothing but text: text beside html is
 * a part of the html's form. */
static void choose(struct viewing *v, size_t top)
{
    struct branch all = { top + 1, end_of(v->x, top) }, text = { 0, 0 }, html = { 0, 0 };
    bool plain = false;

    for (struct branch b = { all.from, 0 }; b.from < all.end; b.from = b.end) {
        bool has_html = has(v, b.from, b.end = end_of(v->x, b.from), HTML);

        if (has_html)
            html = b;
        if (has(v, b.from, b.end, TEXT) && (!has_html || !plain)) {
            text = b;
            plain = !has_html;
        }
    }
    give_up(v, all, text, TEXT);
    give_up(v, all, html, HTML);
}

static void list(const struct viewing *v, enum kind kind, int *to, size_t *n)
{
    for (size_t i = 0; i < v->x->n; i++)
        if (v->kinds[i] == kind)
            to[(*n)++] = (int)i;
}

void mime_view(const struct mime_index *x, struct arena *a, struct mime_view *out)
{
    int *numbers = arena_try(a, x->n * (3 * sizeof *numbers + 2));
    struct viewing v = { .x = x };

    *out = (struct mime_view){ .text = NULL };
    if (!numbers)
        return;
    v.kinds = (unsigned char *)(numbers + 3 * x->n);
    mark(&v, (bool *)(v.kinds + x->n));
    for (size_t i = x->n; i-- > 0;) /* what is inside comes first */
        if (bytes_equal(x->parts[i].type, BYTES("multipart/alternative")))
            choose(&v, i);
    out->text = numbers;
    out->html = numbers + x->n;
    out->attachments = numbers + 2 * x->n;
    list(&v, TEXT, out->text, &out->n_text);
    list(&v, HTML, out->html, &out->n_html);
    list(&v, OTHER, out->attachments, &out->n_attachments);
}
