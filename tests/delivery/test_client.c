/* The dialogue with another server, over memory: what we say to what it answers, and what each recipient is told. Bytes
 * come one by one, so that nothing is heard before its time unless a case wants it. */
#include "tests/mail/suite.h"

#include "delivery/client.h"

enum {
    HELO_IS_NO_WAY = 1,
    TWO_MESSAGES = 2,
    STOPS = 4,
    CONTENT_FAILS = 8,
    AT_ONCE = 16,
    LOGS_IN = 32,
    CHUNKED = 64,
    AHEAD = 128,   /* the envelope of the second message is said behind the dot of the first */
    FORGETS = 256, /* and taken back */
};

#define HI      "220 peer.test ESMTP\r\n"
#define PLAIN   HI "250 peer.test\r\n"
#define PIPES   HI "250-peer.test\r\n250 PIPELINING\r\n"
#define EHLO    "EHLO us.test\r\n"
#define MAIL    "MAIL FROM:<bo@us.test>\r\n"
#define RCPT(x) "RCPT TO:<" x "@far.test>\r\n"
#define TEXT    "Subject: x\r\n\r\nwalrus\r\n"
#define OK      "250 2.0.0 ok\r\n"
#define CHUNKS  "BDAT 12\r\nSubject: x\r\nBDAT 10\r\n\r\nwalrus\r\n"

