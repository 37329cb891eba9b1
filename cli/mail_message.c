/* cli/mail_message.c - what is written of people, parts, attachments and calendars. Content is decoded when it is asked
 * for and lies in the case's arena, so each is decoded once for its size and once for whatever shows it. */
#include "cli/mail_message.h"
#include "base/crypt.h"
#include "mail/address.h"
#include "mail/tnef.h"
#include "service/body/structure.h"

enum { PEOPLE_MOST = 10000 };

static void write_address(struct jw *w, const struct address *who)
{
    jw_object(w);
    jw_key_text(w, "name", who->name);
    jw_key_text(w, "email", who->email);
    if (who->group.p)
        jw_key_text(w, "group", who->group);
    jw_object_end(w);
}

void mail_write_people(struct mail_case *c, const char *name, struct bytes value)
{
    struct address_list list = { 0 };

    if (value.p)
        address_list_parse(value, PEOPLE_MOST, mail_limits_now(), c->a, &list);
    jw_key(c->out, name);
    jw_array(c->out);
    for (size_t i = 0; i < list.n; i++)
        write_address(c->out, &list.list[i]);
    jw_array_end(c->out);
}

struct bytes message_content(struct message *m, int part)
{
    const struct mime_part *p = &m->x->parts[part];
    struct bytes raw = bytes_head(bytes_from(m->bytes, p->body_at), p->end_at - p->body_at), done;
    struct mime_decoder d;
    struct buf out;

    if (p->encoding == MIME_IDENTITY)
        return raw;
    buf_init(&out, MAIL_INPUT_MAX);
    mime_decode_begin(&d, p->encoding);
    mime_decode(&d, raw, &out);
    mime_decode_end(&d, &out);
    done = out.n ? arena_copy(m->c->a, buf_bytes(&out)) : BYTES("");
    buf_clear(&out);
    return done;
}

struct bytes message_text(struct message *m, int part)
{
    struct bytes content = message_content(m, part), done;
    struct buf out;

    buf_init(&out, MAIL_OUTPUT_MAX / 8);
    mime_text(&m->x->parts[part], content, false, &out);
    done = out.n ? arena_copy(m->c->a, buf_bytes(&out)) : BYTES("");
    buf_clear(&out);
    return done;
}

bool message_is_message(const struct message *m, int part)
{
    struct bytes type = m->x->parts[part].type;

    return bytes_equal(type, BYTES("message/rfc822")) || bytes_equal(type, BYTES("message/global"));
}

static bool is_parted(const struct message *m, int part)
{
    size_t next = (size_t)part + 1;

    return next < m->x->n && m->x->parts[next].parent == part;
}

static void write_base64(struct jw *w, const char *name, struct bytes content)
{
    struct buf coded;

    buf_init(&coded, content.n * 2 + 16);
    crypt_to_base64(content, CRYPT_BASE64, &coded);
    jw_key_text(w, name, coded.n ? buf_bytes(&coded) : BYTES(""));
    buf_clear(&coded);
}

static const char *encoding_name(enum mime_encoding encoding)
{
    static const char *const names[] = { "identity", "base64", "quoted-printable", "uuencode" };

    return names[encoding];
}

static void write_content(struct message *m, int part, struct bytes content)
{
    if (bytes_starts(m->x->parts[part].type, BYTES("text/")))
        jw_key_text(m->c->out, "text", message_text(m, part));
    write_base64(m->c->out, "content_base64", content);
}

void message_write_part(struct message *m, int part)
{
    const struct mime_part *p = &m->x->parts[part];
    struct jw *w = m->c->out;
    struct bytes content = is_parted(m, part) ? NO_BYTES : message_content(m, part);

    jw_key_int(w, "index", part);
    jw_key(w, "parent");
    if (p->parent < 0)
        jw_null(w);
    else
        jw_int(w, p->parent);
    jw_key_text(w, "type", p->type);
    jw_key_text(w, "charset", p->charset);
    jw_key_text(w, "encoding", bytes_of(encoding_name(p->encoding)));
    jw_key_text(w, "disposition", p->disposition);
    jw_key_text(w, "filename", p->filename);
    jw_key_text(w, "content_id", p->content_id);
    jw_key_text(w, "boundary", p->boundary);
    jw_key_bool(w, "flowed", p->flowed);
    jw_key_int(w, "header_at", (int64_t)p->header_at);
    jw_key_int(w, "body_at", (int64_t)p->body_at);
    jw_key_int(w, "end_at", (int64_t)p->end_at);
    if (is_parted(m, part))
        return;
    jw_key_int(w, "size", (int64_t)content.n);
    if (mail_flag(m->c, "content"))
        write_content(m, part, content);
}

