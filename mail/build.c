/* mail/build.c - a mail from a request, in one run from the first header line to the last boundary.
 *
 * The nesting is decided before anything is written, by what there is. The boundary is made of the Message-ID and the
 * date, so the same request gives the same bytes, and it is looked for in all that goes in unencoded. What cannot be
 * written is refused with the field's name; nothing is silently left out. */
#include "mail/build.h"
#include "base/clock.h"
#include "mail/build_body.h"
#include "mail/calendar.h"
#include "mail/chars.h"
#include "mail/mime.h"

/* The nesting (RFC 2046 5.1, RFC 2387): mixed { alternative { text, AMP, related { html, inline parts }, calendar },
 * attachments }, each level only where it is needed. Of alternatives the last is the best that there is; AMP stands
 * before the HTML, since programs that do not know it may show what comes last. */
enum level { MIXED, ALTERNATIVE, RELATED, LEVELS };

enum { BOUNDARY_TEXT = 32, HEADER_LINE_MAX = 1 << 20 };

struct writing {
    const struct compose *c;
    struct buf *out;
    struct err *e;
    struct bytes text;     /* given, or made from html */
    struct bytes calendar; /* as it is sent */
    char boundary[LEVELS][BOUNDARY_TEXT];
    size_t n_inline, n_attached;
};

static bool refuse(struct err *e, const char *field, size_t i)
{
    return i == SIZE_MAX ? err_set(e, ERR_INVALID, "%s cannot be written in a mail", field)
                         : err_set(e, ERR_INVALID, "%s[%zu] cannot be written in a mail", field, i);
}

static bool write_addresses(struct writing *w, const char *name, const struct address *list, size_t n)
{
    struct buf line;
    bool ok = true;

    if (n == 0)
        return true;
    buf_init(&line, HEADER_LINE_MAX);
    for (size_t i = 0; i < n && ok; i++) {
        if (bytes_has_ctl_line(list[i].email) || bytes_has_ctl_line(list[i].name) || list[i].email.n == 0) {
            ok = refuse(w->e, name, i);
            break;
        }
        if (i)
            buf_adds(&line, ", ");
        address_write(&line, &list[i]);
    }
    if (ok && (line.overflowed || !header_write_raw(w->out, bytes_of(name), buf_bytes(&line))))
        ok = refuse(w->e, name, SIZE_MAX);
    buf_clear(&line);
    return ok;
}

static bool write_raw(struct writing *w, const char *name, struct bytes value)
{
    return value.n == 0 || header_write_raw(w->out, bytes_of(name), value) || refuse(w->e, name, SIZE_MAX);
}

static bool write_extra(struct writing *w)
{
    for (size_t i = 0; i < w->c->n_headers; i++) {
        const struct named_value *h = &w->c->headers[i];

        if (!header_write_given(w->out, h->name, h->value))
            return refuse(w->e, "headers", i);
    }
    return true;
}

static bool write_header(struct writing *w)
{
    const struct compose *c = w->c;
    char date[CLOCK_TEXT + 8];

    if (!write_addresses(w, "From", &c->from, 1) || !write_addresses(w, "To", c->to, c->n_to) ||
        !write_addresses(w, "Cc", c->cc, c->n_cc) || !write_addresses(w, "Reply-To", c->reply_to, c->n_reply_to))
        return false;
    if (!header_write(w->out, BYTES("Subject"), c->subject.p ? c->subject : BYTES("")))
        return refuse(w->e, "subject", SIZE_MAX);
    if (c->date)
        buf_addf(w->out, "Date: %.*s\r\n", SHOW(clock_rfc5322(c->date, date)));
    if (!write_raw(w, "Message-ID", c->message_id) || !write_raw(w, "In-Reply-To", c->in_reply_to) ||
        !write_raw(w, "References", c->references) || !write_extra(w))
        return false;
    buf_adds(w->out, "MIME-Version: 1.0\r\n");
    return true;
}

static bool is_message(struct bytes type)
{
    return bytes_starts_nocase(type, BYTES("message/"));
}

static bool is_inline(const struct compose *c, const struct attachment *a)
{
    return c->html.p && a->content_id.n &&
           (a->disposition.n == 0 || bytes_equal_nocase(a->disposition, BYTES("inline")));
}

/* RFC 2046 5.2.1: message/rfc822 has no encoding; it goes as it is or, where that cannot be, as a file. */
static bool goes_as_is(const struct attachment *a)
{
    return is_message(a->content_type) && body_is_7bit(a->content);
}

static bool occurs(struct bytes in, const char *boundary)
{
    return in.p && memmem(in.p, in.n, boundary, strlen(boundary));
}

