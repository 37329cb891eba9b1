/* delivery/verdict.c - first what kind of thing happened, then what the rules call it, then what follows.
 *
 * A reply is never overruled in what it decides (4 is deferred, 5 is the end), with three exceptions of the table: a
 * block, 552 at RCPT, and a host that refuses everybody. What is ours to say has a row in `rows`. */
#include "delivery/verdict.h"
#include <string.h>

#define HOUR INT64_C(3600000)

enum { GREETING_TRIES = 3 };
#define GREETING_SPAN (4 * HOUR)
#define BLOCK_SPAN    (24 * HOUR)

/* What we say where no server has spoken, or has spoken nonsense. */
struct row {
    enum outcome outcome;
    int code;
    struct bytes enhanced, text, cause, permanence;
};
#define ROW(outcome_, code_, enhanced_, cause_, permanence_, text_)                                                    \
    {                                                                                                                  \
        OUTCOME_##outcome_, code_, BYTES_ROW(enhanced_), BYTES_ROW(text_), BYTES_ROW(cause_), BYTES_ROW(permanence_)   \
    }

static const struct row no_connection = ROW(DEFERRED, 0, "4.4.1", "network", "temporary", "No connection");
static const struct row lost = ROW(DEFERRED, 0, "4.4.2", "network", "temporary", "The connection was lost");
static const struct row nonsense = ROW(DEFERRED, 0, "4.5.0", "protocol", "temporary", "Not an answer of SMTP");
static const struct row no_tls =
    ROW(DEFERRED, 0, "4.7.5", "tls", "temporary", "The connection cannot be secured as it must be");
static const struct row no_require_tls =
    ROW(FAILED, 550, "5.7.30", "tls", "permanent", "REQUIRETLS was asked for and cannot be had");
static const struct row no_auth = ROW(DEFERRED, 0, "4.7.8", "auth", "temporary", "The relay refuses our login");
static const struct row newline =
    ROW(BOUNCED, 554, "5.6.0", "protocol", "permanent", "The content has a bare CR or LF, which cannot be sent");
static const struct row loop =
    ROW(BOUNCED, 554, "5.4.6", "loop", "permanent", "The mail would come back to this server");

static const struct row plans[MX_VERDICTS] = {
    [MX_NO_DOMAIN] = ROW(BOUNCED, 550, "5.1.2", "unknown_domain", "permanent", "The domain does not exist"),
    [MX_NULL] = ROW(BOUNCED, 556, "5.1.10", "unknown_domain", "permanent", "The domain takes no mail"),
    [MX_NO_HOST] = ROW(BOUNCED, 550, "5.4.4", "unknown_domain", "permanent", "The domain has no host for mail"),
    [MX_TEMPORARY] = ROW(DEFERRED, 0, "4.4.3", "dns", "temporary", "DNS does not answer for the domain"),
    [MX_UNUSABLE] = ROW(DEFERRED, 0, "4.4.4", "dns", "temporary", "No host of the domain can be found"),
    [MX_GIVEN_UP] = ROW(BOUNCED, 550, "5.4.4", "dns", "permanent", "No host of the domain can be found"),
    [MX_LOOP] = ROW(BOUNCED, 554, "5.4.6", "loop", "permanent", "Mail for the domain would come back to this server"),
    [MX_DENIED] = ROW(BOUNCED, 550, "5.4.4", "bad_destination", "permanent",
                      "The domain's hosts lie in networks that are denied"),
    [MX_NO_FAMILY] =
        ROW(DEFERRED, 0, "4.4.1", "network", "temporary", "The domain's hosts cannot be reached over the network here"),
};

static const struct row refusals[] = {
    [REFUSAL_SIZE] = ROW(BOUNCED, 552, "5.3.4", "too_large", "permanent", "Larger than the receiving server takes"),
    [REFUSAL_EIGHT_BIT] = ROW(BOUNCED, 554, "5.6.3", "protocol", "permanent",
                              "8-bit content, which the receiving server does not take and which must not be changed"),
    [REFUSAL_UTF8] = ROW(BOUNCED, 550, "5.6.7", "protocol", "permanent",
                         "The receiving server does not take internationalized addresses or headers"),
    [REFUSAL_REQUIRE_TLS] =
        ROW(FAILED, 550, "5.7.30", "tls", "permanent", "REQUIRETLS was asked for and cannot be had"),
};

