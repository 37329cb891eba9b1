/* Tokens of links in mails: what is read as it comes is none, what was written comes back, and with one bit changed it
 * does not. */
#include "service/core/state.h"
#include "service/queue/public_token.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void there_and_back(const struct service *svc, struct bytes in, struct arena *a)
{
    struct public_token t = { .kind = (enum public_kind)(1 + in.n % (PUBLIC_KINDS - 1)) }, back;
    size_t at;
    struct buf out;

    t.text = bytes_head(in, PUBLIC_TEXT_MOST);
    t.several = in.n && in.p[0] & 1;
    buf_init(&out, (size_t)64 * 1024);
    public_token_write(svc, &t, &out);
    assert(public_token_read(svc, t.kind, buf_bytes(&out), a, &back));
    assert(bytes_equal(back.text, t.text) && back.several == t.several);
    at = in.n ? (unsigned char)in.p[in.n - 1] % out.n : 0;
    out.p[at] = out.p[at] == 'A' ? 'B' : 'A';
    assert(!public_token_read(svc, t.kind, buf_bytes(&out), a, &back));
    buf_clear(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct service svc = { .public_key = { { 7 } } };
    struct bytes in = { (const char *)data, size };
    struct arena *a = arena_new(1 << 20);
    struct public_token t;

    crypt_init();
    for (int kind = 1; kind < PUBLIC_KINDS; kind++)
        assert(!public_token_read(&svc, (enum public_kind)kind, in, a, &t));
    there_and_back(&svc, in, a);
    arena_free(&a);
    return 0;
}
