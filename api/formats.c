/* api/formats.c - the `format`s of the contract.
 *
 * Each asks the parser that the service will use (addresses, domains, networks), so what passes here is not refused
 * behind it for its form. All are pure: they run on workers too. */
#include "api/schema.h"
#include "base/clock.h"
#include "base/network.h"
#include "mail/address.h"
#include "mail/header.h"

static bool in_range(struct bytes text, unsigned char least, unsigned char most)
{
    for (size_t i = 0; i < text.n; i++)
        if ((unsigned char)text.p[i] < least || (unsigned char)text.p[i] > most)
            return false;
    return true;
}

static bool only(struct bytes text, const char *extra)
{
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i], low = (char)(c | 0x20);

        if (!(c >= '0' && c <= '9') && !(low >= 'a' && low <= 'z') && !(c && strchr(extra, c)))
            return false;
    }
    return true;
}

static bool ascii(struct bytes text, struct arena *a)
{
    (void)a;
    return in_range(text, ' ', '~');
}

static bool no_nul(struct bytes text, struct arena *a)
{
    (void)a;
    return bytes_find(text, '\0') == text.n;
}

/* No control character: what stands in one line for people. */
static bool line(struct bytes text, struct arena *a)
{
    (void)a;
    for (size_t i = 0; i < text.n; i++)
        if ((unsigned char)text.p[i] < ' ' || text.p[i] == 0x7f)
            return false;
    return true;
}

/* The same with TAB: the value of a header field. */
static bool header(struct bytes text, struct arena *a)
{
    struct bytes rest = text, head;

    while (rest.n) {
        bytes_cut(rest, '\t', &head, &rest);
        if (!line(head, a))
            return false;
    }
    return true;
}

/* RFC 5322 3.6.8: ftext. */
static bool header_name(struct bytes text, struct arena *a)
{
    (void)a;
    return text.n > 0 && in_range(text, '!', '~') && bytes_find(text, ':') == text.n;
}

static bool date_time(struct bytes text, struct arena *a)
{
    int64_t wall;

    (void)a;
    return clock_parse_rfc3339(text, &wall);
}

static bool email(struct bytes text, struct arena *a)
{
    struct address address;
    struct err e = { 0 };

    return address_parse(text, a, &address, &e);
}

static bool mailbox(struct bytes text, struct arena *a)
{
    struct address address;
    struct err e = { 0 };

    return mailbox_parse(text, a, &address, &e);
}

static bool domain(struct bytes text, struct arena *a)
{
    struct bytes normal;
    struct err e = { 0 };

    return domain_normalize(text, a, &normal, &e) && bytes_find(text, '[') == text.n;
}

/* "a@b", or "@b" for every address of a domain. */
static bool send_as(struct bytes text, struct arena *a)
{
    return text.n && text.p[0] == '@' ? domain(bytes_from(text, 1), a) : email(text, a);
}

/* RFC 4648 4 with padding; lines may be broken, as those are that other programs made for mail. */
static bool base64(struct bytes text, struct arena *a)
{
    size_t digits = 0, pad = 0;

    (void)a;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '\r' || text.p[i] == '\n' || text.p[i] == ' ' || text.p[i] == '\t')
            continue;
        pad += text.p[i] == '=';
        digits++;
        if (text.p[i] != '=' && (pad || !only((struct bytes){ text.p + i, 1 }, "+/")))
            return false;
    }
    return digits % 4 == 0 && pad <= 2;
}

static bool media_type(struct bytes text, struct arena *a)
{
    (void)a;
    return media_type_ok(text);
}

static bool content_id(struct bytes text, struct arena *a)
{
    (void)a;
    if (text.n > 2 && text.p[0] == '<' && text.p[text.n - 1] == '>')
        text = (struct bytes){ text.p + 1, text.n - 2 };
    return text.n > 0 && only(text, "!#$%&'*+/=?^_`{|}~.@-");
}

/* RFC 9051 9: an IMAP flag keyword is an atom. */
static bool keyword(struct bytes text, struct arena *a)
{
    (void)a;
    return text.n > 0 && only(text, "!#$&'+,-./:;<=>?@^_`|}~");
}