static const struct row ends[] = {
    [VERDICT_EXPIRED] = ROW(EXPIRED, 0, "4.4.7", "expired", "permanent", "Delivery time expired"),
    [VERDICT_NO_TLS] =
        ROW(EXPIRED, 0, "4.7.5", "tls", "permanent", "Delivery time expired: TLS as required was not to be had"),
    [VERDICT_BOUNCED_BY_HAND] = ROW(FAILED, 550, "5.7.0", "policy", "permanent", "Ended by the operator"),
    [VERDICT_UNSIGNED] =
        ROW(HELD, 451, "4.7.5", "dkim", "temporary", "Set aside: the DKIM key of its domain cannot be opened"),
    [VERDICT_CONTENT_GONE] = ROW(FAILED, 550, "5.3.0", "system", "permanent", "The content is no longer kept"),
};

static void set_text(struct judgement *out, struct bytes text)
{
    struct buf flat;

    buf_init(&flat, sizeof out->text_memory);
    reply_add_flat(text, &flat);
    while (flat.n && !bytes_is_utf8(buf_bytes(&flat))) /* half a character where it was cut */
        flat.n--;
    if (flat.n)
        memcpy(out->text_memory, flat.p, flat.n);
    out->text = (struct bytes){ out->text_memory, flat.n };
    buf_clear(&flat);
}

/* Fills in what we say; `why` is added for people. */
static void say(const struct row *r, struct bytes why, struct judgement *out)
{
    out->outcome = r->outcome;
    out->code = r->code;
    out->enhanced = r->enhanced;
    out->cause = r->cause;
    out->permanence = r->permanence;
    out->rule = NO_BYTES;
    out->text = r->text;
    if (why.n) {
        struct buf text;

        buf_init(&text, sizeof out->text_memory);
        buf_add(&text, r->text);
        buf_adds(&text, ": ");
        buf_add(&text, why);
        set_text(out, buf_bytes(&text));
        buf_clear(&text);
    }
}

static bool said(const struct judgement *out, struct bytes cause)
{
    return bytes_equal(out->cause, cause);
}

static void when(const struct situation *s, const struct verdict_rules *rules, struct judgement *out)
{
    struct retry_in in = s->retry;

    if (out->outcome != OUTCOME_DEFERRED)
        return;
    out->keep_source = said(out, BYTES("greylist"));
    in.text = s->reply ? s->reply->text : NO_BYTES;
    in.greylist = out->keep_source && !s->source_known;
    in.ambiguous = out->ambiguous;
    out->retry_at = retry_at(rules->retry, &in);
}

/* ---- no reply ---- */

static void judge_tls(const struct situation *s, struct judgement *out)
{
    out->next = s->last_host ? NEXT_NOTHING : NEXT_HOST;
    say(s->require_tls ? &no_require_tls : &no_tls, s->why, out);
}

/* What ended before MAIL says something of the host, and nothing of the mail. */
static void judge_host(const struct situation *s, struct judgement *out)
{
    if (s->phase < PHASE_MAIL)
        out->event = s->last_host ? PATH_ALL_FAILED : PATH_FAILED;
    if (!s->last_host)
        out->next = NEXT_HOST;
}

static void judge_cut(const struct situation *s, struct judgement *out)
{
    out->ambiguous = s->phase == PHASE_DOT;
    if (!out->ambiguous)
        judge_host(s, out);
    say(s->phase < PHASE_MAIL ? &no_connection : &lost, s->why, out);
}

static void judge_garbage(const struct situation *s, struct judgement *out)
{
    out->ambiguous = s->phase == PHASE_DOT;
    if (s->phase < PHASE_MAIL)
        judge_host(s, out);
    say(&nonsense, s->why, out);
}

static void judge_trouble(const struct situation *s, struct judgement *out)
{
    out->close = true;
    switch (s->trouble) {
    case TROUBLE_NONE:
    case TROUBLE_CONNECT:
    case TROUBLE_TIMEOUT:
    case TROUBLE_LOST: judge_cut(s, out); break;
    case TROUBLE_GARBAGE: judge_garbage(s, out); break;
    case TROUBLE_TLS: judge_tls(s, out); break;
    case TROUBLE_NEWLINE: say(&newline, s->why, out); break;
    case TROUBLE_LOOP: say(&loop, s->why, out); break;
    }
}

