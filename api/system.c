/* What is not of any account: health, metrics, the contract, the pages of the error codes. */
#include "api/private.h"
#include "api/request.h"
#include "base/metrics.h"

bool api_system_openapi(struct request *r)
{
    return answer_text(r, "application/json", (struct bytes){ (const char *)openapi_json, openapi_json_size });
}

static bool healthy(struct request *r)
{
    return answer_text(r, "application/json", BYTES("{\"object\":\"health\",\"status\":\"ok\"}"));
}

bool api_system_livez(struct request *r)
{
    return healthy(r);
}

bool api_system_readyz(struct request *r)
{
    struct err why = { 0 };

    if (service_accepts(r->x->api->svc, &why))
        return healthy(r);
    return err_set(&r->call.err, ERR_BUSY, "Not ready: %s", why.message);
}

bool api_system_metrics(struct request *r)
{
    r->status = HTTP_OK;
    r->type = "text/plain; version=0.0.4; charset=utf-8";
    metrics_text(&r->out);
    return true;
}

bool api_system_errors(struct request *r)
{
    const struct page_out all = { .next = NO_BYTES };
    struct jw w;

    answer_list_begin(r, &w);
    problem_list(&w);
    return answer_list_end(&w, &all);
}

bool api_system_error(struct request *r)
{
    if (!problem_page(r->parameter[0], &r->out))
        return err_set(&r->call.err, ERR_MISSING, "No such error code");
    r->status = HTTP_OK;
    r->type = "text/html; charset=utf-8";
    return true;
}

bool api_system_root(struct request *r)
{
    return answer_text(r, "application/json",
                       BYTES("{\"name\":\"Postrider\",\"version\":\"" POSTRIDER_VERSION
                             "\",\"api\":\"/v1\",\"openapi\":\"/openapi.json\",\"errors\":\"/errors\"}"));
}
