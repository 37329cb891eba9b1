/* mail/spf_merge.c - one SPF record out of those that are there and ours.
 *
 * Nothing of others is lost: their terms stay in order, and once each. Ours stands before whatever ends the record.
 * Of several endings the one that refuses least is kept; a redirect, which must be the last word of one record, becomes
 * an include where two are put together. */
#include "mail/spf.h"

enum { RECORD_MAX = 4096 };

struct merge {
    struct buf terms;
    struct bytes redirect, drop;
    char all; /* its qualifier; 0: none */
    bool several;
};

static bool has(struct bytes text, struct bytes word)
{
    struct bytes one;

    while (text.n) {
        bytes_cut(text, ' ', &one, &text);
        if (bytes_equal_nocase(one, word))
            return true;
    }
    return false;
}

static void add(struct merge *m, struct bytes word)
{
    if (has(buf_bytes(&m->terms), word))
        return;
    buf_addc(&m->terms, ' ');
    buf_add(&m->terms, word);
}

/* '-' refuses most, then '~', '?' and '+'. */
static char softer(char a, char b)
{
    const char order[] = "-~?+";

    return bytes_find(bytes_of(order), a) > bytes_find(bytes_of(order), b) ? a : b;
}

static void take(struct merge *m, struct bytes record, struct bytes *ending)
{
    struct bytes word, rest = bytes_from(record, 6);
    bool ended = false;

    while (rest.n) {
        char q = '+';
        struct bytes bare;

        bytes_cut(rest, ' ', &word, &rest);
        if (!word.n)
            continue;
        bare = word;
        if (word.p[0] == '-' || word.p[0] == '~' || word.p[0] == '?' || word.p[0] == '+') {
            q = word.p[0];
            bare = bytes_from(word, 1);
        }
        if (bytes_equal_nocase(bare, BYTES("all"))) {
            m->all = m->all ? softer(m->all, q) : q;
            ended = true;
        } else if (bytes_starts_nocase(word, BYTES("redirect="))) {
            *ending = bytes_from(word, 9);
        } else if (!ended && !(m->drop.p && bytes_starts_nocase(bare, BYTES("include:")) &&
                               bytes_equal_nocase(bytes_from(bare, 8), m->drop))) {
            add(m, word);
        }
    }
    if (ended)
        *ending = NO_BYTES; /* RFC 7208 6.1: all makes redirect void */
}

static void add_us(struct merge *m, const struct spf_view *view, const struct spf_sender *who)
{
    char text[NETWORK_TEXT], term[NETWORK_TEXT + 8];

    if (view->lookups < SPF_LOOKUPS_MAX || !who->n || has(buf_bytes(&m->terms), who->term)) {
        add(m, who->term);
        return;
    }
    for (size_t i = 0; i < who->n; i++) {
        snprintf(term, sizeof term, "%s:%.*s", network_is_ipv4(&who->addresses[i]) ? "ip4" : "ip6",
                 SHOW(network_show(&who->addresses[i], text)));
        add(m, bytes_of(term));
    }
}

struct bytes spf_merge(struct arena *a, const struct spf_view *view, const struct spf_sender *who)
{
    struct merge m = { .several = view->n > 1, .drop = view->drop };
    struct bytes out;

    buf_init(&m.terms, RECORD_MAX);
    for (size_t i = 0; i < view->n; i++) {
        struct bytes redirect = NO_BYTES;

        take(&m, view->records[i], &redirect);
        if (redirect.n && m.several)
            add(&m, arena_bytesf(a, "include:%.*s", SHOW(redirect)));
        else
            m.redirect = redirect;
    }
    add_us(&m, view, who);
    if (!view->n)
        m.all = '~';
    out = arena_bytesf(a, "v=spf1%.*s", SHOW(buf_bytes(&m.terms)));
    if (m.redirect.n)
        out = arena_bytesf(a, "%.*s redirect=%.*s", SHOW(out), SHOW(m.redirect));
    else if (m.all)
        out = arena_bytesf(a, "%.*s %.*sall", SHOW(out), m.all != '+', &m.all);
    buf_clear(&m.terms);
    return out;
}
