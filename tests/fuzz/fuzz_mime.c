/* A message: indexed at once and in pieces (the same must come out), viewed, decoded, its header fields read. */
#include "base/params.h"
#include "mail/build.h"
#include "mail/mime.h"
#include "tests/mail/plenty.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct mime_limits limits = { .depth = 10,
                                           .parts = 50,
                                           .part_header = 4096,
                                           .top_header = 16384,
                                           .fields = { 65536, 1 << 20 },
                                           .inner_files = true };

static const struct mime_index *index_by(struct bytes message, size_t step, struct arena *a)
{
    struct mime *m = mime_begin(&limits, a);

    for (; message.n; message = bytes_from(message, step))
        mime_feed(m, bytes_head(message, step));
    return mime_end(m);
}

static void read_part(const struct mime_part *p, struct bytes message)
{
    struct mime_decoder d;
    struct buf body, text;

    buf_init(&body, 1 << 20);
    buf_init(&text, 1 << 20);
    mime_decode_begin(&d, p->encoding);
    mime_decode(&d, bytes_head(bytes_from(message, p->body_at), p->end_at - p->body_at), &body);
    mime_decode_end(&d, &body);
    mime_text(p, buf_bytes(&body), false, &text);
    assert(text.overflowed || bytes_is_utf8(buf_bytes(&text)));
    buf_reset(&body);
    html_to_text(buf_bytes(&text), plenty, &body);
    assert(body.overflowed || bytes_is_utf8(buf_bytes(&body)));
    buf_clear(&body);
    buf_clear(&text);
}

static size_t count(const int *list, size_t n, size_t part)
{
    size_t found = 0;

    for (size_t i = 0; i < n; i++)
        found += list[i] == (int)part;
    return found;
}

/* Every leaf stands in one of the lists; a multipart in none, unless it holds text and no parts. */
static size_t is_shown(const struct mime_index *x, size_t i)
{
    const struct mime_part *p = &x->parts[i];
    bool leaf = i + 1 == x->n || x->parts[i + 1].parent != (int)i;

    return leaf && !(bytes_starts(p->type, BYTES("multipart/")) && p->end_at == p->body_at);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    struct bytes message = { size ? (const char *)data : "", size };
    struct arena *a = arena_new(64 << 20);
    const struct mime_index *x = NULL, *y = NULL;
    struct mime_view v;

    if (!ready)
        params_init();
    ready = true;
    x = index_by(message, size ? size : 1, a);
    y = index_by(message, size ? data[0] % 7 + 1u : 1, a);
    assert(x->n == y->n && x->size == size && y->header.n == x->header.n);
    assert(x->header_cut || x->parts[0].body_at >= header_end(message));
    for (size_t i = 0; i < x->n; i++) {
        const struct mime_part *p = &x->parts[i], *q = &y->parts[i];

        assert(p->header_at == q->header_at && p->body_at == q->body_at && p->end_at == q->end_at);
        assert(p->header_at <= p->body_at && p->body_at <= p->end_at && p->end_at <= size);
        assert(bytes_is_utf8(p->filename) && bytes_find(p->filename, '/') == p->filename.n && p->filename.n <= 512);
        assert(p->parent < 0 || p->end_at <= x->parts[p->parent].end_at);
        read_part(p, message);
    }
    mime_view(x, a, &v);
    assert(v.n_text + v.n_html + v.n_attachments <= x->n);
    for (size_t i = 0; i < x->n; i++)
        assert(count(v.text, v.n_text, i) + count(v.html, v.n_html, i) + count(v.attachments, v.n_attachments, i) ==
               is_shown(x, i));
    mime_body(x, a, &v);
    assert(v.n_text <= x->n && v.n_html <= x->n && v.n_attachments <= x->n);
    for (size_t i = 0; i < x->n; i++)
        assert(!is_shown(x, i) ||
               count(v.text, v.n_text, i) + count(v.html, v.n_html, i) + count(v.attachments, v.n_attachments, i) > 0);
    arena_free(&a);
    return 0;
}