/* ---- attachments ---- */

struct attached {
    int part;
    struct bytes filename, content_type, content_id, disposition, content;
    bool unpacked;
};

static void write_attachment(struct message *m, const struct attached *f, int index)
{
    struct jw *w = m->c->out;

    jw_object(w);
    jw_key_int(w, "index", index);
    jw_key_int(w, "part", f->part);
    jw_key_bool(w, "unpacked", f->unpacked);
    jw_key_text(w, "filename", f->filename);
    jw_key_text(w, "content_type", f->content_type);
    jw_key_text(w, "content_id", f->content_id);
    jw_key_text(w, "disposition", f->disposition);
    jw_key_int(w, "size", (int64_t)f->content.n);
    if (mail_flag(m->c, "content"))
        write_base64(w, "content_base64", f->content);
    jw_object_end(w);
}

static int write_unpacked(struct message *m, int part, size_t most, int index)
{
    struct tnef t;

    if (!tnef_read(message_content(m, part), most, m->c->a, &t))
        return index;
    for (size_t i = 0; i < t.n; i++) {
        const struct tnef_file *f = &t.files[i];
        const struct attached one = { part,       f->filename, f->content_type, f->content_id, BYTES("attachment"),
                                      f->content, true };

        write_attachment(m, &one, index++);
    }
    return index;
}

void message_write_attachments(struct message *m, const struct mime_view *v, size_t tnef_most)
{
    int index = 0;

    jw_key(m->c->out, "attachments");
    jw_array(m->c->out);
    for (size_t i = 0; i < v->n_attachments; i++) {
        int part = v->attachments[i];
        const struct mime_part *p = &m->x->parts[part];
        const struct attached one = { part,          p->filename,    p->type,
                                      p->content_id, p->disposition, message_content(m, part),
                                      false };

        write_attachment(m, &one, index++);
    }
    for (size_t i = 0; i < v->n_attachments; i++) {
        const struct mime_part *p = &m->x->parts[v->attachments[i]];

        if (tnef_is(p->type, p->filename))
            index = write_unpacked(m, v->attachments[i], tnef_most, index);
    }
    jw_array_end(m->c->out);
}

/* ---- calendars ---- */

/* METHOD stands in the type and in the calendar (RFC 6047 2.4); the first wins. */
static struct bytes method_of(struct message *m, const struct mime_part *p, struct bytes text)
{
    struct bytes header = bytes_head(bytes_from(m->bytes, p->header_at), p->body_at - p->header_at), line;
    struct header h;

    if (header_find(header, "Content-Type", 0, &h)) {
        struct bytes method = header_parameter(h.value, "method", mail_limits_now(), m->c->a);

        if (method.n)
            return method;
    }
    while (text.n) {
        bytes_cut(text, '\n', &line, &text);
        if (bytes_starts_nocase(line, BYTES("METHOD:")))
            return bytes_trim(bytes_from(line, 7));
    }
    return NO_BYTES;
}

void message_write_calendar(struct message *m)
{
    struct jw *w = m->c->out;

    jw_key(w, "calendar");
    jw_array(w);
    for (size_t i = 0; i < m->x->n; i++) {
        const struct mime_part *p = &m->x->parts[i];
        struct bytes text;

        if (!bytes_equal(p->type, BYTES("text/calendar")))
            continue;
        text = message_text(m, (int)i);
        jw_object(w);
        jw_key_int(w, "part", (int64_t)i);
        jw_key_text(w, "method", method_of(m, p, text));
        jw_key_text(w, "text", text);
        jw_object_end(w);
    }
    jw_array_end(w);
}
