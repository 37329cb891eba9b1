/* cli/mail_html.c - postrider mail html: HTML as it is shown, and the text that is made of it. */
#include "base/params.h"
#include "cli/mail.h"
#include "mail/build.h"
#include "mail/html_safe.h"
#include "mail/markdown.h"
#include "service/body/structure.h"

static const struct flag html_flags[] = {
    { "markdown", FLAG_SWITCH, "markdown", false, "it is Markdown: HTML is made of it first" },
    { "images", FLAG_SWITCH, "images", false, "images of other servers stay" },
    { "parts", FLAG_TEXT, "parts", false, "URL that the Content-ID of an image is put behind; without it those go" },
    { NULL, FLAG_TEXT, NULL, false, NULL },
};

static bool part_url(void *ctx, struct bytes id, struct buf *url)
{
    const struct mail_case *c = ctx;

    buf_add(url, mail_text(c, "parts"));
    buf_add(url, id);
    return true;
}

static bool from_markdown(struct mail_case *c, struct buf *out)
{
    buf_init(out, 8 * c->value.n + 65536);
    return markdown_to_html(c->value, out) || err_set(&c->err, ERR_TOO_LARGE, "The Markdown is too large");
}

static void write_text(struct mail_case *c, struct bytes html)
{
    struct buf text;

    buf_init(&text, 8 * mail_limits_now().html);
    html_to_text(html, mail_limits_now(), &text);
    jw_key_text(c->out, "text", text.n ? buf_bytes(&text) : BYTES(""));
    buf_clear(&text);
}

static void write_safe(struct mail_case *c, struct bytes html)
{
    struct html_safe how = { .html = mail_limits_now().html,
                             .depth = (unsigned)PARAM_INT(html, depth_max),
                             .tags = (unsigned)PARAM_INT(html, tags_max),
                             .remote = mail_flag(c, "images"),
                             .ctx = c };
    struct html_safe_found found;
    struct buf out;

    if (mail_text(c, "parts").p)
        how.part = part_url;
    buf_init(&out, 8 * how.html);
    html_safe(html, &how, &out, &found);
    jw_key_text(c->out, "html_safe", out.n ? buf_bytes(&out) : BYTES(""));
    jw_key_int(c->out, "blocked", (int64_t)found.blocked);
    jw_key_bool(c->out, "cut", found.cut);
    buf_clear(&out);
}

static bool run(struct mail_case *c)
{
    bool markdown = mail_flag(c, "markdown");
    struct buf made = { 0 };
    struct bytes html = c->value;

    if (markdown && !from_markdown(c, &made)) {
        buf_clear(&made);
        return false;
    }
    if (markdown) {
        html = buf_bytes(&made);
        jw_key_text(c->out, "html", html.n ? html : BYTES(""));
    }
    write_safe(c, html);
    write_text(c, html);
    buf_clear(&made);
    return true;
}

const struct mail_verb mail_verb_html = { .name = "html",
                                          .member = "html",
                                          .flags = html_flags,
                                          .run = run,
                                          .help = "HTML: what of it is shown, and the text that is made of it" };
