/* base/crypt.h: published vectors, strict encodings, and what must not open. */
#include "check.h"

#include "base/crypt.h"
#include "base/crypt_aead.h"
#include <sodium.h>

static const struct crypt_key key = { { 1, 2, 3 } }, other = { { 1, 2, 4 } };

static struct bytes hex_of(const uint8_t hash[CRYPT_HASH])
{
    static char hex[CRYPT_HASH_HEX + 1];

    return crypt_hex((struct bytes){ (const char *)hash, CRYPT_HASH }, hex);
}

static void hashes_match_the_vectors(void **state)
{
    uint8_t hash[CRYPT_HASH], again[CRYPT_HASH];

    (void)state;
    crypt_sha256(BYTES("abc"), hash); /* FIPS 180-4 */
    assert_bytes(hex_of(hash), BYTES("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
    crypt_sha256(NO_BYTES, hash);
    assert_bytes(hex_of(hash), BYTES("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
    crypt_hmac_sha256(BYTES("Jefe"), BYTES("what do ya want for nothing?"), hash); /* RFC 4231, case 2 */
    assert_bytes(hex_of(hash), BYTES("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"));
    crypt_hash(BYTES("abc"), hash); /* as python3 hashlib.blake2b(b"abc", digest_size=32) */
    assert_bytes(hex_of(hash), BYTES("bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319"));
    crypt_keyed_hash(&key, BYTES("abc"), hash);
    crypt_keyed_hash(&other, BYTES("abc"), again);
    assert_memory_not_equal(hash, again, sizeof hash);
}

static void keys_are_derived_by_purpose(void **state)
{
    struct crypt_key a, b, c;

    (void)state;
    crypt_derive(&key, BYTES("cookies"), &a);
    crypt_derive(&key, BYTES("cookies"), &b);
    crypt_derive(&key, BYTES("cursors"), &c);
    assert_memory_equal(&a, &b, sizeof a);
    assert_memory_not_equal(&a, &c, sizeof a);
    crypt_key_new(&a);
    crypt_key_new(&b);
    assert_memory_not_equal(&a, &b, sizeof a);
    crypt_wipe(&a, sizeof a);
    assert_true(crypt_equal((struct bytes){ (const char *)a.b, 2 }, BYTES("\0\0")));
    assert_false(crypt_equal(BYTES("ab"), BYTES("ac")));
    assert_false(crypt_equal(BYTES("ab"), BYTES("abc")));
    assert_true(crypt_equal(NO_BYTES, BYTES("")));
}

static void hex_is_exact(void **state)
{
    char text[9];
    uint8_t out[4];

    (void)state;
    assert_bytes(crypt_hex(BYTES("\x00\xFF\x1a"), text), BYTES("00ff1a"));
    assert_true(crypt_unhex(BYTES("00fF1A09"), out, 4));
    assert_memory_equal(out, "\x00\xFF\x1A\x09", 4);
    assert_false(crypt_unhex(BYTES("00ff1a"), out, 4));
    assert_false(crypt_unhex(BYTES("00ff1a090"), out, 4));
    assert_false(crypt_unhex(BYTES("00ff1g09"), out, 4));
    assert_false(crypt_unhex(BYTES("0x001a09"), out, 4));
}

static void base64_goes_and_comes(void **state)
{
    const struct {
        struct bytes plain;
        const char *standard, *url;
    } rows[] = {
        { BYTES(""), "", "" },
        { BYTES("f"), "Zg==", "Zg" },
        { BYTES("fo"), "Zm8=", "Zm8" },
        { BYTES("foo"), "Zm9v", "Zm9v" },
        { BYTES("foob"), "Zm9vYg==", "Zm9vYg" },
        { BYTES("fooba"), "Zm9vYmE=", "Zm9vYmE" },
        { BYTES("foobar"), "Zm9vYmFy", "Zm9vYmFy" },
        { BYTES("\xFB\xFF\xFE\0"), "+//+AA==", "-__-AA" },
    };
    struct buf out;

    (void)state;
    buf_init(&out, 100);
    for (size_t i = 0; i < COUNT(rows); i++) {
        buf_reset(&out);
        crypt_to_base64(rows[i].plain, CRYPT_BASE64, &out);
        assert_bytes(buf_bytes(&out), bytes_of(rows[i].standard));
        buf_reset(&out);
        crypt_to_base64(rows[i].plain, CRYPT_BASE64_URL, &out);
        assert_bytes(buf_bytes(&out), bytes_of(rows[i].url));
        buf_reset(&out);
        buf_addc(&out, '>');
        assert_true(crypt_from_base64(bytes_of(rows[i].standard), CRYPT_BASE64, &out));
        assert_bytes(bytes_from(buf_bytes(&out), 1), rows[i].plain);
        buf_reset(&out);
        assert_true(crypt_from_base64(bytes_of(rows[i].url), CRYPT_BASE64_URL, &out));
        assert_bytes(buf_bytes(&out), rows[i].plain);
    }
    buf_reset(&out);
    assert_true(crypt_from_base64(BYTES(" Zm9\r\nvYg\t= = \r\n"), CRYPT_BASE64_LINES, &out));
    assert_bytes(buf_bytes(&out), BYTES("foob"));
    buf_clear(&out);
}

static void base64_is_strict(void **state)
{
    const struct {
        enum crypt_base64 form;
        struct bytes text;
    } rows[] = {
        { CRYPT_BASE64, BYTES("Zg") },
        { CRYPT_BASE64, BYTES("Zg=") },
        { CRYPT_BASE64, BYTES("Zg===") },
        { CRYPT_BASE64, BYTES("Z") },
        { CRYPT_BASE64, BYTES("Z===") },
        { CRYPT_BASE64, BYTES("=") },
        { CRYPT_BASE64, BYTES("====") },
        { CRYPT_BASE64, BYTES("Zm9v====") },
        { CRYPT_BASE64, BYTES("Zm9v=") },
        { CRYPT_BASE64, BYTES("Zg==Zg==") },
        { CRYPT_BASE64, BYTES("Zh==") },
        { CRYPT_BASE64, BYTES("Zm9=") },
        { CRYPT_BASE64, BYTES("Zm 9v") },
        { CRYPT_BASE64, BYTES("Zm9v\n") },
        { CRYPT_BASE64, BYTES("-__-") },
        { CRYPT_BASE64, BYTES("Zm9\0") },
        { CRYPT_BASE64, BYTES("Zm\xFFv") },
        { CRYPT_BASE64_URL, BYTES("Zg==") },
        { CRYPT_BASE64_URL, BYTES("+//+") },
        { CRYPT_BASE64_URL, BYTES("Zh") },
        { CRYPT_BASE64_URL, BYTES("Zm 8") },
        { CRYPT_BASE64_LINES, BYTES("Z g") },
        { CRYPT_BASE64_LINES, BYTES("Zg==\vx") },
    };
    struct buf out;

    (void)state;
    buf_init(&out, 100);
    buf_adds(&out, "before");
    for (size_t i = 0; i < COUNT(rows); i++) {
        if (crypt_from_base64(rows[i].text, rows[i].form, &out))
            fail_msg("row %zu \"%.*s\" was read", i, SHOW(rows[i].text));
        assert_bytes(buf_bytes(&out), BYTES("before"));
    }
    buf_clear(&out);
}

static void base64_keeps_to_the_maximum(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, 4);
    assert_true(crypt_from_base64(BYTES("Zm9vYg=="), CRYPT_BASE64, &out)); /* exactly full */
    assert_bytes(buf_bytes(&out), BYTES("foob"));
    buf_reset(&out);
    assert_false(crypt_from_base64(BYTES("Zm9vYmE="), CRYPT_BASE64, &out));
    assert_true(out.overflowed);
    assert_int_equal(out.n, 0);
    buf_clear(&out);
}

static void passwords(void **state)
{
    static const struct crypt_password_cost cost = { 1, 64 << 10 }, dearer = { 2, 64 << 10 };
    char hash[CRYPT_PASSWORD_HASH], again[CRYPT_PASSWORD_HASH];
    struct err e = { 0 };

    (void)state;
    assert_true(crypt_password_hash(BYTES("pass\0word"), &cost, hash, &e));
    assert_true(crypt_password_hash(BYTES("pass\0word"), &cost, again, &e));
    assert_string_not_equal(hash, again);
    assert_true(bytes_starts(bytes_of(hash), BYTES("$argon2id$v=19$m=64,t=1,p=1$")));
    assert_true(crypt_password_check(hash, BYTES("pass\0word")));
    assert_false(crypt_password_check(hash, BYTES("pass\0words")));
    assert_false(crypt_password_check(hash, BYTES("pass")));
    assert_false(crypt_password_check("", BYTES("")));
    assert_false(crypt_password_check("$argon2id$garbage", BYTES("pass")));
    assert_false(crypt_password_outdated(hash, &cost));
    assert_true(crypt_password_outdated(hash, &dearer));
    assert_true(crypt_password_outdated("", &cost));
    assert_false(crypt_password_hash(BYTES("x"), &(struct crypt_password_cost){ 1, 1 }, hash, &e));
    assert_int_equal(e.code, ERR_BUSY);
}

static void a_key_is_wrapped(void **state)
{
    uint8_t out[CRYPT_WRAPPED], twice[CRYPT_WRAPPED];
    struct bytes wrapped = { (const char *)out, sizeof out };
    struct crypt_key inner, back;

    (void)state;
    crypt_key_new(&inner);
    crypt_wrap(&key, &inner, BYTES("row 1"), out);
    crypt_wrap(&key, &inner, BYTES("row 1"), twice);
    assert_memory_not_equal(out, twice, sizeof out);
    assert_true(crypt_unwrap(&key, wrapped, BYTES("row 1"), &back));
    assert_memory_equal(&back, &inner, sizeof back);
    assert_false(crypt_unwrap(&key, wrapped, BYTES("row 2"), &back));
    assert_false(crypt_unwrap(&other, wrapped, BYTES("row 1"), &back));
    assert_false(crypt_unwrap(&key, bytes_head(wrapped, CRYPT_WRAPPED - 1), BYTES("row 1"), &back));
    for (size_t i = 0; i < sizeof out; i++) {
        out[i] ^= 1;
        assert_false(crypt_unwrap(&key, wrapped, BYTES("row 1"), &back));
        out[i] ^= 1;
    }
}

static void a_text_is_sealed(void **state)
{
    struct buf sealed, opened;

    (void)state;
    buf_init(&sealed, 100);
    buf_init(&opened, 100);
    buf_adds(&opened, ">");
    assert_true(crypt_seal(&key, BYTES("Subject\0x"), BYTES("ctx"), &sealed));
    assert_int_equal(sealed.n, 9 + CRYPT_SEAL_EXTRA);
    assert_true(crypt_open(&key, buf_bytes(&sealed), BYTES("ctx"), &opened));
    assert_bytes(buf_bytes(&opened), BYTES(">Subject\0x"));
    assert_false(crypt_open(&key, buf_bytes(&sealed), NO_BYTES, &opened));
    assert_false(crypt_open(&key, BYTES("short"), BYTES("ctx"), &opened));
    assert_int_equal(opened.n, 10);
    buf_reset(&sealed);
    assert_true(crypt_seal(&key, NO_BYTES, NO_BYTES, &sealed));
    assert_true(crypt_open(&key, buf_bytes(&sealed), NO_BYTES, &opened));
    assert_int_equal(opened.n, 10);
    buf_clear(&sealed);
    buf_init(&sealed, 60);
    assert_false(crypt_seal(&key, BYTES("a text that has no room with its tag"), NO_BYTES, &sealed));
    assert_true(sealed.overflowed);
    assert_int_equal(sealed.n, 0);
    buf_clear(&sealed);
    buf_clear(&opened);
}

static bool opens(struct crypt_chunk at, struct bytes sealed)
{
    struct buf out;
    bool good = false;

    buf_init(&out, 1000);
    good = crypt_body_open(&key, at, sealed, &out);
    assert_int_equal(out.n, good ? sealed.n - CRYPT_CHUNK_EXTRA : 0);
    buf_clear(&out);
    return good;
}

static void a_body_keeps_its_order_and_its_end(void **state)
{
    const struct crypt_chunk first = { 0, false }, second = { 1, true };
    struct buf a, b;

    (void)state;
    buf_init(&a, 1000);
    buf_init(&b, 1000);
    assert_true(crypt_body_seal(&key, first, BYTES("one"), &a));
    assert_true(crypt_body_seal(&key, second, BYTES(""), &b));
    assert_int_equal(a.n, 3 + CRYPT_CHUNK_EXTRA);
    assert_true(opens(first, buf_bytes(&a)));
    assert_true(opens(second, buf_bytes(&b)));
    assert_false(opens((struct crypt_chunk){ 0, true }, buf_bytes(&a)));  /* cut behind the first */
    assert_false(opens((struct crypt_chunk){ 1, false }, buf_bytes(&b))); /* lengthened */
    assert_false(opens((struct crypt_chunk){ 1, false }, buf_bytes(&a))); /* another order */
    assert_false(opens((struct crypt_chunk){ UINT64_C(1) << 32, false }, buf_bytes(&a)));
    assert_false(opens(first, bytes_head(buf_bytes(&a), a.n - 1)));
    assert_false(opens(first, NO_BYTES));
    buf_clear(&a);
    buf_clear(&b);
}

/* libsodium's own, which is what all that was ever kept is sealed with. */
static void sodium_seals(const struct aead *a, struct bytes text, unsigned char *out)
{
    crypto_aead_xchacha20poly1305_ietf_encrypt(out, NULL, (const unsigned char *)text.p, text.n,
                                               (const unsigned char *)a->context.p, a->context.n, NULL, a->nonce,
                                               a->key->b);
}

static bool sodium_opens(const struct aead *a, const unsigned char *sealed, size_t n, unsigned char *out)
{
    return crypto_aead_xchacha20poly1305_ietf_decrypt(out, NULL, NULL, sealed, n, (const unsigned char *)a->context.p,
                                                      a->context.n, a->nonce, a->key->b) == 0;
}

/* What one library sealed the other opens, whatever the length, and what is off by a bit neither. */
static void both_libraries_make_the_same_bytes(void **state)
{
    static const size_t lengths[] = { 0,    1,    16,   63,   64,   65,   255,   1000,   1023,
                                      1024, 1025, 1088, 4095, 4096, 5147, 65537, 262144, 262145 };
    unsigned char *text = malloc(262145), *ours = malloc(262161), *theirs = malloc(262161), *back = malloc(262145);
    unsigned char nonce[AEAD_NONCE];
    struct crypt_key k;

    (void)state;
    crypt_key_new(&k);
    crypt_random(nonce, sizeof nonce);
    randombytes_buf(text, 262145);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        size_t n = lengths[i], at = (i * 977 + 3) % (n + AEAD_TAG);
        const struct aead a = { &k, nonce, i % 3 ? BYTES("a row's id") : NO_BYTES };

        aead_seal(&a, (struct bytes){ (const char *)text, n }, ours);
        sodium_seals(&a, (struct bytes){ (const char *)text, n }, theirs);
        assert_memory_equal(ours, theirs, n + AEAD_TAG);
        assert_true(sodium_opens(&a, ours, n + AEAD_TAG, back));
        memset(back, 1, 262145);
        assert_true(aead_open(&a, (struct bytes){ (const char *)theirs, n + AEAD_TAG }, back));
        assert_memory_equal(back, text, n);
        theirs[at] ^= 4;
        assert_false(aead_open(&a, (struct bytes){ (const char *)theirs, n + AEAD_TAG }, back));
        assert_true(sodium_is_zero(back, n)); /* nothing of it is seen */
    }
    free(text), free(ours), free(theirs), free(back);
}

static int start(void **state)
{
    (void)state;
    crypt_init();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes_match_the_vectors),
        cmocka_unit_test(keys_are_derived_by_purpose),
        cmocka_unit_test(hex_is_exact),
        cmocka_unit_test(base64_goes_and_comes),
        cmocka_unit_test(base64_is_strict),
        cmocka_unit_test(base64_keeps_to_the_maximum),
        cmocka_unit_test(passwords),
        cmocka_unit_test(a_key_is_wrapped),
        cmocka_unit_test(a_text_is_sealed),
        cmocka_unit_test(a_body_keeps_its_order_and_its_end),
        cmocka_unit_test(both_libraries_make_the_same_bytes),
    };

    return cmocka_run_group_tests_name("base/crypt", tests, start, NULL);
}
