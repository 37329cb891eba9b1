/* base/unicode.h - what needs the tables of Unicode, over libunistring. Texts are UTF-8 (bytes_is_utf8); any thread. */
#ifndef BASE_UNICODE_H
#define BASE_UNICODE_H
#include "base/arena.h"

/* In normalization form C (UAX #15): `text` itself where it is that already, else in the arena. */
struct bytes unicode_nfc(struct bytes text, struct arena *a);

/* In capital and in small letters, whatever language it is; in the arena. */
struct bytes unicode_upper(struct bytes text, struct arena *a);
struct bytes unicode_lower(struct bytes text, struct arena *a);

/* CONTROL: C0, DEL, C1, and the separators of lines and paragraphs, which RFC 5198 section 2 keeps out of texts in one
 * line. BLANK: other white space, wherever a script has it. */
enum unicode_class { UNICODE_OTHER, UNICODE_BLANK, UNICODE_CONTROL };
/* Of the first character of a text that is not empty. */
enum unicode_class unicode_class_of(struct bytes text);

/* Has a label of a domain letters that are written from the right? Then all labels of it keep the Bidi rule (RFC 5893
 * sections 1.4 and 2), or what is shown is not the order that was meant. */
bool unicode_is_rtl(struct bytes label);
bool unicode_bidi_ok(struct bytes label);
#endif
