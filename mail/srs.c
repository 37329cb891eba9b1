/* mail/srs.c - the scheme of Wong and Miller. A local part is taken apart from the front, so that '=' may stand in the
 * original one; '+' and '-' are taken for the first '=' of others' SRS0 (they may write them), and kept. */
#include "mail/srs.h"
#include "mail/address_form.h"
#include "mail/base32.h"
#include "mail/chars.h"
#include "mail/header.h"
#include <string.h>

enum { MAC_BYTES = 5, MAC_TEXT = 8, DAYS_TEXT = 2, DAYS_MODULO = 1024, DAY_MS = 24 * 60 * 60 * 1000 };

static unsigned day_of(int64_t now)
{
    return (unsigned)(now / DAY_MS % DAYS_MODULO);
}

/* Over the prefix and the parts, in lower case with NUL between them. */
static void write_mac(const struct crypt_key *key, char prefix, const struct bytes *parts, size_t n, struct buf *out)
{
    uint8_t hash[CRYPT_HASH];
    struct buf text;

    buf_init(&text, (size_t)4 * ADDRESS_MAX);
    buf_addc(&text, prefix);
    for (size_t i = 0; i < n; i++) {
        buf_addc(&text, 0);
        buf_add_lower(&text, parts[i]);
    }
    crypt_keyed_hash(key, buf_bytes(&text), hash);
    base32_write(hash, MAC_BYTES, out);
    buf_clear(&text);
}

static bool mac_is(struct bytes mac, const struct crypt_key *keys, size_t n_keys, char prefix,
                   const struct bytes *parts, size_t n)
{
    struct buf want;
    bool good = false;

    buf_init(&want, MAC_TEXT);
    for (size_t i = 0; i < n_keys && !good; i++) {
        buf_reset(&want);
        write_mac(&keys[i], prefix, parts, n, &want);
        good =
            bytes_equal_nocase(mac, buf_bytes(&want)); /* 40 bits, one guess a mail: how long it takes tells nothing */
    }
    buf_clear(&want);
    return good;
}

/* "SRS0" or "SRS1" and one of = + -; *rest starts with that sign. */
static bool is_srs(struct bytes local, char digit, struct bytes *rest)
{
    if (local.n < 5 || !bytes_starts_nocase(local, BYTES("SRS")) || local.p[3] != digit ||
        !char_in(local.p[4], BYTES("=+-")))
        return false;
    *rest = bytes_from(local, 4);
    return true;
}

bool srs_is(struct bytes local)
{
    struct bytes rest;

    return is_srs(local, '0', &rest) || is_srs(local, '1', &rest);
}

/* SRS1: *first is the first forwarder's domain, *rest what stood behind its "SRS0". */
static bool cut_srs1(struct bytes rest, struct bytes *mac, struct bytes *first, struct bytes *behind)
{
    struct bytes tail;

    return bytes_cut(bytes_from(rest, 1), '=', mac, &tail) && bytes_cut(tail, '=', first, behind) && mac->n &&
           first->n && behind->n > 1 && char_in(behind->p[0], BYTES("=+-"));
}

static void forward_again(struct bytes first, struct bytes rest, const struct crypt_key *key, struct buf *out)
{
    struct bytes parts[] = { first, rest };

    buf_adds(out, "SRS1=");
    write_mac(key, '1', parts, 2, out);
    buf_addc(out, '=');
    buf_add(out, first);
    buf_addc(out, '=');
    buf_add(out, rest);
}

static void forward_first(const struct address *sender, const struct crypt_key *key, int64_t now, struct buf *out)
{
    unsigned day = day_of(now);
    uint8_t bits[2] = { (uint8_t)(day >> 2), (uint8_t)(day << 6) };
    char days[4];
    struct buf text;
    struct bytes parts[3];

    buf_init(&text, 8);
    base32_write(bits, sizeof bits, &text);
    memcpy(days, text.p, DAYS_TEXT); /* ten bits: the first two characters */
    buf_clear(&text);
    parts[0] = (struct bytes){ days, DAYS_TEXT };
    parts[1] = sender->domain;
    parts[2] = sender->local;
    buf_adds(out, "SRS0=");
    write_mac(key, '0', parts, 3, out);
    buf_addf(out, "=%.*s=%.*s=%.*s", DAYS_TEXT, days, SHOW(sender->domain), SHOW(sender->local));
}

static bool write_address(struct bytes local, struct bytes domain, struct arena *a, struct bytes *email)
{
    struct address out = { .local = local, .domain = domain };

    if (local.n + domain.n + 3 > ADDRESS_MAX || bytes_has_ctl_line(local) || !address_form(&out, a))
        return false;
    *email = out.email;
    return email->n <= ADDRESS_MAX;
}

