/* mail/auth/verify.c - DKIM signatures and the latest message signature of ARC, over one body.
 *
 * Each needs the hash of a body in one of two forms, as far as its l= goes: those that are the same are hashed once.
 * What is wrong with a signature as it is read is its result; the others wait for their keys, and each is decided once,
 * so that judging again after an answer repeats nothing. */
#include "mail/auth/verify.h"
#include "mail/auth/signature_private.h"
#include "mail/chars.h"
#include <openssl/evp.h>

struct body_hash {
    bool relaxed;
    int64_t length; /* -1: all */
    uint64_t left, size;
    EVP_MD_CTX *ctx;
    struct dkim_body canon;
    uint8_t hash[DKIM_HASH];
};

struct dkim_one {
    struct signature s;
    struct body_hash *body;
    bool decided;
};

struct verifier {
    struct verify_how how;
    struct arena *a;
    struct fields fields;
    struct dkim_one *list;
    struct dkim_seen *seen;
    size_t n, passed_over;
    struct body_hash *bodies;
    size_t n_bodies;
    struct arc arc;
    struct arc_seen arc_seen;
    struct body_hash *arc_body;
};

/* ---- the body ---- */

static void take_canonical(void *ctx, const char *p, size_t n)
{
    struct body_hash *h = ctx;

    h->size += n;
    if (h->length >= 0) {
        n = n < h->left ? n : (size_t)h->left;
        h->left -= n;
    }
    if (n && EVP_DigestUpdate(h->ctx, p, n) != 1)
        die("SHA-256 failed");
}

static struct body_hash *body_for(struct verifier *v, const struct signature *s)
{
    struct body_hash *h = v->bodies;

    for (size_t i = 0; i < v->n_bodies; i++, h++)
        if (h->relaxed == s->relaxed_body && h->length == s->length)
            return h;
    v->n_bodies++;
    *h = (struct body_hash){ .relaxed = s->relaxed_body, .length = s->length, .ctx = EVP_MD_CTX_new() };
    h->left = s->length > 0 ? (uint64_t)s->length : 0;
    if (!h->ctx || EVP_DigestInit_ex(h->ctx, EVP_sha256(), NULL) != 1)
        die("no SHA-256");
    dkim_body_begin_to(&h->canon, take_canonical, h);
    h->canon.simple = !h->relaxed;
    return h;
}

/* ---- the header ---- */

static struct bytes without_blanks(struct bytes text, struct arena *a)
{
    char *out = arena_array(a, text.n + 1, 1);
    size_t n = 0;

    for (size_t i = 0; i < text.n; i++)
        if (!char_is_blank(text.p[i]))
            out[n++] = text.p[i];
    return text.p ? (struct bytes){ out, n } : NO_BYTES;
}

static void show(const struct signature *s, struct arena *a, struct dkim_seen *out)
{
    const struct tags *t = &s->tags;

    out->domain = s->domain.p ? s->domain : tags_value(t, "d");
    out->selector = tags_value(t, "s");
    out->agent = tags_value(t, "i");
    out->algorithm = tags_value(t, "a");
    out->header_form = s->relaxed_header ? BYTES("relaxed") : BYTES("simple");
    out->body_form = s->relaxed_body ? BYTES("relaxed") : BYTES("simple");
    out->signature = without_blanks(tags_value(t, "b"), a);
    out->names = without_blanks(tags_value(t, "h"), a);
    out->signed_at = s->signed_at > 0 ? s->signed_at * 1000 : 0;
    out->expires_at = s->expires_at > 0 ? s->expires_at * 1000 : 0;
    out->length = s->length;
}

static void read_one(struct verifier *v, const struct header *field)
{
    struct dkim_one *one = &v->list[v->n];
    struct dkim_seen *seen = &v->seen[v->n];

    seen->result = signature_read(field, SIGNATURE_DKIM, v->a, &one->s, &seen->why);
    show(&one->s, v->a, seen);
    if (seen->result == AUTH_PASS && fields_count(&v->fields, BYTES("From")) != 1) {
        seen->result = AUTH_PERMERROR;
        seen->why = BYTES("the mail has not exactly one From");
    }
    one->decided = seen->result != AUTH_PASS;
    if (!one->decided)
        one->body = body_for(v, &one->s);
    v->n++;
}

static void read_signatures(struct verifier *v)
{
    size_t most = v->how.signatures, there = fields_count(&v->fields, BYTES("DKIM-Signature"));

    most = most < there ? most : there;
    v->list = arena_array(v->a, most, sizeof *v->list);
    v->seen = arena_array(v->a, most, sizeof *v->seen);
    v->bodies = arena_array(v->a, most + 1, sizeof *v->bodies);
    v->passed_over = there - most;
    for (size_t i = 0; i < v->fields.n && v->n < most; i++)
        if (bytes_equal_nocase(v->fields.list[i].name, BYTES("DKIM-Signature")))
            read_one(v, &v->fields.list[i]);
}

struct verifier *verify_begin(const struct verify_how *how, struct bytes header, struct arena *a)
{
    struct verifier *v = arena_alloc(a, sizeof *v);

