/* mail/template/escape.c - a value for each place.
 *
 * A value goes through at most two writers: the one of the language it lies in (an address, a style, a script) and then
 * the one of HTML around it, when it stands in an attribute. Runs that need nothing are copied whole, so that a plain
 * name costs one scan. What cannot be escaped, because the place has no escapes (a scheme, a declaration), is not put.
 */
#include "mail/template/escape.h"
#include "mail/chars.h"
#include <string.h>

static bool is_dropped(char c) /* C0 and DEL but white space */
{
    return char_is_control(c) && !char_is_blank(c) && c != '\f';
}

/* What stands for a sign in HTML; NULL when it stands for itself, "" when it is left out. */
static const char *html_sign(char c, bool bare)
{
    switch (c) {
    case '&': return "&amp;";
    case '<': return "&lt;";
    case '>': return "&gt;";
    case '"': return "&quot;";
    case '\'': return "&#x27;";
    case '`': return "&#x60;";
    case '=': return "&#x3D;";
    case ' ': return bare ? "&#32;" : NULL;
    case '\t': return bare ? "&#9;" : NULL;
    case '\n': return bare ? "&#10;" : NULL;
    case '\f': return bare ? "&#12;" : NULL;
    case '\r': return bare ? "&#13;" : NULL;
    default: return is_dropped(c) ? "" : NULL;
    }
}

/* One look tells most characters apart: letters, digits, beyond ASCII. */
static bool is_plain(char c)
{
    return char_is_alnum(c) || char_is_8bit(c) || c == '-' || c == '.' || c == ',' || c == '/' || c == ':' || c == '_';
}

static void put_html(struct bytes text, bool bare, struct buf *out)
{
    size_t from = 0;

    for (size_t i = 0; i < text.n; i++) {
        const char *sign = is_plain(text.p[i]) ? NULL : html_sign(text.p[i], bare);

        if (!sign)
            continue;
        buf_add(out, (struct bytes){ text.p + from, i - from });
        buf_adds(out, sign);
        from = i + 1;
    }
    buf_add(out, bytes_from(text, from));
}

void escape_text(struct bytes text, struct buf *out)
{
    size_t from = 0;

    for (size_t i = 0; i < text.n; i++) {
        if (!is_dropped(text.p[i]))
            continue;
        buf_add(out, (struct bytes){ text.p + from, i - from });
        from = i + 1;
    }
    buf_add(out, bytes_from(text, from));
}

/* How many bytes at its start end a line or are none that a header may have: NEL and the separators of Unicode too. */
static size_t line_break(struct bytes text)
{
    if (char_is_control(text.p[0]))
        return 1;
    if (bytes_starts(text, BYTES("\xC2\x85")))
        return 2;
    return bytes_starts(text, BYTES("\xE2\x80\xA8")) || bytes_starts(text, BYTES("\xE2\x80\xA9")) ? 3 : 0;
}

void escape_line(struct bytes text, struct buf *out)
{
    bool space = false;

    while (text.n) {
        size_t n = line_break(text);

        if (n && !space)
            buf_addc(out, ' ');
        if (!n)
            buf_addc(out, text.p[0]);
        space = n > 0;
        text = bytes_from(text, n ? n : 1);
    }
}

static void put_percent(char c, struct buf *out)
{
    static const char digits[] = "0123456789ABCDEF";
    const char sign[] = { '%', digits[(unsigned char)c >> 4], digits[(unsigned char)c & 15] };

    buf_add(out, (struct bytes){ sign, sizeof sign });
}

void escape_url(struct bytes text, struct buf *out)
{
    for (size_t i = 0; i < text.n; i++) {
        if (char_is_alnum(text.p[i]) || char_in(text.p[i], BYTES("-_.~!*'()")))
            buf_addc(out, text.p[i]);
        else
            put_percent(text.p[i], out);
    }
}

/* What a parameter's value may not have; what is encoded already stays. */
static void put_query(struct bytes text, struct buf *out)
{
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        bool encoded = c == '%' && i + 2 < text.n && char_hex(text.p[i + 1]) >= 0 && char_hex(text.p[i + 2]) >= 0;

        if (encoded || char_is_alnum(c) || char_in(c, BYTES("-_.~")))
            buf_addc(out, c);
        else
            put_percent(c, out);
    }
}

/* The scheme of an address as a browser reads it: blanks and controls in front and line breaks within do not count. */
static bool scheme_of(struct bytes text, char out[16], size_t *rest)
{
    size_t n = 0, i = 0;

    while (i < text.n && (unsigned char)text.p[i] <= ' ')
        i++;
    for (; i < text.n; i++) {
        char c = text.p[i];

        if (char_is_control(c))
            continue;
        if (c == ':' && n > 0) {
            out[n < 15 ? n : 15] = '\0';
            *rest = i + 1;
            return true;
        }
        if (!char_is_alnum(c) && !char_in(c, BYTES("+-.")))
            return false;
        if (n < 15)
            out[n] = char_lower(c);
        n++;
    }
    return false;
}

static bool is_safe_address(struct bytes text)
{
    static const char *const schemes[] = { "http", "https", "mailto", "tel", "sms", "ftp", "cid", "webcal" };
    static const char *const images[] = { "image/png", "image/jpeg", "image/jpg", "image/gif", "image/webp" };
    char scheme[16];
    size_t rest = 0;

    if (!scheme_of(text, scheme, &rest))
        return true;
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (strcmp(scheme, schemes[i]) == 0)
            return true;
    for (size_t i = 0; strcmp(scheme, "data") == 0 && i < sizeof images / sizeof *images; i++)
        if (bytes_starts_nocase(bytes_from(text, rest), bytes_of(images[i])))
            return true;
    return false;
}

