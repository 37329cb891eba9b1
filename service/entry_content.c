/* service/entry_content.c - one entry whole: header fields, text, HTML, attachments. Two passes over the body: the
 * first finds the parts, the second decodes those that are shown and measures the others. */
#include "base/params.h"
#include "net/fiber.h"
#include "service/access.h"
#include "service/body.h"
#include "service/content.h"
#include "service/entry_private.h"
#include "service/message_private.h"

/* Header fields shown. */
#define FIELDS_MAX 2000
#define ARENA      ((size_t)64 * 1024 * 1024)

struct wanted {
    const struct mime_part *part;
    struct mime_decoder decoder;
    struct buf out; /* of text; a scratch for the others, whose bytes are only counted */
    bool text;
    int64_t size;
};

struct reading {
    struct call *c;
    struct body_reader *body;
    struct arena *arena; /* of the index */
    struct crypt_key content;
    const struct mime_index *index;
    struct mime_view view;
    struct wanted *wanted;
    size_t n_wanted;
    struct entry_view *out;
    bool ok;
};

static bool find_parts(struct reading *r)
{
    struct mime_limits limits = { .depth = (unsigned)PARAM_INT(message, mime_depth_max),
                                  .parts = (unsigned)PARAM_INT(message, mime_parts_max),
                                  .part_header = (size_t)PARAM_INT(message, part_header_max),
                                  .top_header = (size_t)PARAM_INT(message, header_max) };
    struct mime *m = mime_begin(&limits, r->arena);
    struct bytes piece;

    do {
        if (!body_next(r->body, &piece, &r->c->err))
            return false;
        mime_feed(m, piece);
    } while (piece.n);
    r->index = mime_end(m);
    mime_view(r->index, r->arena, &r->view);
    return true;
}

static void want(struct reading *r, int part, bool text)
{
    struct wanted *w;

    if (part < 0)
        return;
    w = &r->wanted[r->n_wanted++];
    w->part = &r->index->parts[part];
    w->text = text;
    mime_decode_begin(&w->decoder, w->part->encoding);
    buf_init(&w->out, text ? (size_t)PARAM_INT(entry, text_max) : BODY_PIECE + 1024);
}

static void measure(struct wanted *w)
{
    if (w->text)
        return;
    w->size += (int64_t)w->out.n;
    buf_reset(&w->out);
}

/* What of a piece, which begins at `at`, belongs to the part. */
static void feed(struct wanted *w, size_t at, struct bytes piece)
{
    size_t from = w->part->body_at, end = w->part->end_at;

    if (at >= end || at + piece.n <= from)
        return;
    if (at + piece.n > end)
        piece = bytes_head(piece, end - at);
    if (at < from)
        piece = bytes_from(piece, from - at);
    mime_decode(&w->decoder, piece, &w->out);
    measure(w);
}

static bool decode_parts(struct reading *r)
{
    struct bytes piece;
    size_t at = 0;

    r->wanted = arena_array(r->arena, r->view.n_attachments + 2, sizeof *r->wanted);
    want(r, r->view.text, true);
    want(r, r->view.html, true);
    for (size_t i = 0; i < r->view.n_attachments; i++)
        want(r, r->view.attachments[i], false);
    body_rewind(r->body);
    do {
        if (!body_next(r->body, &piece, &r->c->err))
            return false;
        for (size_t i = 0; i < r->n_wanted; i++)
            feed(&r->wanted[i], at, piece);
        at += piece.n;
    } while (piece.n);
    for (size_t i = 0; i < r->n_wanted; i++) {
        mime_decode_end(&r->wanted[i].decoder, &r->wanted[i].out);
        measure(&r->wanted[i]);
    }
    return true;
}

static struct bytes text_of(struct reading *r, const struct wanted *w)
{
    struct buf text;
    struct bytes result;

    buf_init(&text, (size_t)PARAM_INT(entry, text_max));
    charset_to_utf8(w->part->charset, buf_bytes(&w->out), &text);
    result = text.n ? arena_copy(r->c->arena, buf_bytes(&text)) : BYTES("");
    buf_clear(&text);
    return result;
}

static void show_attachments(struct reading *r, const struct wanted *first)
{
    struct entry_attachment *list = arena_array(r->c->arena, r->view.n_attachments + 1, sizeof *list);

    for (size_t i = 0; i < r->view.n_attachments; i++)
        list[i] = (struct entry_attachment){ .index = (int64_t)i,
                                             .size = first[i].size,
                                             .filename = arena_copy(r->c->arena, first[i].part->filename),
                                             .content_type = arena_copy(r->c->arena, first[i].part->type),
                                             .content_id = arena_copy(r->c->arena, first[i].part->content_id),
                                             .disposition = arena_copy(r->c->arena, first[i].part->disposition) };
    r->out->attachments = list;
    r->out->n_attachments = r->view.n_attachments;
    r->out->attachment_count = (int64_t)r->view.n_attachments;
}

