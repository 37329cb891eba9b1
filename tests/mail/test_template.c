/* mail/template/template.h: what a template says, dialect by dialect; values that stay values wherever they stand;
 * faults with their place; and that no template takes more than its bounds. */
#include "tests/mail/suite.h"

#include "base/clock.h"
#include "base/json.h"
#include "mail/template/template.h"

static const struct template_limits limits = {
    .source = 512 << 10, .output = 5 << 20, .tags = 10000, .steps = 300000, .depth = 32
};

enum { PARTIALS_MAX = 8 };

struct asked {
    enum template_dialect dialect;
    enum template_part part;
    const char *text, *data;
    struct json_object *variables; /* instead of data */
    struct json_object *partials;  /* name: text */
    const char *layout;
};

static struct template *compiled(const struct asked *q, struct bytes text, bool layout, struct template_fault *fault)
{
    struct template *t = NULL;

    template_compile(
        &(struct template_source){ .text = text, .dialect = q->dialect, .part = q->part, .layout = layout }, &limits,
        &t, fault);
    return t;
}

static size_t partials_of(const struct asked *q, struct template_partial *list, struct template_fault *fault)
{
    size_t n = 0;

    if (!q->partials)
        return 0;
    json_object_object_foreach(q->partials, name, text)
    {
        assert_true(n < PARTIALS_MAX);
        list[n++] = (struct template_partial){ bytes_of(name), compiled(q, json_bytes(text), false, fault) };
    }
    return n;
}

/* What it renders; a fault as "! line:column message". */
static struct bytes rendered_with(struct arena *a, const struct asked *q, struct template_report *report)
{
    struct template_fault fault = { 0 };
    struct template_partial partials[PARTIALS_MAX] = { { .body = NULL } };
    struct template *body = compiled(q, bytes_of(q->text), false, &fault), *layout = NULL;
    size_t n = partials_of(q, partials, &fault);
    struct json_object *tree = q->variables;
    struct err e = { 0 };
    struct bytes text = NO_BYTES;
    struct buf out;

    if (q->layout)
        layout = compiled(q, bytes_of(q->layout), true, &fault);
    if (!tree && !json_read(bytes_of(q->data ? q->data : "{}"), &tree, &e))
        fail_msg("%s: %s", q->data, e.message);
    buf_init(&out, limits.output + 65536);
    if (body && !fault.message[0] &&
        template_render(
            &(struct template_job){
                .body = body, .layout = layout, .partials = partials, .n_partials = n, .variables = tree },
            &limits, a, &out, report, &fault))
        text = arena_copy(a, out.n ? buf_bytes(&out) : BYTES(""));
    else
        text = arena_bytesf(a, "! %u:%u %s", fault.line, fault.column, fault.message);
    for (size_t i = 0; i < n; i++)
        template_free((struct template **)(uintptr_t)&partials[i].body);
    template_free(&body);
    template_free(&layout);
    buf_clear(&out);
    if (!q->variables)
        json_object_put(tree);
    return text;
}

static struct bytes rendered(struct arena *a, const struct asked *q)
{
    struct template_report report = { .n_missing = 0 };

    return rendered_with(a, q, &report);
}

struct row {
    const char *text, *data, *want;
};

static void check_rows(struct arena *a, enum template_dialect dialect, enum template_part part, const struct row *rows,
                       size_t n)
{
    int wrong = 0;

    for (size_t i = 0; i < n; i++) {
        struct asked q = { .dialect = dialect, .part = part, .text = rows[i].text, .data = rows[i].data };
        struct bytes got = rendered(a, &q);

        if (bytes_equal(got, bytes_of(rows[i].want)))
            continue;
        wrong++;
        print_error("%s with %s\n  got  %.*s\n  want %s\n", rows[i].text, rows[i].data, SHOW(got), rows[i].want);
    }
    assert_int_equal(wrong, 0);
}

#define CHECK(dialect, part, rows) check_rows(*state, dialect, part, rows, COUNT(rows))

