/* mail/address.h on the addresses of public suites. */
#include "base/json.h"
#include "tests/mail/suite.h"

#include "mail/address.h"
#include "tests/mail/plenty.h"

/* The controls of tests.xml are written as their pictures (U+2400 and up). */
static struct bytes unpicture(struct bytes in, struct arena *a)
{
    char *p = arena_alloc(a, in.n + 1);
    size_t n = 0;

    for (size_t i = 0; i < in.n; i++) {
        if (in.n - i >= 3 && (unsigned char)in.p[i] == 0xE2 && (unsigned char)in.p[i + 1] == 0x90) {
            p[n++] = (char)(in.p[i + 2] & 0x3F);
            i += 2;
        } else {
            p[n++] = in.p[i];
        }
    }
    return (struct bytes){ p, n };
}

static struct bytes element(struct bytes in, const char *open, const char *close)
{
    const char *from = memmem(in.p, in.n, open, strlen(open)), *to = NULL;

    if (!from)
        return BYTES("");
    from += strlen(open);
    to = memmem(from, in.n - (size_t)(from - in.p), close, strlen(close));
    return to ? (struct bytes){ from, (size_t)(to - from) } : BYTES("");
}

static struct bytes unescape_xml(struct bytes in, struct arena *a)
{
    static const struct {
        const char *name;
        char c;
    } names[] = { { "&amp;", '&' },  { "&lt;", '<' },    { "&gt;", '>' },
                  { "&quot;", '"' }, { "&apos;", '\'' }, { "&#x7F;", 0x7F } };
    struct buf out;
    struct bytes done;

    buf_init(&out, 4096);
    while (in.n) {
        size_t n = 0;

        if (bytes_starts(in, BYTES("&#x24")) && in.n > 7) { /* &#x2407; */
            char hex[3] = { in.p[5], in.p[6], 0 };

            buf_addc(&out, (char)strtol(hex, NULL, 16));
            in = bytes_from(in, 8);
            continue;
        }
        for (size_t i = 0; i < COUNT(names); i++)
            if (bytes_starts_nocase(in, bytes_of(names[i].name))) {
                buf_addc(&out, names[i].c);
                n = strlen(names[i].name);
            }
        if (n == 0)
            buf_addc(&out, in.p[0]);
        in = bytes_from(in, n ? n : 1);
    }
    done = arena_copy(a, buf_bytes(&out));
    buf_clear(&out);
    return done;
}

/* What address_parse takes: an addr-spec of RFC 5321, since we write no other. So comments and folding (RFC
 * 5322 3.2.2), obsolete forms (4) and literals that RFC 5321 4.1.3 has not are refused as errors are. Those of the
 * suite that stand elsewhere for us: */
static const struct {
    const char *id;
    bool taken;
    const char *why;
} isemail_known[] = {
    { "71", true, "\"::\" in place of one group: RFC 4291 2.2 has it, whatever RFC 5321 4.1.3 says" },
};

static bool expected(struct bytes id, struct bytes category)
{
    static const char *const taken[] = { "ISEMAIL_VALID_CATEGORY", "ISEMAIL_RFC5321", "ISEMAIL_DNSWARN" };

    for (size_t i = 0; i < COUNT(isemail_known); i++)
        if (bytes_equal(id, bytes_of(isemail_known[i].id)))
            return isemail_known[i].taken;
    for (size_t i = 0; i < COUNT(taken); i++)
        if (bytes_equal(category, bytes_of(taken[i])))
            return true;
    return false;
}

