/* mail/mime.h on the mails of public suites: none breaks it, and what others see in them we see too. */
#include "tests/mail/plenty.h"
#include "tests/mail/shape.h"

#include <dirent.h>

typedef void visit(const char *path, struct bytes message, struct arena *a);

static size_t for_each(const char *folder, const char *ending, visit *each, struct arena *a)
{
    char path[512], file[1024];
    DIR *dir = NULL;
    struct dirent *entry = NULL;
    size_t n = 0;

    snprintf(path, sizeof path, "%s/%s", suites_folder(), folder);
    dir = opendir(path);
    if (!dir) {
        print_message("skipped: no %s\n", path);
        skip();
    }
    while ((entry = readdir(dir))) {
        struct buf message;

        if (!bytes_ends(bytes_of(entry->d_name), bytes_of(ending)))
            continue;
        snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        assert_true(read_whole(file, &message));
        arena_reset(a);
        each(file, buf_bytes(&message), a);
        buf_clear(&message);
        n++;
    }
    closedir(dir);
    return n;
}

/* What holds for every message: the same index however it is cut, parts inside their parents, in order, decodable. */
static void check_message(const char *path, struct bytes message, struct arena *a)
{
    const struct mime_index *whole = index_by(message, 0, &roomy, a);
    struct buf body;

    for (size_t step = 1; step <= 3; step++) {
        const struct mime_index *x = index_by(message, step, &roomy, a);

        if (x->n != whole->n)
            fail_msg("%s: %zu parts at once, %zu in steps of %zu", path, whole->n, x->n, step);
        for (size_t i = 0; i < x->n; i++) {
            assert_int_equal(x->parts[i].header_at, whole->parts[i].header_at);
            assert_int_equal(x->parts[i].body_at, whole->parts[i].body_at);
            assert_int_equal(x->parts[i].end_at, whole->parts[i].end_at);
            assert_bytes(x->parts[i].type, whole->parts[i].type);
        }
    }
    for (size_t i = 0; i < whole->n; i++) {
        const struct mime_part *p = &whole->parts[i];

        assert_true(p->header_at <= p->body_at && p->body_at <= p->end_at && p->end_at <= message.n);
        assert_true(p->parent < (int)i);
        if (p->parent >= 0 && p->end_at > whole->parts[p->parent].end_at)
            fail_msg("%s: part %zu ends at %zu, its parent at %zu", path, i, p->end_at, whole->parts[p->parent].end_at);
        if (p->parent >= 0)
            assert_true(p->header_at >= whole->parts[p->parent].body_at && p->end_at <= whole->parts[p->parent].end_at);
        assert_true(bytes_is_utf8(p->filename));
        buf_init(&body, 64 << 20);
        decode_part(whole, i, message, &body);
        buf_clear(&body);
    }
}

static void cpython(void **state)
{
    assert_in_range(for_each("mime-cpython", ".txt", check_message, *state), 40, 100);
}

/* Where a suite has it otherwise, and what is on our side. What else differs is a fault. */
struct known {
    const char *file, *why;
};

static size_t compared, differing, unknown;

static void note_difference(const struct known *known, size_t n, const char *path)
{
    const char *why = NULL;

    for (size_t i = 0; i < n; i++)
        if (bytes_ends(bytes_of(path), bytes_of(known[i].file)))
            why = known[i].why;
    differing++;
    unknown += !why;
    print_message("differs: %s: %s\n", path, why ? why : "NOT LISTED");
}

static const struct known mime4j_known[] = {
    { "weird-boundary_decoded_1_1.txt",
      "its boundary ends in blanks: RFC 2046 5.1.1 forbids it, readers cut them off" },
    { "very-long-boundary_decoded_1_1.txt", "the same" },
    { "malformedHeader-noheader_decoded_1.txt", "no empty line: what is no field is the body (RFC 5322 2.2)" },
    { "hdr-fakeout_decoded_1.txt", "the same" },
};

/* They are malformed but for thirdparty/000 and 015. */
static const struct known stalwart_known[] = {
    { "malformed/003.eml", "a text that a clashing boundary ends is text (RFC 2046 5.1.2), there an attachment" },
    { "malformed/004.eml", "only white space may follow a boundary (RFC 2046 5.1.1): \"--ab\" is none of \"a\"" },
    { "malformed/007.eml", "a part without a blank line holds what stands in it (RFC 2046 5.1), there it is empty" },
    { "malformed/011.eml", "a boundary of the outer ends the inner (RFC 2046 5.1.2)" },
    { "malformed/012.eml", "the same" },
    { "malformed/016.eml", "the same" },
    { "malformed/019.eml", "of the forms of an alternative the last counts (RFC 2046 5.1.4)" },
    { "malformed/020.eml", "two Content-Type (RFC 5322 3.6 allows one): the first counts, there the last" },
    { "malformed/021.eml", "the same" },
    { "thirdparty/000.eml", "of the forms of an alternative the last counts (RFC 2046 5.1.4)" },
    { "thirdparty/015.eml", "all parts of the multipart are told, there no more than two" },
};

