#include "service/message/intake_private.h"

/* Only what is sent: of mail that came in by SMTP the peer tells the sender, who is told of refusals at once. */
static bool is_told_of(const struct plan *p, const struct target *t)
{
    return outcome_is_final(t->verdict.outcome) && id_equal(t->delivery.message_id, p->parties[0].row.id);
}

static bool begin(struct intake *k, struct call *c, const struct plan *p)
{
    struct endings *list = &k->ended;

    *list = (struct endings){ .message = &p->parties[0].row };
    list->each = arena_array(k->arena, p->n, sizeof *list->each);
    for (size_t i = 0; i < p->n; i++)
        if (is_told_of(p, &p->targets[i]))
            list->each[list->n++] = (struct ending){ .row = &p->targets[i].delivery, .verdict = p->targets[i].verdict };
    return report_begin(c->svc, list, body_preview(k->body), &k->report, &c->err);
}

/* Mail that came back: it may be for who asked for a report by mail. One such address a mail, or its sender is odd. */
static const struct returned *first_returned(const struct plan *p)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->targets[i].returned)
            return p->targets[i].returned;
    return NULL;
}

bool plan_report(struct intake *k, struct call *c, struct plan *p, struct batch *b)
{
    const struct returned *x = first_returned(p);

    report_drop(&k->report);
    if (x)
        returned_endings(x, k->arena, &k->ended);
    if (x && !report_begin(c->svc, &k->ended, NO_BYTES, &k->report, &c->err))
        return false;
    if (!x && k->in.source != SOURCE_SUBMISSION && !(k->in.source == SOURCE_API && k->in.dsn_wanted))
        return true;
    return (x || begin(k, c, p)) && report_add(k->report, b, &c->err);
}
