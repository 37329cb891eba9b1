/* mail/publish.c - the records of a domain, one after another, and what they prove together.
 *
 * A status says what the DNS said and no more: who does not answer has neither lost nor missed anything. A fix is one
 * sentence to be followed by hand, with name and value in it as they are to be typed. */
#include "mail/publish.h"
#include "mail/dkim_key.h"
#include "mail/publish_private.h"

static const char *const purposes[] = { "ownership", "dkim", "spf", "return_path", "dmarc", "mx" };
static const char *const statuses[] = { "ok", "wrong", "missing", "pending", "temporary_error" };

const char *publish_purpose_name(enum publish_purpose purpose)
{
    return purposes[purpose];
}

const char *publish_status_name(enum publish_status status)
{
    return statuses[status];
}

bool publish_for_receiving(enum publish_purpose purpose)
{
    return purpose == PUBLISH_MX;
}

struct publish_record *publish_add(struct publish *p, enum publish_purpose purpose, const char *type, struct bytes name,
                                   struct bytes value)
{
    static struct publish_record spare; /* never reached: see PUBLISH_RECORDS_MAX */
    struct publish_record *r = p->out->n < PUBLISH_RECORDS_MAX ? &p->out->records[p->out->n++] : &spare;

    *r = (struct publish_record){ .purpose = purpose, .type = type, .name = name, .value = value };
    r->status = PUBLISH_PENDING;
    return r;
}

void publish_found(struct publish *p, struct publish_record *r, struct bytes value)
{
    if (r->n_found < PUBLISH_FOUND_MAX)
        r->found[r->n_found++] = arena_copy(p->a, bytes_head(value, PUBLISH_VALUE_MAX));
}

bool publish_answered(struct publish *p, struct publish_record *r, const struct lookup *answer)
{
    if (answer->result == LOOKUP_PENDING) {
        r->status = PUBLISH_PENDING;
        r->fix = NO_BYTES;
        return false;
    }
    if (answer->result != LOOKUP_FAILED)
        return true;
    r->status = PUBLISH_TEMPORARY;
    r->fix = arena_bytesf(
        p->a, "The DNS does not answer for %.*s (%.*s): look at the servers of the domain, then check again",
        SHOW(answer->name), SHOW(answer->why));
    return false;
}

static struct bytes to_publish(struct publish *p, const struct publish_record *r)
{
    if (r->has_priority)
        return arena_bytesf(p->a, "a %s record at %.*s with priority %u and the value: %.*s", r->type, SHOW(r->name),
                            r->priority, SHOW(r->value));
    return arena_bytesf(p->a, "a %s record at %.*s with the value: %.*s", r->type, SHOW(r->name), SHOW(r->value));
}

static enum lookup_type type_of(const struct publish_record *r)
{
    return r->type[0] == 'T' ? LOOKUP_TXT : r->type[0] == 'M' ? LOOKUP_MX : LOOKUP_CNAME;
}

/* "_dmarc" of "_dmarc.example.org": what is typed where a provider adds the domain. */
static struct bytes label_of(struct publish *p, struct bytes name)
{
    return bytes_head(name, name.n - p->d->name.n - 1);
}

void publish_missing(struct publish *p, struct publish_record *r)
{
    r->status = PUBLISH_MISSING;
    r->fix = arena_bytesf(p->a, "Add %.*s", SHOW(to_publish(p, r)));
    if (r->name.n > p->d->name.n + 1) {
        struct bytes doubled = arena_bytesf(p->a, "%.*s.%.*s", SHOW(r->name), SHOW(p->d->name));
        const struct lookup *there = lookups_find(p->l, doubled, type_of(r));

        if (there->result == LOOKUP_FOUND && !there->target.p)
            r->fix = arena_bytesf(p->a,
                                  "The record stands at %.*s, since your provider adds the domain by itself: enter "
                                  "only \"%.*s\" as its name. %.*s",
                                  SHOW(doubled), SHOW(label_of(p, r->name)), SHOW(r->fix));
    }
}

