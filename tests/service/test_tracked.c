/* Mails that are tracked: what of them is changed, what becomes of opens and clicks, and how many there may be. */
#include "tests/service/mail_world.h"

#include "service/message/tracked.h"
#include "service/message/tracking.h"
#include <ctype.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define FIREFOX  "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
#define LINKS    "https://mail.example.org"

static int tracked_setup(void **state)
{
    int failed = setup(state);

    if (!failed)
        set_param("server.public_url", LINKS);
    return failed;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tracked_setup, teardown)

static struct message_send_in tracked_send(struct world *w, size_t n, const char *const *to, bool opens,
                                           const char *clicks)
{
    struct message_send_in in = a_send(w, n, to);

    in.tracking = (struct tracking_said){ true, opens, bytes_of(clicks) };
    return in;
}

static struct bytes made(struct world *w, const struct message_send_in *in, struct intake_out *out)
{
    struct message_raw_in raw;
    struct content_out content;

    act(w, &w->key, "api");
    must(&w->c, message_send(&w->c, in, out));
    raw.id = id_of(w, &message_kind, out->message_id);
    must(&w->c, message_raw(&w->c, &raw, &content));
    return whole_of(w, &content);
}

static size_t times(struct bytes text, const char *what)
{
    size_t n = 0;

    for (size_t i = 0; i < text.n; i++)
        n += bytes_starts(bytes_from(text, i), bytes_of(what));
    return n;
}

/* The token behind the `number`th of these, from 0. */
static struct bytes token_in(struct bytes mail, const char *before, size_t number)
{
    for (size_t i = 0; i < mail.n; i++) {
        struct bytes rest = bytes_from(mail, i);
        size_t n = 0;

        if (!bytes_starts(rest, bytes_of(before)) || number--)
            continue;
        rest = bytes_from(rest, strlen(before));
        while (n < rest.n && (isalnum((unsigned char)rest.p[n]) || rest.p[n] == '-' || rest.p[n] == '_'))
            n++;
        return bytes_head(rest, n);
    }
    fail_msg("no %s in %.*s", before, SHOW(mail));
    return NO_BYTES;
}

#define OPEN  LINKS "/t/o/"
#define CLICK LINKS "/t/c/"

static void open_it(struct world *w, struct bytes mail, const char *agent, const char *ip)
{
    struct tracking_open_in in = { token_in(mail, OPEN, 0), { .agent = bytes_of(agent) } };

    act(w, NULL, "api");
    w->c.client_ip = bytes_of(ip);
    must(&w->c, tracking_open(&w->c, &in, NULL));
}

static struct bytes click_it(struct world *w, struct bytes mail, size_t number, const char *agent)
{
    struct tracking_click_in in = { token_in(mail, CLICK, number), { .agent = bytes_of(agent) } };
    struct tracking_click_out out;

    act(w, NULL, "api");
    w->c.client_ip = BYTES("192.0.2.77");
    must(&w->c, tracking_click(&w->c, &in, &out));
    return out.url;
}

static void round_of(struct world *w)
{
    struct err e = { 0 };

    if (!tracked_round(w->svc, &e))
        fail_msg("%s", e.message);
}

static struct event_row only_event(struct world *w, struct id message, const char *type)
{
    struct event_row *list, found = { 0 };
    size_t n = events_of(w, message, &list);

    assert_int_equal(events(w, message, type), 1);
    for (size_t i = 0; i < n; i++)
        if (bytes_equal(list[i].type, bytes_of(type)))
            found = list[i];
    return found;
}

/* ---- the mail ---- */

