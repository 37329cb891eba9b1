/* service/message/preview.c - see preview.h. The intake is ended and then dropped: what a large body has left in the
 * store by then goes with it, as of a sender who hung up. */
#include "service/message/preview.h"
#include "base/params.h"
#include "net/fiber.h"
#include "service/body/structure.h"
#include "service/core/state.h"
#include "service/message/intake_private.h"
#include "service/message/message_private.h"
#include "service/queue/routing.h"

#define KEPT_MOST ((size_t)256 * 1024)
#define TRIES     8

/* ---- what is refused ---- */

/* A rule that refuses the request is one of its faults. False for what is no answer about it: the store is away. */
static bool note_refusal(struct call *c)
{
    const struct err_row *row = err_row(c->err.code);
    struct err why = c->err;

    if (row->http >= 500)
        return false;
    c->err = (struct err){ 0 };
    if (!c->n_faults) /* else it only says the first of them */
        call_fault(c, why.code == ERR_SENDER || why.code == ERR_UNVERIFIED ? "/from" : "", row->api, "%s",
                   err_told(&why));
    return true;
}

/* ---- what it looks like ---- */

struct text_job {
    struct bytes html;
    struct buf *out;
};

static void text_work(void *arg)
{
    struct text_job *job = arg;

    html_to_text(job->html, mail_limits_now(), job->out);
}

/* As it is composed: made from the HTML where none was given. */
static bool text_of(struct call *c, const struct message_send_in *in, struct bytes *out)
{
    struct text_job job = { .html = in->html };
    struct buf text;
    bool ok = true;

    *out = in->text;
    if (in->text.p || !in->html.p)
        return true;
    buf_init(&text, (size_t)PARAM_INT(message, size_max));
    job.out = &text;
    ok = offload(POOL_CPU, text_work, &job, &c->err);
    if (ok)
        *out = arena_copy(c->arena, buf_bytes(&text));
    buf_clear(&text);
    return ok;
}

static void take_headers(struct call *c, struct bytes header, struct preview_out *out)
{
    struct bytes rest = header;
    struct header field;

    while (header_next(&rest, &field))
        out->n_headers++;
    out->headers = arena_array(c->arena, out->n_headers ? out->n_headers : 1, sizeof *out->headers);
    out->n_headers = 0;
    while (header_next(&header, &field))
        out->headers[out->n_headers++] =
            (struct named_value){ arena_copy(c->arena, field.name),
                                  header_decode(field.value, mail_limits_now(), c->arena) };
}

static bool render(struct call *c, const struct message_send_in *in, const struct intake *k, struct preview_out *out)
{
    struct bytes mail = body_preview(k->body);

    out->rendered = true;
    out->subject = in->subject.p ? in->subject : BYTES("");
    out->html = in->html;
    out->amp_html = in->amp_html;
    take_headers(c, arena_copy(c->arena, bytes_head(mail, header_end(mail))), out);
    out->size = body_size(k->body);
    return text_of(c, in, &out->text);
}

/* ---- who would get it ---- */

static void show_verdict(struct call *c, const struct target *t, struct preview_recipient *out)
{
    const struct attempt *said = t->verdict.attempt;

    out->kind = t->delivery.kind;
    out->status = outcome_answer(t->verdict.outcome);
    if (t->verdict.outcome == OUTCOME_HELD)
        out->status = BYTES("held");
    if (!said)
        return;
    out->code = said->code;
    out->enhanced = arena_copy(c->arena, said->enhanced);
    out->text = arena_copy(c->arena, said->text);
    out->cause = said->cause.p ? arena_copy(c->arena, said->cause) : NO_BYTES;
}

/* By which way it would leave: the route that matches now, else what the parameters say. */
static void find_route(struct call *c, const struct message_send_in *in, struct routes *routes,
                       struct preview_recipient *out)
{
    struct bytes *tags = arena_array(c->arena, in->n_tags, sizeof *tags);
    int64_t hurry = in->expires_after ? in->expires_after * 1000 : PARAM_INT(delivery, expires_after);
    struct route_query q = { .account = c->account,
                             .domain = bytes_from(out->email, bytes_find_last(out->email, '@') + 1),
                             .sender_domain = in->from.address.domain,
                             .tags = tags,
                             .n_tags = in->n_tags,
                             .class = queue_class(in->priority, hurry),
                             .source = BYTES("api") };
    const struct mail_route *r;

