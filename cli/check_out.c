/* cli/check_out.c - check, the part that looks outward: what other servers see of us, and whether we reach them.
 *
 * Most receivers refuse a server whose address has no name, or another than it says (RFC 5321 4.1.4, what large
 * providers ask for): PTR, EHLO and address have to agree. Many networks shut port 25 to the outside, which shows only
 * when it is tried; so it is tried where the operator says, and nowhere else. */
#include "base/clock.h"
#include "cli/check.h"
#include "net/dns.h"
#include "net/stream.h"
#include "service/service.h"
#include <stdlib.h>

enum { DNS_WAIT_MS = 5000, CONNECT_WAIT_MS = 15000, GREETING_MAX = 512, ADDRESSES_MAX = 8 };

#define UNSIGNED_NAME "gmail.com" /* where mail goes anyway; --unsigned names another */

static void ask(struct checkup *c, struct bytes name, enum dns_type type, struct dns_answer *out)
{
    dns_ask(c->arena, name, type, clock_monotonic() + DNS_WAIT_MS, out);
}

static struct bytes value_or(const struct checkup *c, const char *flag, const char *standard)
{
    const char *given = command_value(c->line, flag);

    return bytes_of(given ? given : standard);
}

/* ---- the resolver ---- */

/* A signed name has to come out validated, an unsigned one at all: one of them alone shows nothing. */
void check_resolver(struct checkup *c)
{
    struct bytes plain = value_or(c, "unsigned", UNSIGNED_NAME);
    struct bytes proved = value_or(c, "signed", ".");
    struct dns_answer s, u;
    char found[400];

    ask(c, proved, DNS_NS, &s);
    ask(c, plain, DNS_MX, &u);
    if (s.result != DNS_FOUND) {
        snprintf(found, sizeof found, "no answer for \"%.*s\": %.*s", SHOW(proved), SHOW(s.why));
        check_say(c, WARN, "dns", found,
                  s.result == DNS_BOGUS
                      ? "the signatures do not fit: look at the clock, and at dns.trust_anchor"
                      : "set dns.servers, or mend /etc/resolv.conf: mail to other servers needs names");
    } else if (u.result != DNS_FOUND && u.result != DNS_NO_DATA) {
        snprintf(found, sizeof found, "%.*s answers, but %.*s does not: %.*s", SHOW(proved), SHOW(plain), SHOW(u.why));
        check_say(c, WARN, "dns", found, "a resolver that answers for some names only loses mail: set dns.servers");
    } else if (!s.secure) {
        check_say(c, WARN, "dns", "answers, not validated",
                  "name the root's keys in dns.trust_anchor (package dns-root-data), and servers in dns.servers that "
                  "pass signatures on");
    } else {
        snprintf(found, sizeof found, "answers: %.*s validated, %.*s %s", SHOW(proved), SHOW(plain),
                 u.secure ? "as well" : "unsigned");
        check_say(c, PASS, "dns", found, "");
    }
}

/* ---- our name ---- */

struct addresses {
    struct network list[ADDRESSES_MAX];
    size_t n;
};

static void add_all(struct addresses *a, const struct dns_answer *answer)
{
    for (size_t i = 0; i < answer->n && a->n < ADDRESSES_MAX; i++)
        if (network_from_raw(answer->records[i].data, &a->list[a->n]))
            a->n++;
}

/* "1.2.0.192.in-addr.arpa", RFC 1035 3.5; nibbles for IPv6, RFC 3596 2.5. */
static struct bytes reverse_name(struct arena *a, const struct network *address)
{
    const unsigned char *b = address->address;
    struct buf out;
    struct bytes name;

    if (network_is_ipv4(address))
        return arena_bytesf(a, "%u.%u.%u.%u.in-addr.arpa", b[15], b[14], b[13], b[12]);
    buf_init(&out, 128);
    for (int i = 15; i >= 0; i--)
        buf_addf(&out, "%x.%x.", b[i] & 15u, b[i] >> 4);
    buf_adds(&out, "ip6.arpa");
    name = arena_copy(a, buf_bytes(&out));
    buf_clear(&out);
    return name;
}

static bool has_name(const struct dns_answer *ptr, struct bytes name)
{
    for (size_t i = 0; i < ptr->n; i++)
        if (bytes_equal_nocase(ptr->records[i].data, name))
            return true;
    return false;
}

static void check_reverse(struct checkup *c, struct bytes host, const struct network *address, enum verdict bad)
{
    struct dns_answer ptr;
    char text[NETWORK_TEXT], found[700], mend[700];

    network_show(address, text);
    ask(c, reverse_name(c->arena, address), DNS_PTR, &ptr);
    if (has_name(&ptr, host)) {
        snprintf(found, sizeof found, "%.*s, %s and back", SHOW(host), text);
        check_say(c, PASS, "name", found, "");
        return;
    }
    if (ptr.n)
        snprintf(found, sizeof found, "%s is %.*s, but we say %.*s", text, SHOW(ptr.records[0].data), SHOW(host));
    else
        snprintf(found, sizeof found, "%s has no name: %.*s", text, SHOW(ptr.why));
    snprintf(mend, sizeof mend,
             "let whoever gave you %s set its PTR record to %.*s, or set server.hostname to its name: many servers "
             "refuse mail otherwise",
             text, SHOW(host));
    check_say(c, bad, "name", found, mend);
}