static void what_is_asked_for_is_changed(void **state)
{
    static const struct {
        bool opens;
        const char *clicks;
        size_t n_opens, n_clicks;
    } rows[] = { { false, "none", 0, 0 }, { false, "html", 0, 1 }, { false, "text", 0, 2 },
                 { false, "both", 0, 3 }, { true, "none", 1, 0 },  { true, "both", 1, 3 } };
    struct world *w = *state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct message_send_in in = tracked_send(w, TO("ana@example.test"), rows[i].opens, rows[i].clicks);
        struct intake_out out;
        struct bytes mail;

        in.html = BYTES("<body><a href=\"http://a.test/?x=1&amp;y=2\">a</a> <a href=\"mailto:x@a.test\">b</a></body>");
        in.text = BYTES("http://a.test/1 and http://a.test/2 mailto:x@a.test\n");
        mail = made(w, &in, &out);
        if (times(mail, OPEN) != rows[i].n_opens || times(mail, CLICK) != rows[i].n_clicks)
            fail_msg("%zu: %.*s", i, SHOW(mail));
        assert_int_equal(times(mail, "mailto:x@a.test"), 2);
        assert_int_equal(message_of_id(w, out.message_id).tracking,
                         (rows[i].opens ? TRACKING_OPENS : 0) | (rows[i].clicks[0] == 'h' ? TRACKING_HTML : 0) |
                             (rows[i].clicks[0] == 't' ? TRACKING_TEXT : 0) | (rows[i].clicks[0] == 'b' ? 6 : 0));
    }
}

/* A text that is made from HTML shows the reader where links lead, unless it is tracked itself. */
static void a_text_that_is_made_has_the_links_of_before(void **state)
{
    struct world *w = *state;
    struct message_send_in in = tracked_send(w, TO("ana@example.test"), true, "html");
    struct intake_out out;
    struct bytes mail;

    in.text = NO_BYTES;
    in.html = BYTES("<a href=\"http://a.test/x\">Here</a>");
    mail = made(w, &in, &out);
    assert_int_equal(times(mail, "Here <http://a.test/x>"), 1);
    assert_int_equal(times(mail, CLICK), 1);
    in.tracking.clicks = BYTES("both");
    mail = made(w, &in, &out);
    assert_int_equal(times(mail, "http://a.test/x"), 0);
    assert_int_equal(times(mail, "Here <" CLICK), 1);
}

static void what_is_ours_or_unsubscribes_stays(void **state)
{
    static const struct named_value headers[] = {
        { BYTES_ROW("List-Unsubscribe"), BYTES_ROW("<mailto:off@example.test>, <https://example.test/off?u=1>") }
    };
    struct world *w = *state;
    struct message_send_in in = tracked_send(w, TO("ana@example.test"), false, "html");
    struct intake_out out;
    struct bytes mail;

    in.headers = headers;
    in.n_headers = 1;
    in.html = BYTES("<a href=\"" LINKS "/u/x\"><a href=\"" LINKS "/t/c/x\"><a href=\"https://example.test/off?u=1\">"
                    "<a href=\"https://links.example.org/u/x\">");
    mail = made(w, &in, &out);
    assert_int_equal(times(mail, CLICK), 2); /* the one that stood there, and that of the other host */
    assert_int_equal(
        times(mail, "<a href=\"" LINKS "/u/x\"><a href=\"" LINKS "/t/c/x\"><a href=\"https://example.test/off?u=1\">"),
        1);
    set_param("tracking.host", "links.example.org");
    mail = made(w, &in, &out);
    assert_int_equal(times(mail, "https://links.example.org/t/c/"), 0);
    assert_true(times(mail, in.html.p) == 1);
}

static void a_mail_that_is_marked_stays_as_it_is(void **state)
{
    struct world *w = *state;
    struct message_send_in in = tracked_send(w, TO("ana@example.test"), true, "both");
    struct intake_out out;

    in.html = BYTES("<body data-no-track><a href=\"http://a.test\">a</a></body>");
    in.text = NO_BYTES;
    in.tracking.clicks = BYTES("html");
    assert_int_equal(times(made(w, &in, &out), LINKS), 0);
}

static void in_live_mode_there_is_a_public_url(void **state)
{
    struct world *w = *state;
    struct message_send_in in = tracked_send(w, TO("ana@example.test"), true, "none");
    struct intake_out out;

    set_param("server.hostname", "mail.example.org");
    set_param("delivery.mode", "live");
    set_param("server.public_url", "");
    in.html = BYTES("<p>x</p>");
    act(w, &w->key, "api");
    must_fail(&w->c, message_send(&w->c, &in, &out), ERR_NO_PUBLIC_URL);
    in.tracking.opens = false;
    must(&w->c, message_send(&w->c, &in, &out));
}

