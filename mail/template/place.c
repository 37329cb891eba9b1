/* mail/template/place.c - a tokenizer of HTML that remembers nothing but where it is.
 *
 * Names are kept as hashes, which is enough to ask "is it one of these": a script, a style, an attribute that holds an
 * address. A collision makes escaping stricter or looser for a name that no mail program knows. Of the standard's
 * states those are told apart between which a value must be escaped differently. */
#include "mail/template/place.h"
#include "mail/chars.h"
#include <string.h>

#define HASH_START 2166136261u

static uint32_t hash_add(uint32_t hash, char c) /* FNV-1a */
{
    return (hash ^ (uint8_t)char_lower(c)) * 16777619u;
}

static uint32_t hash_of(const char *name)
{
    uint32_t hash = HASH_START;

    for (; *name; name++)
        hash = hash_add(hash, *name);
    return hash;
}

static bool is_space(char c)
{
    return char_is_blank(c) || c == '\f';
}

/* Attributes that hold an address in some element. */
static bool names_address(uint32_t name)
{
    static const char *const names[] = {
        "href",     "src",      "action",  "formaction", "background", "cite",   "data",        "poster",
        "longdesc", "lowsrc",   "dynsrc",  "manifest",   "xlink:href", "srcset", "imagesrcset", "profile",
        "ping",     "codebase", "classid", "archive",    "usemap",     "icon",
    };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (hash_of(names[i]) == name)
            return true;
    return false;
}

static enum place_kind kind_of(const struct place *p)
{
    if (p->event)
        return PLACE_SCRIPT;
    if (p->name == hash_of("style"))
        return PLACE_STYLE;
    if (p->name == hash_of("srcdoc"))
        return PLACE_DOCUMENT;
    return names_address(p->name) ? PLACE_ADDRESS : PLACE_PLAIN;
}

static void content_begin(struct place *p, enum place_kind kind)
{
    p->kind = (uint8_t)kind;
    p->string = 0;
    p->escaped = p->url = false;
    p->run = 0;
    p->address = ADDRESS_START;
}

static void value_begin(struct place *p, char quote)
{
    content_begin(p, kind_of(p));
    p->state = PLACE_VALUE;
    p->quote = quote;
}

static void name_begin(struct place *p)
{
    p->state = PLACE_NAME;
    p->name = HASH_START;
    p->length = 0;
    p->event = false;
}

static void name_add(struct place *p, char c)
{
    p->name = hash_add(p->name, c);
    if (p->length < UINT8_MAX)
        p->length++;
    if (p->length == 2 && p->name == hash_of("on"))
        p->event = true;
}

static void tag_end(struct place *p)
{
    bool script = p->tag == hash_of("script"), raw = script || p->tag == hash_of("style");

    p->state = raw && !p->closing ? PLACE_RAW : PLACE_TEXT;
    content_begin(p, script ? PLACE_SCRIPT : PLACE_STYLE);
    if (p->state == PLACE_TEXT)
        *p = PLACE_START;
}

static void address_step(struct place *p, char c)
{
    if (p->address == ADDRESS_FRAGMENT || (p->address == ADDRESS_START && (unsigned char)c <= ' '))
        return;
    if (c == '#')
        p->address = ADDRESS_FRAGMENT;
    else if (c == '?' || (c == '&' && p->address >= ADDRESS_QUERY))
        p->address = ADDRESS_QUERY;
    else if (c == '=' && p->address == ADDRESS_QUERY)
        p->address = ADDRESS_QUERY_OF;
    else if (c == ':' || c == '/')
        p->address = p->address < ADDRESS_PATH ? ADDRESS_PATH : p->address;
    else if (p->address == ADDRESS_START)
        p->address = ADDRESS_SCHEME;
}

