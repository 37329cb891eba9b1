/* mail/token.h, mail/srs.h: addresses that come back are ours, unchanged and in time, in whatever case they come */
#include "tests/mail/suite.h"

#include "mail/base32.h"
#include "mail/srs.h"
#include "mail/token.h"
#include <ctype.h>

#define DAY ((int64_t)24 * 60 * 60 * 1000)

static const int64_t now = (int64_t)20800 * DAY; /* 2026 */

static void base32_is_that_of_the_rfc(void **state)
{
    static const struct {
        const char *in, *out;
    } rows[] = { /* RFC 4648 section 10 */
                 { "", "" },
                 { "f", "my" },
                 { "fo", "mzxq" },
                 { "foo", "mzxw6" },
                 { "foob", "mzxw6yq" },
                 { "fooba", "mzxw6ytb" },
                 { "foobar", "mzxw6ytboi" }
    };
    static const char *const bad[] = { "m", "mz", "my=", "m1", "mzx", "mzxw6yq=" };
    struct buf out;
    uint8_t back[8];

    (void)state;
    buf_init(&out, 100);
    for (size_t i = 0; i < COUNT(rows); i++) {
        size_t n = strlen(rows[i].in);

        buf_reset(&out);
        base32_write((const uint8_t *)rows[i].in, n, &out);
        assert_bytes(buf_bytes(&out), bytes_of(rows[i].out));
        assert_true(base32_read(buf_bytes(&out), back, n));
        assert_memory_equal(back, rows[i].in, n);
    }
    for (size_t i = 0; i < COUNT(bad); i++)
        for (size_t n = 1; n < sizeof back; n++)
            assert_false(base32_read(bytes_of(bad[i]), back, n));
    buf_clear(&out);
}

/* ---- tokens ---- */

static struct id id_at(int64_t wall)
{
    struct id id = id_new();

    for (int i = 0; i < 6; i++)
        id.b[i] = (uint8_t)(wall >> (40 - 8 * i));
    return id;
}

static void upper(struct buf *b)
{
    for (size_t i = 0; i < b->n; i++)
        b->p[i] = (char)toupper((unsigned char)b->p[i]);
}

struct written {
    struct buf address;
    struct bytes local, domain;
};

static void write(struct written *w, const struct token *t, const struct token_key *key, enum token_use use)
{
    buf_init(&w->address, 300);
    token_write(t, key, use, BYTES("rp.example.org"), &w->address);
    assert_true(bytes_cut(buf_bytes(&w->address), '@', &w->local, &w->domain));
}

static void tokens_come_back(void **state)
{
    struct token_key keys[] = { { 1, { { 1 } } }, { 2, { { 2 } } } };

    (void)state;
    for (int kind = TOKEN_DELIVERY; kind <= TOKEN_MESSAGE; kind++)
        for (int use = TOKEN_BOUNCE; use <= TOKEN_COMPLAINT; use++)
            for (int big = 0; big <= 1; big++) {
                struct token t = { (enum token_kind)kind, id_at(now - DAY) }, back = { 0 };
                enum token_use used = TOKEN_BOUNCE;
                struct written w;

                write(&w, &t, &keys[use], (enum token_use)use);
                assert_int_equal(w.local.n, (use ? 4 : 2) + TOKEN_TEXT);
                if (big)
                    upper(&w.address);
                assert_int_equal(token_read(w.local, w.domain, keys, 2, now, TOKEN_AGE_MAX, &back, &used), TOKEN_GOOD);
                assert_true(back.kind == t.kind && id_equal(back.id, t.id) && (int)used == use);
                buf_clear(&w.address);
            }
}

