/* mail/html_safe.h: what is kept, what is not, and that what comes out is closed and inert whatever went in. */
#include "base/json.h"
#include "tests/mail/suite.h"

#include "mail/chars.h"
#include "mail/html_safe.h"
#include "mail/html_token.h"

static bool part_url(void *ctx, struct bytes id, struct buf *url)
{
    (void)ctx;
    if (!bytes_equal(id, BYTES("logo@x")))
        return false;
    buf_adds(url, "/v1/entries/e/attachments/0");
    return true;
}

static struct html_safe roomy_html(bool remote)
{
    return (struct html_safe){ .html = 1 << 20, .depth = 256, .tags = 100000, .remote = remote, .part = part_url };
}

#define LEAVES " target=\"_blank\" rel=\"noopener noreferrer nofollow\""

static const struct row {
    const char *html, *safe;
} rows[] = {
    { "", "" },
    { "a < b & c > d", "a &lt; b &amp; c &gt; d" },
    { "<p>Hi <b>Ana</b></p>", "<p>Hi <b>Ana</b></p>" },
    { "<P CLASS=x>Hi", "<p class=\"x\">Hi</p>" },
    { "caf&eacute; &#8364; &#x20AC; &hearts; &amp;lt; &lt;script&gt;",
      "caf&eacute; € € &hearts; &amp;lt; &lt;script&gt;" },
    /* what acts */
    { "a<script>alert(1)</script>b", "ab" },
    { "a<script>alert(1)", "a" },
    { "<img src=x onerror=alert(1)>", "<img>" },
    { "<img/src=x/onerror=alert(1) alt='\"><script>'>", "<img alt=\"&quot;&gt;&lt;script&gt;\">" },
    { "<svg><script>alert(1)</script></svg>x", "x" },
    { "<svg onload=alert(1)>", "" },
    { "<math><mi xlink:href=javascript:alert(1)>x</mi></math>", "x" },
    { "<iframe src=//evil.test></iframe><object data=x><embed src=y>z", "z" },
    { "<form action=//evil.test><input name=a><button formaction=javascript:1>go</button></form>", "go" },
    { "<meta http-equiv=refresh content='0;url=//evil.test'><base href=//evil.test><link rel=stylesheet "
      "href=//evil.test>",
      "" },
    { "<template><img src=x onerror=1></template><noscript><p title='</noscript><img src=x onerror=1>'>",
      "<p title=\"&lt;/noscript&gt;&lt;img src=x onerror=1&gt;\"></p>" },
    { "<textarea></textarea><title></title><img src=1 onerror=1>", "<img>" },
    { "<!--><img src=x onerror=1>--><!-- > -->x<![CDATA[y]]>z", "<img>--&gt;xz" },
    { "<a id=x name=y href=#x>t</a>", "<a>t</a>" },
    { "<div onclick=1 style='color:red' onmouseover='x'>t</div>", "<div style=\"color:red;\">t</div>" },
    { "<b <script>alert(1)//</script>", "<b>alert(1)//</b>" },
    { "<x-y onclick=1>t</x-y>", "t" },
    /* links */
    { "<a href='https://x.test/?a=1&amp;b=\"2'>t</a>",
      "<a href=\"https://x.test/?a=1&amp;b=&quot;2\"" LEAVES ">t</a>" },
    { "<a href=mailto:a@b.test target=_top>t</a>", "<a href=\"mailto:a@b.test\"" LEAVES ">t</a>" },
    { "<a href='java\tscript:alert(1)'>t</a>", "<a>t</a>" },
    { "<a href='&#106;avascript&colon;alert(1)'>t</a>", "<a>t</a>" },
    { "<a href=' \x01javascript:alert(1)'>t</a>", "<a>t</a>" },
    { "<a href='data:text/html,x'>t</a><a href=//x.test>u</a><a href=/login>v</a>", "<a>t</a><a>u</a><a>v</a>" },
    { "<a href=https://x.test>one<a href=https://y.test>two</a>",
      "<a href=\"https://x.test\"" LEAVES ">one</a><a href=\"https://y.test\"" LEAVES ">two</a>" },
    /* images */
    { "<img src=cid:logo@x width=10>", "<img src=\"/v1/entries/e/attachments/0\" width=\"10\">" },
    { "<img src=CID:other>", "<img>" },
    { "<img src=https://x.test/a.png alt=A>", "<img alt=\"A\">" },
    { "<img srcset='https://x.test/a.png 2x' lowsrc=https://x.test dynsrc=https://x.test>", "<img>" },
    { "<img src='data:image/png;base64,AA=='><img src='data:image/svg+xml,<svg onload=1>'>",
      "<img src=\"data:image/png;base64,AA==\"><img>" },
    { "<table background=https://x.test/a.png><tr><td>x</table>", "<table><tr><td>x</td></tr></table>" },
    /* what is open is closed, and nothing else */
    { "</div></p></table>x</b>", "x" },
    { "<p>a<p>b<div>c", "<p>a</p><p>b</p><div>c</div>" },
    { "<ul><li>a<li>b<ul><li>c</ul><li>d</ul>", "<ul><li>a</li><li>b<ul><li>c</li></ul></li><li>d</li></ul>" },
    { "<table><tr><td>a<td>b<tr><td>c<table><tr><td>d</table>e</table>f",
      "<table><tr><td>a</td><td>b</td></tr><tr><td>c<table><tr><td>d</td></tr></table>e</td></tr></table>f" },
    { "<div><table><tr><td></div>x</table>", "<div><table><tr><td>x</td></tr></table></div>" },
    { "<b><i>x</b>y</i>", "<b><i>x</i></b>y" },
    { "<body bgcolor=#fff><center>x</center></body>", "<div bgcolor=\"#fff\"><center>x</center></div>" },
    { "<br><br/></br><hr>", "<br><br><hr>" },
    /* style */
    { "<p style='margin:-9px 1px;margin-left:calc(0px - 9px);text-indent:/**/-1em;margin-right:1px;text-indent:0'>x",
      "<p style=\"margin-right:1px;text-indent:0;\">x</p>" },
    { "<p style='color: red; position: fixed; COLOR:#fff'>x", "<p style=\"color:red;color:#fff;\">x</p>" },
    { "<p style=\"background:url(https://x.test/a)\">x", "<p>x</p>" },
    { "<p style='width: expression(alert(1)); behavior: url(x); -moz-binding: url(x)'>x", "<p>x</p>" },
    { "<p style='width:calc(100% - 10px);color:rgb(1,2,3)'>x",
      "<p style=\"width:calc(100% - 10px);color:rgb(1,2,3);\">x</p>" },
    { "<p style='color:r\\65 d;c/**/olor:red;color:/**/red'>x", "<p style=\"color: red;\">x</p>" },
    { "<p style=\"font-family:'a;b', serif; color:red\">x", "<p style=\"font-family:'a;b', serif;color:red;\">x</p>" },
    { "<p style='font-family:\"a'>x", "<p>x</p>" },
    { "<style>p{color:red;position:fixed} @import 'x'; @media (max-width: 9px) { .a > b{color:blue} } "
      "@font-face{src:url(x)}</style>x",
      "<style>p{color:red;}\n@media (max-width: 9px){\n.a > b{color:blue;}\n}\n</style>x" },
    { "<style><!-- p{color:red} --></style>", "<style>p{color:red;}\n</style>" },
    { "<style>p{color:red}</style/><img src=x onerror=1>", "<style>p{color:red;}\n</style><img>" },
    { "<style>a[b=\"c]{color:red} d{font-family:\"} e{color:blue} f\"}</style>", "<style>e{color:blue;}\n</style>" },
    { "<style>p{content:'</style><img src=x onerror=1>'}</style>", "<img>'}" },
};