/* Helpers that handlebars.js has not; the rest of the language is compared with it (test_template_peers.py). */
static void helpers_do_what_they_say(void **state)
{
    static const struct row rows[] = {
        { "{{#if (eq a 1)}}y{{else}}n{{/if}}{{#eq a '1'}}y{{else}}n{{/eq}}{{#if (ne a 2)}}y{{/if}}", "{\"a\":1}",
          "yny" },
        { "{{#if (lt a 2)}}1{{/if}}{{#if (gt a 0.5)}}2{{/if}}{{#if (le a 1)}}3{{/if}}{{#if (ge a 1)}}4{{/if}}",
          "{\"a\":1}", "1234" },
        { "{{#if (lt a b)}}y{{/if}}{{#if (gt b c)}}y{{else}}n{{/if}}{{#if (lt a c)}}y{{else}}n{{/if}}",
          "{\"a\":\"a\",\"b\":\"b\"}", "ynn" },
        { "{{and a b}}|{{or c b}}|{{#if (not c)}}y{{/if}}|{{#and a c}}y{{else}}n{{/and}}",
          "{\"a\":1,\"b\":\"x\",\"c\":\"\"}", "x|x|y|n" },
        { "{{default a \"b\"}}|{{default c d \"e\"}}|{{default f \"x\"}}", "{\"a\":\"\",\"d\":0,\"f\":false}",
          "b|0|false" },
        { "{{upper a}} {{lower a}}", "{\"a\":\"Straße\"}", "STRASSE straße" },
        { "{{date t}} {{date t 'D.M.YY'}} {{date t 'dddd, MMMM Do, YYYY h:mm:ss A'}}",
          "{\"t\":\"2026-11-28T13:05:09Z\"}", "2026-11-28 28.11.26 Saturday, November 28th, 2026 1:05:09 PM" },
        { "{{date t 'YYYY-MM-DD HH:mm Z' '+05:30'}} {{date t 'H ZZ' '-0800'}} {{date t '[at] H[h]' 'UTC'}}",
          "{\"t\":\"2026-11-28T20:05:00Z\"}", "2026-11-29 01:35 +05:30 12 -0800 at 20h" },
        { "{{date t}} {{date u}} {{date v 'YYYY MMM ddd SSS X'}} {{date w}}",
          "{\"t\":\"2024-02-29\",\"u\":86400,\"v\":-1,\"w\":1795860000000}",
          "2024-02-29 1970-01-02 1969 Dec Wed 000 -1 2026-11-28" },
        { "{{date t}}|{{date u 'H:mm'}}|{{date t 'H' 'Europe/Berlin'}}|{{date v}}",
          "{\"t\":\"soon\",\"u\":\"2026-11-28 09:30\"}", "soon|9:30|soon|" },
        { "{{number a}} {{number a 2}} {{number a 0}} {{number a 1 locale='de'}} {{number b}} {{number c}}",
          "{\"a\":1234567.891,\"b\":-1000,\"c\":\"many\"}",
          "1,234,567.891 1,234,567.89 1,234,568 1.234.567,9 -1,000 many" },
        { "{{currency a 'EUR'}} {{currency a 'EUR' locale='de'}} {{currency b 'JPY'}} {{currency a 'CHF'}} {{currency "
          "c}}",
          "{\"a\":1234.5,\"b\":1234.5,\"c\":-0.5}",
          "€1,234.50 1.234,50\xC2\xA0€ ¥1,234 CHF\xC2\xA0"
          "1,234.50 -$0.50" },
        { "{{{json a}}} {{{json b}}}", "{\"a\":{\"x\":[1,null,\"</script>\"]},\"b\":\"&\"}",
          "{\"x\":[1,null,\"\\u003c/script\\u003e\"]} \"\\u0026\"" },
        { "{{url a}} {{length a}} {{length l}} {{length n}}", "{\"a\":\"ä b&c=d/e\",\"l\":[1,2]}",
          "%C3%A4%20b%26c%3Dd%2Fe 9 2 0" },
        { "{{join l}}|{{join l '-'}}|{{first l}}{{last l}}|{{first t}}{{last t}}|{{first n}}",
          "{\"l\":[1,2,3],\"t\":\"äbö\"}", "1, 2, 3|1-2-3|13|äö|" },
        { "{{n}} {{pluralize n 'item'}} {{pluralize 1 'box' 'boxes'}} {{pluralize 0 'box' 'boxes'}}", "{\"n\":2}",
          "2 items box boxes" },
        { "{{truncate t 4}}|{{truncate t 4 '..'}}|{{truncate t 6}}|{{truncate t 0}}", "{\"t\":\"größer\"}",
          "grö…|gr..|größer|" },
        { "{{lookup m k}} {{lookup l 1}} {{lookup m 'x'}}", "{\"m\":{\"a\":1},\"k\":\"a\",\"l\":[5,6]}", "1 6 " },
        { "{{upper (default (lookup m 'b') (first l))}}", "{\"m\":{},\"l\":[\"q\"]}", "Q" },
        /* Without arguments a name is a variable. */
        { "{{date}} {{url}} {{length}} {{#each first}}{{this}}{{/each}}",
          "{\"date\":\"today\",\"url\":\"/x\",\"length\":3,\"first\":[1]}", "today /x 3 1" },
    };

    CHECK(TEMPLATE_HANDLEBARS, TEMPLATE_TEXT, rows);
}

