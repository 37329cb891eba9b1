/* net/dns_direct.c - from a name to the servers of its zone, and their answer.
 *
 * Zones that were found are kept for the next question, and servers that could not be reached are not tried again: a
 * check asks a dozen names of one zone. Who answers by a refusal, or without authority, is passed over for the next
 * server; a zone whose servers all do so does not answer, whatever others remember of it. */
#include "net/dns_direct.h"
#include "base/clock.h"
#include "base/crypt.h"
#include "net/dns_wire.h"
#include "net/fiber.h"
#include "net/stream.h"

enum { ZONES_MAX = 32, SERVERS_MAX = 8, NAMES_MAX = 6, HOPS_MAX = 8, LABELS_MAX = 20, MESSAGE_MAX = 65535 };

struct server {
    struct bytes name;
    struct network address;
    struct bytes dead; /* why it cannot be reached; NO_BYTES: it can, or nobody tried */
};

struct zone {
    struct bytes name;
    struct server servers[SERVERS_MAX];
    size_t n;
};

struct dns_direct {
    struct arena *a;
    struct dns_direct_options o;
    struct zone zones[ZONES_MAX];
    size_t n;
    /* Of the question at work. */
    int64_t deadline;
    struct bytes why; /* what the last server that was of no use said, or did */
    bool tried;       /* there are some that may be asked */
    bool spoke;       /* and did say something */
};

struct dns_direct *dns_direct_new(struct arena *a, const struct dns_direct_options *o)
{
    struct dns_direct *d = arena_alloc(a, sizeof *d);

    d->a = a;
    d->o = *o;
    return d;
}

/* ---- zones and their servers ---- */

static void add_server(struct dns_direct *d, struct zone *z, struct bytes name, struct bytes raw)
{
    struct server *s = &z->servers[z->n];
    char text[NETWORK_TEXT];

    if (z->n == SERVERS_MAX || !network_from_raw(raw, &s->address))
        return;
    s->name = name;
    if (network_list_reaches(d->o.deny, &s->address) && !network_list_holds(d->o.allow, &s->address))
        d->why = arena_bytesf(d->a, "%.*s is at %.*s, where no mail goes (delivery.deny)", SHOW(name),
                              SHOW(network_show(&s->address, text)));
    else
        z->n++;
}

static void look_up(struct dns_direct *d, struct zone *z, struct bytes name, enum dns_type type)
{
    struct dns_answer found;

    dns_ask(d->a, name, type, d->deadline, &found);
    for (size_t i = 0; i < found.n; i++)
        add_server(d, z, name, found.records[i].data);
}

/* NULL when there is no room for one more. */
static struct zone *add_zone(struct dns_direct *d, struct bytes name)
{
    struct zone *z = d->n < ZONES_MAX ? &d->zones[d->n++] : NULL;

    if (z)
        z->name = name;
    return z;
}

/* IPv4 first: where there is no IPv6, a server has its turn all the same. */
static void look_up_all(struct dns_direct *d, struct zone *z, const struct bytes *names, size_t n)
{
    for (size_t i = 0; i < n && i < NAMES_MAX; i++)
        look_up(d, z, names[i], DNS_A);
    for (size_t i = 0; i < n && i < NAMES_MAX && z->n < SERVERS_MAX; i++)
        look_up(d, z, names[i], DNS_AAAA);
}

static struct zone *discover(struct dns_direct *d, struct bytes name)
{
    struct bytes label, zone = name;

    for (int i = 0; i < LABELS_MAX && zone.n; i++) {
        struct dns_answer found;

        dns_ask(d->a, zone, DNS_NS, d->deadline, &found);
        if (found.result == DNS_FOUND && bytes_equal_nocase(found.canonical, zone)) {
            struct zone *z = add_zone(d, zone);
            struct bytes *names = arena_array(d->a, found.n, sizeof *names);

            for (size_t k = 0; k < found.n; k++)
                names[k] = found.records[k].data;
            if (z)
                look_up_all(d, z, names, found.n);
            return z;
        }
        if (found.why.p)
            d->why = found.why;
        bytes_cut(zone, '.', &label, &zone);
    }
    return NULL;
}

/* The nearest one that is known, else the one that the resolver knows. */
static struct zone *zone_of(struct dns_direct *d, struct bytes name)
{
    struct zone *best = NULL;

    for (size_t i = 0; i < d->n; i++)
        if (dns_is_below(name, d->zones[i].name) && (!best || d->zones[i].name.n > best->name.n))
            best = &d->zones[i];
    return best ? best : discover(d, name);
}

/* A referral leads down, or it is none. */
static struct zone *referred(struct dns_direct *d, const struct zone *from, const struct dns_wire *w)
{
    struct bytes names[DNS_WIRE_SERVERS_MAX];
    struct zone *z;
    size_t n = 0;

    if (w->zone.n <= from->name.n || !dns_is_below(w->zone, from->name) || !(z = add_zone(d, w->zone)))
        return NULL;
    for (size_t i = 0; i < w->n_servers; i++)
        if (w->servers[i].address.p)
            add_server(d, z, w->servers[i].name, w->servers[i].address);
        else
            names[n++] = w->servers[i].name;
    if (!z->n)
        look_up_all(d, z, names, n);
    return z;
}

