/* Input of twice the length costs twice the work, whatever it is made of: instructions are counted where the machine
 * lets us (perf_event_open), else the processor time of this thread, which other programs do not change much. Quadratic
 * work would be four times. */
#include "tests/mail/shape.h"

#include "mail/address.h"
#include "mail/build.h"
#include "mail/html_safe.h"
#include "mail/markdown.h"
#include "mail/reply.h"
#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { SMALL = 100000, TRIES = 4, OUT = 1 << 26 };

static const struct mail_limits wide = { .header_value = 1 << 22, .html = 1 << 22 };

static int counter = -1;

static int counter_open(void **state)
{
    struct perf_event_attr attr = { .type = PERF_TYPE_HARDWARE,
                                    .size = sizeof attr,
                                    .config = PERF_COUNT_HW_INSTRUCTIONS,
                                    .exclude_kernel = 1,
                                    .exclude_hv = 1 };

    (void)state;
    counter = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
    print_message("cost: %s\n", counter >= 0 ? "instructions" : "processor time");
    return 0;
}

static double cost_now(void)
{
    struct timespec t;
    uint64_t n = 0;

    if (counter >= 0 && read(counter, &n, sizeof n) == sizeof n)
        return (double)n;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

typedef void work(struct bytes in, struct arena *a, struct buf *out);

static void do_index(struct bytes in, struct arena *a, struct buf *out)
{
    struct mime_limits limits = roomy;
    struct mime_view v;
    const struct mime_index *x = NULL;
    struct mime *m = NULL;

    (void)out;
    limits.inner_files = true;
    limits.fields = wide;
    limits.parts = 10000;
    m = mime_begin(&limits, a);
    mime_feed(m, BYTES("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"));
    mime_feed(m, in);
    x = mime_end(m);
    mime_view(x, a, &v);
    mime_body(x, a, &v);
}

static void do_decode(struct bytes in, struct arena *a, struct buf *out)
{
    struct mime_part part = { .type = BYTES("text/plain"), .flowed = true };

    (void)a;
    for (int encoding = MIME_IDENTITY; encoding <= MIME_UU; encoding++) {
        struct mime_decoder d;

        buf_reset(out);
        mime_decode_begin(&d, (enum mime_encoding)encoding);
        mime_decode(&d, in, out);
        mime_decode_end(&d, out);
    }
    buf_reset(out);
    mime_text(&part, in, false, out);
}

static void do_fields(struct bytes in, struct arena *a, struct buf *out)
{
    struct address_list list;
    size_t n = 0;

    (void)out;
    header_decode(in, wide, a);
    header_parameter(in, "name", wide, a);
    header_token(in, a);
    header_date(in);
    header_bracketed(in, true, 1000, a, &n);
    address_list_parse(in, 100000, wide, a, &list);
}

static void do_html(struct bytes in, struct arena *a, struct buf *out)
{
    const struct html_safe how = { .html = 1 << 22, .depth = 256, .tags = 10000000, .remote = true };
    struct html_safe_found found;

    (void)a;
    html_safe(in, &how, out, &found);
    buf_reset(out);
    html_to_text(in, wide, out);
}

static void do_reply(struct bytes in, struct arena *a, struct buf *out)
{
    (void)a;
    reply_strip(in, out);
}

static void do_markdown(struct bytes in, struct arena *a, struct buf *out)
{
    (void)a;
    markdown_to_html(in, out);
}

static double cost_of(work *f, const char *piece, size_t size, struct arena *a)
{
    size_t n = strlen(piece);
    struct buf in, out;
    double cost;

    buf_init(&in, size + n + 1);
    buf_init(&out, OUT);
    while (in.n < size)
        buf_add(&in, (struct bytes){ piece, n });
    free(malloc(OUT)); /* what was mapped stays */
    arena_reset(a);
    cost = cost_now();
    f(buf_bytes(&in), a, &out);
    cost = cost_now() - cost;
    buf_clear(&in);
    buf_clear(&out);
    return cost;
}

static void check(work *f, const char *const *pieces, size_t n, struct arena *a)
{
    for (size_t i = 0; i < n; i++) {
        double best = 1e9;

        for (int k = 0; k < TRIES && best > 2.6; k++) {
            double small = cost_of(f, pieces[i], SMALL, a), large = cost_of(f, pieces[i], 2 * SMALL, a);

            best = large / small < best ? large / small : best;
        }
        if (best > 2.8)
            fail_msg("twice as much of \"%s\" costs %.1f times", pieces[i], best);
    }
}

static void structure(void **state)
{
    static const char *const pieces[] = {
        "--b\r\n\r\nx\r\n",
        "--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n",
        "--b\r\nContent-Type: multipart/alternative; boundary=a\r\n\r\n--a\r\n\r\n",
        "--c\r\n",
        "begin 644 x\r\n#0V%T\r\n`\r\nend\r\n",
        "begin 644 x\r\n#0V%T\r\n",
        "begin 644 x\r\n",
        "From: a@b.test\r\n",
        " x\r\n",
        "\r",
        "a",
    };

    check(do_index, pieces, COUNT(pieces), *state);
}

static void bodies(void **state)
{
    static const char *const pieces[] = { "a",       "=",         "=3D", " ",        " \n",
                                          "> \n",    ">>>> a \n", "\r",  "QUJD\r\n", "begin 644 x\n#0V%T\n",
                                          "\xE2\x82" };

    check(do_decode, pieces, COUNT(pieces), *state);
}

static void fields(void **state)
{
    static const char *const pieces[] = {
        "=?utf-8?q?a?= ", "=?utf-8?b?", "=?",   "\r\n ",         "(",   "\"", "\\", "<", "<a@b.test>, ", "a:", "@",
        ";name*0=a",      ";name=\"",   ";x=(", "; name*1*=%41", " ,;", "[",  "=",  ")",
    };

    check(do_fields, pieces, COUNT(pieces), *state);
}

static void html(void **state)
{
    static const char *const pieces[] = {
        "<b>",
        "<p>",
        "<div><b a=1>",
        "</div>",
        "<b><p>",
        "<table><tr><td>",
        "<td>",
        "<li>",
        "<a href='",
        "<a href=\"x\">",
        "<",
        "</",
        "<!--",
        "<!",
        "&",
        "&amp;",
        "&#",
        "&#x41",
        "<style>",
        "<style>a{b:c",
        "<style>a{",
        "<style>/*",
        "<p style='",
        "<p style='a:url(",
        "<p style='color:\"",
        "<p style=\"color:red;\">",
        "<script>",
        "<svg>",
        "</script",
        "<img src=cid:",
        "<x y=z ",
        " ",
        "\n",
        "<blockquote>",
        "<ul><ol>",
    };

    check(do_html, pieces, COUNT(pieces), *state);
}

static void replies(void **state)
{
    static const char *const pieces[] = { "> a\n",
                                          "On 1 Ana wrote:\n",
                                          "On 1\n",
                                          "From: a\n",
                                          "From: a\nTo: b\n",
                                          "-- \n",
                                          "-",
                                          "_",
                                          ":\n",
                                          "a",
                                          " \n",
                                          "\n",
                                          "-----\n" };

    check(do_reply, pieces, COUNT(pieces), *state);
}

static void markdown(void **state)
{
    static const char *const pieces[] = { "a",     "> ",    "* ",    "- a\n", "*a ", "_a_",   "`",
                                          "```\n", "# a\n", "a\n\n", "| a ",  "<b>", "&amp;", "  \n" };

    check(do_markdown, pieces, COUNT(pieces), *state);
}

int main(void)
{
    const struct CMUnitTest tests[] = { ARENA_TEST(structure), ARENA_TEST(bodies),  ARENA_TEST(fields),
                                        ARENA_TEST(html),      ARENA_TEST(replies), ARENA_TEST(markdown) };

    return cmocka_run_group_tests(tests, counter_open, NULL);
}