static void values_break_out_of_nothing(void **state)
{
#define EVIL "{\"x\":\"\\\"'><b>&`= on\\n\",\"j\":\"javascript:alert(1)\"}"
    static const struct row rows[] = {
        { "<p>{{x}}</p>", EVIL, "<p>&quot;&#x27;&gt;&lt;b&gt;&amp;&#x60;&#x3D; on\n</p>" },
        { "<p title=\"{{x}}\" lang='{{x}}'>", EVIL,
          "<p title=\"&quot;&#x27;&gt;&lt;b&gt;&amp;&#x60;&#x3D; on\n\" "
          "lang='&quot;&#x27;&gt;&lt;b&gt;&amp;&#x60;&#x3D; on\n'>" },
        { "<p title={{x}}>", EVIL, "<p title=&quot;&#x27;&gt;&lt;b&gt;&amp;&#x60;&#x3D;&#32;on&#10;>" },
        { "<p title={{none}} class=a>", "{}", "<p title=\"\" class=a>" },
        { "<a href=\"{{j}}\"><a href='{{j}}'><a href={{j}}><A HREF = \"{{j}}\"><img src={{j}}>", EVIL,
          "<a href=\"#\"><a href='#'><a href=#><A HREF = \"#\"><img src=#>" },
        { "<a href=\" {{x}}\">", "{\"x\":\" \\u0001jAva\\tscr\\nipt:alert(1)\"}", "<a href=\" #\">" },
        { "<a href=\"{{x}}\"><a href=\"{{y}}\"><a href=\"{{z}}\">",
          "{\"x\":\"vbscript:x\",\"y\":\"data:text/html,x\",\"z\":\"https://a.example/?b=c&d#e\"}",
          "<a href=\"#\"><a href=\"#\"><a href=\"https://a.example/?b&#x3D;c&amp;d#e\">" },
        { "<a href=\"{{x}}{{y}}\"><a href=\"java{{y}}\">", "{\"x\":\"java\",\"y\":\"script:alert(1)\"}",
          "<a href=\"javascript%3Aalert(1)\"><a href=\"javascript%3Aalert(1)\">" },
        { "<a href=\"/{{j}}\"><a href=\"mailto:{{x}}\">", EVIL,
          "<a href=\"/javascript:alert(1)\"><a href=\"mailto:&quot;&#x27;&gt;&lt;b&gt;&amp;&#x60;&#x3D; on\n\">" },
        { "<a href=\"https://a.example/?b={{x}}&c={{y}}#{{y}}\">", "{\"x\":\"1&admin=1#\",\"y\":\"a b%20c\"}",
          "<a href=\"https://a.example/?b=1%26admin%3D1%23&c=a%20b%20c#a b%20c\">" },
        { "<a href=\"{{u}}?b={{x}}\">", "{\"u\":\"https://a.example/p\",\"x\":\"1&2\"}",
          "<a href=\"https://a.example/p?b=1%262\">" },
        { "<b style=\"color:{{x}};width:{{y}}\">", "{\"x\":\"red;background:url(//e)\",\"y\":\"50%\"}",
          "<b style=\"color:;width:50%\">" },
        { "<b style=\"color:{{x}}\"><b style='background:url({{y}})'><b style='background:url(\"{{z}}\")'>",
          "{\"x\":\"rgba(1, 2, 3, .5)\",\"y\":\"javascript:x\",\"z\":\"https://a/b'\\\") c\"}",
          "<b style=\"color:rgba(1, 2, 3, .5)\"><b style='background:url(#)'>"
          "<b style='background:url(\"https://a/b%27%22%29%20c\")'>" },
        { "<style>p{color:{{x}}}</style>{{x}}", "{\"x\":\"</style><script>\"}",
          "<style>p{color:}</style>&lt;/style&gt;&lt;script&gt;" },
        { "<script>var a = \"{{x}}\", b = {{x}}, c = {{n}};</script>{{x}}",
          "{\"x\":\"</script>\\\"'\\\\\\n\",\"n\":[1]}",
          "<script>var a = \"\\u003c\\u002fscript\\u003e\\u0022\\u0027\\u005c\\u000a\", "
          "b = \"\\u003c/script\\u003e\\\"'\\\\\\n\", c = [1];</script>&lt;/script&gt;&quot;&#x27;\\\n" },
        { "<script>'</{{x}}>'</script>", "{\"x\":\"script\"}", "<script>'</>'</script>" },
        { "<a onclick=\"f('{{x}}', {{x}})\">", "{\"x\":\"');alert(1)//\"}",
          "<a onclick=\"f('\\u0027);alert(1)\\u002f\\u002f', &quot;&#x27;);alert(1)//&quot;)\">" },
        { "<{{x}} {{y}}=\"1\"><p {{z}}>", "{\"x\":\"b onload=x>\",\"y\":\"on click\",\"z\":\"a=b>c\"}",
          "<bonloadx onclick=\"1\"><p abc>" },
        { "<!-- {{x}} --><!--[if mso]><a href=\"{{y}}\"><![endif]-->", "{\"x\":\"--><b>\",\"y\":\"javascript:1\"}",
          "<!-- --&gt;&lt;b&gt; --><!--[if mso]><a href=\"#\"><![endif]-->" },
        { "{{#if x}}<a href=\"{{else}}<b title=\"{{/if}}{{j}}\">", EVIL, "<a href=\"#\">" },
        { "{{#if no}}<a href=\"{{else}}<b title=\"{{/if}}{{j}}\">", EVIL, "<b title=\"javascript:alert(1)\">" },
        { "<a href=\"{{{x}}}\">{{{x}}}", "{\"x\":\"<b>\"}", "<a href=\"<b>\"><b>" },
        { "{{x}}", "{\"x\":\"a\\u0000b\\u0007c\"}", "abc" },
        { "<iframe srcdoc=\"<p>{{x}}\">", "{\"x\":\"<script>\"}", "<iframe srcdoc=\"<p>&amp;lt;script&amp;gt;\">" },
        { "<img srcset=\"{{x}}\"><form action='{{x}}'><body background={{x}}>", "{\"x\":\"vbscript:x\"}",
          "<img srcset=\"#\"><form action='#'><body background=#>" },
        { "<textarea>{{x}}</textarea><title>{{x}}</title>", "{\"x\":\"</textarea>\"}",
          "<textarea>&lt;/textarea&gt;</textarea><title>&lt;/textarea&gt;</title>" },
    };

    CHECK(TEMPLATE_HANDLEBARS, TEMPLATE_HTML, rows);
}

