/* net/dns_answer.c - records out of the wire form, each checked against its own length.
 *
 * A record that is malformed is left out and the others stand; how many are read is bounded (dns.records_max). Names
 * become text in which nothing can be a control character or a false dot: they end up in logs and answers. */
#include "net/dns_answer.h"
#include "base/params.h"
#include <unbound.h>

/* The root is "". What is not printable, and a dot or backslash within a label, becomes \DDD (RFC 1035 5.1). */
bool dns_name_read(struct arena *a, struct bytes wire, struct bytes *out)
{
    struct buf text;
    bool ended = false;

    buf_init(&text, 4 * 255);
    while (wire.n && !ended) {
        size_t n = (uint8_t)*wire.p;

        wire = bytes_from(wire, 1);
        ended = n == 0;
        if (n > 63 || n > wire.n)
            break;
        if (text.n && n)
            buf_addc(&text, '.');
        for (size_t i = 0; i < n; i++) {
            unsigned c = (uint8_t)wire.p[i];

            if (c <= ' ' || c >= 127 || c == '.' || c == '\\')
                buf_addf(&text, "\\%03u", c);
            else
                buf_addc(&text, (char)c);
        }
        wire = bytes_from(wire, n);
    }
    ended = ended && !text.overflowed;
    if (ended)
        *out = text.n ? arena_copy(a, buf_bytes(&text)) : BYTES("");
    buf_clear(&text);
    return ended;
}

static bool read_strings(struct arena *a, struct bytes wire, struct bytes *out)
{
    char *text = arena_alloc(a, wire.n + 1);
    size_t n = 0;

    while (wire.n) {
        size_t one = (uint8_t)*wire.p;

        if (one + 1 > wire.n)
            return false;
        memcpy(text + n, wire.p + 1, one);
        n += one;
        wire = bytes_from(wire, one + 1);
    }
    *out = (struct bytes){ text, n };
    return true;
}

static bool read_raw(struct arena *a, struct bytes wire, size_t least, struct bytes *out)
{
    if (wire.n < least)
        return false;
    *out = arena_copy(a, wire);
    return true;
}

static bool read_mx(struct arena *a, struct bytes wire, struct dns_record *out)
{
    if (wire.n < 3)
        return false;
    out->preference = (uint16_t)((uint8_t)wire.p[0] << 8 | (uint8_t)wire.p[1]);
    return dns_name_read(a, bytes_from(wire, 2), &out->data);
}

bool dns_record_read(struct arena *a, int type, struct bytes wire, struct dns_record *out)
{
    switch (type) {
    case DNS_A: return wire.n == 4 && read_raw(a, wire, 4, &out->data);
    case DNS_AAAA: return wire.n == 16 && read_raw(a, wire, 16, &out->data);
    case DNS_TLSA: return read_raw(a, wire, 4, &out->data);
    case DNS_TXT: return read_strings(a, wire, &out->data);
    case DNS_MX: return read_mx(a, wire, out);
    default: return dns_name_read(a, wire, &out->data); /* NS, CNAME, PTR, and the first name of SOA */
    }
}

static void read_records(struct arena *a, const struct ub_result *r, struct dns_answer *out)
{
    size_t n = 0, most = (size_t)PARAM_INT(dns, records_max);

    while (r->data[n] && n < most)
        n++;
    out->records = arena_array(a, n ? n : 1, sizeof *out->records);
    for (size_t i = 0; i < n; i++)
        if (dns_record_read(a, r->qtype, (struct bytes){ r->data[i], (size_t)r->len[i] }, &out->records[out->n]))
            out->n++;
}

bool dns_is_below(struct bytes name, struct bytes zone)
{
    return bytes_equal_nocase(name, zone) ||
           (name.n > zone.n && bytes_ends_nocase(name, zone) && (!zone.n || name.p[name.n - zone.n - 1] == '.'));
}

/* RFC 1035 4.1.1, RCODE, by its own words. */
const char *dns_rcode_text(int rcode)
{
    static const char *const names[] = { "no error",     "format error",    "server failure",
                                         "no such name", "not implemented", "refused" };

    return rcode >= 0 && rcode < 6 ? names[rcode] : "an unknown error code";
}

static void explain(struct arena *a, enum dns_result result, struct bytes why, struct dns_answer *out)
{
    out->result = result;
    out->why = arena_copy(a, why);
}

/* libunbound follows the chain; one that is a ring, or longer than 11, is a failure of the server's. */
static struct bytes canonical_name(struct arena *a, const struct ub_result *r)
{
    struct bytes name = bytes_of(r->canonname ? r->canonname : r->qname);

    return arena_copy(a, bytes_ends(name, BYTES(".")) ? bytes_head(name, name.n - 1) : name);
}

void dns_answer_read(struct arena *a, const struct ub_result *r, struct dns_answer *out)
{
    out->secure = r->secure;
    out->ttl = r->ttl > 0 ? (unsigned)r->ttl : 0;
    if (r->bogus)
        explain(a, DNS_BOGUS, r->why_bogus ? bytes_of(r->why_bogus) : BYTES("the signatures are wrong"), out);
    else if (r->nxdomain)
        explain(a, DNS_NO_NAME, BYTES("no such name"), out);
    else if (r->rcode != 0)
        explain(a, DNS_FAILED, arena_bytesf(a, "the server says: %s", dns_rcode_text(r->rcode)), out);
    else if (r->havedata)
        read_records(a, r, out);
    if (!r->bogus && (r->nxdomain || r->rcode == 0))
        out->canonical = canonical_name(a, r);
    if (r->bogus || r->nxdomain || r->rcode != 0)
        return;
    if (out->n)
        out->result = DNS_FOUND;
    else
        explain(a, DNS_NO_DATA, BYTES("the name has no such record"), out);
}
