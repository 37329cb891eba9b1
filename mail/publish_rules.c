/* mail/publish_rules.c - SPF, the return path, DMARC and MX: records that name our host, or that others share.
 *
 * Without a full name of our own (server.hostname) none of them can be told; then they say so and count as pending.
 * A return path is judged by what comes of it, whichever records lead there: reports reach us, and SPF lets us send. */
#include "mail/publish_private.h"

#define NAME_FIRST                                                                                                     \
    "This server has no full name yet: set server.hostname (postrider config set server.hostname mail.example.org), "  \
    "then this record is known"

/* False: our own name is not there or not known, and r says so. */
static bool has_name(struct publish *p, struct publish_record *r)
{
    r->status = PUBLISH_PENDING;
    if (!p->d->host.n) {
        r->fix = BYTES(NAME_FIRST);
        return false;
    }
    if (p->us_unknown.p && !p->us_pending && !p->us.n) {
        r->status = PUBLISH_TEMPORARY;
        r->fix = arena_bytesf(p->a, "The DNS does not answer for our own name %.*s (%.*s): check again later",
                              SHOW(p->d->host), SHOW(p->us_unknown));
        return false;
    }
    return !p->us_pending;
}

/* ---- SPF ---- */

static void change_spf(struct publish *p, struct publish_record *r, const struct spf_view *view, struct bytes why)
{
    r->status = PUBLISH_WRONG;
    r->fix = arena_bytesf(p->a, "%.*s. %s at %.*s %s: %.*s", SHOW(why),
                          view->n > 1 ? "Replace the SPF records" : "Change the TXT record", SHOW(r->name),
                          view->n > 1 ? "by this one" : "to", SHOW(r->value));
}

static void broken_spf(struct publish *p, struct publish_record *r, const struct spf_view *view)
{
    if (view->n > 1 || !bytes_equal(r->value, view->records[0]))
        change_spf(p, r, view, arena_bytesf(p->a, "Receivers take this SPF for broken: %.*s", SHOW(view->why)));
    else
        r->fix = arena_bytesf(p->a,
                              "Receivers take this SPF for broken: %.*s. Remove what you do not use from the TXT "
                              "record at %.*s",
                              SHOW(view->why), SHOW(r->name));
    if (view->lookups > SPF_LOOKUPS_MAX)
        r->fix = arena_bytesf(p->a,
                              "Receivers take this SPF for broken: %.*s. In the TXT record at %.*s remove the "
                              "includes of services you do not use, or write their addresses as ip4: and ip6:; ours "
                              "fits in as: %.*s",
                              SHOW(view->why), SHOW(r->name), SHOW(r->value));
    r->status = PUBLISH_WRONG;
}

void publish_spf(struct publish *p, struct publish_record *r, struct bytes name)
{
    struct spf_view view;

    if (!has_name(p, r)) {
        view = (struct spf_view){ 0 };
        r->value = p->d->host.n ? spf_merge(p->a, &view, &p->us) : NO_BYTES;
        if (p->d->host.n)
            lookups_find(p->l, name, LOOKUP_TXT); /* in the same round */
        return;
    }
    spf_judge(p->l, name, &p->us, &view);
    for (size_t i = 0; i < view.n; i++)
        publish_found(p, r, view.records[i]);
    r->value = view.result == SPF_FINE ? arena_copy(p->a, view.records[0]) : spf_merge(p->a, &view, &p->us);
    switch (view.result) {
    case SPF_PENDING: break;
    case SPF_UNKNOWN:
        r->status = PUBLISH_TEMPORARY;
        r->fix = arena_bytesf(p->a, "The DNS does not answer (%.*s): check again later", SHOW(view.why));
        break;
    case SPF_NO_RECORD: publish_missing(p, r); break;
    case SPF_BROKEN: broken_spf(p, r, &view); break;
    case SPF_STRANGER:
        change_spf(p, r, &view,
                   view.why.p ? arena_bytesf(p->a, "The SPF record does not let us send from %.*s", SHOW(view.why))
                              : BYTES("The SPF record does not let us send"));
        break;
    case SPF_FINE: r->status = PUBLISH_OK; break;
    }
}

/* ---- MX ---- */

enum leads { LEADS_NOWHERE, LEADS_TO_US, LEADS_TO_US_LATER, LEADS_ELSEWHERE, LEADS_PENDING };

/* Where mail for a name goes: its best MX, or its own address (RFC 5321 5.1). */
static enum leads leads(struct publish *p, struct bytes name, const struct lookup *mx)
{
    unsigned best = UINT16_MAX + 1, ours = UINT16_MAX + 1;
    bool pending = false;

