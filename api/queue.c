/* api/queue.c - the queue in the operator's hands: what waits, actions on many deliveries, suspensions. What is done
 * with one delivery is in messages.c. */
#include "api/request.h"
#include "service/queue/action.h"
#include "service/queue/queue_view.h"
#include "service/queue/suspension.h"

bool api_queue_list(struct request *r)
{
    const struct queue_list_in in = { .page = query_page(r) };
    struct queue_list_out out = { 0 };

    return queue_list(&r->call, &in, &out) &&
           answer_list(r, &out.page, &queue_site_members, out.rows, out.n, sizeof *out.rows);
}

bool api_queue_get(struct request *r)
{
    const struct queue_get_in in = { .site = r->parameter[0] };
    struct queue_site out;

    return queue_get(&r->call, &in, &out) && answer_object(r, HTTP_OK, &queue_site_members, &out);
}

/* ---- actions ---- */

bool api_action_list(struct request *r)
{
    const struct action_list_in in = { .page = query_page(r) };
    struct action_list_out out = { 0 };

    return action_list(&r->call, &in, &out) &&
           answer_list(r, &out.page, &action_members, out.rows, out.n, sizeof *out.rows);
}

bool api_action_create(struct request *r)
{
    struct action_create_in in = { 0 };
    struct action_row out;

    in.named = body_members(r, &action_members, &in.given);
    answer_kept(r, HTTP_CREATED, &action_members);
    return action_create(&r->call, &in, &out) && answer_object(r, HTTP_CREATED, &action_members, &out);
}

bool api_action_get(struct request *r)
{
    const struct action_get_in in = { .id = r->parameter[0] };
    struct action_row out;

    return action_get(&r->call, &in, &out) && answer_object(r, HTTP_OK, &action_members, &out);
}

/* ---- suspensions ---- */

bool api_suspension_list(struct request *r)
{
    const struct suspension_list_in in = { .page = query_page(r) };
    struct suspension_list_out out = { 0 };

    return suspension_list(&r->call, &in, &out) &&
           answer_list(r, &out.page, &suspension_members, out.rows, out.n, sizeof *out.rows);
}

bool api_suspension_create(struct request *r)
{
    struct suspension_create_in in = { 0 };
    struct suspension_row out;

    in.named = body_members(r, &suspension_members, &in.given);
    answer_kept(r, HTTP_CREATED, &suspension_members);
    return suspension_create(&r->call, &in, &out) && answer_object(r, HTTP_CREATED, &suspension_members, &out);
}

bool api_suspension_get(struct request *r)
{
    const struct suspension_get_in in = { .id = r->parameter[0] };
    struct suspension_row out;

    return suspension_get(&r->call, &in, &out) && answer_object(r, HTTP_OK, &suspension_members, &out);
}

bool api_suspension_delete(struct request *r)
{
    const struct suspension_delete_in in = { .id = r->parameter[0] };

    return suspension_delete(&r->call, &in, NULL) && answer_done(r);
}
