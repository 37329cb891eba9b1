/* mail/token.h - return paths that say which mail came back: `b+TOKEN@rp.example.org`, and `fbl+TOKEN@` for complaints.
 *
 *     struct token t = { TOKEN_DELIVERY, delivery_id };
 *     token_write(&t, &keys[0], TOKEN_BOUNCE, domain, &address);
 *     switch (token_read(local, domain, keys, n_keys, now, max_age, &t)) …
 * A token is 27 bytes in base32, 44 characters: version 1, key number, kind, UUID, and the first 8 bytes of a keyed
 * BLAKE2b over those and the domain. It names a row and proves that we wrote it: for nobody else's word is a delivery
 * turned into a bounce or an address suppressed. Case-blind, since not everybody keeps the case of a local part. Its
 * age is that of the UUIDv7: an old one proves nothing any more. Pure. */
#ifndef MAIL_TOKEN_H
#define MAIL_TOKEN_H
#include "base/crypt.h"
#include "base/id.h"

#define TOKEN_TEXT 44 /* characters */
#define TOKEN_AGE_MAX                                                                                                  \
    ((int64_t)30 * 24 * 60 * 60 * 1000) /* what callers pass, beyond the time a mail may be scheduled */

enum token_kind { TOKEN_DELIVERY = 1, TOKEN_MESSAGE = 2 }; /* what the UUID is of: one recipient, or several at once */
enum token_use { TOKEN_BOUNCE, TOKEN_COMPLAINT };          /* "b+", "fbl+" */

struct token {
    enum token_kind kind;
    struct id id;
};

/* Keys have numbers so that one can be followed by the next: written with the newest, read with any that is kept. */
struct token_key {
    uint8_t number;
    struct crypt_key key;
};

enum token_read {
    TOKEN_GOOD,
    TOKEN_NONE,   /* no address of this form */
    TOKEN_FORGED, /* of this form, but not ours, of another domain or of a key that is no more: 550 5.1.1 */
    TOKEN_OLD     /* ours, and too long ago, or from the future */
};

/* Appends the whole address; `domain` as domain_normalize has it. */
void token_write(const struct token *t, const struct token_key *key, enum token_use use, struct bytes domain,
                 struct buf *out);
/* `local` and `domain` of an address as it came. *t and *use are filled when it is GOOD or OLD. */
enum token_read token_read(struct bytes local, struct bytes domain, const struct token_key *keys, size_t n_keys,
                           int64_t now, int64_t max_age, struct token *t, enum token_use *use);
#endif
