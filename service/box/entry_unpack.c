/* service/box/entry_unpack.c - what stands inside of attachments: the files of a winmail.dat (mail/tnef.h), which
 * nobody but Outlook can open. They are attachments too, behind those of the mail itself, and the winmail.dat stays
 * one. */
#include "base/params.h"
#include "mail/tnef.h"
#include "service/box/entry_private.h"

enum { FILES_MOST = 1000 }; /* of a mail; each costs but a few bytes of it */

bool entry_part_read(struct call *c, const struct entry_parts *e, const struct mime_part *part, struct buf *out)
{
    struct content_out content = { .size = -1 };
    struct bytes piece;
    bool ok = content_open_part(c, e->row->body_id, e->key, part, &content);

    if (!ok)
        return false;
    do {
        ok = content_next(content.content, &piece, &c->err);
        buf_add(out, piece);
    } while (ok && piece.n && !out->overflowed);
    content_close(&content.content);
    return ok;
}

/* A file that is too large, or none, holds nothing. */
static bool unpack(struct call *c, const struct entry_parts *e, const struct mime_part *part, struct entry_unpacked *u)
{
    struct arena_mark before = arena_mark(e->arena);
    struct buf data;
    struct tnef t;
    bool ok;

    buf_init(&data, (size_t)PARAM_INT(entry, unpack_max));
    ok = entry_part_read(c, e, part, &data);
    if (ok && !data.overflowed && tnef_read(buf_bytes(&data), FILES_MOST - u->n, e->arena, &t))
        for (size_t i = 0; i < t.n; i++, u->n++)
            u->each(u, &t.files[i]);
    buf_clear(&data);
    arena_rewind(e->arena, before);
    return ok;
}

bool entry_unpack(struct call *c, const struct entry_parts *e, struct entry_unpacked *u)
{
    for (size_t i = 0; i < e->view->n_attachments && u->n < FILES_MOST; i++) {
        const struct mime_part *part = &e->index->parts[e->view->attachments[i]];

        if (tnef_is(part->type, part->filename) && !unpack(c, e, part, u))
            return false;
    }
    return true;
}
