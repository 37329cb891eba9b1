/* service/message/send_compose.c - a send that has been checked, as a mail: composed, with what is kept of the request
 * beside it, and handed to the intake. Composing a large mail, or reading HTML, is a worker's. */
#include "base/clock.h"
#include "base/params.h"
#include "net/fiber.h"
#include "service/body/structure.h"
#include "service/message/message_private.h"
#include "service/queue/return_path.h"

/* Composing more than this is done on a worker. */
#define COMPOSE_INLINE ((size_t)128 * 1024)

static void write_people(struct jw *w, const char *name, const struct send_address *list, size_t n)
{
    jw_key(w, name);
    jw_array(w);
    for (size_t i = 0; i < n; i++)
        summary_address(w, &list[i].address);
    jw_array_end(w);
}

static struct bytes people_json(struct call *c, const struct message_send_in *in)
{
    struct buf out;
    struct bytes json;
    struct jw w;

    buf_init(&out, 1024 * 1024);
    jw_init(&w, &out);
    jw_object(&w);
    jw_key(&w, "from");
    summary_address(&w, &in->from.address);
    write_people(&w, "reply_to", in->reply_to, in->n_reply_to);
    write_people(&w, "to", in->to, in->n_to);
    write_people(&w, "cc", in->cc, in->n_cc);
    write_people(&w, "bcc", in->bcc, in->n_bcc);
    jw_object_end(&w);
    json = arena_copy(c->arena, buf_bytes(&out));
    buf_clear(&out);
    return json;
}

static struct bytes tags_json(struct call *c, const struct message_send_in *in)
{
    struct buf out;
    struct bytes json;
    struct jw w;

    if (!in->n_tags)
        return NO_BYTES;
    buf_init(&out, 64 * 1024);
    jw_init(&w, &out);
    jw_array(&w);
    for (size_t i = 0; i < in->n_tags; i++) {
        jw_object(&w);
        jw_key_text(&w, "name", in->tags[i].name);
        jw_key_text(&w, "value", in->tags[i].value.p ? in->tags[i].value : BYTES(""));
        jw_object_end(&w);
    }
    jw_array_end(&w);
    json = arena_copy(c->arena, buf_bytes(&out));
    buf_clear(&out);
    return json;
}

static const struct address *addresses(struct call *c, const struct send_address *list, size_t n)
{
    struct address *out = arena_array(c->arena, n ? n : 1, sizeof *out);

    for (size_t i = 0; i < n; i++)
        out[i] = list[i].address;
    return out;
}

struct compose_job {
    struct call *call;
    const struct sending *s;
    struct buf *out;
    struct err err;
    bool ok;
};

static bool compose_tracked(struct compose_job *job)
{
    struct compose m = job->s->mail;
    struct tracked_parts parts = { 0 };
    bool ok;

    send_track(job->call, job->s, &m, &parts);
    ok = (!parts.html.overflowed && !parts.text.overflowed) ||
         err_set(&job->err, ERR_TOO_LARGE, "The message is over %zu bytes", job->out->max);
    ok = ok && compose_write(&m, job->out, &job->err);
    tracked_parts_clear(&parts);
    return ok;
}

static void compose_work(void *arg)
{
    struct compose_job *job = arg;

    job->ok = job->s->tracking ? compose_tracked(job) : compose_write(&job->s->mail, job->out, &job->err);
}

bool send_write(struct call *c, const struct sending *s, struct buf *out)
{
    const struct compose *m = &s->mail;
    struct compose_job job = { .call = c, .s = s, .out = out };
    size_t size = m->text.n + m->html.n + m->amp_html.n + m->calendar.content.n;

    for (size_t i = 0; i < m->n_attachments; i++)
        size += m->attachments[i].content.n;
    /* Reading HTML needs more stack than a fiber has. */
    if (size > COMPOSE_INLINE || (m->html.p && !m->text.p)) {
        if (!offload(POOL_CPU, compose_work, &job, &c->err))
            return false;
    } else {
        compose_work(&job);
    }
    if (!job.ok)
        c->err = job.err;
    return job.ok;
}

