/* service/message/returned_read.c - from a mail that came back to what it says of our deliveries: see returned.h.
 *
 * A token of one delivery names it, whatever address the report names: it may have been forwarded. A token of a message
 * needs that address to tell which of its recipients is meant. Without a token a complaint is found by our return path
 * or our Message-ID in it. */
#include "base/clock.h"
#include "base/params.h"
#include "mail/bounce.h"
#include "service/body/structure.h"
#include "service/core/state.h"
#include "service/message/returned_private.h"
#include "service/queue/own_rules.h"
#include "service/queue/return_path.h"

#define DELIVERIES_MAX 1000 /* of one message that are looked at */
#define RECIPIENTS_MAX 100  /* of one report */
#define TEXT_MAX       ((size_t)64 * 1024)
#define TOLD_MAX       2000 /* bytes of the other server's words */

/* ---- what it is about ---- */

static bool load_message(struct call *c, struct id id, struct arena *a, struct returned *x)
{
    bool there = false;

    if (!store_look(c->store, &message_kind, id, a, &x->message, &there, &c->err))
        return false;
    x->message_gone = !there;
    return true;
}

static bool load_deliveries(struct call *c, struct id message, struct arena *a, struct delivery_row **rows, size_t *n)
{
    struct query q = { .kind = &delivery_kind, .index = "message", .n_conds = 1, .limit = DELIVERIES_MAX };
    void *found = NULL;

    q.conds[0] = COND("message_id", IS, V_ID(message));
    if (!store_find(c->store, &q, a, &found, n, &c->err))
        return false;
    *rows = found;
    return true;
}

/* The deliveries that a token speaks of: none when they are past their retention. */
static bool load(struct call *c, struct token t, struct arena *a, struct returned *x, struct delivery_row **rows,
                 size_t *n)
{
    bool there = false;

    *n = 0;
    if (t.kind == TOKEN_MESSAGE)
        return load_message(c, t.id, a, x) && load_deliveries(c, t.id, a, rows, n);
    *rows = arena_alloc(a, sizeof **rows);
    if (!store_look(c->store, &delivery_kind, t.id, a, *rows, &there, &c->err))
        return false;
    *n = there;
    return !there || load_message(c, (*rows)->message_id, a, x);
}

/* ---- what is said ---- */

static bool is_named(const struct bounce_recipient *r, const struct delivery_row *d)
{
    return bytes_equal_nocase(r->final, d->email) || bytes_equal_nocase(r->original, d->email);
}

/* Of a report that came to the token of one delivery: the recipient who is named, or whoever failed. */
static const struct bounce_recipient *recipient_of(const struct bounce *b, const struct delivery_row *d)
{
    for (size_t i = 0; i < b->n; i++)
        if (is_named(&b->recipients[i], d))
            return &b->recipients[i];
    for (size_t i = 0; i < b->n; i++)
        if (b->recipients[i].action == DSN_FAILED)
            return &b->recipients[i];
    return b->n ? &b->recipients[0] : NULL;
}

static struct attempt attempt_of(const struct bounce *b, const struct bounce_recipient *r, int64_t now)
{
    return (struct attempt){ .at = now,
                             .mx = r->remote_mta.n ? r->remote_mta : b->reporting_mta,
                             .code = r->code,
                             .enhanced = r->status,
                             .text = bytes_head(r->reply, TOLD_MAX),
                             .cause = why_text(r->meaning.why),
                             .permanence = permanence_text(r->meaning.permanence),
                             .rule = bytes_of(r->meaning.rule) };
}

/* A delivery that is not over is under way, or was taken without our knowing: its own outcome tells. */
static bool take(struct call *c, struct returned *x, const struct delivery_row *d, const struct bounce *b,
                 const struct bounce_recipient *r, int64_t now)
{
    struct told *t = &x->each[x->n];
    bool open = d->flow.p != NULL;

    if (open && r->action == DSN_FAILED && d->lease_until > store_now(c->store))
        return err_set(&c->err, ERR_BUSY, "The delivery that this report is about has not been noted yet");
    if (r->action != DSN_FAILED && r->action != DSN_DELAYED)
        return true;
    if (r->action == DSN_FAILED && !bytes_equal(d->status, BYTES("delivered")))
        return true;
    *t = (struct told){ .row = d, .says = r->action == DSN_FAILED ? SAYS_BOUNCED : SAYS_DELAYED };
    t->attempt = attempt_of(b, r, now);
    x->n++;
    return true;
}

