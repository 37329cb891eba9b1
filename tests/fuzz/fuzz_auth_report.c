/* Reports and policies of strangers: packed, as mails, as XML and JSON, and what MTA-STS publishes. */
#include "base/crypt.h"
#include "mail/auth/dmarc_report.h"
#include "mail/auth/report.h"
#include "mail/auth/sts.h"
#include "mail/auth/tls_report.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROWS = 50 };

static void read_dmarc(struct bytes text, struct arena *a)
{
    struct dmarc_report r;
    struct err e = { 0 };

    if (!dmarc_report_read(text, ROWS, a, &r, &e))
        assert(e.code);
    assert(r.n <= ROWS);
    for (size_t i = 0; i < r.n; i++)
        assert(r.rows[i].count >= 0 && r.rows[i].n_dkim <= DMARC_REPORT_LIST_MAX);
}

static void read_sts(struct bytes text, struct arena *a)
{
    struct sts_policy p;
    struct bytes id;
    struct err e = { 0 };

    if (sts_policy_read(text, a, &p, &e)) {
        assert(p.max_age >= 0 && p.max_age <= STS_AGE_MAX && (p.n || p.mode == STS_NONE));
        for (size_t i = 0; i < p.n; i++)
            if (!bytes_starts(p.mx[i], BYTES("*.")))
                assert(sts_policy_lets(&p, p.mx[i]));
    }
    if (sts_record_read(text, &id, &e))
        assert(id.n > 0 && id.n <= 32);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct report_limits limits = {
        { .depth = 20, .parts = 50, .part_header = 4096, .top_header = 65536, .fields = { 4096, 65536 } },
        { 1 << 20, 100 }
    };
    struct bytes text = { size ? (const char *)data : "", size };
    struct arena *a = arena_new(256 << 20);
    struct report_text r;
    struct tls_report tls;
    struct err e = { 0 };

    crypt_init();
    if (report_open(text, &limits, a, &r, &e)) {
        assert(r.text.n <= (1 << 20) || r.text.p == text.p || r.kind == REPORT_FAILURE);
        read_dmarc(r.text, a);
        tls_report_read(r.text, a, &tls, &e);
    }
    read_sts(text, a);
    arena_free(&a);
    return 0;
}