/* ---- opens and clicks ---- */

static void opens_and_clicks_become_events(void **state)
{
    struct world *w = *state;
    struct message_send_in in = tracked_send(w, TO("ana@example.test"), true, "html");
    struct event_row opened, clicked;
    struct intake_out out;
    struct bytes mail;

    in.html = BYTES("<a href=\"http://a.test/?x=1&amp;y=2\">a</a>");
    in.metadata = BYTES("{\"a\":\"b\"}");
    mail = made(w, &in, &out);
    open_it(w, mail, FIREFOX, "192.0.2.77");
    assert_bytes(click_it(w, mail, 0, FIREFOX), BYTES("http://a.test/?x=1&y=2"));
    assert_int_equal(events(w, out.message_id, "email.opened"), 0); /* nothing is written while one waits */
    round_of(w);
    opened = only_event(w, out.message_id, "email.opened");
    clicked = only_event(w, out.message_id, "email.clicked");
    assert_true(id_equal(opened.delivery_id, out.recipients[0].delivery_id));
    assert_bytes(opened.email, BYTES("ana@example.test"));
    assert_bytes(opened.metadata, in.metadata);
    assert_true(id_equal(opened.account_id, w->account));
    assert_bytes(opened.data, BYTES("{\"machine\":false,\"user_agent\":\"" FIREFOX "\",\"ip\":\"192.0.2.0/24\"}"));
    assert_bytes(clicked.data, BYTES("{\"url\":\"http://a.test/?x=1&y=2\",\"machine\":false,\"user_agent\":\"" FIREFOX
                                     "\",\"ip\":\"192.0.2.0/24\"}"));
    assert_int_equal(message_of_id(w, out.message_id).opens, 1);
    assert_int_equal(message_of_id(w, out.message_id).clicks, 1);
}

static void of_an_address_is_kept_what_is_set(void **state)
{
    static const struct {
        const char *how, *ip, *want;
    } rows[] = { { "none", "192.0.2.77", "\"ip\":null" },
                 { "full", "192.0.2.77", "\"ip\":\"192.0.2.77\"" },
                 { "network", "2001:db8:1:2:3::4", "\"ip\":\"2001:db8:1::/48\"" },
                 { "network", "", "\"ip\":null" } };
    struct world *w = *state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct message_send_in in = tracked_send(w, TO("ana@example.test"), true, "none");
        struct intake_out out;
        struct bytes mail;

        set_param("tracking.address", rows[i].how);
        in.html = BYTES("x");
        mail = made(w, &in, &out);
        open_it(w, mail, FIREFOX, rows[i].ip);
        round_of(w);
        if (times(only_event(w, out.message_id, "email.opened").data, rows[i].want) != 1)
            fail_msg("%.*s", SHOW(only_event(w, out.message_id, "email.opened").data));
    }
}

static void of_several_nobody_knows_who(void **state)
{
    struct world *w = *state;
    struct message_send_in in = tracked_send(w, TO("ana@example.test", "bo@example.test"), true, "none");
    struct intake_out out;
    struct event_row event;
    struct bytes mail;

    in.html = BYTES("x");
    mail = made(w, &in, &out);
    open_it(w, mail, FIREFOX, "192.0.2.77");
    round_of(w);
    event = only_event(w, out.message_id, "email.opened");
    assert_true(id_is_none(event.delivery_id) && !event.email.p && id_is_none(event.user_id));
}

static void machines_are_marked(void **state)
{
    struct world *w = *state;
    struct message_send_in in = tracked_send(w, TO("ana@example.test"), true, "html");
    struct tracking_open_in ahead, looks;
    struct intake_out out;
    struct bytes mail;

    in.html = BYTES("<a href=http://a.test>a</a>");
    mail = made(w, &in, &out);
    looks = ahead = (struct tracking_open_in){ token_in(mail, OPEN, 0), { .agent = BYTES(FIREFOX) } };
    looks.reader.only_looks = true;
    must(&w->c, tracking_open(&w->c, &looks, NULL));
    round_of(w);
    assert_int_equal(events(w, out.message_id, "email.opened"), 0);
    ahead.reader.ahead = true;
    must(&w->c, tracking_open(&w->c, &ahead, NULL));
    click_it(w, mail, 0, "curl/8.0");
    round_of(w);
    assert_int_equal(times(only_event(w, out.message_id, "email.opened").data, "\"machine\":true"), 1);
    assert_int_equal(times(only_event(w, out.message_id, "email.clicked").data, "\"machine\":true"), 1);
}

