/* An SMTP session over what the fuzzer makes up. The first byte chooses door and pace. */
#include "smtp/smtp.h"
#include "tests/dialogue.h"

static struct office office;

static void start(void)
{
    to_the_root();
    crypt_init();
    params_init();
    log_set(LOG_ERROR, LOG_LOGFMT);
    office_open(&office);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct stream_options options = { .in_max = 65536, .out_max = 65536 };
    struct smtp_door door;
    struct buf in, out;

    if (!office.svc)
        start();
    if (!size)
        return 0;
    door = (struct smtp_door){ .kind = (enum smtp_kind)(data[0] % 3), .svc = office.svc };
    buf_init(&in, size + 256);
    buf_init(&out, 1 << 20);
    if (data[0] & 4) /* into the middle of things */
        buf_adds(&in, "EHLO c.example.com\r\nMAIL FROM:<bo@example.com>\r\nRCPT TO:<ana@example.org>\r\n");
    buf_add(&in, (struct bytes){ (const char *)data + 1, size - 1 });
    smtp_run(stream_memory(buf_bytes(&in), data[0] & 8 ? 1 : 0, &out, &options), &door);
    buf_clear(&in);
    buf_clear(&out);
    return 0;
}
