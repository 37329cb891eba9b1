/* api/mailboxes.c - mailboxes, and the messages in them.
 *
 * Handlers carry and decide nothing, but for what HTTP makes dangerous: a sender's file name and type reach a browser
 * only in a form that is saved and never run. */
#include "api/request.h"
#include "base/log.h"
#include "service/box/changes.h"
#include "service/box/entry.h"
#include "service/box/mailbox.h"

bool api_mailbox_list(struct request *r)
{
    const struct mailbox_list_in in = { .user = r->parameter[0], .page = query_page(r) };
    struct mailbox_list_out out = { 0 };

    return mailbox_list(&r->call, &in, &out) &&
           answer_list(r, &out.page, &mailbox_members, out.rows, out.n, sizeof *out.rows);
}

bool api_mailbox_create(struct request *r)
{
    struct mailbox_create_in in = { .user = r->parameter[0] };
    struct mailbox_row out;

    body_members(r, &mailbox_members, &in.given);
    answer_kept(r, HTTP_CREATED, &mailbox_members);
    return mailbox_create(&r->call, &in, &out) && answer_object(r, HTTP_CREATED, &mailbox_members, &out);
}

bool api_mailbox_get(struct request *r)
{
    const struct mailbox_get_in in = { .id = r->parameter[0] };
    struct mailbox_row out;

    return mailbox_get(&r->call, &in, &out) && answer_object(r, HTTP_OK, &mailbox_members, &out);
}

bool api_mailbox_update(struct request *r)
{
    struct mailbox_update_in in = { .id = r->parameter[0] };
    struct mailbox_row out;

    in.named = body_members(r, &mailbox_members, &in.given);
    return mailbox_update(&r->call, &in, &out) && answer_object(r, HTTP_OK, &mailbox_members, &out);
}

bool api_mailbox_delete(struct request *r)
{
    const struct mailbox_delete_in in = { .id = r->parameter[0] };

    return mailbox_delete(&r->call, &in, NULL) && answer_done(r);
}

static void write_entries(struct jw *w, const char *name, const struct entry_view *list, size_t n)
{
    jw_key(w, name);
    jw_array(w);
    for (size_t i = 0; i < n; i++)
        members_write(w, &entry_members, &list[i]);
    jw_array_end(w);
}

static void write_changes(struct jw *w, const struct mailbox_changes_out *out)
{
    jw_object(w);
    jw_key_text(w, "object", BYTES("changes"));
    jw_key_int(w, "modseq", out->modseq);
    write_entries(w, "created", out->created, out->n_created);
    write_entries(w, "updated", out->updated, out->n_updated);
    jw_key(w, "vanished");
    jw_array(w);
    for (size_t i = 0; i < out->n_vanished; i++)
        jw_text(w, out->vanished[i]);
    jw_array_end(w);
    jw_key_bool(w, "has_more", out->has_more);
    jw_object_end(w);
}

bool api_mailbox_changes(struct request *r)
{
    const struct mailbox_changes_in in = { .id = r->parameter[0],
                                           .since = query_int(r, "since", -1),
                                           .limit = query_page(r).limit };
    struct mailbox_changes_out out;
    struct jw w;

    if (!mailbox_changes(&r->call, &in, &out))
        return false;
    r->status = HTTP_OK;
    jw_init(&w, &r->out);
    write_changes(&w, &out);
    return true;
}

/* ---- entries ---- */

bool api_entry_list(struct request *r)
{
    const struct entry_list_in in = { .mailbox_id = r->parameter[0], .page = query_page(r) };
    struct entry_list_out out = { 0 };

    return entry_list(&r->call, &in, &out) &&
           answer_list(r, &out.page, &entry_members, out.rows, out.n, sizeof *out.rows);
}

bool api_entry_find(struct request *r)
{
    const struct entry_find_in in = { .thread_id = query_text(r, "thread_id"), .page = query_page(r) };
    struct entry_list_out out = { 0 };

    return entry_find(&r->call, &in, &out) &&
           answer_list(r, &out.page, &entry_members, out.rows, out.n, sizeof *out.rows);
}