static void lines_stay_lines(void **state)
{
    static const struct row rows[] = {
        { "Re: {{x}}", "{\"x\":\"a\\r\\nBcc: b@c\"}", "Re: a Bcc: b@c" },
        { "{{{x}}}\n{{y}}", "{\"x\":\"a\\u0085b\\u2028c\\u2029d\",\"y\":\"<&>\"}", "a b c d <&>" },
        { "{{#each x}}{{this}}\r\n{{/each}}", "{\"x\":[1,2]}", "1 2 " },
    };

    CHECK(TEMPLATE_HANDLEBARS, TEMPLATE_LINE, rows);
}

static void mustachio_is_another(void **state)
{
    static const struct row rows[] = {
        { "{{#l}}<{{length}}>{{/l}}{{#each l}}[{{.}}{{n}}]{{/each}}", "{\"l\":[{\"n\":1},{\"n\":2}]}", "<2>[1][2]" },
        { "{{l}}{{o}}|{{x}}|{{&x}}|{{{x}}}", "{\"l\":[1],\"o\":{},\"x\":\"<\"}", "|&lt;|<|<" },
        { "{{#o}}{{a}}{{b}}{{../b}}{{/o}}", "{\"o\":{\"a\":1},\"b\":2}", "12" },
        { "{{#z}}y{{/z}}{{#e}}y{{/e}}{{#f}}y{{/f}}{{#n}}y{{/n}}{{#m}}y{{/m}}{{^z}}0{{/z}}{{^e}}1{{/e}}{{^l}}2{{/l}}",
          "{\"z\":0,\"e\":\"\",\"f\":false,\"n\":null,\"l\":[]}", "012" },
        { "{{#t}}{{../a}}{{a}}{{/t}}", "{\"t\":true,\"a\":1}", "1" },
        { "{{#each x}}{{/each}}{{#each none}}{{/each}}", "{\"x\":\"text\"}", "! 1:1 each wants a list" },
        { "{{! note }}{{ #each l }}{{@index}}{{/each}}", "{\"l\":[7,8]}", "01" },
        { "{{#each l}}{{a.b}}{{../x}}{{/each}}", "{\"l\":[{\"a\":{\"b\":1}}],\"x\":2}", "12" },
        { "{{upper x}}", "{}", "! 1:9 this was not expected: x" },
    };

    CHECK(TEMPLATE_MUSTACHIO, TEMPLATE_HTML, rows);
}

