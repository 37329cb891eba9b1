/* DNS answers to a plan: what is connected to is in order, within its maxima, and never ours or denied. */
#include "delivery/mx.h"
#include <assert.h>

enum { RECORDS = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* "result n, then n times: length, bytes". */
static struct dns_answer *answer_of(struct arena *a, struct bytes *in)
{
    struct dns_answer *out = arena_alloc(a, sizeof *out);
    size_t n = in->n > 1 ? (size_t)(unsigned char)in->p[1] % RECORDS : 0;

    out->result = in->n ? (enum dns_result)((unsigned char)in->p[0] % (DNS_TIMEOUT + 1)) : DNS_TIMEOUT;
    out->records = arena_array(a, RECORDS, sizeof *out->records);
    *in = bytes_from(*in, 2);
    while (out->n < n && in->n) {
        size_t length = (unsigned char)*in->p % 32;

        *in = bytes_from(*in, 1);
        out->records[out->n++] = (struct dns_record){ bytes_head(*in, length), (uint16_t)(length % 4) };
        *in = bytes_from(*in, length);
    }
    if (out->result != DNS_FOUND)
        out->n = 0;
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct bytes deny = BYTES("0.0.0.0/8,10.0.0.0/8,127.0.0.0/8,::,::1,fc00::/7"), own_name = BYTES("us.example");
    struct bytes in = { size ? (const char *)data : "", size };
    struct network own = { { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, '1', '2', '3', '4' }, 128 };
    struct mx_rules rules = { .family = (enum mx_family)(size % 4),
                              .has_v4 = true,
                              .has_v6 = size % 3 != 0,
                              .seed = size,
                              .own = &own,
                              .n_own = 1,
                              .own_names = &own_name,
                              .n_own_names = 1,
                              .deny = deny };
    struct mx_addresses addresses[MX_NAMES_MAX];
    struct arena *a = arena_new(1 << 20);
    struct mx_names names;
    struct mx_plan plan;

    mx_names(BYTES("d.example"), answer_of(a, &in), size, a, &names);
    assert(names.n <= MX_NAMES_MAX && (names.verdict != MX_OK || names.n));
    for (size_t i = 0; i < names.n; i++) {
        addresses[i].a = answer_of(a, &in);
        addresses[i].aaaa = answer_of(a, &in);
    }
    mx_plan(&names, addresses, &rules, a, &plan);
    assert(plan.n <= MX_ADDRESSES_MAX && (plan.verdict == MX_OK) == (plan.n > 0));
    assert(plan.ttl >= MX_TTL_MIN_S && plan.ttl <= MX_TTL_MAX_S);
    for (size_t i = 0; i < plan.n; i++) {
        assert(!network_list_reaches(deny, &plan.hosts[i].address) && !network_holds(&own, &plan.hosts[i].address));
        assert(!mx_own_name(&rules, plan.hosts[i].name));
        assert(i == 0 || plan.hosts[i - 1].preference <= plan.hosts[i].preference);
    }
    arena_free(&a);
    return 0;
}
