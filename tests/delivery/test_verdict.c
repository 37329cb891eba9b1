/* delivery/verdict.h, mail/rules.h */
#include "tests/base/check.h"

#include "delivery/verdict.h"

#define NOW  INT64_C(1700000000000)
#define HOUR INT64_C(3600000)

/* What happened: a reply ("550 5.1.1 No such user") or a trouble; what follows. */
static const struct {
    enum phase phase;
    enum trouble trouble;
    const char *reply;
    bool last_host, rcpt_taken, require_tls;
    int64_t blocks, blocked_for; /* hours */
    enum outcome outcome;
    const char *enhanced, *cause, *permanence;
    enum next next;
    enum path_event event;
    const char *flags; /* a ambiguous, c close, s suspend_route, g keep_source, o other_source */
} rows[] = {
    /* no reply */
    { PHASE_CONNECT, TROUBLE_CONNECT, NULL, false, false, false, 0, 0, OUTCOME_DEFERRED, "4.4.1", "network",
      "temporary", NEXT_HOST, PATH_FAILED, "c" },
    { PHASE_CONNECT, TROUBLE_CONNECT, NULL, true, false, false, 0, 0, OUTCOME_DEFERRED, "4.4.1", "network", "temporary",
      NEXT_NOTHING, PATH_ALL_FAILED, "c" },
    { PHASE_GREETING, TROUBLE_TIMEOUT, NULL, true, false, false, 0, 0, OUTCOME_DEFERRED, "4.4.1", "network",
      "temporary", NEXT_NOTHING, PATH_ALL_FAILED, "c" },
    { PHASE_EHLO, TROUBLE_LOST, NULL, false, false, false, 0, 0, OUTCOME_DEFERRED, "4.4.1", "network", "temporary",
      NEXT_HOST, PATH_FAILED, "c" },
    { PHASE_RCPT, TROUBLE_LOST, NULL, false, false, false, 0, 0, OUTCOME_DEFERRED, "4.4.2", "network", "temporary",
      NEXT_HOST, PATH_NOTHING, "c" },
    { PHASE_DATA, TROUBLE_TIMEOUT, NULL, true, false, false, 0, 0, OUTCOME_DEFERRED, "4.4.2", "network", "temporary",
      NEXT_NOTHING, PATH_NOTHING, "c" },
    { PHASE_DOT, TROUBLE_TIMEOUT, NULL, false, false, false, 0, 0, OUTCOME_DEFERRED, "4.4.2", "network", "temporary",
      NEXT_NOTHING, PATH_NOTHING, "ac" },
    { PHASE_DOT, TROUBLE_LOST, NULL, true, false, false, 0, 0, OUTCOME_DEFERRED, "4.4.2", "network", "temporary",
      NEXT_NOTHING, PATH_NOTHING, "ac" },
    { PHASE_GREETING, TROUBLE_GARBAGE, NULL, false, false, false, 0, 0, OUTCOME_DEFERRED, "4.5.0", "protocol",
      "temporary", NEXT_HOST, PATH_FAILED, "c" },
    { PHASE_MAIL, TROUBLE_GARBAGE, NULL, false, false, false, 0, 0, OUTCOME_DEFERRED, "4.5.0", "protocol", "temporary",
      NEXT_NOTHING, PATH_NOTHING, "c" },
    { PHASE_DOT, TROUBLE_GARBAGE, NULL, false, false, false, 0, 0, OUTCOME_DEFERRED, "4.5.0", "protocol", "temporary",
      NEXT_NOTHING, PATH_NOTHING, "ac" },
    { PHASE_TLS, TROUBLE_TLS, NULL, false, false, false, 0, 0, OUTCOME_DEFERRED, "4.7.5", "tls", "temporary", NEXT_HOST,
      PATH_NOTHING, "c" },
    { PHASE_TLS, TROUBLE_TLS, NULL, true, false, true, 0, 0, OUTCOME_FAILED, "5.7.30", "tls", "permanent", NEXT_NOTHING,
      PATH_NOTHING, "c" },
    { PHASE_DOT, TROUBLE_NEWLINE, NULL, true, false, false, 0, 0, OUTCOME_BOUNCED, "5.6.0", "protocol", "permanent",
      NEXT_NOTHING, PATH_NOTHING, "c" },
    { PHASE_EHLO, TROUBLE_LOOP, NULL, true, false, false, 0, 0, OUTCOME_BOUNCED, "5.4.6", "loop", "permanent",
      NEXT_NOTHING, PATH_NOTHING, "c" },
    /* what is good */
    { PHASE_DOT, TROUBLE_NONE, "250 2.0.0 Ok", true, false, false, 0, 0, OUTCOME_DELIVERED, "2.0.0", NULL, NULL,
      NEXT_NOTHING, PATH_VERDICT, "" },
    { PHASE_RCPT, TROUBLE_NONE, "252 maybe", true, false, false, 0, 0, OUTCOME_DELIVERED, NULL, NULL, NULL,
      NEXT_NOTHING, PATH_VERDICT, "" },
    /* what makes no sense */
    { PHASE_DATA, TROUBLE_NONE, "250 Ok", true, false, false, 0, 0, OUTCOME_DEFERRED, "4.5.0", "protocol", "temporary",
      NEXT_NOTHING, PATH_VERDICT, "c" },
    { PHASE_MAIL, TROUBLE_NONE, "354 go", true, false, false, 0, 0, OUTCOME_DEFERRED, "4.5.0", "protocol", "temporary",
      NEXT_NOTHING, PATH_VERDICT, "c" },
    { PHASE_DOT, TROUBLE_NONE, "354 more", true, false, false, 0, 0, OUTCOME_DEFERRED, "4.5.0", "protocol", "temporary",
      NEXT_NOTHING, PATH_VERDICT, "ac" },
    { PHASE_RCPT, TROUBLE_NONE, "503 5.5.1 Bad sequence", true, false, false, 0, 0, OUTCOME_DEFERRED, "4.5.0",
      "protocol", "temporary", NEXT_NOTHING, PATH_VERDICT, "c" },
    { PHASE_RCPT, TROUBLE_NONE, "150 hm", true, false, false, 0, 0, OUTCOME_DEFERRED, "4.5.0", "protocol", "temporary",
      NEXT_NOTHING, PATH_VERDICT, "c" },
    /* greeting and EHLO */
    { PHASE_GREETING, TROUBLE_NONE, "451 4.3.0 later", false, false, false, 0, 0, OUTCOME_DEFERRED, "4.3.0", "system",
      "temporary", NEXT_HOST, PATH_FAILED, "c" },
    { PHASE_GREETING, TROUBLE_NONE, "421 4.7.0 too many connections from you", true, false, false, 0, 0,
      OUTCOME_DEFERRED, "4.7.0", "rate", "temporary", NEXT_NOTHING, PATH_CROWDED, "c" },
    { PHASE_GREETING, TROUBLE_NONE, "554 your address is listed in a blacklist", true, false, false, 0, 0,
      OUTCOME_DEFERRED, NULL, "reputation", "block", NEXT_NOTHING, PATH_ALL_FAILED, "co" },
    { PHASE_GREETING, TROUBLE_NONE, "554 no", true, false, false, 2, 3, OUTCOME_DEFERRED, NULL, NULL, "block",
      NEXT_NOTHING, PATH_ALL_FAILED, "co" },
    { PHASE_GREETING, TROUBLE_NONE, "554 no", true, false, false, 1, 5, OUTCOME_DEFERRED, NULL, NULL, "block",
      NEXT_NOTHING, PATH_ALL_FAILED, "co" },
    { PHASE_GREETING, TROUBLE_NONE, "554 no", true, false, false, 2, 5, OUTCOME_BOUNCED, NULL, NULL, "block",
      NEXT_NOTHING, PATH_ALL_FAILED, "c" },
    { PHASE_EHLO, TROUBLE_NONE, "554 no", false, false, false, 2, 5, OUTCOME_BOUNCED, NULL, NULL, "block", NEXT_HOST,
      PATH_FAILED, "c" },
    /* logins */
    { PHASE_AUTH, TROUBLE_NONE, "535 5.7.8 no", true, false, false, 0, 0, OUTCOME_DEFERRED, "4.7.8", "auth",
      "temporary", NEXT_NOTHING, PATH_VERDICT, "cs" },
    { PHASE_MAIL, TROUBLE_NONE, "530 5.7.0 Authentication required", true, false, false, 0, 0, OUTCOME_DEFERRED,
      "4.7.8", "auth", "temporary", NEXT_NOTHING, PATH_VERDICT, "cs" },
    { PHASE_AUTH, TROUBLE_NONE, "454 4.7.0 later", true, false, false, 0, 0, OUTCOME_DEFERRED, "4.7.8", "auth",
      "temporary", NEXT_NOTHING, PATH_SLOW, "c" },
    /* temporary */
    { PHASE_RCPT, TROUBLE_NONE, "450 4.2.0 Greylisted, try again", true, false, false, 0, 0, OUTCOME_DEFERRED, "4.2.0",
      "greylist", "temporary", NEXT_NOTHING, PATH_VERDICT, "g" },
    { PHASE_DOT, TROUBLE_NONE, "451 4.3.0 later", true, false, false, 0, 0, OUTCOME_DEFERRED, "4.3.0", "system",
      "temporary", NEXT_NOTHING, PATH_VERDICT, "" },
    { PHASE_MAIL, TROUBLE_NONE, "421 4.3.2 shutting down", true, false, false, 0, 0, OUTCOME_DEFERRED, "4.3.2", NULL,
      "temporary", NEXT_NOTHING, PATH_SLOW, "c" },
    { PHASE_MAIL, TROUBLE_NONE, "450 4.7.28 rate", true, false, false, 0, 0, OUTCOME_DEFERRED, "4.7.28", NULL,
      "temporary", NEXT_NOTHING, PATH_SLOW, "" },
    /* for good */
    { PHASE_RCPT, TROUBLE_NONE, "550 5.1.1 No such user", true, false, false, 0, 0, OUTCOME_BOUNCED, "5.1.1",
      "unknown_user", "permanent", NEXT_NOTHING, PATH_VERDICT, "" },
    { PHASE_DOT, TROUBLE_NONE, "552 5.3.4 Message too large", true, false, false, 0, 0, OUTCOME_BOUNCED, "5.3.4",
      "too_large", "permanent", NEXT_NOTHING, PATH_VERDICT, "" },
    { PHASE_DATA, TROUBLE_NONE, "554 5.5.1 no valid recipients", true, false, false, 0, 0, OUTCOME_BOUNCED, "5.5.1",
      NULL, NULL, NEXT_NOTHING, PATH_VERDICT, "" },
    /* blocks */
    { PHASE_RCPT, TROUBLE_NONE, "554 5.7.1 Client host blocked using zen.spamhaus.org", true, false, false, 0, 0,
      OUTCOME_DEFERRED, "5.7.1", "reputation", "block", NEXT_NOTHING, PATH_VERDICT, "o" },
    { PHASE_RCPT, TROUBLE_NONE, "554 5.7.1 Client host blocked using zen.spamhaus.org", true, false, false, 2, 23,
      OUTCOME_DEFERRED, "5.7.1", "reputation", "block", NEXT_NOTHING, PATH_VERDICT, "o" },
    { PHASE_RCPT, TROUBLE_NONE, "554 5.7.1 Client host blocked using zen.spamhaus.org", true, false, false, 3, 23,
      OUTCOME_BOUNCED, "5.7.1", "reputation", "block", NEXT_NOTHING, PATH_VERDICT, "" },
    { PHASE_RCPT, TROUBLE_NONE, "554 5.7.1 Client host blocked using zen.spamhaus.org", true, false, false, 1, 25,
      OUTCOME_BOUNCED, "5.7.1", "reputation", "block", NEXT_NOTHING, PATH_VERDICT, "" },
    /* enough recipients for now */
    { PHASE_RCPT, TROUBLE_NONE, "452 4.5.3 Too many recipients", true, true, false, 0, 0, OUTCOME_DEFERRED, "4.5.3",
      NULL, "temporary", NEXT_TRANSACTION, PATH_VERDICT, "" },
    { PHASE_RCPT, TROUBLE_NONE, "452 4.5.3 Too many recipients", true, false, false, 0, 0, OUTCOME_DEFERRED, "4.5.3",
      NULL, "temporary", NEXT_NOTHING, PATH_VERDICT, "" },
    { PHASE_RCPT, TROUBLE_NONE, "451 4.5.3 multiple regions", true, true, false, 0, 0, OUTCOME_DEFERRED, "4.5.3", NULL,
      "temporary", NEXT_TRANSACTION, PATH_VERDICT, "" },
    { PHASE_RCPT, TROUBLE_NONE, "552 too many", true, true, false, 0, 0, OUTCOME_DEFERRED, NULL, NULL, NULL,
      NEXT_TRANSACTION, PATH_VERDICT, "" },
    { PHASE_RCPT, TROUBLE_NONE, "552 too many", true, false, false, 0, 0, OUTCOME_DEFERRED, NULL, NULL, "temporary",
      NEXT_NOTHING, PATH_VERDICT, "" },
    { PHASE_RCPT, TROUBLE_NONE, "452 4.2.2 Mailbox full", true, true, false, 0, 0, OUTCOME_DEFERRED, "4.2.2",
      "mailbox_full", "temporary", NEXT_NOTHING, PATH_VERDICT, "" },
    { PHASE_DOT, TROUBLE_NONE, "552 5.2.2 Mailbox full", true, false, false, 0, 0, OUTCOME_BOUNCED, "5.2.2",
      "mailbox_full", NULL, NEXT_NOTHING, PATH_VERDICT, "" },
};

