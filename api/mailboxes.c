/* Mailboxes, and the messages in them. */
#include "api/shapes.h"
#include "base/log.h"
#include "service/entry.h"
#include "service/mailbox.h"

bool api_mailbox_list(struct request *r)
{
    const struct mailbox_list_in in = { .user = r->parameter[0], .page = query_page(r) };
    struct mailbox_list_out out = { 0 };

    return mailbox_list(&r->call, &in, &out) &&
           answer_list(r, &out.page, &mailbox_shape, out.rows, out.n, sizeof *out.rows);
}

bool api_mailbox_create(struct request *r)
{
    const struct mailbox_create_in in = { .user = r->parameter[0],
                                          .name = body_text(r, "name"),
                                          .parent_id = body_text(r, "parent_id") };
    struct mailbox_row out;

    answer_kept(r, HTTP_CREATED, &mailbox_shape);
    return mailbox_create(&r->call, &in, &out) && answer_object(r, HTTP_CREATED, &mailbox_shape, &out);
}

bool api_mailbox_get(struct request *r)
{
    const struct mailbox_get_in in = { .id = r->parameter[0] };
    struct mailbox_row out;

    return mailbox_get(&r->call, &in, &out) && answer_object(r, HTTP_OK, &mailbox_shape, &out);
}

bool api_mailbox_update(struct request *r)
{
    const struct mailbox_update_in in = {
        .id = r->parameter[0],
        .set = (body_has(r, "name") ? MAILBOX_SET_NAME : 0) | (body_has(r, "parent_id") ? MAILBOX_SET_PARENT : 0),
        .name = body_text(r, "name"),
        .parent_id = body_text(r, "parent_id"),
    };
    struct mailbox_row out;

    return mailbox_update(&r->call, &in, &out) && answer_object(r, HTTP_OK, &mailbox_shape, &out);
}

bool api_mailbox_delete(struct request *r)
{
    const struct mailbox_delete_in in = { .id = r->parameter[0] };

    return mailbox_delete(&r->call, &in, NULL) && answer_done(r);
}

/* ---- entries ---- */

bool api_entry_list(struct request *r)
{
    const struct entry_list_in in = { .mailbox_id = r->parameter[0], .page = query_page(r) };
    struct entry_list_out out = { 0 };

    return entry_list(&r->call, &in, &out) &&
           answer_list(r, &out.page, &entry_shape, out.rows, out.n, sizeof *out.rows);
}

bool api_entry_append(struct request *r)
{
    const struct entry_append_in in = {
        .mailbox_id = r->parameter[0],
        .raw = body_source(r),
        .seen = query_bool(r, "seen"),
        .flagged = query_bool(r, "flagged"),
        .answered = query_bool(r, "answered"),
        .draft = query_bool(r, "draft"),
    };
    struct entry_view out;

    answer_kept(r, HTTP_CREATED, &entry_shape);
    return entry_append(&r->call, &in, &out) && answer_object(r, HTTP_CREATED, &entry_shape, &out);
}

bool api_entry_get(struct request *r)
{
    const struct entry_get_in in = { .id = r->parameter[0] };
    struct entry_view out;

    return entry_get(&r->call, &in, &out) && answer_object(r, HTTP_OK, &entry_shape, &out);
}

/* As a list shows it: the answer of entry_append once more. */
bool api_entry_summary(struct request *r)
{
    struct entry_view out;

    return entry_summary(&r->call, r->parameter[0], &out) && answer_object(r, HTTP_OK, &entry_shape, &out);
}

bool api_entry_update(struct request *r)
{
    static const struct {
        const char *name;
        unsigned bit;
    } members[] = { { "mailbox_id", ENTRY_SET_MAILBOX }, { "seen", ENTRY_SET_SEEN },
                    { "flagged", ENTRY_SET_FLAGGED },    { "answered", ENTRY_SET_ANSWERED },
                    { "draft", ENTRY_SET_DRAFT },        { "keywords", ENTRY_SET_KEYWORDS } };
    struct entry_update_in in = {
        .id = r->parameter[0],
        .mailbox_id = body_text(r, "mailbox_id"),
        .seen = body_bool(r, "seen"),
        .flagged = body_bool(r, "flagged"),
        .answered = body_bool(r, "answered"),
        .draft = body_bool(r, "draft"),
    };
    struct entry_view out;

    in.keywords = body_texts(r, "keywords", &in.n_keywords);
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        if (body_has(r, members[i].name))
            in.set |= members[i].bit;
    return entry_update(&r->call, &in, &out) && answer_object(r, HTTP_OK, &entry_shape, &out);
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
