/* api/form.c - see form.h. A part that is none of ours is told and passed over, so that all faults are told at once;
 * what cannot be told apart any more, or is too much, ends the reading.
 *
 * What was made by a client's library differs by its boundary each time: so what an Idempotency-Key is compared by is
 * written behind the contents, of what the parts say. */
#include "api/form.h"
#include "api/private.h"
#include "api/request.h"
#include "base/params.h"
#include "http/multipart.h"
#include "mail/header.h"
#include "service/body/structure.h"
#include "service/message/send_check.h"

struct reading {
    struct request *r;
    struct multipart m;
    struct buf pending; /* came, and could not be told apart yet */
    size_t message_at, message_n;
    size_t n;        /* parts that have begun */
    size_t attached; /* bytes of all attachments */
    bool has_message;
    struct form_part *attachment; /* the part at hand, or NULL */
    bool in_message;
};

/* ---- the header of a part ---- */

static struct bytes field_of(struct bytes header, const char *name)
{
    struct header found;

    return header_find(header, name, 0, &found) ? found.value : NO_BYTES;
}

/* As browsers write a quotation mark in a name (HTML, multipart/form-data encoding). */
static struct bytes unquote(struct arena *a, struct bytes name)
{
    char *out = arena_alloc(a, name.n + 1);
    size_t n = 0;

    for (size_t i = 0; i < name.n; n++) {
        bool quote = bytes_starts(bytes_from(name, i), BYTES("%22"));

        out[n] = quote ? '"' : name.p[i];
        i += quote ? 3 : 1;
    }
    return name.p ? (struct bytes){ out, n } : NO_BYTES;
}

/* RFC 7578 4.7: what is not sent as it is would be sent on as if it were. */
static bool is_encoded(struct call *c, struct bytes header)
{
    struct bytes how = field_of(header, "Content-Transfer-Encoding"), coding = header_token(how, c->arena);

    return how.p && !bytes_equal(coding, BYTES("7bit")) && !bytes_equal(coding, BYTES("8bit")) &&
           !bytes_equal(coding, BYTES("binary"));
}

static bool is_repeated(struct bytes header)
{
    return header_count(header, "Content-Disposition") > 1 || header_count(header, "Content-Type") > 1 ||
           header_count(header, "Content-Transfer-Encoding") > 1 || header_count(header, "Content-ID") > 1;
}

static void message_begin(struct reading *f, struct bytes header)
{
    struct call *c = &f->r->call;
    struct bytes type = field_of(header, "Content-Type"), token = header_token(type, c->arena);

    if (f->has_message) {
        call_fault(c, "/message", "repeated", "There is one part message");
        return;
    }
    if (type.p && !bytes_equal(token, BYTES("application/json")) && !bytes_equal(token, BYTES("text/plain")))
        call_fault(c, "/message", "invalid_content_type", "The part message is application/json");
    f->has_message = f->in_message = true;
    f->message_at = f->r->x->in.n;
}

static bool attachment_begin(struct reading *f, struct bytes header, struct bytes disposition)
{
    struct call *c = &f->r->call;
    struct form *form = &f->r->form;
    const char *where = arena_printf(c->arena, "/attachment/%zu", form->n);

    if (!form->parts)
        form->parts = arena_array(c->arena, SEND_ATTACHMENTS_MAX + 1, sizeof *form->parts);
    f->attachment = &form->parts[form->n++];
    *f->attachment = (struct form_part){
        .filename = unquote(c->arena, header_parameter(disposition, "filename", mail_limits_now(), c->arena)),
        .content_type = arena_copy(c->arena, field_of(header, "Content-Type")),
        .content_id = arena_copy(c->arena, field_of(header, "Content-ID")),
        .at = f->r->x->in.n,
    };
    if (!f->attachment->filename.n)
        call_fault(c, arena_printf(c->arena, "%s/filename", where), "required",
                   "Content-Disposition of an attachment says its filename");
    if (is_encoded(c, header))
        call_fault(c, where, "not_allowed", "A part is sent as it is, without Content-Transfer-Encoding");
    return true;
}

