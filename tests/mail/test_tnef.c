/* mail/tnef.h on files built here, whole, cut short and with lengths that lie. */
#include "tests/mail/suite.h"

#include "mail/tnef.h"

static void add_number(struct buf *b, uint32_t n, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        buf_addc(b, (char)(n >> (8 * i)));
}

static void add_attribute(struct buf *b, unsigned level, uint32_t id, struct bytes value)
{
    add_number(b, level, 1);
    add_number(b, id, 4);
    add_number(b, (uint32_t)value.n, 4);
    buf_add(b, value);
    add_number(b, 0, 2);
}

static void add_property(struct buf *b, unsigned type, unsigned id, struct bytes value)
{
    add_number(b, type, 2);
    add_number(b, id, 2);
    if (type == 3) {
        buf_add(b, value);
        return;
    }
    add_number(b, 1, 4);
    add_number(b, (uint32_t)value.n, 4);
    buf_add(b, value);
    add_number(b, 0, (4 - value.n % 4) % 4);
}

static struct bytes utf16(const char *text, struct arena *a)
{
    size_t n = strlen(text);
    char *p = arena_alloc(a, 2 * n + 2);

    for (size_t i = 0; i < n; i++)
        p[2 * i] = text[i];
    return (struct bytes){ p, 2 * n + 2 };
}

static void begin(struct buf *b)
{
    buf_init(b, 1 << 20);
    add_number(b, 0x223E9F78, 4);
    add_number(b, 1, 2);
}

/* Two files: one of the old kind, one whose name, type and bytes are properties, behind one with a name of its own. */
static void build(struct buf *b, struct arena *a)
{
    struct buf p;

    begin(b);
    add_attribute(b, 1, 0x00069007, BYTES("\xE4\x04\0\0\0\0\0\0")); /* code page 1252 */
    add_attribute(b, 2, 0x00069002, BYTES("\1\0"));
    add_attribute(b, 2, 0x00018010,
                  BYTES("..\\gr\xFC\xDF"
                        "e.pdf\0"));
    add_attribute(b, 2, 0x0006800F, BYTES("PDF"));
    add_attribute(b, 2, 0x00069002, BYTES("\1\0"));
    buf_init(&p, 1 << 16);
    add_number(&p, 5, 4);
    add_number(&p, 3, 2);
    add_number(&p, 0x8001, 2);
    buf_add(&p, BYTES("0123456789ABCDEF"));
    add_number(&p, 1, 4);
    add_number(&p, 6, 4);
    buf_add(&p, BYTES("a\0b\0\0\0\0\0"));
    add_number(&p, 7, 4);
    add_property(&p, 31, 0x3707, utf16("long name.txt", a));
    add_property(&p, 30, 0x370E, BYTES("TEXT/X-THING\0"));
    add_property(&p, 30, 0x3712, BYTES("id@x\0"));
    add_property(&p, 13, 0x3701, BYTES("0123456789ABCDEFbytes"));
    add_attribute(b, 2, 0x00069005, buf_bytes(&p));
    buf_reset(&p);
    add_number(&p, 2, 4);
    add_property(&p, 31, 0x1000, utf16("the text", a));
    add_property(&p, 258, 0x1013, BYTES("<p>the html"));
    add_attribute(b, 1, 0x00069003, buf_bytes(&p));
    buf_clear(&p);
}

static void files(void **state)
{
    struct buf b;
    struct tnef t;

    build(&b, *state);
    assert_true(tnef_read(buf_bytes(&b), 10, *state, &t));
    assert_false(t.cut);
    assert_int_equal(t.n, 2);
    assert_bytes(t.files[0].filename, BYTES("gr\xC3\xBC\xC3\x9F"
                                            "e.pdf")); /* no path */
    assert_bytes(t.files[0].content_type, BYTES("application/pdf"));
    assert_bytes(t.files[0].content, BYTES("PDF"));
    assert_null(t.files[0].content_id.p);
    assert_bytes(t.files[1].filename, BYTES("long name.txt"));
    assert_bytes(t.files[1].content_type, BYTES("text/x-thing"));
    assert_bytes(t.files[1].content_id, BYTES("id@x"));
    assert_bytes(t.files[1].content, BYTES("bytes"));
    buf_clear(&b);
}

/* The body is a property of the message, and none of the file that came before it. */
static void body_behind_files(void **state)
{
    struct buf b, p;
    struct tnef t;

    begin(&b);
    buf_init(&p, 1 << 16);
    add_number(&p, 2, 4);
    add_property(&p, 31, 0x1000, utf16("the text", *state));
    add_property(&p, 258, 0x1013, BYTES("<p>the html"));
    add_attribute(&b, 2, 0x00069002, BYTES("\1\0"));
    add_attribute(&b, 1, 0x00069003, buf_bytes(&p));
    assert_true(tnef_read(buf_bytes(&b), 10, *state, &t));
    assert_bytes(t.text, BYTES("the text"));
    assert_bytes(t.html, BYTES("<p>the html"));
    assert_int_equal(t.n, 1);
    assert_int_equal(t.files[0].content.n, 0);
    buf_clear(&b);
    buf_clear(&p);
}

static void broken(void **state)
{
    struct buf b;
    struct tnef t;

    assert_false(tnef_read(BYTES(""), 10, *state, &t));
    assert_false(tnef_read(BYTES("PK\3\4 is another file"), 10, *state, &t));
    build(&b, *state);
    for (size_t n = 6; n < b.n; n++) {
        char *exact = malloc(n); /* so that a byte behind is noticed */

        memcpy(exact, b.p, n);
        arena_reset(*state);
        assert_true(tnef_read((struct bytes){ exact, n }, 10, *state, &t));
        assert_in_range(t.n, 0, 2);
        free(exact);
    }
    for (size_t at = 6; at < b.n; at++) {
        char before = b.p[at];

        b.p[at] = (char)0xFF;
        arena_reset(*state);
        tnef_read(buf_bytes(&b), 10, *state, &t);
        b.p[at] = before;
    }
    assert_true(tnef_read(buf_bytes(&b), 1, *state, &t));
    assert_true(t.cut);
    assert_int_equal(t.n, 1);
    buf_clear(&b);
}

static void known_by_type_or_name(void **state)
{
    (void)state;
    assert_true(tnef_is(BYTES("application/ms-tnef"), NO_BYTES));
    assert_true(tnef_is(BYTES("application/octet-stream"), BYTES("WINMAIL.DAT")));
    assert_false(tnef_is(BYTES("application/octet-stream"), BYTES("mail.dat")));
}

int main(void)
{
    const struct CMUnitTest tests[] = { ARENA_TEST(files), ARENA_TEST(body_behind_files), ARENA_TEST(broken),
                                        ARENA_TEST(known_by_type_or_name) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