/* Encoded bodies never hold "=_"; what goes as it is gets searched. */
static bool boundary_clashes(const struct writing *w, const char *boundary)
{
    if (occurs(w->text, boundary) || occurs(w->c->html, boundary) || occurs(w->c->amp_html, boundary) ||
        occurs(w->calendar, boundary))
        return true;
    for (size_t i = 0; i < w->c->n_attachments; i++)
        if (goes_as_is(&w->c->attachments[i]) && occurs(w->c->attachments[i].content, boundary))
            return true;
    return false;
}

static uint64_t hash(struct bytes b, uint64_t h) /* FNV-1a */
{
    for (size_t i = 0; i < b.n; i++)
        h = (h ^ (unsigned char)b.p[i]) * 0x100000001B3u;
    return h;
}

static void choose_boundaries(struct writing *w)
{
    uint64_t h = hash(w->c->message_id, 0xCBF29CE484222325u ^ (uint64_t)w->c->date);
    char common[BOUNDARY_TEXT - 8];

    do {
        h = hash(BYTES("boundary"), h);
        snprintf(common, sizeof common, "=_%016llx", (unsigned long long)h);
    } while (boundary_clashes(w, common));
    for (int i = 0; i < LEVELS; i++)
        snprintf(w->boundary[i], sizeof w->boundary[i], "%s_%c", common, "mar"[i]);
}

static void begin_level(struct writing *w, enum level level)
{
    static const char *const types[] = { "multipart/mixed", "multipart/alternative",
                                         "multipart/related; type=\"text/html\"" };

    buf_addf(w->out, "Content-Type: %s;\r\n boundary=\"%s\"\r\n\r\n", types[level], w->boundary[level]);
}

static void next_part(struct writing *w, enum level level)
{
    buf_addf(w->out, "--%s\r\n", w->boundary[level]);
}

static void end_level(struct writing *w, enum level level)
{
    buf_addf(w->out, "--%s--\r\n", w->boundary[level]);
}

/* `more`: parameters behind the charset. */
static void write_typed_part(struct writing *w, const char *type, struct bytes text, struct bytes more)
{
    enum body_encoding encoding = body_encoding_for(text);

    buf_addf(w->out, "Content-Type: %s; charset=utf-8%.*s\r\nContent-Transfer-Encoding: %s\r\n\r\n", type, SHOW(more),
             body_encoding_name(encoding));
    body_write_text(text, encoding, w->out);
}

static void write_text_part(struct writing *w, const char *type, struct bytes text)
{
    write_typed_part(w, type, text, NO_BYTES);
}

static bool disposition_ok(struct bytes d)
{
    return d.n == 0 || bytes_equal_nocase(d, BYTES("inline")) || bytes_equal_nocase(d, BYTES("attachment"));
}

static bool id_ok(struct bytes id)
{
    for (size_t i = 0; i < id.n; i++)
        if (id.p[i] <= ' ' || id.p[i] >= 0x7F || id.p[i] == '<' || id.p[i] == '>')
            return false;
    return id.n <= 255;
}

static bool part_header(struct writing *w, const struct attachment *a, struct bytes type, bool as_is)
{
    struct bytes id = a->content_id, filename = a->filename;
    struct buf value;
    bool ok = false;

    if (id.n > 2 && id.p[0] == '<' && id.p[id.n - 1] == '>')
        id = (struct bytes){ id.p + 1, id.n - 2 };
    buf_init(&value, 64 * 1024);
    buf_add(&value, type);
    if (filename.n && !media_type_has(type, "name"))
        header_write_parameter(&value, "name", filename);
    ok = id_ok(id) && disposition_ok(a->disposition) && !bytes_has_ctl_line(filename) && filename.n <= 4096 &&
         header_write_raw(w->out, BYTES("Content-Type"), buf_bytes(&value));
    buf_reset(&value);
    buf_add(&value, a->disposition.n ? a->disposition : is_inline(w->c, a) ? BYTES("inline") : BYTES("attachment"));
    if (filename.n)
        header_write_parameter(&value, "filename", filename);
    ok = ok && header_write_raw(w->out, BYTES("Content-Disposition"), buf_bytes(&value));
    buf_clear(&value);
    if (id.n && ok)
        buf_addf(w->out, "Content-ID: <%.*s>\r\n", SHOW(id));
    buf_addf(w->out, "Content-Transfer-Encoding: %s\r\n\r\n", as_is ? "7bit" : "base64");
    return ok;
}

