/* mail/auth/signature_arc.c - the chain of ARC (RFC 8617 5.2): its form first, then the latest message signature and
 * every seal, each of which signs all that stood before it.
 *
 * A set is the three fields of one number. A chain that its latest seal calls broken (cv=fail) is not looked at:
 * whoever wrote that has seen it. Seals have no h=: what they sign is fixed, and always relaxed; each hash goes on from
 * the one before. */
#include "mail/auth/signature_private.h"
#include <openssl/evp.h>

static void failed(struct arc *arc, struct arc_seen *out, enum auth_result r, struct bytes why)
{
    arc->decided = true;
    out->result = r;
    out->why = why;
}

/* ARC-Authentication-Results: "i=1; authserv-id; …" (4.1.1). */
static int instance_of_results(const struct header *h)
{
    struct bytes first, name, value;
    int64_t n;

    bytes_cut(h->value, ';', &first, &value);
    if (!bytes_cut(first, '=', &name, &value) || !bytes_equal_nocase(bytes_trim(name), BYTES("i")) ||
        !tags_number(bytes_trim(value), &n) || n < 1 || n > ARC_INSTANCES_MAX)
        return 0;
    return (int)n;
}

static bool put(const struct header **place, const struct header *h)
{
    bool empty = !*place;

    *place = h;
    return empty;
}

/* One field of the chain into its set. False: it has no number, or another of its kind has that. */
static bool take(struct arc *arc, const struct header *h, struct arena *a, struct arc_seen *out)
{
    enum signature_kind kind =
        bytes_equal_nocase(h->name, BYTES("ARC-Seal")) ? SIGNATURE_ARC_SEAL : SIGNATURE_ARC_MESSAGE;
    struct signature *s;
    struct arc_set *set;
    int i;

    if (bytes_equal_nocase(h->name, BYTES("ARC-Authentication-Results"))) {
        i = instance_of_results(h);
        return i && put(&arc->sets[i - 1].results, h);
    }
    s = arena_alloc(a, sizeof *s);
    if (signature_read(h, kind, a, s, &out->why) != AUTH_PASS)
        return false;
    set = &arc->sets[s->instance - 1];
    if (kind == SIGNATURE_ARC_SEAL)
        set->seal_signature = s;
    else
        set->message_signature = s;
    return put(kind == SIGNATURE_ARC_SEAL ? &set->seal : &set->message, h);
}

static bool is_arc(struct bytes name)
{
    return bytes_equal_nocase(name, BYTES("ARC-Seal")) || bytes_equal_nocase(name, BYTES("ARC-Message-Signature")) ||
           bytes_equal_nocase(name, BYTES("ARC-Authentication-Results"));
}

/* 5.2 step 3: each set is whole, none is left out, and cv= says what it must. */
static bool is_whole(const struct arc *arc)
{
    for (size_t i = 0; i < arc->n; i++) {
        const struct arc_set *set = &arc->sets[i];

        if (!set->results || !set->message || !set->seal ||
            !bytes_equal_nocase(tags_value(&set->seal_signature->tags, "cv"), i ? BYTES("pass") : BYTES("none")))
            return false;
    }
    return true;
}

static bool collect(struct arc *arc, const struct fields *f, struct arena *a, struct arc_seen *out)
{
    for (size_t i = 0; i < f->n; i++)
        if (is_arc(f->list[i].name) && !take(arc, &f->list[i], a, out))
            return false;
    for (size_t i = 0; i < ARC_INSTANCES_MAX; i++)
        if (arc->sets[i].results || arc->sets[i].message || arc->sets[i].seal)
            arc->n = i + 1;
    return true;
}

void arc_read(struct arc *arc, const struct fields *f, struct arena *a, struct arc_seen *out)
{
    size_t there = fields_count(f, BYTES("ARC-Seal")) + fields_count(f, BYTES("ARC-Message-Signature")) +
                   fields_count(f, BYTES("ARC-Authentication-Results"));
    const struct arc_set *last;

    *arc = (struct arc){ .decided = true };
    *out = (struct arc_seen){ .result = AUTH_NONE };
    if (!there)
        return;
    if (there > 3 * ARC_INSTANCES_MAX) {
        failed(arc, out, AUTH_FAIL, BYTES("it has more than 50 sets (RFC 8617 4.2.1)"));
        return;
    }
    arc->sets = arena_array(a, ARC_INSTANCES_MAX, sizeof *arc->sets);
    if (!collect(arc, f, a, out)) {
        failed(arc, out, AUTH_FAIL, out->why.p ? out->why : BYTES("a field has no number, or one that is taken"));
        return;
    }
    out->instances = (unsigned)arc->n;
    last = &arc->sets[arc->n - 1];
    if (last->seal) {
        out->domain = last->seal_signature->domain;
        if (bytes_equal_nocase(tags_value(&last->seal_signature->tags, "cv"), BYTES("fail"))) {
            failed(arc, out, AUTH_FAIL, BYTES("its last seal says that it is broken (cv=fail)"));
            return;
        }
    }
    if (!is_whole(arc)) {
        failed(arc, out, AUTH_FAIL, BYTES("a set is not whole, or its cv= is not what it must be"));
        return;
    }
    out->results = arc->sets[0].results->value;
    out->result = AUTH_PASS;
    arc->decided = false;
}

