/* service/box/entry_append.c - a mail put into a mailbox by hand: message/rfc822, as an import or a draft.
 *
 * It becomes an entry without a message: nothing was sent, nobody gets it, no event tells of it. Otherwise it goes the
 * way of the intake: streamed into a body, indexed as it goes by, filed by one batch with the quota as its bound. The
 * upload may have taken long, so whether the login still holds is asked again before the batch. */
#include "base/clock.h"
#include "base/params.h"
#include "service/body/body.h"
#include "service/body/crlf.h"
#include "service/body/filing.h"
#include "service/body/structure.h"
#include "service/box/entry_private.h"
#include "service/box/summary.h"
#include "service/core/idempotency.h"
#include "service/core/state.h"
#include "service/identity/access.h"
#include "service/identity/auth.h"

#define ARENA ((size_t)64 * 1024 * 1024)
#define SLICE ((size_t)64 * 1024)
/* What the store gets for each chunk: the upload may be much older. */
#define STORE_MS 30000

struct append {
    struct call *c;
    const struct entry_append_in *in;
    struct arena *arena;
    struct body_writer *body;
    struct mime *mime;
    struct crlf crlf;
    struct buf text;
};

static bool entry_keep(struct append *p)
{
    struct bytes text = buf_bytes(&p->text);
    int64_t most = PARAM_INT(message, size_max);

    if (text.n && memchr(text.p, 0, text.n))
        return err_set(&p->c->err, ERR_INVALID, "A NUL byte in the message");
    structure_feed(p->mime, text);
    if (!body_write(p->body, text, clock_monotonic() + STORE_MS, &p->c->err))
        return false;
    buf_reset(&p->text);
    if (body_size(p->body) <= most)
        return true;
    return err_set(&p->c->err, ERR_TOO_LARGE, "The message is larger than %lld bytes", (long long)most);
}

static bool read_all(struct append *p)
{
    struct bytes chunk;

    do {
        if (!p->in->raw.read(p->in->raw.ctx, &chunk, &p->c->err))
            return false;
        for (struct bytes rest = chunk; rest.n; rest = bytes_from(rest, SLICE)) {
            crlf_add(&p->crlf, bytes_head(rest, SLICE), &p->text);
            if (!entry_keep(p))
                return false;
        }
    } while (chunk.n);
    crlf_end(&p->crlf, &p->text);
    p->c->deadline = clock_monotonic() + STORE_MS;
    return auth_current(p->c) && entry_keep(p) && body_finish(p->body, p->c->deadline, &p->c->err);
}

/* What is filed, from what has come. *json: what lists will show of it. */
static struct filing filing_of(struct append *p, struct id box, const struct directory_user *user, struct bytes *json)
{
    struct summary summary;
    struct filing f = { .user = user,
                        .mailbox_id = box,
                        .entry_id = id_new(),
                        .body_id = body_id(p->body),
                        .content = body_key(p->body),
                        .body_size = body_size(p->body),
                        .flags = p->in->flags,
                        .received_at = clock_wall() };

    summary_make(mime_end(p->mime), body_preview(p->body), p->c->arena, &summary);
    f.summary = seal_text(f.content, f.body_id, summary.json, p->c->arena);
    f.sent_at = summary.sent_at;
    f.header_message_id = summary.header_message_id;
    f.thread_root = summary.thread_root;
    *json = summary.json;
    return f;
}

static bool file(struct append *p, const struct mailbox_row *box, const struct directory_user *user,
                 struct entry_view *out)
{
    struct call *c = p->c;
    struct batch *b = batch_new(c->arena);
    struct bytes json;
    struct filed filed;
    struct filing f = filing_of(p, box->id, user, &json);

    body_put(p->body, b, c->arena);
    if (!filing_add(c->svc, b, c->arena, &f, &filed, &c->err))
        return false;
    *out = (struct entry_view){ .row = *filed.row };
    summary_read(json, c->arena, out);
    if (!call_commit(c, b, NULL, filed.row->id)) {
        if (c->err.code == ERR_CONFLICT && batch_failure(b).fault == FAULT_BOUND)
            return err_set(&c->err, ERR_MAILBOX_FULL, "The mailbox is full");
        return false;
    }
    body_kept(p->body);
    out->row.uid = batch_slot_value(b, filed.uid_slot) - 1;
    out->row.modseq = batch_slot_value(b, filed.modseq_slot);
    directory_add_used(c->svc, user->id, filed.row->size);
    return true;
}

bool entry_append(struct call *c, const struct entry_append_in *in, struct entry_view *out)
{
    struct append p = { .c = c, .in = in };
    struct directory_user user;
    struct mailbox_row box;
    struct id again;
    bool ok;

    if (idempotency_again(c, &again))
        return entry_again(c, again, out);
    if (!access_mailbox(c, in->mailbox_id, SCOPE_MAIL_WRITE, &box) || !directory_user(c, box.user_id, &user))
        return false;
    if (user.used >= user.quota)
        return err_set(&c->err, ERR_MAILBOX_FULL, "The mailbox is full");
    if (!service_accepts(c->svc, &c->err))
        return false;
    p.arena = arena_new(ARENA);
    p.body = body_begin(c->svc);
    p.mime = structure_begin(p.arena);
    buf_init(&p.text, 4 * SLICE);
    ok = read_all(&p) && file(&p, &box, &user, out);
    buf_clear(&p.text);
    body_free(&p.body);
    arena_free(&p.arena);
    return ok;
}