static void tokens_that_are_not_ours(void **state)
{
    struct token_key keys[] = { { 1, { { 1 } } }, { 2, { { 2 } } } }, other = { 1, { { 9 } } };
    struct token t = { TOKEN_DELIVERY, id_at(now) }, back = { 0 };
    enum token_use use = TOKEN_BOUNCE;
    struct written w;

    (void)state;
    write(&w, &t, &keys[0], TOKEN_BOUNCE);
    assert_int_equal(token_read(w.local, BYTES("rp.example.net"), keys, 2, now, TOKEN_AGE_MAX, &back, &use),
                     TOKEN_FORGED);
    assert_int_equal(token_read(w.local, w.domain, keys + 1, 1, now, TOKEN_AGE_MAX, &back, &use), TOKEN_FORGED);
    assert_int_equal(token_read(w.local, w.domain, &other, 1, now, TOKEN_AGE_MAX, &back, &use), TOKEN_FORGED);
    assert_int_equal(token_read(w.local, w.domain, NULL, 0, now, TOKEN_AGE_MAX, &back, &use), TOKEN_FORGED);
    for (size_t i = 2; i < w.local.n; i++) { /* every character counts */
        char *at = w.address.p + i, was = *at;

        *at = was == 'b' ? 'c' : 'b';
        assert_int_equal(token_read(w.local, w.domain, keys, 2, now, TOKEN_AGE_MAX, &back, &use), TOKEN_FORGED);
        *at = was;
    }
    assert_int_equal(token_read(bytes_head(w.local, w.local.n - 1), w.domain, keys, 2, now, TOKEN_AGE_MAX, &back, &use),
                     TOKEN_NONE);
    assert_int_equal(token_read(bytes_from(w.local, 1), w.domain, keys, 2, now, TOKEN_AGE_MAX, &back, &use),
                     TOKEN_NONE);
    assert_int_equal(token_read(BYTES("b"), w.domain, keys, 2, now, TOKEN_AGE_MAX, &back, &use), TOKEN_NONE);
    assert_int_equal(token_read(BYTES("b+bo"), w.domain, keys, 2, now, TOKEN_AGE_MAX, &back, &use), TOKEN_NONE);
    assert_int_equal(token_read(NO_BYTES, w.domain, keys, 2, now, TOKEN_AGE_MAX, &back, &use), TOKEN_NONE);
    buf_clear(&w.address);
}

static void tokens_grow_old(void **state)
{
    static const struct {
        int64_t made;
        enum token_read want;
    } rows[] = {
        { 0, TOKEN_GOOD },         { -30 * DAY, TOKEN_GOOD }, { -30 * DAY - 1, TOKEN_OLD },
        { -400 * DAY, TOKEN_OLD }, { DAY / 2, TOKEN_GOOD },   { 2 * DAY, TOKEN_OLD },
    };
    struct token_key key = { 200, { { 1 } } };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct token t = { TOKEN_MESSAGE, id_at(now + rows[i].made) }, back = { 0 };
        enum token_use use = TOKEN_BOUNCE;
        struct written w;

        write(&w, &t, &key, TOKEN_BOUNCE);
        assert_int_equal(token_read(w.local, w.domain, &key, 1, now, TOKEN_AGE_MAX, &back, &use), rows[i].want);
        assert_true(id_equal(back.id, t.id));
        buf_clear(&w.address);
    }
}

/* ---- SRS ---- */

static const struct crypt_key keys[] = { { { 1 } }, { { 2 } } };

/* What `sender` becomes at `domain`. */
static struct address forwarded(const char *sender, const char *domain, const struct crypt_key *key, struct arena *a)
{
    struct address in = { 0 }, out = { 0 };
    struct bytes path, rest;
    struct err e = { 0 };
    struct buf text;

    buf_init(&text, 1000);
    path = arena_bytesf(a, "<%s>", sender); /* as paths may be: longer than we would take for new mail */
    if (!path_parse(path, PATH_SENDER, a, &in, &rest, &e) ||
        !srs_forward(&in, key, bytes_of(domain), now, a, &text, &e))
        fail_msg("%s: %s", sender, e.message);
    path = arena_bytesf(a, "<%.*s>", SHOW(buf_bytes(&text)));
    if (!path_parse(path, 0, a, &out, &rest, &e))
        fail_msg("%.*s: %s", SHOW(buf_bytes(&text)), e.message);
    buf_clear(&text);
    return out;
}

