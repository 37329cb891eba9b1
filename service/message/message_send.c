/* service/message/message_send.c - a send by JSON: checked, composed, handed to the intake.
 *
 * All faults of the request are found before the first rule that could refuse it, and told together. Recipients are
 * only marked: one that is missing or full bounces by itself, as it would for a mail that had gone further. Composing a
 * large mail, or reading HTML, is a worker's. */
#include "base/clock.h"
#include "base/params.h"
#include "net/fiber.h"
#include "service/body/structure.h"
#include "service/identity/directory.h"
#include "service/identity/sender.h"
#include "service/message/message_private.h"
#include "service/message/send_check.h"
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

static bool check_sent(struct call *c, const struct message_send_in *in)
{
    struct directory_user user;
    bool found;

    if (!in->save_to_sent || !in->from.address.domain.p)
        return true;
    found = directory_find(c, &in->from.address, &user);
    if (!found && !call_was_missing(c))
        return false;
    if (!found || user.how == FOUND_CATCH_ALL || !id_equal(user.account_id, c->account) ||
        !call_reaches(c, user.domain_id))
        call_fault(c, "/save_to_sent", "no_such_user", "No user has the address of from");
    return true;
}

/* Recipients are marked, not refused: what is missing or full bounces by itself. */
bool send_recipient(struct call *c, const struct address *address, const char *where, struct recipient *out)
{
    struct recipient_check_in in = { .address = *address, .utf8_ok = true, .lenient = true };

    if (recipient_check(c, &in, out))
        return true;
    if (c->err.code != ERR_SYNTAX)
        return false;
    call_fault(c, where, "invalid_address", "%s", c->err.message);
    c->err = (struct err){ 0 };
    return call_check(c);
}

static bool check_all(struct call *c, const struct send_address *list, size_t n, struct recipient **next)
{
    for (size_t i = 0; i < n; i++)
        if (!send_recipient(c, &list[i].address, list[i].pointer, (*next)++))
            return false;
    return true;
}

static int by_email(const void *a, const void *b)
{
    const struct recipient *const *x = a, *const *y = b;
    int order = bytes_compare((*x)->email, (*y)->email);

    return order ? order : (*x > *y) - (*x < *y); /* the first one stays */
}

size_t send_unique(struct call *c, struct recipient *list, size_t n)
{
    struct recipient **sorted = arena_array(c->arena, n, sizeof(struct recipient *));
    size_t kept = 0;

    for (size_t i = 0; i < n; i++)
        sorted[i] = &list[i];
    qsort(sorted, n, sizeof *sorted, by_email);
    for (size_t i = n; i-- > 1;)
        if (bytes_equal(sorted[i]->email, sorted[i - 1]->email))
            sorted[i]->email = NO_BYTES;
    for (size_t i = 0; i < n; i++)
        if (list[i].email.p)
            list[kept++] = list[i];
    return kept;
}

struct compose_job {
    const struct compose *compose;
    struct buf *out;
    struct err err;
    bool ok;
};

static void compose_work(void *arg)
{
    struct compose_job *job = arg;

    job->ok = compose_write(job->compose, job->out, &job->err);
}

static bool write_mail(struct call *c, const struct compose *m, struct buf *out)
{
    struct compose_job job = { .compose = m, .out = out };
    size_t size = m->text.n + m->html.n;

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

/* Its Message-ID holds its id, covered: a complaint that names the one names the other to us. */
static void describe(struct call *c, const struct message_send_in *in, struct id message, struct compose *m)
{
    struct bytes domain;
    struct err ignored = { 0 };

    if (!domain_normalize(in->from.address.domain, c->arena, &domain, &ignored))
        domain = PARAM_TEXT(server, hostname);
    *m = (struct compose){ .from = in->from.address,
                           .reply_to = addresses(c, in->reply_to, in->n_reply_to),
                           .to = addresses(c, in->to, in->n_to),
                           .cc = addresses(c, in->cc, in->n_cc),
                           .n_reply_to = in->n_reply_to,
                           .n_to = in->n_to,
                           .n_cc = in->n_cc,
                           .subject = in->subject,
                           .text = in->text,
                           .html = in->html,
                           .attachments = in->attachments,
                           .n_attachments = in->n_attachments,
                           .headers = in->headers,
                           .n_headers = in->n_headers,
                           .date = clock_wall(),
                           .limits = mail_limits_now() };
    m->message_id =
        arena_bytesf(c->arena, "<%.*s@%.*s>",
                     SHOW(id_text(c->arena, message_kind.prefix, return_path_veil(c->svc, message))), SHOW(domain));
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

static bool hand_in(struct call *c, struct intake_in *k, struct bytes mail, struct intake_out *out)
{
    struct intake *intake = NULL;

    send_received(c, k);
    if (!intake_begin(c, k, &intake))
        return false;
    if (intake_append(intake, c, mail))
        return intake_commit(&intake, c, out);
    intake_drop(&intake);
    return false;
}

static bool accept_composed(struct call *c, const struct message_send_in *in, struct compose *m, struct id message,
                            const struct recipient *recipients, size_t n, struct intake_out *out)
{
    struct intake_in k = { .envelope_from =
                               in->envelope_from.pointer ? in->envelope_from.address.email : in->from.address.email,
                           .recipients = recipients,
                           .n_recipients = n,
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
                           .token_path = !in->envelope_from.pointer,
                           .message_id = message,
                           .sent_address = in->from.address.email,
                           .expires_after = in->expires_after,
                           .bypass = in->bypass };
    struct buf mail;
    bool ok;

    buf_init(&mail, (size_t)PARAM_INT(message, size_max));
    ok = write_mail(c, m, &mail) && hand_in(c, &k, buf_bytes(&mail), out);
    buf_clear(&mail);
    return ok;
}

static bool send_composed(struct call *c, const struct message_send_in *in, struct intake_out *out)
{
    struct recipient *recipients, *next;
    struct thread thread = { 0 };
    struct id message = id_new();
    struct compose m;

    send_check(c, in);
    if (!check_sent(c, in))
        return false;
    if (in->from.address.domain.p)
        describe(c, in, message, &m);
    if (in->in_reply_to.p && !thread_find(c, in->in_reply_to, &thread))
        return false;
    if (!call_check(c) || !sender_allowed(c, &in->from.address) ||
        (in->envelope_from.pointer && !sender_allowed(c, &in->envelope_from.address)))
        return false;
    m.in_reply_to = thread.in_reply_to;
    m.references = thread.references;
    recipients = next = arena_array(c->arena, in->n_to + in->n_cc + in->n_bcc, sizeof *recipients);
    if (!check_all(c, in->to, in->n_to, &next) || !check_all(c, in->cc, in->n_cc, &next) ||
        !check_all(c, in->bcc, in->n_bcc, &next))
        return false;
    return accept_composed(c, in, &m, message, recipients, send_unique(c, recipients, (size_t)(next - recipients)),
                           out);
}

/* A test key may say what a live one will. */
static bool may_bypass(struct call *c)
{
    return (c->who->test && c->who->scopes & SCOPE_SUPPRESSIONS) || call_may(c, SCOPE_SUPPRESSIONS);
}

bool message_send(struct call *c, const struct message_send_in *in, struct intake_out *out)
{
    if (!call_may(c, SCOPE_SEND) || (in->bypass && !may_bypass(c)))
        return false;
    return in->is_raw ? send_raw(c, in, out) : send_composed(c, in, out);
}