static const struct dialogue {
    const char *what;
    int how;
    size_t n; /* recipients: a, b, c */
    const char *server, *client;
    const char *want[3]; /* of each recipient: step, what, code */
    const char *greeted; /* NULL: greeting is fine */
    bool broken;         /* afterwards */
} dialogues[] = {
    { "a mail is sent",
      0,
      1,
      PLAIN OK OK "354 go\r\n" OK,
      EHLO MAIL RCPT("a") "DATA\r\n" TEXT ".\r\n",
      { ". 250" },
      NULL,
      false },
    { "each recipient has an answer of its own",
      0,
      3,
      PLAIN OK OK "550 5.1.1 no\r\n450 later\r\n354 go\r\n" OK,
      EHLO MAIL RCPT("a") RCPT("b") RCPT("c") "DATA\r\n" TEXT ".\r\n",
      { ". 250", "RCPT 550", "RCPT 450" },
      NULL,
      false },
    { "a sender that is refused ends it, before anybody is named",
      0,
      2,
      PLAIN "550 5.7.1 not you\r\n" OK,
      EHLO MAIL "RSET\r\n",
      { "MAIL 550", "MAIL 550" },
      NULL,
      false },
    { "nobody is taken: no DATA",
      0,
      1,
      PLAIN OK "550 no\r\n" OK,
      EHLO MAIL RCPT("a") "RSET\r\n",
      { "RCPT 550" },
      NULL,
      false },
    { "RSET without 250 ends the connection",
      0,
      1,
      PLAIN OK "550 no\r\n"
               "500 what\r\n",
      EHLO MAIL RCPT("a") "RSET\r\n",
      { "RCPT 550" },
      NULL,
      true },
    { "one recipient too many waits",
      0,
      3,
      PLAIN OK OK "452 4.5.3 too many\r\n552 too many\r\n354 go\r\n" OK,
      EHLO MAIL RCPT("a") RCPT("b") RCPT("c") "DATA\r\n" TEXT ".\r\n",
      { ". 250", "RCPT waits 452", "RCPT waits 552" },
      NULL,
      false },
    { "452 for the first is a deferral",
      0,
      2,
      PLAIN OK "452 4.3.1 full\r\n" OK "354 go\r\n" OK,
      EHLO MAIL RCPT("a") RCPT("b") "DATA\r\n" TEXT ".\r\n",
      { "RCPT 452", ". 250" },
      NULL,
      false },
    { "in chunks",
      CHUNKED,
      2,
      PLAIN OK OK "550 no\r\n" OK OK OK,
      EHLO MAIL RCPT("a") RCPT("b") CHUNKS "BDAT 0 LAST\r\n",
      { ". 250", "RCPT 550" },
      NULL,
      false },
    { "chunks are not waited for with PIPELINING, but before the last",
      CHUNKED,
      1,
      PIPES OK OK OK OK "451 later\r\n",
      EHLO MAIL RCPT("a") CHUNKS "BDAT 0 LAST\r\n",
      { ". 451" },
      NULL,
      false },
    { "a chunk that is refused is the end",
      CHUNKED,
      1,
      PIPES OK OK OK "552 5.3.4 too large\r\n",
      EHLO MAIL RCPT("a") CHUNKS,
      { "DATA 552" },
      NULL,
      true },
    { "no last chunk when we are told to stop",
      CHUNKED | STOPS,
      1,
      PLAIN OK OK OK OK,
      EHLO MAIL RCPT("a") CHUNKS,
      { "DATA stopped 0" },
      NULL,
      true },
    { "an envelope that was said ahead is not said again",
      TWO_MESSAGES | AHEAD,
      1,
      PIPES OK OK "354 go\r\n" OK OK OK "354 go\r\n" OK,
      EHLO MAIL RCPT("a") "DATA\r\n" TEXT ".\r\n" MAIL RCPT("a") "DATA\r\n" TEXT ".\r\n",
      { ". 250" },
      NULL,
      false },
    { "what was said ahead can be taken back",
      AHEAD | FORGETS,
      2,
      PIPES OK OK OK "354 go\r\n" OK OK "550 no\r\n" OK OK,
      EHLO MAIL RCPT("a") RCPT("b") "DATA\r\n" TEXT ".\r\n" MAIL RCPT("a") RCPT("b") "RSET\r\n",
      { ". 250", ". 250" },
      NULL,
      false },
    { "nothing is said ahead without PIPELINING",
      AHEAD | FORGETS,
      1,
      PLAIN OK OK "354 go\r\n" OK,
      EHLO MAIL RCPT("a") "DATA\r\n" TEXT ".\r\n",
      { ". 250" },
      NULL,
      false },
    { "nor while recipients of this one wait",
      AHEAD | FORGETS,
      2,
      PIPES OK OK "452 4.5.3 enough\r\n354 go\r\n" OK,
      EHLO MAIL RCPT("a") RCPT("b") "DATA\r\n" TEXT ".\r\n",
      { ". 250", "RCPT waits 452" },
      NULL,
      false },
    { "421 in the middle is for all that follow, also where they were named already",
      0,
      3,
      PIPES OK "550 no\r\n421 4.3.2 going\r\n",
      EHLO MAIL RCPT("a") RCPT("b") RCPT("c"),
      { "RCPT 550", "RCPT 421", "RCPT 421" },
      NULL,
      true },
    { "421 to the sender is for all, too",
      0,
      2,
      PIPES "421 4.7.0 too fast\r\n",
      EHLO MAIL RCPT("a") RCPT("b"),
      { "MAIL 421", "MAIL 421" },
      NULL,
      true },
    { "a goodbye behind the first answers to the second",
      TWO_MESSAGES | AHEAD,
      1,
      PIPES OK OK "354 go\r\n" OK "421 enough\r\n",
      EHLO MAIL RCPT("a") "DATA\r\n" TEXT ".\r\n" MAIL RCPT("a") "DATA\r\n",
      { "MAIL 421" },
      NULL,
      true },
    { "a text that is refused",
      0,
      2,
      PLAIN OK OK OK "354 go\r\n554 5.6.0 spam\r\n",
      EHLO MAIL RCPT("a") RCPT("b") "DATA\r\n" TEXT ".\r\n",
      { ". 554", ". 554" },
      NULL,
      false },
    { "DATA is refused",
      0,
      1,
      PLAIN OK OK "451 4.3.2 not now\r\n" OK,
      EHLO MAIL RCPT("a") "DATA\r\nRSET\r\n",
      { "DATA 451" },
      NULL,
      false },
    { "250 to DATA is no permission",
      0,
      1,
      PLAIN OK OK OK,
      EHLO MAIL RCPT("a") "DATA\r\n",
      { "DATA protocol 250" },
      NULL,
      true },
    { "354 to MAIL is nonsense", 0, 1, PLAIN "354 go\r\n", EHLO MAIL, { "MAIL protocol 354" }, NULL, true },
    { "no reply at all", 0, 1, PLAIN OK "hello there\r\n", EHLO MAIL RCPT("a"), { "RCPT protocol 0" }, NULL, true },
    { "354 to the dot is nonsense, and who knows what it did",
      0,
      1,
      PLAIN OK OK "354 go\r\n354 go\r\n",
      EHLO MAIL RCPT("a") "DATA\r\n" TEXT ".\r\n",
      { ". protocol 354" },
      NULL,
      true },
    { "cut before MAIL is answered", 0, 2, PLAIN, EHLO MAIL, { "MAIL closed 0", "MAIL closed 0" }, NULL, true },
    { "cut between recipients: who was refused stays refused",
      0,
      3,
      PLAIN OK "550 no\r\n" OK,
      EHLO MAIL RCPT("a") RCPT("b") RCPT("c"),
      { "RCPT 550", "RCPT closed 0", "RCPT closed 0" },
      NULL,
      true },
    { "cut after the dot",
      0,
      1,
      PLAIN OK OK "354 go\r\n",
      EHLO MAIL RCPT("a") "DATA\r\n" TEXT ".\r\n",
      { ". closed 0" },
      NULL,
      true },
    { "421 to RCPT: whoever follows is not named",
      0,
      3,
      PLAIN OK OK "421 4.3.2 bye\r\n",
      EHLO MAIL RCPT("a") RCPT("b"),
      { "RCPT 421", "RCPT 421", "RCPT 421" },
      NULL,
      true },
    { "a greeting that is none", 0, 1, "554 5.7.1 you are listed\r\n", "", { "" }, "greeting 554", false },
    { "a greeting that is put off", 0, 1, "421 4.3.2 busy\r\n", "", { "" }, "greeting 421", true },
    { "a greeting of 250", 0, 1, "250 hi\r\n", "", { "" }, "greeting protocol 250", true },
    { "no EHLO: HELO",
      0,
      1,
      HI "502 what\r\n250 peer.test\r\n" OK OK "354 go\r\n" OK,
      EHLO "HELO us.test\r\n" MAIL RCPT("a") "DATA\r\n" TEXT ".\r\n",
      { ". 250" },
      NULL,
      false },
    { "no EHLO, where TLS is wanted", HELO_IS_NO_WAY, 1, HI "502 what\r\n", EHLO, { "" }, "EHLO 502", false },
    { "421 to EHLO is no reason for HELO", 0, 1, HI "421 bye\r\n", EHLO, { "" }, "EHLO 421", true },
    { "neither EHLO nor HELO", 0, 1, HI "500 what\r\n504 no\r\n", EHLO "HELO us.test\r\n", { "" }, "EHLO 504", false },
    { "with PIPELINING all are named at once",
      0,
      2,
      PIPES "550 not you\r\n503 no\r\n503 no\r\n" OK,
      EHLO MAIL RCPT("a") RCPT("b") "RSET\r\n",
      { "MAIL 550", "MAIL 550" },
      NULL,
      false },
    { "DATA joins the second time",
      TWO_MESSAGES,
      1,
      PIPES OK OK "354 go\r\n" OK OK OK "354 go\r\n" OK,
      EHLO MAIL RCPT("a") "DATA\r\n" TEXT ".\r\n" MAIL RCPT("a") "DATA\r\n" TEXT ".\r\n",
      { ". 250" },
      NULL,
      false },
    { "354 for nobody: hung up, no lone dot",
      TWO_MESSAGES,
      1,
      PIPES OK OK "354 go\r\n" OK OK "550 no\r\n354 go\r\n",
      EHLO MAIL RCPT("a") "DATA\r\n" TEXT ".\r\n" MAIL RCPT("a") "DATA\r\n",
      { "RCPT 550" },
      NULL,
      true },
    { "DATA that is refused for nobody: goes on",
      TWO_MESSAGES,
      1,
      PIPES OK OK "354 go\r\n" OK OK "550 no\r\n503 no\r\n" OK,
      EHLO MAIL RCPT("a") "DATA\r\n" TEXT ".\r\n" MAIL RCPT("a") "DATA\r\nRSET\r\n",
      { "RCPT 550" },
      NULL,
      false },
    { "cut in the middle of pipelined answers",
      0,
      3,
      PIPES OK "550 no\r\n",
      EHLO MAIL RCPT("a") RCPT("b") RCPT("c"),
      { "RCPT 550", "RCPT closed 0", "RCPT closed 0" },
      NULL,
      true },
    { "told to stop before the dot",
      STOPS,
      1,
      PLAIN OK OK "354 go\r\n",
      EHLO MAIL RCPT("a") "DATA\r\n" TEXT,
      { "DATA stopped 0" },
      NULL,
      true },
    { "the text cannot be read: no dot",
      CONTENT_FAILS,
      1,
      PLAIN OK OK "354 go\r\n",
      EHLO MAIL RCPT("a") "DATA\r\n"
                          "Subject: x\r\n",
      { "DATA content 0" },
      NULL,
      true },
    { "refused in the middle of the text", AT_ONCE, 1, "552 5.3.4 too much\r\n", "", { "DATA 552" }, NULL, true },
    { "taken before the dot: not believed", AT_ONCE, 1, "250 thanks\r\n", "", { "DATA protocol 250" }, NULL, true },
    { "PLAIN",
      LOGS_IN,
      1,
      HI "250-peer.test\r\n250 AUTH LOGIN PLAIN\r\n235 ok\r\n" OK OK "354 go\r\n" OK,
      EHLO "AUTH PLAIN AGpvAHNlY3JldA==\r\n" MAIL RCPT("a") "DATA\r\n" TEXT ".\r\n",
      { ". 250" },
      NULL,
      false },
    { "LOGIN",
      LOGS_IN,
      1,
      HI "250-peer.test\r\n250 AUTH LOGIN\r\n334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n235 ok\r\n" OK OK "354 go\r\n" OK,
      EHLO "AUTH LOGIN\r\nam8=\r\nc2VjcmV0\r\n" MAIL RCPT("a") "DATA\r\n" TEXT ".\r\n",
      { ". 250" },
      NULL,
      false },
    { "a login that is refused",
      LOGS_IN,
      1,
      HI "250-peer.test\r\n250 AUTH PLAIN\r\n535 5.7.8 no\r\n",
      EHLO "AUTH PLAIN AGpvAHNlY3JldA==\r\n",
      { "" },
      "AUTH 535",
      false },
    { "a login that is not offered", LOGS_IN, 1, PLAIN, EHLO, { "" }, "AUTH protocol 0", false },
};

