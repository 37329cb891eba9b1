/* mail/dkim_record.c - the public half as the DNS has it (RFC 6376 3.6.1): tags of strangers, read forgivingly where a
 * verifier does. */
#include "base/crypt.h"
#include "mail/chars.h"
#include "mail/dkim_key.h"

enum { STRING_MAX = 255, KEY_MAX = 2048 };

void dkim_record_zone(struct bytes text, struct buf *out)
{
    do {
        struct bytes part = bytes_head(text, STRING_MAX);

        text = bytes_from(text, part.n);
        buf_addc(out, '"');
        for (size_t i = 0; i < part.n; i++) {
            if (part.p[i] == '"' || part.p[i] == '\\')
                buf_addc(out, '\\');
            buf_addc(out, part.p[i]);
        }
        buf_adds(out, text.n ? "\" " : "\"");
    } while (text.n);
}

/* One tag of a list: names are case-sensitive (RFC 6376 3.2). NO_BYTES when absent; an empty value has p. */
static struct bytes tag_of(struct bytes list, const char *name)
{
    struct bytes tag, key, value;

    while (list.n) {
        bytes_cut(list, ';', &tag, &list);
        if (bytes_cut(tag, '=', &key, &value) && bytes_equal(bytes_trim(key), bytes_of(name))) {
            value = bytes_trim(value);
            return value.n ? value : (struct bytes){ "", 0 };
        }
    }
    return NO_BYTES;
}

/* `word` or "*" stands among those that colons part; a tag that is absent means all. */
static bool allows(struct bytes list, const char *word)
{
    struct bytes one, rest = list;

    while (rest.n) {
        bytes_cut(rest, ':', &one, &rest);
        one = bytes_trim(one);
        if (bytes_equal_nocase(one, bytes_of(word)) || bytes_equal(one, BYTES("*")))
            return true;
    }
    return list.p == NULL;
}

static bool key_of(struct bytes record, struct buf *out)
{
    struct bytes p = tag_of(record, "p");

    buf_init(out, KEY_MAX);
    return p.n && crypt_from_base64(p, CRYPT_BASE64_LINES, out);
}

static bool usable(struct bytes record)
{
    struct bytes v = tag_of(record, "v");

    return (v.p == NULL || bytes_equal(v, BYTES("DKIM1"))) && allows(tag_of(record, "h"), "sha256") &&
           allows(tag_of(record, "s"), "email") && tag_of(record, "p").p;
}

static struct bytes kind_of(struct bytes record)
{
    struct bytes k = tag_of(record, "k");

    return k.p ? k : BYTES("rsa");
}

enum dkim_record dkim_record_compare(struct bytes wanted, struct bytes found)
{
    enum dkim_record result = DKIM_RECORD_BAD;
    struct buf a = { 0 }, b = { 0 };

    if (!usable(found))
        return DKIM_RECORD_BAD;
    if (tag_of(found, "p").n == 0)
        return DKIM_RECORD_REVOKED;
    if (key_of(found, &b) && key_of(wanted, &a)) {
        bool same = bytes_equal(buf_bytes(&a), buf_bytes(&b));
        bool kind = bytes_equal(kind_of(wanted), kind_of(found));

        result = same && kind ? DKIM_RECORD_SAME : same ? DKIM_RECORD_BAD : DKIM_RECORD_OTHER;
    }
    buf_clear(&a);
    buf_clear(&b);
    return result;
}
