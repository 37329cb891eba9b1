/* service/core/secrets.c - server.key and what is derived from it.
 *
 * The file: a header line, `fingerprint` and 32 hex digits, `key` and 64 hex digits. The store keeps the fingerprint in
 * the row `server.key_fingerprint` of the kind setting, which the API does not show: a store and a key that do not
 * belong together are noticed before anything is read or written. */
#include "service/core/secrets.h"
#include "service/core/secret_file.h"
#include "service/core/state.h"
#include <unistd.h>

#define KEY_HEADER      "postrider server key 1"
#define FINGERPRINT     16
#define FINGERPRINT_HEX (2 * FINGERPRINT)

struct server_key {
    struct crypt_key key;
    char fingerprint[FINGERPRINT_HEX + 1];
};

static void take_fingerprint(struct server_key *k)
{
    struct crypt_key public;

    crypt_derive(&k->key, BYTES("fingerprint"), &public);
    crypt_hex((struct bytes){ (char *)public.b, FINGERPRINT }, k->fingerprint);
}

static bool key_parse(struct bytes text, struct server_key *k)
{
    struct bytes header, fingerprint, key;

    bytes_cut(text, '\n', &header, &text);
    bytes_cut(text, '\n', &fingerprint, &text);
    bytes_cut(text, '\n', &key, &text);
    header = bytes_trim(header);
    fingerprint = bytes_trim(fingerprint);
    key = bytes_trim(key);
    if (!bytes_equal(header, bytes_of(KEY_HEADER)) || !bytes_starts(fingerprint, BYTES("fingerprint ")) ||
        !bytes_starts(key, BYTES("key ")) || !crypt_unhex(bytes_from(key, 4), k->key.b, sizeof k->key.b))
        return false;
    take_fingerprint(k);
    return bytes_equal(bytes_from(fingerprint, 12), bytes_of(k->fingerprint));
}

static bool key_make(const char *path, struct server_key *k, struct err *e)
{
    char hex[CRYPT_HASH_HEX + 1], text[256];
    int n;
    bool ok;

    crypt_key_new(&k->key);
    take_fingerprint(k);
    crypt_hex((struct bytes){ (char *)k->key.b, sizeof k->key.b }, hex);
    n = snprintf(text, sizeof text, "%s\nfingerprint %s\nkey %s\n", KEY_HEADER, k->fingerprint, hex);
    ok = secret_write(path, (struct bytes){ text, (size_t)n }, e);
    crypt_wipe(hex, sizeof hex);
    crypt_wipe(text, sizeof text);
    return ok;
}

static bool stored_fingerprint(struct service *svc, struct arena *a, struct setting_row *row, struct err *e)
{
    struct value name = V_TEXT(BYTES(FINGERPRINT_SETTING));
    struct err missing = { 0 };

    *row = (struct setting_row){ .value = NO_BYTES };
    if (store_get_by(svc->store, &setting_kind, "name", &name, 1, a, row, &missing))
        return true;
    if (missing.code == ERR_MISSING)
        return true;
    *e = missing;
    return false;
}

/* False with ERR_CONFLICT when another node that starts for the first time was faster. */
static bool keep_fingerprint(struct service *svc, struct arena *a, const struct server_key *k, struct err *e)
{
    struct batch *b = batch_new(a);
    struct setting_row row = { .id = id_new(),
                               .name = BYTES(FINGERPRINT_SETTING),
                               .value = bytes_of(k->fingerprint),
                               .updated_at = store_now(svc->store) };

    batch_insert(b, &setting_kind, &row, NULL, 0);
    return store_commit(svc->store, b, clock_monotonic() + START_DEADLINE_MS, e);
}

/* The key in the file. Only a store that never had one gets a new key. */
static bool key_load(const char *path, struct arena *a, const struct setting_row *kept, struct server_key *k,
                     bool *made, struct err *e)
{
    struct bytes text;
    bool found;

    *made = false;
    if (!secret_read(path, a, &text, &found, e))
        return false;
    if (!found && kept->value.p)
        return err_set(e, ERR_INVALID,
                       "%s is missing, but the store is encrypted with key %.8s: put the file back from its backup, or "
                       "copy it from another node of this store",
                       path, kept->value.p);
    if (!found) {
        *made = key_make(path, k, e);
        return *made;
    }
    if (!key_parse(text, k))
        return err_set(e, ERR_INVALID, "%s is damaged: put it back from its backup", path);
    crypt_wipe((char *)text.p, text.n);
    return true;
}

static bool key_agrees(const char *path, const struct setting_row *kept, const struct server_key *k, struct err *e)
{
    return bytes_equal(kept->value, bytes_of(k->fingerprint)) ||
           err_set(e, ERR_INVALID,
                   "%s is key %.8s, but the store is encrypted with key %.8s: put the right file there, copied from "
                   "another node of this store or from a backup",
                   path, k->fingerprint, kept->value.p);
}

/* The store's word on the key. Of several nodes that start on an empty store at once the first is heard; a key that was
 * made for it and lost has sealed nothing yet, and must not lie where it looks like one that has. */
static bool key_settle(struct service *svc, const char *path, struct arena *a, struct setting_row *kept,
                       const struct server_key *k, bool made, struct err *e)
{
    struct err why = { 0 };

    if (!kept->value.p && keep_fingerprint(svc, a, k, &why))
        return true;
    if (why.code && why.code != ERR_CONFLICT) {
        *e = why;
        return false;
    }
    if (!kept->value.p && !stored_fingerprint(svc, a, kept, e))
        return false;
    if (made && !bytes_equal(kept->value, bytes_of(k->fingerprint))) {
        unlink(path);
        return err_set(e, ERR_INVALID,
                       "Another node has just made the key of this store: copy its server.key to %s, and start again",
                       path);
    }
    return key_agrees(path, kept, k, e);
}

