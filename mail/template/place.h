/* mail/template/place.h - where in an HTML document a text ends: between tags, in which kind of attribute's value, in a
 * style or a script. It tells how a value must be escaped to stay what it is (escape.h).
 *
 *     struct place p = PLACE_START;
 *     place_step(&p, BYTES("<a href=\""));        a value here is the beginning of an address
 * A small machine after the tokenizer of the HTML standard (13.2.5), without memory: a place is a few bytes, compared
 * with place_equal. Static text is walked once, when a template is compiled; rendering walks again only where a text
 * begins elsewhere than was thought, so that partials, layouts and branches need no rules of their own. */
#ifndef MAIL_TEMPLATE_PLACE_H
#define MAIL_TEMPLATE_PLACE_H
#include "base/bytes.h"

enum place_state {
    PLACE_TEXT,       /* between tags */
    PLACE_OPEN,       /* behind "<" */
    PLACE_TAG,        /* in a tag's name */
    PLACE_INSIDE,     /* in a tag, before an attribute */
    PLACE_NAME,       /* in an attribute's name */
    PLACE_AFTER_NAME, /* behind it */
    PLACE_EQUALS,     /* behind "=", before the value */
    PLACE_VALUE,      /* in the value, quoted as `quote` says */
    PLACE_MARKUP,     /* in "<! >" */
    PLACE_COMMENT,    /* in "<!-- -->" */
    PLACE_RAW,        /* in a script or a style */
    PLACE_RAW_END,    /* there, in what may be its end tag */
};

/* What a value, or a raw text, is. */
enum place_kind { PLACE_PLAIN, PLACE_ADDRESS, PLACE_STYLE, PLACE_SCRIPT, PLACE_DOCUMENT /* srcdoc: HTML in HTML */ };

/* How far an address has come. */
enum place_address {
    ADDRESS_START,  /* nothing yet */
    ADDRESS_SCHEME, /* what may still be a scheme */
    ADDRESS_PATH,
    ADDRESS_QUERY,    /* behind "?" or "&" */
    ADDRESS_QUERY_OF, /* behind "=" of the query: the value of one parameter */
    ADDRESS_FRAGMENT,
};

struct place {
    uint8_t state, kind;
    char quote;         /* of PLACE_VALUE: " or ', 0 for none */
    char string;        /* in a script or style: the quote of the string, 0 outside of one */
    uint8_t address;    /* of an address, also of one in a style's url() */
    uint8_t run;        /* how much of a mark has come: of <!--, -->, url( */
    uint8_t length;     /* of the attribute's name, up to 255 */
    uint8_t closing;    /* the tag is an end tag */
    bool url;           /* in a style: within url( ) */
    bool escaped;       /* in a string of a script: behind a backslash */
    bool event;         /* the attribute's name begins with "on" */
    bool open;          /* PLACE_COMMENT: nothing but - has come, > ends it too */
    uint32_t tag, name; /* hashes of names in small letters */
};

#define PLACE_START ((struct place){ .state = PLACE_TEXT })

void place_step(struct place *p, struct bytes text);
/* Something was put here that is no HTML: a value, escaped for this place. It begins an address or an unquoted value.
 */
void place_value(struct place *p, struct bytes value);
bool place_equal(const struct place *a, const struct place *b);
/* A value here belongs to an address. */
bool place_in_address(const struct place *p);
#endif
