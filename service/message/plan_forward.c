/* service/message/plan_forward.c - mail for an address that is sent on: a target for each address that it goes to.
 *
 * The new targets stand behind those that were asked for, so one that is itself sent on is met in the same walk. They
 * belong to the account of the address, not to whoever sent the mail, who is told that the address took it. What would
 * go round ends here: an address that is its own ancestor, a chain that is too long, and a mail that went through the
 * address before (Delivered-To, which we write). */
#include "base/params.h"
#include "mail/header.h"
#include "mail/srs.h"
#include "service/core/member.h"
#include "service/core/state.h"
#include "service/message/intake_private.h"

#define CHAIN_MOST 5 /* forwards behind one another */

struct spread {
    struct intake *intake;
    struct call *call, as_system;
    struct plan *plan;
    struct bytes header;
    size_t room;
};

static size_t chain_length(const struct target *t)
{
    size_t n = 0;

    for (; t->from; t = t->from)
        n++;
    return n;
}

static bool is_ancestor(const struct target *t, struct bytes email)
{
    for (; t; t = t->from)
        if (bytes_equal_nocase(t->recipient->email, email))
            return true;
    return false;
}

/* Has been here, or was sent on too often. */
static bool goes_round(const struct spread *s, const struct target *t)
{
    return chain_length(t) >= CHAIN_MOST || srs_loops(s->header, t->recipient->email, NO_BYTES, s->intake->arena);
}

/* In live mode nothing leaves for a domain that nobody has shown to own. */
static bool may_leave(struct spread *s, const struct target *t, bool *may)
{
    size_t at = bytes_find_last(t->recipient->email, '@');
    struct directory_domain domain;

    *may = false;
    if (!directory_domain(&s->as_system, bytes_from(t->recipient->email, at + 1), &domain))
        return call_was_missing(&s->as_system);
    *may = domain.verified || !intake_is_live(s->intake, s->call);
    return true;
}

/* Whoever may send anywhere asks: the address does, not the sender of this mail. */
static bool check(struct spread *s, struct bytes email, struct recipient *out)
{
    struct recipient_check_in in = { .utf8_ok = true, .lenient = true };

    if (address_parse(email, s->intake->arena, &in.address, &s->as_system.err) &&
        recipient_check(&s->as_system, &in, out))
        return true;
    out->email = email;
    out->missing = true;
    return call_was_missing(&s->as_system);
}

/* Of what the sender asked for, NEVER holds for these, too; what was sent on is told as such of the address itself. */
static struct bytes dsn_of(const struct target *from)
{
    bool never = bytes_equal(json_part(from->recipient->dsn, "notify"), BYTES("\"NEVER\""));

    return never ? from->recipient->dsn : NO_BYTES;
}

static bool add_one(struct spread *s, struct target *from, struct bytes email, bool may)
{
    struct recipient *r = arena_alloc(s->intake->arena, sizeof *r);
    struct target *t;

    if (s->plan->n == s->room)
        return err_set(&s->call->err, ERR_TOO_LARGE, "The mail would be sent on to more than %lld addresses",
                       (long long)PARAM_INT(message, forwards_max));
    if (!check(s, email, r)) {
        s->call->err = s->as_system.err;
        return false;
    }
    r->dsn = dsn_of(from);
    t = &s->plan->targets[s->plan->n++];
    *t = (struct target){ .recipient = r, .from = from };
    t->refused = is_ancestor(from, r->email)           ? CAUSE_LOOP
                 : r->kind == RECIPIENT_REMOTE && !may ? CAUSE_UNVERIFIED
                                                       : CAUSES;
    return true;
}

static bool spread_one(struct spread *s, struct target *t)
{
    struct bytes *list;
    size_t n;
    bool may;

    if (!t->recipient->forward.p || t->refused != CAUSES)
        return true;
    if (goes_round(s, t)) {
        t->refused = CAUSE_LOOP;
        return true;
    }
    if (!may_leave(s, t, &may)) {
        s->call->err = s->as_system.err;
        return false;
    }
    if (!members_texts(s->call, t->recipient->forward, &list, &n))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!add_one(s, t, list[i], may))
            return false;
    return true;
}

static bool any_forwards(const struct intake *k, const struct call *c)
{
    bool may = !intake_waits(k) && !k->disowned && !(c->who && c->who->test);

    for (size_t i = 0; may && i < k->in.n_recipients; i++)
        if (k->in.recipients[i].forward.p)
            return true;
    return false;
}

bool plan_targets(struct intake *k, struct call *c, struct plan *p)
{
    bool more = any_forwards(k, c);
    struct bytes text = body_preview(k->body);
    struct spread s = { .intake = k, .call = c, .plan = p, .header = bytes_head(text, header_end(text)) };

    s.room = k->in.n_recipients + (more ? (size_t)PARAM_INT(message, forwards_max) : 0);
    p->targets = arena_array(k->arena, s.room, sizeof *p->targets);
    for (p->n = 0; p->n < k->in.n_recipients; p->n++)
        p->targets[p->n] = (struct target){ .recipient = &k->in.recipients[p->n],
                                            .refused = CAUSES,
                                            .was = k->again.message ? &k->again.waited[p->n] : NULL };
    if (!more)
        return true;
    call_init(&s.as_system, c->svc, k->arena, c->door);
    call_as_system(&s.as_system);
    for (size_t i = 0; i < p->n; i++)
        if (!spread_one(&s, &p->targets[i]))
            return false;
    return true;
}
