/* mail/chars.h - the character classes of RFC 5322, 2045 and 2231, for the parsers and writers of mail/ only. */
#ifndef MAIL_CHARS_H
#define MAIL_CHARS_H
#include "base/bytes.h"

static inline bool char_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline bool char_is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static inline bool char_is_alnum(char c)
{
    return char_is_digit(c) || char_is_letter(c);
}

static inline char char_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static inline void buf_add_lower(struct buf *b, struct bytes text)
{
    for (size_t i = 0; i < text.n; i++)
        buf_addc(b, char_lower(text.p[i]));
}

static inline bool char_is_8bit(char c)
{
    return (unsigned char)c >= 0x80;
}

static inline bool char_is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7F;
}

static inline bool char_is_blank(char c) /* WSP and what folds it */
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static inline bool char_in(char c, struct bytes set)
{
    return bytes_find(set, c) < set.n;
}

static inline bool char_is_atext(char c) /* RFC 5322 3.2.3, RFC 6532 3.2 */
{
    return char_is_alnum(c) || char_is_8bit(c) || char_in(c, BYTES("!#$%&'*+-/=?^_`{|}~"));
}

static inline bool char_is_token(char c) /* RFC 2045 5.1 */
{
    return char_is_alnum(c) || char_in(c, BYTES("!#$%&'*+-.^_`{|}~"));
}

static inline bool char_is_attribute(char c) /* RFC 2231 7: needs no %XX */
{
    return char_is_alnum(c) || char_in(c, BYTES("!#$&+-.^_`{|}~"));
}

static inline int char_hex(char c) /* -1 when it is none */
{
    if (char_is_digit(c))
        return c - '0';
    c = char_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}
#endif