/* *known false: it names nobody whom the mail went to. */
static bool read_report(struct call *c, struct token token, const struct bounce *b, struct arena *a, struct returned *x,
                        bool *known)
{
    struct delivery_row *rows = NULL;
    int64_t now = clock_wall();
    size_t n, met = 0;

    if (!load(c, token, a, x, &rows, &n))
        return false;
    x->more = BYTES("\"async\":true");
    x->each = arena_array(a, n ? n : 1, sizeof *x->each);
    for (size_t i = 0; i < n; i++) {
        const struct bounce_recipient *r = NULL;

        if (n == 1)
            r = recipient_of(b, &rows[i]);
        for (size_t j = 0; n > 1 && j < b->n && !r; j++)
            r = is_named(&b->recipients[j], &rows[i]) ? &b->recipients[j] : NULL;
        if (r && !take(c, x, &rows[i], b, r, now))
            return false;
        met += r != NULL;
    }
    *known = met > 0 || n == 0;
    return true;
}

static struct bytes complaint_members(const struct bounce *b, struct arena *a)
{
    struct bytes json;
    struct buf out;
    struct jw w;

    buf_init(&out, 4096);
    jw_init(&w, &out);
    jw_object(&w);
    jw_key_text(&w, "feedback_type", b->feedback_type.n ? bytes_head(b->feedback_type, 100) : BYTES("abuse"));
    jw_key_text(&w, "reported_by", b->reporting_mta.n ? bytes_head(b->reporting_mta, 255) : NO_BYTES);
    jw_object_end(&w);
    json = out.overflowed ? NO_BYTES : arena_copy(a, bytes_head(bytes_from(buf_bytes(&out), 1), out.n - 2));
    buf_clear(&out);
    return json;
}

/* Whose complaint it is: of one delivery, or of the one that is named; else of the message. */
static const struct delivery_row *complained_of(const struct bounce *b, const struct delivery_row *rows, size_t n)
{
    for (size_t i = 0; n > 1 && i < n; i++)
        for (size_t j = 0; j < b->n; j++)
            if (is_named(&b->recipients[j], &rows[i]))
                return &rows[i];
    return n == 1 ? rows : NULL;
}

/* "<msg_…@example.org>": Message-IDs that we make hold the message's id, covered. The one in its row must be the same.
 */
static bool load_by_header(struct call *c, struct bytes header_id, struct arena *a, struct returned *x,
                           struct delivery_row **rows, size_t *n)
{
    struct bytes inner = bytes_head(bytes_from(header_id, 1), header_id.n > 2 ? header_id.n - 2 : 0), local, domain;
    struct id id;

    *n = 0;
    if (!bytes_cut(inner, '@', &local, &domain) || !id_parse(message_kind.prefix, local, &id))
        return true;
    if (!load_message(c, return_path_veil(c->svc, id), a, x))
        return false;
    x->message_gone = x->message_gone || !bytes_equal(x->message.header_message_id, header_id);
    return x->message_gone || load_deliveries(c, x->message.id, a, rows, n);
}

/* By the address it came to, by our return path in it, which proves as much, or else by our Message-ID. */
static bool load_complained(struct call *c, const struct recipient *to, const struct bounce *b, struct arena *a,
                            struct returned *x, struct delivery_row **rows, size_t *n)
{
    size_t at = bytes_find_last(b->original_mail_from, '@');
    struct bytes domain = bytes_from(b->original_mail_from, at + 1);
    struct token token = to->token;
    enum token_use use;

    x->proven = to->proven || return_path_read(c->svc, bytes_head(b->original_mail_from, at), domain, clock_wall(),
                                               &token, &use) == TOKEN_GOOD;
    return x->proven ? load(c, token, a, x, rows, n) : load_by_header(c, b->original_id, a, x, rows, n);
}

