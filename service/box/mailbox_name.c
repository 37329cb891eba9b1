/* service/box/mailbox_name.c - the one rule for names, from two sides: what a request may give, and what becomes of
 * names that older builds took. Both walk characters, never bytes, and look at the form that is kept. */
#include "service/box/mailbox_name.h"
#include "base/unicode.h"

#define NAME_MAX_BYTES 255

/* ---- looking ---- */

static size_t blanks_before(struct bytes name)
{
    size_t n = 0;

    while (n < name.n && unicode_class_of(bytes_from(name, n)) == UNICODE_BLANK)
        n += bytes_utf8_length(bytes_from(name, n));
    return n;
}

/* Where the last character begins. */
static size_t last_of(struct bytes name)
{
    size_t n = name.n;

    do
        n--;
    while (n > 0 && ((unsigned char)name.p[n] & 0xC0) == 0x80);
    return n;
}

static bool has_blank_end(struct bytes name)
{
    return blanks_before(name) > 0 || unicode_class_of(bytes_from(name, last_of(name))) == UNICODE_BLANK;
}

/* What stands nowhere in a name. */
static bool is_refused(struct bytes character)
{
    return character.p[0] == '/' || unicode_class_of(character) == UNICODE_CONTROL;
}

static bool has_refused(struct bytes name)
{
    for (size_t i = 0; i < name.n; i += bytes_utf8_length(bytes_from(name, i)))
        if (is_refused(bytes_from(name, i)))
            return true;
    return false;
}

void mailbox_name_check(struct call *c, struct bytes *name)
{
    if (!name->n || !bytes_is_utf8(*name)) {
        call_fault(c, "/name", "required", "A name is required");
        return;
    }
    *name = unicode_nfc(*name, c->arena);
    if (name->n > NAME_MAX_BYTES)
        call_fault(c, "/name", "too_long", "At most %d bytes", NAME_MAX_BYTES);
    if (has_refused(*name) || name->p[0] == '#')
        call_fault(c, "/name", "invalid_characters", "No control characters, no / and no # at its start");
    else if (has_blank_end(*name))
        call_fault(c, "/name", "invalid_characters", "No blanks at its ends");
}

/* ---- mending ---- */

static struct bytes trimmed(struct bytes name)
{
    name = bytes_from(name, blanks_before(name));
    while (name.n && unicode_class_of(bytes_from(name, last_of(name))) == UNICODE_BLANK)
        name.n = last_of(name);
    return name;
}

/* Not inside a character. */
static struct bytes cut(struct bytes name, size_t most)
{
    if (name.n <= most)
        return name;
    return bytes_head(name, last_of(bytes_head(name, most + 1)));
}

struct bytes mailbox_name_mend(struct bytes name, int number, struct arena *a)
{
    struct bytes nfc = unicode_nfc(name, a), mended;
    struct buf out;

    buf_init(&out, nfc.n + 1);
    for (size_t i = 0, n; i < nfc.n; i += n) {
        n = bytes_utf8_length(bytes_from(nfc, i));
        buf_add(&out, is_refused(bytes_from(nfc, i)) ? BYTES("-") : bytes_head(bytes_from(nfc, i), n));
    }
    mended = arena_copy(a, trimmed(buf_bytes(&out)));
    buf_clear(&out);
    if (mended.n && mended.p[0] == '#')
        mended = arena_bytesf(a, "-%.*s", SHOW(bytes_from(mended, 1)));
    mended = trimmed(cut(mended.n ? mended : BYTES("-"), NAME_MAX_BYTES - (number > 1 ? 16 : 0)));
    return number > 1 ? arena_bytesf(a, "%.*s (%d)", SHOW(mended), number) : mended;
}
