/* A server's message: read within its bounds, and what is made of it is text. */
#include "base/params.h"
#include "net/dns_wire.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void assert_text(struct bytes b)
{
    for (size_t i = 0; i < b.n; i++)
        assert(b.p[i] > ' ' && b.p[i] < 127);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum dns_type types[] = { DNS_TXT, DNS_MX, DNS_CNAME, DNS_A, DNS_NS };
    struct bytes in = { size ? (const char *)data : "", size };
    struct arena *a;
    struct dns_wire w;
    enum dns_type type;

    static bool ready;

    if (!ready)
        params_init();
    ready = true;
    a = arena_new(64 << 20);
    type = types[in.n > 16 ? (unsigned char)in.p[in.n - 1] % 5 : 0];
    dns_wire_read(a, in, 0, BYTES("d.example.org"), type, &w);
    assert(w.n_servers <= DNS_WIRE_SERVERS_MAX && (w.kind != DNS_WIRE_REFERRAL || w.n_servers));
    assert_text(w.next);
    assert_text(w.zone);
    for (size_t i = 0; i < w.n_servers; i++)
        assert_text(w.servers[i].name);
    for (size_t i = 0; type != DNS_TXT && type != DNS_A && i < w.answer.n; i++)
        assert_text(w.answer.records[i].data);
    arena_free(&a);
    return 0;
}
