/* mail/address.c - addresses, read with one of three degrees of strictness, and always written in one form.
 *
 * What we are given to write (API, composed mail) must be right. In a path of SMTP everything is taken of which it can
 * be told what is meant, since a refusal loses mail; a sender's domain is only recorded, so it may be no host name at
 * all. The text in `email` is ours in each case: quoted where it has to be, so that comparing and writing need not know
 * how it came. */
#include "mail/address.h"
#include "mail/address_form.h"
#include "mail/chars.h"
#include "mail/header.h"
#include <locale.h>
#include <pthread.h>
#include <wchar.h>
#include <wctype.h>

/* TEXT_MAX: a local part of nothing but quoted pairs. */
enum { LOCAL_MAX = 64, DOMAIN_MAX = 255, TEXT_MAX = 2 * LOCAL_MAX + 2 + 1 + DOMAIN_MAX };

bool address_is_dot_atom(struct bytes local)
{
    bool dot = true;

    for (size_t i = 0; i < local.n; i++) {
        if (local.p[i] == '.' ? dot : !char_is_atext(local.p[i]))
            return false;
        dot = local.p[i] == '.';
    }
    return !dot;
}

struct bytes address_copy(struct arena *a, struct bytes b)
{
    char *p = b.p ? arena_try(a, b.n + 1) : NULL;

    if (!p)
        return NO_BYTES;
    memcpy(p, b.p, b.n);
    return (struct bytes){ p, b.n };
}

static size_t write_local(char *to, struct bytes local)
{
    size_t n = 0;

    if (address_is_dot_atom(local)) {
        memcpy(to, local.p, local.n);
        return local.n;
    }
    to[n++] = '"';
    for (size_t i = 0; i < local.n; i++) {
        if (local.p[i] == '"' || local.p[i] == '\\')
            to[n++] = '\\';
        to[n++] = local.p[i];
    }
    to[n++] = '"';
    return n;
}

bool address_form(struct address *out, struct arena *a)
{
    char *p = arena_try(a, 2 * out->local.n + 2 + 1 + out->domain.n + 1);
    size_t n = 0;

    if (!p)
        return false;
    n = write_local(p, out->local);
    if (out->domain.p) {
        p[n++] = '@';
        memcpy(p + n, out->domain.p, out->domain.n);
        n += out->domain.n;
    }
    out->email = (struct bytes){ p, n };
    out->utf8 = !bytes_is_ascii(out->email);
    return true;
}

/* C1 controls and the Unicode line breaks are valid UTF-8, but no part of any address. */
static bool text_ok(struct bytes b)
{
    if (!bytes_is_utf8(b))
        return false;
    for (size_t i = 0; i + 1 < b.n; i++) {
        const unsigned char *c = (const unsigned char *)b.p + i;

        if (c[0] == 0xC2 && c[1] < 0xA0)
            return false;
        if (c[0] == 0xE2 && i + 2 < b.n && c[1] == 0x80 && (c[2] == 0xA8 || c[2] == 0xA9))
            return false;
    }
    return true;
}

/* Quoted-string of RFC 5321: printable characters only, a backslash takes the next one, of ASCII, as it is (RFC 6531
 * 3.3 adds nothing to quoted-pairSMTP). */
static bool read_quoted(struct bytes *in, struct arena *a, struct bytes *local, struct err *e)
{
    char *p = arena_alloc(a, in->n + 1);
    size_t n = 0, i = 1;

    for (; i < in->n && in->p[i] != '"'; i++) {
        bool pair = in->p[i] == '\\' && i + 1 < in->n;

        i += pair;
        if (char_is_control(in->p[i]))
            return err_set(e, ERR_SYNTAX, "A control character in an address");
        if (pair && char_is_8bit(in->p[i]))
            return err_set(e, ERR_SYNTAX, "A backslash before a character beyond ASCII");
        p[n++] = in->p[i];
    }
    if (i >= in->n)
        return err_set(e, ERR_SYNTAX, "A quote in the address is not closed");
    *in = bytes_from(*in, i + 1);
    *local = (struct bytes){ p, n };
    return true;
}