static void sendgrid_has_more(void **state)
{
    static const struct row rows[] = {
        { "{{#equals a b}}y{{else}}n{{/equals}}{{#notEquals a b}}y{{else}}n{{/notEquals}}", "{\"a\":1,\"b\":\"1\"}",
          "yn" },
        { "{{#greaterThan a 1}}y{{else}}n{{/greaterThan}}{{#lessThan a \"10\"}}y{{else}}n{{/lessThan}}",
          "{\"a\":\"5\"}", "yy" },
        { "{{#and a b}}y{{else}}n{{/and}}{{#or a b}}y{{else}}n{{/or}}", "{\"a\":1,\"b\":0}", "ny" },
        { "{{insert a \"default=you\"}} {{insert b \"default=you\"}} {{insert b \"me\"}}", "{\"a\":\"Ana\"}",
          "Ana you me" },
        { "{{formatDate t \"MMMM DD, YYYY h:mm:ss A\"}} {{formatDate t \"H:mm\" \"-0800\"}}",
          "{\"t\":\"2026-01-05T18:04:05.000Z\"}", "January 05, 2026 6:04:05 PM 10:04" },
        { "{{#if (greaterThan (length l) 1)}}many{{/if}}{{#each l}}{{@index}}{{this}}{{/each}}", "{\"l\":[7,8]}",
          "many0718" },
    };

    CHECK(TEMPLATE_SENDGRID, TEMPLATE_HTML, rows);
}

static void resend_is_flat(void **state)
{
    static const struct row rows[] = {
        { "<b>{{{NAME}}}</b> {{{PRICE}}}", "{\"NAME\":\"A<b>\",\"PRICE\":12.5}", "<b>A&lt;b&gt;</b> 12.5" },
        { "<a href=\"{{{URL}}}\">", "{\"URL\":\"javascript:x\"}", "<a href=\"#\">" },
        { "{{{a.b}}}", "{}", "! 1:1 a variable is {{{NAME}}}, of letters, digits and _" },
        { "x{{#A}}{{/A}}", "{}", "! 1:2 this dialect has no blocks" },
        { "{{> a}}", "{}", "! 1:1 this dialect has no partials" },
    };

    CHECK(TEMPLATE_RESEND, TEMPLATE_HTML, rows);
}