static void senders_go_and_come_back(void **state)
{
    static const char *const rows[] = {
        "ana@example.net",
        "Ana.B+tag=x@Example.NET",
        "a=b@example.net",
        "=@example.net",
        "\"a b\"@example.net",
        "\"a@b\"@example.net",
        "ana@[192.0.2.1]",
        "srs0@example.net",
        "SRS0x=a@example.net",
        "SRS0=@example.net",
        "\"\"@example.net",
        "SRS1=a@example.net",
        "j\xC3\xB6rg@example.net",
        "x@a-rather-long-name-of-a-domain.example.net",
        "bounces+1234567=customer=example.org-0123456789abcdef0123456789abcdef@mail.example.net",
    };
    struct arena *a = *state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct address once = forwarded(rows[i], "fwd.example.org", &keys[0], a), twice, thrice;
        struct bytes back = NO_BYTES;
        struct buf big;

        assert_true(bytes_starts(once.local, BYTES("SRS0=")));
        assert_int_equal(srs_reverse(once.local, keys, 2, now, a, &back), SRS_GOOD);
        assert_bytes(back, bytes_of(rows[i]));
        buf_init(&big, 1000);
        buf_add(&big, once.local);
        upper(&big);
        assert_int_equal(srs_reverse(buf_bytes(&big), keys, 2, now, a, &back), SRS_GOOD);
        assert_true(bytes_is_ascii(back) ? bytes_equal_nocase(back, bytes_of(rows[i])) : back.n > 0);
        buf_clear(&big);
        if (once.email.n > 150)
            continue;
        twice = forwarded(once.email.p, "two.example.org", &keys[1], a);
        assert_true(bytes_starts(twice.local, BYTES("SRS1=")));
        assert_int_equal(srs_reverse(twice.local, keys, 2, now, a, &back), SRS_GOOD);
        assert_bytes(back, once.email);
        thrice = forwarded(arena_text(a, twice.email), "three.example.org", &keys[0], a);
        assert_true(bytes_starts(thrice.local, BYTES("SRS1=")));
        assert_int_equal(srs_reverse(thrice.local, keys, 2, now, a, &back), SRS_GOOD);
        assert_bytes(back, once.email); /* to the first forwarder, not to the second */
        assert_true(thrice.local.n == twice.local.n);
    }
}

static void others_write_them_with_other_signs(void **state)
{
    struct arena *a = *state;
    struct address out = forwarded("SRS0+abcd+2x=example.net=ana@first.example", "fwd.example.org", &keys[0], a);
    struct bytes back = NO_BYTES;

    assert_int_equal(srs_reverse(out.local, keys, 1, now, a, &back), SRS_GOOD);
    assert_bytes(back, BYTES("SRS0+abcd+2x=example.net=ana@first.example"));
    out = forwarded("srs1-abcd=first.example=-abcd=2x=example.net=ana@second.example", "fwd.example.org", &keys[0], a);
    assert_int_equal(srs_reverse(out.local, keys, 1, now, a, &back), SRS_GOOD);
    assert_bytes(back, BYTES("SRS0-abcd=2x=example.net=ana@first.example"));
}

static void senders_that_are_not_ours(void **state)
{
    static const char *const none[] = { "",
                                        "ana",
                                        "SRS0",
                                        "SRS0=",
                                        "SRS0=a=b",
                                        "SRS0=aaaaaaaa=aa=x",
                                        "SRS2=aaaaaaaa=aa=x=y",
                                        "SRS0=aaaaaaa=aa=x=y",
                                        "SRS0=aaaaaaaa=aaa=x=y",
                                        "SRS0=aaaaaaaa=aa==y",
                                        "SRS1=aaaaaaaa=x",
                                        "SRS1=aaaaaaaa==x",
                                        "SRS1=aaaaaaaa=x=y",
                                        "SRS1=aaaaaaaa=x==" };
    struct arena *a = *state;
    struct address once = forwarded("ana@example.net", "fwd.example.org", &keys[0], a);
    struct bytes back = NO_BYTES;

    for (size_t i = 0; i < COUNT(none); i++)
        if (srs_reverse(bytes_of(none[i]), keys, 2, now, a, &back) != SRS_NONE)
            fail_msg("%s", none[i]);
    assert_int_equal(srs_reverse(once.local, keys + 1, 1, now, a, &back), SRS_FORGED);
    for (size_t i = 5; i < once.local.n; i++) {
        struct bytes changed = arena_copy(a, once.local);

        if (changed.p[i] == '=')
            continue;
        ((char *)changed.p)[i] = changed.p[i] == 'q' ? 'z' : 'q';
        assert_int_equal(srs_reverse(changed, keys, 2, now, a, &back), SRS_FORGED);
    }
    assert_int_equal(srs_reverse(BYTES("SRS1=aaaaaaaa=x==y"), keys, 2, now, a, &back), SRS_FORGED);
    assert_true(back.p == NULL);
}