void publish_wrong(struct publish *p, struct publish_record *r, struct bytes why)
{
    r->status = PUBLISH_WRONG;
    r->fix = arena_bytesf(p->a, "%.*s. Publish %.*s", SHOW(why), SHOW(to_publish(p, r)));
}

/* ---- ourselves ---- */

static void add_address(struct publish *p, struct bytes text)
{
    if (p->us.n < SPF_ADDRESSES_MAX && network_parse_address(bytes_trim(text), &p->addresses[p->us.n]))
        p->us.n++;
}

static void add_our(struct publish *p, enum lookup_type type)
{
    const struct lookup *answer = lookups_find(p->l, p->d->host, type);

    p->us_pending = p->us_pending || answer->result == LOOKUP_PENDING;
    if (answer->result == LOOKUP_FAILED)
        p->us_unknown = answer->why;
    for (size_t i = 0; i < answer->n; i++)
        add_address(p, answer->values[i]);
}

static void find_us(struct publish *p)
{
    struct bytes one, rest = p->d->addresses;

    p->us.addresses = p->addresses;
    if (!p->d->host.n)
        return;
    p->us.term = arena_bytesf(p->a, "a:%.*s", SHOW(p->d->host));
    add_our(p, LOOKUP_A);
    add_our(p, LOOKUP_AAAA);
    while (rest.n) {
        bytes_cut(rest, ',', &one, &rest);
        add_address(p, one);
    }
}

static bool is_our_address(const struct publish *p, struct bytes text)
{
    struct network one;

    if (!network_parse_address(text, &one))
        return false;
    for (size_t i = 0; i < p->us.n; i++)
        if (network_holds(&p->us.addresses[i], &one))
            return true;
    return false;
}

bool publish_is_us(struct publish *p, struct bytes host, bool *pending)
{
    if (bytes_equal_nocase(host, p->d->host))
        return true;
    for (enum lookup_type type = LOOKUP_A; type <= LOOKUP_AAAA; type++) {
        const struct lookup *answer = lookups_find(p->l, host, type);

        *pending = *pending || answer->result == LOOKUP_PENDING;
        for (size_t i = 0; i < answer->n; i++)
            if (is_our_address(p, answer->values[i]))
                return true;
    }
    return false;
}

/* ---- ownership, DKIM ---- */

static bool is_quoted(struct bytes text)
{
    return text.n > 1 && text.p[0] == '"' && text.p[text.n - 1] == '"';
}

/* TXT records that are there, and are not the one that should be. */
static void say_other(struct publish *p, struct publish_record *r, const struct lookup *answer)
{
    if (answer->target.p)
        publish_wrong(
            p, r,
            arena_bytesf(p->a,
                         "%.*s is a CNAME of %.*s, beside which no other record counts: remove it, or publish "
                         "the value there",
                         SHOW(r->name), SHOW(answer->target)));
    else if (is_quoted(answer->values[0]))
        publish_wrong(p, r, BYTES("The value that was found has quotation marks in it: enter it without them"));
    else
        publish_wrong(p, r, BYTES("Another value was found"));
}

static void ownership(struct publish *p)
{
    struct bytes name = arena_bytesf(p->a, "_postrider.%.*s", SHOW(p->d->name));
    struct publish_record *r = publish_add(p, PUBLISH_OWNERSHIP, "TXT", name, p->d->token);
    const struct lookup *answer = lookups_find(p->l, name, LOOKUP_TXT);

    if (!publish_answered(p, r, answer))
        return;
    for (size_t i = 0; i < answer->n; i++) {
        publish_found(p, r, answer->values[i]);
        if (bytes_equal(bytes_trim(answer->values[i]), p->d->token))
            r->status = PUBLISH_OK;
    }
    if (r->status == PUBLISH_OK)
        return;
    if (!answer->n)
        publish_missing(p, r);
    else
        say_other(p, r, answer);
}

