/* service/box/entry_content.c - one entry whole: header fields, text, HTML, attachments. Two passes over the body: the
 * first finds the parts, the second decodes those that are shown and measures the others. */
#include "base/params.h"
#include "net/fiber.h"
#include "service/body/body.h"
#include "service/body/content.h"
#include "service/body/structure.h"
#include "service/box/entry_private.h"
#include "service/box/reading.h"
#include "service/box/summary.h"
#include "service/identity/access.h"

/* Header fields shown. */
#define FIELDS_MAX 2000
#define ARENA      ((size_t)64 * 1024 * 1024)

enum use { UNUSED, TEXT, HTML, FILED };

/* What the parts of one type are together. */
struct shown {
    struct buf text;
    bool truncated;
};

struct reading {
    struct call *c;
    struct body_reader *body;
    struct arena *arena; /* of the index */
    struct crypt_key content;
    const struct mime_index *index;
    struct mime_view view;
    unsigned char *uses; /* of each part */
    int64_t *sizes;      /* decoded */
    size_t part;         /* the one being decoded: leaves follow one another, none is inside another */
    struct mime_decoder decoder;
    struct buf raw; /* of that part, decoded and not yet converted */
    struct shown text, html;
    struct entry_view *out;
    struct page_job *page; /* NULL: none is wanted */
    struct file_job *file; /* the same */
    const struct entry_row *row;
    bool ok;
};

/* The HTML of a page is made where the parts are at hand. */
struct page_job {
    bool remote;
    struct buf html;
};

/* Of attachments behind those of the mail itself: the one with that number. */
struct file_job {
    struct entry_unpacked unpacked;
    struct call *c;
    int64_t wanted, at;
    struct content_out *out;
};

static struct entry_parts parts_of(struct reading *r)
{
    return (struct entry_parts){
        .row = r->row, .key = &r->content, .index = r->index, .view = &r->view, .arena = r->arena
    };
}

static bool find_parts(struct reading *r)
{
    if (!structure_read(r->body, r->arena, &r->index, &r->c->err))
        return false;
    mime_view(r->index, r->arena, &r->view);
    return true;
}

static void use(struct reading *r, const int *parts, size_t n, enum use as)
{
    for (size_t i = 0; i < n; i++)
        r->uses[parts[i]] = (unsigned char)as;
}

/* To the next part that is looked at. */
static void next_part(struct reading *r)
{
    while (r->part < r->index->n && r->uses[r->part] == UNUSED)
        r->part++;
    if (r->part < r->index->n)
        mime_decode_begin(&r->decoder, r->index->parts[r->part].encoding);
}

static void count(struct reading *r)
{
    if (r->uses[r->part] != FILED)
        return;
    r->sizes[r->part] += (int64_t)r->raw.n;
    buf_reset(&r->raw);
}

static void add_text(struct reading *r, struct shown *s)
{
    bool cut = r->raw.overflowed;

    if (s->text.n && s->text.p[s->text.n - 1] != '\n')
        buf_addc(&s->text, '\n');
    if (!mime_text(&r->index->parts[r->part], buf_bytes(&r->raw), cut, &s->text) || cut)
        s->truncated = true;
}

static void end_part(struct reading *r)
{
    mime_decode_end(&r->decoder, &r->raw);
    count(r);
    if (r->uses[r->part] != FILED)
        add_text(r, r->uses[r->part] == TEXT ? &r->text : &r->html);
    buf_reset(&r->raw);
    r->part++;
    next_part(r);
}

/* What of a piece, which begins at `at`, belongs to the part. */
static void decode(struct reading *r, size_t at, struct bytes piece)
{
    const struct mime_part *p = &r->index->parts[r->part];
    size_t from = p->body_at > at ? p->body_at - at : 0;

    if (p->end_at < at + piece.n)
        piece = bytes_head(piece, p->end_at > at ? p->end_at - at : 0);
    mime_decode(&r->decoder, bytes_from(piece, from), &r->raw);
    count(r);
}

static void decode_piece(struct reading *r, size_t at, struct bytes piece)
{
    size_t end = at + piece.n;

    while (r->part < r->index->n && r->index->parts[r->part].body_at < end) {
        decode(r, at, piece);
        if (r->index->parts[r->part].end_at > end)
            return;
        end_part(r);
    }
}

/* What lies before the next part that is looked at is left out, when it is more than a frame may bring along. */
static void to_part(struct reading *r, size_t *at)
{
    size_t to = r->part < r->index->n ? r->index->parts[r->part].body_at : *at;

    if (to <= *at + BODY_FRAME)
        return;
    body_seek(r->body, (int64_t)to);
    *at = to;
}