/* ---- a reply ---- */

static void quote(const struct reply *r, struct judgement *out)
{
    out->code = r->code;
    if (r->enhanced.n && r->enhanced.n <= sizeof out->enhanced_memory) {
        memcpy(out->enhanced_memory, r->enhanced.p, r->enhanced.n);
        out->enhanced = (struct bytes){ out->enhanced_memory, r->enhanced.n };
    }
    set_text(out, r->text);
}

static enum permanence classified(const struct situation *s, const struct verdict_rules *rules, struct judgement *out)
{
    const struct reply *r = s->reply;
    struct rules_query q = { s->phase, r->code, r->enhanced, r->text, s->mx_host };
    struct meaning m = rules_classify(rules->own, &q);

    out->cause = why_text(m.why);
    out->permanence = permanence_text(m.permanence);
    out->rule = bytes_of(m.rule);
    return m.permanence;
}

static int64_t since_first_block(const struct situation *s)
{
    return s->first_block_at ? s->retry.now - s->first_block_at : 0;
}

/* The host takes nothing from us at all: its words stand for a block, whatever they are. */
static void refused_greeting(const struct situation *s, struct judgement *out)
{
    out->permanence = permanence_text(PERMANENCE_BLOCK);
    out->outcome =
        s->blocks + 1 >= GREETING_TRIES && since_first_block(s) >= GREETING_SPAN ? OUTCOME_BOUNCED : OUTCOME_DEFERRED;
    out->other_source = out->outcome == OUTCOME_DEFERRED;
    judge_host(s, out);
}

static bool is_enhanced(const struct reply *r, struct bytes tail)
{
    return r->enhanced.n > 1 && bytes_starts(bytes_from(r->enhanced, 1), tail);
}

/* 452, 552 and 4.5.3 at RCPT say that there are enough for now (RFC 5321 4.5.3.1.10), unless they speak of this mailbox
 * (x.2.x): then it is its own verdict. */
static bool is_enough(const struct reply *r)
{
    bool mailbox = is_enhanced(r, BYTES(".2."));

    return (r->code / 100 == 4 && is_enhanced(r, BYTES(".5.3"))) || ((r->code == 452 || r->code == 552) && !mailbox);
}

static void judge_rcpt(const struct situation *s, struct judgement *out)
{
    if (s->rcpt_taken && is_enough(s->reply)) {
        out->next = NEXT_TRANSACTION;
        out->outcome = OUTCOME_DEFERRED;
    } else if (s->reply->code == 552) {
        out->outcome = OUTCOME_DEFERRED;
        out->permanence = permanence_text(PERMANENCE_TEMPORARY);
    }
}

static void refused_for_good(const struct situation *s, const struct verdict_rules *rules, enum permanence permanence,
                             struct judgement *out)
{
    out->outcome = OUTCOME_BOUNCED;
    /* It may be over by tomorrow, or not hold for another source. */
    if (permanence == PERMANENCE_BLOCK && s->blocks < rules->block_tries && since_first_block(s) <= BLOCK_SPAN) {
        out->outcome = OUTCOME_DEFERRED;
        out->other_source = true;
    }
}

/* 421, 4.7.0, 4.7.28, 4.3.2 or a rule of rate: the path is to go slower. */
static enum path_event slower(const struct reply *r, const struct judgement *out)
{
    static const struct bytes crowded[] = { BYTES_ROW("too many connections"), BYTES_ROW("too many concurrent"),
                                            BYTES_ROW("connection limit"), BYTES_ROW("connections exceeded"),
                                            BYTES_ROW("too many sessions") };
    bool slow = r->code == 421 || bytes_equal(r->enhanced, BYTES("4.7.0")) ||
                bytes_equal(r->enhanced, BYTES("4.7.28")) || bytes_equal(r->enhanced, BYTES("4.3.2")) ||
                said(out, BYTES("rate"));

