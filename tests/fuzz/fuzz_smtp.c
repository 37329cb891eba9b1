#include "smtp/smtp.h"
#include "tests/fuzz/session.h"

static void run(struct stream *s, struct service *svc, uint8_t first)
{
    struct smtp_door door = { .kind = (enum smtp_kind)(first % 3), .svc = svc };

    smtp_run(s, &door);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct fuzzed smtp = {
        65536, "EHLO c.example.com\r\nMAIL FROM:<bo@example.com>\r\nRCPT TO:<ana@example.org>\r\n", run
    };

    return fuzz_session(&smtp, data, size);
}
