/* Keys of domains: made with them, brought, moved on, taken along; who signs now. */
#include "base/clock.h"
#include "service/identity/dkim.h"
#include "service/identity/dkim_signer.h"
#include "tests/service/house.h"
#include <openssl/pem.h>
#include <openssl/rsa.h>

static struct domain_view shown(struct house *h, const struct principal *p, const char *name)
{
    struct domain_get_in in = { .id = B(name) };
    struct domain_view out;

    must(h, domain_get(as(h, p), &in, &out));
    return out;
}

static const struct dkim_row *keys_of(struct house *h, struct id domain, size_t *n)
{
    const struct dkim_row *rows;

    must(h, dkim_list(as(h, NULL), &domain, 1, &rows, n));
    return rows;
}

static struct bytes pem_of(struct house *h, enum dkim_algorithm algorithm)
{
    struct dkim_key *key;
    struct bytes pem;
    struct buf out;

    must(h, dkim_key_new(algorithm, &key, &h->c.err));
    buf_init(&out, DKIM_KEY_TEXT_MAX);
    dkim_key_write(key, &out);
    pem = arena_copy(h->arena, buf_bytes(&out));
    buf_clear(&out);
    dkim_key_free(&key);
    return pem;
}

static struct bytes pkcs1(struct house *h, unsigned bits)
{
    EVP_PKEY *key = EVP_RSA_gen(bits);
    BIO *bio = BIO_new(BIO_s_mem());
    struct bytes pem;
    char *p;
    long n;

    assert_int_equal(PEM_write_bio_PrivateKey_traditional(bio, key, NULL, NULL, 0, NULL, NULL), 1);
    n = BIO_get_mem_data(bio, &p);
    pem = arena_copy(h->arena, (struct bytes){ p, (size_t)n });
    BIO_free(bio);
    EVP_PKEY_free(key);
    return pem;
}

static bool import(struct house *h, const struct principal *p, const char *selector, struct bytes pem,
                   struct domain_view *out)
{
    struct domain_dkim_import_in in = { .id = BYTES("a.test"), .selector = B(selector), .private_key = pem };

    return domain_dkim_import(as(h, p), &in, out);
}

static void commit(struct house *h, struct batch *b)
{
    must(h, store_commit(h->svc->store, b, clock_monotonic() + 10000, &h->c.err));
    dkim_changed(h->svc);
}

/* "rsa active,ed25519 active" in their order. */
static void stands(const struct dkim_row *rows, size_t n, const char *want)
{
    char got[512] = "";
    size_t at = 0;

    for (size_t i = 0; i < n; i++)
        at += (size_t)snprintf(got + at, sizeof got - at, "%s%.*s %.*s", i ? "," : "", SHOW(rows[i].algorithm),
                               SHOW(rows[i].status));
    assert_string_equal(got, want);
}

static void domain_stands(struct house *h, struct id domain, const char *want)
{
    size_t n;
    const struct dkim_row *rows = keys_of(h, domain, &n);

    stands(rows, n, want);
}

/* What signs for the domain now: "selector,selector". */
static struct bytes signs(struct house *h, const struct domain_row *d)
{
    struct dkim_signer *s = NULL;
    struct buf out;
    struct bytes text;
    size_t n;
    const struct dkim_by *by;

    must(h, dkim_signer_get(as(h, NULL), d, &s));
    by = dkim_signer_by(s, &n);
    buf_init(&out, 600);
    for (size_t i = 0; i < n; i++)
        buf_addf(&out, "%s%.*s", i ? "," : "", SHOW(by[i].selector));
    text = arena_copy(h->arena, buf_bytes(&out));
    buf_clear(&out);
    dkim_signer_put(&s);
    return text;
}