    if (mx->result == LOOKUP_NONE) {
        bool us = publish_is_us(p, name, &pending);

        return us ? LEADS_TO_US : pending ? LEADS_PENDING : LEADS_NOWHERE;
    }
    for (size_t i = 0; i < mx->n; i++) {
        struct bytes host;
        unsigned preference;

        if (!lookup_mx(mx->values[i], &preference, &host))
            continue;
        best = preference < best ? preference : best;
        if (host.n && publish_is_us(p, host, &pending) && preference < ours)
            ours = preference;
    }
    if (ours <= UINT16_MAX)
        return ours == best ? LEADS_TO_US : LEADS_TO_US_LATER;
    return pending ? LEADS_PENDING : LEADS_ELSEWHERE;
}

static struct publish_record *add_mx(struct publish *p, enum publish_purpose purpose, struct bytes name)
{
    struct publish_record *r = publish_add(p, purpose, "MX", name, p->d->host);

    r->has_priority = true;
    r->priority = 10;
    return r;
}

static void judge_mx(struct publish *p, struct publish_record *r, const struct lookup *mx)
{
    enum leads to;

    if (!publish_answered(p, r, mx) || !has_name(p, r))
        return;
    for (size_t i = 0; i < mx->n; i++)
        publish_found(p, r, mx->values[i]);
    if (mx->result == LOOKUP_NONE) {
        publish_missing(p, r);
        return;
    }
    to = leads(p, r->name, mx);
    if (to == LEADS_TO_US)
        r->status = PUBLISH_OK;
    else if (to == LEADS_TO_US_LATER)
        publish_wrong(p, r, BYTES("Mail goes to another server first: a lower number comes before ours"));
    else if (to == LEADS_ELSEWHERE)
        publish_wrong(p, r, BYTES("Mail goes to another server"));
}

void publish_mx(struct publish *p)
{
    const struct lookup *mx = lookups_find(p->l, p->d->name, LOOKUP_MX);

    judge_mx(p, add_mx(p, PUBLISH_MX, p->d->name), mx);
}

/* ---- the return path ---- */

/* By records of its own. */
static void own_return_path(struct publish *p, struct bytes name, const struct lookup *mx)
{
    struct publish_record *to = add_mx(p, PUBLISH_RETURN_PATH, name), *from;

    judge_mx(p, to, mx);
    from = publish_add(p, PUBLISH_RETURN_PATH, "TXT", name, NO_BYTES);
    publish_spf(p, from, name);
    p->out->return_path = to->status == PUBLISH_OK && from->status == PUBLISH_OK;
}

/* The CNAME is there: is there at its end what it needs? */
static void judge_end(struct publish *p, struct publish_record *r, struct bytes name, const struct lookup *mx)
{
    struct publish_record spf = { .type = "TXT", .name = name };
    enum leads to = leads(p, name, mx);
    bool ours = bytes_equal_nocase(r->found[0], p->d->host);

    publish_spf(p, &spf, name);
    if (to == LEADS_PENDING || spf.status == PUBLISH_PENDING)
        return;
    if (mx->result == LOOKUP_FAILED || spf.status == PUBLISH_TEMPORARY) {
        r->status = PUBLISH_TEMPORARY;
        r->fix = spf.fix.p ? spf.fix : BYTES("The DNS does not answer: check again later");
    } else if (to == LEADS_TO_US && spf.status == PUBLISH_OK) {
        r->status = PUBLISH_OK;
        p->out->return_path = true;
    } else if (!ours) {
        publish_wrong(p, r, arena_bytesf(p->a, "It leads to %.*s", SHOW(r->found[0])));
    } else if (to != LEADS_TO_US) {
        r->status = PUBLISH_WRONG;
        r->fix =
            arena_bytesf(p->a,
                         "The CNAME is right, but mail for %.*s does not come to this server: its operator publishes "
                         "its address, or an MX record that leads here",
                         SHOW(p->d->host));
    } else {
        r->status = PUBLISH_WRONG;
        r->fix = arena_bytesf(p->a,
                              "The CNAME is right, but %.*s does not let its own server send: its operator publishes a "
                              "TXT record at %.*s with the value: v=spf1 a -all",
                              SHOW(p->d->host), SHOW(p->d->host));
    }
}

