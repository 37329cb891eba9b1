/* HTML made safe: closed, of allowed tags only, in little room too; a second pass changes nothing. And its text, the
 * reply in it, and Markdown on the same bytes. */
#include "base/params.h"
#include "mail/build.h"
#include "mail/html_safe.h"
#include "mail/html_token.h"
#include "mail/markdown.h"
#include "mail/reply.h"
#include "tests/mail/plenty.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool part_url(void *ctx, struct bytes id, struct buf *url)
{
    (void)ctx;
    buf_adds(url, "/part/");
    buf_add(url, id);
    return id.n < 100;
}

static bool is_void(struct bytes name)
{
    return bytes_equal(name, BYTES("br")) || bytes_equal(name, BYTES("hr")) || bytes_equal(name, BYTES("img")) ||
           bytes_equal(name, BYTES("wbr")) || bytes_equal(name, BYTES("col")) || bytes_equal(name, BYTES("style"));
}

static void check(struct bytes html)
{
    struct bytes open[HTML_DEPTH_MOST], text, name, value;
    struct html_tag tag;
    enum html_token token;
    size_t depth = 0;

    while ((token = html_next(&html, &text, &tag)) != HTML_END) {
        if (token == HTML_TEXT)
            continue;
        if (tag.closing) {
            assert(depth && bytes_equal(tag.name, open[depth - 1]));
            depth--;
            continue;
        }
        assert(!bytes_equal_nocase(tag.name, BYTES("script")) && bytes_find(tag.content, '<') == tag.content.n);
        for (struct bytes rest = tag.attributes; html_attribute(&rest, &name, &value);)
            assert(!bytes_starts_nocase(name, BYTES("on")) && !bytes_starts_nocase(value, BYTES("javascript")));
        assert(depth < HTML_DEPTH_MOST || is_void(tag.name));
        if (!is_void(tag.name))
            open[depth++] = tag.name;
    }
    assert(depth == 0);
}

static void make_safe(struct bytes html, size_t room)
{
    const struct html_safe how = { .html = 1 << 20, .depth = 32, .tags = 5000, .remote = true, .part = part_url };
    struct html_safe_found found;
    struct buf once;

    buf_init(&once, room);
    html_safe(html, &how, &once, &found);
    assert(!once.overflowed);
    check(buf_bytes(&once));
    buf_clear(&once);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = { size ? (const char *)data : "", size };
    struct buf out, text;

    make_safe(in, 1 << 22);
    make_safe(in, 7000 + size % 300);
    buf_init(&out, 1 << 22);
    buf_init(&text, 1 << 22);
    html_to_text(in, plenty, &text);
    reply_strip(buf_bytes(&text), &out);
    assert(out.n <= text.n + 1);
    buf_reset(&out);
    if (size < 4096 && markdown_to_html(in, &out))
        make_safe(buf_bytes(&out), 1 << 22);
    buf_clear(&out);
    buf_clear(&text);
    return 0;
}
