#include "pop3/pop3.h"
#include "tests/fuzz/session.h"

static void run(struct stream *s, struct service *svc, uint8_t first)
{
    struct pop3_door door = { .svc = svc };

    (void)first;
    pop3_run(s, &door);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct fuzzed pop3 = { 16384, "USER ana@example.org\r\nPASS correct horse\r\n", run };

    return fuzz_session(&pop3, data, size);
}
