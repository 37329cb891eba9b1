/* A send by JSON or as raw mail: what is refused, with the pointer of the field; what is built; what lists find. */
#include "tests/service/mail_world.h"

static bool has_fault(const struct call *c, const char *pointer, const char *code)
{
    for (size_t i = 0; i < c->n_faults; i++)
        if (bytes_equal(c->faults[i].pointer, bytes_of(pointer)) && bytes_equal(c->faults[i].code, bytes_of(code)))
            return true;
    return false;
}

static void every_fault_is_named_at_once(void **state)
{
    static const struct {
        const char *pointer, *code;
    } want[] = {
        { "/to/1", "invalid_address" },
        { "/subject", "invalid_characters" },
        { "/text", "required" },
        { "/headers/0/name", "header_not_allowed" },
        { "/headers/1/value", "invalid_characters" },
        { "/headers/2/name", "invalid_characters" },
        { "/headers/3/name", "header_not_allowed" },
        { "/tags/0/name", "invalid_characters" },
        { "/tags/1/value", "invalid_characters" },
        { "/metadata", "invalid_type" },
        { "/in_reply_to", "not_found" },
        { "/expires_after", "out_of_range" },
        { "/save_to_sent", "no_such_user" },
    };
    const struct named_value headers[] = { { BYTES("bCC"), BYTES("x@y.test") },
                                           { BYTES("X-A"), BYTES("a\r\nBcc: b@c.test") },
                                           { BYTES("X A"), BYTES("b") },
                                           { BYTES("Content-Type"), BYTES("text/html") } };
    const struct named_value tags[] = { { BYTES("a=b"), BYTES("c") }, { BYTES("a"), BYTES("\xc3\xa4") } };
    struct world *w = *state;
    struct message_send_in in = a_send(w, TO("ana@example.test", "bo@example.test"));
    struct send_address *list = arena_array(w->arena, 2, sizeof *list);
    struct intake_out out;

    memcpy(list, in.to, 2 * sizeof *list);
    list[1].address.domain = BYTES("exa mple..test");
    in.to = list;
    in.subject = BYTES("a\r\nBcc: b@c.test");
    in.text = NO_BYTES;
    in.headers = headers;
    in.n_headers = 4;
    in.tags = tags;
    in.n_tags = 2;
    in.metadata = BYTES("[1]");
    in.in_reply_to = BYTES("nonsense");
    in.expires_after = 5;
    in.save_to_sent = true;
    must_fail(&w->c, message_send(&w->c, &in, &out), ERR_INVALID);
    for (size_t i = 0; i < sizeof want / sizeof *want; i++)
        if (!has_fault(&w->c, want[i].pointer, want[i].code))
            fail_msg("no fault %s at %s", want[i].code, want[i].pointer);
}

static void limits_are_held(void **state)
{
    struct world *w = *state;
    struct message_send_in in = a_send(w, 0, NULL);
    struct send_address *list = arena_array(w->arena, 51, sizeof *list);
    struct named_value *headers = arena_array(w->arena, 101, sizeof *headers);
    struct intake_out out;

    must_fail(&w->c, message_send(&w->c, &in, &out), ERR_INVALID);
    assert_true(has_fault(&w->c, "/to", "required"));
    for (int i = 0; i < 51; i++)
        list[i] = at(w, "x@far.test", "/to/0");
    for (int i = 0; i < 101; i++)
        headers[i] = (struct named_value){ BYTES("X-Y"), BYTES("z") };
    in.to = list;
    in.n_to = 51;
    in.headers = headers;
    in.n_headers = 101;
    act(w, &w->key, "api");
    must_fail(&w->c, message_send(&w->c, &in, &out), ERR_INVALID);
    assert_true(has_fault(&w->c, "/to", "too_many"));
    assert_true(has_fault(&w->c, "/headers", "too_many"));
}

static void a_sender_must_be_allowed(void **state)
{
    struct world *w = *state;
    struct message_send_in in = a_send(w, TO("ana@example.test"));
    struct intake_out out;

    in.from = at(w, "eve@other.test", "/from");
    must_fail(&w->c, message_send(&w->c, &in, &out), ERR_SENDER);
    in.from = at(w, "app@example.test", "/from");
    in.envelope_from = at(w, "eve@other.test", "/envelope_from");
    must_fail(&w->c, message_send(&w->c, &in, &out), ERR_SENDER);
}

static struct bytes raw_of(struct world *w, struct id message)
{
    struct message_raw_in in = { .id = id_of(w, &message_kind, message) };
    struct content_out content;

    must(&w->c, message_raw(&w->c, &in, &content));
    return whole_of(w, &content);
}

static void a_reply_names_what_it_answers(void **state)
{
    struct world *w = *state;
    struct intake_out first = sent(w, TO("ana@example.test")), out;
    struct message_send_in in = a_send(w, TO("ana@example.test"));
    char *text;

    in.in_reply_to = id_of(w, &message_kind, first.message_id);
    must(&w->c, message_send(&w->c, &in, &out));
    text = arena_text(w->arena, raw_of(w, out.message_id));
    assert_non_null(strstr(text, arena_printf(w->arena, "In-Reply-To: %.*s", SHOW(first.header_message_id))));
    assert_non_null(strstr(text, "References: <msg_"));
}