/* A style: strings, and url( with or without a string in it. */
static void style_step(struct place *p, char c)
{
    static const char mark[] = "url(";

    if (p->url) {
        if (c == ')' && !p->string)
            p->url = false;
        else if (c == p->string)
            p->string = 0;
        else if ((c == '"' || c == '\'') && !p->string && p->address == ADDRESS_START)
            p->string = c;
        else
            address_step(p, c);
        return;
    }
    if (p->string || c == '"' || c == '\'') {
        p->string = p->string == c ? 0 : p->string ? p->string : c;
        return;
    }
    p->run = char_lower(c) == mark[p->run] ? (uint8_t)(p->run + 1) : char_lower(c) == 'u';
    if (p->run == sizeof mark - 1) {
        p->run = 0;
        p->url = true;
        p->address = ADDRESS_START;
    }
}

static void script_step(struct place *p, char c)
{
    if (!p->string)
        p->string = c == '"' || c == '\'' || c == '`' ? c : 0;
    else if (p->escaped)
        p->escaped = false;
    else if (c == '\\')
        p->escaped = true;
    else if (c == p->string)
        p->string = 0;
}

static void content_step(struct place *p, char c)
{
    switch (p->kind) {
    case PLACE_ADDRESS: address_step(p, c); break;
    case PLACE_STYLE: style_step(p, c); break;
    case PLACE_SCRIPT: script_step(p, c); break;
    default: break;
    }
}

static void value_step(struct place *p, char c)
{
    if (p->quote ? c == p->quote : is_space(c) || c == '>') {
        p->state = PLACE_INSIDE;
        if (c == '>')
            tag_end(p);
    } else {
        content_step(p, c);
    }
}

static void open_step(struct place *p, char c)
{
    p->closing = c == '/' || (p->closing && char_is_letter(c));
    if (c == '!' || c == '?') {
        p->state = PLACE_MARKUP;
        p->run = c == '!' ? 2 : 0;
    } else if (char_is_letter(c)) {
        p->state = PLACE_TAG;
        p->tag = hash_add(HASH_START, c);
    } else if (c != '/') {
        p->state = c == '<' ? PLACE_OPEN : PLACE_TEXT;
    }
}

/* "<!--" opens a comment, but what Outlook reads as HTML ("<!--[if mso]>") is walked as such. */
static void markup_step(struct place *p, char c)
{
    if (c == '>') {
        *p = PLACE_START;
    } else if (p->run >= 2 && p->run < 4) {
        p->run = c == '-' ? (uint8_t)(p->run + 1) : 0;
        if (p->run == 4) {
            p->state = PLACE_COMMENT;
            p->run = 0;
            p->open = true;
        }
    }
}

static void comment_step(struct place *p, char c)
{
    if (p->open && c == '[') {
        p->state = PLACE_MARKUP;
        p->run = 0;
    } else if (c == '>' && (p->run >= 2 || p->open)) {
        *p = PLACE_START;
    } else {
        p->open = p->open && c == '-';
        p->run = c == '-' ? (uint8_t)(p->run < 2 ? p->run + 1 : 2) : p->run == 2 && c == '!' ? 2 : 0;
    }
}

/* In a script or style only its own end tag counts. */
static void raw_step(struct place *p, char c)
{
    if (c == '<') {
        p->state = PLACE_RAW_END;
        p->length = 0;
        return;
    }
    content_step(p, c);
}

static void raw_end_step(struct place *p, char c)
{
    if (p->length == 0 && c == '/') {
        p->name = HASH_START;
        p->length = 1;
    } else if (p->length && char_is_letter(c)) {
        name_add(p, c);
    } else if (p->length > 1 && p->name == p->tag && (is_space(c) || c == '/' || c == '>')) {
        p->closing = 1;
        p->state = PLACE_INSIDE;
        if (c == '>')
            *p = PLACE_START;
    } else {
        p->state = PLACE_RAW;
        raw_step(p, c);
    }
}

