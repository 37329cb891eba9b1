/* service/box/entry_find.c - entries by what is indexed of them. */
#include "service/box/entry_private.h"
#include "service/identity/access.h"

/* Whose thread it is; *user is none when it is nobody's, or not for whoever asks. */
static bool owner_of(struct call *c, struct query q, struct id *user)
{
    static const char *const only[] = { "id", "user_id", "thread_id", NULL };
    struct directory_user owner;
    const struct entry_row *rows;
    void *found;
    size_t n;

    *user = NO_ID;
    q.only = only;
    q.limit = 1;
    if (!store_find(c->store, &q, c->arena, &found, &n, &c->err))
        return false;
    rows = found;
    if (!n)
        return access_mail(c, SCOPE_MAIL_READ);
    if (!access_user(c, id_text(c->arena, user_kind.prefix, rows->user_id), SCOPE_MAIL_READ, &owner))
        return call_was_missing(c);
    *user = rows->user_id;
    return true;
}

bool entry_find(struct call *c, const struct entry_find_in *in, struct entry_list_out *out)
{
    struct query q = { .kind = &entry_kind, .index = "thread", .n_conds = 1 };
    struct id thread, user;
    void *rows = NULL;

    *out = (struct entry_list_out){ 0 };
    if (!id_parse(ENTRY_THREAD, in->thread_id, &thread) || id_is_none(thread)) {
        call_fault(c, "/thread_id", "invalid_id", "An id that begins with " ENTRY_THREAD "_");
        return call_check(c);
    }
    q.conds[0] = COND("thread_id", IS, V_ID(thread));
    if (!owner_of(c, q, &user))
        return false;
    if (id_is_none(user))
        return true;
    if (!access_audit(c, user) || !call_list(c, &q, &in->page, &rows, &out->n, &out->page))
        return false;
    out->rows = arena_array(c->arena, out->n ? out->n : 1, sizeof *out->rows);
    return entry_show(c, user, rows, out->n, out->rows);
}
