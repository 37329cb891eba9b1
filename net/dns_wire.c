/* net/dns_wire.c - messages of the DNS, as one server sends them.
 *
 * Every length is checked against what is left, a compressed name jumps backwards only (so it ends), and records of
 * names that were not asked for count as nothing. What is read of an answer is bounded by dns.records_max. */
#include "net/dns_wire.h"
#include "base/params.h"
#include "net/dns_answer.h"
#include <string.h>

enum { HEADER = 12, WIRE_NAME_MAX = 255, LABEL_MAX = 63, CLASS_IN = 1, RCODE_NO_NAME = 3, CHAIN_MAX = 8 };
enum { FLAG_RESPONSE = 0x8000, FLAG_AUTHORITY = 0x0400, FLAG_CUT = 0x0200 };

static void put16(struct buf *out, unsigned n)
{
    buf_addc(out, (char)(n >> 8));
    buf_addc(out, (char)n);
}

static bool put_name(struct buf *out, struct bytes name)
{
    struct bytes label, rest = name;

    if (!name.n || name.n > WIRE_NAME_MAX - 2)
        return false;
    while (rest.n) {
        bytes_cut(rest, '.', &label, &rest);
        if (!label.n || label.n > LABEL_MAX)
            return false;
        buf_addc(out, (char)label.n);
        buf_add(out, label);
    }
    buf_addc(out, 0);
    return true;
}

bool dns_wire_ask(struct buf *out, uint16_t id, struct bytes name, enum dns_type type)
{
    put16(out, id);
    put16(out, 0);
    put16(out, 1);
    put16(out, 0);
    put16(out, 0);
    put16(out, 0);
    if (!put_name(out, name))
        return false;
    put16(out, type);
    put16(out, CLASS_IN);
    return !out->overflowed;
}

/* ---- reading ---- */

struct reader {
    struct arena *a;
    struct bytes message;
    size_t at;
    bool bad;
};

struct record {
    struct bytes owner;
    unsigned type;
    struct bytes data; /* where it has a name in it: that not compressed any more */
    unsigned ttl;
};

static unsigned get8(struct reader *r)
{
    if (r->at >= r->message.n) {
        r->bad = true;
        return 0;
    }
    return (uint8_t)r->message.p[r->at++];
}

static unsigned get16(struct reader *r)
{
    unsigned high = get8(r);

    return high << 8 | get8(r);
}

/* Takes the name at r->at out of its compression, RFC 1035 4.1.4. */
static void get_name(struct reader *r, struct buf *wire)
{
    size_t at = r->at, end = 0, bound = r->message.n;

    for (;;) {
        unsigned n;

        if (at >= r->message.n)
            break;
        n = (uint8_t)r->message.p[at];
        if (n >= 0xC0) {
            size_t to;

            if (at + 1 >= r->message.n)
                break;
            to = (n & 0x3Fu) << 8 | (uint8_t)r->message.p[at + 1];
            end = end ? end : at + 2;
            bound = bound < at ? bound : at; /* backwards only, each time further */
            if (to >= bound)
                break;
            bound = at = to;
            continue;
        }
        if (n > LABEL_MAX || at + 1 + n > r->message.n || wire->n + n + 1 > WIRE_NAME_MAX)
            break;
        buf_add(wire, (struct bytes){ r->message.p + at, n + 1 });
        at += n + 1;
        if (n == 0) {
            r->at = end ? end : at;
            return;
        }
    }
    r->bad = true;
}

static struct bytes get_name_text(struct reader *r)
{
    struct bytes text = NO_BYTES;
    struct buf wire;

    buf_init(&wire, WIRE_NAME_MAX + 1);
    get_name(r, &wire);
    if (!r->bad && !dns_name_read(r->a, buf_bytes(&wire), &text))
        r->bad = true;
    buf_clear(&wire);
    return text;
}

static bool has_name(unsigned type)
{
    return type == DNS_NS || type == DNS_CNAME || type == DNS_PTR || type == DNS_MX;
}

/* The data of a record up to `end`. */
static struct bytes get_data(struct reader *r, unsigned type, size_t end)
{
    struct bytes data = { r->message.p + r->at, end - r->at };
    struct buf wire;

    if (!has_name(type)) {
        r->at = end;
        return data;
    }
    buf_init(&wire, WIRE_NAME_MAX + 3);
    if (type == DNS_MX)
        put16(&wire, get16(r));
    {
        struct buf name;

        buf_init(&name, WIRE_NAME_MAX + 1);
        get_name(r, &name);
        buf_add(&wire, buf_bytes(&name));
        buf_clear(&name);
    }
    r->bad = r->bad || r->at != end;
    data = arena_copy(r->a, buf_bytes(&wire));
    buf_clear(&wire);
    return data;
}

static bool get_record(struct reader *r, struct record *out)
{
    unsigned klass, high;
    size_t n;

    out->owner = get_name_text(r);
    out->type = get16(r);
    klass = get16(r);
    high = get16(r);
    out->ttl = high << 16 | get16(r);
    n = get16(r);
    if (r->bad || r->at + n > r->message.n) {
        r->bad = true;
        return false;
    }
    out->data = get_data(r, out->type, r->at + n);
    if (klass != CLASS_IN)
        out->type = 0;
    return !r->bad;
}

