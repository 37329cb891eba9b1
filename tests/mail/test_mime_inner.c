/* mail/mime.h: what stands in a text without MIME saying so (uuencoded files), and text that is not read as it stands
 * (format=flowed). */
#include "tests/mail/plenty.h"
#include "tests/mail/shape.h"

#define CT "Content-Type: "
#define UU "begin 644 cat.txt\r\n#0V%T\r\n`\r\nend\r\n"

static struct mime_limits looking(void)
{
    struct mime_limits limits = roomy;

    limits.inner_files = true;
    return limits;
}

static void files_in_texts(void **state)
{
    static const struct {
        const char *message, *shape, *text, *file; /* what is shown of all texts, the first file */
    } rows[] = {
        { "\r\nsee\r\n" UU "bye\r\n", "text/plain(text/plain text/plain text/plain)", "see\r\n|bye\r\n", "Cat" },
        { "\r\n" UU, "text/plain(text/plain)", "", "Cat" },
        { "\r\n" UU "\r\n", "text/plain(text/plain)", "", "Cat" },
        { "\r\na\r\n" UU UU "b", "text/plain(text/plain text/plain text/plain text/plain)", "a\r\n|b", "Cat" },
        { "\n"
          "see\n"
          "begin 644 cat.txt\n#0V%T\n`\nend\n"
          "bye\n",
          "text/plain(text/plain text/plain text/plain)", "see\n|bye\n", "Cat" },
        { CT "multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nsee\r\n" UU "--b\r\n\r\ntwo\r\n--b--\r\n",
          "multipart/mixed(text/plain(text/plain text/plain) text/plain)", "see\r\n|two", "Cat" },
        { CT "multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nbegin 600 x.gif\r\n#0V%T\r\n--b--\r\n",
          "multipart/mixed(text/plain(image/gif))", "", "Cat" }, /* cut off by the boundary */
        { "\r\nbegin 644 a.png\r\n#0V%T\r\nnot a line of it\r\nbye", "text/plain(image/png text/plain)",
          "not a line of it\r\nbye", "Cat" }, /* never ended */
        { "\r\nbegin 644\r\n#0V%T\r\nend\r\nx", "text/plain(application/octet-stream text/plain)", "x", "Cat" },
        /* texts that only look like it */
        { "\r\nbegin 644 the tale\r\nonce upon a time\r\nend\r\n", "text/plain",
          "begin 644 the tale\r\nonce upon a time\r\nend\r\n", NULL },
        { "\r\nbegin 644\r\n#0V%Tzz\r\nend\r\n", "text/plain", "begin 644\r\n#0V%Tzz\r\nend\r\n", NULL },
        { "\r\nbegin 999 x\r\n#0V%T\r\nend\r\n", "text/plain", "begin 999 x\r\n#0V%T\r\nend\r\n", NULL },
        { "\r\n> begin 644 x\r\n> #0V%T\r\n", "text/plain", "> begin 644 x\r\n> #0V%T\r\n", NULL },
        { CT "text/html\r\n\r\n" UU, "text/html", "", NULL },
        { CT "text/plain; name=a.txt\r\nContent-Disposition: attachment\r\n\r\n" UU, "text/plain", "", NULL },
    };
    const struct mime_limits limits = looking();

    for (size_t i = 0; i < COUNT(rows); i++)
        for (size_t step = 0; step < 4; step++) {
            struct bytes message = bytes_of(rows[i].message);
            const struct mime_index *x = index_by(message, step, &limits, *state);
            struct mime_view v;
            struct buf out, text;

            buf_init(&out, 4096);
            buf_init(&text, 4096);
            shape(x, &out);
            assert_bytes(buf_bytes(&out), bytes_of(rows[i].shape));
            mime_view(x, *state, &v);
            for (size_t k = 0; k < v.n_text; k++) {
                buf_adds(&text, k ? "|" : "");
                buf_add(&text, body_of(x, (size_t)v.text[k], message));
            }
            assert_bytes(buf_bytes(&text).p ? buf_bytes(&text) : BYTES(""), bytes_of(rows[i].text));
            buf_reset(&out);
            if (rows[i].file) {
                const struct mime_part *p = &x->parts[v.attachments[0]];

                assert_int_equal(p->encoding, MIME_UU);
                assert_bytes(p->disposition, BYTES("attachment"));
                assert_int_equal(p->filename.n > 0, !memmem(message.p, message.n, "644\r", 4));
                decode_part(x, (size_t)v.attachments[0], message, &out);
                assert_bytes(buf_bytes(&out), bytes_of(rows[i].file));
            }
            buf_clear(&out);
            buf_clear(&text);
        }
}