static void senders_grow_old(void **state)
{
    static const struct {
        int64_t later;
        enum srs want;
    } rows[] = { { 0, SRS_GOOD }, { 21, SRS_GOOD },   { 22, SRS_OLD },
                 { -1, SRS_OLD }, { 1024, SRS_GOOD }, { 1023, SRS_OLD } /* the day is modulo 1,024 */ };
    struct arena *a = *state;
    struct address once = forwarded("ana@example.net", "fwd.example.org", &keys[0], a);
    struct bytes back = NO_BYTES;

    for (size_t i = 0; i < COUNT(rows); i++)
        assert_int_equal(srs_reverse(once.local, keys, 1, now + rows[i].later * DAY, a, &back), rows[i].want);
}

static void what_cannot_be_written(void **state)
{
    struct arena *a = *state;
    struct address sender = { 0 };
    struct err e = { 0 };
    struct buf out, text;

    buf_init(&out, 1000);
    buf_init(&text, 1000);
    assert_true(srs_forward(&sender, &keys[0], BYTES("fwd.example.org"), now, a, &out, &e)); /* <> stays so */
    assert_int_equal(out.n, 0);
    buf_adds(&text, "<");
    for (int i = 0; i < 220; i++)
        buf_addc(&text, 'x');
    buf_adds(&text, "@example.net>");
    assert_true(path_parse(buf_bytes(&text), PATH_SENDER, a, &sender, &(struct bytes){ 0 }, &e));
    assert_false(srs_forward(&sender, &keys[0], BYTES("fwd.example.org"), now, a, &out, &e));
    assert_int_equal(e.code, ERR_TOO_LARGE);
    assert_int_equal(out.n, 0);
    buf_clear(&out);
    buf_clear(&text);
}

static void loops_are_seen(void **state)
{
    static const struct {
        const char *header, *target;
        bool loops;
    } rows[] = {
        { "Subject: x\r\n", "bo@example.net", false },
        { "Subject: x\r\n", "ana@example.org", true },
        { "Delivered-To: ana@example.org\r\n", "bo@example.net", true },
        { "X: y\r\ndelivered-to:\r\n  Ana@Example.ORG \r\n", "bo@example.net", true },
        { "Delivered-To: bo@example.net\r\nDelivered-To: cy@example.org\r\n", "bo@example.net", false },
        { "Subject: Delivered-To: ana@example.org\r\nDelivered-To: ?\r\n", "bo@example.net", false },
    };
    struct buf mark;

    for (size_t i = 0; i < COUNT(rows); i++)
        assert_int_equal(
            srs_loops(bytes_of(rows[i].header), BYTES("ana@example.org"), bytes_of(rows[i].target), *state),
            rows[i].loops);
    buf_init(&mark, 100);
    srs_mark(&mark, BYTES("ana@example.org"));
    assert_true(srs_loops(buf_bytes(&mark), BYTES("ana@example.org"), BYTES("bo@example.net"), *state));
    buf_clear(&mark);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(base32_is_that_of_the_rfc), cmocka_unit_test(tokens_come_back),
        cmocka_unit_test(tokens_that_are_not_ours),  cmocka_unit_test(tokens_grow_old),
        ARENA_TEST(senders_go_and_come_back),        ARENA_TEST(others_write_them_with_other_signs),
        ARENA_TEST(senders_that_are_not_ours),       ARENA_TEST(senders_grow_old),
        ARENA_TEST(what_cannot_be_written),          ARENA_TEST(loops_are_seen),
    };

    return cmocka_run_group_tests(tests, crypt_setup, NULL);
}