/* The request's own fields, and those that say how to unsubscribe. */
static const struct named_value *headers_of(struct call *c, const struct sending *s)
{
    const struct message_send_in *in = s->in;
    size_t n = s->unsubscribe.n_fields;
    struct named_value *all;

    if (!n)
        return in->headers;
    all = arena_array(c->arena, in->n_headers + n, sizeof *all);
    for (size_t i = 0; i < in->n_headers; i++)
        all[i] = in->headers[i];
    for (size_t i = 0; i < n; i++)
        all[in->n_headers + i] = s->unsubscribe.fields[i];
    return all;
}

/* Its Message-ID holds its id, covered: a complaint that names the one names the other to us. */
void send_describe(struct call *c, struct sending *s)
{
    const struct message_send_in *in = s->in;
    struct bytes domain;
    struct err ignored = { 0 };

    if (!domain_normalize(in->from.address.domain, c->arena, &domain, &ignored))
        domain = PARAM_TEXT(server, hostname);
    s->mail = (struct compose){ .from = in->from.address,
                                .reply_to = addresses(c, in->reply_to, in->n_reply_to),
                                .to = addresses(c, in->to, in->n_to),
                                .cc = addresses(c, in->cc, in->n_cc),
                                .n_reply_to = in->n_reply_to,
                                .n_to = in->n_to,
                                .n_cc = in->n_cc,
                                .subject = in->subject,
                                .text = in->text,
                                .html = in->html,
                                .amp_html = in->amp_html,
                                .calendar = in->calendar,
                                .attachments = in->attachments,
                                .n_attachments = in->n_attachments,
                                .headers = headers_of(c, s),
                                .n_headers = in->n_headers + s->unsubscribe.n_fields,
                                .date = in->scheduled_at ? 0 : clock_wall(),
                                .limits = mail_limits_now() };
    s->mail.message_id =
        arena_bytesf(c->arena, "<%.*s@%.*s>",
                     SHOW(id_text(c->arena, message_kind.prefix, return_path_veil(c->svc, s->message))), SHOW(domain));
}

/* RFC 5321 4.1.3: an address literal stands where SMTP has a name. */
void send_received(struct call *c, struct intake_in *k)
{
    bool v6 = bytes_find(c->client_ip, ':') < c->client_ip.n;

    k->source = SOURCE_API;
    k->received.helo =
        c->client_ip.p ? arena_bytesf(c->arena, v6 ? "[IPv6:%.*s]" : "[%.*s]", SHOW(c->client_ip)) : BYTES("localhost");
    k->received.client_ip = c->client_ip;
    k->received.with = c->client_tls ? "HTTPS" : "HTTP";
}

struct intake_in send_intake(struct call *c, const struct sending *s)
{
    const struct message_send_in *in = s->in;
    bool named = in->envelope_from.pointer;
    struct intake_in k = { .envelope_from = named ? in->envelope_from.address.email : in->from.address.email,
                           .recipients = s->recipients,
                           .n_recipients = s->n,
                           .tags = tags_json(c, in),
                           .tag_list = in->tags,
                           .n_tags = in->n_tags,
                           .metadata = in->metadata,
                           .people = people_json(c, in),
                           .utf8 = true,
                           .dsn_wanted = in->dsn,
                           .no_store = in->no_store,
                           .require_tls = in->require_tls,
                           .save_to_sent = in->save_to_sent,
                           .token_path = !named,
                           .message_id = s->message,
                           .sent_address = in->from.address.email,
                           .priority = in->priority,
                           .expires_after = in->expires_after,
                           .scheduled_at = in->scheduled_at,
                           .batch_id = s->batch,
                           .stream_id = s->stream.id,
                           .stream = s->stream.slug,
                           .topic = in->unsubscribe.topic,
                           .unsubscribes = s->unsubscribe.n_fields > 0,
                           .template_id = s->template_id,
                           .template_version = s->template_version,
                           .tracking = s->tracking,
                           .bypass = in->bypass };

    send_received(c, &k);
    return k;
}

bool send_hand_in(struct call *c, const struct sending *s, struct intake **out)
{
    struct intake_in k = send_intake(c, s);
    struct buf mail;
    bool ok;

    *out = NULL;
    buf_init(&mail, (size_t)PARAM_INT(message, size_max));
    ok = send_write(c, s, &mail) && intake_begin(c, &k, out) && intake_append(*out, c, buf_bytes(&mail));
    buf_clear(&mail);
    if (!ok)
        intake_drop(out);
    return ok;
}
