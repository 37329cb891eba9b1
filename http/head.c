/* http/head.c - two passes. The scan judges each octet once, as it comes: a slow client does not make us read twice.
 *
 * The second pass cuts what the scan has found well formed (one CR before each LF, a colon in each field, two blanks in
 * the first line), so it needs no checks for that, and only judges what the parts mean. */
#include "http/head.h"
#include "base/network.h"
#include <string.h>

enum state {
    BEGIN,    /* empty lines before the request line (RFC 9112 2.2) */
    BEGIN_LF, /* the LF of one */
    METHOD,
    TARGET,
    VERSION,
    LINE_LF, /* of the request line or a field line */
    FIELD,   /* the first octet of a line */
    NAME,
    VALUE,
    END_LF
};

bool http_is_tchar(unsigned char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

bool http_is_token(struct bytes b)
{
    for (size_t i = 0; i < b.n; i++)
        if (!http_is_tchar((unsigned char)b.p[i]))
            return false;
    return b.n > 0;
}

bool http_is_field_octet(unsigned char c)
{
    return (c >= ' ' && c != 0x7F) || c == '\t';
}

/* Octets past ASCII are let through: the path is decoded and must be UTF-8 there (curl sends it as it was typed). */
static bool is_target_octet(unsigned char c)
{
    return c > ' ' && c != 0x7F && c != '#';
}

/* ---- the scan ---- */

static enum http_result bad(struct http_scan *s, const char *why)
{
    s->why = why;
    return HTTP_BAD;
}

static enum http_result go(struct http_scan *s, enum state to)
{
    s->state = (unsigned char)to;
    return HTTP_MORE;
}

static enum http_result field_begins(struct http_scan *s, unsigned char c, const struct http_limits *l)
{
    if (c == '\r')
        return go(s, END_LF);
    if (c == ' ' || c == '\t')
        return bad(s, "A header line may not be folded");
    if (!http_is_tchar(c))
        return bad(s, "A header's name is no token");
    if (s->fields == l->fields_max) {
        s->why = "The request has too many header lines";
        return HTTP_LARGE;
    }
    s->fields++;
    return go(s, NAME);
}

static enum http_result head_byte(struct http_scan *s, unsigned char c, const struct http_limits *l)
{
    switch ((enum state)s->state) {
    case BEGIN:
        if (c == '\r')
            return go(s, BEGIN_LF);
        return http_is_tchar(c) ? go(s, METHOD) : bad(s, "The method is no token");
    case BEGIN_LF: return c == '\n' ? go(s, BEGIN) : bad(s, "A line does not end in CRLF");
    case METHOD:
        if (c == ' ')
            return go(s, TARGET);
        return http_is_tchar(c) ? HTTP_MORE : bad(s, "The method is no token");
    case TARGET:
        if (c == ' ')
            return go(s, VERSION);
        return is_target_octet(c) ? HTTP_MORE : bad(s, "The target has an octet that it may not have");
    case VERSION:
        if (c == '\r')
            return go(s, LINE_LF);
        return c > ' ' && c < 0x7F ? HTTP_MORE : bad(s, "The version is malformed");
    case LINE_LF: return c == '\n' ? go(s, FIELD) : bad(s, "A line does not end in CRLF");
    case FIELD: return field_begins(s, c, l);
    case NAME:
        if (c == ':')
            return go(s, VALUE);
        return http_is_tchar(c) ? HTTP_MORE : bad(s, "A header's name is no token, or a blank stands behind it");
    case VALUE:
        if (c == '\r')
            return go(s, LINE_LF);
        return http_is_field_octet(c) ? HTTP_MORE : bad(s, "A header's value has a control character");
    case END_LF: break;
    }
    return c == '\n' ? HTTP_WHOLE : bad(s, "A line does not end in CRLF");
}

enum http_result http_head_scan(struct http_scan *s, struct bytes have, const struct http_limits *l)
{
    enum http_result result = HTTP_MORE;

    while (result == HTTP_MORE && s->at < have.n) {
        if (s->at == l->head_max) {
            s->why = "The request's header is too large";
            return HTTP_LARGE;
        }
        result = head_byte(s, (unsigned char)have.p[s->at++], l);
    }
    return result;
}

/* ---- the parts ---- */

static struct bytes line_take(struct bytes *rest)
{
    struct bytes line;

    bytes_cut(*rest, '\r', &line, rest);
    *rest = bytes_from(*rest, 1);
    return line;
}

static size_t lines_of(struct bytes b)
{
    size_t n = 0;

    while (b.n) {
        line_take(&b);
        n++;
    }
    return n;
}

static enum http_result version_read(struct bytes v, struct http_head *out, const char **why)
{
    bool digits = v.n == 8 && bytes_starts(v, BYTES("HTTP/")) && v.p[5] >= '0' && v.p[5] <= '9' && v.p[6] == '.' &&
                  v.p[7] >= '0' && v.p[7] <= '9';

    *why = digits ? "This server speaks HTTP/1.1" : "The version is malformed";
    if (!digits)
        return HTTP_BAD;
    /* A higher minor version is answered as 1.1 (RFC 9110 2.5). */
    out->minor = v.p[7] > '0';
    return v.p[5] == '1' ? HTTP_WHOLE : HTTP_VERSION;
}

static void split(struct bytes head, struct arena *a, struct http_head *out, struct bytes *version)
{
    struct bytes line, rest;

    do
        line = line_take(&head);
    while (!line.n);
    bytes_cut(line, ' ', &out->method, &rest);
    bytes_cut(rest, ' ', &out->target, version);
    out->n = lines_of(head) - 1;
    out->fields = arena_array(a, out->n, sizeof *out->fields);
    for (size_t i = 0; out->fields && i < out->n; i++) {
        struct http_field *f = &out->fields[i];

        bytes_cut(line_take(&head), ':', &f->name, &f->value);
        f->value = bytes_trim(f->value);
    }
}

/* ---- what the fields say ---- */

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

/* unreserved and sub-delims of RFC 3986 2.2, 2.3 */
static bool is_host_octet(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
           (c != '\0' && strchr("-._~!$&'()*+,;=", c) != NULL);
}

static bool name_fits(struct bytes name)
{
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] == '%' && i + 2 < name.n && is_hex(name.p[i + 1]) && is_hex(name.p[i + 2]))
            i += 2;
        else if (!is_host_octet(name.p[i]))
            return false;
    }
    return name.n > 0;
}