static void isemail(void **state)
{
    struct buf file;
    struct bytes rest, test;
    size_t cases = 0, wrong = 0;

    suite_read("email-address-isemail/tests.xml", &file);
    rest = buf_bytes(&file);
    while ((test = element(rest, "<test id=", "</test>")).n) {
        struct bytes raw = unescape_xml(element(test, "<address>", "</address>"), *state);
        struct bytes address = unpicture(raw, *state), category = element(test, "<category>", "</category>");
        struct bytes id = element(test, "\"", "\"");
        struct address out;
        struct err e = { 0 };
        bool ok = address_parse(address, *state, &out, &e);

        if (ok != expected(id, category)) {
            print_message("test %.*s <%.*s> %.*s: %s\n", SHOW(id), SHOW(address), SHOW(category),
                          ok ? "taken" : e.message);
            wrong++;
        }
        cases++;
        rest = bytes_from(rest, (size_t)(test.p + test.n - rest.p));
    }
    print_message("%zu of %zu as expected\n", cases - wrong, cases);
    assert_in_range(cases, 70, 300);
    assert_int_equal(wrong, 0);
    buf_clear(&file);
}

/* What the suite takes for an address and the grammar does not. */
static bool is_no_address(struct bytes wanted)
{
    static const char *const why[] = {
        "mailto:", "http:", "ftp:", /* List-* fields are URLs (RFC 2369 3.2): header_bracketed reads those */
        "@",                        /* a route before the address goes (RFC 5322 4.4) */
        "NO",                       /* of List-Post (RFC 2369 3.4) */
    };

    for (size_t i = 0; i < COUNT(why); i++)
        if (bytes_starts(wanted, bytes_of(why[i])))
            return true;
    return !wanted.n || memmem(wanted.p, wanted.n, "  ", 2); /* words alone (3.4); blanks in a domain (4.4) */
}

static void count_addresses(struct json_object *list, const struct address_list *got, const char *header,
                            size_t counts[3])
{
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *one = json_object_array_get_idx(list, i);
        struct bytes email = json_text(one, "address");
        bool found = false;

        for (size_t k = 0; k < got->n && !found; k++)
            found = bytes_equal(email, got->list[k].email);
        counts[found ? 0 : is_no_address(email) || strchr(header, '\n')[1] ? 1 : 2]++;
        if (!found && !is_no_address(email))
            print_message("not found: %.*s in %s", SHOW(email), header);
    }
}

/* Each address of the suite is found, but for those that are none. One value has a second line that continues nothing
 * (RFC 5322 2.2.3): no header of one field holds that. Names are compared in lists() of test_address.c: the suite puts
 * comments into names, we use one only where there is no name. */
static void header_fields_stalwart(void **state)
{
    struct json_object *tests = suite_json("header-fields-stalwart/address.json");
    size_t counts[3] = { 0 };

    for (size_t i = 0; i < json_object_array_length(tests); i++) {
        struct json_object *test = json_object_array_get_idx(tests, i),
                           *want = json_object_object_get(test, "expected"), *list;
        struct bytes header = json_bytes(json_object_object_get(test, "header"));
        struct address_list got;

        address_list_parse(header, 100, plenty, *state, &got);
        if (json_object_object_get_ex(want, "List", &list))
            count_addresses(list, &got, header.p, counts);
        if (!json_object_object_get_ex(want, "Group", &list))
            continue;
        for (size_t k = 0; k < json_object_array_length(list); k++)
            count_addresses(json_object_object_get(json_object_array_get_idx(list, k), "addresses"), &got, header.p,
                            counts);
    }
    print_message("%zu addresses found, %zu are none, %zu missing\n", counts[0], counts[1], counts[2]);
    assert_in_range(counts[0], 70, 1000);
    assert_int_equal(counts[2], 0);
    json_object_put(tests);
}

static unsigned hex_number(struct bytes in, size_t n)
{
    char text[8] = { 0 };

    memcpy(text, in.p, n < 7 ? n : 7);
    return (unsigned)strtoul(text, NULL, 16);
}

static void add_code(struct buf *out, unsigned c)
{
    if (c < 0x80) {
        buf_addc(out, (char)c);
        return;
    }
    if (c >= 0x10000)
        buf_addc(out, (char)(0xF0 | (c >> 18)));
    if (c >= 0x800)
        buf_addc(out, (char)(c >= 0x10000 ? 0x80 | ((c >> 12) & 0x3F) : 0xE0 | (c >> 12)));
    buf_addc(out, (char)(c >= 0x800 ? 0x80 | ((c >> 6) & 0x3F) : 0xC0 | (c >> 6)));
    buf_addc(out, (char)(0x80 | (c & 0x3F)));
}