static void name_step(struct place *p, char c)
{
    if (c == '=')
        p->state = PLACE_EQUALS;
    else if (c == '>')
        tag_end(p);
    else if (is_space(c))
        p->state = PLACE_AFTER_NAME;
    else if (c == '/')
        p->state = PLACE_INSIDE;
    else
        name_add(p, c);
}

static void inside_step(struct place *p, char c)
{
    if (c == '>') {
        tag_end(p);
    } else if (c == '=' && p->state == PLACE_AFTER_NAME) {
        p->state = PLACE_EQUALS;
    } else if (c == '/') {
        p->state = PLACE_INSIDE;
    } else if (!is_space(c)) {
        name_begin(p);
        name_add(p, c);
    }
}

static void equals_step(struct place *p, char c)
{
    if (c == '"' || c == '\'') {
        value_begin(p, c);
    } else if (c == '>') {
        tag_end(p);
    } else if (!is_space(c)) {
        value_begin(p, 0);
        content_step(p, c);
    }
}

static void tag_step(struct place *p, char c)
{
    if (c == '>')
        tag_end(p);
    else if (is_space(c) || c == '/')
        p->state = PLACE_INSIDE;
    else
        p->tag = hash_add(p->tag, c);
}

static void step(struct place *p, char c)
{
    switch ((enum place_state)p->state) {
    case PLACE_TEXT: p->state = c == '<' ? PLACE_OPEN : PLACE_TEXT; break;
    case PLACE_OPEN: open_step(p, c); break;
    case PLACE_TAG: tag_step(p, c); break;
    case PLACE_INSIDE:
    case PLACE_AFTER_NAME: inside_step(p, c); break;
    case PLACE_NAME: name_step(p, c); break;
    case PLACE_EQUALS: equals_step(p, c); break;
    case PLACE_VALUE: value_step(p, c); break;
    case PLACE_MARKUP: markup_step(p, c); break;
    case PLACE_COMMENT: comment_step(p, c); break;
    case PLACE_RAW: raw_step(p, c); break;
    case PLACE_RAW_END: raw_end_step(p, c); break;
    }
}

void place_step(struct place *p, struct bytes text)
{
    size_t i = 0;

    while (i < text.n) {
        if (p->state == PLACE_TEXT) /* most of a page */
            i += bytes_find(bytes_from(text, i), '<');
        if (i < text.n)
            step(p, text.p[i++]);
    }
}

static void value_step_in_tag(struct place *p, char c)
{
    if (p->state == PLACE_NAME)
        name_add(p, c);
    else if (p->state == PLACE_TAG)
        p->tag = hash_add(p->tag, c);
    else
        address_step(p, c);
}

void place_value(struct place *p, struct bytes value)
{
    if (p->state == PLACE_EQUALS)
        value_begin(p, 0);
    if (value.n && (p->state == PLACE_INSIDE || p->state == PLACE_AFTER_NAME))
        name_begin(p);
    if (value.n && p->state == PLACE_OPEN) {
        p->state = PLACE_TAG;
        p->tag = HASH_START;
    }
    if (p->state == PLACE_RAW_END)
        p->state = PLACE_RAW;
    if (p->state == PLACE_NAME || p->state == PLACE_TAG ||
        (place_in_address(p) && p->address != ADDRESS_QUERY_OF)) /* there it is encoded */
        for (size_t i = 0; i < value.n; i++)
            value_step_in_tag(p, value.p[i]);
}

bool place_equal(const struct place *a, const struct place *b)
{
    return a->state == b->state && a->kind == b->kind && a->quote == b->quote && a->string == b->string &&
           a->address == b->address && a->run == b->run && a->length == b->length && a->closing == b->closing &&
           a->url == b->url && a->escaped == b->escaped && a->event == b->event && a->open == b->open &&
           a->tag == b->tag && a->name == b->name;
}

bool place_in_address(const struct place *p)
{
    if (p->state != PLACE_VALUE && p->state != PLACE_RAW)
        return false;
    return p->kind == PLACE_ADDRESS || (p->kind == PLACE_STYLE && p->url);
}
