/* The origin of mail: SPF records and macros, signatures and seals, DMARC, Authentication-Results. The first line of
 * the input is what every TXT record says, the second a sender; the rest is a message. Whatever they hold, each check
 * ends within its rounds, and the same message in pieces comes to the same. */
#include "base/crypt.h"
#include "mail/auth/results.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROUNDS = 400 };

/* Each name has what stands in the record: the DNS of somebody who answers as it suits him. */
static void answer(struct lookup *q, struct bytes text, struct arena *a)
{
    static const char *const values[] = { "192.0.2.1", "2001:db8::1", "10 mx.example.org",
                                          NULL,        "example.net", "host.example.org" };

    q->values = arena_alloc(a, sizeof *q->values);
    q->values[0] = q->type == LOOKUP_TXT ? text : bytes_of(values[q->type]);
    q->n = 1;
    q->result = LOOKUP_FOUND;
    if (q->name.n % 7 == 3) {
        q->result = q->name.n % 2 ? LOOKUP_FAILED : LOOKUP_NONE;
        q->n = 0;
        q->why = BYTES("no answer");
    }
}

#define ROUNDS_OF(judge, book, text, a)                                                                                \
    do {                                                                                                               \
        size_t asked = 0;                                                                                              \
        int turn = 0;                                                                                                  \
        while (!(judge)) {                                                                                             \
            assert(turn++ < ROUNDS && asked < (book).n);                                                               \
            for (; asked < (book).n; asked++)                                                                          \
                answer(&(book).list[asked], text, a);                                                                  \
        }                                                                                                              \
    } while (0)

static void check_spf(struct bytes text, struct bytes sender, struct arena *a)
{
    struct spf_asked q = { .host = BYTES("mx.example.org"), .now = 1700000000000 };
    struct spf_verdict v;
    struct lookups book;
    struct buf field;

    network_parse_address(text.n % 2 ? BYTES("192.0.2.7") : BYTES("2001:db8::7"), &q.ip);
    spf_of_mail_from(&q, a, BYTES("helo.example.org"), sender);
    lookups_init(&book, a);
    ROUNDS_OF(spf_check(&q, &book, &v), book, text, a);
    assert(v.terms <= 11 && v.voids <= 3);
    buf_init(&field, 1 << 20);
    spf_received(&q, &v, "mailfrom", &field);
    assert(field.n > 2 && field.p[field.n - 1] == '\n');
    buf_clear(&field);
}

static void verify(struct bytes message, struct bytes text, size_t step, struct arena *a, struct verified *out)
{
    struct verify_how how = { .now = 1700000000000, .skew = 300000, .signatures = 10 };
    size_t end = header_end(message);
    struct verifier *v = verify_begin(&how, bytes_head(message, end), a);
    struct bytes body = bytes_from(message, end);
    struct lookups book;

    lookups_init(&book, a);
    verify_ask(v, &book);
    for (; body.n; body = bytes_from(body, step))
        verify_feed(v, bytes_head(body, step));
    verify_body_end(v);
    ROUNDS_OF(verify_judge(v, &book, out), book, text, a);
    verify_end(&v);
}

static void check_message(struct bytes message, struct bytes text, struct bytes sender, struct arena *a)
{
    struct verified one, two;
    struct dmarc_asked q = { .spf = { sender, AUTH_PASS } };
    struct dmarc_verdict d = { .policy = DMARC_UNSAID };
    struct auth_results r = { .host = BYTES("mx.example.org"), .signatures = &one, .dmarc = &d };
    struct bytes header = bytes_head(message, header_end(message)), rest;
    struct lookups book;
    struct header h;
    struct buf out;

    verify(message, text, message.n + 1, a, &one);
    verify(message, text, 3, a, &two);
    assert(one.n_dkim == two.n_dkim && one.arc.result == two.arc.result);
    for (size_t i = 0; i < one.n_dkim; i++)
        assert(one.dkim[i].result == two.dkim[i].result);
    d.result = dmarc_author(header, a, &q.from, &d.why);
    lookups_init(&book, a);
    if (d.result == AUTH_PASS)
        ROUNDS_OF(dmarc_check(&q, &book, &d), book, text, a);
    buf_init(&out, 4 << 20);
    auth_results_write(&r, &out);
    rest = buf_bytes(&out);
    assert(header_next(&rest, &h) && rest.n == 0 && auth_results_ours(&h, r.host));
    buf_reset(&out);
    auth_results_strip(header, r.host, &out);
    rest = buf_bytes(&out);
    while (header_next(&rest, &h))
        assert(!auth_results_ours(&h, r.host));
    buf_clear(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    struct bytes text, sender, rest = { size ? (const char *)data : "", size };
    struct arena *a = arena_new(256 << 20);

    if (!ready)
        crypt_init();
    ready = true;
    bytes_cut(rest, '\n', &text, &rest);
    bytes_cut(rest, '\n', &sender, &rest);
    check_spf(text, sender, a);
    check_message(rest, text, sender, a);
    arena_free(&a);
    return 0;
}
