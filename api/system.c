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
    struct jw w;

    r->status = HTTP_OK;
    jw_init(&w, &r->out);
    jw_object(&w);
    jw_key_text(&w, "object", BYTES("list"));
    jw_key(&w, "data");
    jw_array(&w);
    problem_list(&w);
    jw_array_end(&w);
    jw_key_bool(&w, "has_more", false);
    jw_key_text(&w, "next", NO_BYTES);
    jw_key_text(&w, "previous", NO_BYTES);
    jw_key_time(&w, "searched_to", 0);
    jw_object_end(&w);
    return true;
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