struct one_chunk {
    struct bytes text;
    size_t step;
};

static bool read_chunk(void *ctx, struct bytes *chunk, struct err *e)
{
    struct one_chunk *s = ctx;

    (void)e;
    *chunk = bytes_head(s->text, s->step);
    s->text = bytes_from(s->text, chunk->n);
    return true;
}

static void raw_mail_gets_its_envelope_from_the_header(void **state)
{
    struct world *w = *state;
    static const size_t steps[] = { 1, 7, 100000 };

    for (size_t i = 0; i < 3; i++) {
        struct one_chunk chunk = { BYTES("From: App <app@example.test>\nTo: ana@example.test\nCc: x@far.test\n"
                                         "Bcc: bo@example.test\nSubject: raw\n\nOne\nTwo\r\nThree\rFour\n"),
                                   steps[i] };
        struct message_send_in in = { .is_raw = true, .raw = { read_chunk, &chunk } };
        struct intake_out out;
        char *text;
        must(&w->c, message_send(&w->c, &in, &out));
        assert_int_equal(out.n_recipients, 3);
        text = arena_text(w->arena, raw_of(w, out.message_id));
        assert_null(strstr(text, "Bcc"));
        assert_non_null(strstr(text, "Date: "));
        assert_non_null(strstr(text, "\r\n\r\nOne\r\nTwo\r\nThree\r\nFour\r\n"));
        assert_non_null(strstr(arena_text(w->arena, message_of_id(w, out.message_id).people), "bo@example.test"));
    }
}

static void a_large_mail_keeps_its_bytes(void **state)
{
    struct world *w = *state;
    struct message_send_in in = a_send(w, TO("ana@example.test"));
    struct attachment file = { .filename = BYTES("noise.bin"), .content_type = BYTES("application/octet-stream") };
    size_t size = 3 << 20, n;
    char *noise = arena_alloc(w->arena, size);
    struct entry_attachment_in part = { 0 };
    struct entry_get_in get;
    struct entry_view view;
    struct content_out content;
    struct intake_out out;
    struct bytes got;

    crypt_random(noise, size / 2); /* half of it compresses, half does not */
    file.content = (struct bytes){ noise, size };
    in.attachments = &file;
    in.n_attachments = 1;
    must(&w->c, message_send(&w->c, &in, &out));
    part.id = get.id = id_of(w, &entry_kind, entries_in(w, w->ana.inbox_id, &n)->id);
    act(w, &w->ana_login, "api");
    must(&w->c, entry_get(&w->c, &get, &view));
    assert_int_equal(view.n_attachments, 1);
    assert_int_equal(view.attachments[0].size, size);
    assert_bytes(view.attachments[0].filename, file.filename);
    assert_bytes(bytes_trim(view.text), BYTES("The quick brown walrus."));
    must(&w->c, entry_attachment(&w->c, &part, &content));
    got = whole_of(w, &content);
    assert_int_equal(got.n, size);
    assert_memory_equal(got.p, noise, size);
    part.index = 1;
    must_fail(&w->c, entry_attachment(&w->c, &part, &content), ERR_MISSING);
}

static size_t listed(struct world *w, struct message_list_in in)
{
    struct message_list_out out;

    must(&w->c, message_list(&w->c, &in, &out));
    return out.n;
}

static void lists_find_by_what_they_are_asked(void **state)
{
    struct world *w = *state;
    const struct named_value tag = { BYTES("kind"), BYTES("welcome") };
    struct message_send_in in = a_send(w, TO("ana@example.test"));
    struct intake_out out;

    in.tags = &tag;
    in.n_tags = 1;
    must(&w->c, message_send(&w->c, &in, &out));
    sent(w, TO("bo@example.test", "x@far.test"));
    sent(w, TO("x@far.test"));
    assert_int_equal(listed(w, (struct message_list_in){ 0 }), 3);
    assert_int_equal(listed(w, (struct message_list_in){ .email = BYTES("x@far.test") }), 2);
    assert_int_equal(listed(w, (struct message_list_in){ .tag = BYTES("kind=welcome") }), 1);
    assert_int_equal(listed(w, (struct message_list_in){ .email = BYTES("Bo@Example.TEST") }), 1);
    assert_int_equal(listed(w, (struct message_list_in){ .tag = BYTES("kind") }), 1);
    assert_int_equal(listed(w, (struct message_list_in){ .tag = BYTES("kind"), .email = BYTES("x@far.test") }), 0);
    assert_int_equal(listed(w, (struct message_list_in){ .status = BYTES("captured") }), 1);
    assert_int_equal(listed(w, (struct message_list_in){ .status = BYTES("delivered") }), 2);
    assert_int_equal(listed(w, (struct message_list_in){ .source = BYTES("submission") }), 0);
    assert_int_equal(listed(w, (struct message_list_in){ .until = out.created_at }), 0);
    act(w, &w->other_key, "api");
    assert_int_equal(listed(w, (struct message_list_in){ 0 }), 0);
}

