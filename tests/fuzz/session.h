/* tests/fuzz/session.h - sessions of a protocol over what a fuzzer makes up, with a service of dialogue.h behind them.
 * The first byte chooses the door; its bit 4 begins in the middle of things, its bit 8 brings one byte at a time. */
#ifndef TESTS_FUZZ_SESSION_H
#define TESTS_FUZZ_SESSION_H
#include "tests/dialogue.h"

struct fuzzed {
    size_t in_max;
    const char *middle;                                                /* lines that lead into the middle of things */
    void (*run)(struct stream *s, struct service *svc, uint8_t first); /* ends the stream */
};

static inline struct service *fuzz_service(void)
{
    static struct office office;

    if (office.svc)
        return office.svc;
    crypt_init();
    params_init();
    log_set(LOG_ERROR, LOG_LOGFMT);
    office_open(&office);
    return office.svc;
}

static inline int fuzz_session(const struct fuzzed *f, const uint8_t *data, size_t size)
{
    struct stream_options options = { .in_max = f->in_max, .out_max = 65536 };
    struct service *svc = fuzz_service();
    struct buf in, out;

    if (!size)
        return 0;
    buf_init(&in, size + 256);
    buf_init(&out, 1 << 20);
    if (data[0] & 4)
        buf_adds(&in, f->middle);
    buf_add(&in, (struct bytes){ (const char *)data + 1, size - 1 });
    f->run(stream_memory(buf_bytes(&in), data[0] & 8 ? 1 : 0, &out, &options), svc, data[0]);
    buf_clear(&in);
    buf_clear(&out);
    return 0;
}
#endif