void publish_return_path(struct publish *p)
{
    struct bytes name = arena_bytesf(p->a, PUBLISH_RETURN_LABEL ".%.*s", SHOW(p->d->name));
    const struct lookup *cname = lookups_find(p->l, name, LOOKUP_CNAME), *mx = lookups_find(p->l, name, LOOKUP_MX);
    struct publish_record *r;

    if (cname->result == LOOKUP_NONE && mx->result == LOOKUP_FOUND) {
        own_return_path(p, name, mx);
        return;
    }
    r = publish_add(p, PUBLISH_RETURN_PATH, "CNAME", name, p->d->host);
    if (!publish_answered(p, r, cname) || !publish_answered(p, r, mx) || !has_name(p, r))
        return;
    for (size_t i = 0; i < cname->n; i++)
        publish_found(p, r, cname->values[i]);
    if (cname->n)
        judge_end(p, r, name, mx);
    else
        publish_missing(p, r);
}

/* ---- DMARC ---- */

static bool is_dmarc(struct bytes text)
{
    struct bytes first, rest, key, value;

    bytes_cut(text, ';', &first, &rest);
    return bytes_cut(first, '=', &key, &value) && bytes_equal(bytes_trim(key), BYTES("v")) &&
           bytes_equal_nocase(bytes_trim(value), BYTES("DMARC1"));
}

/* RFC 9989 4.7: the version as it is written there, and a policy that it knows. */
static bool is_good_dmarc(struct bytes text)
{
    struct bytes one, rest = text, key, value;
    bool policy = false, version = false;

    while (rest.n) {
        bytes_cut(rest, ';', &one, &rest);
        if (!bytes_cut(one, '=', &key, &value))
            continue;
        key = bytes_trim(key);
        value = bytes_trim(value);
        version = version || (bytes_equal(key, BYTES("v")) && bytes_equal(value, BYTES("DMARC1")));
        if (bytes_equal_nocase(key, BYTES("p")))
            policy = bytes_equal_nocase(value, BYTES("none")) || bytes_equal_nocase(value, BYTES("quarantine")) ||
                     bytes_equal_nocase(value, BYTES("reject"));
    }
    return version && policy;
}

static size_t dmarc_of(const struct lookup *answer, struct bytes *first)
{
    size_t n = 0;

    for (size_t i = 0; i < answer->n; i++)
        if (is_dmarc(answer->values[i]) && n++ == 0)
            *first = answer->values[i];
    return n;
}

/* A policy that a domain above has published holds for this one, too. */
static bool inherited(struct publish *p, struct publish_record *r)
{
    struct bytes parent = p->d->name, label, policy = NO_BYTES;

    for (int i = 0; i < 8 && bytes_cut(parent, '.', &label, &parent) && bytes_find(parent, '.') < parent.n; i++) {
        struct bytes name = arena_bytesf(p->a, "_dmarc.%.*s", SHOW(parent));
        const struct lookup *answer = lookups_find(p->l, name, LOOKUP_TXT);

        if (!publish_answered(p, r, answer))
            return true;
        if (dmarc_of(answer, &policy) == 1 && is_good_dmarc(policy)) {
            publish_found(p, r, arena_bytesf(p->a, "%.*s (of %.*s)", SHOW(policy), SHOW(name)));
            r->status = PUBLISH_OK;
            return true;
        }
    }
    return false;
}

void publish_dmarc(struct publish *p)
{
    struct bytes name = arena_bytesf(p->a, "_dmarc.%.*s", SHOW(p->d->name)), first = NO_BYTES;
    struct publish_record *r = publish_add(p, PUBLISH_DMARC, "TXT", name, BYTES("v=DMARC1; p=none"));
    const struct lookup *answer = lookups_find(p->l, name, LOOKUP_TXT);
    size_t n;

    if (!publish_answered(p, r, answer))
        return;
    for (size_t i = 0; i < answer->n; i++)
        publish_found(p, r, answer->values[i]);
    n = dmarc_of(answer, &first);
    if (n == 1 && is_good_dmarc(first)) {
        r->status = PUBLISH_OK;
        r->value = arena_copy(p->a, first);
    } else if (n > 1) {
        r->status = PUBLISH_WRONG;
        r->fix =
            arena_bytesf(p->a,
                         "There are %zu DMARC records at %.*s, and with more than one none counts (RFC 9989): keep "
                         "one of them",
                         n, SHOW(name));
    } else if (n == 1) {
        publish_wrong(p, r, BYTES("The record needs v=DMARC1 and a policy p= of none, quarantine or reject"));
    } else if (!inherited(p, r)) {
        publish_missing(p, r);
    }
}
