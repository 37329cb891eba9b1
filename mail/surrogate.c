/* mail/surrogate.c - a header in ASCII, field by field.
 *
 * A field that cannot be said in ASCII without claiming something wrong is left out: an address that somebody could
 * answer to is never made up (RFC 6858 2.1). The arena is wound back behind each field, so a long header needs no more
 * than its longest one. */
#include "mail/surrogate.h"
#include "mail/address.h"

/* RFC 6858 section 2.1: an address that is none, and says so. */
#define NOBODY BYTES("invalid@internationalized-address.invalid")

enum { LIST_MOST = 1000, VALUE_MAX = 256 * 1024 };

static bool is_one_of(struct bytes name, const char *const *names)
{
    for (; *names; names++)
        if (bytes_equal_nocase(name, bytes_of(*names)))
            return true;
    return false;
}

/* The name tells whom it stood for. */
static struct address nobody_for(const struct address *who, struct arena *a)
{
    struct address nobody = { .name = who->email, .email = NOBODY };

    if (who->name.n)
        nobody.name = arena_bytesf(a, "%.*s %.*s", SHOW(who->name), SHOW(who->email));
    return nobody;
}

static void write_addresses(const struct header *field, struct mail_limits limits, struct arena *a, struct buf *out)
{
    struct address_list list;
    struct buf value;

    address_list_parse(field->value, LIST_MOST, limits, a, &list);
    buf_init(&value, VALUE_MAX);
    for (size_t i = 0; i < list.n && !value.overflowed; i++) {
        struct address who = list.list[i];

        who.email = address_to_ascii(who.email, a);
        if (!bytes_is_ascii(who.email))
            who = nobody_for(&who, a);
        buf_adds(&value, value.n ? ", " : "");
        address_write(&value, &who);
    }
    if (value.n && !value.overflowed)
        header_write_raw(out, field->name, buf_bytes(&value));
    buf_clear(&value);
}

/* What a parameter's text cannot hold, like a broken 8-bit character, header_parameter has replaced. */
static void write_mime(const struct header *field, struct mail_limits limits, struct arena *a, struct buf *out)
{
    static const char *const parameters[] = { "boundary", "charset",     "name",     "filename", "format",
                                              "delsp",    "method",      "type",     "start",    "report-type",
                                              "protocol", "access-type", "component" };
    struct buf value;

    buf_init(&value, VALUE_MAX);
    buf_add(&value, header_token(field->value, a));
    for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++) {
        struct bytes text = header_parameter(field->value, parameters[i], limits, a);

        if (text.p)
            header_write_parameter(&value, parameters[i], text);
    }
    if (bytes_is_ascii(buf_bytes(&value)))
        header_write_raw(out, field->name, buf_bytes(&value));
    buf_clear(&value);
}

static void write_field(const struct header *field, struct mail_limits limits, struct arena *a, struct buf *out)
{
    static const char *const addresses[] = { "From",      "Sender",    "Reply-To",    "To",
                                             "Cc",        "Bcc",       "Resent-From", "Resent-Sender",
                                             "Resent-To", "Resent-Cc", "Resent-Bcc",  "Disposition-Notification-To",
                                             NULL };
    static const char *const texts[] = {
        "Subject", "Comments", "Keywords", "Content-Description", "Organization", NULL
    };
    static const char *const mime[] = { "Content-Type", "Content-Disposition", NULL };

    if (bytes_is_ascii(field->whole))
        buf_add(out, field->whole);
    else if (is_one_of(field->name, addresses))
        write_addresses(field, limits, a, out);
    else if (is_one_of(field->name, texts))
        header_write(out, field->name, header_decode(field->value, limits, a));
    else if (is_one_of(field->name, mime))
        write_mime(field, limits, a, out);
}

void surrogate_header(struct bytes header, struct mail_limits limits, struct arena *a, struct buf *out)
{
    size_t end = header_end(header);
    struct bytes rest = bytes_head(header, end);
    struct header field;

    while (header_next(&rest, &field)) {
        struct arena_mark before = arena_mark(a);

        write_field(&field, limits, a, out);
        arena_rewind(a, before);
    }
    buf_add(out, bytes_from(header, end));
}