/* Whoever writes a mail anew needs each part to have a header: they do not look for files. */
static void files_are_looked_for_when_asked(void **state)
{
    const struct mime_index *x = index_by(BYTES("\r\n" UU), 0, &roomy, *state);

    assert_int_equal(x->n, 1);
}

static void as_many_files_as_parts(void **state)
{
    struct mime_limits limits = looking();
    const struct mime_index *x = NULL;
    struct buf m;

    limits.parts = 8;
    buf_init(&m, 1 << 20);
    buf_adds(&m, "\r\n");
    for (int i = 0; i < 100; i++)
        buf_adds(&m, "text\r\n" UU);
    x = index_by(buf_bytes(&m), 7, &limits, *state);
    assert_in_range(x->n, 5, 8);
    assert_int_equal(x->parts[x->n - 1].end_at, m.n); /* what is not taken apart is text */
    buf_clear(&m);
}

static void encodings_by_name(void **state)
{
    static const struct {
        const char *name, *body, *want;
    } rows[] = {
        { "x-uuencode", "hello\r\nbegin 644 x\r\n#0V%T\r\n#0V%T\r\n`\r\nend\r\nrest\r\n", "CatCat" },
        { "uuencode", "begin 644 x\r\n#0V%T\r\nend\r\n", "Cat" },
        { "X-UUE", "begin 644 x\r\n\"0V$\r\n`\r\nend\r\n", "Ca" },
        { "x-uue", "begin 644 x\r\n#0V%Tz\r\n`\r\nend\r\n", "Cat" }, /* a check sum behind it */
        { "x-uue", "begin 644 x\r\n#0P\r\n`\r\nend\r\n", "C\0\0" },  /* blanks at its end were lost */
        { "x-uue", "begin 644 x\r\n#0V%T", "Cat" },
    };

    for (size_t i = 0; i < COUNT(rows); i++)
        for (size_t step = 0; step < 3; step++) {
            struct bytes message =
                arena_bytesf(*state, "Content-Transfer-Encoding: %s\r\n\r\n%s", rows[i].name, rows[i].body);
            const struct mime_index *x = index_by(message, step, &roomy, *state);
            size_t n = i == 4 ? 3 : strlen(rows[i].want);
            struct mime_decoder d;
            struct buf out;
            struct bytes body = body_of(x, 0, message);

            assert_int_equal(x->parts[0].encoding, MIME_UU);
            buf_init(&out, 4096);
            mime_decode_begin(&d, MIME_UU);
            for (size_t at = 0; at < body.n; at += step + 1)
                mime_decode(&d, bytes_head(bytes_from(body, at), step + 1), &out);
            mime_decode_end(&d, &out);
            assert_bytes(buf_bytes(&out), ((struct bytes){ rows[i].want, n }));
            buf_clear(&out);
        }
}

static void flowed(void **state)
{
    static const struct {
        const char *type, *body, *want;
    } rows[] = {
        { "format=flowed", "one \r\ntwo\r\nthree\r\n", "one two\nthree\n" },
        { "format=Flowed; delsp=yes", "zu \r\nsammen\r\n", "zusammen\n" },
        { "format=flowed", " stuffed\r\n >no quote\r\n From x\r\n", "stuffed\n>no quote\nFrom x\n" },
        { "format=flowed", "> a \r\n> b\r\n>> c \r\n> d\r\ne\r\n", "> a b\n>> c \n> d\ne\n" }, /* depths part them */
        { "format=flowed", "bye \r\n-- \r\nAna\r\n", "bye \n-- \nAna\n" },                     /* RFC 3676 4.3 */
        { "format=flowed", ">\r\n> x\r\n", ">\n> x\n" },
        { "format=flowed", "end ", "end \n" },
        { "format=flowed", "a\r\n\r\nb\r\n", "a\n\nb\n" },
        { "format=fixed", "one \r\ntwo\r\n", "one \ntwo\n" },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct bytes message = arena_bytesf(*state, CT "text/plain; %s\r\n\r\n%s", rows[i].type, rows[i].body);
        const struct mime_index *x = index_by(message, 0, &roomy, *state);
        struct buf out;

        buf_init(&out, 4096);
        assert_true(mime_text(&x->parts[0], body_of(x, 0, message), false, &out));
        assert_bytes(buf_bytes(&out), bytes_of(rows[i].want));
        buf_clear(&out);
    }
}