/* Text files of the suite have other line ends than the message. */
static bool same_text(struct bytes a, struct bytes b)
{
    size_t i = 0, k = 0;

    for (;;) {
        while (i < a.n && a.p[i] == '\r')
            i++;
        while (k < b.n && b.p[k] == '\r')
            k++;
        if (i >= a.n || k >= b.n)
            break;
        if (a.p[i++] != b.p[k++])
            return false;
    }
    while (i < a.n && (a.p[i] == '\n' || a.p[i] == '\r'))
        i++;
    while (k < b.n && (b.p[k] == '\n' || b.p[k] == '\r'))
        k++;
    return i >= a.n && k >= b.n;
}

static void compare_leaf(const char *file, struct bytes got)
{
    static const char *const endings[] = { "txt", "bin" };
    char path[1200];
    struct buf want;

    for (size_t i = 0; i < COUNT(endings); i++) {
        snprintf(path, sizeof path, "%s.%s", file, endings[i]);
        if (!read_whole(path, &want))
            continue;
        compared++;
        if (!same_text(got, buf_bytes(&want)))
            note_difference(mime4j_known, COUNT(mime4j_known), path);
        buf_clear(&want);
    }
}

/* Numbers as the suite gives them: children of a multipart, and the body of a message inside. */
static void compare_entity(const char *file, struct bytes message, struct arena *a, unsigned depth);

static void compare_part(const char *file, const struct mime_index *x, size_t i, struct bytes message, struct arena *a,
                         unsigned depth)
{
    struct buf body;
    char inner[1100];

    buf_init(&body, 64 << 20);
    decode_part(x, i, message, &body);
    if (bytes_starts(x->parts[i].type, BYTES("multipart/"))) {
        unsigned number = 0;

        for (size_t k = i + 1; k < x->n; k++)
            if (x->parts[k].parent == (int)i) {
                snprintf(inner, sizeof inner, "%s_%u", file, ++number);
                compare_part(inner, x, k, message, a, depth);
            }
    } else if (bytes_equal(x->parts[i].type, BYTES("message/rfc822")) && depth < 5) {
        compare_entity(file, buf_bytes(&body), a, depth + 1);
    } else {
        compare_leaf(file, buf_bytes(&body));
    }
    buf_clear(&body);
}

static void compare_entity(const char *file, struct bytes message, struct arena *a, unsigned depth)
{
    const struct mime_index *x = index_by(message, 0, &roomy, a);
    char inner[1050];

    snprintf(inner, sizeof inner, "%s_1", file);
    compare_part(bytes_starts(x->parts[0].type, BYTES("multipart/")) && depth ? file : inner, x, 0, message, a, depth);
}

static void compare_mime4j(const char *path, struct bytes message, struct arena *a)
{
    char file[1024];

    check_message(path, message, a);
    snprintf(file, sizeof file, "%.*s_decoded", (int)(strlen(path) - 4), path);
    compare_entity(file, message, a, 0);
}

/* Decoded bodies are compared with mime4j's. */
static void mime4j(void **state)
{
    compared = differing = unknown = 0;
    for_each("mime-mime4j/testmsgs", ".msg", compare_mime4j, *state);
    for_each("mime-mime4j/mimetools-testmsgs", ".msg", compare_mime4j, *state);
    print_message("%zu bodies compared, %zu differ\n", compared, differing);
    assert_in_range(compared, 60, 1000);
    assert_int_equal(unknown, 0);
}

static bool holds(struct json_object *list, int part)
{
    for (size_t i = 0; i < json_object_array_length(list); i++)
        if (json_object_get_int(json_object_array_get_idx(list, i)) == part)
            return true;
    return false;
}

/* The parts of one type that make up the body are the same here and there. */
static bool same_body(const struct mime_index *x, struct bytes type, const int *list, size_t n,
                      struct json_object *want)
{
    for (size_t i = 0, at = 0; i < x->n; i++) {
        bool shown = at < n && list[at] == (int)i;

        at += shown;
        if (bytes_equal(x->parts[i].type, type) && shown != holds(want, (int)i))
            return false;
    }
    return true;
}

/* Number of parts and body as mail-parser sees them. */
static void compare_stalwart(const char *path, struct bytes message, struct arena *a)
{
    char file[1024];
    struct json_object *want = NULL, *text, *html;
    const struct mime_index *x = index_by(message, 0, &roomy, a);
    struct mime_view v;
    bool same = false;

    check_message(path, message, a);
    snprintf(file, sizeof file, "%.*s.json", (int)(strlen(path) - 4), path);
    want = json_object_from_file(file);
    assert_non_null(want);
    mime_view(x, a, &v);
    text = json_object_object_get(want, "text_body");
    html = json_object_object_get(want, "html_body");
    same = x->n == json_object_array_length(json_object_object_get(want, "parts")) &&
           same_body(x, BYTES("text/plain"), v.text, v.n_text, text) &&
           same_body(x, BYTES("text/html"), v.html, v.n_html, html);
    compared++;
    if (!same)
        note_difference(stalwart_known, COUNT(stalwart_known), path);
    json_object_put(want);
}

static void stalwart(void **state)
{
    compared = differing = unknown = 0;
    for_each("mime-stalwart-parser/malformed", ".eml", compare_stalwart, *state);
    for_each("mime-stalwart-parser/rfc", ".eml", compare_stalwart, *state);
    for_each("mime-stalwart-parser/thirdparty", ".eml", compare_stalwart, *state);
    print_message("%zu messages compared, %zu differ\n", compared, differing);
    assert_in_range(compared, 20, 100);
    assert_int_equal(unknown, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { ARENA_TEST(cpython), ARENA_TEST(mime4j), ARENA_TEST(stalwart) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
