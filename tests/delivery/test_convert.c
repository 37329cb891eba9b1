/* delivery/convert.h */
#include "tests/mail/suite.h"

#include "delivery/convert.h"
#include "tests/delivery/pieces.h"

static const struct mime_limits limits = {
    .fields = { .header_value = 65536 }, .depth = 20, .parts = 500, .part_header = 65536, .top_header = 65536
};

static enum convert_result convert_all(struct arena *a, struct bytes mail, size_t size, struct buf *out)
{
    struct pieces p = { mail, size, 0 };
    struct wire_source source = { next_piece, from_start, &p };
    struct convert_plan plan;
    struct convert c;
    struct bytes piece = NO_BYTES;
    struct err e = { 0 };
    enum convert_result r = convert_plan(source, &limits, a, &plan, &e);

    buf_init(out, 8 << 20);
    if (r != CONVERT_OK) {
        arena_reset(a);
        return r;
    }
    assert_true(from_start(&p, &e));
    convert_begin(&c, &plan, source);
    source = convert_source(&c);
    do {
        assert_true(source.next(source.ctx, &piece, &e));
        buf_add(out, piece);
    } while (piece.n);
    convert_end(&c);
    assert_int_equal(plan.size, out->n);
    assert_true(arena_used(a) < 200000);
    arena_reset(a);
    return r;
}

#define U    "\xC3\xBC"
#define LONG "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"

/* A mail and what it becomes; NULL: that is impossible. */
static const struct {
    const char *in, *want;
} rows[] = {
    /* nothing to do */
    { "Subject: x\r\n\r\nplain\r\n", "Subject: x\r\n\r\nplain\r\n" },
    { "Subject: x\r\nContent-Transfer-Encoding: 8bit\r\n\r\nplain\r\n",
      "Subject: x\r\nContent-Transfer-Encoding: 8bit\r\n\r\nplain\r\n" },
    /* text */
    { "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
      "A long and ordinary line with f" U "r, and = in it \r\n.dot\r\nFrom me\r\n\r\n",
      "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: "
      "quoted-printable\r\n\r\n"
      "A long and ordinary line with f=C3=BCr, and =3D in it=20\r\n=2Edot\r\n=46rom me\r\n\r\n" },
    { "Subject: no MIME at all\r\n\r\nthis text has one letter that is not of ASCII: " U "\r\n",
      "Subject: no MIME at all\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
      "this text has one letter that is not of ASCII: =C3=BC\r\n" },
    { "content-transfer-encoding:\r\n 8bit\r\nSubject: folded\r\n\r\nwords words words words words " U "\r\n",
      "Subject: folded\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
      "words words words words words =C3=BC\r\n" },
    { "Content-Type: text/plain\r\n\r\n" U U U U "\r\n",
      "Content-Type: text/plain\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: "
      "base64\r\n\r\nw7zDvMO8w7wNCg==\r\n" },
    /* soft line breaks */
    { "MIME-Version: 1.0\r\n\r\n0123456789012345678901234567890123456789012345678901234567890123456789012" U "x\r\n",
      "MIME-Version: 1.0\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
      "0123456789012345678901234567890123456789012345678901234567890123456789012=\r\n=C3=BCx\r\n" },
    /* no line end at the end */
    { "MIME-Version: 1.0\r\n\r\nsome words and a letter " U,
      "MIME-Version: 1.0\r\nContent-Transfer-Encoding: quoted-printable"
      "\r\n\r\nsome words and a letter =C3=BC\r\n" },
    { "MIME-Version: 1.0\r\n\r\nbare\nand " U " bare\rtoo, as it was\r\n",
      "MIME-Version: 1.0\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nbare=0Aand =C3=BC bare=0Dtoo, as it "
      "was\r\n" },
    /* multiparts */
    { "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
      "pre" U "amble\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
      "a text with one letter " U "\r\n--b\r\nContent-Type: application/x; name=y\r\n\r\n\xFF\xFE\xFD\r\n--b\r\n"
      "Content-Type: text/html\r\nContent-Transfer-Encoding: 8bit\r\n\r\n<p>plain\r\n--b\r\n"
      "Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\nw7w=\r\n--b--\r\nepilogue\r\n",
      "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
      "pre??amble\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: "
      "quoted-printable\r\n\r\n"
      "a text with one letter =C3=BC\r\n--b\r\nContent-Type: application/x; name=y\r\nContent-Transfer-Encoding: base64"
      "\r\n\r\n//79\r\n--b\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: 7bit\r\n\r\n<p>plain\r\n--b\r\n"
      "Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\nw7w=\r\n--b--\r\nepilogue\r\n" },
    /* a message within */
    { "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n"
      "Content-Transfer-Encoding: 8bit\r\n\r\nSubject: inner\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
      "an inner text with a letter " U "\r\n--b--\r\n",
      "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n"
      "Content-Transfer-Encoding: 7bit\r\n\r\nSubject: inner\r\nContent-Type: text/plain; charset=utf-8\r\n"
      "Content-Transfer-Encoding: quoted-printable\r\n\r\nan inner text with a letter =C3=BC\r\n--b--\r\n" },
    /* signed beside what is not */
    { "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
      "Content-Type: multipart/signed; boundary=s\r\n\r\n--s\r\nContent-Type: text/plain\r\n"
      "Content-Transfer-Encoding: 8bit\r\n\r\nseven bits\r\n--s\r\nContent-Type: application/pgp-signature\r\n\r\nsig"
      "\r\n--s--\r\n--b\r\n\r\nwords beside what was signed " U "\r\n--b--\r\n",
      "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
      "Content-Type: multipart/signed; boundary=s\r\n\r\n--s\r\nContent-Type: text/plain\r\n"
      "Content-Transfer-Encoding: 8bit\r\n\r\nseven bits\r\n--s\r\nContent-Type: application/pgp-signature\r\n\r\nsig"
      "\r\n--s--\r\n--b\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nwords beside what was signed "
      "=C3=BC\r\n--b--\r\n" },
    /* impossible */
    { "MIME-Version: 1.0\r\nContent-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n\r\nsigned " U "\r\n--s\r\n\r\nsig"
      "\r\n--s--\r\n",
      NULL },
    { "MIME-Version: 1.0\r\nContent-Type: multipart/signed; boundary=s\r\n\r\npre" U "\r\n--s\r\n\r\nx\r\n--s--\r\n",
      NULL },
    { "MIME-Version: 1.0\r\nContent-Type: multipart/encrypted; boundary=s\r\n\r\n--s\r\n\r\n" U "\r\n--s--\r\n", NULL },
    { "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; name=" U
      "\r\n\r\nx\r\n--b--\r\n",
      NULL },
    { "Subject: " U "\r\n\r\nx\r\n", NULL },
    { "MIME-Version: 1.0\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" U "\r\n", NULL },
    { "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=never\r\n\r\n" U "\r\n", NULL },
    { "MIME-Version: 1.0\r\nContent-Type: message/delivery-status\r\n\r\n" U "\r\n", NULL },
};

