/* service/message/unsubscribe.c - see unsubscribe.h. What the link says is all that is needed to leave; the mail's rows
 * add to what is told, where they are still there. Of two clicks at once the second finds it done, by the suppression
 * itself. */
#include "service/message/unsubscribe.h"
#include "service/core/retry.h"
#include "service/core/state.h"
#include "service/identity/stream.h"
#include "service/queue/outcome.h"
#include "service/queue/public_token.h"
#include "service/queue/suppression.h"

#define LOOK 100 /* deliveries of the mail; it had one recipient */

/* ---- the link ---- */

/* The stream's id, a byte that says how long the topic is, the topic, the address. */
struct bytes unsubscribe_link(struct call *c, struct bytes base, const struct unsubscribing *of)
{
    struct public_token t = { .kind = PUBLIC_UNSUBSCRIBE, .account = of->account, .message = of->message };
    struct bytes link;
    struct buf out;

    buf_init(&out, PUBLIC_TEXT_MOST);
    buf_add(&out, (struct bytes){ (const char *)of->stream.b, sizeof of->stream.b });
    buf_addc(&out, (char)of->topic.n);
    buf_add(&out, of->topic);
    buf_add(&out, of->email);
    t.text = arena_copy(c->arena, buf_bytes(&out));
    buf_reset(&out);
    buf_addf(&out, "%.*s/u/", SHOW(base));
    public_token_write(c->svc, &t, &out);
    link = arena_copy(c->arena, buf_bytes(&out));
    buf_clear(&out);
    return link;
}

static bool read_link(struct call *c, struct bytes token, struct unsubscribing *out)
{
    struct public_token t;
    size_t topic;

    if (!public_token_take(c, PUBLIC_UNSUBSCRIBE, token, &t))
        return false;
    if (t.text.n < sizeof out->stream.b + 1)
        return err_set(&c->err, ERR_MISSING, "No such link");
    *out = (struct unsubscribing){ .account = t.account, .message = t.message };
    memcpy(out->stream.b, t.text.p, sizeof out->stream.b);
    topic = (unsigned char)t.text.p[sizeof out->stream.b];
    t.text = bytes_from(t.text, sizeof out->stream.b + 1);
    out->topic = topic ? bytes_head(t.text, topic) : NO_BYTES;
    out->email = bytes_from(t.text, topic);
    c->account = t.account;
    return true;
}

/* ---- what it is about ---- */

static struct suppressing suppressing_of(const struct unsubscribing *of)
{
    return (struct suppressing){ .account_id = of->account,
                                 .email = of->email,
                                 .reason = SUPPRESSED_UNSUBSCRIBE,
                                 .stream_id = of->stream,
                                 .topic = of->topic,
                                 .message_id = of->message,
                                 .text = BYTES("By the link in a mail") };
}

static bool show(struct call *c, const struct unsubscribing *of, bool done, struct unsubscribe_out *out)
{
    struct stream_row stream;

    *out = (struct unsubscribe_out){ .name = of->topic, .done = done };
    if (of->topic.p)
        return true;
    if (!stream_known(c, id_text(c->arena, stream_kind.prefix, of->stream), &stream))
        return call_was_missing(c);
    out->name = stream.name;
    return true;
}

bool unsubscribe_get(struct call *c, const struct unsubscribe_get_in *in, struct unsubscribe_out *out)
{
    struct unsubscribing of;
    struct suppressing s;

    if (!read_link(c, in->token, &of))
        return false;
    s = suppressing_of(&of);
    return suppression_look(c->svc, c->arena, &s, 1, &c->err) && show(c, &of, s.there && !s.adds, out);
}

/* ---- done ---- */

/* The mail and its delivery, as far as they are there; else what an event says without them. */
static bool find_mail(struct call *c, const struct unsubscribing *of, struct message_row *m, struct delivery_row *d)
{
    struct query q = { .kind = &delivery_kind, .index = "message", .n_conds = 1, .limit = LOOK };
    const struct delivery_row *rows;
    void *found;
    size_t n;
    bool there;

    *d = (struct delivery_row){ .email = of->email };
    q.conds[0] = COND("message_id", IS, V_ID(of->message));
    if (!store_look(c->store, &message_kind, of->message, c->arena, m, &there, &c->err) ||
        !store_find(c->store, &q, c->arena, &found, &n, &c->err))
        return false;
    if (!there)
        *m = (struct message_row){ .id = of->message, .account_id = of->account, .mode = BYTES("live") };
    rows = found;
    for (size_t i = 0; i < n && id_is_none(d->id); i++)
        if (id_equal(rows[i].account_id, of->account))
            *d = rows[i];
    d->last = NO_BYTES;
    return true;
}

static struct bytes members(struct call *c, const struct unsubscribing *of)
{
    struct bytes json;
    struct buf out;
    struct jw w;

    buf_init(&out, 4096);
    jw_init(&w, &out);
    jw_object(&w);
    jw_key_id(&w, "stream_id", stream_kind.prefix, of->stream);
    jw_key_text(&w, "topic", of->topic);
    jw_object_end(&w);
    json = arena_copy(c->arena, bytes_head(bytes_from(buf_bytes(&out), 1), out.n - 2));
    buf_clear(&out);
    return json;
}

/* Nobody has asked us for it, who has not got a mail of ours. */
static bool is_real(const struct message_row *m, struct bytes email)
{
    return !bytes_equal(m->mode, BYTES("test")) && !bytes_ends(email, BYTES("@sandbox.test"));
}

struct leaving {
    struct unsubscribing of;
    struct message_row message;
    struct delivery_row delivery;
};

/* Of two at once the second finds it done. */
static bool leave_once(struct call *c, void *arg, bool *again)
{
    struct leaving *w = arg;
    struct batch *b = batch_new(c->arena);
    struct suppressing s = suppressing_of(&w->of);

    s.delivery_id = w->delivery.id;
    if (!suppression_look(c->svc, c->arena, &s, 1, &c->err))
        return false;
    if (!s.adds)
        return true;
    if (is_real(&w->message, w->of.email))
        suppression_add_exact(b, c->arena, &s);
    event_record_more(b, c->arena, &w->message, &w->delivery, "email.unsubscribed", members(c, &w->of), clock_wall());
    if (store_commit(c->store, b, c->deadline, &c->err))
        return true;
    *again = c->err.code == ERR_CONFLICT;
    return false;
}

bool unsubscribe_post(struct call *c, const struct unsubscribe_post_in *in, struct unsubscribe_out *out)
{
    struct leaving w;

    if (!read_link(c, in->token, &w.of))
        return false;
    if (!in->one_click)
        return err_set(&c->err, ERR_INVALID, "The body is List-Unsubscribe=One-Click");
    return find_mail(c, &w.of, &w.message, &w.delivery) && retry_run(c, w.of.email, leave_once, &w) &&
           show(c, &w.of, true, out);
}
