/* DKIM: a message is signed whatever it holds, the same in pieces; a text read as key and as record. */
#include "base/crypt.h"
#include "mail/dkim_sign.h"
#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void hash_by(struct bytes body, size_t step, uint8_t hash[DKIM_HASH])
{
    struct dkim_body b;

    dkim_body_begin(&b);
    for (; body.n; body = bytes_from(body, step))
        dkim_body_feed(&b, bytes_head(body, step));
    dkim_body_end(&b, hash);
}

static void sign(const struct dkim_key *key, struct bytes message)
{
    struct dkim_by by = { key, BYTES("s") };
    struct dkim_signing s = { .domain = BYTES("example.org"), .by = &by, .n_by = 1, .now = 1 };
    struct bytes rest = NO_BYTES;
    struct header h;
    struct err e = { 0 };
    struct buf out;
    uint8_t one[DKIM_HASH], two[DKIM_HASH];

    hash_by(message, message.n + 1, one);
    hash_by(message, message.n % 7 + 1, two);
    assert(memcmp(one, two, sizeof one) == 0);
    buf_init(&out, 8 << 20);
    if (dkim_sign(&s, message, one, &out, &e)) {
        rest = buf_bytes(&out);
        assert(header_next(&rest, &h) && rest.n == 0 && bytes_equal(h.name, BYTES("DKIM-Signature")));
    } else {
        assert(out.n == 0 && e.code);
    }
    buf_clear(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct dkim_key *key;
    struct bytes text = { size ? (const char *)data : "", size };
    struct dkim_key *other = NULL;
    struct err e = { 0 };

    if (!key) {
        crypt_init();
        dkim_key_new(DKIM_ED25519, &key, &e);
    }
    sign(key, text);
    if (dkim_key_read(text, &other, &e))
        dkim_key_free(&other);
    dkim_record_compare(text, text);
    dkim_record_compare(BYTES("v=DKIM1; k=rsa; p=AAAA"), text);
    return 0;
}
