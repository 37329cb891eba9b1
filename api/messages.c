/* api/messages.c - what was sent: messages, their deliveries and events. Sending by JSON is in send.c.
 *
 * Handlers only carry: parameters and members in, one call, the resource's table out. */
#include "api/request.h"
#include "service/message/event.h"
#include "service/message/message.h"
#include "service/queue/transcript.h"

bool api_message_list(struct request *r)
{
    const struct message_list_in in = {
        .page = query_page(r),
        .email = query_text(r, "email"),
        .status = query_text(r, "status"),
        .direction = query_text(r, "direction"),
        .source = query_text(r, "source"),
        .key_id = query_text(r, "key_id"),
        .tag = query_text(r, "tag"),
        .since = query_time(r, "since"),
        .until = query_time(r, "until"),
    };
    struct message_list_out out = { 0 };

    return message_list(&r->call, &in, &out) &&
           answer_list(r, &out.page, &message_members, out.rows, out.n, sizeof *out.rows);
}

bool api_message_get(struct request *r)
{
    const struct message_get_in in = { .id = r->parameter[0] };
    struct message_view out;

    return message_get(&r->call, &in, &out) && answer_object(r, HTTP_OK, &message_members, &out);
}

bool api_message_update(struct request *r)
{
    const struct message_update_in in = { .id = r->parameter[0],
                                          .moves = json_object_object_get_ex(r->body, "scheduled_at", NULL),
                                          .scheduled_at = body_time(r, "scheduled_at") };
    struct message_view out;

    return message_update(&r->call, &in, &out) && answer_object(r, HTTP_OK, &message_members, &out);
}

bool api_message_delete(struct request *r)
{
    const struct message_delete_in in = { .id = r->parameter[0] };

    return message_delete(&r->call, &in, NULL) && answer_done(r);
}

bool api_message_raw(struct request *r)
{
    const struct message_raw_in in = { .id = r->parameter[0] };
    struct content_out out = { .size = -1 };

    return message_raw(&r->call, &in, &out) && answer_content(r, "message/rfc822", &out);
}

bool api_message_cancel(struct request *r)
{
    const struct message_cancel_in in = { .id = r->parameter[0] };
    struct message_view out;

    answer_kept(r, HTTP_OK, &message_members);
    return message_cancel(&r->call, &in, &out) && answer_object(r, HTTP_OK, &message_members, &out);
}

/* ---- deliveries ---- */

bool api_delivery_list(struct request *r)
{
    const struct delivery_list_in in = {
        .page = query_page(r),
        .status = query_text(r, "status"),
        .domain = query_text(r, "domain"),
        .email = query_text(r, "email"),
        .message_id = query_text(r, "message_id"),
    };
    struct delivery_list_out out = { 0 };

    return delivery_list(&r->call, &in, &out) &&
           answer_list(r, &out.page, &delivery_members, out.rows, out.n, sizeof *out.rows);
}

bool api_delivery_get(struct request *r)
{
    const struct delivery_get_in in = { .id = r->parameter[0] };
    struct delivery_view out;

    return delivery_get(&r->call, &in, &out) && answer_object(r, HTTP_OK, &delivery_members, &out);
}

bool api_delivery_transcript(struct request *r)
{
    const struct delivery_transcript_in in = { .id = r->parameter[0], .attempt = query_int(r, "attempt", 0) };
    struct transcript_view out;

    return delivery_transcript(&r->call, &in, &out) && answer_object(r, HTTP_OK, &transcript_members, &out);
}

static bool act(struct request *r, bool (*run)(struct call *, const struct delivery_act_in *, struct delivery_view *))
{
    const struct delivery_act_in in = { .id = r->parameter[0], .reason = body_text(r, "reason") };
    struct delivery_view out;

    answer_kept(r, HTTP_OK, &delivery_members);
    return run(&r->call, &in, &out) && answer_object(r, HTTP_OK, &delivery_members, &out);
}

bool api_delivery_retry(struct request *r)
{
    return act(r, delivery_retry);
}

bool api_delivery_hold(struct request *r)
{
    return act(r, delivery_hold);
}

bool api_delivery_release(struct request *r)
{
    return act(r, delivery_release);
}

bool api_delivery_bounce(struct request *r)
{
    return act(r, delivery_bounce);
}

/* ---- events ---- */

static bool events(struct request *r,
                   bool (*list)(struct call *, const struct event_list_in *, struct event_list_out *))
{
    const struct event_list_in in = {
        .page = query_page(r),
        .id = r->parameter[0],
        .type = query_text(r, "type"),
        .follow = query_bool(r, "follow"),
    };
    struct event_list_out out = { 0 };

    return list(&r->call, &in, &out) && answer_list(r, &out.page, &event_members, out.rows, out.n, sizeof *out.rows);
}

bool api_message_event_list(struct request *r)
{
    return events(r, message_event_list);
}

bool api_delivery_event_list(struct request *r)
{
    return events(r, delivery_event_list);
}

bool api_event_list(struct request *r)
{
    return head_accepts(r, "text/event-stream") ? follow_answer(r) : events(r, event_list);
}

bool api_event_get(struct request *r)
{
    const struct event_get_in in = { .id = r->parameter[0] };
    struct event_row out;

    return event_get(&r->call, &in, &out) && answer_object(r, HTTP_OK, &event_members, &out);
}
