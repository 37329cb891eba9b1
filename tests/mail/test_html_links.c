/* mail/html_links.h: which links are changed, what they become, and that every other byte stays. */
#include "tests/mail/suite.h"

#include "base/clock.h"
#include "mail/html_links.h"

/* Each link becomes [what was asked for]. */
static bool bracket(void *ctx, struct bytes url, struct buf *out)
{
    (void)ctx;
    if (bytes_ends(url, BYTES("/stay")))
        return false;
    buf_addf(out, "[%.*s]", SHOW(url));
    return true;
}

static const struct link_change how = { .link = bracket, .links_max = 1000, .url_max = 200 };

struct row {
    const char *in, *want; /* want NULL: as it was */
};

static void check(const struct row *row, struct bytes got)
{
    if (!bytes_equal(got, bytes_of(row->want ? row->want : row->in)))
        fail_msg("%s\n becomes %.*s\n instead of %s", row->in, SHOW(got), row->want ? row->want : row->in);
}

static void html_links_are_changed(void **state)
{
    static const struct row rows[] = {
        { "<a href=\"http://a.test/x\">x</a>", "<a href=\"[http://a.test/x]\">x</a>" },
        { "<A HREF='HTTPS://A.test'>x</A>", "<A HREF='[HTTPS://A.test]'>x</A>" },
        { "<a class=b href=http://a.test/x>x</a>", "<a class=b href=[http://a.test/x]>x</a>" },
        { "<a\nhref\n=\n\"http://a.test\"\n>x</a>", "<a\nhref\n=\n\"[http://a.test]\"\n>x</a>" },
        { "<a href=\"http://a.test/?a=1&amp;b=2\">", "<a href=\"[http://a.test/?a=1&b=2]\">" },
        { "<a href=\"http://a.test/?a=1&copy=2\">", "<a href=\"[http://a.test/?a=1&copy=2]\">" },
        { "<a href=\"&#104;ttp://a.test/\">", "<a href=\"[http://a.test/]\">" },
        { "<a href=\" \n http://a.test/\tx \">", "<a href=\"[http://a.test/x]\">" },
        { "<a href=\"http://a.test/a b\">", "<a href=\"[http://a.test/a%20b]\">" },
        { "<a href=\"http://m\xC3\xA4.test/\xE2\x82\xAC\">", "<a href=\"[http://m%C3%A4.test/%E2%82%AC]\">" },
        { "<a href='http://a.test/\"<>'>", "<a href='[http://a.test/%22%3C%3E]'>" },
        { "<a href=\"http://a.test/#part\">", "<a href=\"[http://a.test/#part]\">" },
        { "<area href=\"http://a.test\"><a href=\"http://b.test\">",
          "<area href=\"[http://a.test]\"><a href=\"[http://b.test]\">" },
        { "<a href=\"http://a.test\" href=\"http://b.test\">", "<a href=\"[http://a.test]\" href=\"http://b.test\">" },
        { "<a title='>' href=\"http://a.test\">", "<a title='>' href=\"[http://a.test]\">" },
        { "<a/href=\"http://a.test\">", "<a/href=\"[http://a.test]\">" },
        { "<!--[if !mso]><!--><a href=\"http://a.test\">x</a><!--<![endif]-->",
          "<!--[if !mso]><!--><a href=\"[http://a.test]\">x</a><!--<![endif]-->" },
        { "<svg></svg><a href=\"http://a.test\">", "<svg></svg><a href=\"[http://a.test]\">" },
        { "a < b <a href=\"http://a.test\">", "a < b <a href=\"[http://a.test]\">" },
        /* what stays */
        { "<a href=\"mailto:a@b.test\"><a href=\"tel:1\"><a href=\"#x\"><a href=\"/x\"><a href=\"\"><a href><a>",
          NULL },
        { "<a href=\"ftp://a.test\"><a href=\"javascript:http://a.test\"><a href=\"//a.test\"><a href=\"http:a.test\">",
          NULL },
        { "<a href=\"http://\"><a href=\"https:///x\">", NULL },
        { "<a href=\"http://a.test/stay\">", NULL },
        { "<link href=\"http://a.test\"><base href=\"http://a.test\"><img src=\"http://a.test\"><form "
          "action=\"http://a.test\">",
          NULL },
        { "<!-- <a href=\"http://a.test\"> --><!--[if mso]><a href=\"http://a.test\"><![endif]-->", NULL },
        { "<script>'<a href=\"http://a.test\">'</script><style>/*<a href=http://a.test>*/</style>", NULL },
        { "<textarea><a href=\"http://a.test\"></textarea><xmp><a href=\"http://a.test\"></xmp>", NULL },
        { "<title><a href=\"http://a.test\"></title>http://a.test", NULL },
        { "</a href=\"http://a.test\">", NULL },
        { "<a data-href=\"http://a.test\" xhref=http://a.test>", NULL },
        { "<a data-no-track href=\"http://a.test\"><a href=\"http://a.test\" clicktracking=OFF><a data-pm-no-track "
          "href=http://a.test>"
          "<a ses:no-track href=\"http://a.test\"><a data-disable-tracking=true href=\"http://a.test\">",
          NULL },
        { "<body data-no-track><a href=\"http://a.test\"></body>", NULL },
        { "<html data-no-track><body><a href=\"http://a.test\"></body>", NULL },
        { "<a href=\"http://a.test\"><body data-no-track>", NULL },
        { "<a clicktracking=on href=\"http://a.test\">", "<a clicktracking=on href=\"[http://a.test]\">" },
        { "", NULL },
        { "<", NULL },
        { "<a href=\"", NULL },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buf out;

        buf_init(&out, 1 << 20);
        html_links_change(bytes_of(rows[i].in), &how, NO_BYTES, &out);
        check(&rows[i], buf_bytes(&out));
        buf_clear(&out);
    }
}