    if (!slow || said(out, BYTES("greylist")) || is_enough(r))
        return PATH_NOTHING;
    for (size_t i = 0; i < sizeof crowded / sizeof *crowded; i++)
        for (size_t at = 0; at + crowded[i].n <= out->text.n; at++)
            if (bytes_starts_nocase(bytes_from(out->text, at), crowded[i]))
                return PATH_CROWDED;
    return PATH_SLOW;
}

static bool is_login_refused(const struct situation *s)
{
    return s->phase == PHASE_AUTH || s->reply->code == 530 || s->reply->code == 535;
}

static void judge_login(const struct situation *s, struct judgement *out)
{
    out->suspend_route = s->reply->code / 100 == 5;
    out->outcome = OUTCOME_DEFERRED;
    out->cause = no_auth.cause;
    out->permanence = no_auth.permanence;
    out->enhanced = no_auth.enhanced;
    out->close = true;
}

/* Codes that are no verdict in this place. */
static bool is_nonsense(const struct situation *s)
{
    int class = s->reply->code / 100;

    return class == 1 || class == 3 || s->reply->code == 503 ||
           (class == 2 && s->phase != PHASE_RCPT && s->phase != PHASE_DOT);
}

static void judge_nonsense(const struct situation *s, struct judgement *out)
{
    say(&nonsense, NO_BYTES, out);
    quote(s->reply, out);
    out->enhanced = nonsense.enhanced;
    out->close = true;
    out->ambiguous = s->phase == PHASE_DOT && s->reply->code != 503;
}

static void judge_early(const struct situation *s, enum path_event slow, struct judgement *out)
{
    out->close = true;
    if (s->reply->code / 100 == 5) {
        refused_greeting(s, out);
        return;
    }
    out->outcome = OUTCOME_DEFERRED;
    judge_host(s, out);
    if (slow != PATH_NOTHING)
        out->event = slow;
}

static void judge_refusal(const struct situation *s, const struct verdict_rules *rules, struct judgement *out)
{
    enum permanence permanence = classified(s, rules, out);
    enum path_event slow = slower(s->reply, out);

    out->close = s->reply->code == 421;
    out->event = slow == PATH_NOTHING ? PATH_VERDICT : slow;
    out->outcome = OUTCOME_DEFERRED;
    if (is_login_refused(s)) {
        judge_login(s, out);
        return;
    }
    if (s->phase < PHASE_MAIL)
        judge_early(s, slow, out);
    else if (s->reply->code / 100 == 5)
        refused_for_good(s, rules, permanence, out);
    if (s->phase == PHASE_RCPT)
        judge_rcpt(s, out);
}

static void judge_reply(const struct situation *s, const struct verdict_rules *rules, struct judgement *out)
{
    quote(s->reply, out);
    out->event = PATH_VERDICT;
    if (is_nonsense(s))
        judge_nonsense(s, out);
    else if (s->reply->code / 100 == 2)
        out->outcome = OUTCOME_DELIVERED;
    else
        judge_refusal(s, rules, out);
}

void verdict_judge(const struct situation *s, const struct verdict_rules *rules, struct judgement *out)
{
    *out = (struct judgement){ .text = BYTES("") };
    if (s->trouble == TROUBLE_NONE)
        judge_reply(s, rules, out);
    else
        judge_trouble(s, out);
    when(s, rules, out);
}

void verdict_of_plan(enum mx_verdict v, struct bytes why, const struct situation *s, const struct verdict_rules *rules,
                     struct judgement *out)
{
    *out = (struct judgement){ .text = BYTES("") };
    say(&plans[v], why, out);
    when(s, rules, out);
}

void verdict_of_refusal(enum offer_refusal r, struct judgement *out)
{
    *out = (struct judgement){ .text = BYTES("") };
    say(&refusals[r], NO_BYTES, out);
}

void verdict_ours(enum verdict_ours why, struct judgement *out)
{
    *out = (struct judgement){ .text = BYTES("") };
    say(&ends[why], NO_BYTES, out);
}

void judgement_attempt(const struct judgement *j, struct attempt *out)
{
    out->code = j->code;
    out->enhanced = j->enhanced;
    out->text = j->text;
    out->cause = j->cause;
    out->permanence = j->permanence;
    out->rule = j->rule;
}