/* A key that is used no more: its record goes, or says so. */
static void revoked(struct publish *p, struct publish_record *r, const struct lookup *answer)
{
    r->status = PUBLISH_OK;
    for (size_t i = 0; i < answer->n; i++)
        if (dkim_record_compare(r->value, answer->values[i]) != DKIM_RECORD_REVOKED)
            r->status = PUBLISH_WRONG;
    if (r->status == PUBLISH_WRONG)
        publish_wrong(p, r, BYTES("This key is no longer used, and its record still lets it sign"));
}

static void one_key(struct publish *p, size_t at)
{
    const struct publish_dkim *key = &p->d->dkim[at];
    struct publish_record *r = publish_add(p, PUBLISH_DKIM, "TXT", key->name, key->record);
    const struct lookup *answer = lookups_find(p->l, key->name, LOOKUP_TXT);
    size_t same = 0;

    r->dkim = at;
    if (!publish_answered(p, r, answer))
        return;
    for (size_t i = 0; i < answer->n; i++) {
        publish_found(p, r, answer->values[i]);
        same += dkim_record_compare(key->record, answer->values[i]) == DKIM_RECORD_SAME;
    }
    if (key->state == PUBLISH_KEY_REVOKED) {
        revoked(p, r, answer);
    } else if (same == answer->n && same) {
        r->status = PUBLISH_OK;
    } else if (same) {
        publish_wrong(p, r,
                      BYTES("There are other records beside it, and a verifier may take any (RFC 6376 3.6.2.2): remove "
                            "them"));
    } else if (!answer->n) {
        publish_missing(p, r);
    } else {
        say_other(p, r, answer);
    }
}

/* ---- all of it ---- */

static void spf(struct publish *p)
{
    publish_spf(p, publish_add(p, PUBLISH_SPF, "TXT", p->d->name, NO_BYTES), p->d->name);
}

/* PROVED by any that is right, UNPROVED while one may be. */
static enum publish_proof better(enum publish_proof a, enum publish_status one)
{
    if (a == PUBLISH_PROVED || one == PUBLISH_OK)
        return PUBLISH_PROVED;
    return one == PUBLISH_TEMPORARY || one == PUBLISH_PENDING ? PUBLISH_UNPROVED : a;
}

static void prove(struct publish *p)
{
    enum publish_proof ours = PUBLISH_DISPROVED, may_send = PUBLISH_DISPROVED;

    for (size_t i = 0; i < p->out->n; i++) {
        const struct publish_record *r = &p->out->records[i];

        if (r->purpose == PUBLISH_OWNERSHIP ||
            (r->purpose == PUBLISH_DKIM && p->d->dkim[r->dkim].state == PUBLISH_KEY_ACTIVE))
            ours = better(ours, r->status);
        if (r->purpose == PUBLISH_SPF)
            may_send = better(may_send, r->status);
    }
    if (p->out->return_path)
        may_send = PUBLISH_PROVED;
    for (size_t i = 0; i < p->out->n; i++)
        if (p->out->records[i].purpose == PUBLISH_RETURN_PATH && p->out->records[i].status >= PUBLISH_PENDING)
            may_send = may_send == PUBLISH_PROVED ? may_send : PUBLISH_UNPROVED;
    p->out->proof = ours == PUBLISH_DISPROVED || may_send == PUBLISH_DISPROVED ? PUBLISH_DISPROVED
                    : ours == PUBLISH_PROVED                                   ? may_send
                                                                               : ours;
}

void publish_judge(const struct publish_domain *d, struct lookups *l, struct arena *a, struct publish_out *out)
{
    struct publish p = { .d = d, .l = l, .a = a, .out = out };

    out->n = 0;
    out->return_path = false;
    find_us(&p);
    ownership(&p);
    for (size_t i = 0; i < d->n_dkim && i < PUBLISH_DKIM_MAX; i++)
        one_key(&p, i);
    spf(&p);
    publish_return_path(&p);
    publish_dmarc(&p);
    if (d->inbound)
        publish_mx(&p);
    prove(&p);
}
