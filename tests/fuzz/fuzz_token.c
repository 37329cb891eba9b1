/* Return paths: an address read as a token and as SRS; a sender rewritten comes back, and once more from the next. */
#include "base/params.h"
#include "mail/srs.h"
#include "mail/token.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct crypt_key key = { { 1 } };
static const int64_t now = 1800000000000;

static void forward(const struct address *sender, unsigned depth, struct arena *a)
{
    struct buf out;
    struct address next;
    struct bytes back = NO_BYTES, rest, path;
    struct err e = { 0 };

    buf_init(&out, 1000);
    if (srs_forward(sender, &key, BYTES("fwd.example.org"), now, a, &out, &e) && out.n) {
        path = arena_bytesf(a, "<%.*s>", SHOW(buf_bytes(&out)));
        assert(path_parse(path, PATH_SENDER, a, &next, &rest, &e));
        assert(srs_reverse(next.local, &key, 1, now, a, &back) == SRS_GOOD);
        assert(depth || bytes_equal_nocase(back, sender->email) || bytes_starts_nocase(sender->local, BYTES("SRS1")));
        if (depth < 2)
            forward(&next, depth + 1, a);
    }
    buf_clear(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct token_key keys = { 1, { { 1 } } };
    static bool ready;
    struct bytes text = { size ? (const char *)data : "", size }, email = NO_BYTES;
    struct arena *a = arena_new(64 << 20);
    struct address sender;
    struct token t;
    enum token_use use;
    struct err e = { 0 };

    if (!ready) {
        params_init();
        crypt_init();
    }
    ready = true;
    assert(token_read(text, BYTES("example.org"), &keys, 1, now, TOKEN_AGE_MAX, &t, &use) != TOKEN_GOOD);
    assert(srs_reverse(text, &key, 1, now, a, &email) != SRS_GOOD || email.n);
    srs_loops(text, BYTES("ana@example.org"), BYTES("bo@example.org"), a);
    if (address_parse(text, a, &sender, &e))
        forward(&sender, 0, a);
    arena_free(&a);
    return 0;
}