/* As it was written, whatever its length and wherever its dots are. */
static bool read_local(struct bytes *in, struct arena *a, struct bytes *local, struct err *e)
{
    size_t n = 0;

    if (in->n && in->p[0] == '"') {
        if (!read_quoted(in, a, local, e))
            return false;
    } else {
        while (n < in->n && (in->p[n] == '.' || char_is_atext(in->p[n])))
            n++;
        *local = bytes_head(*in, n);
        *in = bytes_from(*in, n);
        if (n == 0)
            return err_set(e, ERR_SYNTAX, "Nothing that could be the part before the @");
    }
    return text_ok(*local) || err_set(e, ERR_SYNTAX, "The part before the @ is no UTF-8 text");
}

bool address_read_local(struct bytes *in, struct arena *a, struct bytes *local, struct err *e)
{
    bool quoted = in->n && in->p[0] == '"';
    size_t before = in->n, written = 0;

    if (in->n > TEXT_MAX)
        return err_set(e, ERR_SYNTAX, "An address of %zu octets", in->n);
    if (!read_local(in, a, local, e))
        return false;
    if (!quoted && !address_is_dot_atom(*local))
        return err_set(e, ERR_SYNTAX, "A dot at the wrong place before the @");
    written = quoted && !address_is_dot_atom(*local) ? before - in->n : local->n; /* the quotes count */
    return written <= LOCAL_MAX || err_set(e, ERR_SYNTAX, "More than %d octets before the @", LOCAL_MAX);
}

/* Behind the local part: the @ and what should be a domain. */
static bool read_domain(struct bytes in, struct bytes *domain, struct err *e)
{
    if (in.n == 0 || in.p[0] != '@')
        return err_set(e, ERR_SYNTAX, in.n ? "A character that an address cannot have" : "No @ in the address");
    *domain = bytes_from(in, 1);
    return domain->n > 0 || err_set(e, ERR_SYNTAX, "Nothing behind the @");
}

static bool too_long(struct err *e)
{
    return err_set(e, ERR_SYNTAX, "An address of more than %d octets", ADDRESS_MAX);
}

/* `normal`: the domain as we write it. A Unicode domain grows, and its length there is what a path must hold. */
static bool finish(struct address *read, struct bytes normal, struct arena *a, struct address *out, struct err *e)
{
    size_t grown = normal.n > read->domain.n ? normal.n - read->domain.n : 0;

    read->domain = arena_copy(a, read->domain);
    read->local = arena_copy(a, read->local);
    if (!address_form(read, a))
        return err_set(e, ERR_TOO_LARGE, "No room for the address");
    if (read->email.n + grown > ADDRESS_MAX)
        return too_long(e);
    *out = *read;
    return true;
}

bool address_parse(struct bytes text, struct arena *a, struct address *out, struct err *e)
{
    struct address read = { .name = NO_BYTES };
    struct bytes in = text, normal;

    if (!address_read_local(&in, a, &read.local, e) || !read_domain(in, &read.domain, e))
        return false;
    if (bytes_ends(read.domain, BYTES(".")) || !text_ok(read.domain))
        return err_set(e, ERR_SYNTAX, "The part behind the @ is no domain");
    return domain_normalize(read.domain, a, &normal, e) && finish(&read, normal, a, out, e);
}

/* A sender's domain is recorded, not looked up: what devices and intranets call themselves is no fault of the mail. Any
 * atoms and dots will do, and any literal (RFC 5322 3.4.1), of which the header that we write can still be read. */
static bool sender_domain_ok(struct bytes domain, struct arena *a, struct bytes *normal, struct err *e)
{
    bool literal = domain.n > 2 && domain.p[0] == '[' && domain.p[domain.n - 1] == ']', named = false, plain = true;
    struct bytes inner = literal ? (struct bytes){ domain.p + 1, domain.n - 2 } : domain;

    *normal = domain;
    for (size_t i = 0; i < inner.n; i++) {
        char c = inner.p[i];

        named = named || char_is_alnum(c);
        plain = plain && (literal ? c > ' ' && c <= '~' && !char_in(c, BYTES("[\\]<>"))
                                  : c == '.' || (char_is_atext(c) && !char_is_8bit(c)));
    }
    return (plain && named) || (text_ok(domain) && domain_normalize(domain, a, normal, e));
}

/* What is no atom but stands before the last @ ("Ana Lopez@host", "ana@node@gate") can only be a local part that should
 * have been quoted. Quotes at odd places, backslashes and brackets may mean anything. */
