/* base/mask.c - secrets by their shape, so that whoever logs a text need not know what is in it.
 *
 * Every byte is asked whether something begins there; may_begin keeps that cheap. Too much is rather hidden than too
 * little. The text only becomes shorter, so it is changed in place. */
#include "base/mask.h"
#include <string.h>

#define KEPT  4 /* characters of a key: those of its hint */
#define STARS 3

/* What stays before a secret and which bytes the secret is made of. */
struct found {
    size_t head, secret; /* lengths: kept as it is, hidden */
};

static const char *const key_marks[] = { "pr_live_", "pr_test_", "whsec_" };
static const char *const schemes[] = { "bearer ", "basic " };
static const char *const names[] = { "password", "passwd",  "passphrase", "secret",
                                     "token",    "api_key", "apikey",     "api-key" };

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static bool is_small(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_key_character(char c)
{
    return is_small(lower(c)) || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '+' || c == '/' || c == '=' ||
           c == '%';
}

/* Length of `mark` at the start of the text, where an underscore may be written %5F as in a URL; 0: not there. */
static size_t mark_length(struct bytes text, const char *mark)
{
    size_t at = 0;

    for (const char *m = mark; *m; m++)
        if (*m == '_' && bytes_starts_nocase(bytes_from(text, at), BYTES("%5f")))
            at += 3;
        else if (at < text.n && lower(text.p[at]) == *m)
            at++;
        else
            return 0;
    return at;
}

static size_t run(struct bytes text, bool (*belongs)(char c))
{
    size_t n = 0;

    while (n < text.n && belongs(text.p[n]))
        n++;
    return n;
}

bool mask_is_key(struct bytes text)
{
    for (size_t i = 0; i < sizeof key_marks / sizeof *key_marks; i++)
        if (mark_length(text, key_marks[i]))
            return true;
    return false;
}

static bool key_at(struct bytes text, struct found *f)
{
    for (size_t i = 0; i < sizeof key_marks / sizeof *key_marks; i++) {
        size_t mark = mark_length(text, key_marks[i]), n = mark ? run(bytes_from(text, mark), is_key_character) : 0;

        if (n > KEPT) {
            *f = (struct found){ mark + KEPT, n - KEPT };
            return true;
        }
    }
    return false;
}

/* RFC 9110 11.4: credentials are a scheme and a token68. */
static bool credentials_at(struct bytes text, struct found *f)
{
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        size_t mark = mark_length(text, schemes[i]), n = mark ? run(bytes_from(text, mark), is_key_character) : 0;

        if (n > run(bytes_from(text, mark), is_small)) { /* not a word, as in "Basic credential" */
            *f = (struct found){ mark, n };
            return true;
        }
    }
    return false;
}

/* Of a password in a URL (RFC 3986 3.2.1: it may have commas and brackets). */
static bool ends_authority(char c)
{
    return (unsigned char)c <= ' ' || strchr("\"<>/?#", c) != NULL;
}

/* Of one without quotes: passwords have any other mark. */
static bool ends_value(char c)
{
    return (unsigned char)c <= ' ' || c == '"' || c == '\'' || c == '&';
}

/* RFC 3986 3.2.1 */
static bool userinfo_at(struct bytes text, struct found *f)
{
    struct bytes authority, name, rest;
    size_t n = 0, at;

    if (!bytes_starts(text, BYTES("://")))
        return false;
    authority = bytes_from(text, 3);
    while (n < authority.n && !ends_authority(authority.p[n]))
        n++;
    authority = bytes_head(authority, n);
    at = bytes_find_last(authority, '@');
    if (at == authority.n || !bytes_cut(bytes_head(authority, at), ':', &name, &rest) || !rest.n)
        return false;
    *f = (struct found){ 3 + name.n + 1, rest.n };
    return true;
}

/* Up to the quote that stands behind as many backslashes as the first one: JSON in JSON has \", and \\\" inside. */
static size_t quoted_length(struct bytes text, char quote, size_t escapes)
{
    size_t before = 0;

    for (size_t n = 0; n < text.n; n++) {
        if (text.p[n] == quote && before == escapes)
            return n - escapes;
        before = text.p[n] == '\\' ? before + 1 : 0;
    }
    return text.n;
}

/* Behind the '=' or ':' of a name: where the secret is, without blanks and quotes around it. */
static struct found value_after(struct bytes text, size_t at)
{
    size_t n = 0, escapes = 0;
    struct bytes rest;

    while (at < text.n && text.p[at] == ' ')
        at++;
    while (at < text.n && text.p[at] == '\\') {
        escapes++;
        at++;
    }
    if (at < text.n && (text.p[at] == '"' || text.p[at] == '\''))
        return (struct found){ at + 1, quoted_length(bytes_from(text, at + 1), text.p[at], escapes) };
    at -= escapes;
    rest = bytes_from(text, at);
    while (n < rest.n && !ends_value(rest.p[n]))
        n++;
    return (struct found){ at, n };
}

/* name="value", "name": value, name=value */
static bool named_at(struct bytes text, struct found *f)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t at = mark_length(text, names[i]);

        if (!at)
            continue;
        while (at < text.n && (text.p[at] == '"' || text.p[at] == '\'' || text.p[at] == '\\'))
            at++;
        if (at == text.n || (text.p[at] != '=' && text.p[at] != ':'))
            continue;
        *f = value_after(text, at + 1);
        if (f->secret)
            return true;
    }
    return false;
}

/* The two characters that anything of the above begins with: each log line passes through here, and few pairs do. */
static bool may_begin(struct bytes text)
{
    char next = text.n > 1 ? (char)(text.p[1] | 0x20) : 0;

    switch (text.p[0] | 0x20) {
    case 'a': return next == 'p';
    case 'b': return next == 'a' || next == 'e';
    case 'p': return next == 'a' || next == 'r';
    case 's': return next == 'e';
    case 't': return next == 'o';
    case 'w': return next == 'h';
    case ':': return next == '/';
    default: return false;
    }
}

static bool found_at(struct bytes text, struct found *f)
{
    return may_begin(text) && (key_at(text, f) || credentials_at(text, f) || userinfo_at(text, f) || named_at(text, f));
}

bool mask_wanted(struct bytes text)
{
    struct found f;

    for (; text.n; text = bytes_from(text, 1))
        if (found_at(text, &f))
            return true;
    return false;
}

size_t mask_text(char *text, size_t n)
{
    struct found f;
    size_t to = 0;

    for (size_t at = 0; at < n;) {
        size_t stars;

        if (!found_at((struct bytes){ text + at, n - at }, &f)) {
            text[to++] = text[at++];
            continue;
        }
        stars = f.secret < STARS ? f.secret : STARS;
        memmove(text + to, text + at, f.head);
        memset(text + to + f.head, '*', stars);
        to += f.head + stars;
        at += f.head + f.secret;
    }
    return to;
}