void arc_ask(const struct arc *arc, struct lookups *l)
{
    lookups_find(l, signature_key_name(arc->sets[arc->n - 1].message_signature, l->arena), LOOKUP_TXT);
    for (size_t i = 0; i < arc->n; i++)
        lookups_find(l, signature_key_name(arc->sets[i].seal_signature, l->arena), LOOKUP_TXT);
}

static void hash_field(EVP_MD_CTX *ctx, const struct header *h)
{
    struct buf text;

    buf_init(&text, SIZE_MAX);
    dkim_header_relaxed(h, &text);
    buf_adds(&text, "\r\n");
    if (EVP_DigestUpdate(ctx, text.p, text.n) != 1)
        die("SHA-256 failed");
    buf_clear(&text);
}

/* 5.1.1: a seal signs the sets before it, each in the order results, message, seal, which `ctx` has hashed, and its
 * own, of the seal without the value of b=. Afterwards `ctx` has hashed this set, too. */
static void hash_seal(EVP_MD_CTX *ctx, const struct arc_set *set, uint8_t hash[DKIM_HASH])
{
    EVP_MD_CTX *own = EVP_MD_CTX_new();
    struct buf text;

    hash_field(ctx, set->results);
    hash_field(ctx, set->message);
    buf_init(&text, SIZE_MAX);
    signature_own(set->seal_signature, &text);
    if (!own || EVP_MD_CTX_copy_ex(own, ctx) != 1 || EVP_DigestUpdate(own, text.p, text.n) != 1 ||
        EVP_DigestFinal_ex(own, hash, NULL) != 1)
        die("SHA-256 failed");
    EVP_MD_CTX_free(own);
    buf_clear(&text);
    hash_field(ctx, set->seal);
}

static enum auth_result check(const struct signature *s, struct lookups *l, const uint8_t hash[DKIM_HASH],
                              struct bytes *why)
{
    const struct lookup *txt = lookups_find(l, signature_key_name(s, l->arena), LOOKUP_TXT);
    struct signature_key key;
    enum auth_result r = signature_key(s, txt, &key, why);

    if (r == AUTH_PASS && !signature_good(s, &key, hash)) {
        r = AUTH_FAIL;
        *why = BYTES("it is not what was signed");
    }
    EVP_PKEY_free(key.pkey);
    return r;
}

/* What is not to be had now may be later; all else is a chain that is broken. */
static bool judge(struct arc *arc, struct arc_seen *out, enum auth_result r, struct arena *a, const char *what,
                  size_t i, struct bytes why)
{
    if (r == AUTH_PASS)
        return true;
    failed(arc, out, r == AUTH_TEMPERROR ? r : AUTH_FAIL, arena_bytesf(a, "%s %zu: %.*s", what, i, SHOW(why)));
    return false;
}

static bool judge_seals(struct arc *arc, struct lookups *l, struct arc_seen *out)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = true;

    if (!ctx || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1)
        die("no SHA-256");
    for (size_t i = 0; i < arc->n && good; i++) {
        struct bytes why = NO_BYTES;
        uint8_t hash[DKIM_HASH];

        hash_seal(ctx, &arc->sets[i], hash);
        good = judge(arc, out, check(arc->sets[i].seal_signature, l, hash, &why), l->arena, "seal", i + 1, why);
    }
    EVP_MD_CTX_free(ctx);
    return good;
}

void arc_judge(struct arc *arc, struct fields *f, struct lookups *l, bool body_good, struct arc_seen *out)
{
    const struct signature *message = arc->sets[arc->n - 1].message_signature;
    uint8_t hash[DKIM_HASH];
    struct bytes why = BYTES("the body is not what was signed");
    enum auth_result r = AUTH_FAIL;

    signature_hash(message, f, hash);
    if (body_good)
        r = check(message, l, hash, &why);
    if (judge(arc, out, r, l->arena, "message signature", arc->n, why) && judge_seals(arc, l, out)) {
        arc->decided = true;
        out->result = AUTH_PASS;
    }
}
