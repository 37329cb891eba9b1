#include "mail/address_form.h"
#include "mail/chars.h"
#include "mail/header.h"

struct finding {
    struct bytes *list;
    size_t n, max;
    struct arena *a;
};

/* Ids and URLs may be folded (RFC 5322 4.5.4), but hold no blank. */
static void found(struct finding *f, struct bytes text)
{
    struct bytes done = address_copy(f->a, text);
    char *p = (char *)(uintptr_t)done.p;
    size_t n = 0;

    for (size_t i = 0; i < done.n; i++)
        if (!char_is_blank(p[i]))
            p[n++] = p[i];
    if (n && f->n < f->max && bytes_is_utf8(bytes_head(done, n)))
        f->list[f->n++] = bytes_head(done, n);
}

/* Behind a comment or a quoted word at the front; behind one character where there is none, or none that ends. */
static size_t passed_over(struct bytes in)
{
    char close = in.p[0] == '(' ? ')' : '"';
    size_t depth = 0;

    if (in.p[0] != '(' && in.p[0] != '"')
        return 1;
    for (size_t i = 0; i < in.n; i++) {
        if (in.p[i] == '\\')
            i++;
        else if (in.p[i] == close && i && (close == '"' || --depth == 0))
            return i + 1;
        else if (close == ')' && in.p[i] == '(')
            depth++;
    }
    return in.n;
}

static void find_bracketed(struct finding *f, struct bytes in)
{
    while (in.n && f->n < f->max) {
        size_t end = in.p[0] == '<' ? bytes_find(in, '>') : in.n;

        if (end < in.n)
            found(f, bytes_from(bytes_head(in, end), 1));
        in = bytes_from(in, in.p[0] == '<' ? end + 1 : passed_over(in));
    }
}

static void find_words(struct finding *f, struct bytes in)
{
    while (in.n) {
        size_t n = 0;

        while (n < in.n && !char_is_blank(in.p[n]) && in.p[n] != ',')
            n++;
        if (bytes_find(bytes_head(in, n), '@') < n)
            found(f, bytes_head(in, n));
        in = bytes_from(in, n + 1);
    }
}

struct bytes *header_bracketed(struct bytes value, bool bare, size_t max, struct arena *a, size_t *n)
{
    struct finding f = { .list = arena_try(a, max * sizeof *f.list), .max = max, .a = a };

    if (!f.list)
        f.max = 0;
    else if (bare && bytes_find(value, '<') == value.n)
        find_words(&f, value);
    else
        find_bracketed(&f, value);
    *n = f.n;
    return f.list;
}