static void forms(void **state)
{
    const struct html_safe how = roomy_html(false);

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct html_safe_found found;
        struct buf out;

        buf_init(&out, 1 << 16);
        html_safe(bytes_of(rows[i].html), &how, &out, &found);
        if (!bytes_equal(buf_bytes(&out), bytes_of(rows[i].safe)))
            print_message("of %s\n", rows[i].html);
        assert_bytes(buf_bytes(&out).p ? buf_bytes(&out) : BYTES(""), bytes_of(rows[i].safe));
        assert_false(found.cut);
        buf_clear(&out);
    }
}

static void remote_loads(void **state)
{
    const struct bytes html =
        BYTES("<img src=https://x.test/a.png><p style=\"background:url('http://x.test/b.png')\">x<img src=//x.test/c>");
    struct html_safe how = roomy_html(false);
    struct html_safe_found found;
    struct buf out;

    (void)state;
    buf_init(&out, 1 << 16);
    html_safe(html, &how, &out, &found);
    assert_int_equal(found.blocked, 3);
    assert_bytes(buf_bytes(&out), BYTES("<img><p>x<img></p>"));
    buf_reset(&out);
    how.remote = true;
    html_safe(html, &how, &out, &found);
    assert_int_equal(found.blocked, 1); /* one without a scheme leads nowhere in a mail */
    assert_bytes(buf_bytes(&out),
                 BYTES("<img src=\"https://x.test/a.png\"><p style=\"background:url(&quot;http://x.test/"
                       "b.png&quot;);\">x<img></p>"));
    buf_clear(&out);
}