static const char *const words[] = { [ANSWER_REPLY] = "",           [ANSWER_CLOSED] = "closed ",
                                     [ANSWER_TIMEOUT] = "timeout ", [ANSWER_PROTOCOL] = "protocol ",
                                     [ANSWER_TLS] = "tls ",         [ANSWER_CONTENT] = "content ",
                                     [ANSWER_STOPPED] = "stopped ", [ANSWER_WAITS] = "waits " };

static void is(const struct dialogue *d, const struct answer *x, const char *want, struct arena *a)
{
    const char *got = arena_printf(a, "%s %s%d", step_text(x->at), words[x->what], x->reply.code);

    if (strcmp(got, want) != 0)
        fail_msg("%s: '%s' instead of '%s'", d->what, got, want);
}

static struct envelope envelopes[2]; /* one after the other */

struct pieces {
    const struct dialogue *d;
    int n;
};

static bool next_piece(void *ctx, struct bytes *piece, struct err *e)
{
    struct pieces *p = ctx;
    static const struct bytes all[] = { BYTES_ROW("Subject: x\r\n"), BYTES_ROW("\r\nwalrus\r\n"), BYTES_ROW("") };

    if (p->n == 1 && p->d->how & CONTENT_FAILS)
        return err_set(e, ERR_GONE, "no more");
    *piece = all[p->n++];
    return true;
}

