/* service/box/gone.c - entries leave a mailbox, and what they were is told to those who keep a copy of it.
 *
 * The user's row is raised first, as it is when mail is filed (service/body/filing.c), so that who changes one user's
 * mail at once meets there; what it takes off is known only at the end, and filled in then. A row is deleted on
 * condition that it is as it was read (mailbox and modseq), for the counters are lowered by what was read: whoever
 * changed it meanwhile makes the whole batch fail, and the caller reads again. */
#include "service/box/gone.h"
#include "base/clock.h"
#include "base/params.h"
#include "service/body/body.h"
#include <assert.h>

#define UID_BYTES 5 /* 32 bits */

static struct change_row *row_new(struct arena *a, const struct gone_place *at, struct bytes what)
{
    struct change_row *row = arena_alloc(a, sizeof *row);

    *row = (struct change_row){ .id = id_new(),
                                .account_id = at->account_id,
                                .user_id = at->user_id,
                                .mailbox_id = at->mailbox_id,
                                .what = what,
                                .at = clock_wall() };
    row->expires_at = row->at + PARAM_INT(box, gone_keep);
    return row;
}

static void insert(struct batch *b, struct arena *a, const struct change_row *row, int modseq)
{
    struct set *set = arena_alloc(a, sizeof *set);

    *set = FROM_SLOT("modseq", modseq, 0);
    batch_insert(b, &change_kind, row, set, 1);
}

static size_t put_number(char *out, uint32_t left)
{
    size_t n = 0;

    do {
        out[n++] = (char)((left & 0x7F) | (left > 0x7F ? 0x80 : 0));
        left >>= 7;
    } while (left);
    return n;
}

void gone_begin(struct gone *g, struct batch *b, struct arena *a, const struct gone_place *at, size_t most)
{
    *g = (struct gone){ .batch = b, .arena = a, .most = most, .modseq = batch_slot(b) };
    g->row = row_new(a, at, BYTES("gone"));
    g->uids = arena_alloc(a, most * UID_BYTES);
    g->ids = arena_alloc(a, most * sizeof(struct id));
    g->user = arena_array(a, 2, sizeof *g->user);
    g->user[0] = ADD("used", 0);
    g->user[1] = ADD_SLOT("modseq", 1, g->modseq);
    batch_update(b, &user_kind, at->user_id, NULL, 0, g->user, 2);
}

void gone_entry(struct gone *g, const struct entry_row *row)
{
    struct cond *same = arena_array(g->arena, 2, sizeof *same);

    assert((size_t)g->row->n < g->most);
    same[0] = COND("mailbox_id", IS, V_ID(g->row->mailbox_id));
    same[1] = COND("modseq", IS, V_INT(row->modseq));
    batch_delete(g->batch, &entry_kind, row->id, same, 2);
    body_mark(g->batch, row->body_id, g->arena);
    g->n_uids += put_number(g->uids + g->n_uids, (uint32_t)(row->uid - g->last_uid));
    memcpy(g->ids + (size_t)g->row->n * sizeof row->id.b, row->id.b, sizeof row->id.b);
    g->last_uid = row->uid;
    g->row->n++;
    g->unseen += row->flags & ENTRY_SEEN ? 0 : 1;
    g->bytes += row->size;
}

void gone_end(struct gone *g)
{
    struct set *box = arena_array(g->arena, 4, sizeof *box);

    g->user[0] = ADD("used", -g->bytes);
    box[0] = ADD("total", -g->row->n);
    box[1] = ADD("unseen", -g->unseen);
    box[2] = ADD("bytes", -g->bytes);
    box[3] = FROM_SLOT("modseq", g->modseq, 0);
    batch_update(g->batch, &mailbox_kind, g->row->mailbox_id, NULL, 0, box, 4);
    g->row->uids = (struct bytes){ g->uids, g->n_uids };
    g->row->entry_ids = (struct bytes){ g->ids, (size_t)g->row->n * sizeof(struct id) };
    insert(g->batch, g->arena, g->row, g->modseq);
}

void gone_moved(struct batch *b, struct arena *a, const struct entry_row *row, int modseq)
{
    const struct gone_place at = { row->account_id, row->user_id, row->mailbox_id };
    struct change_row *change = row_new(a, &at, BYTES("moved"));
    char *uid = arena_alloc(a, UID_BYTES);

    change->n = 1;
    change->uids = (struct bytes){ uid, put_number(uid, (uint32_t)row->uid) };
    change->entry_ids = arena_copy(a, (struct bytes){ (const char *)row->id.b, sizeof row->id.b });
    insert(b, a, change, modseq);
}

void gone_mailbox(struct batch *b, struct arena *a, const struct mailbox_row *row, int modseq)
{
    const struct gone_place at = { row->account_id, row->user_id, row->id };

    insert(b, a, row_new(a, &at, BYTES("box")), modseq);
}
