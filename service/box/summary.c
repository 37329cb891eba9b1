/* service/box/summary.c - what lists show of a mail, made once when it is accepted.
 *
 * Every mail pays for this, so each step is bounded: the first bytes of one text part, so many people, so many names.
 * What cannot be found or read is empty, and never an error: a mail is not refused because it cannot be shown well. */
#include "service/box/summary.h"
#include "net/fiber.h"
#include "service/body/structure.h"

/* Raw bytes of the first text part that are looked at: HTML begins with much that nobody sees. Every mail pays for it.
 */
#define SNIPPET_TEXT   600
#define SNIPPET_HTML   8192
#define SNIPPET_SOURCE SNIPPET_HTML

/* The whole value is decoded, then cut: half an encoded word would be shown as it stands. */
struct bytes summary_field(struct bytes header, const char *name, size_t max, struct arena *a)
{
    struct header field;
    struct bytes text;
    size_t n;

    if (!header_find(header, name, 0, &field))
        return NO_BYTES;
    text = header_decode(field.value, mail_limits_now(), a);
    if (text.n <= max)
        return text.p ? text : BYTES("");
    n = max; /* not inside a character */
    while (n > 0 && ((unsigned char)text.p[n] & 0xC0) == 0x80)
        n--;
    return bytes_head(text, n);
}

/* What stands in the first pair of brackets, else the first word. */
static struct bytes raw_id(struct bytes value)
{
    size_t open = bytes_find(value, '<');
    struct bytes in = open < value.n ? bytes_from(value, open + 1) : value;
    size_t n = 0;

    while (n < in.n && in.p[n] != '>' && in.p[n] != '<' && (open < value.n || in.p[n] > ' '))
        n++;
    return bytes_head(in, n);
}

/* In brackets, where one can be read. */
static struct bytes id_of(struct bytes raw, struct arena *a)
{
    struct bytes done = NO_BYTES;
    struct buf id;

    buf_init(&id, SUMMARY_SUBJECT);
    buf_addc(&id, '<');
    for (size_t i = 0; i < raw.n; i++)
        if (raw.p[i] < 0 || raw.p[i] > ' ') /* it may be folded (RFC 5322 4.5.4) */
            buf_addc(&id, raw.p[i]);
    buf_addc(&id, '>');
    if (id.n > 2 && !id.overflowed && bytes_is_utf8(buf_bytes(&id)))
        done = arena_copy(a, buf_bytes(&id));
    buf_clear(&id);
    return done;
}

struct bytes summary_message_id(struct bytes header, struct arena *a)
{
    struct header field;

    return header_find(header, "Message-ID", 0, &field) ? id_of(raw_id(field.value), a) : NO_BYTES;
}

/* In-Reply-To was once any phrase ("Your message of Monday"): a word without brackets is no id for having stood first.
 */
static struct bytes ancestor(struct bytes header, const char *name, struct arena *a)
{
    struct header field;
    struct bytes raw;

    if (!header_find(header, name, 0, &field))
        return NO_BYTES;
    raw = raw_id(field.value);
    if (bytes_find(field.value, '<') == field.value.n && bytes_find(raw, '@') == raw.n)
        return NO_BYTES;
    return id_of(raw, a);
}

static struct bytes thread_root(struct bytes header, struct arena *a)
{
    struct bytes root = ancestor(header, "References", a);

    return root.p ? root : ancestor(header, "In-Reply-To", a);
}

void summary_address(struct jw *w, const struct address *address)
{
    jw_object(w);
    jw_key_text(w, "email", address->email);
    jw_key_text(w, "name", address->name);
    jw_object_end(w);
}

/* The first field of that name only: RFC 5322 allows one. */
void summary_people(struct bytes header, const char *name, size_t max, struct arena *a, struct jw *w)
{
    struct address_list list = { 0 };
    struct header field;

    if (header_find(header, name, 0, &field))
        address_list_parse(field.value, max, mail_limits_now(), a, &list);
    jw_array(w);
    for (size_t i = 0; i < list.n; i++)
        summary_address(w, &list.list[i]);
    jw_array_end(w);
}

static void write_from(struct bytes header, struct arena *a, struct jw *w)
{
    struct address_list list = { 0 };
    struct header field;

    if (header_find(header, "From", 0, &field))
        address_list_parse(field.value, 1, mail_limits_now(), a, &list);
    jw_key(w, "from");
    if (list.n)
        summary_address(w, &list.list[0]);
    else
        jw_null(w);
}

struct bytes summary_people_json(struct bytes header, struct arena *a)
{
    static const char *const lists[][2] = {
        { "reply_to", "Reply-To" }, { "to", "To" }, { "cc", "Cc" }, { "bcc", "Bcc" }
    };
    struct buf out;
    struct jw w;

    buf_init(&out, 1024 * 1024);
    jw_init(&w, &out);
    jw_object(&w);
    write_from(header, a, &w);
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        jw_key(&w, lists[i][0]);
        summary_people(header, lists[i][1], 1000, a, &w);
    }
    jw_object_end(&w);
    return arena_take(a, &out);
}

struct html_job {
    struct bytes html;
    struct buf *out;
};