static bool goes_on(void *ctx)
{
    const struct dialogue *d = ctx;

    return !(d->how & STOPS);
}

static const struct envelope *ahead(void *ctx)
{
    const struct dialogue *d = ctx;

    return d->how & AHEAD ? &envelopes[1] : NULL;
}

static void prepare(const struct dialogue *d, struct envelope *e)
{
    static const struct offer_rcpt to[] = { { .email = BYTES_ROW("a@far.test") },
                                            { .email = BYTES_ROW("b@far.test") },
                                            { .email = BYTES_ROW("c@far.test") } };
    static const struct needs needs = { .size = 30 };
    static const struct manner how = { 0 };

    *e = (struct envelope){ .sender = BYTES("bo@us.test"), .needs = &needs, .how = &how, .to = to, .n = d->n };
    e->chunked = d->how & CHUNKED;
    e->may_finish = goes_on;
    e->follow = e == envelopes ? ahead : NULL;
    e->ctx = (void *)(uintptr_t)d;
}

static void send(const struct dialogue *d, struct client *c, struct envelope *e, struct answer *each)
{
    struct pieces pieces = { d, 0 };
    bool taken, any = false;

    e->content = (struct source_of){ next_piece, &pieces };
    taken = client_send(c, e, each);
    for (size_t i = 0; i < d->n; i++)
        any = any || (each[i].at == STEP_DOT && each[i].what == ANSWER_REPLY && each[i].reply.code / 100 == 2);
    assert_int_equal(taken, any);
}