static void pages_go_forth_and_back(void **state)
{
    struct world *w = *state;
    struct message_list_in in = { .page = { .limit = 2 } };
    struct message_list_out first, second, back;

    for (int i = 0; i < 5; i++)
        sent(w, TO("x@far.test"));
    must(&w->c, message_list(&w->c, &in, &first));
    assert_int_equal(first.n, 2);
    assert_true(first.page.has_more);
    in.page.after = first.page.next;
    must(&w->c, message_list(&w->c, &in, &second));
    assert_int_equal(second.n, 2);
    assert_false(id_equal(first.rows[1].row.id, second.rows[0].row.id));
    in.page = (struct page){ .limit = 2, .before = second.page.previous };
    must(&w->c, message_list(&w->c, &in, &back));
    assert_int_equal(back.n, 2);
    assert_true(id_equal(back.rows[0].row.id, first.rows[0].row.id));
    in.page = (struct page){ .limit = 2, .after = second.page.next };
    must(&w->c, message_list(&w->c, &in, &back));
    assert_int_equal(back.n, 1);
    assert_false(back.page.has_more);
    assert_null(back.page.next.p);
}

/* What is kept shows nothing of what was written; addresses are clear. */
static void the_store_shows_no_content(void **state)
{
    static const char *const secrets[] = { "Sturgeon", "walrus", "heron.pdf", "pelican" };
    struct world *w = *state;
    struct message_send_in in = a_send(w, TO("ana@example.test"));
    struct attachment file = { .filename = BYTES("heron.pdf"), .content = BYTES("pelican pelican pelican") };
    struct intake_out out;

    in.attachments = &file;
    in.n_attachments = 1;
    must(&w->c, message_send(&w->c, &in, &out));
    assert_true(place_holds(w->url, BYTES("ana@example.test")));
    for (size_t j = 0; j < 4; j++)
        assert_false(place_holds(w->url, bytes_of(secrets[j])));
}

static void content_goes_when_it_is_told_to(void **state)
{
    struct world *w = *state;
    struct intake_out out = sent(w, TO("x@far.test"));
    struct message_get_in get = { .id = id_of(w, &message_kind, out.message_id) };
    struct message_delete_in del = { .id = get.id };
    struct message_raw_in raw = { .id = get.id };
    struct message_view view;
    struct content_out content;

    must(&w->c, message_get(&w->c, &get, &view));
    assert_bytes(view.subject, BYTES("Sturgeon season"));
    must(&w->c, message_delete(&w->c, &del, NULL));
    must(&w->c, message_get(&w->c, &get, &view));
    assert_false(view.content_kept);
    assert_null(view.subject.p);
    must_fail(&w->c, message_raw(&w->c, &raw, &content), ERR_GONE);
    out = sent(w, TO("deferred@sandbox.test"));
    del.id = id_of(w, &message_kind, out.message_id);
    must_fail(&w->c, message_delete(&w->c, &del, NULL), ERR_IN_USE);
}

/* What goes first to a site: as it was asked, else by the time it has. */
static void a_priority_is_the_class_of_its_flow(void **state)
{
    static const struct {
        const char *priority;
        int64_t expires_after;
        const char *flow;
    } rows[] = { { "high", 0, "away.test/h/" },
                 { "normal", 60, "away.test/n/" },
                 { "bulk", 0, "away.test/l/" },
                 { NULL, 3600, "away.test/h/" },
                 { NULL, 7200, "away.test/n/" } };
    struct world *w = *state;

    set_param("server.hostname", "mx.example.test");
    set_param("delivery.mode", "live");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct message_send_in in = a_send(w, TO("far@away.test"));
        struct intake_out out = { 0 };
        void *found;

        in.priority = bytes_of(rows[i].priority);
        in.expires_after = rows[i].expires_after;
        must(&w->c, message_send(&w->c, &in, &out));
        assert_int_equal(rows_of(w, &delivery_kind, "message", "message_id", V_ID(out.message_id), &found), 1);
        assert_true(bytes_starts(((struct delivery_row *)found)->flow, bytes_of(rows[i].flow)));
    }
    set_param("delivery.mode", "sandbox");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(every_fault_is_named_at_once),
        T(limits_are_held),
        T(a_sender_must_be_allowed),
        T(a_reply_names_what_it_answers),
        T(raw_mail_gets_its_envelope_from_the_header),
        T(a_large_mail_keeps_its_bytes),
        T(lists_find_by_what_they_are_asked),
        T(pages_go_forth_and_back),
        T(the_store_shows_no_content),
        T(content_goes_when_it_is_told_to),
        T(a_priority_is_the_class_of_its_flow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