static struct verdict_rules rules_new(struct retry_rules *retry)
{
    struct err e = { 0 };

    assert_true(retry_rules_read(BYTES("1m,5m,10m,20m,30m,1h,2h,3h"), retry, &e));
    return (struct verdict_rules){ .retry = retry, .block_tries = 3 };
}

static void reply_of(struct reply_reader *r, const char *text)
{
    char line[256];
    size_t used = 0, n = (size_t)snprintf(line, sizeof line, "%s\r\n", text);

    reply_begin(r);
    assert_int_equal(reply_read(r, (struct bytes){ line, n }, &used), REPLY_DONE);
}

static struct bytes flags_of(const struct judgement *j, char out[8])
{
    size_t n = 0;

    if (j->ambiguous)
        out[n++] = 'a';
    if (j->close)
        out[n++] = 'c';
    if (j->suspend_route)
        out[n++] = 's';
    if (j->keep_source)
        out[n++] = 'g';
    if (j->other_source)
        out[n++] = 'o';
    return (struct bytes){ out, n };
}

static bool is(struct bytes got, const char *want)
{
    return !want || bytes_equal(got, bytes_of(want));
}

static void what_follows_from_what_happened(void **state)
{
    struct retry_rules retry;
    struct verdict_rules rules = rules_new(&retry);
    struct reply_reader r;
    struct judgement j;
    char flags[8];

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct situation s = { .phase = rows[i].phase,
                               .trouble = rows[i].trouble,
                               .last_host = rows[i].last_host,
                               .rcpt_taken = rows[i].rcpt_taken,
                               .require_tls = rows[i].require_tls,
                               .blocks = rows[i].blocks,
                               .retry = { .now = NOW, .n = 1 } };

        s.first_block_at = rows[i].blocks ? NOW - rows[i].blocked_for * HOUR : 0;
        if (rows[i].reply)
            reply_of(&r, rows[i].reply);
        s.reply = rows[i].reply ? &r.reply : NULL;
        verdict_judge(&s, &rules, &j);
        if (j.outcome != rows[i].outcome || !is(j.enhanced, rows[i].enhanced) || !is(j.cause, rows[i].cause) ||
            !is(j.permanence, rows[i].permanence) || j.next != rows[i].next || j.event != rows[i].event ||
            !bytes_equal(flags_of(&j, flags), bytes_of(rows[i].flags)))
            fail_msg("row %zu (%s): outcome %d, %.*s %.*s %.*s, next %d, event %d, flags %.*s", i,
                     rows[i].reply ? rows[i].reply : "-", (int)j.outcome, SHOW(j.enhanced), SHOW(j.cause),
                     SHOW(j.permanence), (int)j.next, (int)j.event, SHOW(flags_of(&j, flags)));
        assert_int_equal(j.retry_at != 0, j.outcome == OUTCOME_DEFERRED);
        if (j.ambiguous)
            assert_true(j.retry_at >= NOW + 600000);
        assert_true(j.text.n > 0);
    }
}

