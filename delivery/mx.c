/* delivery/mx.c - names out of the MX answer: which there are, and in what order they are tried. mx_plan.c goes on with
 * their addresses.
 *
 * Shuffling is by hash and not by a generator: name and seed decide, so that a plan is the same whenever it is made
 * of the same, and tests need no fixed sequence. */
#include "delivery/mx.h"
#include "delivery/hash.h"
#include <stdlib.h>

/* A host name as DNS has them; an underscore is not one of RFC 952, but there are such hosts. A name whose last label
 * is a number would be taken for an address by some (RFC 1123 2.1). */
static bool is_host_name(struct bytes name)
{
    struct bytes label, rest = name;
    bool more = true, number = false;

    if (name.n == 0 || name.n > 253)
        return false;
    while (more) {
        more = bytes_cut(rest, '.', &label, &rest);
        if (label.n == 0 || label.n > 63 || label.p[0] == '-' || label.p[label.n - 1] == '-')
            return false;
        number = true;
        for (size_t i = 0; i < label.n; i++) {
            char c = label.p[i];
            bool digit = c >= '0' && c <= '9';

            if (!digit && !((c | 0x20) >= 'a' && (c | 0x20) <= 'z') && c != '-' && c != '_')
                return false;
            number &= digit;
        }
    }
    return !number;
}

struct sortable {
    struct mx_name name;
    uint64_t order;
};

static int by_preference(const void *x, const void *y)
{
    const struct sortable *a = x, *b = y;

    if (a->name.preference != b->name.preference)
        return a->name.preference < b->name.preference ? -1 : 1;
    if (a->order != b->order)
        return a->order < b->order ? -1 : 1;
    return bytes_compare(a->name.name, b->name.name);
}

static bool is_root(struct bytes name)
{
    return name.n == 0 || bytes_equal(name, BYTES("."));
}

static struct mx_name name_of(struct arena *a, struct bytes text, uint16_t preference)
{
    if (bytes_ends(text, BYTES(".")))
        text.n--;
    return (struct mx_name){ arena_lower(a, text), preference, !is_host_name(text) };
}

/* The same name twice counts once, at its better preference. */
static void keep_first(struct sortable *sorted, size_t n, struct mx_names *out)
{
    for (size_t i = 0; i < n && out->n < MX_NAMES_MAX; i++) {
        size_t k = 0;

        while (k < out->n && !bytes_equal(out->list[k].name, sorted[i].name.name))
            k++;
        if (k == out->n)
            out->list[out->n++] = sorted[i].name;
    }
}

static void names_of_records(const struct dns_answer *mx, uint64_t seed, struct arena *a, struct mx_names *out)
{
    struct sortable *sorted = arena_array(a, mx->n, sizeof *sorted);
    size_t n = 0;

    for (size_t i = 0; i < mx->n; i++) {
        if (is_root(mx->records[i].data))
            continue;
        sorted[n].name = name_of(a, mx->records[i].data, mx->records[i].preference);
        sorted[n].order = hash_text(seed, sorted[n].name.name);
        n++;
    }
    if (n == 0) { /* RFC 7505 3 */
        out->verdict = mx->n ? MX_NULL : MX_TEMPORARY;
        return;
    }
    qsort(sorted, n, sizeof *sorted, by_preference);
    keep_first(sorted, n, out);
}

void mx_names(struct bytes domain, const struct dns_answer *mx, uint64_t seed, struct arena *a, struct mx_names *out)
{
    *out = (struct mx_names){ .ttl = mx->ttl, .secure = mx->secure, .domain = domain };
    out->list = arena_array(a, MX_NAMES_MAX, sizeof *out->list);
    switch (mx->result) {
    case DNS_FOUND: names_of_records(mx, seed, a, out); break;
    case DNS_NO_DATA: /* RFC 5321 5.1: the domain itself, and only then */
        out->implicit = true;
        out->list[out->n++] = name_of(a, domain, 0);
        break;
    case DNS_NO_NAME: out->verdict = MX_NO_DOMAIN; break;
    case DNS_BOGUS: out->bogus = true; /* fall through */
    case DNS_FAILED:
    case DNS_TIMEOUT: out->verdict = MX_TEMPORARY; break;
    }
}

void mx_names_of(const struct bytes *hosts, size_t n, struct arena *a, struct mx_names *out)
{
    *out = (struct mx_names){ .fixed = true, .ttl = MX_TTL_MAX_S, .domain = n ? hosts[0] : NO_BYTES };
    out->list = arena_array(a, MX_NAMES_MAX, sizeof *out->list);
    for (size_t i = 0; i < n && i < MX_NAMES_MAX; i++)
        out->list[out->n++] = name_of(a, hosts[i], (uint16_t)i);
}

bool mx_literal(struct bytes domain, struct network *out)
{
    bool brackets = domain.n > 2 && domain.p[0] == '[' && domain.p[domain.n - 1] == ']';
    struct bytes text = brackets ? bytes_head(bytes_from(domain, 1), domain.n - 2) : domain;
    bool tagged = brackets && bytes_starts_nocase(text, BYTES("IPv6:")); /* RFC 5321 4.1.3 */

    text = bytes_from(text, tagged ? 5 : 0);
    return network_parse_address(text, out) && (!brackets || tagged == (bytes_find(text, ':') < text.n));
}

static int by_name(const void *x, const void *y)
{
    return bytes_compare(*(const struct bytes *)x, *(const struct bytes *)y);
}

struct bytes mx_group(const struct mx_names *names, struct arena *a)
{
    struct bytes best[MX_NAMES_MAX];
    struct buf out;
    struct bytes group;
    size_t n = 0;

    while (n < names->n && (names->fixed || names->list[n].preference == names->list[0].preference)) {
        best[n] = names->list[n].name;
        n++;
    }
    qsort(best, n, sizeof *best, by_name);
    buf_init(&out, MX_NAMES_MAX * 256);
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_addc(&out, ',');
        buf_add(&out, best[i]);
    }
    group = n ? arena_copy(a, buf_bytes(&out)) : BYTES("");
    buf_clear(&out);
    return group;
}

enum mx_verdict mx_guard(struct mx_guard *g, struct bytes domain, enum mx_verdict v, bool *suspect)
{
    uint64_t h = hash_text(0, domain);

    if (v == MX_OK || v == MX_NULL || v == MX_NO_HOST)
        g->in_a_row = 0;
    if (v == MX_NO_DOMAIN) {
        size_t i = 0;

        while (i < g->in_a_row && g->last[i] != h)
            i++;
        if (i == g->in_a_row && i < MX_GUARD_MAX)
            g->last[g->in_a_row++] = h;
    }
    *suspect = g->in_a_row == MX_GUARD_MAX;
    return v == MX_NO_DOMAIN && *suspect ? MX_TEMPORARY : v;
}
