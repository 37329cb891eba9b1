/* mail/auth/spf_macro.c - macros of SPF (RFC 7208 7).
 *
 * One walk reads "%{letter digits r delimiters}"; checking is the same walk without a place to write to, so that what
 * is found right in a record is what is expanded later. */
#include "mail/auth/spf_private.h"
#include "mail/chars.h"

enum { LABELS_MAX = 1000, EXPANDED_MAX = 8192 };

struct macro {
    char letter; /* lower case */
    bool escape, reverse;
    unsigned keep; /* labels from the right; 0: all */
    struct bytes delimiters;
};

/* Behind "%{"; *n is how long it is with its brace. */
static bool read_macro(struct bytes text, bool explains, struct macro *m, size_t *n)
{
    size_t i = 1, from;
    bool digits;

    *m = (struct macro){ .delimiters = BYTES(".") };
    if (!text.n)
        return false;
    m->letter = char_lower(text.p[0]);
    m->escape = m->letter != text.p[0];
    if (!char_in(m->letter, explains ? BYTES("slodiphvcrt") : BYTES("slodiphv")))
        return false;
    for (digits = false; i < text.n && char_is_digit(text.p[i]); i++, digits = true)
        m->keep = m->keep < LABELS_MAX ? m->keep * 10 + (unsigned)(text.p[i] - '0') : LABELS_MAX;
    if (digits && !m->keep)
        return false;
    if (i < text.n && char_lower(text.p[i]) == 'r') {
        m->reverse = true;
        i++;
    }
    for (from = i; i < text.n && char_in(text.p[i], BYTES(".-+,/_=")); i++)
        continue;
    if (i > from)
        m->delimiters = bytes_head(bytes_from(text, from), i - from);
    *n = i + 1;
    return i < text.n && text.p[i] == '}';
}

static bool is_literal(char c, bool explains)
{
    return (c > 0x20 && c < 0x7F) || (explains && c == ' ');
}

bool spf_macro_ok(struct bytes text, bool explains, size_t *last)
{
    struct macro m;
    size_t n;

    *last = 0;
    for (size_t i = 0; i < text.n; i += n) {
        n = 1;
        if (text.p[i] != '%') {
            if (!is_literal(text.p[i], explains))
                return false;
            continue;
        }
        if (i + 1 == text.n)
            return false;
        if (text.p[i + 1] == '{') {
            if (!read_macro(bytes_from(text, i + 2), explains, &m, &n))
                return false;
            n += 2;
        } else {
            if (!char_in(text.p[i + 1], BYTES("%_-")))
                return false;
            n = 2;
        }
        *last = i + n;
    }
    return true;
}

bool spf_macro_asks_name(struct bytes text)
{
    for (size_t i = 0; i + 2 < text.n; i++)
        if (text.p[i] == '%' && text.p[i + 1] == '{' && char_lower(text.p[i + 2]) == 'p')
            return true;
    return false;
}

/* "192.0.2.1", or the nibbles of an IPv6 address with dots between them (7.3). */
static struct bytes dotted(const struct network *ip, struct arena *a)
{
    static const char hex[] = "0123456789ABCDEF";
    char text[NETWORK_TEXT], nibbles[64];

    if (network_is_ipv4(ip))
        return arena_copy(a, network_show(ip, text));
    for (size_t i = 0; i < 32; i++) {
        nibbles[2 * i] = hex[i % 2 ? ip->address[i / 2] & 15 : ip->address[i / 2] >> 4];
        nibbles[2 * i + 1] = '.';
    }
    return arena_copy(a, (struct bytes){ nibbles, 63 });
}

static struct bytes value_of(const struct spf_macros *m, char letter, struct arena *a)
{
    const struct spf_asked *q = m->q;
    size_t at = bytes_find_last(q->sender, '@');
    char text[NETWORK_TEXT];

    switch (letter) {
    case 's': return q->sender;
    case 'l': return bytes_head(q->sender, at);
    case 'o': return bytes_from(q->sender, at + 1);
    case 'd': return m->domain;
    case 'i': return dotted(&q->ip, a);
    case 'p': return m->validated.p ? m->validated : BYTES("unknown");
    case 'h': return q->helo;
    case 'v': return network_is_ipv4(&q->ip) ? BYTES("in-addr") : BYTES("ip6");
    case 'c': return arena_copy(a, network_show(&q->ip, text));
    case 'r': return q->host.p ? q->host : BYTES("unknown");
    default: return arena_bytesf(a, "%lld", (long long)(q->now / 1000));
    }
}

static void add_escaped(struct bytes part, bool escape, struct buf *out)
{
    for (size_t i = 0; i < part.n; i++) {
        char c = part.p[i];

        if (!escape || char_is_alnum(c) || char_in(c, BYTES("-._~")))
            buf_addc(out, c);
        else
            buf_addf(out, "%%%02X", (unsigned char)c);
    }
}

/* Takes the first part off, or the last one. */
static struct bytes take_part(const struct macro *m, struct bytes *value)
{
    struct bytes part, all = *value;
    size_t i = 0;

    while (i < all.n && !char_in(all.p[m->reverse ? all.n - 1 - i : i], m->delimiters))
        i++;
    part = m->reverse ? bytes_from(all, all.n - i) : bytes_head(all, i);
    *value = m->reverse ? bytes_head(all, all.n - (i < all.n ? i + 1 : i)) : bytes_from(all, i + 1);
    return part;
}

/* Cut at the delimiters, turned round, the last ones kept, joined by dots. Needs no memory: a record may have a
 * thousand macros, and a local part hundreds of dots. */
static void add_value(const struct macro *m, struct bytes value, struct buf *out)
{
    size_t n = 1, first;

    for (size_t i = 0; i < value.n; i++)
        n += char_in(value.p[i], m->delimiters);
    first = m->keep && m->keep < n ? n - m->keep : 0;
    for (size_t i = 0; i < n; i++) {
        struct bytes part = take_part(m, &value);

        if (i > first)
            buf_addc(out, '.');
        if (i >= first)
            add_escaped(part, m->escape, out);
    }
}

struct bytes spf_expand(const struct spf_macros *m, struct bytes text, struct arena *a)
{
    struct buf out;
    struct bytes made = NO_BYTES;
    struct macro macro;
    size_t n;

    if (!spf_macro_ok(text, m->explains, &n))
        return NO_BYTES;
    buf_init(&out, EXPANDED_MAX);
    for (size_t i = 0; i < text.n && !out.overflowed; i += n) {
        n = 2;
        if (text.p[i] != '%') {
            buf_addc(&out, text.p[i]);
            n = 1;
        } else if (text.p[i + 1] == '{') {
            read_macro(bytes_from(text, i + 2), m->explains, &macro, &n);
            add_value(&macro, value_of(m, macro.letter, a), &out);
            n += 2;
        } else {
            buf_adds(&out, text.p[i + 1] == '%' ? "%" : text.p[i + 1] == '_' ? " " : "%20");
        }
    }
    if (!out.overflowed)
        made = out.n ? arena_copy(a, buf_bytes(&out)) : BYTES("");
    buf_clear(&out);
    return made;
}
