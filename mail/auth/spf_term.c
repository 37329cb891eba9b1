/* mail/auth/spf_term.c - one record of SPF cut into terms, by the grammar of RFC 7208 12.
 *
 * All of it is read before any of it counts: an error anywhere is permerror (4.6). A prefix is looked for at the end of
 * a term, since "/" may stand in a domain too. */
#include "mail/auth/spf_private.h"
#include "mail/chars.h"

static const struct {
    const char *name;
    enum spf_kind kind;
} kinds[] = {
    { "all", SPF_ALL }, { "include", SPF_INCLUDE }, { "a", SPF_A },     { "mx", SPF_MX },
    { "ptr", SPF_PTR }, { "ip4", SPF_IP4 },         { "ip6", SPF_IP6 }, { "exists", SPF_EXISTS },
};

/* "0", or digits that do not begin with one (12: ip4-cidr-length). */
static bool read_length(struct bytes digits, int most, int *out)
{
    int64_t n;

    if (!digits.n || digits.n > 3 || (digits.n > 1 && digits.p[0] == '0') || !char_is_digit(digits.p[0]) ||
        !bytes_to_int(digits, &n) || n > most)
        return false;
    *out = (int)n;
    return true;
}

static bool is_number(struct bytes text) /* or nothing */
{
    for (size_t i = 0; i < text.n; i++)
        if (!char_is_digit(text.p[i]))
            return false;
    return true;
}

/* Takes "/24", "//64" or "/24//64" off the end. */
static bool take_prefixes(struct bytes *text, struct spf_term *t)
{
    size_t at = bytes_find_last(*text, '/');

    t->prefix4 = 32;
    t->prefix6 = 128;
    if (at < text->n && at > 0 && text->p[at - 1] == '/') {
        if (!read_length(bytes_from(*text, at + 1), 128, &t->prefix6))
            return false;
        *text = bytes_head(*text, at - 1);
        at = bytes_find_last(*text, '/');
    }
    if (at < text->n && is_number(bytes_from(*text, at + 1))) { /* "/" within a domain is no prefix */
        if (!read_length(bytes_from(*text, at + 1), 32, &t->prefix4))
            return false;
        *text = bytes_head(*text, at);
    }
    return true;
}

/* *alphanum ALPHA *alphanum, or with hyphens in between: no number alone. */
static bool is_toplabel(struct bytes label)
{
    bool letter = false;

    for (size_t i = 0; i < label.n; i++) {
        letter = letter || char_is_letter(label.p[i]) || label.p[i] == '-';
        if (!char_is_alnum(label.p[i]) && label.p[i] != '-')
            return false;
    }
    return label.n && letter && label.p[0] != '-' && label.p[label.n - 1] != '-';
}

/* macro-string domain-end: it ends in a macro, or in a dot and a label (and a dot). */
static bool is_domain_spec(struct bytes text)
{
    size_t dot, last;

    if (!text.n || !spf_macro_ok(text, false, &last))
        return false;
    if (last == text.n)
        return true;
    if (text.p[text.n - 1] == '.')
        text.n--;
    dot = bytes_find_last(text, '.');
    return dot < text.n && dot >= last && is_toplabel(bytes_from(text, dot + 1));
}

static bool read_network(struct bytes text, struct spf_term *t)
{
    bool four = t->kind == SPF_IP4;
    struct bytes address, length;
    int bits = four ? 32 : 128;

    if (bytes_cut(text, '/', &address, &length) && !read_length(length, bits, &bits))
        return false;
    if ((bytes_find(address, ':') < address.n) == four || !network_parse_address(address, &t->network))
        return false;
    t->network.length = four ? bits + 96 : bits;
    return true;
}

/* What stands behind the mechanism's name. */
static bool read_arguments(struct bytes rest, struct spf_term *t)
{
    bool colon = bytes_starts(rest, BYTES(":"));

    switch (t->kind) {
    case SPF_ALL: return !rest.n;
    case SPF_IP4:
    case SPF_IP6: return colon && read_network(bytes_from(rest, 1), t);
    case SPF_A:
    case SPF_MX:
        if (!take_prefixes(&rest, t))
            return false;
        break;
    default: break;
    }
    if (!rest.n)
        return t->kind == SPF_A || t->kind == SPF_MX || t->kind == SPF_PTR;
    t->domain = bytes_from(rest, 1);
    return colon && is_domain_spec(t->domain);
}

static bool read_mechanism(struct bytes text, struct spf_term *t)
{
    struct bytes name;
    size_t end = 0;

    t->result = AUTH_PASS;
    if (char_in(text.p[0], BYTES("+-~?"))) {
        t->result = text.p[0] == '-'   ? AUTH_FAIL
                    : text.p[0] == '~' ? AUTH_SOFTFAIL
                    : text.p[0] == '?' ? AUTH_NEUTRAL
                                       : AUTH_PASS;
        text = bytes_from(text, 1);
    }
    while (end < text.n && text.p[end] != ':' && text.p[end] != '/')
        end++;
    name = bytes_head(text, end);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (bytes_equal_nocase(name, bytes_of(kinds[i].name))) {
            t->kind = kinds[i].kind;
            return read_arguments(bytes_from(text, end), t);
        }
    return false;
}

/* name "=" …: ALPHA *( ALPHA / DIGIT / "-" / "_" / "." ) */
static bool is_modifier(struct bytes text, struct bytes *name, struct bytes *value)
{
    if (!bytes_cut(text, '=', name, value) || !name->n || !char_is_letter(name->p[0]))
        return false;
    for (size_t i = 0; i < name->n; i++)
        if (!char_is_alnum(name->p[i]) && !char_in(name->p[i], BYTES("-_.")))
            return false;
    if (!value->p)
        *value = BYTES("");
    return true;
}

static bool read_term(struct bytes text, struct spf_term *t)
{
    struct bytes name, value;
    size_t last;

    *t = (struct spf_term){ .kind = SPF_OTHER, .whole = text };
    if (!is_modifier(text, &name, &value))
        return read_mechanism(text, t);
    if (bytes_equal_nocase(name, BYTES("redirect")))
        t->kind = SPF_REDIRECT;
    else if (bytes_equal_nocase(name, BYTES("exp")))
        t->kind = SPF_EXP;
    t->domain = value;
    return t->kind == SPF_OTHER ? spf_macro_ok(value, false, &last) : is_domain_spec(value);
}

bool spf_terms(struct bytes record, struct arena *a, struct spf_term **out, size_t *n, struct bytes *bad)
{
    struct bytes word, rest = bytes_from(record, 6);
    unsigned redirects = 0, explanations = 0;
    struct spf_term *list = NULL;
    size_t room = 0;

    *n = 0;
    while (rest.n) {
        bytes_cut(rest, ' ', &word, &rest);
        if (!word.n)
            continue;
        *bad = word;
        if (*n == room)
            list = arena_more(a, list, *n, room = room ? 2 * room : 16, sizeof *list);
        if (*n == SPF_TERMS_MAX || !read_term(word, &list[*n]))
            return false;
        redirects += list[*n].kind == SPF_REDIRECT;
        explanations += list[*n].kind == SPF_EXP;
        if (redirects > 1 || explanations > 1) /* 6: each at most once */
            return false;
        ++*n;
    }
    *out = list;
    return true;
}