static void send_all(const struct dialogue *d, struct client *c, struct answer *each)
{
    for (int i = 0; i < 2; i++)
        prepare(d, &envelopes[i]);
    for (int i = 0; i < (d->how & TWO_MESSAGES ? 2 : 1); i++)
        send(d, c, &envelopes[i], each);
    if (d->how & FORGETS)
        client_take_back(c);
}

static bool introduced(const struct dialogue *d, struct client *c, struct answer *x)
{
    return client_greet(c, d->how & HELO_IS_NO_WAY, x) &&
           (!(d->how & LOGS_IN) || client_login(c, BYTES("jo"), BYTES("secret"), x));
}

static void hold(const struct dialogue *d, struct arena *a)
{
    struct stream_options o = { 8192, 65536 };
    bool at_once = d->how & AT_ONCE;
    struct bytes in = at_once ? arena_bytesf(a, "%s%s", PLAIN OK OK "354 go\r\n", d->server) : bytes_of(d->server);
    struct answer x, each[3];
    struct err e = { 0 };
    struct client *c;
    struct stream *s;
    struct buf out;

    buf_init(&out, 65536);
    s = stream_memory(in, at_once ? 0 : 1, &out, &o);
    c = client_new(&s, BYTES("us.test"), a);
    if (!introduced(d, c, &x)) {
        if (!d->greeted)
            fail_msg("%s: not greeted", d->what);
        is(d, &x, d->greeted, a);
    } else {
        assert_null(d->greeted);
        assert_true(bytes_equal(client_greeted_as(c), BYTES("peer.test")));
        send_all(d, c, each);
        for (size_t i = 0; i < d->n; i++)
            is(d, &each[i], d->want[i], a);
    }
    if (d->broken && client_is_usable(c))
        fail_msg("%s: the connection should not be used again", d->what);
    stream_flush(client_stream(c), &e); /* a memory has no reason to wait */
    client_quit(&c, true);
    if (d->broken && strstr(arena_text(a, buf_bytes(&out)), "QUIT"))
        fail_msg("%s: QUIT on a connection of no use", d->what);
    if (!at_once && !bytes_starts(buf_bytes(&out), bytes_of(d->client)))
        fail_msg("%s: said\n%.*s", d->what, SHOW(buf_bytes(&out)));
    if (!at_once &&
        !bytes_equal(bytes_from(buf_bytes(&out), strlen(d->client)), d->broken ? BYTES("") : BYTES("QUIT\r\n")))
        fail_msg("%s: said\n%.*s", d->what, SHOW(buf_bytes(&out)));
    buf_clear(&out);
}

static void dialogues_go_as_written(void **state)
{
    for (size_t i = 0; i < COUNT(dialogues); i++) {
        arena_reset(*state);
        hold(&dialogues[i], *state);
    }
}

/* What a client in the middle says behind the 220 of STARTTLS would be heard as if it had come in TLS. */
static void words_behind_starttls_cut_it(void **state)
{
    struct stream_options o = { 8192, 65536 };
    struct tls_client *tls = NULL;
    struct tls_result result;
    struct tls_wish wish = { 0 };
    struct err e = { 0 };
    struct answer x;
    struct client *c;
    struct stream *s;
    struct buf out;

    assert_true(tls_client_new(&tls, &e));
    wish.client = tls;
    wish.name = BYTES("peer.test");
    buf_init(&out, 65536);
    s = stream_memory(BYTES(HI "250-peer.test\r\n250 STARTTLS\r\n220 go\r\n250-peer.test\r\n250 AUTH PLAIN\r\n"), 0,
                      &out, &o);
    c = client_new(&s, BYTES("us.test"), *state);
    assert_true(client_greet(c, true, &x));
    assert_true(client_offer(c)->starttls);
    assert_false(client_start_tls(c, &wish, &result, &x));
    assert_true(x.at == STEP_STARTTLS && x.what == ANSWER_PROTOCOL);
    assert_false(client_is_usable(c));
    client_drop(&c);
    tls_client_free(&tls);
    buf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = { ARENA_TEST(dialogues_go_as_written), ARENA_TEST(words_behind_starttls_cut_it) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
