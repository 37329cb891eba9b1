/* service/identity/auth_key.c - API keys: found by the hash of the secret, remembered for at most a second, so that a
 * key that another node deletes ends within that; one that this process changes ends at once. A secret has 200 bits, so
 * one fast hash is enough, and the row is looked up by it: nothing is compared that could tell how near a guess was. */
#include "base/network.h"
#include "service/core/state.h"
#include "service/identity/auth.h"
#include "service/identity/auth_private.h"
#include "service/identity/key_secret.h"
#define uthash_fatal(message) die("out of memory: keys")
#include <uthash.h>

#define FRESH_MS    1000
#define SECRET_MOST 128

struct known_key {
    UT_hash_handle hh;
    uint8_t hash[CRYPT_HASH];
    int64_t until;
    struct key_row row; /* domain_ids, allowed_ips, hint lie in `texts`; other texts are not kept */
    bool test;
    char *texts;
};

static void forget(struct auth *a, struct known_key *k)
{
    HASH_DEL(a->keys, k);
    free(k->texts);
    free(k);
}

void keys_clear(struct auth *a)
{
    struct known_key *k, *next;

    HASH_ITER (hh, a->keys, k, next)
        forget(a, k);
}

/* The generation keeps a row that was read before the change from being remembered after it. */
void auth_forget_key(struct service *svc, struct id key_id)
{
    struct auth *a = svc->auth;
    struct known_key *k, *next;

    pthread_mutex_lock(&a->mutex);
    a->keys_generation++;
    HASH_ITER (hh, a->keys, k, next)
        if (id_equal(k->row.id, key_id))
            forget(a, k);
    pthread_mutex_unlock(&a->mutex);
}

void auth_forget_all(struct service *svc)
{
    pthread_mutex_lock(&svc->auth->mutex);
    svc->auth->keys_generation++;
    keys_clear(svc->auth);
    pthread_mutex_unlock(&svc->auth->mutex);
    remember_clear(svc->auth, NO_ID);
}

/* ---- memory ---- */

static void texts_of(struct key_row *row, struct bytes *texts[3])
{
    texts[0] = &row->domain_ids;
    texts[1] = &row->allowed_ips;
    texts[2] = &row->hint;
}

static bool recall(struct call *c, struct bytes hash, struct key_row *out, bool *test, uint64_t *generation)
{
    struct auth *a = c->svc->auth;
    struct bytes *texts[3];
    struct known_key *k;
    bool fresh;

    pthread_mutex_lock(&a->mutex);
    *generation = a->keys_generation;
    HASH_FIND(hh, a->keys, hash.p, hash.n, k);
    fresh = k && k->until > clock_monotonic();
    if (fresh) {
        *out = k->row;
        *test = k->test;
        texts_of(out, texts);
        for (size_t i = 0; i < 3; i++)
            *texts[i] = arena_copy(c->arena, *texts[i]);
    }
    pthread_mutex_unlock(&a->mutex);
    return fresh;
}

static struct known_key *copy(struct bytes hash, const struct key_row *row, bool test)
{
    struct known_key *k = calloc(1, sizeof *k);
    struct bytes *texts[3];
    size_t at = 0;

    if (!k || !(k->texts = malloc(row->domain_ids.n + row->allowed_ips.n + row->hint.n + 1)))
        die("out of memory: keys");
    memcpy(k->hash, hash.p, sizeof k->hash);
    k->until = clock_monotonic() + FRESH_MS;
    k->row = *row;
    k->test = test;
    k->row.name = k->row.mode = k->row.hash = NO_BYTES;
    texts_of(&k->row, texts);
    for (size_t i = 0; i < 3; i++) {
        if (!texts[i]->p)
            continue;
        memcpy(k->texts + at, texts[i]->p, texts[i]->n);
        *texts[i] = (struct bytes){ k->texts + at, texts[i]->n };
        at += texts[i]->n;
    }
    return k;
}

static void remember(struct call *c, struct known_key *k, uint64_t generation)
{
    struct auth *a = c->svc->auth;
    struct known_key *old;

    pthread_mutex_lock(&a->mutex);
    HASH_FIND(hh, a->keys, k->hash, sizeof k->hash, old);
    if (old)
        forget(a, old);
    while (a->keys && HASH_COUNT(a->keys) >= (unsigned)PARAM_INT(auth, key_cache))
        forget(a, a->keys); /* the oldest */
    HASH_ADD(hh, a->keys, hash, sizeof k->hash, k);
    if (generation != a->keys_generation)
        forget(a, k);
    pthread_mutex_unlock(&a->mutex);
}

/* ---- the key ---- */

static bool refuse(struct call *c, struct bytes hint, const char *why)
{
    metric_add(METRIC_auth_failures_total, 1);
    log_warn("auth", LOG_BYTES("id", id_text(c->arena, "req", c->request)), LOG_TEXT("result", "failed"),
             LOG_BYTES("client", c->client_ip), LOG_BYTES("key", hint), LOG_TEXT("door", c->door),
             LOG_TEXT("reason", why));
    return err_set(&c->err, ERR_AUTH, "The key is not valid here");
}

