/* cli/mail_dkim.c - postrider mail sign and dkim-key: signatures and keys (mail/dkim_sign.h, mail/dkim_key.h).
 *
 * A private key is shown only where it was made here, and never in an error. Fields come out as they are to stand
 * before the message, which itself is not shown: not every message is text that JSON can hold. */
#include "cli/mail.h"
#include "mail/dkim_sign.h"
#include <json-c/json.h>

#define FIELDS_MAX ((size_t)1024 * 1024)
enum { KEYS_MAX = 10 };

static const struct flag sign_flags[] = {
    { "domain", FLAG_TEXT, "domain", false, "whose signature it is: d=" },
    { "selector", FLAG_TEXT, "selector", false, "of the key: s=" },
    { "key", FLAG_WHOLE, "private_key", false, "FILE with the private key (PEM, or the base64 of an Ed25519 seed)" },
    { "valid", FLAG_NUMBER, "valid", false, "seconds until it ends: x=; without it there is no end" },
    { NULL, FLAG_TEXT, NULL, false, NULL },
};

static const struct flag key_flags[] = {
    { "algorithm", FLAG_TEXT, "algorithm", false, "of a new one: rsa (standard) or ed25519" },
    { "domain", FLAG_TEXT, "domain", false, "where its record is to stand" },
    { "selector", FLAG_TEXT, "selector", false, "and under which name there" },
    { NULL, FLAG_TEXT, NULL, false, NULL },
};

/* ---- sign ---- */

struct signing {
    struct dkim_by by[KEYS_MAX];
    struct dkim_key *keys[KEYS_MAX];
    size_t n;
};

static bool add_key(struct signing *g, struct mail_case *c, struct bytes selector, struct bytes text)
{
    if (g->n == KEYS_MAX)
        return err_set(&c->err, ERR_INVALID, "More than %d keys", KEYS_MAX);
    if (!selector.n || !text.n)
        return err_set(&c->err, ERR_INVALID, "A selector and a private_key are wanted");
    if (!dkim_key_read(text, &g->keys[g->n], &c->err))
        return false;
    g->by[g->n] = (struct dkim_by){ .key = g->keys[g->n], .selector = selector };
    g->n++;
    return true;
}

/* One key by the members selector and private_key, or several in a list "keys" of such. */
static bool add_keys(struct signing *g, struct mail_case *c)
{
    struct json_object *list = json_member(c->in, "keys");

    if (!list)
        return add_key(g, c, mail_text(c, "selector"), mail_text(c, "private_key"));
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *one = json_object_array_get_idx(list, i);

        if (!add_key(g, c, json_text(one, "selector"), json_text(one, "private_key")))
            return false;
    }
    return true;
}

static void hash_body(struct bytes message, size_t end, uint8_t hash[DKIM_HASH])
{
    struct bytes body = bytes_from(message, end);
    struct dkim_body b;

    dkim_body_begin(&b);
    dkim_body_feed(&b, bytes_starts(body, BYTES("\r\n")) ? bytes_from(body, 2) : body);
    dkim_body_end(&b, hash);
}

static void write_signatures(struct mail_case *c, struct bytes fields)
{
    struct bytes rest = fields;
    struct header h;

    jw_key(c->out, "signatures");
    jw_array(c->out);
    while (header_next(&rest, &h))
        jw_text(c->out, h.whole);
    jw_array_end(c->out);
}

static bool sign_with(struct mail_case *c, const struct signing *g)
{
    struct dkim_signing s = { .domain = mail_text(c, "domain"),
                              .by = g->by,
                              .n_by = g->n,
                              .now = c->now,
                              .valid = mail_number(c, "valid", 0) * 1000 };
    size_t end = header_end(c->value);
    uint8_t hash[DKIM_HASH];
    struct buf out;
    bool ok;

    buf_init(&out, FIELDS_MAX);
    hash_body(c->value, end, hash);
    ok = dkim_sign(&s, bytes_head(c->value, end), hash, &out, &c->err);
    if (ok)
        write_signatures(c, buf_bytes(&out));
    buf_clear(&out);
    return ok;
}

static bool run_sign(struct mail_case *c)
{
    struct signing g = { .n = 0 };
    bool ok = mail_text(c, "domain").n || err_set(&c->err, ERR_INVALID, "A domain is wanted");

    ok = ok && add_keys(&g, c) && sign_with(c, &g);
    for (size_t i = 0; i < g.n; i++)
        dkim_key_free(&g.keys[i]);
    return ok;
}

/* ---- dkim-key ---- */

static void write_texts_of(struct mail_case *c, const struct dkim_key *key, bool made)
{
    struct bytes domain = mail_text(c, "domain"), selector = mail_text(c, "selector");
    struct buf text;

    buf_init(&text, DKIM_KEY_TEXT_MAX);
    if (made) {
        dkim_key_write(key, &text);
        jw_key_text(c->out, "private_key", buf_bytes(&text));
        buf_reset(&text);
    }
    dkim_key_record(key, &text);
    jw_key_text(c->out, "record", buf_bytes(&text));
    if (domain.n && selector.n) {
        struct bytes name = arena_bytesf(c->a, "%.*s._domainkey.%.*s", SHOW(selector), SHOW(domain));
        struct bytes record = arena_copy(c->a, buf_bytes(&text));

        jw_key_text(c->out, "name", name);
        buf_reset(&text);
        buf_addf(&text, "%.*s. TXT ", SHOW(name));
        dkim_record_zone(record, &text);
        jw_key_text(c->out, "zone", buf_bytes(&text));
    }
    buf_clear(&text);
}

static bool new_key(struct mail_case *c, struct dkim_key **out)
{
    struct bytes algorithm = mail_text(c, "algorithm");

    if (bytes_equal(algorithm, BYTES("ed25519")))
        return dkim_key_new(DKIM_ED25519, out, &c->err);
    if (!algorithm.p || bytes_equal(algorithm, BYTES("rsa")))
        return dkim_key_new(DKIM_RSA, out, &c->err);
    return err_set(&c->err, ERR_INVALID, "The algorithm is rsa or ed25519");
}

static bool run_key(struct mail_case *c)
{
    struct dkim_key *key = NULL;
    bool made = c->value.n == 0;

    if (!(made ? new_key(c, &key) : dkim_key_read(c->value, &key, &c->err)))
        return false;
    jw_key_text(c->out, "algorithm", bytes_of(dkim_algorithm_name(dkim_key_algorithm(key))));
    jw_key_int(c->out, "bits", dkim_key_bits(key));
    write_texts_of(c, key, made);
    dkim_key_free(&key);
    return true;
}

const struct mail_verb mail_verb_sign = { .name = "sign",
                                          .member = "message",
                                          .message = true,
                                          .flags = sign_flags,
                                          .run = run_sign,
                                          .help = "a message: its DKIM signatures, to be put before it" },
                       mail_verb_dkim_key = { .name = "dkim-key",
                                              .member = "private_key",
                                              .optional = true,
                                              .flags = key_flags,
                                              .run = run_key,
                                              .help = "a private key: its record; an empty input: a new one" };