static bool read_sender_local(struct bytes *in, struct arena *a, struct bytes *local, struct err *e)
{
    size_t at = bytes_find_last(*in, '@');
    struct bytes rest = *in;
    struct err odd = { 0 };

    if (at == in->n || (read_local(&rest, a, local, &odd) && rest.p == in->p + at))
        return read_local(in, a, local, e);
    *local = bytes_head(*in, at);
    for (size_t i = 0; i < at; i++)
        if (char_is_control(in->p[i]) || char_in(in->p[i], BYTES("\"\\<>[]")))
            return err_set(e, ERR_SYNTAX, "A character that an address cannot have");
    *in = bytes_from(*in, at);
    return (at > 0 && local->p[at - 1] != '@' && text_ok(*local)) ||
           err_set(e, ERR_SYNTAX, "Nothing that could be the part before the @");
}

/* What stands in a path is taken as far as it can be told what is meant (RFC 5321 4.5.3.1): SRS and VERP make long
 * local parts, phones have addresses with dots side by side. `email` has the quotes that the sender forgot. */
static bool path_address(struct bytes text, unsigned how, struct arena *a, struct address *out, struct err *e)
{
    struct address read = { .name = NO_BYTES };
    struct bytes in = text, normal;

    if (!(how & PATH_SENDER ? read_sender_local : read_local)(&in, a, &read.local, e) ||
        !read_domain(in, &read.domain, e))
        return false;
    for (size_t dots = how & PATH_SENDER ? read.domain.n : 1; dots && bytes_ends(read.domain, BYTES(".")); dots--)
        read.domain.n--;
    if (how & PATH_SENDER ? !sender_domain_ok(read.domain, a, &normal, e)
                          : bytes_ends(read.domain, BYTES(".")) || !text_ok(read.domain) ||
                                !domain_normalize(read.domain, a, &normal, e))
        return e->code ? false : err_set(e, ERR_SYNTAX, "The part behind the @ is no domain");
    return finish(&read, normal, a, out, e);
}

/* Behind a source route ("@a,@b:", RFC 5321 appendix C), which is read and forgotten. */
static bool skip_route(struct bytes *inner, struct err *e)
{
    size_t colon = bytes_find(*inner, ':');

    if (inner->n == 0 || inner->p[0] != '@')
        return true;
    for (size_t i = 0; i < colon; i++)
        if (!char_is_alnum(inner->p[i]) && !char_in(inner->p[i], BYTES("@,.-")))
            return err_set(e, ERR_SYNTAX, "A broken source route");
    if (colon == inner->n)
        return err_set(e, ERR_SYNTAX, "A source route without an address");
    *inner = bytes_from(*inner, colon + 1);
    return true;
}

/* Offset of the first of `ends` (one in quotes is none), or text.n. */
static size_t path_end(struct bytes text, struct bytes ends)
{
    bool quoted = false;

    for (size_t i = 0; i < text.n; i++) {
        if (quoted && text.p[i] == '\\')
            i++;
        else if (text.p[i] == '"')
            quoted = !quoted;
        else if (char_in(text.p[i], ends) && !quoted)
            return i;
    }
    return text.n;
}

static bool path_inner(struct bytes inner, unsigned how, struct arena *a, struct address *out, struct err *e)
{
    if (inner.n > ADDRESS_MAX)
        return err_set(e, ERR_SYNTAX, "A path of more than %d octets", ADDRESS_MAX + 2);
    if (inner.n == 0) {
        if (!(how & PATH_SENDER))
            return err_set(e, ERR_SYNTAX, "The null address is no recipient");
        *out = (struct address){ .local = NO_BYTES };
        return true;
    }
    if (!(how & PATH_SENDER) && bytes_equal_nocase(inner, BYTES("postmaster"))) { /* RFC 5321 4.1.1.3 */
        *out = (struct address){ .local = arena_copy(a, inner), .domain = NO_BYTES };
        out->email = out->local;
        return true;
    }
    return skip_route(&inner, e) && path_address(inner, how, a, out, e);
}

/* Without brackets, as old programs and devices write: up to the first blank. */
static bool path_bare(struct bytes text, unsigned how, struct arena *a, struct address *out, struct bytes *rest,
                      struct err *e)
{
    size_t end = path_end(text, BYTES(" \t"));

    if (!(how & PATH_BARE) || end == 0)
        return err_set(e, ERR_SYNTAX, "The address must stand in < >");
    *rest = bytes_trim(bytes_from(text, end));
    return path_inner(bytes_head(text, end), how, a, out, e);
}