static void a_domain_is_born_with_two(void **state)
{
    struct house *h = *state;
    struct principal *p = tenant(h, "a");
    struct domain_row d = domain(h, p, "a.test");
    struct domain_view v = shown(h, p, "a.test");
    struct domain_list_out all;

    stands(v.dkim, v.n_dkim, "rsa active,ed25519 active");
    assert_int_equal(v.dkim[0].bits, 2048);
    assert_false(bytes_equal(v.dkim[0].selector, v.dkim[1].selector));
    must(h, domain_list(as(h, p), &(struct domain_list_in){ 0 }, &all));
    stands(all.rows[0].dkim, all.rows[0].n_dkim, "rsa active,ed25519 active");
    same(dkim_record_name(h->arena, &v.dkim[0], d.name),
         arena_printf(h->arena, "%.*s._domainkey.a.test", SHOW(v.dkim[0].selector)));
    same(signs(h, &d), arena_printf(h->arena, "%.*s,%.*s", SHOW(v.dkim[0].selector), SHOW(v.dkim[1].selector)));
    assert_false(place_holds(h->url, BYTES("PRIVATE KEY")));
}

/* The sealed half is the one whose record is published. */
static void the_record_is_of_the_key(void **state)
{
    struct house *h = *state;
    struct principal *p = tenant(h, "a");
    struct domain_row d = domain(h, p, "a.test");
    struct dkim_row row;
    struct dkim_key *key;
    struct buf text;
    size_t n;
    const struct dkim_row *rows = keys_of(h, d.id, &n);

    assert_int_equal(n, 2);
    for (size_t i = 0; i < n; i++) {
        assert_null(rows[i].private_key.p);
        must(h, store_get(h->svc->store, &dkim_kind, rows[i].id, h->arena, &row, &h->c.err));
        must(h, dkim_open(h->svc, &row, &key, &h->c.err));
        buf_init(&text, 4096);
        dkim_key_record(key, &text);
        assert_int_equal(dkim_record_compare(buf_bytes(&text), row.record), DKIM_RECORD_SAME);
        buf_clear(&text);
        dkim_key_free(&key);
    }
}

static void they_go_with_their_domain(void **state)
{
    struct house *h = *state;
    struct principal *p = tenant(h, "a");
    struct domain_row d = domain(h, p, "a.test"), other = domain(h, p, "b.test");
    struct domain_delete_in in = { .id = BYTES("a.test") };
    struct domain_view v;
    size_t n;

    must(h, import(h, p, "s1", pem_of(h, DKIM_ED25519), &v));
    must(h, domain_delete(as(h, p), &in, NULL));
    keys_of(h, d.id, &n);
    assert_int_equal(n, 0);
    domain_stands(h, other.id, "rsa active,ed25519 active");
}

/* As an older build has left it. */
static struct domain_row old_domain(struct house *h, const struct principal *p, const char *name)
{
    struct domain_row row = { .id = id_new(),
                              .account_id = p->account_id,
                              .name = B(name),
                              .inbound = BYTES("mailboxes"),
                              .created_at = clock_wall() };
    struct batch *b = batch_new(h->arena);
    const struct set more = ADD("domains", 1);

    batch_insert(b, &domain_kind, &row, NULL, 0);
    batch_update(b, &account_kind, row.account_id, NULL, 0, &more, 1);
    commit(h, b);
    return row;
}

static void an_old_domain_gets_its_own(void **state)
{
    struct house *h = *state;
    struct principal *p = tenant(h, "a");
    struct domain_row looked = old_domain(h, p, "a.test"), signed_for = old_domain(h, p, "b.test");
    struct domain_view first = shown(h, p, "a.test"), again = shown(h, p, "a.test");
    struct bytes by = signs(h, &signed_for);

    stands(first.dkim, first.n_dkim, "rsa active,ed25519 active");
    same(again.dkim[0].selector, arena_printf(h->arena, "%.*s", SHOW(first.dkim[0].selector)));
    domain_stands(h, looked.id, "rsa active,ed25519 active");
    same(signs(h, &signed_for), arena_printf(h->arena, "%.*s", SHOW(by)));
    domain_stands(h, signed_for.id, "rsa active,ed25519 active");
}

/* ---- brought ---- */

static void one_brought_signs_where_none_was_seen(void **state)
{
    struct house *h = *state;
    struct principal *p = tenant(h, "a");
    struct domain_row d = domain(h, p, "a.test");
    struct domain_view v;

    must(h, import(h, p, "Mail.2024", pkcs1(h, 1024), &v));
    stands(v.dkim, v.n_dkim, "ed25519 active,rsa active");
    same(v.dkim[1].selector, "mail.2024");
    assert_int_equal(v.dkim[1].bits, 1024);
    domain_stands(h, d.id, "ed25519 active,rsa active");
    same(signs(h, &d), arena_printf(h->arena, "mail.2024,%.*s", SHOW(v.dkim[0].selector)));
}

