/* service/queue/attempt.c - the answers that are ours, and how any answer is shown: see attempt.h. Ours are rows of a
 * table; what no network was asked about is null in them. */
#include "service/queue/attempt.h"
#include "base/json.h"
#include <assert.h>

/* How long after a played deferral the next attempt comes. */
#define PLAY_PAUSE_MS 60000

#define TEXT(s)                                                                                                        \
    {                                                                                                                  \
        (s), sizeof(s) - 1                                                                                             \
    }
#define ANSWER(code_, enhanced_, text_)                                                                                \
    .tried = true, .attempt.code = (code_), .attempt.enhanced = TEXT(enhanced_), .attempt.text = TEXT(text_)
#define BECAUSE(cause_, permanence_) .attempt.cause = TEXT(cause_), .attempt.permanence = TEXT(permanence_)

static const struct {
    enum outcome outcome;
    bool tried, by_hand;
    struct attempt attempt;
} causes[] = {
    [CAUSE_WAITS] = { .outcome = OUTCOME_QUEUED },
    [CAUSE_LEAVES] = { .outcome = OUTCOME_QUEUED },
    [CAUSE_FILED] = { .outcome = OUTCOME_DELIVERED, ANSWER(250, "2.0.0", "Delivered") },
    [CAUSE_SANDBOX] = { .outcome = OUTCOME_CAPTURED,
                        ANSWER(250, "2.0.0", "Captured: this server is in sandbox mode and sent nothing"),
                        .attempt.cause = TEXT("sandbox") },
    [CAUSE_NO_USER] = { .outcome = OUTCOME_BOUNCED,
                        ANSWER(550, "5.1.1", "No such user"),
                        BECAUSE("unknown_user", "permanent") },
    [CAUSE_MAILBOX_FULL] = { .outcome = OUTCOME_BOUNCED,
                             ANSWER(552, "5.2.2", "Mailbox full"),
                             BECAUSE("mailbox_full", "permanent") },
    [CAUSE_PLAYED_REFUSAL] = { .outcome = OUTCOME_BOUNCED,
                               ANSWER(550, "5.1.1", "Played by sandbox.test: no such user"),
                               BECAUSE("unknown_user", "permanent") },
    [CAUSE_PLAYED_DEFERRAL] = { .outcome = OUTCOME_DEFERRED,
                                ANSWER(451, "4.7.1", "Played by sandbox.test: try again later"),
                                BECAUSE("temporary", "temporary") },
    [CAUSE_TIME_OVER] = { .outcome = OUTCOME_EXPIRED,
                          ANSWER(451, "4.4.7", "Delivery time expired"),
                          BECAUSE("expired", "permanent") },
    [CAUSE_NO_TLS] = { OUTCOME_EXPIRED,
                       ANSWER(451, "4.7.5", "Delivery time expired: TLS as required was not to be had"),
                       BECAUSE("tls", "permanent") },
    [CAUSE_CANCELLED] = { .outcome = OUTCOME_CANCELLED },
    [CAUSE_CONTENT_GONE] = { .outcome = OUTCOME_FAILED,
                             ANSWER(550, "5.3.0", "The content is no longer kept"),
                             BECAUSE("content_gone", "permanent") },
    [CAUSE_FORWARDED] = { .outcome = OUTCOME_DELIVERED, ANSWER(250, "2.0.0", "Sent on") },
    [CAUSE_LOOP] = { .outcome = OUTCOME_BOUNCED,
                     ANSWER(554, "5.4.6", "It would be sent on in a circle"),
                     BECAUSE("loop", "permanent") },
    [CAUSE_UNVERIFIED] = { .outcome = OUTCOME_BOUNCED,
                           ANSWER(550, "5.7.1", "It would be sent on from a domain that is not verified"),
                           BECAUSE("policy", "permanent") },
    [CAUSE_UNTRUSTED] = { .outcome = OUTCOME_FAILED,
                          ANSWER(550, "5.7.1", "Not sent: the domain of its sender is not verified"),
                          BECAUSE("policy", "permanent") },
    [CAUSE_NO_SENDER] = { .outcome = OUTCOME_FAILED,
                          ANSWER(550, "5.7.1", "Not sent: its sender may not send from that address any more"),
                          BECAUSE("policy", "permanent") },
    [CAUSE_UNSIGNED] = { .outcome = OUTCOME_HELD,
                         ANSWER(451, "4.7.5", "Set aside: the DKIM key of its domain cannot be opened"),
                         BECAUSE("dkim", "temporary") },
    [CAUSE_STUCK] = { .outcome = OUTCOME_HELD,
                      ANSWER(451, "4.3.0", "Set aside: the server could not file it"),
                      BECAUSE("internal", "temporary") },
    [CAUSE_SUPPRESSED] = { .by_hand = true,
                           .outcome = OUTCOME_SUPPRESSED,
                           ANSWER(550, "5.7.1", "Not sent: the recipient is suppressed"),
                           BECAUSE("suppressed", "permanent") },
    [CAUSE_BY_HAND] = { .outcome = OUTCOME_FAILED,
                        ANSWER(550, "5.7.0", "Ended by the operator"),
                        BECAUSE("policy", "permanent"),
                        .by_hand = true },
    [CAUSE_HELD] = { .outcome = OUTCOME_HELD },
    [CAUSE_RELEASED] = { .outcome = OUTCOME_QUEUED },
};

struct verdict verdict_of(enum cause cause, int64_t now)
{
    assert(cause < CAUSES);
    return (struct verdict){ .outcome = causes[cause].outcome,
                             .attempt = causes[cause].tried ? &causes[cause].attempt : NULL,
                             .next_at = cause == CAUSE_PLAYED_DEFERRAL ? now + PLAY_PAUSE_MS : 0,
                             .by_hand = causes[cause].by_hand };
}

static void add_delays(struct jw *w, const struct attempt_delays *d)
{
    if (!d->queue && !d->connect && !d->tls && !d->data)
        return;
    jw_key(w, "delays");
    jw_object(w);
    jw_key_int(w, "queue", d->queue);
    jw_key_int(w, "connect", d->connect);
    jw_key_int(w, "tls", d->tls);
    jw_key_int(w, "data", d->data);
    jw_object_end(w);
}

/* What no network was asked about is null. */
static void add_members(struct jw *w, const struct attempt *t, int64_t now)
{
    jw_key_time(w, "at", t->at ? t->at : now);
    jw_key_text(w, "mx", t->mx);
    jw_key_text(w, "ip", t->ip);
    if (t->source.p)
        jw_key_text(w, "source", t->source);
    jw_key_raw(w, "tls", t->tls);
    jw_key_text(w, "command", t->command);
    jw_key_int(w, "code", t->code);
    jw_key_text(w, "enhanced", t->enhanced);
    jw_key_text(w, "text", t->text);
    jw_key_text(w, "cause", t->cause);
    jw_key_text(w, "permanence", t->permanence);
    if (t->rule.p)
        jw_key_text(w, "rule", t->rule);
    add_delays(w, &t->delays);
}

struct bytes attempt_json(const struct attempt *t, int64_t now, struct arena *a)
{
    struct buf out;
    struct jw w;

    buf_init(&out, 16384); /* an answer is 8 KiB at most, and may be escaped */
    jw_init(&w, &out);
    jw_object(&w);
    add_members(&w, t, now);
    jw_object_end(&w);
    return arena_take(a, &out);
}