    domain_normalize(in->from.address.domain, c->arena, &q.sender_domain, &(struct err){ 0 });
    for (size_t i = 0; i < in->n_tags; i++)
        tags[i] = arena_bytesf(c->arena, "%.*s=%.*s", SHOW(in->tags[i].name), SHOW(in->tags[i].value));
    r = routes ? routes_find(routes, &q) : NULL;
    out->route = r ? bytes_of(route_way_text(r->way)) : PARAM_TEXT(delivery, via);
    if (r && (!id_is_none(r->account) || call_is_operator(c)))
        out->route_id = r->id;
}

static bool find_suppression(struct call *c, const struct sending *s, struct preview_recipient *out)
{
    const struct suppression_scope scope = { c->account, s->stream.id, s->in->unsubscribe.topic, s->in->bypass };
    struct suppression_row row;

    if (!suppression_find(c->svc, c->arena, &scope, &out->email, 1, &row, &c->err))
        return false;
    out->suppressed = id_is_none(row.id) ? NO_BYTES : row.reason;
    return true;
}

/* `k` NULL: they were found, and not judged. */
static bool show_recipients(struct call *c, const struct sending *s, const struct intake *k, struct preview_out *out)
{
    struct routes *routes = routes_now(c->svc);
    bool ok = true;

    out->recipients = arena_array(c->arena, s->n ? s->n : 1, sizeof *out->recipients);
    for (size_t i = 0; ok && i < s->n; i++) {
        struct preview_recipient *r = &out->recipients[out->n_recipients++];
        bool far = s->recipients[i].kind == RECIPIENT_REMOTE;

        r->email = s->recipients[i].email;
        r->kind = far ? BYTES("remote") : BYTES("local");
        r->route = BYTES("local");
        if (far)
            find_route(c, s->in, routes, r);
        if (k && !k->plan.targets[i].returned)
            show_verdict(c, &k->plan.targets[i], r);
        if (k && k->plan.targets[i].suppressed)
            ok = find_suppression(c, s, r);
    }
    routes_leave(&routes);
    return ok;
}

/* ---- the whole ---- */

/* Judged as if it was to begin now. *said: the request, with what its template says. */
static bool judge(struct call *c, const struct message_send_in *in, const struct message_send_in **said,
                  struct preview_out *out)
{
    struct message_send_in *now = arena_alloc(c->arena, sizeof *now);
    struct sending s = { .in = in, .message = id_new(), .uncounted = true };
    struct intake *k = NULL;
    bool judged = false, ok;

    ok = send_prepare(c, &s);
    *said = s.in;
    preview_warn_rendering(s.rendering, out);
    if (!ok)
        return note_refusal(c);
    *now = *s.in;
    now->scheduled_at = 0;
    s.in = now;
    ok = send_hand_in(c, &s, &k);
    judged = ok && intake_end(k, c);
    ok =
        (judged || note_refusal(c)) && show_recipients(c, &s, judged ? k : NULL, out) && (!k || render(c, now, k, out));
    intake_drop(&k);
    return ok;
}

/* Its HTML, to be looked at; and the same answer again under the same key, unless it is too large to be kept. Of two
 * that take the place of the same one, the second asks again for a place. */
static bool keep(struct call *c, struct preview_out *out)
{
    bool keyed = c->idempotency && c->idempotency->key.p && out->html.n + out->text.n < KEPT_MOST;

    for (int i = 0; i < TRIES; i++) {
        struct batch *b = batch_new(c->arena);

        c->err = (struct err){ 0 };
        if (!preview_keep(c, b, out))
            return false;
        if (keyed ? call_commit(c, b, out, NO_ID) : !batch_count(b) || store_commit(c->store, b, c->deadline, &c->err))
            return true;
        if (c->err.code != ERR_CONFLICT)
            return false;
    }
    return err_again(c, ERR_BUSY, "Others make previews all the time");
}

bool preview_create(struct call *c, const struct message_send_in *in, struct preview_out *out)
{
    const struct message_send_in *said = in;
    bool ok;

    *out = (struct preview_out){ 0 };
    if (!call_may(c, SCOPE_SEND))
        return false;
    ok = judge(c, in, &said, out) && preview_warn(c, said, out);
    out->errors = c->faults;
    out->n_errors = c->n_faults;
    return ok && keep(c, out);
}
