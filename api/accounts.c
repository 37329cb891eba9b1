/* Accounts, settings, and who asks. */
#include "api/request.h"
#include "service/box/me.h"
#include "service/core/setting.h"
#include "service/identity/account.h"

bool api_account_list(struct request *r)
{
    const struct account_list_in in = { .page = query_page(r) };
    struct account_list_out out = { 0 };

    return account_list(&r->call, &in, &out) &&
           answer_list(r, &out.page, &account_members, out.rows, out.n, sizeof *out.rows);
}

bool api_account_create(struct request *r)
{
    struct account_create_in in = { 0 };
    struct account_create_out out;

    body_members(r, &account_members, &in.given);
    answer_kept(r, HTTP_CREATED, &account_kept_members);
    return account_create(&r->call, &in, &out) && answer_object(r, HTTP_CREATED, &account_created_members, &out);
}

bool api_account_get(struct request *r)
{
    const struct account_get_in in = { .id = r->parameter[0] };
    struct account_row out;

    return account_get(&r->call, &in, &out) && answer_object(r, HTTP_OK, &account_members, &out);
}

bool api_account_update(struct request *r)
{
    struct account_update_in in = { .id = r->parameter[0] };
    struct account_row out;

    in.named = body_members(r, &account_members, &in.given);
    return account_update(&r->call, &in, &out) && answer_object(r, HTTP_OK, &account_members, &out);
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
           answer_list(r, &out.page, &setting_members, out.rows, out.n, sizeof *out.rows);
}

bool api_setting_get(struct request *r)
{
    const struct setting_get_in in = { .name = r->parameter[0] };
    struct setting_view out;

    return setting_get(&r->call, &in, &out) && answer_object(r, HTTP_OK, &setting_members, &out);
}

bool api_setting_update(struct request *r)
{
    struct setting_update_in in = { .name = r->parameter[0] };
    struct setting_view out;

    body_members(r, &setting_members, &in);
    return setting_update(&r->call, &in, &out) && answer_object(r, HTTP_OK, &setting_members, &out);
}

bool api_setting_history(struct request *r)
{
    const struct setting_history_in in = { .name = r->parameter[0], .page = query_page(r) };
    struct setting_history_out out = { 0 };

    return setting_history(&r->call, &in, &out) &&
           answer_list(r, &out.page, &setting_change_members, out.rows, out.n, sizeof *out.rows);
}

/* ---- me ---- */

bool api_me_get(struct request *r)
{
    struct me_out out = { 0 };

    return me_get(&r->call, NULL, &out) && answer_object(r, HTTP_OK, &me_members, &out);
}