static void a_flood_is_a_few_events(void **state)
{
    struct world *w = *state;
    struct message_send_in in = tracked_send(w, TO("ana@example.test"), true, "none");
    struct intake_out out;
    struct bytes mail;

    set_param("tracking.events_max", "3");
    in.html = BYTES("x");
    mail = made(w, &in, &out);
    for (int i = 0; i < 1000; i++)
        open_it(w, mail, i % 2 ? FIREFOX : "curl/8.0", "192.0.2.77");
    round_of(w);
    assert_int_equal(events(w, out.message_id, "email.opened"), 2); /* one of each */
    for (int i = 0; i < 5; i++) {
        open_it(w, mail, FIREFOX, "192.0.2.77");
        round_of(w);
    }
    assert_int_equal(events(w, out.message_id, "email.opened"), 3);
}

static void memory_is_bounded(void **state)
{
    struct world *w = *state;
    struct message_send_in in = tracked_send(w, TO("ana@example.test"), true, "html");
    struct intake_out out;
    struct bytes mail;

    set_param("tracking.pending_memory", "64K");
    in.html = BYTES("<a href=http://a.test/1>a</a><a href=http://a.test/2>a</a>");
    mail = made(w, &in, &out);
    for (int i = 0; i < 2000; i++)
        click_it(w, mail, 0, FIREFOX);
    click_it(w, mail, 1, FIREFOX); /* there is no more room; the reader goes on all the same */
    round_of(w);
    assert_int_equal(events(w, out.message_id, "email.clicked"), 1);
    click_it(w, mail, 1, FIREFOX);
    round_of(w);
    assert_int_equal(events(w, out.message_id, "email.clicked"), 2);
}

static void many_mails_at_once(void **state)
{
    enum { MAILS = 60 };
    struct world *w = *state;
    struct id ids[MAILS];

    for (size_t i = 0; i < MAILS; i++) {
        struct message_send_in in = tracked_send(w, TO("ana@example.test"), true, "none");
        struct intake_out out;

        in.html = BYTES("x");
        open_it(w, made(w, &in, &out), FIREFOX, "192.0.2.77");
        ids[i] = out.message_id;
    }
    round_of(w);
    for (size_t i = 0; i < MAILS; i++)
        only_event(w, ids[i], "email.opened");
}

/* The link of a mail whose row is gone still leads where it led. */
static void a_click_outlives_its_mail(void **state)
{
    struct world *w = *state;
    struct message_send_in in = tracked_send(w, TO("ana@example.test"), false, "html");
    struct batch *b = batch_new(w->arena);
    struct intake_out out;
    struct bytes mail;

    in.html = BYTES("<a href=http://a.test/1>a</a>");
    mail = made(w, &in, &out);
    batch_delete(b, &message_kind, out.message_id, NULL, 0);
    commit(w, b);
    assert_bytes(click_it(w, mail, 0, FIREFOX), BYTES("http://a.test/1"));
    round_of(w);
    assert_int_equal(events(w, out.message_id, "email.clicked"), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(what_is_asked_for_is_changed),
        TEST(a_text_that_is_made_has_the_links_of_before),
        TEST(what_is_ours_or_unsubscribes_stays),
        TEST(a_mail_that_is_marked_stays_as_it_is),
        TEST(in_live_mode_there_is_a_public_url),
        TEST(opens_and_clicks_become_events),
        TEST(of_an_address_is_kept_what_is_set),
        TEST(of_several_nobody_knows_who),
        TEST(machines_are_marked),
        TEST(a_flood_is_a_few_events),
        TEST(memory_is_bounded),
        TEST(many_mails_at_once),
        TEST(a_click_outlives_its_mail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