static void the_words_are_kept(void **state)
{
    struct retry_rules retry;
    struct verdict_rules rules = rules_new(&retry);
    struct situation s = { .phase = PHASE_RCPT, .retry = { .now = NOW, .n = 1 } };
    struct attempt t = { 0 };
    struct reply_reader r;
    struct judgement j;

    (void)state;
    reply_of(
        &r,
        "550-5.1.1 The email account that you tried to reach\r\n550-5.1.1 does not exist.\r\n550 5.1.1 caf\xC3\xA9");
    s.reply = &r.reply;
    verdict_judge(&s, &rules, &j);
    reply_begin(&r); /* the reader is used again */
    judgement_attempt(&j, &t);
    assert_int_equal(t.code, 550);
    assert_bytes(t.enhanced, BYTES("5.1.1"));
    assert_bytes(t.text, BYTES("The email account that you tried to reach does not exist. caf\xC3\xA9"));
    assert_bytes(t.cause, BYTES("unknown_user"));
    assert_bytes(t.permanence, BYTES("permanent"));
    assert_true(t.rule.n > 0);
    s = (struct situation){ .phase = PHASE_CONNECT,
                            .trouble = TROUBLE_CONNECT,
                            .why = BYTES("connection refused"),
                            .last_host = true,
                            .retry = { .now = NOW, .n = 1 } };
    verdict_judge(&s, &rules, &j);
    assert_bytes(j.text, BYTES("No connection: connection refused"));
}