bool api_entry_append(struct request *r)
{
    struct entry_append_in in = { .mailbox_id = r->parameter[0], .raw = body_source(r) };
    struct entry_row given = { 0 };
    struct entry_view out;

    members_read(&entry_members, r->query, r->call.arena, &given);
    in.flags = given.flags;
    answer_kept(r, HTTP_CREATED, &entry_members);
    return entry_append(&r->call, &in, &out) && answer_object(r, HTTP_CREATED, &entry_members, &out);
}

bool api_entry_get(struct request *r)
{
    const struct entry_get_in in = { .id = r->parameter[0] };
    struct entry_view out;

    return entry_get(&r->call, &in, &out) && answer_object(r, HTTP_OK, &entry_full_members, &out);
}

/* A stranger's HTML: no script, no origin, nothing loaded but images. Its links open outside of the frame. */
#define PAGE_POLICY                                                                                                    \
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; "             \
    "form-action 'none'; base-uri 'none'; frame-ancestors 'self'; img-src data:"

bool api_entry_page(struct request *r)
{
    const struct entry_page_in in = { .id = r->parameter[0],
                                      .remote = bytes_equal(query_text(r, "images"), BYTES("load")) };
    struct entry_page_out out;

    if (!entry_page(&r->call, &in, &out))
        return false;
    r->status = HTTP_OK;
    r->type = "text/html; charset=utf-8";
    r->policy = in.remote ? PAGE_POLICY " https: http:" : PAGE_POLICY;
    buf_add(&r->out, out.html);
    return true;
}

bool api_entry_update(struct request *r)
{
    struct entry_update_in in = { .id = r->parameter[0] };
    struct entry_view out;

    in.named = body_members(r, &entry_members, &in.given);
    return entry_update(&r->call, &in, &out) && answer_object(r, HTTP_OK, &entry_members, &out);
}

bool api_entry_delete(struct request *r)
{
    const struct entry_delete_in in = { .id = r->parameter[0] };

    return entry_delete(&r->call, &in, NULL) && answer_done(r);
}

bool api_entry_raw(struct request *r)
{
    const struct entry_raw_in in = { .id = r->parameter[0] };
    struct content_out out = { .size = -1 };

    return entry_raw(&r->call, &in, &out) && answer_content(r, "message/rfc822", &out);
}

/* RFC 8187: bytes beyond a token's are escaped, so nothing of the sender's reaches the header as it came. */
static struct bytes filename_parameter(struct arena *a, struct bytes name)
{
    struct buf out;
    struct bytes text;

    buf_init(&out, 4096);
    buf_adds(&out, "attachment; filename*=UTF-8''");
    for (size_t i = 0; i < name.n && i < 1000; i++) {
        unsigned char c = (unsigned char)name.p[i];
        bool plain =
            (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '.' || c == '-' || c == '_';

        buf_addf(&out, plain ? "%c" : "%%%02X", c);
    }
    text = arena_copy(a, buf_bytes(&out));
    buf_clear(&out);
    return text;
}

/* The sender's type is shown only when it is a plain one; a browser must save the file, never run it. */
static const char *safe_type(struct request *r, struct bytes type)
{
    const struct format *media = schema_format(FORMAT_media_type);

    return type.n && media->right(type, r->call.arena) ? arena_text(r->call.arena, type) : "application/octet-stream";
}

bool api_entry_attachment(struct request *r)
{
    struct entry_attachment_in in = { .id = r->parameter[0] };
    struct content_out out = { .size = -1 };

    if (!bytes_to_int(r->parameter[1], &in.index) || in.index < 0)
        return err_set(&r->call.err, ERR_MISSING, "No such attachment");
    if (!entry_attachment(&r->call, &in, &out))
        return false;
    r->disposition = out.filename.n ? filename_parameter(r->call.arena, out.filename) : BYTES("attachment");
    return answer_content(r, safe_type(r, out.content_type), &out);
}
