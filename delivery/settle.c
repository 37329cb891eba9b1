/* delivery/settle.c - the end of an attempt: one batch for what was tried, one for what was not, a line in the log for
 * each recipient.
 *
 * What a peer has said is never thrown away: while the store is away it is kept here and tried again, and no dot is
 * sent meanwhile on this connection. After a few seconds it goes into a file, too, from which the next start takes it.
 */
#include "base/clock.h"
#include "base/metrics.h"
#include "delivery/engine_private.h"
#include "service/queue/outcome.h"
#include "service/queue/outcomes.h"
#include "service/queue/transcript.h"

#define AGAIN_MS   250
#define AGAIN_MOST 2000
#define NOTE_MS    3000 /* after so long in vain it is noted in the data folder */

/* Names of ours, and of providers as the rules have them. */
static void add_plain(struct buf *out, struct bytes text)
{
    for (size_t i = 0; i < text.n; i++)
        buf_addc(out, text.p[i] == '"' || text.p[i] == '\\' ? '_' : text.p[i]);
}

static void count_labelled(const struct turn *t, const struct fate *f)
{
    struct bytes class = t->site->route.way == ROUTE_RELAY ? BYTES("relay") : bytes_of(t->way->provider);
    struct buf labels;

    buf_init(&labels, 512);
    buf_addf(&labels, "outcome=\"%s\",cause=\"", outcome_row(f->judgement.outcome)->status);
    add_plain(&labels, f->judgement.cause);
    buf_adds(&labels, "\",site=\"");
    add_plain(&labels, class.n ? class : BYTES("other"));
    buf_adds(&labels, "\"");
    buf_addc(&labels, '\0');
    if (!labels.overflowed)
        metric_count(METRIC_delivery_attempts_total, labels.p);
    buf_clear(&labels);
}

static void count(enum outcome o, bool ambiguous)
{
    metric_add(METRIC_delivery_delivered_total, o == OUTCOME_DELIVERED);
    metric_add(METRIC_delivery_deferred_total, o == OUTCOME_DEFERRED);
    metric_add(METRIC_delivery_bounced_total, o == OUTCOME_BOUNCED || o == OUTCOME_FAILED || o == OUTCOME_EXPIRED);
    metric_add(METRIC_delivery_ambiguous_total, ambiguous);
}

static void tell(const struct turn *t, const struct fate *f)
{
    const struct attempt *x = &f->attempt;
    const struct delivery_row *d = &f->work->row;
    enum outcome o = f->judgement.outcome;

    if (f->work->lost) {
        log_warn("delivery", LOG_BYTES("id", id_text(t->arena, delivery_kind.prefix, d->id)),
                 LOG_TEXT("result", "somebody else's by now"), LOG_TEXT("said", outcome_row(o)->status));
        return;
    }
    count(o, f->judgement.ambiguous);
    count_labelled(t, f);
    log_info("delivery", LOG_BYTES("id", id_text(t->arena, delivery_kind.prefix, d->id)),
             LOG_BYTES("message", id_text(t->arena, message_kind.prefix, d->message_id)),
             LOG_BYTES("from", t->sender.p ? t->sender : f->work->message->envelope_from), LOG_BYTES("rcpt", d->email),
             LOG_INT("attempt", d->attempts + 1), LOG_BYTES("mx", x->mx), LOG_BYTES("ip", x->ip),
             LOG_BYTES("source", x->source), LOG_TEXT("tls", x->tls.p ? "yes" : NULL),
             LOG_TEXT("verified", !x->tls.p         ? NULL
                                  : x->tls_verified ? "yes"
                                                    : "no"),
             LOG_INT("code", x->code), LOG_BYTES("enhanced", x->enhanced), LOG_BYTES("text", x->text),
             LOG_TEXT("result", outcome_row(o)->status), LOG_BYTES("cause", x->cause), LOG_BYTES("rule", x->rule),
             LOG_TEXT("ambiguous", f->judgement.ambiguous ? "yes" : NULL), LOG_INT("ms", x->delays.data));
}

/* Of what failed always, of what did not some. */
static bool is_kept(const struct fate *f)
{
    enum outcome o = f->judgement.outcome;

    return o == OUTCOME_DELIVERED ? transcript_wanted(f->work->row.id) : o != OUTCOME_HELD && o != OUTCOME_CAPTURED;
}

