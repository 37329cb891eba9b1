/* service/message/message_list.c - messages by what they are and to whom they went. One index leads - the recipient's
 * address, a tag, or the account - and the other filters pick from what it gives, as far as service/core/list.c looks.
 * Messages may be large (a thousand recipients with their names): what the filters need is read, and only what is shown
 * is loaded.
 */
#include "base/params.h"
#include "service/core/list.h"
#include "service/core/member.h"
#include "service/identity/directory.h"
#include "service/message/message_private.h"
#include "service/queue/outcome.h"
#include "store/value.h"

struct scan {
    struct look look;
    const struct message_list_in *in;
    const struct field *message_id; /* in rows of the leading index; NULL: they are the messages */
    struct bytes email;
    struct id key_id;
};

/* What matches() and message_status() read. */
static const char *const judged[] = { "id",       "domain_id",   "account_id", "direction", "source",      "mode",
                                      "key_id",   "created_at",  "n_open",     "n_held",    "n_delivered", "n_captured",
                                      "n_failed", "n_cancelled", "release_at", NULL };
static const char *const leads[] = { "id", "account_id", "message_id", "email", NULL };
static const char *const tag_leads[] = { "id", "account_id", "message_id", "label", NULL };

static bool matches(const struct call *c, const struct scan *s, const struct message_row *m)
{
    const struct message_list_in *in = s->in;
    struct bytes direction = in->direction.p ? in->direction : BYTES("outbound");

    return call_sees(c, m->account_id, m->mode, m->domain_id) && bytes_equal(m->direction, direction) &&
           (!in->status.p || bytes_equal(message_status(m), in->status)) &&
           (!in->source.p || bytes_equal(m->source, in->source)) && (!in->key_id.p || id_equal(m->key_id, s->key_id)) &&
           (!in->since || m->created_at >= in->since) && (!in->until || m->created_at < in->until);
}

static void lead_by(struct call *c, struct scan *s, const struct kind *k, const char *index, const char *const *only)
{
    struct query *q = &s->look.query;

    *q = (struct query){ .kind = k, .index = index, .only = only, .n_conds = 1 };
    q->conds[0] = COND("account_id", IS, V_ID(c->account));
    s->message_id = kind_field(k, "message_id");
}

static void choose(struct call *c, struct scan *s)
{
    const struct message_list_in *in = s->in;
    struct query *q = &s->look.query;

    if (in->tag.p) {
        lead_by(c, s, &tag_kind, "label", tag_leads);
        q->conds[q->n_conds++] = COND("label", IS, V_TEXT(in->tag));
    } else if (in->email.p) {
        lead_by(c, s, &delivery_kind, "email", leads);
        q->conds[q->n_conds++] = COND("email", IS, V_TEXT(s->email));
    } else {
        lead_by(c, s, &message_kind, "account", judged);
        q->conds[q->n_conds++] = COND("direction", IS, V_TEXT(in->direction.p ? in->direction : BYTES("outbound")));
    }
}

/* With a tag leading, an address is looked for among the deliveries. */
static bool went_to(struct call *c, const struct scan *s, struct id message, bool *yes)
{
    static const char *const only[] = { "id", NULL };
    struct query q = { .kind = &delivery_kind, .index = "message", .n_conds = 2, .limit = 1, .only = only };
    void *rows;
    size_t n;

    *yes = true;
    if (!s->in->tag.p || !s->in->email.p)
        return true;
    q.conds[0] = COND("message_id", IS, V_ID(message));
    q.conds[1] = COND("email", IS, V_TEXT(s->email));
    if (!store_find(c->store, &q, c->arena, &rows, &n, &c->err))
        return false;
    *yes = n > 0;
    return true;
}

/* The messages that leads lead to, as far as they are there, narrow and in any order. */
static bool load_led(struct call *c, const struct scan *s, const char *rows, size_t n, struct message_row **out,
                     size_t *n_out)
{
    struct value *list = arena_array(c->arena, n, sizeof *list);
    struct query q = { .kind = &message_kind, .n_conds = 1, .limit = n, .only = judged };
    size_t n_list = 0;
    void *found;

    for (size_t i = 0; i < n; i++) {
        struct value v = value_of(s->message_id, rows + i * s->look.query.kind->size);

        if (!n_list || !id_equal(v.id, list[n_list - 1].id))
            list[n_list++] = v;
    }
    q.conds[0] = COND_ONE_OF("id", list, n_list);
    if (!store_find(c->store, &q, c->arena, &found, n_out, &c->err))
        return false;
    *out = found;
    return true;
}

static const struct message_row *led_to(const struct message_row *rows, size_t n, struct id id)
{
    for (size_t low = 0, high = n; low < high;) {
        size_t middle = (low + high) / 2;
        int order = id_compare(rows[middle].id, id);

        if (order == 0)
            return &rows[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static bool take_fitting(struct call *c, struct look *l, const void *rows, size_t n, struct id *fits)
{
    const struct scan *s = (const struct scan *)l;
    struct message_row *messages = NULL;
    size_t n_messages = 0;
    bool yes;

    if (s->message_id && !load_led(c, s, rows, n, &messages, &n_messages))
        return false;
    for (size_t i = 0; i < n; i++) {
        const char *row = (const char *)rows + i * l->query.kind->size;
        const struct message_row *m = s->message_id ? led_to(messages, n_messages, value_of(s->message_id, row).id)
                                                    : (const struct message_row *)(const void *)row;

        if (!m || !matches(c, s, m))
            continue;
        if (!went_to(c, s, m->id, &yes))
            return false;
        fits[i] = yes ? m->id : NO_ID;
    }
    return true;
}

static bool scan_begin(struct call *c, struct scan *s)
{
    const struct message_list_in *in = s->in;

    if (in->key_id.p && !id_parse(key_kind.prefix, in->key_id, &s->key_id))
        call_fault(c, "/key_id", "invalid_id", "An id that begins with key_");
    if (in->email.p && !directory_email(c, in->email, &s->email))
        return false;
    choose(c, s);
    s->look.take = take_fitting;
    if (!list_page(c, &s->look.query, &in->page))
        return false;
    s->look.limit = s->look.query.limit - 1;
    return true;
}

bool message_list(struct call *c, const struct message_list_in *in, struct message_list_out *out)
{
    struct scan *s = arena_alloc(c->arena, sizeof *s);
    struct list_end end = { 0 };
    void *rows = NULL;
    bool ok;

    *out = (struct message_list_out){ 0 };
    if (!call_may(c, SCOPE_MESSAGES_READ))
        return false;
    if (bytes_equal(in->direction, BYTES("inbound")) && !call_may(c, SCOPE_OPERATOR))
        return false;
    s->in = in;
    if (!scan_begin(c, s))
        return false;
    ok = look_run(c, &s->look, &end) && look_load(c, &s->look, &message_kind, &rows, &out->n, &end);
    look_end(&s->look);
    if (!ok)
        return false;
    list_turn(c, &in->page, &end, rows, out->n, message_kind.size, &out->page);
    out->rows = arena_array(c->arena, out->n, sizeof *out->rows);
    for (size_t i = 0; i < out->n; i++)
        message_show(c, (struct message_row *)rows + i, &out->rows[i]);
    return true;
}