static bool decode_parts(struct reading *r)
{
    size_t most = (size_t)PARAM_INT(entry, text_max), at = 0;
    struct bytes piece;

    r->uses = arena_alloc(r->arena, r->index->n);
    r->sizes = arena_array(r->arena, r->index->n, sizeof *r->sizes);
    use(r, r->view.text, r->view.n_text, TEXT);
    use(r, r->view.html, r->view.n_html, HTML);
    use(r, r->view.attachments, r->view.n_attachments, FILED);
    buf_init(&r->raw, most > BODY_PIECE ? most : BODY_PIECE + 1024);
    buf_init(&r->text.text, most);
    buf_init(&r->html.text, most);
    next_part(r);
    do {
        to_part(r, &at);
        if (!body_next(r->body, &piece, &r->c->err))
            return false;
        decode_piece(r, at, piece);
        at += piece.n;
    } while (piece.n && r->part < r->index->n);
    while (r->part < r->index->n)
        end_part(r);
    return true;
}

static struct bytes text_of(struct reading *r, struct shown *s, size_t parts)
{
    struct bytes text = BYTES("");

    if (parts == 0)
        return NO_BYTES;
    if (s->text.n)
        text = arena_copy(r->c->arena, buf_bytes(&s->text));
    buf_clear(&s->text); /* one of them is there twice at a time */
    return text;
}

struct listing {
    struct entry_unpacked unpacked;
    struct call *c;
    struct entry_attachment *list;
    size_t n, room;
};

static void list_add(struct listing *l, struct entry_attachment one)
{
    struct arena *a = l->c->arena;

    if (l->n == l->room) {
        l->room = 2 * l->room + 4;
        l->list = arena_more(a, l->list, l->n, l->room, sizeof *l->list);
    }
    one.index = (int64_t)l->n;
    one.filename = arena_copy(a, one.filename);
    one.content_type = arena_copy(a, one.content_type);
    one.content_id = arena_copy(a, one.content_id);
    one.disposition = arena_copy(a, one.disposition);
    l->list[l->n++] = one;
}

static void list_unpacked(struct entry_unpacked *u, const struct tnef_file *file)
{
    list_add((struct listing *)u, (struct entry_attachment){ .size = (int64_t)file->content.n,
                                                             .filename = file->filename,
                                                             .content_type = file->content_type,
                                                             .content_id = file->content_id,
                                                             .disposition = BYTES("attachment") });
}

static bool show_attachments(struct reading *r)
{
    struct listing l = { .unpacked.each = list_unpacked, .c = r->c };
    struct entry_parts parts = parts_of(r);

    for (size_t i = 0; i < r->view.n_attachments; i++) {
        const struct mime_part *p = &r->index->parts[r->view.attachments[i]];

        list_add(&l, (struct entry_attachment){ .size = r->sizes[r->view.attachments[i]],
                                                .filename = p->filename,
                                                .content_type = p->type,
                                                .content_id = p->content_id,
                                                .disposition = p->disposition });
    }
    if (!entry_unpack(r->c, &parts, &l.unpacked))
        return false;
    r->out->attachments = l.list;
    r->out->n_attachments = l.n;
    r->out->attachment_count = (int64_t)r->view.n_attachments; /* as lists have it */
    return true;
}

static void show_headers(struct reading *r)
{
    struct arena *a = r->c->arena;
    struct bytes rest = r->index->header;
    struct header field;
    size_t n = r->index->header_fields < FIELDS_MAX ? r->index->header_fields : FIELDS_MAX;
    struct named_value *list = arena_array(a, n ? n : 1, sizeof *list);

    r->out->n_headers = 0;
    while (r->out->n_headers < n && header_next(&rest, &field)) {
        struct arena_mark before = arena_mark(r->arena);

        list[r->out->n_headers++] =
            (struct named_value){ .name = arena_copy(a, field.name),
                                  .value = arena_copy(a, header_decode(field.value, mail_limits_now(), r->arena)) };
        arena_rewind(r->arena, before);
    }
    r->out->headers = list;
}

static struct bytes people_of(struct reading *r, const char *name)
{
    struct arena_mark before = arena_mark(r->arena);
    struct buf out;
    struct bytes json;
    struct jw w;

    buf_init(&out, (size_t)PARAM_INT(message, header_max));
    jw_init(&w, &out);
    summary_people(r->index->header, name, 1000, r->arena, &w);
    arena_rewind(r->arena, before);
    json = out.overflowed ? BYTES("[]") : arena_copy(r->c->arena, buf_bytes(&out));
    buf_clear(&out);
    return json;
}

