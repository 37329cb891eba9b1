/* Header fields: reading any, and writing any text so that it is read back. */
#include "base/params.h"
#include "mail/address.h"
#include "mail/header.h"
#include "tests/mail/plenty.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(struct bytes text, struct arena *a)
{
    struct header h;

    header_end(text);
    while (header_next(&text, &h)) {
        assert(bytes_is_utf8(header_decode(h.value, plenty, a)));
        assert(bytes_is_utf8(header_parameter(h.value, "filename", plenty, a)));
        header_token(h.value, a);
        header_date(h.value);
    }
}

static void write_and_read(struct bytes text, struct arena *a)
{
    struct buf out;
    struct bytes rest;
    struct header h;

    buf_init(&out, 1 << 20);
    if (header_write(&out, BYTES("Subject"), text)) {
        rest = buf_bytes(&out);
        assert(bytes_is_ascii(rest) && header_next(&rest, &h) && rest.n == 0);
        assert(!bytes_is_utf8(text) || bytes_equal(header_decode(h.value, plenty, a), text));
    } else {
        assert(out.n == 0);
    }
    buf_clear(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    struct bytes text = { size ? (const char *)data : "", size };
    struct arena *a = arena_new(64 << 20);

    if (!ready)
        params_init();
    ready = true;
    read_all(text, a);
    if (size < 10000)
        write_and_read(text, a);
    arena_free(&a);
    return 0;
}
