/* service/box/entry_safe.c - what is made of an entry's text and HTML for those who show it: HTML that is inert, and
 * the reply in it. An image that is a part of the mail leads to our own route; others stay away, and are counted. */
#include "base/crypt.h"
#include "base/params.h"
#include "mail/chars.h"
#include "mail/html_safe.h"
#include "mail/reply.h"
#include "service/body/structure.h"
#include "service/box/entry_private.h"

enum { ID_MOST = 256 };

/* A cid: URL has the id with %XX (RFC 2392). */
static bool same_id(struct bytes url, struct bytes id)
{
    char plain[ID_MOST];
    size_t n = 0;

    for (size_t i = 0; i < url.n && n < sizeof plain; i++) {
        int high = url.p[i] == '%' && i + 2 < url.n ? char_hex(url.p[i + 1]) : -1;
        int low = high >= 0 ? char_hex(url.p[i + 2]) : -1;

        plain[n++] = low >= 0 ? (char)(high * 16 + low) : url.p[i];
        i += low >= 0 ? 2 : 0;
    }
    return id.n && bytes_equal((struct bytes){ plain, n }, id);
}

static const struct entry_attachment *part_of(const struct entry_view *v, struct bytes cid)
{
    for (size_t i = 0; i < v->n_attachments; i++)
        if (same_id(cid, v->attachments[i].content_id))
            return &v->attachments[i];
    return NULL;
}

struct linking {
    const struct entry_view *view;
    struct bytes id;
};

static bool part_url(void *ctx, struct bytes cid, struct buf *url)
{
    const struct linking *l = ctx;
    const struct entry_attachment *part = part_of(l->view, cid);

    if (part)
        buf_addf(url, "/v1/entries/%.*s/attachments/%lld", SHOW(l->id), (long long)part->index);
    return part;
}

static struct html_safe safe_limits(void)
{
    return (struct html_safe){ .html = (size_t)PARAM_INT(entry, text_max),
                               .depth = (unsigned)PARAM_INT(html, depth_max),
                               .tags = (unsigned)PARAM_INT(html, tags_max) };
}

static void make_html(struct call *c, struct entry_view *v)
{
    struct linking l = { .view = v, .id = id_text(c->arena, entry_kind.prefix, v->row.id) };
    struct html_safe how = safe_limits();
    struct html_safe_found found;
    struct buf out;

    how.part = part_url;
    how.ctx = &l;
    buf_init(&out, 2 * how.html);
    html_safe(v->html, &how, &out, &found);
    v->html_safe = out.n ? arena_copy(c->arena, buf_bytes(&out)) : BYTES("");
    v->html_blocked = (int64_t)found.blocked;
    v->html_truncated |= found.cut;
    buf_clear(&out);
}

static void make_reply(struct call *c, struct entry_view *v)
{
    struct buf words, out;

    buf_init(&words, 8 * mail_limits_now().html);
    buf_init(&out, (size_t)PARAM_INT(entry, text_max));
    if (bytes_trim(v->text).n || !v->html.p)
        buf_add(&words, v->text);
    else
        html_to_text(v->html, mail_limits_now(), &words);
    reply_strip(buf_bytes(&words), &out);
    v->stripped_text = out.n ? arena_copy(c->arena, buf_bytes(&out)) : BYTES("");
    buf_clear(&words);
    buf_clear(&out);
}

void entry_make(struct call *c, struct entry_view *v)
{
    if (v->html.p)
        make_html(c, v);
    if (v->text.p || v->html.p)
        make_reply(c, v);
}

/* ---- the page ---- */

struct page_writing {
    struct call *c;
    const struct entry_parts *parts;
    const struct entry_view *view;
    size_t room; /* for images, which stand in the page: a frame of no origin may load nothing that needs a key */
};

static bool is_image(struct bytes type)
{
    static const char *const types[] = {
        "image/png", "image/jpeg", "image/jpg", "image/gif", "image/webp", "image/bmp"
    };

    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (bytes_equal(type, bytes_of(types[i])))
            return true;
    return false;
}

static bool data_url(void *ctx, struct bytes cid, struct buf *url)
{
    struct page_writing *p = ctx;
    const struct entry_attachment *a = part_of(p->view, cid);
    struct buf data;
    bool ok;

    if (!a || !is_image(a->content_type) || a->size <= 0 || (size_t)a->size > p->room ||
        (size_t)a->index >= p->parts->view->n_attachments)
        return false;
    buf_init(&data, (size_t)a->size);
    ok = entry_part_read(p->c, p->parts, &p->parts->index->parts[p->parts->view->attachments[a->index]], &data);
    if (ok) {
        buf_addf(url, "data:%.*s;base64,", SHOW(a->content_type));
        crypt_to_base64(buf_bytes(&data), CRYPT_BASE64, url);
        p->room -= (size_t)a->size;
    }
    buf_clear(&data);
    return ok;
}

static void add_text(struct buf *out, struct bytes text)
{
    buf_adds(out, "<div style=\"white-space:pre-wrap;overflow-wrap:anywhere\">");
    html_escape(text, out);
    buf_adds(out, "</div>");
}

void entry_make_page(struct call *c, const struct entry_parts *e, const struct entry_view *v, bool remote,
                     struct buf *out)
{
    struct page_writing page = { .c = c, .parts = e, .view = v, .room = (size_t)PARAM_INT(entry, view_images_max) };
    struct html_safe how = safe_limits();
    struct html_safe_found found;

    buf_adds(out, "<!doctype html><meta charset=\"utf-8\"><title></title>");
    how.remote = remote;
    how.part = data_url;
    how.ctx = &page;
    if (v->html.p)
        html_safe(v->html, &how, out, &found);
    else
        add_text(out, v->text);
}