static void text_links_are_changed(void **state)
{
    static const struct row rows[] = {
        { "http://a.test", "[http://a.test]" },
        { "See http://a.test/x, or https://b.test.", "See [http://a.test/x], or [https://b.test]." },
        { "(http://a.test/x)", "([http://a.test/x])" },
        { "http://a.test/x_(y) z", "[http://a.test/x_(y)] z" },
        { "a <http://a.test/x> b", "a <[http://a.test/x]> b" },
        { "\"http://a.test/x\"", "\"[http://a.test/x]\"" },
        { "HTTP://A.test\r\nhttp://b.test\r\n", "[HTTP://A.test]\r\n[http://b.test]\r\n" },
        { "http://a.test/?x=1&y=2#z!", "[http://a.test/?x=1&y=2#z]!" },
        { "x http://a.test/a:b;c, http://b.test", "x [http://a.test/a:b;c], [http://b.test]" },
        /* what stays */
        { "http://", NULL },
        { "http:// a.test mailto:a@b.test ftp://a.test www.a.test", NULL },
        { "xhttp://a.test \xC3\xA4http://a.test", NULL },
        { "http://a.test/K\xC3\xA4se http://a.test\xE3\x80\x82", NULL },
        { "http://a.test/x,\xE3\x80\x82", NULL },
        { "http://a.test/stay", NULL },
        { "", NULL },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buf out;

        buf_init(&out, 1 << 20);
        text_links_change(bytes_of(rows[i].in), &how, &out);
        check(&rows[i], buf_bytes(&out));
        buf_clear(&out);
    }
}

static void something_comes_before_the_end(void **state)
{
    static const struct row rows[] = {
        { "<p>x", "<p>x+" },
        { "<body>x</body></html>", "<body>x+</body></html>" },
        { "<body>x</BODY \n>y</body>", "<body>x+</BODY \n>y</body>" },
        { "<!-- </body> -->x<script></body></script>", "<!-- </body> -->x<script></body></script>+" },
        { "<textarea></body></textarea></body>", "<textarea></body></textarea>+</body>" },
        { "<body data-no-track>x</body>", NULL },
        { "", "+" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buf out;

        buf_init(&out, 1 << 20);
        html_links_change(bytes_of(rows[i].in), &how, BYTES("+"), &out);
        check(&rows[i], buf_bytes(&out));
        buf_clear(&out);
    }
}

static void there_is_a_most(void **state)
{
    struct link_change few = how;
    struct buf out, in;

    (void)state;
    buf_init(&out, 1 << 20);
    buf_init(&in, 1 << 20);
    few.links_max = 2;
    html_links_change(
        BYTES("<a href=http://a.test><a href=http://b.test/stay><a href=http://c.test><a href=http://d.test>"), &few,
        NO_BYTES, &out);
    assert_true(bytes_equal(buf_bytes(&out), BYTES("<a href=[http://a.test]><a href=http://b.test/stay><a "
                                                   "href=[http://c.test]><a href=http://d.test>")));
    for (size_t n = 199; n <= 201; n++) {
        buf_reset(&in);
        buf_reset(&out);
        buf_adds(&in, "http://a.test/");
        while (in.n < n)
            buf_addc(&in, 'x');
        text_links_change(buf_bytes(&in), &how, &out);
        assert_int_equal(out.n, n <= 200 ? n + 2 : n);
    }
    buf_clear(&in);
    buf_clear(&out);
}

static bool longer(void *ctx, struct bytes url, struct buf *out)
{
    (void)ctx, (void)url;
    buf_adds(out, "https://mail.example.org/t/c/x");
    return true;
}

/* What would be quadratic takes minutes here, not milliseconds. */
static void hostile_input_takes_its_length(void **state)
{
    static const char *const pieces[] = { "<a href=http://a.test ",
                                          "<a href=\"http://a.test\">",
                                          "http://a<",
                                          "http://a.test,,,,",
                                          "<!--",
                                          "</",
                                          "<script>",
                                          "<textarea>",
                                          "<a x=\"",
                                          "<body><a ",
                                          "&amp",
                                          "((((http://a",
                                          "h" };
    const struct link_change all = { .link = longer, .links_max = SIZE_MAX, .url_max = 2048 };
    int64_t began = clock_monotonic();

    (void)state;
    for (size_t i = 0; i < COUNT(pieces); i++) {
        struct buf in, out;

        buf_init(&in, 2 << 20);
        buf_init(&out, 1 << 20);
        while (in.n < 1 << 20)
            buf_adds(&in, pieces[i]);
        html_links_change(buf_bytes(&in), &all, BYTES("+"), &out);
        buf_reset(&out);
        text_links_change(buf_bytes(&in), &all, &out);
        buf_clear(&in);
        buf_clear(&out);
    }
    assert_true(clock_monotonic() - began < 60000);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(html_links_are_changed),         cmocka_unit_test(text_links_are_changed),
        cmocka_unit_test(something_comes_before_the_end), cmocka_unit_test(there_is_a_most),
        cmocka_unit_test(hostile_input_takes_its_length),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
