/* net/dns_wire.h: what servers say, message by message, and what they must not get away with. */
#include "base/params.h"
#include "net/dns_answer.h"
#include "net/dns_wire.h"
#include "tests/base/check.h"

enum { ID = 0x1234 };

/* Messages as bytes: \3org\0 stands at 24 of a question for d.example.org ("\1d" 12, "\7example" 14, "\3org" 22). */
#define FLAGS_AA   "\x84\x00"
#define FLAGS_NONE "\x80\x00"
#define ASKED      "\1d\7example\3org\0"
#define ME         "\xc0\x0c"
#define ORG        "\xc0\x16"
#define IN_TTL     "\0\1\0\0\1\x2c"

static const struct row {
    const char *what;
    struct bytes message; /* behind the id */
    enum dns_wire_kind kind;
    enum dns_result result;
    const char *first; /* of records, servers; or the name to go on with */
    size_t n;
    enum dns_type type;
} rows[] = {
    { "a TXT of two strings",
      BYTES_ROW(FLAGS_AA "\0\1\0\1\0\0\0\0" ASKED "\0\x10\0\1" ME "\0\x10" IN_TTL "\0\7"
                         "\2ab\3cde"),
      DNS_WIRE_ANSWER, DNS_FOUND, "abcde", 1, DNS_TXT },
    { "a TXT that is longer than itself",
      BYTES_ROW(FLAGS_AA "\0\1\0\1\0\0\0\0" ASKED "\0\x10\0\1" ME "\0\x10" IN_TTL "\0\3"
                         "\7ab"),
      DNS_WIRE_ANSWER, DNS_NO_DATA, NULL, 0, DNS_TXT },
    { "no such name", BYTES_ROW("\x84\x03\0\1\0\0\0\0\0\0" ASKED "\0\x10\0\1"), DNS_WIRE_ANSWER, DNS_NO_NAME, NULL, 0,
      DNS_TXT },
    { "no such record", BYTES_ROW(FLAGS_AA "\0\1\0\0\0\0\0\0" ASKED "\0\x10\0\1"), DNS_WIRE_ANSWER, DNS_NO_DATA, NULL,
      0, DNS_TXT },
    { "an MX in compressed form",
      BYTES_ROW(FLAGS_AA "\0\1\0\1\0\0\0\0" ASKED "\0\x0f\0\1" ME "\0\x0f" IN_TTL "\0\7"
                         "\0\x0a\2mx" ME),
      DNS_WIRE_ANSWER, DNS_FOUND, "mx.d.example.org", 1, DNS_MX },
    { "of another name",
      BYTES_ROW(FLAGS_AA "\0\1\0\1\0\0\0\0" ASKED "\0\x10\0\1"
                         "\1x" ME "\0\x10" IN_TTL "\0\3\2ab"),
      DNS_WIRE_ANSWER, DNS_NO_DATA, NULL, 0, DNS_TXT },
    { "a CNAME and its end",
      BYTES_ROW(FLAGS_AA "\0\1\0\2\0\0\0\0" ASKED "\0\x10\0\1" ME "\0\5" IN_TTL "\0\4\1e" ORG "\1e" ORG "\0\x10" IN_TTL
                         "\0\3\2ab"),
      DNS_WIRE_ANSWER, DNS_FOUND, "ab", 1, DNS_TXT },
    { "a CNAME that leads away",
      BYTES_ROW(FLAGS_AA "\0\1\0\1\0\0\0\0" ASKED "\0\x10\0\1" ME "\0\5" IN_TTL "\0\4\1e" ORG), DNS_WIRE_ELSEWHERE,
      DNS_FOUND, "e.org", 0, DNS_TXT },
    { "a CNAME that was asked for",
      BYTES_ROW(FLAGS_AA "\0\1\0\1\0\0\0\0" ASKED "\0\5\0\1" ME "\0\5" IN_TTL "\0\4\1e" ORG), DNS_WIRE_ANSWER,
      DNS_FOUND, "e.org", 1, DNS_CNAME },
    { "others serve it",
      BYTES_ROW(FLAGS_NONE "\0\1\0\0\0\2\0\1" ASKED "\0\x10\0\1"
                           "\xc0\x0e\0\2" IN_TTL "\0\5\2ns" ME "\xc0\x0e\0\2" IN_TTL "\0\5\2n2" ORG "\2ns" ME
                           "\0\1" IN_TTL "\0\4\xc0\0\2\1"),
      DNS_WIRE_REFERRAL, DNS_FOUND, "ns.d.example.org", 2, DNS_TXT },
    { "others serve something else",
      BYTES_ROW(FLAGS_NONE "\0\1\0\0\0\1\0\0" ASKED "\0\x10\0\1"
                           "\1x\xc0\x0e\0\2" IN_TTL "\0\5\2ns" ME),
      DNS_WIRE_REFUSED, DNS_FOUND, NULL, 0, DNS_TXT },
    { "from a cache", BYTES_ROW("\x80\x80\0\1\0\1\0\0\0\0" ASKED "\0\x10\0\1" ME "\0\x10" IN_TTL "\0\3\2ab"),
      DNS_WIRE_REFUSED, DNS_FOUND, NULL, 0, DNS_TXT },
    { "refused", BYTES_ROW("\x80\x05\0\1\0\0\0\0\0\0" ASKED "\0\x10\0\1"), DNS_WIRE_REFUSED, DNS_FOUND, NULL, 0,
      DNS_TXT },
    { "cut short", BYTES_ROW("\x86\x00\0\1\0\0\0\0\0\0" ASKED "\0\x10\0\1"), DNS_WIRE_BAD, DNS_FOUND, NULL, 0,
      DNS_TXT },
    { "a question", BYTES_ROW("\4\0\0\1\0\0\0\0\0\0" ASKED "\0\x10\0\1"), DNS_WIRE_BAD, DNS_FOUND, NULL, 0, DNS_TXT },
    { "of another type", BYTES_ROW(FLAGS_AA "\0\1\0\0\0\0\0\0" ASKED "\0\x0f\0\1"), DNS_WIRE_BAD, DNS_FOUND, NULL, 0,
      DNS_TXT },
    { "a name that is itself",
      BYTES_ROW(FLAGS_AA "\0\1\0\1\0\0\0\0" ASKED "\0\x10\0\1"
                         "\xc0\x1f\0\x10" IN_TTL "\0\3\2ab"),
      DNS_WIRE_ANSWER, DNS_NO_DATA, NULL, 0, DNS_TXT },
    { "a name that points forwards", BYTES_ROW(FLAGS_AA "\0\1\0\1\0\0\0\0\xc0\x0e\0\x10\0\1"), DNS_WIRE_BAD, DNS_FOUND,
      NULL, 0, DNS_TXT },
    { "nothing", BYTES_ROW(""), DNS_WIRE_BAD, DNS_FOUND, NULL, 0, DNS_TXT },
};