/* ---- one question to one server ---- */

static bool read_message(struct stream *s, struct bytes *message, struct err *e)
{
    for (;;) {
        struct bytes in = stream_peek(s);
        size_t n = in.n < 2 ? 0 : (size_t)(uint8_t)in.p[0] << 8 | (uint8_t)in.p[1];

        if (in.n >= 2 && in.n >= n + 2) {
            *message = bytes_head(bytes_from(in, 2), n);
            return true;
        }
        if (!stream_fill(s, e))
            return false;
    }
}

/* False: the server cannot be reached. */
static bool talk(struct dns_direct *d, const struct server *s, struct bytes question, struct bytes *message,
                 struct err *e)
{
    const struct stream_target to = { .address = s->address,
                                      .port = d->o.port,
                                      .options = { .in_max = MESSAGE_MAX + 2, .out_max = 1024 } };
    int64_t until = clock_monotonic() + d->o.wait;
    const char length[2] = { (char)(question.n >> 8), (char)question.n };
    struct stream *stream = NULL;
    struct bytes in;
    bool ok;

    until = until < d->deadline ? until : d->deadline;
    if (!stream_connect(&to, until, &stream, e))
        return false;
    stream_deadline(stream, until);
    ok = stream_write(stream, (struct bytes){ length, 2 }, e) && stream_write(stream, question, e) &&
         stream_flush(stream, e) && read_message(stream, &in, e);
    if (ok)
        *message = arena_copy(d->a, in);
    stream_free(&stream);
    return ok;
}

static bool ask_server(struct dns_direct *d, struct server *s, struct bytes name, enum dns_type type,
                       struct dns_wire *w)
{
    uint16_t id;
    struct bytes message;
    struct buf question;
    struct err e = { 0 };
    bool ok;

    crypt_random(&id, sizeof id);
    buf_init(&question, DNS_WIRE_QUESTION_MAX);
    ok = dns_wire_ask(&question, id, name, type);
    if (!ok)
        d->why = BYTES("this is no domain name");
    else if (!(ok = talk(d, s, buf_bytes(&question), &message, &e))) {
        d->why = s->dead = arena_bytesf(d->a, "%.*s: %s", SHOW(s->name), e.message);
    }
    buf_clear(&question);
    if (!ok)
        return false;
    d->spoke = true;
    dns_wire_read(d->a, message, id, name, type, w);
    if (w->kind == DNS_WIRE_BAD || w->kind == DNS_WIRE_REFUSED)
        d->why = arena_bytesf(d->a, "%.*s says: %s", SHOW(s->name), w->why);
    return w->kind != DNS_WIRE_BAD && w->kind != DNS_WIRE_REFUSED;
}

static bool ask_zone(struct dns_direct *d, struct zone *z, struct bytes name, enum dns_type type, struct dns_wire *w)
{
    d->tried = d->tried || z->n;
    for (size_t i = 0; i < z->n && clock_monotonic() < d->deadline; i++)
        if (z->servers[i].dead.p)
            d->why = z->servers[i].dead;
        else if (ask_server(d, &z->servers[i], name, type, w))
            return true;
    return false;
}

/* ---- a question ---- */

/* Down from the zone that is known to the one that answers. */
static bool descend(struct dns_direct *d, struct bytes name, enum dns_type type, struct dns_wire *w)
{
    struct zone *z = zone_of(d, name);

    for (int i = 0; z && i < HOPS_MAX; i++) {
        if (!ask_zone(d, z, name, type, w))
            return false;
        if (w->kind != DNS_WIRE_REFERRAL)
            return true;
        d->spoke = false; /* those that are referred to matter now */
        z = referred(d, z, w);
        if (!z)
            d->why = BYTES("the servers of the domain refer to others that do not know it");
    }
    return false;
}

/* Nobody who serves the name can be reached, or is known. Where servers were tried that should have answered, what the
 * resolver does not find says nothing: it may be as lost as we are. */
static void fall_back(struct dns_direct *d, struct bytes name, enum dns_type type, struct dns_answer *out)
{
    dns_ask(d->a, name, type, d->deadline, out);
    if (out->result == DNS_FOUND || (!d->tried && (out->result == DNS_NO_DATA || out->result == DNS_NO_NAME)))
        return;
    *out = (struct dns_answer){ .result = DNS_FAILED, .why = d->why.p ? d->why : out->why };
}

void dns_direct_ask(struct dns_direct *d, struct bytes name, enum dns_type type, int64_t deadline,
                    struct dns_answer *out, bool *cached)
{
    *cached = false;
    d->deadline = deadline;
    for (int i = 0; i < HOPS_MAX; i++) {
        struct dns_wire w = { .kind = DNS_WIRE_BAD };

        d->why = NO_BYTES;
        d->tried = d->spoke = false;
        if (!descend(d, name, type, &w)) {
            *out = (struct dns_answer){ .result = DNS_FAILED, .why = d->why };
            *cached = !d->spoke;
            if (*cached)
                fall_back(d, name, type, out);
            return;
        }
        if (w.kind == DNS_WIRE_ANSWER) {
            *out = w.answer;
            return;
        }
        name = w.next;
    }
    *out = (struct dns_answer){ .result = DNS_FAILED, .why = BYTES("its CNAMEs lead on and on") };
}