static void faults_say_where(void **state)
{
    static const struct row rows[] = {
        { "a\nb {{#if x}}", "{}", "! 2:3 if is not closed" },
        { "{{#if x}}{{/unless}}", "{}", "! 1:10 unless is closed where if is open" },
        { "{{/if}}", "{}", "! 1:1 if is closed and was not opened" },
        { "\n\n  {{frobnicate x}}", "{}", "! 3:5 no helper is called frobnicate" },
        { "{{#frobnicate x}}{{/frobnicate}}", "{}", "! 1:4 no helper is called frobnicate" },
        { "{{upper (frobnicate x)}}", "{}", "! 1:10 no helper is called frobnicate" },
        { "{{x", "{}", "! 1:1 this tag has no end" },
        { "{{! x", "{}", "! 1:1 this comment has no end" },
        { "{{{x}}", "{}", "! 1:1 three braces are closed by three" },
        { "{{x \"}}", "{}", "! 1:1 this tag has no end" },
        { "{{}}", "{}", "! 1:1 this tag is empty" },
        { "{{else}}", "{}", "! 1:1 else without a block" },
        { "{{#if a}}{{else}}{{else}}{{/if}}", "{}", "! 1:18 this block has an else already" },
        { "{{#if}}{{/if}}", "{}", "! 1:1 #if takes one argument" },
        { "{{upper}} {{upper a b}}", "{}", "! 1:13 upper takes 1 to 1 arguments, not 2" },
        { "{{a/../b}}", "{}", "! 1:5 this and .. may only begin a path: ../b" },
        { "{{> none}}", "{}", "! 1:1 no partial is called none" },
        { "{{#*other \"x\"}}{{/other}}", "{}", "! 1:1 of decorators there is one: {{#*inline \"name\"}}" },
        { "a{{> @partial-block}}", "{}", "! 1:2 there is no block that stands for @partial-block" },
        { "{{#> none}}{{else}}{{/none}}", "{}", "! 1:12 else without a block" },
        { "{{{{bold}}}}x{{{{/bold}}}}", "{}", "! 1:1 no helper is called bold: a raw block is {{{{raw}}}}" },
        { "{{{{raw}}}}x", "{}", "! 1:1 this raw block has no end" },
    };
    struct asked utf8 = { .text = "\xFF" }, part = { .text = "{{> p}}", .partials = NULL };

    CHECK(TEMPLATE_HANDLEBARS, TEMPLATE_HTML, rows);
    assert_bytes(rendered(*state, &utf8), BYTES("! 1:1 the template is not UTF-8"));
    part.partials = json_object_new_object();
    json_object_object_add(part.partials, "p", json_object_new_string("{{#each l}}"));
    assert_bytes(rendered(*state, &part), BYTES("! 1:1 each is not closed"));
    json_object_put(part.partials);
}

static void layouts_hold_a_body(void **state)
{
    struct asked q = { .part = TEMPLATE_HTML,
                       .text = "<p>{{x}}</p>",
                       .data = "{\"x\":\"<\",\"title\":\"T\",\"content\":\"no\"}",
                       .layout = "<h1>{{title}}</h1>{{{content}}}<i>{{content}}</i>" };

    assert_bytes(rendered(*state, &q), BYTES("<h1>T</h1><p>&lt;</p><i>no</i>"));
    q.dialect = TEMPLATE_MUSTACHIO;
    q.layout = "[{{{@content}}}]";
    assert_bytes(rendered(*state, &q), BYTES("[<p>&lt;</p>]"));
    q.layout = "<a href=\"{{{@content}}}\">";
    q.text = "{{x}}";
    q.data = "{\"x\":\"javascript:1\"}";
    assert_bytes(rendered(*state, &q), BYTES("<a href=\"#\">"));
}

