#include "service/identity/key_secret.h"
#include "base/clock.h"
#include "base/crypt.h"

#define SECRET_CHARS 40
#define HINT_CHARS   12

/* 40 characters of 32: 200 bits. A hash without salt or passes serves for what nobody can guess. */
void key_secret_make(bool test, struct arena *a, struct key_secret *out)
{
    static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";
    uint8_t random[SECRET_CHARS];
    char text[8 + SECRET_CHARS + 1];

    crypt_random(random, sizeof random);
    memcpy(text, test ? "pr_test_" : "pr_live_", 8);
    for (size_t i = 0; i < SECRET_CHARS; i++)
        text[8 + i] = digits[random[i] % 32];
    out->text = arena_copy(a, (struct bytes){ text, 8 + SECRET_CHARS });
    out->hash = key_secret_hash(out->text, a);
    out->hint = arena_copy(a, bytes_head(out->text, HINT_CHARS));
    crypt_wipe(random, sizeof random);
    crypt_wipe(text, sizeof text);
}

struct bytes key_secret_hash(struct bytes text, struct arena *a)
{
    uint8_t *hash = arena_alloc(a, CRYPT_HASH);

    crypt_hash(text, hash);
    return (struct bytes){ (char *)hash, CRYPT_HASH };
}

void key_row_make(struct key_row *row, struct id account_id, struct bytes name, unsigned scopes, bool test,
                  const struct key_secret *secret)
{
    *row = (struct key_row){
        .id = id_new(),
        .account_id = account_id,
        .name = name,
        .mode = test ? BYTES("test") : BYTES("live"),
        .scopes = scopes,
        .hash = secret->hash,
        .hint = secret->hint,
        .created_at = clock_wall(),
    };
}