/* "v1.x": RFC 3986's door for what comes after IPv6. */
static bool future_fits(struct bytes literal)
{
    size_t dot = bytes_find(literal, '.');

    if (!bytes_starts_nocase(literal, BYTES("v")) || dot < 2 || dot + 1 >= literal.n)
        return false;
    for (size_t i = 1; i < literal.n; i++)
        if (i < dot ? !is_hex(literal.p[i]) : !is_host_octet(literal.p[i]) && literal.p[i] != ':')
            return false;
    return true;
}

static bool literal_fits(struct bytes literal)
{
    struct network address;

    return future_fits(literal) || (bytes_find(literal, ':') < literal.n && network_parse_address(literal, &address));
}

static bool port_fits(struct bytes port)
{
    int64_t n = 0;

    for (size_t i = 0; i < port.n; i++)
        if (port.p[i] < '0' || port.p[i] > '9')
            return false;
    return port.n == 0 || (bytes_to_int(port, &n) && n <= UINT16_MAX);
}

/* RFC 3986 3.2.2, 3.2.3; a name may be an IPv4 address as well. */
static bool host_fits(struct bytes host)
{
    bool bracketed = host.n && host.p[0] == '[';
    size_t end = bytes_find(host, bracketed ? ']' : ':');
    struct bytes name = bytes_head(host, end), port = bytes_from(host, end + bracketed);

    if (bracketed && (end == host.n || !literal_fits(bytes_from(name, 1))))
        return false;
    if (port.n && port.p[0] != ':')
        return false;
    return (bracketed || name_fits(name)) && port_fits(bytes_from(port, 1));
}

/* "/path", "http://host/path" (RFC 9112 3.2.2), or "*" of OPTIONS; what is CONNECTed to is no resource of ours. */
static bool target_fits(const struct http_head *h)
{
    struct bytes rest = h->target;

    if (rest.n && rest.p[0] == '/')
        return true;
    if (bytes_equal(rest, BYTES("*")))
        return bytes_equal(h->method, BYTES("OPTIONS"));
    if (bytes_starts_nocase(rest, BYTES("http://")))
        rest = bytes_from(rest, 7);
    else if (bytes_starts_nocase(rest, BYTES("https://")))
        rest = bytes_from(rest, 8);
    else
        return false;
    for (size_t i = 0; i < rest.n; i++)
        if (rest.p[i] == '/' || rest.p[i] == '?')
            rest.n = i;
    return host_fits(rest);
}