static void what_is_missing_is_told(void **state)
{
    struct template_report report = { .n_missing = 0 };
    struct asked q = { .text = "{{a}}{{b.c}}{{a}}{{#if d}}{{e}}{{/if}}{{default f 'x'}}{{upper g}}{{date h}}"
                               "<a href=\"{{j}}\">",
                       .data = "{\"b\":{},\"h\":\"?\",\"j\":\"javascript:1\"}" };

    rendered_with(*state, &q, &report);
    assert_int_equal(report.n_missing, 3);
    assert_bytes(report.missing[0], BYTES("a"));
    assert_bytes(report.missing[1], BYTES("b.c"));
    assert_bytes(report.missing[2], BYTES("g"));
    assert_int_equal(report.n_odd, 1);
    assert_bytes(report.odd[0], BYTES("date"));
    assert_int_equal(report.n_unsafe, 1);
    assert_bytes(report.unsafe[0], BYTES("j"));
}

static void names_are_known(void **state)
{
    static const struct row rows[] = {
        { "{{a.b}}{{#each c}}{{d}}{{this}}{{@index}}{{@root.e}}{{/each}}{{> p f g=h}}{{upper (lower i)}}", NULL,
          "a d e f h i c" },
        { "{{#each this}}{{/each}}", NULL, "*" },
        { "{{#with a}}{{../this}}{{/with}}", NULL, "a *" },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct asked q = { .text = rows[i].text };
        struct template_fault fault = { 0 };
        struct template *t = compiled(&q, bytes_of(rows[i].text), false, &fault);
        bool all = false;
        size_t n = 0, want = 0;
        const struct bytes *names;

        assert_non_null(t);
        names = template_names(t, &n, &all);
        for (size_t k = 0; k < n; k++)
            assert_non_null(memmem(rows[i].want, strlen(rows[i].want), names[k].p, names[k].n));
        for (const char *c = rows[i].want; *c; c++)
            want += *c != ' ' && *c != '*';
        assert_int_equal(n, want);
        assert_int_equal(all, strchr(rows[i].want, '*') != NULL);
        template_free(&t);
    }
    (void)state;
}

/* The rules of suites/mustache-spec, lambdas apart (they are code). */
static void mustache_spec(void **state)
{
    static const char *const files[] = { "comments", "delimiters", "interpolation",  "inverted",
                                         "partials", "sections",   "~dynamic-names", "~inheritance" };
    int wrong = 0, cases = 0;

    for (size_t f = 0; f < COUNT(files); f++) {
        char path[64];
        struct json_object *suite, *tests;

        snprintf(path, sizeof path, "mustache-spec/%s.json", files[f]);
        suite = suite_json(path);
        tests = json_object_object_get(suite, "tests");
        for (size_t i = 0; i < json_object_array_length(tests); i++, cases++) {
            struct json_object *test = json_object_array_get_idx(tests, i);
            struct asked q = { .dialect = TEMPLATE_MUSTACHE,
                               .text = json_object_get_string(json_object_object_get(test, "template")),
                               .variables = json_object_object_get(test, "data"),
                               .partials = json_object_object_get(test, "partials") };
            struct bytes want = json_bytes(json_object_object_get(test, "expected")), got = rendered(*state, &q);

            if (bytes_equal(got, want))
                continue;
            wrong++;
            print_error("%s, %s: %s\n  got  \"%.*s\"\n  want \"%.*s\"\n", files[f],
                        json_object_get_string(json_object_object_get(test, "name")), q.text, SHOW(got), SHOW(want));
        }
        json_object_put(suite);
    }
    assert_true(cases > 180);
    assert_int_equal(wrong, 0);
}

static void repeat(struct buf *out, const char *text, size_t n)
{
    while (n--)
        buf_adds(out, text);
}

/* A template and variables that want more than anybody should have: an error, within the time of some 10^5 steps. */
static void check_hostile(struct arena *a, const char *what, const struct asked *q, const char *want)
{
    int64_t began = clock_monotonic();
    struct bytes got = rendered(a, q);
    int64_t took = clock_monotonic() - began;

    if (!bytes_starts(got, BYTES("! ")) || !memmem(got.p, got.n, want, strlen(want)))
        fail_msg("%s: %.*s", what, SHOW(bytes_head(got, 200)));
    if (took > 2000) /* in a release build 50 ms are not reached; here a sanitizer looks on, on a busy machine */
        fail_msg("%s took %lld ms", what, (long long)took);
}

