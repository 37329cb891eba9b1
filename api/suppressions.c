/* api/suppressions.c - addresses that get no mail of an account.
 *
 * Handlers carry and decide nothing. One suppression is answered as an object, several are as a list, and so is what is
 * kept of an answer. */
#include "api/request.h"
#include "base/clock.h"
#include "base/params.h"
#include "service/queue/suppression.h"
#include "service/queue/suppression_import.h"

/* ---- the list as CSV ---- */

static bool export_more(struct request *r)
{
    struct arena_mark mark = arena_mark(r->call.arena);
    bool good;

    r->call.deadline = clock_monotonic() + PARAM_INT(api, call_deadline);
    good = auth_current(&r->call) && suppression_export(&r->call, r->going, &r->place);
    if (good && r->place.overflowed)
        good = err_set(&r->call.err, ERR_INTERNAL, "A piece of the list is too large");
    arena_rewind(r->call.arena, mark);
    return good;
}

/* Whoever reads slowly makes us hold one piece. */
static bool export_send(struct request *r, struct err *e)
{
    const struct suppression_exporting *x = r->going;

    for (;;) {
        stream_deadline(r->x->line->stream, clock_monotonic() + PARAM_INT(api, answer_deadline));
        if (!exchange_write(r->x, buf_bytes(&r->place), e) || !stream_flush(r->x->line->stream, e))
            return false;
        if (x->ended)
            return true;
        buf_reset(&r->place);
        if (!export_more(r)) {
            *e = r->call.err;
            return false;
        }
    }
}

/* The first rows are read before the answer begins, so that what fails then is told. */
static bool export_begin(struct request *r, const struct suppression_list_in *in)
{
    struct suppression_exporting *x = arena_alloc(r->call.arena, sizeof *x);

    r->going = x;
    buf_init(&r->place, SUPPRESSION_EXPORT_MOST);
    if (!suppression_export_begin(&r->call, in, x) || !export_more(r))
        return false;
    r->status = HTTP_OK;
    r->type = "text/csv; charset=utf-8";
    r->disposition = BYTES("attachment; filename=\"suppressions.csv\"");
    r->goes_on = export_send;
    return true;
}

bool api_suppression_list(struct request *r)
{
    const struct suppression_list_in in = { .page = query_page(r),
                                            .email = query_text(r, "email"),
                                            .reason = query_text(r, "reason"),
                                            .stream = query_text(r, "stream"),
                                            .since = query_time(r, "since") };
    struct suppression_list_out out = { 0 };

    if (head_accepts(r, "text/csv"))
        return export_begin(r, &in);
    return suppression_list(&r->call, &in, &out) &&
           answer_list(r, &out.page, &suppression_members, out.rows, out.n, sizeof *out.rows);
}

/* ---- adding ---- */

static void write_data(struct jw *w, const struct suppression_row *rows, size_t n)
{
    jw_key(w, "data");
    jw_array(w);
    for (size_t i = 0; i < n; i++)
        members_write(w, &suppression_members, &rows[i]);
}

static void write_created(struct jw *w, const struct suppression_create_out *out)
{
    const struct page_out whole = { .has_more = false };

    if (!out->many) {
        members_write(w, &suppression_members, out->rows);
        return;
    }
    jw_object(w);
    jw_key_text(w, "object", BYTES("list"));
    write_data(w, out->rows, out->n);
    answer_list_end(w, &whole);
}

static struct bytes location_of(struct request *r, const struct suppression_create_out *out)
{
    if (out->many || !out->added)
        return NO_BYTES;
    return arena_bytesf(r->call.arena, "%s%.*s", suppression_members.path,
                        SHOW(id_text(r->call.arena, suppression_kind.prefix, out->rows[0].id)));
}

/* Whether it is new is known only when the answer is kept. */
static bool render_created(void *ctx, const void *made, struct buf *answer, struct bytes *location)
{
    struct request *r = ctx;
    const struct suppression_create_out *out = made;
    struct jw w;

    jw_init(&w, answer);
    write_created(&w, out);
    *location = location_of(r, out);
    r->idempotency.row->status = out->added ? HTTP_CREATED : HTTP_OK;
    return true;
}