static void skip_sections(struct reader *r, unsigned n)
{
    struct record ignored;

    for (unsigned i = 0; i < n && !r->bad; i++)
        get_record(r, &ignored);
}

/* What the answer section says of one name: its records of the type, or the target of its CNAME. */
static void read_owner(struct reader r, unsigned n, struct bytes owner, enum dns_type type, struct dns_wire *out,
                       struct bytes *target)
{
    size_t most = (size_t)PARAM_INT(dns, records_max);
    struct record one;

    *target = NO_BYTES;
    for (unsigned i = 0; i < n && get_record(&r, &one); i++) {
        struct dns_record record;

        if (!bytes_equal_nocase(one.owner, owner) || (one.type != type && one.type != DNS_CNAME))
            continue;
        if (!dns_record_read(r.a, (int)one.type, one.data, &record))
            continue;
        if (one.type == type && out->answer.n < most)
            out->answer.records[out->answer.n++] = record;
        else if (one.type == DNS_CNAME)
            *target = record.data;
        out->answer.ttl = one.ttl;
    }
}

static size_t bounded(unsigned n)
{
    size_t most = (size_t)PARAM_INT(dns, records_max);

    return n < most ? n : most;
}

static void read_answer(struct reader *r, unsigned n, struct bytes name, enum dns_type type, unsigned rcode,
                        struct dns_wire *out)
{
    struct bytes owner = name, target = NO_BYTES;

    out->answer.records = arena_array(r->a, bounded(n), sizeof *out->answer.records);
    for (int i = 0; i < CHAIN_MAX; i++) {
        read_owner(*r, n, owner, type, out, &target);
        if (out->answer.n || !target.n)
            break;
        owner = target;
    }
    out->kind = DNS_WIRE_ANSWER;
    out->answer.canonical = owner;
    if (out->answer.n) {
        out->answer.result = DNS_FOUND;
    } else if (owner.p != name.p) { /* what stands at the end, if that is not there too, its own servers say */
        out->kind = DNS_WIRE_ELSEWHERE;
        out->next = owner;
    } else {
        out->answer.result = rcode == RCODE_NO_NAME ? DNS_NO_NAME : DNS_NO_DATA;
        out->answer.why = rcode == RCODE_NO_NAME ? BYTES("no such name") : BYTES("the name has no such record");
    }
}

static void read_authority(struct reader *r, unsigned n, struct bytes name, struct dns_wire *out)
{
    struct record one;

    for (unsigned i = 0; i < n && get_record(r, &one); i++) {
        struct bytes server;

        if (one.type != DNS_NS || !dns_is_below(name, one.owner) || out->n_servers == DNS_WIRE_SERVERS_MAX)
            continue;
        if (out->n_servers && !bytes_equal_nocase(one.owner, out->zone))
            continue;
        out->zone = one.owner;
        if (dns_name_read(r->a, one.data, &server))
            out->servers[out->n_servers++].name = server;
    }
}

/* Addresses that come along are used for servers within the zone that is referred to: nobody else can know them. */
static void read_glue(struct reader *r, unsigned n, struct dns_wire *out)
{
    struct record one;

    for (unsigned i = 0; i < n && get_record(r, &one); i++)
        for (size_t k = 0; k < out->n_servers; k++)
            if ((one.type == DNS_A || one.type == DNS_AAAA) && !out->servers[k].address.p &&
                one.data.n == (one.type == DNS_A ? 4u : 16u) && dns_is_below(one.owner, out->zone) &&
                bytes_equal_nocase(one.owner, out->servers[k].name))
                out->servers[k].address = arena_copy(r->a, one.data);
}

static bool read_question(struct reader *r, uint16_t id, struct bytes name, enum dns_type type, unsigned *flags,
                          unsigned counts[3])
{
    unsigned got_id = get16(r), questions;
    struct bytes asked;

    *flags = get16(r);
    questions = get16(r);
    for (int i = 0; i < 3; i++)
        counts[i] = get16(r);
    if (r->bad || got_id != id || !(*flags & FLAG_RESPONSE) || questions != 1)
        return false;
    asked = get_name_text(r);
    return get16(r) == type && get16(r) == CLASS_IN && !r->bad && bytes_equal_nocase(asked, name);
}

void dns_wire_read(struct arena *a, struct bytes message, uint16_t id, struct bytes name, enum dns_type type,
                   struct dns_wire *out)
{
    struct reader r = { .a = a, .message = message };
    unsigned flags, counts[3], rcode;

    *out = (struct dns_wire){ .kind = DNS_WIRE_BAD, .why = "the answer cannot be read" };
    if (!read_question(&r, id, name, type, &flags, counts) || (flags & FLAG_CUT))
        return;
    rcode = flags & 15;
    out->kind = DNS_WIRE_REFUSED;
    if (rcode != 0 && rcode != RCODE_NO_NAME) {
        out->why = dns_rcode_text((int)rcode);
        return;
    }
    if (flags & FLAG_AUTHORITY) {
        read_answer(&r, counts[0], name, type, rcode, out);
        return;
    }
    skip_sections(&r, counts[0]);
    read_authority(&r, counts[1], name, out);
    read_glue(&r, counts[2], out);
    out->why = "it is not one of the servers of this domain";
    if (out->n_servers && !counts[0])
        out->kind = DNS_WIRE_REFERRAL;
}