bool srs_forward(const struct address *sender, const struct crypt_key *key, struct bytes domain, int64_t now,
                 struct arena *a, struct buf *out, struct err *e)
{
    struct bytes rest, mac, first, behind, email = NO_BYTES;
    struct buf local;
    bool ok = false;

    if (sender->email.n == 0)
        return true;
    buf_init(&local, (size_t)2 * ADDRESS_MAX);
    if (is_srs(sender->local, '0', &rest) && rest.n > 1)
        forward_again(sender->domain, rest, key, &local);
    else if (is_srs(sender->local, '1', &rest) && cut_srs1(rest, &mac, &first, &behind))
        forward_again(first, behind, key, &local);
    else
        forward_first(sender, key, now, &local);
    ok = !local.overflowed && write_address(buf_bytes(&local), domain, a, &email);
    if (ok)
        buf_add(out, email);
    buf_clear(&local);
    return ok || err_set(e, ERR_TOO_LARGE, "The sender's address is too long to be forwarded for");
}

static enum srs age_of(struct bytes days, int64_t now)
{
    uint8_t bits[2];
    char text[4];
    unsigned then = 0;

    memcpy(text, days.p, DAYS_TEXT);
    memcpy(text + DAYS_TEXT, "aa", 2);
    if (!base32_read((struct bytes){ text, 4 }, bits, sizeof bits))
        return SRS_OLD;
    then = (unsigned)bits[0] << 2 | bits[1] >> 6;
    return (day_of(now) + DAYS_MODULO - then) % DAYS_MODULO <= SRS_DAYS ? SRS_GOOD : SRS_OLD;
}

static enum srs reverse_first(struct bytes rest, const struct crypt_key *keys, size_t n_keys, int64_t now,
                              struct arena *a, struct bytes *email)
{
    struct bytes mac, parts[3], tail;

    if (!bytes_cut(bytes_from(rest, 1), '=', &mac, &tail) || !bytes_cut(tail, '=', &parts[0], &tail) ||
        !bytes_cut(tail, '=', &parts[1], &parts[2]) || mac.n != MAC_TEXT || parts[0].n != DAYS_TEXT ||
        !parts[1].n) /* the local part may be "" */
        return SRS_NONE;
    if (!mac_is(mac, keys, n_keys, '0', parts, 3) || !write_address(parts[2], parts[1], a, email))
        return SRS_FORGED;
    return age_of(parts[0], now);
}

static enum srs reverse_again(struct bytes rest, const struct crypt_key *keys, size_t n_keys, struct arena *a,
                              struct bytes *email)
{
    struct bytes mac, parts[2], local;

    if (!cut_srs1(rest, &mac, &parts[0], &parts[1]) || mac.n != MAC_TEXT)
        return SRS_NONE;
    if (!mac_is(mac, keys, n_keys, '1', parts, 2))
        return SRS_FORGED;
    local = arena_bytesf(a, "SRS0%.*s", SHOW(parts[1]));
    return write_address(local, parts[0], a, email) ? SRS_GOOD : SRS_FORGED;
}

enum srs srs_reverse(struct bytes local, const struct crypt_key *keys, size_t n_keys, int64_t now, struct arena *a,
                     struct bytes *email)
{
    struct bytes rest, found = NO_BYTES;
    enum srs result = local.n > ADDRESS_MAX       ? SRS_NONE
                      : is_srs(local, '0', &rest) ? reverse_first(rest, keys, n_keys, now, a, &found)
                      : is_srs(local, '1', &rest) ? reverse_again(rest, keys, n_keys, a, &found)
                                                  : SRS_NONE;

    if (result == SRS_GOOD)
        *email = found;
    return result;
}

static bool is_address(struct bytes value, struct bytes address, struct arena *a)
{
    struct address one;
    struct bytes same;
    struct err e = { 0 };

    return address_parse(bytes_trim(value), a, &one, &e) && address_normalize(&one, true, a, &same, &e) &&
           bytes_equal_nocase(same, address);
}

bool srs_loops(struct bytes header, struct bytes address, struct bytes target, struct arena *a)
{
    struct header h;

    if (bytes_equal_nocase(address, target))
        return true;
    while (header_next(&header, &h)) {
        struct arena_mark m = arena_mark(a);
        bool same = bytes_equal_nocase(h.name, BYTES("Delivered-To")) && is_address(h.value, address, a);

        arena_rewind(a, m);
        if (same)
            return true;
    }
    return false;
}

void srs_mark(struct buf *out, struct bytes address)
{
    buf_adds(out, "Delivered-To: ");
    buf_add(out, address);
    buf_adds(out, "\r\n");
}
