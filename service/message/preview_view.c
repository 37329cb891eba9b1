/* service/message/preview_view.c - the HTML of previews, to be looked at with a browser that has no key.
 *
 * The id is the key to it, random and of no time, so that nobody walks from one to the next. An account has so many at
 * most; a further one takes the place of the oldest. What a sender wrote is shown without script, in no origin, and
 * loads nothing but images (api/previews.c). */
#include "base/clock.h"
#include "base/crypt.h"
#include "base/params.h"
#include "service/core/public_url.h"
#include "service/core/state.h"
#include "service/message/preview.h"

#define ENDED_MOST 100 /* at once, where there were more than there may be by now */

static struct id random_id(void)
{
    uint8_t bytes[CRYPT_HASH];

    crypt_random(bytes, sizeof bytes);
    return id_of_hash(bytes);
}

static struct bytes bound_to(const struct id *id)
{
    return (struct bytes){ (const char *)id->b, sizeof id->b };
}

static bool seal(struct call *c, struct bytes html, struct view_row *row)
{
    struct buf sealed;
    bool ok;

    buf_init(&sealed, html.n + CRYPT_SEAL_EXTRA);
    ok = crypt_seal(&c->svc->answer_key, html, bound_to(&row->id), &sealed);
    if (ok)
        row->html = arena_copy(c->arena, buf_bytes(&sealed));
    buf_clear(&sealed);
    return ok || err_set(&c->err, ERR_INTERNAL, "A view cannot be kept");
}

/* Where there are as many as there may be, the oldest go. */
static bool make_room(struct call *c, struct batch *b)
{
    static const char *const only[] = { "id", NULL };
    struct query q = { .kind = &view_kind, .index = "account", .n_conds = 1, .only = only };
    size_t most = (size_t)PARAM_INT(preview, views_max), n;
    struct view_row *rows;
    void *found;

    q.limit = most + ENDED_MOST;
    q.conds[0] = COND("account_id", IS, V_ID(c->account));
    if (!store_find(c->store, &q, c->arena, &found, &n, &c->err))
        return false;
    rows = found;
    for (size_t i = 0; i + most <= n && n; i++)
        batch_delete(b, &view_kind, rows[i].id, NULL, 0);
    return true;
}

bool preview_keep(struct call *c, struct batch *b, struct preview_out *out)
{
    struct view_row *row = arena_alloc(c->arena, sizeof *row);
    int64_t keep = PARAM_INT(preview, view_keep);

    if (!keep || !out->html.n || out->html.n > (size_t)PARAM_INT(preview, view_size))
        return true;
    *row = (struct view_row){ .id = random_id(), .account_id = c->account, .created_at = clock_wall() };
    row->expires_at = row->created_at + keep;
    if (!seal(c, out->html, row) || !make_room(c, b))
        return false;
    batch_insert(b, &view_kind, row, NULL, 0);
    out->view_url = arena_bytesf(c->arena, "%.*s/views/%.*s", SHOW(public_url()),
                                 SHOW(id_text(c->arena, view_kind.prefix, row->id)));
    return true;
}

bool preview_view(struct call *c, const struct preview_view_in *in, struct preview_view_out *out)
{
    struct view_row row;
    struct buf html;
    struct id id;
    bool there = false, ok;

    if (id_parse(view_kind.prefix, in->id, &id) &&
        !store_look(c->store, &view_kind, id, c->arena, &row, &there, &c->err))
        return false;
    if (!there || row.expires_at <= store_now(c->store))
        return err_set(&c->err, ERR_MISSING, "There is no such view, or it has ended");
    buf_init(&html, row.html.n);
    ok = crypt_open(&c->svc->answer_key, row.html, bound_to(&row.id), &html);
    if (ok)
        out->html = arena_copy(c->arena, buf_bytes(&html));
    buf_clear(&html);
    return ok || err_set(&c->err, ERR_INTERNAL, "A view does not open");
}