static void what_servers_say(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *r = &rows[i];
        struct arena *a = arena_new(1 << 20);
        char *copy = arena_alloc(a, r->message.n + 2);
        struct bytes first, message = { copy, r->message.n + 2 };
        struct dns_wire w;
        size_t n;

        memcpy(copy, "\x12\x34", 2);
        memcpy(copy + 2, r->message.p, r->message.n);
        dns_wire_read(a, message, ID, BYTES("D.example.org"), r->type, &w);
        n = w.kind == DNS_WIRE_REFERRAL ? w.n_servers : w.answer.n;
        first = w.kind == DNS_WIRE_REFERRAL    ? w.servers[0].name
                : w.kind == DNS_WIRE_ELSEWHERE ? w.next
                : n                            ? w.answer.records[0].data
                                               : NO_BYTES;
        if (w.kind != r->kind || (w.kind == DNS_WIRE_ANSWER && w.answer.result != r->result) || n != r->n)
            fail_msg("%s: kind %d, result %d, %zu", r->what, w.kind, w.answer.result, n);
        if (r->first && !bytes_equal(first, bytes_of(r->first)))
            fail_msg("%s: %.*s", r->what, SHOW(first));
        if (w.kind == DNS_WIRE_REFERRAL)
            assert_true(w.servers[0].address.n == 4 && !w.servers[1].address.p &&
                        bytes_equal(w.zone, BYTES("example.org")));
        /* Cut anywhere it is read without harm. */
        for (size_t k = 0; k < message.n; k++)
            dns_wire_read(a, bytes_head(message, k), ID, BYTES("d.example.org"), r->type, &w);
        dns_wire_read(a, message, ID + 1, BYTES("d.example.org"), r->type, &w);
        assert_int_equal(w.kind, DNS_WIRE_BAD);
        arena_free(&a);
    }
}

static void names_that_can_be_asked_for(void **state)
{
    static const struct {
        const char *name;
        bool ok;
    } names[] = { { "_dmarc.d.example.org", true },
                  { "", false },
                  { "a..b", false },
                  { ".a", false },
                  { "a123456789012345678901234567890123456789012345678901234567890123.b", false } };
    struct buf out;

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        buf_init(&out, DNS_WIRE_QUESTION_MAX);
        assert_int_equal(dns_wire_ask(&out, ID, bytes_of(names[i].name), DNS_TXT), names[i].ok);
        buf_clear(&out);
    }
}

static int up(void **state)
{
    (void)state;
    params_init();
    return 0;
}

static int down(void **state)
{
    (void)state;
    params_free();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(what_servers_say),
                                        cmocka_unit_test(names_that_can_be_asked_for) };

    return cmocka_run_group_tests_name("net/dns_wire", tests, up, down);
}
