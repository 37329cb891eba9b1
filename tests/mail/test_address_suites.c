/* mail/address.h on the addresses of public suites. */
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

/* Valid by RFC 5321 must be taken, an error refused. The other categories (comments, folding, obsolete forms, literals
 * of RFC 5322 only, too long) are no addr-spec of an envelope: refused, except
 * - DEPREC_IPV6 (a "::" for one group): inet_pton takes it;
 * - TOOLONG as a whole, and domain literals: decided by path_parse's 256 and inet_pton. */
static void isemail(void **state)
{
    struct buf file;
    struct bytes rest, test;
    size_t cases = 0;

    suite_read("email-address-isemail/tests.xml", &file);
    rest = buf_bytes(&file);
    while ((test = element(rest, "<test id=", "</test>")).n) {
        struct bytes raw = unescape_xml(element(test, "<address>", "</address>"), *state);
        struct bytes address = unpicture(raw, *state), category = element(test, "<category>", "</category>");
        bool valid = bytes_equal(category, BYTES("ISEMAIL_VALID_CATEGORY")) ||
                     bytes_equal(category, BYTES("ISEMAIL_RFC5321")) || bytes_equal(category, BYTES("ISEMAIL_DNSWARN"));
        bool wrong = bytes_equal(category, BYTES("ISEMAIL_ERR")) || bytes_equal(category, BYTES("ISEMAIL_CFWS"));
        struct address out;
        struct err e = { 0 };
        bool ok = address_parse(address, *state, &out, &e);

        if ((valid && !ok) || (wrong && ok))
            fail_msg("test %.*s <%.*s> %.*s: %s", 6, test.p, SHOW(address), SHOW(category),
                     ok ? "accepted" : e.message);
        cases++;
        rest = bytes_from(rest, (size_t)(test.p + test.n - rest.p));
    }
    assert_in_range(cases, 70, 300);
    buf_clear(&file);
}

static bool wanted_has(struct json_object *addresses, const struct address *got)
{
    for (size_t i = 0; i < json_object_array_length(addresses); i++) {
        struct json_object *one = json_object_array_get_idx(addresses, i);
        struct bytes email = json_bytes(json_object_object_get(one, "address"));

        if (bytes_equal(email, got->email))
            return true;
    }
    return false;
}

static size_t found_in(struct json_object *addresses, const struct address_list *list)
{
    size_t n = 0;

    for (size_t i = 0; i < list->n; i++)
        n += wanted_has(addresses, &list->list[i]);
    return n;
}

/* Every address of the suite is found. Left out: what the suite takes for addresses and RFC 5322 does not (URLs of
 * List- fields, words without an @), white space and routes it leaves inside an address. Names are compared in lists()
 * above: the suite puts comments into names, we use one only where there is no name. */
static void header_fields_stalwart(void **state)
{
    struct json_object *tests = suite_json("header-fields-stalwart/address.json");
    size_t addresses = 0, found = 0;

    for (size_t i = 0; i < json_object_array_length(tests); i++) {
        struct json_object *test = json_object_array_get_idx(tests, i),
                           *want = json_object_object_get(test, "expected"), *list;
        struct bytes header = json_bytes(json_object_object_get(test, "header"));
        struct address_list got;

        address_list_parse(header, 100, plenty, *state, &got);
        if (json_object_object_get_ex(want, "List", &list)) {
            addresses += json_object_array_length(list);
            found += found_in(list, &got);
        }
        if (!json_object_object_get_ex(want, "Group", &list))
            continue;
        for (size_t k = 0; k < json_object_array_length(list); k++) {
            struct json_object *group = json_object_object_get(json_object_array_get_idx(list, k), "addresses");

            addresses += json_object_array_length(group);
            found += found_in(group, &got);
        }
    }
    print_message("%zu of %zu addresses\n", found, addresses);
    assert_in_range(found, addresses - 22, addresses);
    json_object_put(tests);
}

/* All lines without \u escapes: where the file has a non-transitional ASCII form without error and the source is a host
 * name, ours is the same. Lines with an error are left to the host name rules: ASCII labels are not decoded, so a
 * broken "xn--" passes as the name it is. */
static void idna_uts46(void **state)
{
    struct buf file;
    struct bytes rest, line;
    size_t same = 0, refused = 0, wrong = 0;
    struct arena *a = *state;

    suite_read("idna-uts46/IdnaTestV2.txt", &file);
    rest = buf_bytes(&file);
    while (bytes_cut(rest, '\n', &line, &rest)) {
        struct bytes column[7], left = bytes_head(line, bytes_find(line, '#')), out, want;
        struct err e = { 0 };

        if (left.n == 0)
            continue;
        for (int i = 0; i < 7; i++) {
            bytes_cut(left, ';', &column[i], &left);
            column[i] = bytes_trim(column[i]);
        }
        if (memmem(column[0].p, column[0].n, "\\x", 2) || memmem(column[0].p, column[0].n, "\\u", 2) ||
            (column[2].n && !column[4].n) || (column[4].n > 2))
            continue;
        want = column[3].n ? column[3] : column[1].n ? column[1] : column[0];
        arena_reset(a);
        if (!domain_normalize(column[0], a, &out, &e))
            refused++;
        else if (bytes_equal(out, want) ||
                 (bytes_ends(want, BYTES(".")) && bytes_equal(out, bytes_head(want, want.n - 1))))
            same++;
        else if (wrong++ < 5)
            print_message("%.*s gave %.*s, want %.*s\n", SHOW(column[0]), SHOW(out), SHOW(want));
    }
    print_message("%zu as in the file, %zu refused (not in IDNA2008, or no host name)\n", same, refused);
    assert_int_equal(wrong, 0);
    assert_in_range(same, 200, 10000);
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