static void html_work(void *arg)
{
    struct html_job *job = arg;

    html_to_text(job->html, mail_limits_now(), job->out);
}

/* The words a person would see first, in UTF-8. */
static void add_words(const struct mime_part *part, bool html, struct bytes preview, struct buf *out)
{
    size_t end = part->end_at < preview.n ? part->end_at : preview.n;
    struct bytes raw =
        bytes_head(bytes_from(bytes_head(preview, end), part->body_at), html ? SNIPPET_HTML : SNIPPET_TEXT);
    struct buf decoded, text, words;
    struct mime_decoder d;
    struct err ignored = { 0 };

    buf_init(&decoded, 2 * SNIPPET_SOURCE);
    buf_init(&text, 8 * SNIPPET_SOURCE);
    buf_init(&words, 8 * SNIPPET_SOURCE);
    mime_decode_begin(&d, part->encoding);
    mime_decode(&d, raw, &decoded);
    mime_decode_end(&d, &decoded);
    mime_text(part, buf_bytes(&decoded), part->end_at - part->body_at > raw.n, &text);
    if (html) /* the parser's stack and time are not a fiber's; without a free worker the list shows no words */
        offload(POOL_CPU, html_work, &(struct html_job){ buf_bytes(&text), &words }, &ignored);
    text_snippet(buf_bytes(html ? &words : &text), SUMMARY_SNIPPET, out);
    buf_clear(&decoded);
    buf_clear(&text);
    buf_clear(&words);
}

/* Of the text or, where that is empty, the HTML. */
static void snippet_of(const struct mime_index *x, const struct mime_view *view, struct bytes preview, struct buf *out)
{
    if (view->n_text)
        add_words(&x->parts[view->text[0]], false, preview, out);
    if (out->n == 0 && view->n_html)
        add_words(&x->parts[view->html[0]], true, preview, out);
}

static void write_attachments(const struct mime_index *x, const struct mime_view *view, struct jw *w)
{
    jw_key_int(w, "attachment_count", (int64_t)view->n_attachments);
    jw_key(w, "attachments");
    jw_array(w);
    for (size_t i = 0; i < view->n_attachments && i < SUMMARY_NAMES; i++) {
        struct bytes name = x->parts[view->attachments[i]].filename;
        struct buf shown;

        buf_init(&shown, SUMMARY_NAME_MAX);
        mime_filename(name, SUMMARY_NAME_MAX, &shown);
        if (shown.n)
            jw_text(w, buf_bytes(&shown));
        buf_clear(&shown);
    }
    jw_array_end(w);
}

void summary_make(const struct mime_index *x, struct bytes preview, struct arena *a, struct summary *out)
{
    struct mime_view view;
    struct header date;
    struct buf json, snippet;
    struct jw w;

    mime_view(x, a, &view);
    buf_init(&snippet, SUMMARY_SNIPPET + 4);
    buf_init(&json, SUMMARY_MAX);
    snippet_of(x, &view, preview, &snippet);
    out->header_message_id = summary_message_id(x->header, a);
    out->thread_root = thread_root(x->header, a);
    out->subject = summary_field(x->header, "Subject", SUMMARY_SUBJECT, a);
    out->sent_at = header_find(x->header, "Date", 0, &date) ? header_date(date.value) : 0;
    jw_init(&w, &json);
    jw_object(&w);
    write_from(x->header, a, &w);
    jw_key(&w, "to");
    summary_people(x->header, "To", SUMMARY_PEOPLE, a, &w);
    jw_key_text(&w, "subject", out->subject);
    jw_key_text(&w, "snippet", buf_bytes(&snippet));
    jw_key_text(&w, "header_message_id", out->header_message_id);
    write_attachments(x, &view, &w);
    jw_object_end(&w);
    out->json = json.overflowed ? BYTES("{}") : arena_copy(a, buf_bytes(&json));
    buf_clear(&json);
    buf_clear(&snippet);
}

static struct bytes copy_text(struct json_object *o, const char *name, struct arena *a)
{
    return arena_copy(a, json_text(o, name));
}

static struct bytes copy_json(struct json_object *o, const char *name, struct arena *a, struct bytes otherwise)
{
    struct json_object *member = json_member(o, name);
    struct buf out;
    struct jw w;

    if (!member)
        return otherwise;
    buf_init(&out, 2 * SUMMARY_MAX);
    jw_init(&w, &out);
    jw_tree(&w, member);
    return arena_take(a, &out);
}

void summary_read(struct bytes json, struct arena *a, struct entry_view *out)
{
    struct json_object *o = NULL;
    struct err ignored = { 0 };

    out->to = out->cc = out->reply_to = BYTES("[]");
    if (!json.n || !json_read(json, &o, &ignored))
        return;
    out->from = copy_json(o, "from", a, NO_BYTES);
    out->to = copy_json(o, "to", a, BYTES("[]"));
    out->subject = copy_text(o, "subject", a);
    out->snippet = copy_text(o, "snippet", a);
    out->header_message_id = copy_text(o, "header_message_id", a);
    if (json_member(o, "attachment_count"))
        out->attachment_count = json_object_get_int64(json_member(o, "attachment_count"));
    json_object_put(o);
}
