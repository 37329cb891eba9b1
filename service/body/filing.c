/* service/body/filing.c - an entry, the counters of its mailbox and the quota of its user, in one batch.
 *
 * No counter is read first: uid and modseq are slots, which the raises of the same batch fill when it is applied, so
 * mails that are filed into one mailbox at once get different uids in the order of commit, and none has to be tried
 * again. The quota is a bound of the raise for the same reason. The user's raise comes first, then the mailbox's, then
 * the entry: the number of the operation that failed tells what is wrong (enum filing_op). */
#include "service/body/filing.h"
#include "base/clock.h"
#include "base/params.h"
#include "service/core/secrets.h"

static void raise_user(struct batch *b, struct arena *a, const struct filing *f, const struct filed *out)
{
    struct set *sets = arena_array(a, 2, sizeof *sets);

    sets[0] = ADD_BOUND("used", out->row->size, "quota", PARAM_INT(message, size_max));
    sets[1] = ADD_SLOT("modseq", 1, out->modseq_slot);
    batch_update(b, &user_kind, f->user->id, NULL, 0, sets, 2);
}

static void raise_mailbox(struct batch *b, struct arena *a, const struct filing *f, const struct filed *out)
{
    struct set *sets = arena_array(a, 5, sizeof *sets);

    sets[0] = ADD_SLOT("uid_next", 1, out->uid_slot);
    sets[1] = FROM_SLOT("modseq", out->modseq_slot, 0);
    sets[2] = ADD("total", 1);
    sets[3] = ADD("bytes", out->row->size);
    sets[4] = ADD("unseen", f->flags & ENTRY_SEEN ? 0 : 1);
    batch_update(b, &mailbox_kind, f->mailbox_id, NULL, 0, sets, 5);
}

#define MSGID_BYTES 12

static void keyed(const struct crypt_key *key, const char *what, struct bytes text, struct arena *a,
                  uint8_t out[CRYPT_HASH])
{
    crypt_keyed_hash(key, arena_bytesf(a, "%s %.*s", what, SHOW(text)), out);
}

static struct id thread_of(const struct crypt_key *key, const struct filing *f, struct arena *a)
{
    struct bytes root = f->thread_root.p ? f->thread_root : f->header_message_id;
    uint8_t hash[CRYPT_HASH];

    keyed(key, "thread", root.p ? root : id_text(a, entry_kind.prefix, f->entry_id), a, hash);
    return id_of_hash(hash);
}

/* By which it is found among the user's mails. */
static bool tie(struct service *svc, const struct filing *f, struct entry_row *row, struct arena *a, struct err *e)
{
    const struct directory_user *user = f->user;
    uint8_t *hash = arena_alloc(a, CRYPT_HASH);
    struct crypt_key key;

    if (!user->index_key.p)
        return true;
    if (!index_key_open(svc, user->id, user->index_key, user->index_key_wrap, &key, e))
        return false;
    row->thread_id = thread_of(&key, f, a);
    if (f->header_message_id.p) {
        keyed(&key, "msgid", f->header_message_id, a, hash);
        row->msgid = (struct bytes){ (const char *)hash, MSGID_BYTES };
    }
    crypt_wipe(&key, sizeof key);
    return true;
}

bool filing_add(struct service *svc, struct batch *b, struct arena *a, const struct filing *f, struct filed *out,
                struct err *e)
{
    struct entry_row *row = arena_alloc(a, sizeof *row);
    struct set *sets = arena_array(a, 4, sizeof *sets);
    struct crypt_key user_key;

    if (!seal_user_key(svc, f->user, &user_key, e))
        return false;
    *row = (struct entry_row){ .id = f->entry_id,
                               .account_id = f->user->account_id,
                               .user_id = f->user->id,
                               .mailbox_id = f->mailbox_id,
                               .message_id = f->message_id,
                               .body_id = f->body_id,
                               .flags = f->flags,
                               .size = f->body_size + (int64_t)f->trace.n,
                               .keywords = f->keywords,
                               .trace = f->trace,
                               .auth = f->auth,
                               .wrapped_key = seal_for_user(&user_key, f->content, f->entry_id, a),
                               .wrap = seal_wrap_name(svc),
                               .summary = f->summary,
                               .sent_at = f->sent_at,
                               .received_at = f->received_at,
                               .saved_at = clock_wall(),
                               .header_8bit = f->header_8bit };
    crypt_wipe(&user_key, sizeof user_key);
    if (!tie(svc, f, row, a, e))
        return false;
    *out = (struct filed){ .first = (int)batch_count(b), .row = row };
    out->uid_slot = batch_slot(b);
    out->modseq_slot = batch_slot(b);
    raise_user(b, a, f, out);
    raise_mailbox(b, a, f, out);
    /* uid_next as it is after the raise: the uid before it is ours, whoever files at once. */
    sets[0] = FROM_SLOT("uid", out->uid_slot, -1);
    sets[1] = FROM_SLOT("modseq", out->modseq_slot, 0);
    sets[2] = FROM_SLOT("created_modseq", out->modseq_slot, 0);
    sets[3] = FROM_SLOT("arrived_modseq", out->modseq_slot, 0);
    batch_insert(b, &entry_kind, row, sets, 4);
    return true;
}

bool filing_junk(struct service *svc, struct arena *a, struct id user_id, struct id *mailbox, struct err *e)
{
    struct value v[] = { V_ID(user_id), V_TEXT(BYTES("junk")) };
    struct mailbox_row row;
    struct err why = { 0 };

    if (store_get_by(svc->store, &mailbox_kind, "role", v, 2, a, &row, &why)) {
        *mailbox = row.id;
        return true;
    }
    if (why.code == ERR_MISSING)
        return true;
    *e = why;
    return false;
}

struct bytes filing_trace(struct bytes envelope_from, struct bytes trace, struct arena *a)
{
    return arena_bytesf(a, "Return-Path: <%.*s>\r\n%.*s", SHOW(envelope_from), SHOW(trace));
}

bool has_8bit(struct bytes b)
{
    return !bytes_is_ascii(b);
}

bool headers_have_8bit(const struct mime_index *x, struct bytes preview)
{
    if (has_8bit(x->header))
        return true;
    for (size_t i = 0; i < x->n; i++) {
        const struct mime_part *part = &x->parts[i];

        if (part->header_at < part->body_at &&
            has_8bit(bytes_from(bytes_head(preview, part->body_at), part->header_at)))
            return true;
    }
    return false;
}
