#include "api/request.h"
#include "service/identity/domain.h"

bool api_domain_list(struct request *r)
{
    const struct domain_list_in in = { .page = query_page(r) };
    struct domain_list_out out = { 0 };

    return domain_list(&r->call, &in, &out) &&
           answer_list(r, &out.page, &domain_members, out.rows, out.n, sizeof *out.rows);
}

bool api_domain_create(struct request *r)
{
    struct domain_create_in in = { 0 };
    struct domain_view out;

    in.named = body_members(r, &domain_members, &in.given);
    answer_kept(r, HTTP_CREATED, &domain_members);
    return domain_create(&r->call, &in, &out) && answer_object(r, HTTP_CREATED, &domain_members, &out);
}

bool api_domain_get(struct request *r)
{
    const struct domain_get_in in = { .id = r->parameter[0] };
    struct domain_view out;

    return domain_get(&r->call, &in, &out) && answer_object(r, HTTP_OK, &domain_members, &out);
}

bool api_domain_update(struct request *r)
{
    struct domain_update_in in = { .id = r->parameter[0] };
    struct domain_view out;

    in.named = body_members(r, &domain_members, &in.given);
    return domain_update(&r->call, &in, &out) && answer_object(r, HTTP_OK, &domain_members, &out);
}

bool api_domain_delete(struct request *r)
{
    const struct domain_delete_in in = { .id = r->parameter[0] };

    return domain_delete(&r->call, &in, NULL) && answer_done(r);
}

bool api_domain_verify(struct request *r)
{
    const struct domain_verify_in in = { .id = r->parameter[0], .force = body_bool(r, "force") };
    struct domain_view out;

    answer_kept(r, HTTP_OK, &domain_members);
    return domain_verify(&r->call, &in, &out) && answer_object(r, HTTP_OK, &domain_members, &out);
}

bool api_domain_dkim_rotate(struct request *r)
{
    const struct domain_dkim_rotate_in in = { .id = r->parameter[0] };
    struct domain_view out;

    answer_kept(r, HTTP_OK, &domain_members);
    return domain_dkim_rotate(&r->call, &in, &out) && answer_object(r, HTTP_OK, &domain_members, &out);
}

bool api_domain_dkim_import(struct request *r)
{
    const struct domain_dkim_import_in in = { .id = r->parameter[0],
                                              .selector = body_text(r, "selector"),
                                              .private_key = body_text(r, "private_key") };
    struct domain_view out;

    answer_kept(r, HTTP_CREATED, &domain_members);
    return domain_dkim_import(&r->call, &in, &out) && answer_object(r, HTTP_CREATED, &domain_members, &out);
}