/* *row keeps the id none when there is no such key, or its account is gone or disabled. */
static bool key_find(struct call *c, struct bytes hash, struct key_row *row, bool *test)
{
    struct value v = V_BYTES(hash);
    struct account_row account = { 0 };
    struct err why = { 0 };
    uint64_t generation;

    if (recall(c, hash, row, test, &generation))
        return true;
    if (!store_get_by(c->store, &key_kind, "hash", &v, 1, c->arena, row, &why) ||
        !store_get(c->store, &account_kind, row->account_id, c->arena, &account, &why)) {
        row->id = NO_ID;
        c->err = why.code == ERR_MISSING ? c->err : why;
        return why.code == ERR_MISSING;
    }
    *test = bytes_equal(row->mode, BYTES("test"));
    if (account.disabled)
        row->id = NO_ID;
    else
        remember(c, copy(hash, row, *test), generation);
    return true;
}

static struct bytes *read_list(struct call *c, struct bytes json, size_t *n)
{
    struct json_object *list = NULL;
    struct bytes *texts = NULL;
    struct err ignored = { 0 };

    *n = 0;
    if (!json.p || !json_read(json, &list, &ignored))
        return NULL;
    texts = json_texts(c->arena, list, n);
    for (size_t i = 0; i < *n; i++)
        texts[i] = arena_copy(c->arena, texts[i]);
    json_object_put(list);
    return texts;
}

static bool from_there(struct call *c, const struct key_row *row)
{
    struct network client, net;
    struct bytes *list;
    size_t n;

    if (!row->allowed_ips.p)
        return true;
    list = read_list(c, row->allowed_ips, &n);
    if (!c->client_ip.p || !network_parse_address(c->client_ip, &client))
        return false;
    for (size_t i = 0; i < n; i++)
        if (network_parse(list[i], &net) && network_holds(&net, &client))
            return true;
    return false;
}

/* What the key may do: a session that has more than that ends. */
static uint64_t mark_of(const struct key_row *row)
{
    uint8_t hash[CRYPT_HASH];
    struct buf text;
    uint64_t mark;

    buf_init(&text, 128 * 1024);
    buf_addf(&text, "%lld ", (long long)row->scopes);
    buf_add(&text, row->domain_ids);
    crypt_hash(buf_bytes(&text), hash);
    buf_clear(&text);
    memcpy(&mark, hash, sizeof mark);
    return mark;
}

static const struct principal *principal_of(struct call *c, struct bytes hash, const struct key_row *row, bool test)
{
    struct principal *p = arena_alloc(c->arena, sizeof *p);
    struct bytes *list;
    size_t n;

    *p = (struct principal){
        .kind = WHO_KEY,
        .id = row->id,
        .account_id = row->account_id,
        .scopes = (unsigned)row->scopes,
        .test = test,
        .name = row->hint,
        .mark = mark_of(row),
        .key_hash = hash,
    };
    list = read_list(c, row->domain_ids, &n);
    if (n == 0)
        return p;
    p->domain_ids = arena_array(c->arena, n, sizeof *p->domain_ids);
    for (size_t i = 0; i < n; i++) /* one that does not read stays none: the key is bound, and reaches no more for it */
        id_parse("dom", list[i], &p->domain_ids[i]);
    p->n_domain_ids = n;
    return p;
}

/* Why the key does not hold; NULL when it does. */
static const char *fault_of(struct call *c, const struct key_row *row)
{
    if (id_is_none(row->id))
        return "unknown, or its account is disabled";
    if (row->expires_at && row->expires_at <= clock_wall())
        return "expired";
    return from_there(c, row) ? NULL : "not from this address";
}

bool key_current(struct call *c)
{
    struct key_row row = { 0 };
    bool test = false;

    if (!key_find(c, c->who->key_hash, &row, &test))
        return false;
    return (!fault_of(c, &row) && mark_of(&row) == c->who->mark) || err_set(&c->err, ERR_AUTH, "The key has changed");
}

bool auth_key(struct call *c, struct bytes secret, const struct principal **out)
{
    struct key_row row = { 0 };
    struct bytes hash;
    const char *fault;
    bool test = false;

    if (secret.n > SECRET_MOST ||
        (!bytes_starts(secret, BYTES("pr_live_")) && !bytes_starts(secret, BYTES("pr_test_"))))
        return refuse(c, NO_BYTES, "no key of ours");
    hash = key_secret_hash(secret, c->arena);
    if (!key_find(c, hash, &row, &test))
        return false;
    if ((fault = fault_of(c, &row)))
        return refuse(c, bytes_head(secret, 12), fault);
    seen_note(c->svc, &key_kind, row.id);
    *out = principal_of(c, hash, &row, test);
    return true;
}