static bool fill(struct reading *r)
{
    struct entry_parts parts = parts_of(r);

    buf_clear(&r->raw);
    r->out->full = true;
    r->out->cc = people_of(r, "Cc");
    r->out->to = people_of(r, "To");
    r->out->reply_to = people_of(r, "Reply-To");
    show_headers(r);
    r->out->text = text_of(r, &r->text, r->view.n_text);
    r->out->text_truncated = r->text.truncated;
    r->out->html = text_of(r, &r->html, r->view.n_html);
    r->out->html_truncated = r->html.truncated;
    if (!show_attachments(r))
        return false;
    if (r->page)
        entry_make_page(r->c, &parts, r->out, r->page->remote, &r->page->html);
    else
        entry_make(r->c, r->out);
    return true;
}

static void read_work(void *arg)
{
    struct reading *r = arg;

    r->ok = find_parts(r) && decode_parts(r) && fill(r);
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
    *r = (struct reading){ .c = c, .row = row };
    if (!entry_key(c, row, &r->content) || !body_open(c->store, row->body_id, &r->content, &r->body, &c->err))
        return false;
    r->arena = arena_new(ARENA);
    return true;
}

static void close_reading(struct reading *r)
{
    buf_clear(&r->raw);
    buf_clear(&r->text.text);
    buf_clear(&r->html.text);
    crypt_wipe(&r->content, sizeof r->content);
    body_close(&r->body);
    if (r->arena)
        arena_free(&r->arena);
}

static bool read_whole(struct call *c, struct bytes id, struct page_job *page, struct entry_view *out)
{
    struct reading r = { 0 };
    bool ok;

    if (!entry_summary(c, id, out) || !access_audit(c, out->row.user_id) || !reading_begin(c, out->row.size))
        return false;
    ok = open_reading(c, &out->row, &r);
    r.out = out;
    r.page = page;
    ok = ok && read_entry(&r);
    close_reading(&r);
    return ok;
}

bool entry_get(struct call *c, const struct entry_get_in *in, struct entry_view *out)
{
    return read_whole(c, in->id, NULL, out);
}

bool entry_page(struct call *c, const struct entry_page_in *in, struct entry_page_out *out)
{
    struct page_job page = { .remote = in->remote };
    struct entry_view view;
    bool ok;

    buf_init(&page.html,
             4 * (size_t)PARAM_INT(entry, text_max) + 2 * (size_t)PARAM_INT(entry, view_images_max) + 65536);
    ok = read_whole(c, in->id, &page, &view);
    if (ok)
        out->html = arena_copy(c->arena, buf_bytes(&page.html));
    buf_clear(&page.html);
    return ok;
}

bool entry_raw(struct call *c, const struct entry_raw_in *in, struct content_out *out)
{
    struct entry_row row;
    struct crypt_key content;
    bool ok;

    if (!access_entry(c, in->id, SCOPE_MAIL_READ, &row) || !access_audit(c, row.user_id) ||
        !reading_begin(c, row.size) || !entry_key(c, &row, &content))
        return false;
    ok = content_open(c, row.body_id, &content, row.trace, out);
    crypt_wipe(&content, sizeof content);
    return ok;
}

static void take_file(struct entry_unpacked *u, const struct tnef_file *file)
{
    struct file_job *job = (struct file_job *)u;

    if (job->at++ != job->wanted)
        return;
    content_of(file->content, job->out);
    job->out->filename = arena_copy(job->c->arena, file->filename);
    job->out->content_type = arena_copy(job->c->arena, file->content_type);
}

/* A part of the mail, or behind those a file in one. */
static bool find_file(struct reading *r)
{
    struct file_job *job = r->file;
    struct entry_parts parts = parts_of(r);
    int64_t n = (int64_t)r->view.n_attachments;

    if (job->wanted >= 0 && job->wanted < n)
        return content_open_part(r->c, r->row->body_id, &r->content, &r->index->parts[r->view.attachments[job->wanted]],
                                 job->out);
    job->at = n;
    if (!entry_unpack(r->c, &parts, &job->unpacked))
        return false;
    return job->out->content || err_set(&r->c->err, ERR_MISSING, "No such attachment");
}

static void find_work(void *arg)
{
    struct reading *r = arg;

    r->ok = find_parts(r) && find_file(r);
}

bool entry_attachment(struct call *c, const struct entry_attachment_in *in, struct content_out *out)
{
    struct file_job file = { .unpacked.each = take_file, .c = c, .wanted = in->index, .out = out };
    struct reading r = { 0 };
    struct entry_row row;
    bool ok;

    if (!access_entry(c, in->id, SCOPE_MAIL_READ, &row) || !access_audit(c, row.user_id) || !reading_begin(c, row.size))
        return false;
    *out = (struct content_out){ .size = -1 };
    ok = open_reading(c, &row, &r);
    r.file = &file;
    if (ok && body_is_large(r.body))
        ok = offload(POOL_CPU, find_work, &r, &c->err);
    else if (ok)
        find_work(&r);
    ok = ok && r.ok;
    close_reading(&r);
    if (!ok)
        content_close(&out->content);
    return ok;
}
