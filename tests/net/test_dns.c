/* DNS over libunbound, against a small server of our own on loopback: every type, every outcome, deadlines, stop. */
#include "net/dns.h"
#include "net_test.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

/* BYTES for static tables. */
#define B(literal)                                                                                                     \
    {                                                                                                                  \
        "" literal "", sizeof(literal) - 1                                                                             \
    }

/* Answers by name and type; SILENT is no answer at all. */
enum { SILENT = -1, NXDOMAIN = 3, SERVFAIL = 2 };

static const struct reply {
    const char *name;
    int type, rcode;
    struct bytes data[3];
} replies[] = {
    { "mail.example.org", DNS_A, 0, { BYTES_ROW("\xc0\x00\x02\x07"), BYTES_ROW("\xc0\x00\x02\x08") } },
    { "mail.example.org", DNS_AAAA, 0, { BYTES_ROW("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1") } },
    { "example.org",
      DNS_MX,
      0,
      { BYTES_ROW("\0\x0a\4mail\7example\3org\0"), BYTES_ROW("\0\x14\6b\x01.\\up\7example\3org\0") } },
    { "null.example.org", DNS_MX, 0, { BYTES_ROW("\0\0\0") } },
    { "example.org", DNS_TXT, 0, { BYTES_ROW("\6v=spf1\5 -all"), BYTES_ROW("\0") } },
    { "7.2.0.192.in-addr.arpa", DNS_PTR, 0, { BYTES_ROW("\4mail\7example\3org\0") } },
    { "1.0.0.10.in-addr.arpa", DNS_PTR, 0, { BYTES_ROW("\3lan\7example\3org\0") } },
    { "host.test", DNS_A, 0, { BYTES_ROW("\x7f\0\0\1") } },
    { "_25._tcp.mail.example.org", DNS_TLSA, 0, { BYTES_ROW("\3\1\1\xaa\xbb\xcc\xdd") } },
    { "gone.example.org", DNS_A, NXDOMAIN, { { 0 } } },
    { "broken.example.org", DNS_A, SERVFAIL, { { 0 } } },
    { "silent.example.org", DNS_A, SILENT, { { 0 } } },
    { "alias.example.org", DNS_CNAME, 0, { BYTES_ROW("\6alias2\7example\3org\0") } },
    { "alias2.example.org", DNS_CNAME, 0, { BYTES_ROW("\4mail\7example\3org\0") } },
    { "gone-alias.example.org", DNS_CNAME, 0, { BYTES_ROW("\4gone\7example\3org\0") } },
    { "ring.example.org", DNS_CNAME, 0, { BYTES_ROW("\5ring2\7example\3org\0") } },
    { "ring2.example.org", DNS_CNAME, 0, { BYTES_ROW("\4ring\7example\3org\0") } },
};

static int server_fd;
static pthread_t server_thread;
static char servers[64];

static size_t read_question(const uint8_t *q, size_t n, char name[256], int *type)
{
    size_t at = 12, k = 0;

    while (at < n && q[at]) {
        size_t one = q[at++];

        if (k)
            name[k++] = '.';
        for (size_t i = 0; i < one && at < n && k < 254; i++, at++)
            name[k++] = (char)(q[at] >= 'A' && q[at] <= 'Z' ? q[at] + 32 : q[at]);
    }
    name[k] = '\0';
    if (at + 5 > n)
        return 0;
    *type = q[at + 1] << 8 | q[at + 2];
    return at + 5;
}

static void reply_to(const uint8_t *q, size_t n, struct sockaddr_in *from)
{
    const struct reply *r = NULL;
    char name[256];
    int type = 0;
    size_t end = read_question(q, n, name, &type);
    uint8_t out[1500];
    size_t k = end;

    for (size_t i = 0; i < sizeof replies / sizeof *replies; i++)
        if (strcmp(replies[i].name, name) == 0 && (replies[i].type == type || replies[i].type == DNS_CNAME))
            r = &replies[i];
    if (!end || (r && r->rcode == SILENT))
        return;
    memcpy(out, q, end);
    out[2] = 0x85;
    out[3] = (uint8_t)(0x80 | (r ? r->rcode : 0));
    memset(out + 4, 0, 8);
    out[5] = 1;
    for (int i = 0; r && i < 3 && r->data[i].n; i++) {
        static const uint8_t fixed[] = { 0xc0, 12, 0, 0, 0, 1, 0, 0, 1, 0 }; /* name, type, IN, 256 s */

        memcpy(out + k, fixed, sizeof fixed);
        out[k + 3] = (uint8_t)r->type;
        out[k + 10] = 0;
        out[k + 11] = (uint8_t)r->data[i].n;
        memcpy(out + k + 12, r->data[i].p, r->data[i].n);
        k += 12 + r->data[i].n;
        out[7]++;
    }
    sendto(server_fd, out, k, 0, (struct sockaddr *)from, sizeof *from);
}