static bool part_begin(struct reading *f, struct bytes header)
{
    struct call *c = &f->r->call;
    struct bytes disposition = field_of(header, "Content-Disposition");
    struct bytes name = header_parameter(disposition, "name", mail_limits_now(), c->arena);

    f->attachment = NULL;
    f->in_message = false;
    if (++f->n > SEND_ATTACHMENTS_MAX + 1) {
        call_fault(c, "/attachment", "too_many", "At most %d attachments", SEND_ATTACHMENTS_MAX);
        return call_check(c);
    }
    if (is_repeated(header) || !bytes_equal(header_token(disposition, c->arena), BYTES("form-data")) || !name.p) {
        f->m.why = "A part says Content-Disposition: form-data, with its name, once";
        return false;
    }
    if (bytes_equal(name, BYTES("message")))
        message_begin(f, header);
    else if (bytes_equal(name, BYTES("attachment")))
        return attachment_begin(f, header, disposition);
    else
        call_fault(c, arena_printf(c->arena, "/%.*s", SHOW(bytes_head(name, 100))), "unknown_field",
                   "The parts are one message and any number of attachment");
    return true;
}

/* ---- the parts as they come ---- */

static bool part_data(struct reading *f, struct bytes data)
{
    struct request *r = f->r;
    size_t most = (size_t)PARAM_INT(message, size_max);

    if (!f->attachment && !f->in_message)
        return true;
    if (f->attachment && data.n > most - f->attached)
        return err_set(&r->call.err, ERR_TOO_LARGE, "With /attachment/%zu the attachments have more than %zu bytes",
                       r->form.n - 1, most);
    if (!exchange_keep(r->x, data, &r->call.err))
        return false;
    if (f->attachment) {
        f->attached += data.n;
        f->attachment->n += data.n;
    } else {
        f->message_n += data.n;
    }
    return true;
}

static bool malformed(struct reading *f)
{
    if (f->r->call.err.code) /* told already */
        return false;
    f->r->malformed = true;
    return err_set(&f->r->call.err, ERR_BAD_JSON, "%s", f->m.why);
}

/* Takes what has come as far as it can be told apart. */
static bool take(struct reading *f)
{
    size_t at = 0, used;

    for (;; at += used) {
        struct bytes out;
        enum multipart_event event = multipart_next(&f->m, bytes_from(buf_bytes(&f->pending), at), &used, &out);
        bool good = event != MULTIPART_BAD;

        if (event == MULTIPART_HEADER)
            good = part_begin(f, out);
        else if (event == MULTIPART_DATA)
            good = part_data(f, out);
        if (!good)
            return malformed(f);
        if (event == MULTIPART_MORE)
            break;
    }
    buf_drop_front(&f->pending, at + used);
    return true;
}

static bool read_parts(struct reading *f)
{
    struct request *r = f->r;
    struct bytes piece;

    do {
        if (!exchange_piece(r->x, &piece, &r->call.err))
            return false;
        buf_add(&f->pending, piece);
        if (!take(f))
            return false;
    } while (piece.n);
    if (!multipart_closed(&f->m)) {
        f->m.why = "The body ends before its last boundary";
        return malformed(f);
    }
    return true;
}

/* ---- the whole ---- */

static void say(struct buf *out, const char *name, struct bytes value)
{
    buf_addf(out, "%s %zu:%.*s\n", name, value.n, SHOW(value));
}

/* What the contents alone do not say. */
static bool add_description(struct reading *f)
{
    struct request *r = f->r;
    struct buf text;
    bool good;

    buf_init(&text, r->x->in_max);
    buf_addf(&text, "\nmessage %zu\n", f->message_n);
    for (size_t i = 0; i < r->form.n; i++) {
        say(&text, "filename", r->form.parts[i].filename);
        say(&text, "type", r->form.parts[i].content_type);
        say(&text, "id", r->form.parts[i].content_id);
        buf_addf(&text, "size %zu\n", r->form.parts[i].n);
    }
    good = exchange_keep(r->x, buf_bytes(&text), &r->call.err);
    buf_clear(&text);
    return good;
}

struct bytes form_content(const struct request *r, const struct form_part *p)
{
    return bytes_head(bytes_from(buf_bytes(&r->x->in), p->at), p->n);
}

bool form_read(struct request *r)
{
    struct reading f = { .r = r };
    struct bytes boundary = header_parameter(r->content_type, "boundary", mail_limits_now(), r->call.arena);
    bool good;

    f.m.why = "Content-Type of a form says its boundary";
    buf_init(&r->x->in, 2 * r->x->in_max);
    buf_init(&f.pending, (size_t)PARAM_INT(api, part_header_max) + r->x->in_max);
    good = multipart_init(&f.m, boundary, (size_t)PARAM_INT(api, part_header_max)) ? read_parts(&f) : malformed(&f);
    buf_clear(&f.pending);
    if (!good || (r->key.p && !add_description(&f)))
        return false;
    if (f.has_message)
        r->json = bytes_head(bytes_from(buf_bytes(&r->x->in), f.message_at), f.message_n);
    else
        call_fault(&r->call, "/message", "required", "The part message is required");
    return true;
}