/* Behind a name ("Ana Lopez <a@b>"), which the same programs take along from the header. What has an @ is none. */
static struct bytes skip_name(struct bytes text)
{
    size_t open = path_end(text, BYTES("<"));
    bool name = open > 0 && open < text.n && char_in(text.p[open - 1], BYTES(" \t\"")) &&
                bytes_find(bytes_head(text, open), '@') == open;

    return name ? bytes_from(text, open) : text;
}

bool path_parse(struct bytes text, unsigned how, struct arena *a, struct address *out, struct bytes *rest,
                struct err *e)
{
    size_t end = 0;
    struct bytes behind;

    text = bytes_trim(text); /* "MAIL FROM: <a@b>" is wrong and common, blanks inside the brackets are rarer */
    if (how & PATH_BARE)
        text = skip_name(text);
    if (text.n == 0 || text.p[0] != '<')
        return path_bare(text, how, a, out, rest, e);
    text = bytes_from(text, 1);
    end = path_end(text, BYTES(">"));
    if (end == text.n)
        return err_set(e, ERR_SYNTAX, "No > behind the address");
    behind = bytes_from(text, end + 1);
    if (behind.n && !char_in(behind.p[0], BYTES(" \t")))
        return err_set(e, ERR_SYNTAX, "Something that is no parameter behind the address");
    if (!path_inner(bytes_trim(bytes_head(text, end)), how, a, out, e))
        return false;
    *rest = bytes_trim(behind);
    return true;
}

static locale_t utf8_locale;

static void utf8_locale_make(void)
{
    utf8_locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    if (!utf8_locale)
        die("the locale C.UTF-8 is missing");
}

/* Lower case by Unicode's simple mapping, whatever the locale of the process is. */
static struct bytes fold_case(struct arena *a, struct bytes local)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    locale_t before;
    wchar_t wide[LOCAL_MAX + 1];
    char *text = NULL, *out = NULL;
    size_t n = 0;

    if (bytes_is_ascii(local) || local.n > LOCAL_MAX)
        return arena_lower(a, local);
    pthread_once(&once, utf8_locale_make);
    text = arena_text(a, local);
    out = arena_alloc(a, LOCAL_MAX * 4 + 1);
    before = uselocale(utf8_locale);
    n = mbstowcs(wide, text, LOCAL_MAX);
    if (n != (size_t)-1) {
        wide[n] = L'\0';
        for (size_t i = 0; i < n; i++)
            wide[i] = (wchar_t)towlower((wint_t)wide[i]);
        n = wcstombs(out, wide, LOCAL_MAX * 4);
    }
    uselocale(before);
    return n == (size_t)-1 ? arena_lower(a, local) : (struct bytes){ out, n };
}

struct bytes address_to_ascii(struct bytes email, struct arena *a)
{
    size_t at = bytes_find_last(email, '@');
    struct bytes local = bytes_head(email, at), domain;
    struct err ignored = { 0 };

    if (bytes_is_ascii(email) || at == email.n || !bytes_is_ascii(local) ||
        !domain_normalize(bytes_from(email, at + 1), a, &domain, &ignored))
        return email;
    return arena_bytesf(a, "%.*s@%.*s", SHOW(local), SHOW(domain));
}

bool address_normalize(const struct address *in, bool fold_local, struct arena *a, struct bytes *out, struct err *e)
{
    struct address normal = { .local = fold_local ? fold_case(a, in->local) : in->local };

    if (in->domain.p && !domain_normalize(in->domain, a, &normal.domain, e))
        return false;
    if (!address_form(&normal, a))
        return err_set(e, ERR_TOO_LARGE, "No room for the address");
    *out = normal.email;
    return out->n <= ADDRESS_MAX || too_long(e);
}

struct bytes address_untagged(struct bytes local)
{
    size_t plus = bytes_find(local, '+');

    return plus == 0 || plus == local.n ? NO_BYTES : bytes_head(local, plus);
}

void address_write(struct buf *out, const struct address *addr)
{
    struct arena *a = bytes_is_ascii(addr->email) ? NULL : arena_new(16 * 1024);
    struct bytes email = a ? address_to_ascii(addr->email, a) : addr->email;

    if (addr->name.n) {
        header_write_phrase(out, addr->name);
        buf_adds(out, " <");
    }
    buf_add(out, email);
    if (addr->name.n)
        buf_addc(out, '>');
    arena_free(&a);
}