static bool read_complaint(struct call *c, const struct recipient *to, const struct bounce *b, struct arena *a,
                           struct returned *x, bool *known)
{
    struct delivery_row *rows = NULL;
    size_t n;

    *known = false;
    if (!b->complains)
        return true;
    if (!load_complained(c, to, b, a, x, &rows, &n))
        return false;
    x->more = complaint_members(b, a);
    x->each = arena_alloc(a, sizeof *x->each);
    *x->each = (struct told){ .row = complained_of(b, rows, n), .says = SAYS_COMPLAINED };
    x->n = n > 0 && !x->message_gone;
    *known = x->n || to->proven;
    return true;
}

/* ---- who gets no mail from now on ---- */

/* A refusal that holds for good and for this recipient, as of any server; a complaint that its token proves. */
static bool is_to_suppress(const struct told *t, bool proven)
{
    enum why why;
    enum permanence permanence;

    if (!t->row || !bytes_equal(t->row->mode, BYTES("live")))
        return false;
    if (t->says == SAYS_COMPLAINED)
        return proven;
    return t->says == SAYS_BOUNCED && why_of(t->attempt.cause, &why) &&
           permanence_of(t->attempt.permanence, &permanence) &&
           meaning_suppresses((struct meaning){ .why = why, .permanence = permanence });
}

static bool find_suppressed(struct call *c, struct returned *x, struct arena *a)
{
    struct suppressing *list = arena_array(a, x->n ? x->n : 1, sizeof *list);
    size_t n = 0;

    for (size_t i = 0; i < x->n; i++) {
        struct told *t = &x->each[i];

        if (!is_to_suppress(t, x->proven))
            continue;
        list[n] = (struct suppressing){ .account_id = t->row->account_id,
                                        .email = t->row->email,
                                        .reason = t->says == SAYS_BOUNCED ? SUPPRESSED_BOUNCE : SUPPRESSED_COMPLAINT,
                                        .delivery_id = t->row->id,
                                        .message_id = t->row->message_id,
                                        .text = t->attempt.text };
        t->suppresses = &list[n++];
    }
    return !n || suppression_look(c->svc, a, list, n, &c->err);
}

/* Taking a stranger's mail apart is a worker's: it may be long, and HTML wants more stack than a fiber has. */
struct reading {
    struct bytes text;
    struct arena *arena;
    struct bounce *out;
    const struct rules *rules;
};

static void read_work(void *arg)
{
    struct reading *job = arg;
    struct mime_limits limits = structure_limits();
    struct bounce_reading how = { .limits = &limits,
                                  .classifier = rules_classifier(job->rules),
                                  .recipients_max = RECIPIENTS_MAX,
                                  .text_max = TEXT_MAX };

    bounce_read(&how, job->text, job->arena, job->out);
}

bool returned_read(struct call *c, const struct recipient *to, struct bytes text, struct arena *a,
                   struct returned **out)
{
    struct returned *x = arena_alloc(a, sizeof *x);
    struct rule_set *rules = rules_take(c->svc);
    bool known = false, ok;
    struct bounce b;

    x->proven = to->proven;
    ok = offload(POOL_CPU, read_work, &(struct reading){ text, a, &b, rules->rules }, &c->err);
    if (ok && b.kind == BOUNCE_REPORT && to->proven)
        ok = read_report(c, to->token, &b, a, x, &known);
    else if (ok && b.kind == BOUNCE_COMPLAINT)
        ok = read_complaint(c, to, &b, a, x, &known);
    else if (ok)
        known = b.kind == BOUNCE_AUTO_REPLY;
    for (size_t i = 0; ok && i < x->n; i++) /* the rules may go now */
        if (x->each[i].attempt.rule.p)
            x->each[i].attempt.rule = arena_copy(a, x->each[i].attempt.rule);
    rules_leave(&rules);
    *out = known ? x : NULL;
    return ok && find_suppressed(c, x, a) && arena_check(a, &c->err);
}