static size_t list_done(const struct turn *t, struct done *out)
{
    struct bytes lines = NO_BYTES;
    size_t n = 0;

    for (size_t i = 0; i < t->n; i++) {
        const struct fate *f = &t->fates[i];
        bool tried = f->judgement.code || f->attempt.enhanced.p || f->attempt.cause.p;

        if (f->unsent)
            continue;
        if (!lines.p && is_kept(f))
            lines = script_json(&t->run->script, t->arena);
        out[n++] = (struct done){ .work = f->work,
                                  .verdict = { .outcome = f->judgement.outcome,
                                               .attempt = tried ? &f->attempt : NULL,
                                               .next_at = f->judgement.retry_at },
                                  .reason = f->held_why,
                                  .suspension = f->held_by,
                                  .transcript = is_kept(f) ? lines : NO_BYTES,
                                  .ambiguous = f->judgement.ambiguous };
    }
    return n;
}

/* ---- verdicts that wait for the store ---- */

struct note { /* to be taken */
    struct engine *engine;
    struct unwritten *of; /* NULL: it has been written down meanwhile */
};

static void note_fiber(void *arg)
{
    struct note *x = arg;
    struct engine *e = x->engine;
    struct unwritten *u = x->of;

    if (u) {
        u->note = NULL;
        outcomes_note(e->svc, u->done, u->n); /* looks at them before it waits */
    }
    free(x);
    engine_left(e);
}

/* A try to write may take as long as the store is looked for: who waits is not who notes. */
void unwritten_look(struct engine *e, int64_t now)
{
    for (struct unwritten *u = e->unwritten.next; u != &e->unwritten; u = u->next) {
        if (u->noted || now - u->from < NOTE_MS)
            continue;
        u->note = malloc(sizeof *u->note);
        if (!u->note)
            die("out of memory: a verdict");
        *u->note = (struct note){ e, u };
        u->noted = engine_spawn(e, note_fiber, u->note);
        if (!u->noted) {
            free(u->note);
            u->note = NULL;
        }
    }
}

static void unwritten_begin(struct engine *e, struct unwritten *u)
{
    u->prev = e->unwritten.prev;
    u->next = &e->unwritten;
    e->unwritten.prev->next = u;
    e->unwritten.prev = u;
}

static void unwritten_end(struct unwritten *u)
{
    u->prev->next = u->next;
    u->next->prev = u->prev;
    if (u->note)
        u->note->of = NULL;
}

/* As long as it takes, or until everything is cut: then what is not noted yet is. */
static bool write_again_and_again(struct turn *t, const struct unwritten *u)
{
    struct arena_mark clean = arena_mark(t->arena);
    int64_t pause = AGAIN_MS;
    struct err e = { 0 };

    while (!queue_finish(t->engine->svc, t->arena, u->done, u->n, &e)) {
        log_warn("delivery", LOG_TEXT("result", "not written down"), LOG_TEXT("error", e.message),
                 LOG_TEXT("where", e.where));
        if (!fiber_sleep_until(clock_monotonic() + pause))
            return false;
        pause = 2 * pause < AGAIN_MOST ? 2 * pause : AGAIN_MOST;
        e = (struct err){ 0 };
        arena_rewind(t->arena, clean);
    }
    return true;
}

static void write_down(struct turn *t, struct done *done, size_t n)
{
    struct unwritten u = { .done = done, .n = n, .from = clock_monotonic() };
    bool written;

    unwritten_begin(t->engine, &u);
    written = write_again_and_again(t, &u);
    unwritten_end(&u);
    if (!written && (!u.noted || u.note))
        outcomes_note(t->engine->svc, done, n);
}

static void give_back(struct turn *t)
{
    struct work **works = arena_array(t->arena, t->n, sizeof *works);
    struct err e = { 0 };
    size_t n = 0;

    for (size_t i = 0; i < t->n; i++)
        if (t->fates[i].unsent)
            works[n++] = t->fates[i].work;
    if (n && !queue_return(t->engine->svc, t->arena, works, n, &e)) /* their leases end by themselves */
        log_warn("delivery", LOG_TEXT("result", "not given back"), LOG_TEXT("error", e.message));
}

/* When the flow's next rows are due, as far as this attempt tells. */
static void tell_flow(const struct turn *t)
{
    struct bytes flow = bytes_of(t->run->flow);

    for (size_t i = 0; i < t->n; i++)
        if (t->fates[i].unsent)
            sched_poke(t->engine->sched, flow, NO_BYTES, t->fates[i].work->row.send_at);
        else if (t->fates[i].judgement.outcome == OUTCOME_DEFERRED)
            sched_poke(t->engine->sched, flow, NO_BYTES, t->fates[i].judgement.retry_at);
}

void turn_settle(struct turn *t)
{
    struct done *done = arena_array(t->arena, t->n, sizeof *done);
    size_t n = list_done(t, done);

    if (n)
        write_down(t, done, n);
    if (n < t->n)
        give_back(t);
    for (size_t i = 0; i < t->n; i++) {
        if (!t->fates[i].unsent)
            tell(t, &t->fates[i]);
        held_end(t->fates[i].work);
    }
    tell_flow(t);
}