static bool write_attachment(struct writing *w, size_t i)
{
    const struct attachment *a = &w->c->attachments[i];
    bool as_is = goes_as_is(a);
    struct bytes type = a->content_type.n ? a->content_type : bytes_of(media_type_by_name(a->filename));

    if (!media_type_ok(type) || bytes_starts_nocase(type, BYTES("multipart/"))) /* one would need parts */
        return refuse(w->e, "attachments.content_type", i);
    if (is_message(type) && !as_is)
        type = BYTES("application/octet-stream");
    if (!part_header(w, a, type, as_is))
        return refuse(w->e, "attachments", i);
    if (as_is)
        buf_add(w->out, a->content);
    else
        body_write_base64(a->content, w->out);
    return true;
}

static bool write_attachments(struct writing *w, enum level level, bool inlined)
{
    for (size_t i = 0; i < w->c->n_attachments; i++) {
        if (is_inline(w->c, &w->c->attachments[i]) != inlined)
            continue;
        next_part(w, level);
        if (!write_attachment(w, i))
            return false;
    }
    return true;
}

static bool write_html(struct writing *w)
{
    if (w->n_inline == 0) {
        write_text_part(w, "text/html", w->c->html);
        return true;
    }
    begin_level(w, RELATED);
    next_part(w, RELATED);
    write_text_part(w, "text/html", w->c->html);
    if (!write_attachments(w, RELATED, true))
        return false;
    end_level(w, RELATED);
    return true;
}

/* RFC 6047 2.4: the method stands in the type too. */
static void write_calendar(struct writing *w)
{
    char method[64];

    snprintf(method, sizeof method, "; method=%.*s", SHOW(w->c->calendar.method));
    write_typed_part(w, "text/calendar", w->calendar, bytes_of(method));
}

/* How many forms of the same there are. */
static unsigned alternatives(const struct writing *w)
{
    const struct compose *c = w->c;

    return (w->text.p || c->html.p ? 1U : 0U) + (c->amp_html.p ? 1U : 0U) + (c->html.p ? 1U : 0U) +
           (w->calendar.p ? 1U : 0U);
}

static bool write_alternatives(struct writing *w)
{
    begin_level(w, ALTERNATIVE);
    if (w->text.p || w->c->html.p) {
        next_part(w, ALTERNATIVE);
        write_text_part(w, "text/plain", w->text);
    }
    if (w->c->amp_html.p) {
        next_part(w, ALTERNATIVE);
        write_text_part(w, "text/x-amp-html", w->c->amp_html);
    }
    if (w->c->html.p) {
        next_part(w, ALTERNATIVE);
        if (!write_html(w))
            return false;
    }
    if (w->calendar.p) {
        next_part(w, ALTERNATIVE);
        write_calendar(w);
    }
    end_level(w, ALTERNATIVE);
    return true;
}

static bool write_body(struct writing *w)
{
    if (alternatives(w) > 1)
        return write_alternatives(w);
    if (w->calendar.p)
        write_calendar(w);
    else
        write_text_part(w, "text/plain", w->text);
    return true;
}

/* Not text/calendar: programs act on one of the two only. */
static bool write_invite(struct writing *w)
{
    const struct attachment file = { .filename = BYTES("invite.ics"), .disposition = BYTES("attachment") };

    next_part(w, MIXED);
    if (!part_header(w, &file, BYTES("application/ics"), false))
        return false;
    body_write_base64(w->calendar, w->out);
    return true;
}

static bool write_all(struct writing *w)
{
    if (!write_header(w))
        return false;
    if (w->n_attached == 0 && !w->calendar.p)
        return write_body(w);
    begin_level(w, MIXED);
    next_part(w, MIXED);
    if (!write_body(w) || !write_attachments(w, MIXED, false) || (w->calendar.p && !write_invite(w)))
        return false;
    end_level(w, MIXED);
    return true;
}

bool compose_write(const struct compose *c, struct buf *out, struct err *e)
{
    struct writing w = { .c = c, .out = out, .e = e, .text = c->text };
    struct buf made, calendar;
    bool ok = false;

    buf_init(&made, c->limits.html * 4);
    buf_init(&calendar, out->max);
    if (c->calendar.content.p) {
        calendar_write(c->calendar.content, c->calendar.method, &calendar);
        w.calendar = buf_bytes(&calendar);
    }
    if (!c->text.p && c->html.p) {
        html_to_text(c->html, c->limits, &made);
        w.text = buf_bytes(&made);
    }
    for (size_t i = 0; i < c->n_attachments; i++) {
        if (is_inline(c, &c->attachments[i]))
            w.n_inline++;
        else
            w.n_attached++;
    }
    if (alternatives(&w) > 1 || w.n_attached || w.calendar.p)
        choose_boundaries(&w);
    ok = write_all(&w);
    if (ok && (out->overflowed || calendar.overflowed))
        ok = err_set(e, ERR_TOO_LARGE, "The message is over %zu bytes", out->max);
    buf_clear(&made);
    buf_clear(&calendar);
    return ok;
}
