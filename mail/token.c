#include "mail/token.h"
#include "mail/base32.h"
#include "mail/chars.h"
#include <string.h>

/* As they stand in the token. */
enum { VERSION_AT, KEY_AT, KIND_AT, ID_AT, MAC_AT = ID_AT + 16, MAC = 8, TOKEN_BYTES = MAC_AT + MAC, VERSION = 1 };

static const int64_t clocks_differ = (int64_t)24 * 60 * 60 * 1000; /* nodes by no more than this */

static const struct bytes uses[] = { BYTES_ROW("b+"), BYTES_ROW("fbl+") };

static void mac_of(const uint8_t *token, const struct crypt_key *key, struct bytes domain, uint8_t mac[MAC])
{
    uint8_t hash[CRYPT_HASH];
    struct buf text;

    buf_init(&text, MAC_AT + domain.n);
    buf_add(&text, (struct bytes){ (const char *)token, MAC_AT });
    buf_add_lower(&text, domain);
    crypt_keyed_hash(key, buf_bytes(&text), hash);
    buf_clear(&text);
    memcpy(mac, hash, MAC);
}

void token_write(const struct token *t, const struct token_key *key, enum token_use use, struct bytes domain,
                 struct buf *out)
{
    uint8_t token[TOKEN_BYTES] = { VERSION, key->number, (uint8_t)t->kind };

    memcpy(token + ID_AT, t->id.b, sizeof t->id.b);
    mac_of(token, &key->key, domain, token + MAC_AT);
    buf_add(out, uses[use]);
    base32_write(token, sizeof token, out);
    buf_addc(out, '@');
    buf_add(out, domain);
}

static bool genuine(const uint8_t *token, struct bytes domain, const struct token_key *keys, size_t n_keys)
{
    uint8_t mac[MAC];

    for (size_t i = 0; i < n_keys; i++) {
        if (keys[i].number != token[KEY_AT])
            continue;
        mac_of(token, &keys[i].key, domain, mac);
        if (crypt_equal((struct bytes){ (const char *)mac, MAC }, (struct bytes){ (const char *)token + MAC_AT, MAC }))
            return true;
    }
    return false;
}

enum token_read token_read(struct bytes local, struct bytes domain, const struct token_key *keys, size_t n_keys,
                           int64_t now, int64_t max_age, struct token *t, enum token_use *use)
{
    uint8_t token[TOKEN_BYTES];
    bool complaint = bytes_starts_nocase(local, uses[TOKEN_COMPLAINT]);
    struct bytes text = NO_BYTES;
    int64_t made = 0;

    if (!complaint && !bytes_starts_nocase(local, uses[TOKEN_BOUNCE]))
        return TOKEN_NONE;
    text = bytes_from(local, uses[complaint].n);
    if (text.n != TOKEN_TEXT)
        return TOKEN_NONE;
    if (!base32_read(text, token, sizeof token) || token[VERSION_AT] != VERSION ||
        (token[KIND_AT] != TOKEN_DELIVERY && token[KIND_AT] != TOKEN_MESSAGE) || !genuine(token, domain, keys, n_keys))
        return TOKEN_FORGED;
    *use = complaint ? TOKEN_COMPLAINT : TOKEN_BOUNCE;
    t->kind = (enum token_kind)token[KIND_AT];
    memcpy(t->id.b, token + ID_AT, sizeof t->id.b);
    made = id_time(t->id);
    return made > now + clocks_differ || now - made > max_age ? TOKEN_OLD : TOKEN_GOOD;
}
