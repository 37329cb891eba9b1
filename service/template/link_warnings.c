#include "service/template/link_warnings.h"
#include "mail/html_token.h"

enum { SHOWN = 200 };

/* A link that leads nowhere from a mail program: empty, relative, or with blanks in it. */
static bool is_broken(struct bytes link)
{
    size_t colon = bytes_find(link, ':');

    if (!link.n || bytes_equal(link, BYTES("#")))
        return true;
    if (link.p[0] == '#')
        return false;
    return colon == link.n || bytes_find(bytes_head(link, colon), '/') < colon || bytes_find(link, ' ') < link.n;
}

static struct rendering_warning broken(struct bytes link, struct arena *a)
{
    return (struct rendering_warning){ "link_broken", arena_bytesf(a, "A link that leads nowhere from a mail: \"%.*s\"",
                                                                   SHOW(bytes_head(link, SHOWN))) };
}

static struct rendering_warning insecure(struct bytes link, struct arena *a)
{
    return (struct rendering_warning){ "link_insecure",
                                       arena_bytesf(a, "A link without TLS: %.*s", SHOW(bytes_head(link, SHOWN))) };
}

size_t link_warnings(struct bytes html, struct arena *a, struct rendering_warning out[LINK_WARNINGS])
{
    bool told_broken = false, told_insecure = false;
    struct html_tag tag;
    struct bytes text;
    enum html_token got;
    size_t n = 0;

    while (n < LINK_WARNINGS && (got = html_next(&html, &text, &tag)) != HTML_END) {
        struct bytes link;

        if (got != HTML_TAG || tag.closing || !tag.href.p || !bytes_equal_nocase(tag.name, BYTES("a")))
            continue;
        link = bytes_trim(tag.href);
        if (is_broken(link) && !told_broken) {
            out[n++] = broken(link, a);
            told_broken = true;
        } else if (!is_broken(link) && bytes_starts_nocase(link, BYTES("http:")) && !told_insecure) {
            out[n++] = insecure(link, a);
            told_insecure = true;
        }
    }
    return n;
}