static void a_reply_says_when(void **state)
{
    struct retry_rules retry;
    struct verdict_rules rules = rules_new(&retry);
    struct situation s = { .phase = PHASE_RCPT, .retry = { .now = NOW, .n = 1 } };
    struct reply_reader r;
    struct judgement j;

    (void)state;
    reply_of(&r, "451 4.7.1 Greylisted, try again in 30 minutes");
    s.reply = &r.reply;
    verdict_judge(&s, &rules, &j);
    assert_in_range(j.retry_at, NOW + 30 * 60000, NOW + 32 * 60000);
    reply_of(&r, "451 4.7.1 Greylisted");
    verdict_judge(&s, &rules, &j);
    assert_in_range(j.retry_at, NOW + 270000, NOW + 330000);
    s.source_known = true; /* it has been here before: as any other deferral */
    verdict_judge(&s, &rules, &j);
    assert_in_range(j.retry_at, NOW + 48000, NOW + 72000);
}

static void plans_and_offers(void **state)
{
    static const struct {
        enum mx_verdict v;
        enum outcome outcome;
        const char *enhanced, *cause;
    } plans[] = {
        { MX_NO_DOMAIN, OUTCOME_BOUNCED, "5.1.2", "unknown_domain" },
        { MX_NULL, OUTCOME_BOUNCED, "5.1.10", "unknown_domain" },
        { MX_NO_HOST, OUTCOME_BOUNCED, "5.4.4", "unknown_domain" },
        { MX_TEMPORARY, OUTCOME_DEFERRED, "4.4.3", "dns" },
        { MX_UNUSABLE, OUTCOME_DEFERRED, "4.4.4", "dns" },
        { MX_GIVEN_UP, OUTCOME_BOUNCED, "5.4.4", "dns" },
        { MX_LOOP, OUTCOME_BOUNCED, "5.4.6", "loop" },
        { MX_DENIED, OUTCOME_BOUNCED, "5.4.4", "bad_destination" },
        { MX_NO_FAMILY, OUTCOME_DEFERRED, "4.4.1", "network" },
    };
    static const char *const refusals[] = { [REFUSAL_SIZE] = "5.3.4",
                                            [REFUSAL_EIGHT_BIT] = "5.6.3",
                                            [REFUSAL_UTF8] = "5.6.7",
                                            [REFUSAL_REQUIRE_TLS] = "5.7.30" };
    static const char *const ours[] = { [VERDICT_EXPIRED] = "4.4.7",
                                        [VERDICT_NO_TLS] = "4.7.5",
                                        [VERDICT_BOUNCED_BY_HAND] = "5.7.0",
                                        [VERDICT_CONTENT_GONE] = "5.3.0" };
    struct situation s = { .retry = { .now = NOW, .n = 1 } };
    struct retry_rules retry;
    struct verdict_rules rules = rules_new(&retry);
    struct judgement j;
    enum why why;

    (void)state;
    for (size_t i = 0; i < COUNT(plans); i++) {
        verdict_of_plan(plans[i].v, BYTES("mx.example: no address"), &s, &rules, &j);
        assert_int_equal(j.outcome, plans[i].outcome);
        assert_bytes(j.enhanced, bytes_of(plans[i].enhanced));
        assert_bytes(j.cause, bytes_of(plans[i].cause));
        assert_true(why_of(j.cause, &why) && bytes_ends(j.text, BYTES(": mx.example: no address")));
        assert_int_equal(j.retry_at != 0, j.outcome == OUTCOME_DEFERRED);
    }
    for (size_t i = REFUSAL_SIZE; i < COUNT(refusals); i++) {
        verdict_of_refusal((enum offer_refusal)i, &j);
        assert_bytes(j.enhanced, bytes_of(refusals[i]));
        assert_true(why_of(j.cause, &why) && j.outcome != OUTCOME_DEFERRED);
    }
    for (size_t i = 0; i < COUNT(ours); i++) {
        verdict_ours((enum verdict_ours)i, &j);
        assert_bytes(j.enhanced, bytes_of(ours[i]));
        assert_int_equal(j.outcome, i <= VERDICT_NO_TLS ? OUTCOME_EXPIRED : OUTCOME_FAILED);
    }
}