/* Nothing but digits: a sign, a list or a blank is what another reader takes for another number. */
static bool length_read(struct bytes value, int64_t *out)
{
    for (size_t i = 0; i < value.n; i++)
        if (value.p[i] < '0' || value.p[i] > '9')
            return false;
    return value.n > 0 && bytes_to_int(value, out);
}

/* RFC 9112 6.1: chunked comes last and once. */
static enum http_result coding_read(struct bytes value, struct http_head *h, const char **why)
{
    struct bytes item, rest = value;
    bool others = false;

    while (rest.n) {
        bytes_cut(rest, ',', &item, &rest);
        item = bytes_trim(item);
        others = others || h->chunked || !bytes_equal_nocase(item, BYTES("chunked"));
        if (h->chunked || !http_is_token(item)) {
            *why = "Transfer-Encoding is malformed";
            return HTTP_BAD;
        }
        h->chunked = bytes_equal_nocase(item, BYTES("chunked"));
    }
    *why =
        !h->chunked ? "Transfer-Encoding does not end in chunked" : "This server knows no transfer coding but chunked";
    return !h->chunked ? HTTP_BAD : others ? HTTP_UNSUPPORTED : HTTP_WHOLE;
}

static void connection_read(struct bytes value, struct http_head *h)
{
    struct bytes item;

    while (value.n) {
        bytes_cut(value, ',', &item, &value);
        if (bytes_equal_nocase(bytes_trim(item), BYTES("close")))
            h->keeps = false;
        else if (bytes_equal_nocase(bytes_trim(item), BYTES("keep-alive")) && h->minor == 0)
            h->keeps = true;
    }
}

struct seen {
    unsigned hosts, lengths, codings;
};

static enum http_result field_read(const struct http_field *f, struct http_head *h, struct seen *seen, const char **why)
{
    if (bytes_equal_nocase(f->name, BYTES("Content-Length"))) {
        *why = "Content-Length is malformed";
        seen->lengths++;
        return length_read(f->value, &h->length) ? HTTP_WHOLE : HTTP_BAD;
    }
    if (bytes_equal_nocase(f->name, BYTES("Transfer-Encoding"))) {
        seen->codings++;
        return coding_read(f->value, h, why);
    }
    if (bytes_equal_nocase(f->name, BYTES("Host"))) {
        *why = "Host is malformed";
        seen->hosts++;
        return host_fits(f->value) ? HTTP_WHOLE : HTTP_BAD;
    }
    if (bytes_equal_nocase(f->name, BYTES("Connection")))
        connection_read(f->value, h);
    if (bytes_equal_nocase(f->name, BYTES("Expect")) && bytes_equal_nocase(f->value, BYTES("100-continue")))
        h->expects = h->minor > 0;
    return HTTP_WHOLE;
}

static enum http_result fields_read(struct http_head *h, const char **why)
{
    struct seen seen = { 0 };
    enum http_result result = HTTP_WHOLE;

    for (size_t i = 0; result == HTTP_WHOLE && i < h->n; i++)
        result = field_read(&h->fields[i], h, &seen, why);
    if (result != HTTP_WHOLE)
        return result;
    *why = "There must be one Host";
    if (seen.hosts > 1 || (seen.hosts == 0 && h->minor > 0))
        return HTTP_BAD;
    *why = "The length of the body is ambiguous"; /* RFC 9112 6.1, 6.3 */
    return seen.lengths + seen.codings > 1 || (seen.codings && h->minor == 0) ? HTTP_BAD : HTTP_WHOLE;
}

enum http_result http_head_parse(struct bytes head, struct arena *a, struct http_head *out, const char **why)
{
    struct bytes version;
    enum http_result result;

    *out = (struct http_head){ .length = -1 };
    split(head, a, out, &version);
    result = version_read(version, out, why);
    if (result != HTTP_WHOLE)
        return result;
    out->keeps = out->minor > 0;
    *why = "The target is malformed";
    return target_fits(out) ? fields_read(out, why) : HTTP_BAD;
}