static void read_rows(struct request *r, struct suppression_create_in *in)
{
    struct json_object *list = json_member(r->body, "data");
    size_t n = list ? json_object_array_length(list) : 1;
    struct suppression_row *rows = arena_array(r->call.arena, n, sizeof *rows);

    *in = (struct suppression_create_in){ .rows = rows, .n = n, .many = list != NULL };
    for (size_t i = 0; i < n; i++)
        members_read(&suppression_members, list ? json_object_array_get_idx(list, i) : r->body, r->call.arena,
                     &rows[i]);
    in->both = list && members_read(&suppression_members, r->body, r->call.arena, &(struct suppression_row){ 0 });
}

static bool import(struct request *r)
{
    const struct suppression_import_in in = { .csv = body_source(r) };
    struct suppression_import_row out;

    answer_kept(r, HTTP_ACCEPTED, &suppression_import_members);
    if (!suppression_import(&r->call, &in, &out))
        return false;
    return answer_object(r, HTTP_ACCEPTED, &suppression_import_members, &out);
}

bool api_suppression_import_get(struct request *r)
{
    const struct suppression_import_get_in in = { .id = r->parameter[0] };
    struct suppression_import_row out;

    return suppression_import_get(&r->call, &in, &out) && answer_object(r, HTTP_OK, &suppression_import_members, &out);
}

bool api_suppression_create(struct request *r)
{
    struct suppression_create_in in;
    struct suppression_create_out out = { 0 };
    struct jw w;

    if (r->is_streamed)
        return import(r);
    read_rows(r, &in);
    r->idempotency.render = render_created;
    if (!suppression_create(&r->call, &in, &out))
        return false;
    r->status = out.added ? HTTP_CREATED : HTTP_OK;
    r->location = location_of(r, &out);
    jw_init(&w, &r->out);
    write_created(&w, &out);
    return true;
}

/* ---- one ---- */

bool api_suppression_get(struct request *r)
{
    const struct suppression_get_in in = { .id = r->parameter[0] };
    struct suppression_row out;

    return suppression_get(&r->call, &in, &out) && answer_object(r, HTTP_OK, &suppression_members, &out);
}

bool api_suppression_delete(struct request *r)
{
    const struct suppression_delete_in in = { .id = r->parameter[0] };

    return suppression_delete(&r->call, &in, NULL) && answer_done(r);
}

bool api_suppression_check(struct request *r)
{
    const struct suppression_check_in in = { .email = query_text(r, "email") };
    struct suppression_check_out out;
    struct jw w;

    if (!suppression_check(&r->call, &in, &out))
        return false;
    r->status = HTTP_OK;
    jw_init(&w, &r->out);
    jw_object(&w);
    jw_key_text(&w, "object", BYTES("suppression_check"));
    jw_key_text(&w, "email", out.email);
    jw_key_bool(&w, "suppressed", out.suppressed);
    write_data(&w, out.rows, out.n);
    jw_array_end(&w);
    jw_object_end(&w);
    return true;
}

/* ---- removing ---- */

static void write_removed(struct buf *to, const struct suppression_remove_out *out)
{
    struct jw w;

    jw_init(&w, to);
    jw_object(&w);
    jw_key_text(&w, "object", BYTES("suppressions_removed"));
    jw_key_int(&w, "removed", out->removed);
    jw_object_end(&w);
}

static bool render_removed(void *ctx, const void *made, struct buf *answer, struct bytes *location)
{
    (void)ctx;
    (void)location;
    write_removed(answer, made);
    return true;
}

bool api_suppression_remove(struct request *r)
{
    struct suppression_remove_in in = { 0 };
    struct suppression_remove_out out;

    in.emails = json_texts(r->call.arena, json_member(r->body, "emails"), &in.n);
    r->idempotency.render = render_removed;
    if (!suppression_remove(&r->call, &in, &out))
        return false;
    r->status = HTTP_OK;
    write_removed(&r->out, &out);
    return true;
}