static void mails_become_seven_bits(void **state)
{
    static const size_t sizes[] = { 1, 2, 7, 100, 100000 };

    for (size_t i = 0; i < COUNT(rows); i++)
        for (size_t k = 0; k < COUNT(sizes); k++) {
            struct buf out;
            enum convert_result r = convert_all(*state, bytes_of(rows[i].in), sizes[k], &out);

            if (r != (rows[i].want ? CONVERT_OK : CONVERT_IMPOSSIBLE))
                fail_msg("row %zu: %d\n%s", i, (int)r, rows[i].in);
            if (rows[i].want)
                assert_bytes(buf_bytes(&out), bytes_of(rows[i].want));
            buf_clear(&out);
        }
}

static void long_lines_are_cut_by_encoding(void **state)
{
    struct buf in, out, text;
    struct mime_decoder d;
    struct bytes rest, line;

    buf_init(&in, 1 << 20);
    buf_adds(&in, "Subject: long\r\n\r\n");
    for (int i = 0; i < 20; i++)
        buf_adds(&in, LONG);
    buf_adds(&in, "\r\nshort\r\n");
    assert_int_equal(convert_all(*state, buf_bytes(&in), 77, &out), CONVERT_OK);
    rest = buf_bytes(&out);
    while (rest.n) {
        bytes_cut(rest, '\n', &line, &rest);
        assert_true(line.n <= 77);
    }
    rest = buf_bytes(&out);
    rest = bytes_from(rest, header_end(rest) + 2);
    buf_init(&text, 1 << 20);
    mime_decode_begin(&d, MIME_QUOTED);
    mime_decode(&d, rest, &text);
    mime_decode_end(&d, &text);
    assert_bytes(buf_bytes(&text), bytes_from(buf_bytes(&in), 17));
    buf_clear(&in);
    buf_clear(&out);
    buf_clear(&text);
}

/* Random bytes in every leaf come out as they went in, whatever the encoding that was chosen. */
static void content_survives(void **state)
{
    uint64_t random = 3;

    for (int round = 0; round < 60; round++) {
        bool text_type = round % 2, high = round % 3 != 0;
        struct buf in, out, got;
        struct bytes leaf, body;
        struct mime_decoder d;

        buf_init(&in, 1 << 20);
        buf_addf(&in, "MIME-Version: 1.0\r\nContent-Type: %s\r\n\r\n", text_type ? "text/plain" : "application/x");
        for (int i = 0; i < 40 + round * 13; i++) {
            random = random * UINT64_C(6364136223846793005) + 1;
            if (random >> 60 == 1)
                buf_adds(&in, "\r\n");
            else
                buf_addc(&in, (char)(random >> 33 & (high ? 0xFF : 0x7F)));
        }
        buf_adds(&in, "\xFF\r\n");
        leaf = bytes_from(buf_bytes(&in), header_end(buf_bytes(&in)) + 2);
        assert_int_equal(convert_all(*state, buf_bytes(&in), 1 + (size_t)round, &out), CONVERT_OK);
        assert_true(bytes_is_ascii(buf_bytes(&out)) && bytes_find(buf_bytes(&out), '\0') == out.n);
        body = bytes_from(buf_bytes(&out), header_end(buf_bytes(&out)) + 2);
        buf_init(&got, 1 << 20);
        mime_decode_begin(&d, memmem(out.p, out.n, "base64", 6) ? MIME_BASE64 : MIME_QUOTED);
        mime_decode(&d, body, &got);
        mime_decode_end(&d, &got);
        assert_bytes(buf_bytes(&got), leaf);
        buf_clear(&in);
        buf_clear(&out);
        buf_clear(&got);
    }
}

static void a_source_that_fails_is_told(void **state)
{
    struct pieces p = { NO_BYTES, 1, 0 };
    struct convert_plan plan;
    struct err e = { 0 };

    assert_int_equal(convert_plan((struct wire_source){ broken, from_start, &p }, &limits, *state, &plan, &e),
                     CONVERT_FAILED);
    assert_int_equal(e.code, ERR_GONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ARENA_TEST(mails_become_seven_bits),
        ARENA_TEST(long_lines_are_cut_by_encoding),
        ARENA_TEST(content_survives),
        ARENA_TEST(a_source_that_fails_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