static void *answer_questions(void *arg)
{
    for (;;) {
        uint8_t q[1500];
        struct sockaddr_in from;
        socklen_t size = sizeof from;
        ssize_t n = recvfrom(server_fd, q, sizeof q, 0, (struct sockaddr *)&from, &size);

        if (n == 1)
            return arg; /* ourselves: the end */
        if (n > 12)
            reply_to(q, (size_t)n, &from);
    }
}

static void set(enum param p, const char *value)
{
    struct err e = { 0 };

    if (!param_set(p, PARAM_FROM_FLAG, bytes_of(value), &e))
        fail_msg("%s", e.message);
}

static void resolver_up(void)
{
    struct err e = { 0 };

    set(PARAM_dns_servers, servers);
    set(PARAM_dns_trust_anchor, "");
    if (!dns_start(&e))
        fail_msg("%s", e.message);
}

static int up(void **state)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof a;

    server_fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (bind(server_fd, (struct sockaddr *)&a, n) != 0 || getsockname(server_fd, (struct sockaddr *)&a, &n) != 0 ||
        pthread_create(&server_thread, NULL, answer_questions, NULL) != 0)
        return 1;
    snprintf(servers, sizeof servers, "127.0.0.1@%u", ntohs(a.sin_port));
    net_up(state);
    resolver_up();
    return 0;
}

static int down(void **state)
{
    struct sockaddr_in a;
    socklen_t n = sizeof a;

    net_down(state);
    dns_stop();
    getsockname(server_fd, (struct sockaddr *)&a, &n);
    sendto(server_fd, "x", 1, 0, (struct sockaddr *)&a, n);
    pthread_join(server_thread, NULL);
    close(server_fd);
    return 0;
}

static const struct row {
    const char *name;
    int type;
    enum dns_result result;
    size_t n;
    struct bytes data[2];
    int preference;
} rows[] = {
    { "mail.example.org", DNS_A, DNS_FOUND, 2, { BYTES_ROW("\xc0\x00\x02\x07"), BYTES_ROW("\xc0\x00\x02\x08") }, 0 },
    { "mail.example.org.", DNS_AAAA, DNS_FOUND, 1, { BYTES_ROW("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1") }, 0 },
    { "example.org",
      DNS_MX,
      DNS_FOUND,
      2,
      { BYTES_ROW("mail.example.org"), BYTES_ROW("b\\001\\046\\092up.example.org") },
      10 },
    { "null.example.org", DNS_MX, DNS_FOUND, 1, { BYTES_ROW("") }, 0 },
    { "example.org", DNS_TXT, DNS_FOUND, 2, { BYTES_ROW("v=spf1 -all"), BYTES_ROW("") }, 0 },
    { "7.2.0.192.in-addr.arpa", DNS_PTR, DNS_FOUND, 1, { BYTES_ROW("mail.example.org") }, 0 },
    { "1.0.0.10.in-addr.arpa", DNS_PTR, DNS_FOUND, 1, { BYTES_ROW("lan.example.org") }, 0 }, /* else a local zone */
    { "host.test", DNS_A, DNS_FOUND, 1, { BYTES_ROW("\x7f\0\0\1") }, 0 },                    /* likewise */
    { "_25._tcp.mail.example.org", DNS_TLSA, DNS_FOUND, 1, { BYTES_ROW("\3\1\1\xaa\xbb\xcc\xdd") }, 0 },
    { "example.org", DNS_AAAA, DNS_NO_DATA, 0, { { 0 } }, 0 },
    { "gone.example.org", DNS_A, DNS_NO_NAME, 0, { { 0 } }, 0 },
    { "broken.example.org", DNS_A, DNS_FAILED, 0, { { 0 } }, 0 },
    { "", DNS_A, DNS_FAILED, 0, { { 0 } }, 0 },
    { "bad..name", DNS_A, DNS_FAILED, 0, { { 0 } }, 0 },
};

static const struct {
    const char *name;
    int type;
    enum dns_result result;
    const char *canonical;
} names[] = {
    { "mail.example.org", DNS_A, DNS_FOUND, "mail.example.org" },
    { "alias.example.org", DNS_A, DNS_FOUND, "mail.example.org" },
    { "alias.example.org.", DNS_AAAA, DNS_FOUND, "mail.example.org" },
    { "alias2.example.org", DNS_A, DNS_FOUND, "mail.example.org" },
    { "alias.example.org", DNS_CNAME, DNS_FOUND, "alias.example.org" },
    { "alias.example.org", DNS_MX, DNS_NO_DATA, "mail.example.org" },
    { "example.org", DNS_AAAA, DNS_NO_DATA, "example.org" },
    { "gone-alias.example.org", DNS_A, DNS_NO_NAME, "gone.example.org" },
    { "gone.example.org", DNS_A, DNS_NO_NAME, "gone.example.org" },
    { "ring.example.org", DNS_A, DNS_FAILED, NULL },
    { "broken.example.org", DNS_A, DNS_FAILED, NULL },
};