/* Who does not send to the outside needs no name. */
void check_name(struct checkup *c)
{
    bool live = bytes_equal(check_setting(c, "delivery.mode"), BYTES("live"));
    struct bytes host = check_setting(c, "server.hostname");
    enum verdict bad = live ? FAIL : WARN;
    struct addresses own = { .n = 0 };
    struct dns_answer a, aaaa;
    struct err why = { 0 };
    char found[700];

    if (!full_name_check(host, &why)) {
        check_say(c, live ? FAIL : PASS, "name", live ? why.message : "no full name yet: the sandbox needs none",
                  "postrider config set server.hostname mail.example.org, with your own name");
        return;
    }
    ask(c, host, DNS_A, &a);
    ask(c, host, DNS_AAAA, &aaaa);
    add_all(&own, &a);
    add_all(&own, &aaaa);
    for (size_t i = 0; i < own.n; i++)
        check_reverse(c, host, &own.list[i], bad);
    if (own.n)
        return;
    snprintf(found, sizeof found, "%.*s has no address: %.*s", SHOW(host), SHOW(a.why));
    check_say(c, bad, "name", found,
              "publish an A record (AAAA for IPv6) of server.hostname with the address of this server");
}

/* ---- port 25 ---- */

struct reached {
    char greeting[GREETING_MAX];
    struct err err;
};

static bool greeted(struct stream *s, struct reached *r)
{
    struct bytes line;

    if (!stream_line(s, GREETING_MAX - 1, &line, &r->err))
        return false;
    snprintf(r->greeting, sizeof r->greeting, "%.*s", SHOW(bytes_head(line, bytes_plain(line))));
    stream_write(s, BYTES("QUIT\r\n"), &(struct err){ 0 });
    stream_flush(s, &(struct err){ 0 });
    return bytes_starts(line, BYTES("220")) || err_set(&r->err, ERR_BUSY, "it says: %s", r->greeting);
}

static bool try_address(const struct network *address, uint16_t port, struct reached *r)
{
    const struct stream_target to = { .address = *address,
                                      .port = port,
                                      .options = { .in_max = 4096, .out_max = 4096 } };
    int64_t deadline = clock_monotonic() + CONNECT_WAIT_MS;
    struct stream *s = NULL;
    bool ok;

    if (!stream_connect(&to, deadline, &s, &r->err))
        return false;
    stream_deadline(s, deadline);
    ok = greeted(s, r);
    stream_free(&s);
    return ok;
}

static void find_addresses(struct checkup *c, struct bytes host, struct addresses *out)
{
    struct dns_answer answer;

    if (network_parse_address(host, &out->list[0])) {
        out->n = 1;
        return;
    }
    ask(c, host, DNS_A, &answer);
    add_all(out, &answer);
    ask(c, host, DNS_AAAA, &answer);
    add_all(out, &answer);
}

/* "mx.example.net" or "mx.example.net:2525". */
static struct bytes host_and_port(const char *text, uint16_t *port)
{
    struct bytes host = bytes_of(text), number;
    size_t colon = bytes_find_last(host, ':');
    int64_t n;

    *port = 25;
    number = bytes_from(host, colon + 1);
    if (colon < host.n && bytes_find(host, ':') == colon && bytes_to_int(number, &n) && n > 0 && n < 65536) {
        *port = (uint16_t)n;
        host = bytes_head(host, colon);
    }
    return host;
}

void check_port_25(struct checkup *c)
{
    const char *to = command_value(c->line, "to");
    struct addresses there = { .n = 0 };
    struct reached r = { .greeting = "" };
    struct bytes host;
    char found[900];
    uint16_t port;
    bool ok = false;

    if (!to)
        return;
    host = host_and_port(to, &port);
    find_addresses(c, host, &there);
    if (!there.n)
        err_set(&r.err, ERR_MISSING, "no such host");
    for (size_t i = 0; i < there.n && !ok; i++) {
        r.err = (struct err){ 0 };
        ok = try_address(&there.list[i], port, &r);
    }
    snprintf(found, sizeof found, "%.*s port %u: %s", SHOW(host), port, ok ? r.greeting : r.err.message);
    check_say(
        c, ok ? PASS : FAIL, "port 25", found,
        "if other hosts fail as well, this network shuts port 25: ask your provider to open it, or send by a relay "
        "(delivery.via=relay)");
}