static bool network(struct bytes text, struct arena *a)
{
    struct network n;

    (void)a;
    return network_parse(text, &n);
}

#define TYPEID(name, prefix)                                                                                           \
    static bool name(struct bytes text, struct arena *a)                                                               \
    {                                                                                                                  \
        struct id id;                                                                                                  \
                                                                                                                       \
        (void)a;                                                                                                       \
        return id_parse(prefix, text, &id);                                                                            \
    }
TYPEID(typeid_acc, "acc")
TYPEID(typeid_dlv, "dlv")
TYPEID(typeid_key, "key")
TYPEID(typeid_lay, "lay")
TYPEID(typeid_mbx, "mbx")
TYPEID(typeid_msg, "msg")
TYPEID(typeid_pol, "pol")
TYPEID(typeid_sus, "sus")
TYPEID(typeid_thr, "thr")
TYPEID(typeid_str, "str")
TYPEID(typeid_tpl, "tpl")

static bool template_version(struct bytes text, struct arena *a)
{
    int64_t n = 0;

    (void)a;
    return bytes_equal(text, BYTES("draft")) || bytes_equal(text, BYTES("published")) ||
           (bytes_to_int(text, &n) && n > 0);
}

#define ID_WRONG "Not an id of this kind"
static const struct format formats[FORMATS] = {
    [FORMAT_ascii] = { ascii, "invalid_characters", "Only printable ASCII characters are allowed" },
    [FORMAT_no_nul] = { no_nul, "invalid_characters", "NUL is not allowed" },
    [FORMAT_line] = { line, "invalid_characters", "Control characters and line breaks are not allowed" },
    [FORMAT_header] = { header, "invalid_characters", "Control characters and line breaks are not allowed" },
    [FORMAT_header_name] = { header_name, "invalid_header_name", "Not the name of a header field" },
    [FORMAT_date_time] = { date_time, "invalid_time", "Not an RFC 3339 time" },
    [FORMAT_email] = { email, "invalid_address", "Not an email address" },
    [FORMAT_mailbox] = { mailbox, "invalid_address", "Not an email address, nor `Name <address>`" },
    [FORMAT_domain] = { domain, "invalid_domain", "Not a domain name" },
    [FORMAT_send_as] = { send_as, "invalid_address", "Not an email address, nor `@domain`" },
    [FORMAT_base64] = { base64, "invalid_base64", "Not base64 (RFC 4648, padded, in one line)" },
    [FORMAT_media_type] = { media_type, "invalid_media_type", "Not a media type" },
    [FORMAT_content_id] = { content_id, "invalid_content_id", "Not a Content-ID (without angle brackets)" },
    [FORMAT_keyword] = { keyword, "invalid_keyword", "Not a keyword: no blanks, quotes, brackets, * or %" },
    [FORMAT_network] = { network, "invalid_network", "Not an IP address or network (192.0.2.0/24)" },
    [FORMAT_template_version] = { template_version, "invalid_version", "A number, `published` or `draft`" },
    [FORMAT_typeid_acc] = { typeid_acc, "invalid_id", ID_WRONG },
    [FORMAT_typeid_dlv] = { typeid_dlv, "invalid_id", ID_WRONG },
    [FORMAT_typeid_key] = { typeid_key, "invalid_id", ID_WRONG },
    [FORMAT_typeid_lay] = { typeid_lay, "invalid_id", ID_WRONG },
    [FORMAT_typeid_mbx] = { typeid_mbx, "invalid_id", ID_WRONG },
    [FORMAT_typeid_msg] = { typeid_msg, "invalid_id", ID_WRONG },
    [FORMAT_typeid_pol] = { typeid_pol, "invalid_id", ID_WRONG },
    [FORMAT_typeid_sus] = { typeid_sus, "invalid_id", ID_WRONG },
    [FORMAT_typeid_thr] = { typeid_thr, "invalid_id", ID_WRONG },
    [FORMAT_typeid_str] = { typeid_str, "invalid_id", ID_WRONG },
    [FORMAT_typeid_tpl] = { typeid_tpl, "invalid_id", ID_WRONG },
};

const struct format *schema_format(enum schema_format f)
{
    return formats[f].right ? &formats[f] : NULL;
}