/* A part of what may still become a scheme with what stands before it: no colon of its own makes it one. */
static void put_no_scheme(struct bytes text, struct buf *out)
{
    size_t colon = bytes_find(text, ':');

    for (size_t i = 0; i < colon; i++)
        if (char_in(text.p[i], BYTES("/?#")))
            colon = text.n;
    buf_add(out, bytes_head(text, colon));
    if (colon < text.n)
        buf_adds(out, "%3A");
    buf_add(out, bytes_from(text, colon + 1));
}

static bool put_address(const struct place *p, struct bytes text, struct buf *out)
{
    switch (p->address) {
    case ADDRESS_START:
        if (!is_safe_address(text)) {
            buf_addc(out, '#');
            return false;
        }
        buf_add(out, text);
        return true;
    case ADDRESS_SCHEME: put_no_scheme(text, out); return true;
    case ADDRESS_QUERY_OF: put_query(text, out); return true;
    default: buf_add(out, text); return true;
    }
}

/* Within url( ): nothing that ends it, its string, or the element. */
static bool put_style_address(const struct place *p, struct bytes text, struct buf *out)
{
    struct buf address;
    bool good;

    buf_init(&address, out->max - out->n);
    good = put_address(p, text, &address);
    for (size_t i = 0; i < address.n; i++) {
        char c = address.p[i];

        if (char_is_control(c) || char_in(c, BYTES(" \"'()\\<>")))
            put_percent(c, out);
        else
            buf_addc(out, c);
    }
    out->overflowed |= address.overflowed;
    buf_clear(&address);
    return good;
}

/* Colours, lengths, names; functions only of colours. */
static bool is_safe_style(struct bytes text)
{
    bool colour = bytes_starts_nocase(text, BYTES("rgb(")) || bytes_starts_nocase(text, BYTES("rgba(")) ||
                  bytes_starts_nocase(text, BYTES("hsl(")) || bytes_starts_nocase(text, BYTES("hsla("));

    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];

        if (char_is_alnum(c) || char_is_8bit(c) || char_in(c, BYTES(" #%.,_+-")) ||
            (colour && char_in(c, BYTES("()/"))))
            continue;
        return false;
    }
    return true;
}

static bool put_style(const struct place *p, struct bytes text, struct buf *out)
{
    if (p->url)
        return put_style_address(p, text, out);
    if (is_safe_style(text))
        buf_add(out, text);
    return is_safe_style(text);
}

static void put_script(const struct place *p, const struct datum *d, struct bytes text, struct buf *out)
{
    if (!p->string) {
        datum_print_json(d, out);
        return;
    }
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];

        if (char_is_control(c) || char_in(c, BYTES("\"'`\\<>&$=/")))
            datum_print_escape(c, out);
        else if (bytes_starts(bytes_from(text, i), BYTES("\xE2\x80\xA8")) ||
                 bytes_starts(bytes_from(text, i), BYTES("\xE2\x80\xA9")))
            buf_addf(out, "\\u%s", text.p[i += 2] == '\xA8' ? "2028" : "2029");
        else
            buf_addc(out, c);
    }
}

/* In the language of the value, without HTML around it. */
static bool put_content(const struct place *p, const struct datum *d, struct bytes text, struct buf *out)
{
    switch (p->kind) {
    case PLACE_ADDRESS: return put_address(p, text, out);
    case PLACE_STYLE: return put_style(p, text, out);
    case PLACE_SCRIPT: put_script(p, d, text, out); return true;
    case PLACE_DOCUMENT: put_html(text, true, out); return true; /* and once more around it */
    default: buf_add(out, text); return true;
    }
}

static bool put_value(const struct place *p, const struct datum *d, struct bytes text, struct buf *out)
{
    struct buf content;
    bool good;

    if (p->kind == PLACE_PLAIN) {
        put_html(text, !p->quote, out);
        return true;
    }
    buf_init(&content, out->max - out->n);
    good = put_content(p, d, text, &content);
    put_html(buf_bytes(&content), !p->quote, out);
    out->overflowed |= content.overflowed;
    buf_clear(&content);
    return good;
}

static void put_name(struct bytes text, struct buf *out)
{
    for (size_t i = 0; i < text.n; i++)
        if (char_is_alnum(text.p[i]) || char_in(text.p[i], BYTES("-_.:")))
            buf_addc(out, text.p[i]);
}

/* Behind "</" in a script or style a value could make the end tag whole. */
static bool put_raw(const struct place *p, const struct datum *d, struct bytes text, struct buf *out)
{
    return !(p->state == PLACE_RAW_END && p->length) && put_content(p, d, text, out);
}

static bool put(const struct place *p, const struct datum *d, struct bytes text, struct buf *out)
{
    switch ((enum place_state)p->state) {
    case PLACE_VALUE: return put_value(p, d, text, out);
    case PLACE_RAW:
    case PLACE_RAW_END: return put_raw(p, d, text, out);
    case PLACE_OPEN:
    case PLACE_TAG:
    case PLACE_INSIDE:
    case PLACE_NAME:
    case PLACE_AFTER_NAME: put_name(text, out); return true;
    default: put_html(text, false, out); return true;
    }
}

bool escape_html(struct place *p, const struct datum *d, struct bytes text, struct buf *out)
{
    size_t before = out->n;
    bool good, unquoted = p->state == PLACE_EQUALS;

    if (unquoted)
        place_value(p, NO_BYTES);
    good = put(p, d, text, out);
    if (unquoted && out->n == before)
        buf_adds(out, "\"\""); /* or the next attribute would be the value */
    place_value(p, good ? text : BYTES("#"));
    return good;
}
