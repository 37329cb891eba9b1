/* cli/mail_parse.c - postrider mail parse: all that mail/ understands of a message, as one object.
 *
 * A message inside is an object of the same form in its part, so deep as MESSAGES_MOST. What is too large or broken is
 * shown as far as it goes: there is no message that cannot be parsed. */
#include "base/clock.h"
#include "base/crypt.h"
#include "base/params.h"
#include "cli/mail.h"
#include "cli/mail_message.h"
#include "mail/address.h"
#include "mail/build.h"
#include "mail/reply.h"
#include "service/body/structure.h"

enum { IDS_MOST = 1000, SNIPPET_MOST = 200, MESSAGES_MOST = 12, TNEF_MOST = 1000 };

static const struct flag parse_flags[] = {
    { "content", FLAG_SWITCH, "content", false, "the decoded content of each part: text, or base64" },
    { NULL, FLAG_TEXT, NULL, false, NULL },
};

/* ---- fields ---- */

static struct bytes field(const struct message *m, const char *name)
{
    struct header h;

    return header_find(m->x->header, name, 0, &h) ? h.value : NO_BYTES;
}

static void write_people(struct message *m)
{
    static const char *const fields[][2] = { { "from", "From" }, { "sender", "Sender" }, { "reply_to", "Reply-To" },
                                             { "to", "To" },     { "cc", "Cc" },         { "bcc", "Bcc" } };

    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        mail_write_people(m->c, fields[i][0], field(m, fields[i][1]));
}

static void write_bracketed(struct message *m, const char *name, struct bytes value, bool bare)
{
    size_t n = 0;
    struct bytes *list = value.p ? header_bracketed(value, bare, IDS_MOST, m->c->a, &n) : NULL;

    mail_write_texts(m->c, name, list, n);
}

static void write_lists(struct message *m)
{
    static const char *const fields[][2] = { { "id", "List-Id" },
                                             { "post", "List-Post" },
                                             { "help", "List-Help" },
                                             { "subscribe", "List-Subscribe" },
                                             { "unsubscribe", "List-Unsubscribe" },
                                             { "archive", "List-Archive" },
                                             { "owner", "List-Owner" } };

    jw_key(m->c->out, "list");
    jw_object(m->c->out);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        write_bracketed(m, fields[i][0], field(m, fields[i][1]), false);
    jw_key_bool(m->c->out, "one_click",
                bytes_equal_nocase(bytes_trim(field(m, "List-Unsubscribe-Post")), BYTES("List-Unsubscribe=One-Click")));
    jw_object_end(m->c->out);
}

static void write_fields(struct message *m)
{
    struct jw *w = m->c->out;
    struct bytes rest = m->x->header, date = field(m, "Date");
    struct header h;

    jw_key_text(w, "subject", header_decode(field(m, "Subject"), mail_limits_now(), m->c->a));
    jw_key_time(w, "date", date.p ? header_date(date) : 0);
    write_people(m);
    write_bracketed(m, "message_id", field(m, "Message-ID"), true);
    write_bracketed(m, "in_reply_to", field(m, "In-Reply-To"), true);
    write_bracketed(m, "references", field(m, "References"), true);
    write_lists(m);
    jw_key(w, "headers");
    jw_array(w);
    while (header_next(&rest, &h)) {
        jw_object(w);
        jw_key_text(w, "name", h.name);
        jw_key_text(w, "value", header_decode(h.value, mail_limits_now(), m->c->a));
        jw_object_end(w);
    }
    jw_array_end(w);
}

/* ---- what people see ---- */

static struct bytes joined(struct message *m, const int *parts, size_t n)
{
    struct bytes done = NO_BYTES;
    struct buf out;

    buf_init(&out, MAIL_OUTPUT_MAX / 8);
    for (size_t i = 0; i < n; i++) {
        struct bytes text = message_text(m, parts[i]);

        if (out.n && out.p[out.n - 1] != '\n')
            buf_addc(&out, '\n');
        buf_add(&out, text);
    }
    if (n)
        done = out.n ? arena_copy(m->c->a, buf_bytes(&out)) : BYTES("");
    buf_clear(&out);
    return done;
}