static bool key_find(struct service *svc, struct arena *a, struct server_key *k, struct err *e)
{
    const char *path = arena_printf(a, "%s/server.key", svc->data_dir);
    struct setting_row kept;
    bool made;

    return stored_fingerprint(svc, a, &kept, e) && key_load(path, a, &kept, k, &made, e) &&
           key_settle(svc, path, a, &kept, k, made, e);
}

bool secrets_open(struct service *svc, struct err *e)
{
    struct arena *a = arena_new(64 * 1024);
    struct server_key k;
    bool ok = key_find(svc, a, &k, e);

    if (ok) {
        snprintf(svc->wrap_name, sizeof svc->wrap_name, "%.*s", WRAP_NAME, k.fingerprint);
        crypt_derive(&k.key, BYTES("wrap"), &svc->wrap_key);
        crypt_derive(&k.key, BYTES("idempotency"), &svc->idempotency_key);
        crypt_derive(&k.key, BYTES("answer"), &svc->answer_key);
        crypt_derive(&k.key, BYTES("secret"), &svc->secret_key);
        crypt_derive(&k.key, BYTES("return path 1"), &svc->token_key);
        crypt_derive(&k.key, BYTES("srs"), &svc->srs_key);
        crypt_derive(&k.key, BYTES("public token 1"), &svc->public_key);
        crypt_key_new(&svc->remember_key);
    }
    crypt_wipe(&k, sizeof k);
    arena_free(&a);
    return ok;
}

struct id id_of_name(const struct service *svc, const char *purpose, struct bytes name)
{
    uint8_t hash[CRYPT_HASH];
    struct buf text;

    buf_init(&text, 8192);
    buf_addf(&text, "%s %zu ", purpose, name.n);
    buf_add(&text, bytes_head(name, 4096));
    crypt_keyed_hash(&svc->idempotency_key, buf_bytes(&text), hash);
    buf_clear(&text);
    return id_of_hash(hash);
}

/* ---- secrets in rows ---- */

struct bytes secret_seal(const struct service *svc, struct id row, struct bytes text, struct arena *a)
{
    struct bytes sealed;
    struct buf out;

    buf_init(&out, text.n + CRYPT_SEAL_EXTRA);
    if (!crypt_seal(&svc->secret_key, text, (struct bytes){ (const char *)row.b, sizeof row.b }, &out))
        die("%zu bytes cannot be sealed", text.n);
    sealed = arena_copy(a, buf_bytes(&out));
    buf_clear(&out);
    return sealed;
}

bool secret_open(const struct service *svc, struct id row, struct bytes sealed, struct bytes wrap, struct buf *out,
                 struct err *e)
{
    if (bytes_equal(wrap, bytes_of(svc->wrap_name)) &&
        crypt_open(&svc->secret_key, sealed, (struct bytes){ (const char *)row.b, sizeof row.b }, out))
        return true;
    return err_set(e, ERR_SEALED, "It is sealed with the server key %.*s and does not open with %s", SHOW(wrap),
                   svc->wrap_name);
}

/* ---- keys of users ---- */

/* What a key is wrapped for: the user, and which of their keys it is. */
struct purpose {
    uint8_t b[sizeof(struct id) + 5];
    size_t n;
};

static struct bytes purpose_of(struct id user_id, const char *which, struct purpose *out)
{
    out->n = sizeof user_id.b + strlen(which);
    memcpy(out->b, user_id.b, sizeof user_id.b);
    memcpy(out->b + sizeof user_id.b, which, strlen(which));
    return (struct bytes){ (const char *)out->b, out->n };
}

static void make_key(struct service *svc, struct bytes purpose, struct arena *a, struct bytes *wrapped,
                     struct bytes *wrap)
{
    uint8_t *out = arena_alloc(a, CRYPT_WRAPPED);
    struct crypt_key key;

    crypt_key_new(&key);
    crypt_wrap(&svc->wrap_key, &key, purpose, out);
    crypt_wipe(&key, sizeof key);
    *wrapped = (struct bytes){ (char *)out, CRYPT_WRAPPED };
    *wrap = bytes_of(svc->wrap_name);
}

static bool open_key(const struct service *svc, struct bytes purpose, struct bytes wrapped, struct bytes wrap,
                     struct crypt_key *out, struct err *e)
{
    if (bytes_equal(wrap, bytes_of(svc->wrap_name)) && crypt_unwrap(&svc->wrap_key, wrapped, purpose, out))
        return true;
    return err_set(e, ERR_SEALED, "The user's key %.*s does not open with the server's key %s", SHOW(wrap),
                   svc->wrap_name);
}

void user_key_make(struct service *svc, struct id user_id, struct arena *a, struct bytes *wrapped, struct bytes *wrap)
{
    struct purpose p;

    make_key(svc, purpose_of(user_id, "", &p), a, wrapped, wrap);
}

bool user_key_open(const struct service *svc, struct id user_id, struct bytes wrapped, struct bytes wrap,
                   struct crypt_key *out, struct err *e)
{
    struct purpose p;

    return open_key(svc, purpose_of(user_id, "", &p), wrapped, wrap, out, e);
}

void index_key_make(struct service *svc, struct id user_id, struct arena *a, struct bytes *wrapped, struct bytes *wrap)
{
    struct purpose p;

    make_key(svc, purpose_of(user_id, "index", &p), a, wrapped, wrap);
}

bool index_key_open(const struct service *svc, struct id user_id, struct bytes wrapped, struct bytes wrap,
                    struct crypt_key *out, struct err *e)
{
    struct purpose p;

    return open_key(svc, purpose_of(user_id, "index", &p), wrapped, wrap, out, e);
}