static void show_headers(struct reading *r)
{
    struct arena *a = r->c->arena;
    struct bytes rest = r->index->header;
    struct header field;
    size_t n = r->index->header_fields < FIELDS_MAX ? r->index->header_fields : FIELDS_MAX;
    struct named_value *list = arena_array(a, n ? n : 1, sizeof *list);

    r->out->n_headers = 0;
    while (r->out->n_headers < n && header_next(&rest, &field))
        list[r->out->n_headers++] =
            (struct named_value){ .name = arena_copy(a, field.name),
                                  .value = arena_copy(a, header_decode(field.value, r->arena)) };
    r->out->headers = list;
}

static struct bytes people_of(struct reading *r, const char *name)
{
    struct buf out;
    struct bytes json;
    struct jw w;

    buf_init(&out, (size_t)PARAM_INT(message, header_max));
    jw_init(&w, &out);
    summary_people(r->index->header, name, 1000, r->arena, &w);
    json = out.overflowed ? BYTES("[]") : arena_copy(r->c->arena, buf_bytes(&out));
    buf_clear(&out);
    return json;
}

static void fill(struct reading *r)
{
    struct wanted *next = r->wanted;

    r->out->full = true;
    r->out->cc = people_of(r, "Cc");
    r->out->to = people_of(r, "To");
    r->out->reply_to = people_of(r, "Reply-To");
    show_headers(r);
    if (r->view.text >= 0)
        r->out->text = text_of(r, next++);
    if (r->view.html >= 0)
        r->out->html = text_of(r, next++);
    show_attachments(r, next);
}

static void read_work(void *arg)
{
    struct reading *r = arg;

    r->ok = find_parts(r) && decode_parts(r);
    if (r->ok)
        fill(r);
}

/* Large ones are worked on by a cpu thread, which may wait for the store. */
static bool read_entry(struct reading *r)
{
    if (!body_is_large(r->body)) {
        read_work(r);
        return r->ok;
    }
    return offload(POOL_CPU, read_work, r, &r->c->err) && r->ok;
}

static bool open_reading(struct call *c, const struct entry_row *row, struct reading *r)
{
    *r = (struct reading){ .c = c };
    if (!entry_key(c, row, &r->content) || !body_open(c->store, row->body_id, &r->content, &r->body, &c->err))
        return false;
    r->arena = arena_new(ARENA);
    return true;
}

static void close_reading(struct reading *r)
{
    for (size_t i = 0; i < r->n_wanted; i++)
        buf_clear(&r->wanted[i].out);
    crypt_wipe(&r->content, sizeof r->content);
    body_close(&r->body);
    if (r->arena)
        arena_free(&r->arena);
}

bool entry_get(struct call *c, const struct entry_get_in *in, struct entry_view *out)
{
    struct reading r = { 0 };
    bool ok;

    if (!entry_summary(c, in->id, out) || !access_audit(c, out->row.user_id))
        return false;
    ok = open_reading(c, &out->row, &r);
    r.out = out;
    ok = ok && read_entry(&r);
    close_reading(&r);
    return ok;
}

bool entry_raw(struct call *c, const struct entry_raw_in *in, struct content_out *out)
{
    struct entry_row row;
    struct crypt_key content;
    bool ok;

    if (!access_entry(c, in->id, SCOPE_MAIL_READ, &row) || !access_audit(c, row.user_id) ||
        !entry_key(c, &row, &content))
        return false;
    ok = content_open(c, row.body_id, &content, row.trace, out);
    crypt_wipe(&content, sizeof content);
    return ok;
}

static void find_work(void *arg)
{
    struct reading *r = arg;

    r->ok = find_parts(r);
}

bool entry_attachment(struct call *c, const struct entry_attachment_in *in, struct content_out *out)
{
    struct reading r = { 0 };
    struct entry_row row;
    bool ok;

    if (!access_entry(c, in->id, SCOPE_MAIL_READ, &row) || !access_audit(c, row.user_id))
        return false;
    ok = open_reading(c, &row, &r);
    if (ok && body_is_large(r.body))
        ok = offload(POOL_CPU, find_work, &r, &c->err);
    else if (ok)
        find_work(&r);
    ok = ok && r.ok;
    if (ok && (in->index < 0 || in->index >= (int64_t)r.view.n_attachments))
        ok = err_set(&c->err, ERR_MISSING, "No such attachment");
    ok = ok && content_open_part(c, row.body_id, &r.content, &r.index->parts[r.view.attachments[in->index]], out);
    close_reading(&r);
    return ok;
}