static void write_made(struct message *m, const char *name, void (*make)(struct bytes text, struct buf *out),
                       struct bytes text)
{
    struct buf out;

    buf_init(&out, MAIL_OUTPUT_MAX / 8);
    make(text, &out);
    jw_key_text(m->c->out, name, buf_bytes(&out).p ? buf_bytes(&out) : BYTES(""));
    buf_clear(&out);
}

static void snippet(struct bytes text, struct buf *out)
{
    text_snippet(text, SNIPPET_MOST, out);
}

/* A mail without a text is told by what its HTML says. */
static struct bytes words_of(struct message *m, struct bytes text, struct bytes html)
{
    struct bytes made;
    struct buf out;

    if (bytes_trim(text).n || !html.p)
        return text;
    buf_init(&out, 8 * mail_limits_now().html);
    html_to_text(html, mail_limits_now(), &out);
    made = arena_copy(m->c->a, buf_bytes(&out));
    buf_clear(&out);
    return made;
}

static void write_numbers(struct jw *w, const char *name, const int *list, size_t n)
{
    jw_key(w, name);
    jw_array(w);
    for (size_t i = 0; i < n; i++)
        jw_int(w, list[i]);
    jw_array_end(w);
}

static void write_view(struct message *m, const struct mime_view *v)
{
    struct bytes text = joined(m, v->text, v->n_text), html = joined(m, v->html, v->n_html);
    struct bytes words = words_of(m, text, html);
    struct mime_view body;

    jw_key_text(m->c->out, "text", text);
    jw_key_text(m->c->out, "html", html);
    write_made(m, "stripped_text", reply_strip, words);
    write_made(m, "snippet", snippet, words);
    mime_body(m->x, m->c->a, &body);
    jw_key(m->c->out, "body");
    jw_object(m->c->out);
    write_numbers(m->c->out, "text", body.text, body.n_text);
    write_numbers(m->c->out, "html", body.html, body.n_html);
    write_numbers(m->c->out, "attachments", body.attachments, body.n_attachments);
    jw_object_end(m->c->out);
}

/* ---- one message ---- */

static void write_message(struct mail_case *c, struct bytes bytes, unsigned depth);

static void write_inner(struct message *m, int part, unsigned depth)
{
    jw_key(m->c->out, "message");
    jw_object(m->c->out);
    write_message(m->c, message_content(m, part), depth + 1);
    jw_object_end(m->c->out);
}

static void write_parts(struct message *m, unsigned depth)
{
    jw_key(m->c->out, "parts");
    jw_array(m->c->out);
    for (size_t i = 0; i < m->x->n; i++) {
        bool inner = message_is_message(m, (int)i) && depth < MESSAGES_MOST;

        jw_object(m->c->out);
        message_write_part(m, (int)i);
        if (inner)
            write_inner(m, (int)i, depth);
        jw_object_end(m->c->out);
    }
    jw_array_end(m->c->out);
}

static void write_message(struct mail_case *c, struct bytes bytes, unsigned depth)
{
    struct mime_limits limits = structure_limits();
    struct message m = { .c = c, .bytes = bytes };
    struct mime *mime = NULL;
    struct mime_view v;

    limits.inner_files = true;
    mime = mime_begin(&limits, c->a);
    mime_feed(mime, bytes);
    m.x = mime_end(mime);
    mime_view(m.x, c->a, &v);
    write_fields(&m);
    write_view(&m, &v);
    message_write_attachments(&m, &v, TNEF_MOST);
    message_write_calendar(&m);
    write_parts(&m, depth);
    jw_key_int(c->out, "size", (int64_t)bytes.n);
    jw_key_bool(c->out, "header_cut", m.x->header_cut);
}

static bool parse(struct mail_case *c)
{
    write_message(c, c->value, 0);
    return true;
}

const struct mail_verb mail_verb_parse = { .name = "parse",
                                           .member = "message",
                                           .message = true,
                                           .flags = parse_flags,
                                           .run = parse,
                                           .help = "a message: its fields, what people see of it, its parts" };
