#include "api/shapes.h"
#include "service/domain.h"

bool api_domain_list(struct request *r)
{
    const struct domain_list_in in = { .page = query_page(r) };
    struct domain_list_out out = { 0 };

    return domain_list(&r->call, &in, &out) &&
           answer_list(r, &out.page, &domain_shape, out.rows, out.n, sizeof *out.rows);
}

bool api_domain_create(struct request *r)
{
    const struct domain_create_in in = {
        .name = body_text(r, "name"),
        .inbound = body_text(r, "inbound"),
        .catch_all = body_text(r, "catch_all"),
        .set =
            (body_has(r, "inbound") ? DOMAIN_SET_INBOUND : 0) | (body_has(r, "catch_all") ? DOMAIN_SET_CATCH_ALL : 0),
    };
    struct domain_row out;

    answer_kept(r, HTTP_CREATED, &domain_shape);
    return domain_create(&r->call, &in, &out) && answer_object(r, HTTP_CREATED, &domain_shape, &out);
}

bool api_domain_get(struct request *r)
{
    const struct domain_get_in in = { .id = r->parameter[0] };
    struct domain_row out;

    return domain_get(&r->call, &in, &out) && answer_object(r, HTTP_OK, &domain_shape, &out);
}

bool api_domain_update(struct request *r)
{
    const struct domain_update_in in = {
        .id = r->parameter[0],
        .set =
            (body_has(r, "inbound") ? DOMAIN_SET_INBOUND : 0) | (body_has(r, "catch_all") ? DOMAIN_SET_CATCH_ALL : 0),
        .inbound = body_text(r, "inbound"),
        .catch_all = body_text(r, "catch_all"),
    };
    struct domain_row out;

    return domain_update(&r->call, &in, &out) && answer_object(r, HTTP_OK, &domain_shape, &out);
}

bool api_domain_delete(struct request *r)
{
    const struct domain_delete_in in = { .id = r->parameter[0] };

    return domain_delete(&r->call, &in, NULL) && answer_done(r);
}

bool api_domain_verify(struct request *r)
{
    const struct domain_verify_in in = { .id = r->parameter[0], .force = body_bool(r, "force") };
    struct domain_row out;

    answer_kept(r, HTTP_OK, &domain_shape);
    return domain_verify(&r->call, &in, &out) && answer_object(r, HTTP_OK, &domain_shape, &out);
}