    v->how = *how;
    v->a = a;
    fields_read(&v->fields, bytes_head(header, header_end(header)), a);
    read_signatures(v);
    arc_read(&v->arc, &v->fields, a, &v->arc_seen);
    if (!v->arc.decided)
        v->arc_body = body_for(v, v->arc.sets[v->arc.n - 1].message_signature);
    return v;
}

void verify_ask(struct verifier *v, struct lookups *l)
{
    for (size_t i = 0; i < v->n; i++)
        if (!v->list[i].decided)
            lookups_find(l, signature_key_name(&v->list[i].s, v->a), LOOKUP_TXT);
    if (!v->arc.decided)
        arc_ask(&v->arc, l);
}

void verify_feed(struct verifier *v, struct bytes chunk)
{
    for (size_t i = 0; i < v->n_bodies; i++)
        dkim_body_feed(&v->bodies[i].canon, chunk);
}

void verify_body_end(struct verifier *v)
{
    for (size_t i = 0; i < v->n_bodies; i++) {
        dkim_body_end(&v->bodies[i].canon, NULL);
        if (EVP_DigestFinal_ex(v->bodies[i].ctx, v->bodies[i].hash, NULL) != 1)
            die("SHA-256 failed");
    }
}

/* ---- judging ---- */

static void wrong(struct dkim_seen *seen, enum auth_result r, const char *why)
{
    seen->result = r;
    seen->why = bytes_of(why);
}

/* Its bytes are right: is it good now, and for all of the mail? */
static void judge_scope(const struct verifier *v, const struct signature *s, struct dkim_seen *seen)
{
    if (s->expires_at >= 0 && s->expires_at < (v->how.now - v->how.skew) / 1000)
        wrong(seen, AUTH_FAIL, "the signature has expired (x=)");
    else if (s->signed_at > (v->how.now + v->how.skew) / 1000)
        wrong(seen, AUTH_FAIL, "it was signed in the future (t=)");
    else if (s->length >= 0)
        wrong(seen, AUTH_NEUTRAL, "only a part of the body is signed (l=)");
}

static void judge_key(struct verifier *v, struct dkim_one *one, const struct signature_key *key, struct dkim_seen *seen)
{
    uint8_t hash[DKIM_HASH];

    signature_hash(&one->s, &v->fields, hash);
    if (one->s.length >= 0 && one->body->size < (uint64_t)one->s.length)
        wrong(seen, AUTH_FAIL, "the body is shorter than what was signed (l=)");
    else if (!signature_body_good(&one->s, one->body->hash))
        wrong(seen, AUTH_FAIL, "the body is not what was signed");
    else if (!signature_good(&one->s, key, hash))
        wrong(seen, AUTH_FAIL, "the header is not what was signed, or not with this key");
    else
        seen->verified = true;
    if (seen->verified)
        judge_scope(v, &one->s, seen);
}

/* False: its key is not known yet. */
static bool judge_one(struct verifier *v, struct dkim_one *one, struct dkim_seen *seen, struct lookups *l)
{
    const struct lookup *txt = lookups_find(l, signature_key_name(&one->s, v->a), LOOKUP_TXT);
    struct signature_key key;

    if (txt->result == LOOKUP_PENDING)
        return false;
    seen->result = signature_key(&one->s, txt, &key, &seen->why);
    seen->bits = key.bits;
    seen->testing = key.testing;
    if (seen->result == AUTH_PASS)
        judge_key(v, one, &key, seen);
    EVP_PKEY_free(key.pkey);
    one->decided = true;
    return true;
}

static bool is_arc_known(struct verifier *v, struct lookups *l)
{
    size_t n = l->n;
    bool known = true;

    arc_ask(&v->arc, l);
    for (size_t i = 0; i < l->n; i++)
        known = known && l->list[i].result != LOOKUP_PENDING;
    return known && l->n == n;
}

bool verify_judge(struct verifier *v, struct lookups *l, struct verified *out)
{
    bool all = true;

    for (size_t i = 0; i < v->n; i++)
        if (!v->list[i].decided)
            all = judge_one(v, &v->list[i], &v->seen[i], l) && all;
    if (!v->arc.decided && is_arc_known(v, l)) {
        const struct signature *s = v->arc.sets[v->arc.n - 1].message_signature;
        bool whole = s->length < 0 || v->arc_body->size == (uint64_t)s->length; /* nothing stands behind it */

        arc_judge(&v->arc, &v->fields, l, whole && signature_body_good(s, v->arc_body->hash), &v->arc_seen);
    }
    *out = (struct verified){ .dkim = v->seen, .n_dkim = v->n, .passed_over = v->passed_over, .arc = v->arc_seen };
    return all && v->arc.decided;
}

void verify_end(struct verifier **v)
{
    if (!*v)
        return;
    for (size_t i = 0; i < (*v)->n_bodies; i++) {
        dkim_body_drop(&(*v)->bodies[i].canon);
        EVP_MD_CTX_free((*v)->bodies[i].ctx);
    }
    *v = NULL;
}
