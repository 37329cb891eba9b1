/* winmail.dat: what is found lies in the data, names can be shown. */
#include "base/params.h"
#include "mail/tnef.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf in;
    struct arena *a = arena_new(16 << 20);
    struct tnef t;

    buf_init(&in, size + 8);
    if (size && data[0] & 1) /* most would not get past the signature */
        buf_add(&in, BYTES("\x78\x9F\x3E\x22\x01\x00"));
    buf_add(&in, (struct bytes){ (const char *)data, size });
    if (tnef_read(buf_bytes(&in), 50, a, &t)) {
        assert(t.n <= 50);
        for (size_t i = 0; i < t.n; i++) {
            const struct tnef_file *f = &t.files[i];

            assert(f->content.n == 0 || (f->content.p >= in.p && f->content.p + f->content.n <= in.p + in.n));
            assert(bytes_is_utf8(f->filename) && bytes_is_utf8(f->content_id) && f->content_type.n);
        }
    }
    buf_clear(&in);
    arena_free(&a);
    return 0;
}