static void hostile_templates_end(void **state)
{
    struct buf text, data;
    struct asked q = { .part = TEMPLATE_HTML };

    buf_init(&text, 1 << 20);
    buf_init(&data, 4 << 20);
    repeat(&data, "{\"l\":[1", 1);
    repeat(&data, ",1", 999);
    repeat(&data, "],\"t\":\"", 1);
    repeat(&data, "<0123456789>", 100000);
    buf_add(&data, BYTES("\"}\0"));
    q.data = data.p;
    q.text = "{{#each l}}{{#each ../l}}{{#each ../../l}}{{#each ../../../l}}{{/each}}{{/each}}{{/each}}{{/each}}";
    check_hostile(*state, "loops", &q, "steps");
    q.text = "{{#each l}}{{../t}}{{/each}}";
    check_hostile(*state, "100 MB of output", &q, "! 1:1");
    q.text = "{{#each l}}{{{@root.t}}}{{{@root.t}}}{{/each}}";
    check_hostile(*state, "raw output", &q, "bytes");
    q.text = "{{#each l}}{{#if (eq (upper (json @root)) (lower (json @root)))}}{{/if}}{{/each}}";
    check_hostile(*state, "work without output", &q, "steps");
    q.text = "{{#each l}}{{#if @root.t.length}}{{/if}}{{#if (length (truncate @root.t 99999))}}{{/if}}{{/each}}";
    check_hostile(*state, "long texts", &q, "steps");
    repeat(&text, "{{#if l}}", 1000);
    buf_addc(&text, '\0');
    q.text = text.p;
    check_hostile(*state, "nesting", &q, "deep");
    buf_reset(&text);
    repeat(&text, "{{", 1);
    repeat(&text, "upper (", 50000);
    buf_add(&text, BYTES("}}\0"));
    q.text = text.p;
    check_hostile(*state, "brackets", &q, "deep");
    q.partials = json_object_new_object();
    json_object_object_add(q.partials, "p", json_object_new_string("{{> p}}{{> p}}"));
    q.text = "{{> p}}";
    check_hostile(*state, "partials in themselves", &q, "deep");
    q.dialect = TEMPLATE_MUSTACHE;
    buf_reset(&text);
    repeat(&text, "{{<p}}", 9000);
    buf_addc(&text, '\0');
    q.text = text.p;
    check_hostile(*state, "parents", &q, "deep");
    json_object_put(q.partials);
    q.partials = NULL;
    q.dialect = TEMPLATE_HANDLEBARS;
    buf_reset(&text);
    repeat(&text, "{{x}}", 100000);
    buf_addc(&text, '\0');
    q.text = text.p;
    check_hostile(*state, "tags", &q, "more than 10000 tags");
    q.text = "{{#each l}}<a href=\"?a={{@root.t}}\">{{/each}}";
    check_hostile(*state, "addresses", &q, "bytes");
    q.text = "{{#each l}}<script>\"{{@root.t}}\"</script>{{/each}}";
    check_hostile(*state, "scripts", &q, "bytes");
    q.part = TEMPLATE_LINE;
    q.text = "{{t}}";
    check_hostile(*state, "a long line", &q, "one line");
    q.text = "{{#each l}}{{#each ../l}}a{{/each}}{{/each}}";
    check_hostile(*state, "a line of many", &q, "65536 bytes");
    buf_clear(&text);
    buf_clear(&data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ARENA_TEST(helpers_do_what_they_say),
        ARENA_TEST(values_break_out_of_nothing),
        ARENA_TEST(lines_stay_lines),
        ARENA_TEST(mustachio_is_another),
        ARENA_TEST(sendgrid_has_more),
        ARENA_TEST(resend_is_flat),
        ARENA_TEST(faults_say_where),
        ARENA_TEST(layouts_hold_a_body),
        ARENA_TEST(what_is_missing_is_told),
        ARENA_TEST(names_are_known),
        ARENA_TEST(mustache_spec),
        ARENA_TEST(hostile_templates_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
