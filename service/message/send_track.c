/* service/message/send_track.c - tracking of a mail that we compose: which of it is asked for, and the links and the
 * picture by which it is done. A whole mail that is handed in is never touched.
 *
 * The request's own word goes before its stream's, each member for itself. Links that lead to us already stay as they
 * are, and so does where one unsubscribes: a reader who wants no more of it is not to be followed there. */
#include "base/params.h"
#include "mail/html_links.h"
#include "service/body/structure.h"
#include "service/core/public_url.h"
#include "service/identity/stream.h"
#include "service/message/message_private.h"
#include "service/queue/public_token.h"

/* ---- what is asked for ---- */

static const struct {
    const char *name;
    int64_t bits;
} clicks[] = {
    { "none", 0 },
    { "html", TRACKING_HTML },
    { "text", TRACKING_TEXT },
    { "both", TRACKING_HTML | TRACKING_TEXT },
};

static int64_t said_by_stream(const struct stream_row *row)
{
    struct stream_tracking said = stream_tracking_of(row);

    return (said.opens ? TRACKING_OPENS : 0) | (said.clicks_html ? TRACKING_HTML : 0) |
           (said.clicks_text ? TRACKING_TEXT : 0);
}

/* What the request does not say is as in `bits`. */
static int64_t said_by_request(const struct tracking_said *said, int64_t bits)
{
    if (said->opens_said)
        bits = (bits & ~TRACKING_OPENS) | (said->opens ? TRACKING_OPENS : 0);
    for (size_t i = 0; said->clicks.p && i < sizeof clicks / sizeof *clicks; i++)
        if (bytes_equal(said->clicks, bytes_of(clicks[i].name)))
            bits = (bits & TRACKING_OPENS) | clicks[i].bits;
    return bits;
}

void tracking_show(struct jw *w, int64_t bits)
{
    jw_object(w);
    jw_key_bool(w, "opens", bits & TRACKING_OPENS);
    for (size_t i = 0; i < sizeof clicks / sizeof *clicks; i++)
        if (clicks[i].bits == (bits & ~TRACKING_OPENS))
            jw_key_text(w, "clicks", bytes_of(clicks[i].name));
    jw_object_end(w);
}

bool send_tracking(struct call *c, struct sending *s)
{
    s->tracking = said_by_request(&s->in->tracking, said_by_stream(&s->stream));
    return !s->tracking || public_url_of_links(c, &s->links);
}

/* ---- links of ours ---- */

struct tracking {
    struct call *call;
    const struct sending *s;
};

static void add_token(const struct tracking *t, enum public_kind kind, struct bytes text, struct buf *out)
{
    const struct public_token token = {
        .kind = kind, .several = t->s->n > 1, .account = t->call->account, .message = t->s->message, .text = text
    };

    public_token_write(t->call->svc, &token, out);
}

/* Below one of our own beginnings: a token, or a page of ours. */
static bool is_ours(const struct sending *s, struct bytes url)
{
    const struct bytes own[] = { s->links, public_url() };
    static const struct bytes below[] = { BYTES_ROW("/t/"), BYTES_ROW("/u/") };

    for (size_t i = 0; i < 2; i++)
        for (size_t k = 0; own[i].p && k < 2; k++)
            if (bytes_starts(url, own[i]) && bytes_starts(bytes_from(url, own[i].n), below[k]))
                return true;
    return false;
}

/* Is it named in a List-Unsubscribe field (RFC 2369 3.2)? */
static bool unsubscribes(const struct compose *m, struct bytes url)
{
    for (size_t i = 0; i < m->n_headers; i++) {
        struct bytes rest = m->headers[i].value, one;

        if (!bytes_equal_nocase(m->headers[i].name, BYTES("List-Unsubscribe")))
            continue;
        while (bytes_cut(rest, '<', &one, &rest) && bytes_cut(rest, '>', &one, &rest))
            if (bytes_equal(bytes_trim(one), url))
                return true;
    }
    return false;
}

static bool change_link(void *ctx, struct bytes url, struct buf *out)
{
    const struct tracking *t = ctx;

    if (is_ours(t->s, url) || unsubscribes(&t->s->mail, url))
        return false;
    buf_addf(out, "%.*s/t/c/", SHOW(t->s->links));
    add_token(t, PUBLIC_CLICK, url, out);
    return true;
}

static void write_point(const struct tracking *t, struct buf *out)
{
    buf_addf(out, "<img src=\"%.*s/t/o/", SHOW(t->s->links));
    add_token(t, PUBLIC_OPEN, NO_BYTES, out);
    buf_adds(out, ".gif\" width=\"1\" height=\"1\" alt=\"\" style=\"border:0\">");
}

/* ---- the mail ---- */

static void track_html(struct tracking *t, const struct link_change *how, struct compose *m, struct buf *out)
{
    struct link_change none = *how;
    struct buf point;

    if (!(t->s->tracking & TRACKING_HTML))
        none.links_max = 0;
    buf_init(&point, 4096);
    if (t->s->tracking & TRACKING_OPENS)
        write_point(t, &point);
    html_links_change(m->html, &none, buf_bytes(&point), out);
    buf_clear(&point);
    m->html = buf_bytes(out);
}

/* A text that is made from the HTML has the links of before. */
static void track_text(const struct link_change *how, struct compose *m, struct tracked_parts *out)
{
    if (!m->text.p)
        return;
    text_links_change(m->text, how, &out->text);
    m->text = buf_bytes(&out->text);
}

static void make_text(struct compose *m, struct buf *out)
{
    if (m->text.p || !m->html.p)
        return;
    html_to_text(m->html, m->limits, out);
    m->text = out->n ? buf_bytes(out) : BYTES("");
}

void send_track(struct call *c, const struct sending *s, struct compose *m, struct tracked_parts *out)
{
    size_t most = (size_t)PARAM_INT(message, size_max);
    struct tracking t = { .call = c, .s = s };
    const struct link_change how = { .link = change_link,
                                     .ctx = &t,
                                     .links_max = (size_t)PARAM_INT(tracking, links_max),
                                     .url_max = (size_t)PARAM_INT(tracking, url_max) };

    buf_init(&out->html, most);
    buf_init(&out->text, most);
    buf_init(&out->made, m->limits.html * 4);
    make_text(m, &out->made);
    if (s->tracking & TRACKING_TEXT)
        track_text(&how, m, out);
    if (m->html.p && s->tracking & (TRACKING_HTML | TRACKING_OPENS))
        track_html(&t, &how, m, &out->html);
}

void tracked_parts_clear(struct tracked_parts *p)
{
    buf_clear(&p->html);
    buf_clear(&p->text);
    buf_clear(&p->made);
}