static void providers_are_found(void **state)
{
    static const struct {
        const char *host, *name; /* NULL: none */
        bool tls;
        int connections, per_connection;
    } hosts[] = {
        { "aspmx.l.google.com", "google", true, 5, 50 },
        { "ALT1.ASPMX.L.GOOGLE.COM.", "google", true, 5, 50 },
        { "alt2.aspmx.l.googlemail.com", "google", true, 5, 50 },
        { "google.com", NULL, false, 0, 0 },
        { "mx.notgoogle.com", NULL, false, 0, 0 },
        { "mta5.am0.yahoodns.net", "yahoo", false, 0, 20 },
        { "example-com.mail.protection.outlook.com", "office365", false, 5, 50 },
        { "example-com.a-v1.mx.microsoft", "office365", false, 5, 50 },
        { "hotmail-com.olc.protection.outlook.com", "outlook", false, 5, 50 },
        { "mx01.mail.icloud.com", "apple", false, 10, 5 },
        { "us-smtp-inbound-1.mimecast.com", "mimecast", false, 10, 0 },
        { "", NULL, false, 0, 0 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(hosts); i++) {
        const struct provider *p = rules_provider(NULL, bytes_of(hosts[i].host));

        if ((p != NULL) != (hosts[i].name != NULL))
            fail_msg("%s: %s", hosts[i].host, p ? p->name.p : "none");
        if (!p)
            continue;
        assert_bytes(p->name, bytes_of(hosts[i].name));
        assert_int_equal(p->tls_required, hosts[i].tls);
        assert_int_equal(p->connections, hosts[i].connections);
        assert_int_equal(p->per_connection, hosts[i].per_connection);
    }
}

static void own_files_come_first(void **state)
{
    const struct bytes own = BYTES("{\"providers\":[{\"name\":\"mine\",\"mx\":[\"mx.google.com\",\".Example.net\"],"
                                   "\"connections\":1}],\"rules\":[{\"id\":\"odd\",\"provider\":\"mine\",\"match\":"
                                   "[\"purple*cow\"],\"cause\":\"rate\",\"permanence\":\"block\"}]}");
    struct rules_query q = { PHASE_RCPT, 550, NO_BYTES, BYTES("a Purple  fat COW"), BYTES("mx.example.net") };
    struct rules *r = NULL;
    struct err e = { 0 };
    struct meaning m;
    size_t line;

    (void)state;
    assert_true(rules_read(own, &r, &line, &e));
    assert_bytes(rules_provider(r, BYTES("mx.google.com"))->name, BYTES("mine"));
    assert_bytes(rules_provider(r, BYTES("alt.google.com"))->name, BYTES("google"));
    m = rules_classify(r, &q);
    assert_true(m.why == WHY_RATE && m.permanence == PERMANENCE_BLOCK && strcmp(m.rule, "odd") == 0);
    q.mx_host = BYTES("mx.example.org");
    assert_true(rules_classify(r, &q).why != WHY_RATE);
    assert_true(rules_classify(NULL, &q).why != WHY_RATE);
    rules_free(&r);
    rules_free(&r);
}

static void wrong_files_are_refused(void **state)
{
    static const char *const files[] = {
        "",
        "[]",
        "{\"provider\":[]}",
        "{\"providers\":{}}",
        "{\"rules\":7}",
        "{\"providers\":[7]}",
        "{\"providers\":[{\"mx\":[\".x\"]}]}",
        "{\"providers\":[{\"name\":\"x\"}]}",
        "{\"providers\":[{\"name\":\"x\",\"mx\":\".x\"}]}",
        "{\"providers\":[{\"name\":\"x\",\"mx\":[\".\"]}]}",
        "{\"providers\":[{\"name\":\"x\",\"mx\":[7]}]}",
        "{\"providers\":[{\"name\":\"x\",\"mx\":[\".x\"],\"tls\":\"never\"}]}",
        "{\"providers\":[{\"name\":\"x\",\"mx\":[\".x\"],\"connections\":0}]}",
        "{\"providers\":[{\"name\":\"x\",\"mx\":[\".x\"],\"connections\":1.5}]}",
        "{\"providers\":[{\"name\":\"x\",\"mx\":[\".x\"],\"speed\":5}]}",
        "{\"rules\":[{\"id\":\"x\",\"cause\":\"gremlins\"}]}",
        "{\"providers\":[]} x",
    };

    (void)state;
    for (size_t i = 1; i < COUNT(files); i++) {
        struct rules *r = NULL;
        struct err e = { 0 };
        size_t line;

        if (rules_read(bytes_of(files[i]), &r, &line, &e))
            fail_msg("%s", files[i]);
        assert_true(r == NULL && (e.code == ERR_INVALID || e.code == ERR_BAD_JSON) && e.message[0]);
    }
}

/* Whoever edits a file is told where it is wrong. */
static void a_fault_has_a_line(void **state)
{
    static const struct {
        const char *file;
        size_t line;
    } faults[] = {
        { "{\"providers\": [\n  {\"name\": \"a\", \"mx\": [\".a\"]},\n  {\"name\": \"b\"}\n]}", 3 },
        { "{\n\"rules\": [\n  {\"id\": \"rules\", \"cause\": \"rate\", \"match\": [\"[{\", \"]\\\"\"]},\n\n"
          "  {\"id\": \"y\", \"cause\": \"gremlins\"}]}",
          5 },
        { "{\"providers\": [{\"name\": \"rules\", \"mx\": [\".a\"]}],\n\"rules\": [\n{\"id\": \"x\"}]}", 3 },
        { "{\"rules\": [{\"id\": \"x\", \"cause\": \"rate\"},\n{\"id\": \"x\", \"cause\": \"rate\"}]}", 2 },
        { "{\n\"rules\": [\n7]}", 3 },
        { "{\n\"rules\": [\n", 3 },
        { "{\n\"rules\": 7}", 0 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(faults); i++) {
        struct rules *r = NULL;
        struct err e = { 0 };
        size_t line = 99;

        assert_false(rules_read(bytes_of(faults[i].file), &r, &line, &e));
        if (line != faults[i].line)
            fail_msg("row %zu: line %zu, %s", i, line, e.message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_follows_from_what_happened),
        cmocka_unit_test(the_words_are_kept),
        cmocka_unit_test(a_reply_says_when),
        cmocka_unit_test(plans_and_offers),
        cmocka_unit_test(providers_are_found),
        cmocka_unit_test(own_files_come_first),
        cmocka_unit_test(wrong_files_are_refused),
        cmocka_unit_test(a_fault_has_a_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