/* RFC 8621 4.1.4, with its own example among the rows. */
static void bodies(void **state)
{
#define LEAF(b, type)            "--" b "\r\n" CT type "\r\n\r\nx\r\n"
#define MANY(b, inner, boundary) "--" b "\r\n" CT "multipart/" inner "; boundary=" boundary "\r\n\r\n"
    static const struct {
        const char *message, *text, *html, *attachments;
    } rows[] = {
        { "\r\nx", "0", "0", "" },
        { CT "text/html\r\n\r\nx", "0", "0", "" },
        { CT "image/png\r\n\r\nx", "0", "0", "" },
        { CT "application/pdf\r\n\r\nx", "", "", "0" },
        { CT "multipart/alternative; boundary=a\r\n\r\n" LEAF("a", "text/plain") LEAF("a", "text/html") "--a--\r\n",
          "1", "2", "" },
        { CT "multipart/alternative; boundary=a\r\n\r\n" LEAF("a", "text/html") "--a--\r\n", "1", "1", "" },
        { CT "multipart/alternative; boundary=a\r\n\r\n" LEAF("a", "text/plain") LEAF("a", "text/calendar") "--a--\r\n",
          "1", "1", "2" },
        { CT "multipart/mixed; boundary=a\r\n\r\n" LEAF("a", "text/plain") LEAF("a", "image/png") LEAF("a", "text/html")
              LEAF("a", "text/plain; name=a.txt") "--a--\r\n",
          "1 2 3", "1 2 3", "4" },
        { CT "multipart/related; boundary=a\r\n\r\n" LEAF("a", "text/html") LEAF("a", "image/png") "--a--\r\n", "1",
          "1", "2" },
        /* mixed { text, mixed { alternative { mixed { text, image, text }, related { html, image } }, image, pdf },
           text } */
        { CT "multipart/mixed; boundary=a\r\n\r\n" LEAF("a", "text/plain") MANY("a", "mixed", "b")
              MANY("b", "alternative", "c") MANY("c", "mixed", "d") LEAF("d", "text/plain") LEAF("d", "image/jpeg")
                  LEAF("d", "text/plain") "--d--\r\n" MANY("c", "related", "e") LEAF("e", "text/html")
                      LEAF("e", "image/jpeg") "--e--\r\n--c--\r\n" LEAF("b", "image/jpeg")
                          LEAF("b", "application/x-excel") "--b--\r\n" LEAF("a", "text/plain") "--a--\r\n",
          "1 5 6 7 11 13", "1 9 11 13", "6 10 12" },
        /* two texts in one branch: the algorithm would show the second to nobody */
        { CT "multipart/alternative; boundary=a\r\n\r\n" MANY("a", "mixed", "b") LEAF("b", "text/html")
              LEAF("b", "text/plain") "--b--\r\n--a--\r\n",
          "2", "2", "3" },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct mime_index *x = index_by(bytes_of(rows[i].message), 0, &roomy, *state);
        struct mime_view v;
        struct buf out;
        const struct {
            const int *list;
            size_t n;
            const char *want;
        } lists[] = { { NULL, 0, rows[i].text }, { NULL, 0, rows[i].html }, { NULL, 0, rows[i].attachments } };

        mime_body(x, *state, &v);
        for (size_t k = 0; k < COUNT(lists); k++) {
            const int *list = k == 0 ? v.text : k == 1 ? v.html : v.attachments;
            size_t n = k == 0 ? v.n_text : k == 1 ? v.n_html : v.n_attachments;

            buf_init(&out, 4096);
            for (size_t p = 0; p < n; p++)
                buf_addf(&out, "%s%d", p ? " " : "", list[p]);
            if (!bytes_equal(buf_bytes(&out), bytes_of(lists[k].want)))
                print_message("row %zu, list %zu\n", i, k);
            assert_bytes(buf_bytes(&out).p ? buf_bytes(&out) : BYTES(""), bytes_of(lists[k].want));
            buf_clear(&out);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ARENA_TEST(files_in_texts),
        ARENA_TEST(files_are_looked_for_when_asked),
        ARENA_TEST(as_many_files_as_parts),
        ARENA_TEST(encodings_by_name),
        ARENA_TEST(flowed),
        ARENA_TEST(bodies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