/* \uXXXX and \x{X}. False for half of a surrogate pair, which no UTF-8 can hold. */
static bool unescape(struct bytes in, struct arena *a, struct bytes *out)
{
    struct buf text;
    bool ok = true;

    buf_init(&text, 4096);
    while (in.n) {
        unsigned c = 0;
        size_t n = 1;

        if (bytes_starts(in, BYTES("\\u"))) {
            c = hex_number(bytes_from(in, 2), 4);
            n = 6;
        } else if (bytes_starts(in, BYTES("\\x{"))) {
            n = bytes_find(in, '}') + 1;
            c = hex_number(bytes_from(in, 3), n - 4);
        }
        ok &= c < 0xD800 || c > 0xDFFF;
        if (n > 1)
            add_code(&text, c);
        else
            buf_addc(&text, in.p[0]);
        in = bytes_from(in, n);
    }
    *out = text.n ? arena_copy(a, buf_bytes(&text)) : BYTES("");
    buf_clear(&text);
    return ok;
}

/* What a line says of toAsciiN: NO_BYTES for an error. */
static struct bytes wanted_ascii(const struct bytes column[7], struct arena *a)
{
    struct bytes status = column[4].n ? column[4] : column[2], source = column[0], text;

    if (status.n && !bytes_equal(status, BYTES("[]")))
        return NO_BYTES;
    text = column[3].n ? column[3] : column[1].n ? column[1] : source;
    unescape(text, a, &text);
    return bytes_ends(text, BYTES(".")) ? bytes_head(text, text.n - 1) : text;
}

/* Each line of the file. Where it has an ASCII form, ours is that, or we refuse: what UTS #46 lets pass and IDNA2008
 * does not (symbols, RFC 5892 2.6; empty labels, RFC 1034 3.5), and the names of which an A-label would not be what it
 * looks like. Where it has an error, we refuse too, but for names that are ASCII already: putative A-labels are not
 * decoded (RFC 5891 5.4 leaves that open), and other rules of UTS #46 (V2, V3: hyphens) are none for those. */
static void idna_uts46(void **state)
{
    struct buf file;
    struct bytes rest, line;
    size_t same = 0, symbols = 0, refused = 0, ascii = 0, wrong = 0, none = 0;
    struct arena *a = *state;

    suite_read("idna-uts46/IdnaTestV2.txt", &file);
    rest = buf_bytes(&file);
    while (bytes_cut(rest, '\n', &line, &rest)) {
        struct bytes column[7], left = bytes_head(line, bytes_find(line, '#')), source, out, want;
        struct err e = { 0 };
        bool ok;

        if (bytes_trim(left).n == 0)
            continue;
        for (int i = 0; i < 7; i++) {
            bytes_cut(left, ';', &column[i], &left);
            column[i] = bytes_trim(column[i]);
        }
        arena_reset(a);
        if (!unescape(column[0], a, &source)) {
            none++;
            continue;
        }
        want = wanted_ascii(column, a);
        ok = domain_normalize(source, a, &out, &e);
        if (ok && want.p && bytes_equal(out, want))
            same++;
        else if (!ok && !want.p)
            refused++;
        else if (!ok)
            symbols++;
        else if (!want.p && bytes_is_ascii(source))
            ascii++;
        else if (wrong++ < 20)
            print_message("%.*s gave %.*s, want %.*s\n", SHOW(source), SHOW(out), SHOW(want));
    }
    print_message("%zu the same, %zu refused by both; %zu refused by us alone, %zu ASCII names taken by us alone, %zu "
                  "no text; %zu wrong\n",
                  same, refused, symbols, ascii, none, wrong);
    assert_int_equal(wrong, 0);
    buf_clear(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ARENA_TEST(isemail),
        ARENA_TEST(header_fields_stalwart),
        ARENA_TEST(idna_uts46),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