/* What html_safe has written, read again: only what it may write, all closed in order. */
static void check_inert(struct bytes html)
{
    struct bytes stack[HTML_DEPTH_MOST + 1], in = html, text, name, value;
    struct html_tag tag;
    enum html_token token;
    size_t depth = 0;

    while ((token = html_next(&in, &text, &tag)) != HTML_END) {
        if (token == HTML_TEXT)
            continue;
        if (tag.closing) {
            assert_true(depth > 0);
            assert_bytes(tag.name, stack[--depth]);
            continue;
        }
        for (struct bytes rest = tag.attributes; html_attribute(&rest, &name, &value);) {
            assert_false(bytes_starts_nocase(name, BYTES("on")));
            assert_true(bytes_find(value, '<') == value.n && bytes_find(value, '"') == value.n);
            if (bytes_equal(name, BYTES("href")))
                assert_true(bytes_starts_nocase(value, BYTES("http")) || bytes_starts_nocase(value, BYTES("mailto:")) ||
                            bytes_starts_nocase(value, BYTES("tel:")));
            if (bytes_equal(name, BYTES("src")))
                assert_true(bytes_starts(value, BYTES("data:image/")) || bytes_starts(value, BYTES("/v1/")) ||
                            bytes_starts_nocase(value, BYTES("http")));
        }
        assert_false(bytes_equal_nocase(tag.name, BYTES("script")) || bytes_equal_nocase(tag.name, BYTES("svg")) ||
                     bytes_equal_nocase(tag.name, BYTES("iframe")) || bytes_equal_nocase(tag.name, BYTES("math")));
        if (bytes_equal(tag.name, BYTES("style")))
            assert_true(bytes_find(tag.content, '<') == tag.content.n);
        else if (!bytes_equal(tag.name, BYTES("br")) && !bytes_equal(tag.name, BYTES("img")) &&
                 !bytes_equal(tag.name, BYTES("hr")) && !bytes_equal(tag.name, BYTES("wbr")) &&
                 !bytes_equal(tag.name, BYTES("col")))
            stack[depth++] = tag.name;
        assert_true(depth <= HTML_DEPTH_MOST);
    }
    assert_int_equal(depth, 0);
}

/* However little room there is, what is written is whole, and so is a second pass over it. */
static void cut_anywhere(void **state)
{
    struct bytes html =
        BYTES("<div class=a><p>one &amp; two<table><tr><td style='color:red'>x<td><a href=https://x.test>y</a>"
              "</table><style>p{color:red}</style><ul><li>z</ul></div>");
    const struct html_safe how = roomy_html(true);
    struct html_safe_found found;
    struct buf out;

    (void)state;
    for (size_t max = 1; max < 8192; max = max < 6800 ? max + 6800 : max + 1) {
        buf_init(&out, max);
        html_safe(html, &how, &out, &found);
        assert_false(out.overflowed);
        check_inert(buf_bytes(&out));
        buf_clear(&out);
    }
}

static void limits(void **state)
{
    struct html_safe how = roomy_html(false);
    struct html_safe_found found;
    struct buf html, out;

    (void)state;
    buf_init(&html, 1 << 22);
    buf_init(&out, 1 << 22);
    for (int i = 0; i < 100000; i++)
        buf_adds(&html, "<div><b a=1>");
    html_safe(buf_bytes(&html), &how, &out, &found);
    assert_true(found.cut);
    check_inert(buf_bytes(&out));
    buf_reset(&html);
    buf_reset(&out);
    for (int i = 0; i < 300; i++)
        buf_adds(&html, "<div>");
    buf_adds(&html, "deep");
    how.depth = 16;
    html_safe(buf_bytes(&html), &how, &out, &found);
    assert_false(found.cut);
    assert_non_null(memmem(out.p, out.n, "deep", 4));
    assert_int_equal(out.n, 16 * strlen("<div></div>") + 4);
    buf_clear(&html);
    buf_clear(&out);
}

/* Each payload: what is written is inert, and a second pass changes nothing that counts. tests/e2e shows the same in a
 * browser. */
static void xss_dompurify(void **state)
{
    struct json_object *tests = suite_json("html-xss-dompurify/payloads.json");
    const struct html_safe how = roomy_html(true);
    size_t n = json_object_array_length(tests);

    (void)state;
    for (size_t i = 0; i < n; i++) {
        struct html_safe_found found;
        struct buf once, twice;

        buf_init(&once, 1 << 20);
        buf_init(&twice, 1 << 20);
        html_safe(json_text(json_object_array_get_idx(tests, i), "payload"), &how, &once, &found);
        check_inert(buf_bytes(&once));
        html_safe(buf_bytes(&once), &how, &twice, &found);
        assert_bytes(buf_bytes(&twice), buf_bytes(&once));
        buf_clear(&once);
        buf_clear(&twice);
    }
    print_message("%zu payloads\n", n);
    assert_in_range(n, 100, 1000);
    json_object_put(tests);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms),  cmocka_unit_test(remote_loads), cmocka_unit_test(cut_anywhere),
        cmocka_unit_test(limits), ARENA_TEST(xss_dompurify),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
