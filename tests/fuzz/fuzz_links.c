/* Links of a mail: where all stay the document is what it was, however it is broken; where some are changed, what was
 * put there is found again, and all else is what it was. */
#include "mail/html_links.h"
#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    size_t n;
    bool change;
};

/* A byte that no link that is asked for has: they are in visible ASCII. */
static bool link(void *ctx, struct bytes url, struct buf *out)
{
    struct seen *s = ctx;

    for (size_t i = 0; i < url.n; i++)
        assert(url.p[i] > ' ' && url.p[i] < 0x7F && url.p[i] != '"' && url.p[i] != '<' && url.p[i] != '>');
    assert(bytes_starts_nocase(url, BYTES("http")));
    s->n++;
    if (s->change)
        buf_addc(out, '\x01');
    return s->change;
}

static size_t ones(struct bytes b)
{
    size_t n = 0;

    for (size_t i = 0; i < b.n; i++)
        n += b.p[i] == '\x01';
    return n;
}

static void look(struct bytes in, bool html)
{
    struct seen stay = { 0, false }, go = { 0, true };
    struct link_change how = { link, &stay, 100, 300 };
    struct buf same, changed;

    buf_init(&same, in.n + 10);
    buf_init(&changed, in.n + 10);
    html ? (void)html_links_change(in, &how, NO_BYTES, &same) : text_links_change(in, &how, &same);
    assert(bytes_equal(buf_bytes(&same), in) || !in.n);
    how.ctx = &go;
    html ? (void)html_links_change(in, &how, NO_BYTES, &changed) : text_links_change(in, &how, &changed);
    assert(!changed.overflowed && changed.n <= in.n && go.n <= 100);
    assert(go.n == 0 || ones(buf_bytes(&changed)) >= 1 || bytes_equal(buf_bytes(&changed), in)); /* or it is marked */
    buf_clear(&same);
    buf_clear(&changed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = { size ? (const char *)data : "", size };

    look(in, true);
    look(in, false);
    return 0;
}
