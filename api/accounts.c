/* Accounts, settings, and who asks. */
#include "api/shapes.h"
#include "service/account.h"
#include "service/setting.h"

bool api_account_list(struct request *r)
{
    const struct account_list_in in = { .page = query_page(r) };
    struct account_list_out out = { 0 };

    return account_list(&r->call, &in, &out) &&
           answer_list(r, &out.page, &account_shape, out.rows, out.n, sizeof *out.rows);
}

bool api_account_create(struct request *r)
{
    const struct account_create_in in = { .name = body_text(r, "name") };
    struct account_create_out out;

    answer_kept(r, HTTP_CREATED, &account_kept_shape);
    return account_create(&r->call, &in, &out) && answer_object(r, HTTP_CREATED, &account_created_shape, &out);
}

bool api_account_get(struct request *r)
{
    const struct account_get_in in = { .id = r->parameter[0] };
    struct account_row out;

    return account_get(&r->call, &in, &out) && answer_object(r, HTTP_OK, &account_shape, &out);
}

bool api_account_update(struct request *r)
{
    const struct account_update_in in = {
        .id = r->parameter[0],
        .set = (body_has(r, "name") ? ACCOUNT_SET_NAME : 0) | (body_has(r, "disabled") ? ACCOUNT_SET_DISABLED : 0),
        .name = body_text(r, "name"),
        .disabled = body_bool(r, "disabled"),
    };
    struct account_row out;

    return account_update(&r->call, &in, &out) && answer_object(r, HTTP_OK, &account_shape, &out);
}

bool api_account_delete(struct request *r)
{
    const struct account_delete_in in = { .id = r->parameter[0] };

    return account_delete(&r->call, &in, NULL) && answer_done(r);
}

/* ---- settings ---- */

bool api_setting_list(struct request *r)
{
    const struct setting_list_in in = { .page = query_page(r) };
    struct setting_list_out out = { 0 };

    return setting_list(&r->call, &in, &out) &&
           answer_list(r, &out.page, &setting_shape, out.rows, out.n, sizeof *out.rows);
}

bool api_setting_get(struct request *r)
{
    const struct setting_get_in in = { .name = r->parameter[0] };
    struct setting_view out;

    return setting_get(&r->call, &in, &out) && answer_object(r, HTTP_OK, &setting_shape, &out);
}

bool api_setting_update(struct request *r)
{
    struct json_object *value = json_member(r->body, "value");
    const struct setting_update_in in = {
        .name = r->parameter[0],
        .value = value ? arena_copy(r->call.arena, bytes_of(json_object_get_string(value))) : NO_BYTES,
        .reset = !value,
    };
    struct setting_view out;

    return setting_update(&r->call, &in, &out) && answer_object(r, HTTP_OK, &setting_shape, &out);
}

bool api_setting_history(struct request *r)
{
    const struct setting_history_in in = { .name = r->parameter[0], .page = query_page(r) };
    struct setting_history_out out = { 0 };

    return setting_history(&r->call, &in, &out) &&
           answer_list(r, &out.page, &setting_change_shape, out.rows, out.n, sizeof *out.rows);
}

/* ---- me ---- */

static void me_write(struct jw *w, const void *out, struct call *c)
{
    static const char *const kinds[] = { [WHO_KEY] = "key", [WHO_USER] = "user", [WHO_SOCKET] = "socket" };
    const struct me_out *me = out;
    const struct principal *who = c->who;

    object_begin(w, "me", who->kind == WHO_USER ? "usr" : "key", who->id, me->account_id);
    jw_key_text(w, "kind", bytes_of(kinds[who->kind]));
    jw_key_text(w, "name", who->name);
    jw_key_text(w, "mode", who->test ? BYTES("test") : BYTES("live"));
    jw_key(w, "scopes");
    scopes_write(w, who->scopes);
    jw_key(w, "mailboxes");
    jw_array(w);
    for (size_t i = 0; i < me->n_mailboxes; i++)
        mailbox_write(w, &me->mailboxes[i], c);
    jw_array_end(w);
    jw_object_end(w);
}

bool api_me_get(struct request *r)
{
    static const struct shape shape = { me_write, "/v1/me", "", 0 };
    struct me_out out = { 0 };

    return me_get(&r->call, NULL, &out) && answer_object(r, HTTP_OK, &shape, &out);
}