static void ask_names(void *arg)
{
    struct arena *a = arena_new(1 << 20);

    (void)arg;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct dns_answer got;

        dns_ask(a, bytes_of(names[i].name), (enum dns_type)names[i].type, in_ms(20000), &got);
        if (got.result != names[i].result || !bytes_equal(got.canonical, bytes_of(names[i].canonical)))
            fail_msg("%s type %d: result %d, canonical %.*s", names[i].name, names[i].type, got.result,
                     SHOW(got.canonical));
    }
    arena_free(&a);
}

static void chains_of_names(void **state)
{
    (void)state;
    as_fiber(ask_names, NULL);
}

static bool has(const struct dns_answer *got, struct bytes data)
{
    for (size_t i = 0; i < got->n; i++)
        if (bytes_equal(got->records[i].data, data))
            return true;
    return false;
}

static void ask_rows(void *arg)
{
    struct arena *a = arena_new(1 << 20);

    (void)arg;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *r = &rows[i];
        struct dns_answer got;

        dns_ask(a, bytes_of(r->name), (enum dns_type)r->type, in_ms(20000), &got);
        if (got.result != r->result || got.n != r->n)
            fail_msg("%s type %d: result %d, %zu records (%.*s)", r->name, r->type, got.result, got.n, SHOW(got.why));
        for (size_t k = 0; k < r->n; k++)
            if (!has(&got, r->data[k]))
                fail_msg("%s type %d: a record is missing", r->name, r->type);
        assert_false(got.secure);
        assert_true(got.result == DNS_FOUND || got.why.n > 0);
        if (r->preference)
            assert_true(got.records[0].preference == 10 || got.records[0].preference == 20);
    }
    arena_free(&a);
}

static void every_type_and_outcome(void **state)
{
    (void)state;
    as_fiber(ask_rows, NULL);
    ask_rows(NULL);
}

static void ask_silent(void *arg)
{
    struct arena *a = arena_new(1 << 16);
    struct dns_answer got;
    int64_t begin = clock_monotonic();

    dns_ask(a, BYTES("silent.example.org"), DNS_A, in_ms(*(int *)arg), &got);
    assert_int_equal(got.result, DNS_TIMEOUT);
    assert_true(clock_monotonic() - begin < 5000);
    arena_free(&a);
}

static void deadlines(void **state)
{
    int ms = 50;

    (void)state;
    as_fiber(ask_silent, &ms);
    ask_silent(&ms);
    ms = 60000;
    set(PARAM_dns_timeout, "1s");
    as_fiber(ask_silent, &ms);
    set(PARAM_dns_timeout, NULL);
}

static atomic_int found;

static void ask_one(void *arg)
{
    struct arena *a = arena_new(1 << 16);
    struct dns_answer got;

    (void)arg;
    dns_ask(a, BYTES("mail.example.org"), DNS_A, in_ms(10000), &got);
    if (got.result == DNS_FOUND)
        atomic_fetch_add(&found, 1);
    arena_free(&a);
}

static void many_at_once(void **state)
{
    struct err e = { 0 };

    (void)state;
    found = 0;
    for (int i = 0; i < 500; i++)
        assert_true(fiber_start(FIBER_ANY, ask_one, NULL, &e));
    resolver_up(); /* a new resolver meanwhile: nobody notices */
    for (int i = 0; i < 500; i++)
        assert_true(fiber_start(FIBER_ANY, ask_one, NULL, &e));
    assert_true(comes_to(&found, 1000));
}

static void bad_server(void **state)
{
    struct err e = { 0 };

    (void)state;
    set(PARAM_dns_servers, "not an address");
    assert_false(dns_start(&e));
    assert_int_equal(e.code, ERR_INVALID);
    assert_non_null(strstr(e.message, "dns.servers"));
    set(PARAM_dns_servers, servers);
    found = 0;
    as_fiber(ask_one, NULL); /* the old one still answers */
    assert_int_equal(found, 1);
}

static void ask_until_stop(void *arg)
{
    struct arena *a = arena_new(1 << 16);
    struct dns_answer got;

    atomic_fetch_add((atomic_int *)arg, 1);
    dns_ask(a, BYTES("silent.example.org"), DNS_A, in_ms(60000), &got);
    if (got.result == DNS_FAILED)
        atomic_fetch_add((atomic_int *)arg, 1);
    arena_free(&a);
}

static void stop(void **state)
{
    static atomic_int steps;
    struct err e = { 0 };
    int64_t begin = clock_monotonic();

    assert_true(fiber_start(FIBER_ANY, ask_until_stop, &steps, &e));
    assert_true(comes_to(&steps, 1));
    net_stop();
    assert_int_equal(steps, 2);
    assert_true(clock_monotonic() - begin < 5000);
    dns_stop();
    net_up(state);
    ask_until_stop(&steps); /* no resolver: fails at once */
    assert_int_equal(steps, 4);
    resolver_up();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_and_outcome), cmocka_unit_test(chains_of_names), cmocka_unit_test(deadlines),
        cmocka_unit_test(many_at_once),           cmocka_unit_test(bad_server),      cmocka_unit_test(stop),
    };

    return cmocka_run_group_tests(tests, up, down);
}
