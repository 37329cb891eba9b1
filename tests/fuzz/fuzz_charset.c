/* Text in any charset: what comes out is UTF-8, and no longer than three times what came. The first byte chooses. */
#include "mail/charset.h"
#include "mail/mime.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes text = { size ? (const char *)data : "", size };
    struct buf out, again;

    buf_init(&out, 4 * size + 16);
    buf_init(&again, 4 * size + 16);
    if (size) {
        enum charset charset = data[0] % CHARSETS;

        text = bytes_from(text, 1);
        charset_read(charset, text, &out);
        charset_read(charset, text, &again); /* with a converter that was used */
        assert(!out.overflowed && bytes_is_utf8(buf_bytes(&out)) && bytes_equal(buf_bytes(&out), buf_bytes(&again)));
    }
    charset_find(text);
    charset_of_html(text);
    buf_reset(&out);
    mime_filename(text, 64, &out);
    assert(out.n <= 64);
    buf_clear(&out);
    buf_clear(&again);
    return 0;
}