static void one_brought_waits_behind_one_that_was_seen(void **state)
{
    struct house *h = *state;
    struct principal *p = tenant(h, "a");
    struct domain_row d = domain(h, p, "a.test");
    struct batch *b = batch_new(h->arena);
    struct domain_view v;
    size_t n;

    dkim_seen(b, h->arena, &keys_of(h, d.id, &n)[1], clock_wall());
    commit(h, b);
    must(h, import(h, p, "s1", BYTES("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="), &v)); /* RFC 8463 A.2 */
    stands(v.dkim, v.n_dkim, "rsa active,ed25519 active,ed25519 next");
    same(v.dkim[2].record, "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
}

static void what_is_wrong_with_one_is_told(void **state)
{
    static const char *const selectors[] = { "",
                                             ".",
                                             "a.",
                                             ".a",
                                             "a..b",
                                             "-a",
                                             "a-",
                                             "a_b",
                                             "a b",
                                             "\xc3\xa4",
                                             "0123456789012345678901234567890123456789012345678901234567890123" };
    struct house *h = *state;
    struct principal *p = tenant(h, "a");
    struct bytes pem = pem_of(h, DKIM_ED25519);
    struct domain_view v;
    char deep[253];

    domain(h, p, "a.test");
    for (size_t i = 0; i < sizeof selectors / sizeof *selectors; i++)
        faults(h, import(h, p, selectors[i], pem, &v), "/selector");
    for (size_t i = 0; i < sizeof deep - 1; i++)
        deep[i] = i % 2 ? '.' : 'a';
    deep[251] = '\0';
    faults(h, import(h, p, deep, pem, &v), "/selector");
    faults(h, import(h, p, "s1", BYTES("no key"), &v), "/private_key");
    faults(h, import(h, p, "s1", pkcs1(h, 512), &v), "/private_key");
    must(h, import(h, p, "s1", pkcs1(h, 1024), &v));
    wont(h, import(h, p, "S1", pem, &v), ERR_CONFLICT);
    wont(h,
         domain_dkim_import(as(h, tenant(h, "b")), &(struct domain_dkim_import_in){ BYTES("a.test"), BYTES("x"), pem },
                            &v),
         ERR_MISSING);
}

static void a_domain_has_so_many(void **state)
{
    struct house *h = *state;
    struct principal *p = tenant(h, "a");
    struct bytes pem = pem_of(h, DKIM_ED25519);
    struct domain_row d = domain(h, p, "a.test");
    struct batch *b = batch_new(h->arena);
    struct domain_view v;
    size_t n;

    set_param("dkim.keys_max", "4");
    dkim_seen(b, h->arena, &keys_of(h, d.id, &n)[1], clock_wall());
    commit(h, b);
    must(h, import(h, p, "s1", pem, &v));
    must(h, import(h, p, "s2", pem, &v));
    wont(h, import(h, p, "s3", pem, &v), ERR_CONFLICT);
    assert_int_equal(shown(h, p, "a.test").n_dkim, 4);
}

/* ---- moved on ---- */

static void a_rotation(void **state)
{
    struct house *h = *state;
    struct principal *p = tenant(h, "a");
    struct domain_row d = domain(h, p, "a.test");
    struct dkim_row pair[2];
    const struct dkim_row *rows;
    struct batch *b = batch_new(h->arena);
    struct bytes before = signs(h, &d);
    size_t n;

    must(h, dkim_pair(as(h, NULL), &d, DKIM_NEXT, pair));
    dkim_add(b, h->arena, pair, 2);
    commit(h, b);
    domain_stands(h, d.id, "rsa active,ed25519 active,rsa next,ed25519 next");
    same(signs(h, &d), arena_printf(h->arena, "%.*s", SHOW(before))); /* not before it was seen */
    rows = keys_of(h, d.id, &n);
    b = batch_new(h->arena);
    dkim_seen(b, h->arena, &rows[2], clock_wall());
    dkim_succeed(b, h->arena, rows, n, &rows[2], clock_wall());
    commit(h, b);
    domain_stands(h, d.id, "rsa retiring,ed25519 active,rsa active,ed25519 next");
    same(signs(h, &d), arena_printf(h->arena, "%.*s,%.*s", SHOW(rows[2].selector), SHOW(rows[1].selector)));
    b = batch_new(h->arena);
    dkim_succeed(b, h->arena, rows, n, &rows[3], clock_wall()); /* as it was read before */
    commit(h, b);
    rows = keys_of(h, d.id, &n);
    stands(rows, n, "rsa retiring,ed25519 retiring,rsa active,ed25519 active");
    assert_true(rows[0].retired_at && rows[2].active_at && rows[2].seen_at);
}

static void a_revoked_key_is_gone(void **state)
{
    struct house *h = *state;
    struct principal *p = tenant(h, "a");
    struct domain_row d = domain(h, p, "a.test");
    struct batch *b = batch_new(h->arena);
    struct dkim_row row;
    const struct dkim_row *rows;
    struct dkim_key *key;
    size_t n;

    rows = keys_of(h, d.id, &n);
    dkim_move(b, h->arena, &rows[0], DKIM_REVOKED, clock_wall());
    commit(h, b);
    must(h, store_get(h->svc->store, &dkim_kind, rows[0].id, h->arena, &row, &h->c.err));
    assert_null(row.private_key.p);
    same(dkim_record_text(h->arena, &row), "v=DKIM1; k=rsa; p=");
    assert_int_equal(dkim_record_compare(row.record, dkim_record_text(h->arena, &row)), DKIM_RECORD_REVOKED);
    wont(h, dkim_open(h->svc, &row, &key, &h->c.err), ERR_GONE);
    b = batch_new(h->arena);
    dkim_move(b, h->arena, &rows[0], DKIM_RETIRING, clock_wall()); /* who read it before is too late */
    wont(h, store_commit(h->svc->store, b, clock_monotonic() + 10000, &h->c.err), ERR_CONFLICT);
    b = batch_new(h->arena);
    dkim_remove(b, h->arena, &row);
    commit(h, b);
    assert_int_equal(shown(h, p, "a.test").row.dkim_keys, 1);
}

/* ---- who signs ---- */

static void a_key_of_another_server_does_not_sign(void **state)
{
    struct house *h = *state;
    struct principal *p = tenant(h, "a");
    struct domain_row d = domain(h, p, "a.test");
    const struct set other = SET("wrap", V_TEXT(BYTES("00000000")));
    struct batch *b = batch_new(h->arena);
    struct dkim_signer *s;
    size_t n;

    batch_update(b, &dkim_kind, keys_of(h, d.id, &n)[1].id, NULL, 0, &other, 1);
    commit(h, b);
    for (int i = 0; i < 2; i++) /* remembered, too */
        wont(h, dkim_signer_get(as(h, NULL), &d, &s), ERR_UNSIGNED);
}

static void many_domains_in_a_small_cache(void **state)
{
    struct house *h = *state;
    struct principal *p = tenant(h, "a");
    struct domain_row d[3];
    struct dkim_signer *held;
    struct bytes first;
    size_t n;

    set_param("dkim.cache", "1");
    for (int i = 0; i < 3; i++)
        d[i] = domain(h, p, arena_printf(h->arena, "d%d.test", i));
    first = signs(h, &d[0]);
    must(h, dkim_signer_get(as(h, NULL), &d[0], &held));
    signs(h, &d[1]);
    signs(h, &d[2]);
    dkim_signer_by(held, &n); /* who holds one still has it */
    assert_int_equal(n, 2);
    dkim_signer_put(&held);
    same(signs(h, &d[0]), arena_printf(h->arena, "%.*s", SHOW(first)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_domain_is_born_with_two),
        TEST(the_record_is_of_the_key),
        TEST(they_go_with_their_domain),
        TEST(an_old_domain_gets_its_own),
        TEST(one_brought_signs_where_none_was_seen),
        TEST(one_brought_waits_behind_one_that_was_seen),
        TEST(what_is_wrong_with_one_is_told),
        TEST(a_domain_has_so_many),
        TEST(a_rotation),
        TEST(a_revoked_key_is_gone),
        TEST(a_key_of_another_server_does_not_sign),
        TEST(many_domains_in_a_small_cache),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
