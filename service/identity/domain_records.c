/* service/identity/domain_records.c - what was heard of a domain, judged again whenever it is shown.
 *
 * Nothing of the judgement is kept: what the DNS said is (domain.seen), so a record whose value has changed since, by a
 * new key or another server.hostname, shows as pending and not by an old status. */
#include "service/identity/domain_records.h"
#include "mail/address.h"
#include "service/core/state.h"
#include "service/identity/dkim.h"

#define RECORDS_TEXT_MAX ((size_t)256 * 1024)
#define JUDGE_ARENA      ((size_t)4 * 1024 * 1024)

bool domain_is_trusted(const struct domain_row *row)
{
    return row->verified_at && (!row->lost_at || clock_wall() < row->lost_at + PARAM_INT(domain, grace));
}

/* ---- judging ---- */

static const enum publish_key states[] = { [DKIM_NEXT] = PUBLISH_KEY_NEXT,
                                           [DKIM_ACTIVE] = PUBLISH_KEY_ACTIVE,
                                           [DKIM_RETIRING] = PUBLISH_KEY_RETIRING,
                                           [DKIM_REVOKED] = PUBLISH_KEY_REVOKED };

static enum publish_key state_of(const struct dkim_row *row)
{
    for (enum dkim_status s = DKIM_NEXT; s < DKIM_REVOKED; s++)
        if (dkim_is(row, s))
            return states[s];
    return PUBLISH_KEY_REVOKED;
}

/* Our own name, where others can look it up. */
static struct bytes host_name(struct arena *a)
{
    struct bytes name;
    struct err ignored = { 0 };

    return service_has_full_name(&ignored) && domain_normalize(PARAM_TEXT(server, hostname), a, &name, &ignored)
               ? name
               : NO_BYTES;
}

static void describe(struct arena *a, const struct domain_view *v, struct publish_domain *d)
{
    struct publish_dkim *keys = arena_array(a, v->n_dkim ? v->n_dkim : 1, sizeof *keys);

    for (size_t i = 0; i < v->n_dkim; i++)
        keys[i] = (struct publish_dkim){ .name = dkim_record_name(a, &v->dkim[i], v->row.name),
                                         .record = dkim_record_text(a, &v->dkim[i]),
                                         .state = state_of(&v->dkim[i]) };
    *d = (struct publish_domain){ .name = v->row.name,
                                  .token = arena_bytesf(a, "postrider-verification=%.*s",
                                                        SHOW(id_text(a, domain_kind.prefix, v->row.id))),
                                  .host = host_name(a),
                                  .addresses = PARAM_TEXT(delivery, own_addresses),
                                  .inbound = bytes_equal(v->row.inbound, BYTES("mailboxes")),
                                  .dkim = keys,
                                  .n_dkim = v->n_dkim };
}

static void write_record(struct jw *w, const struct publish_record *r)
{
    jw_object(w);
    jw_key_text(w, "purpose", bytes_of(publish_purpose_name(r->purpose)));
    jw_key_text(w, "type", bytes_of(r->type));
    jw_key_text(w, "name", r->name);
    jw_key_text(w, "value", r->value);
    if (r->has_priority)
        jw_key_int(w, "priority", r->priority);
    else
        jw_key_text(w, "priority", NO_BYTES);
    jw_key_text(w, "required_for", publish_for_receiving(r->purpose) ? BYTES("receiving") : BYTES("sending"));
    jw_key_text(w, "status", bytes_of(publish_status_name(r->status)));
    jw_key(w, "found");
    jw_array(w);
    for (size_t i = 0; i < r->n_found; i++)
        jw_text(w, r->found[i]);
    jw_array_end(w);
    jw_key_text(w, "fix", r->fix);
    jw_object_end(w);
}

static struct bytes write_records(struct arena *a, const struct publish_out *out)
{
    struct bytes json;
    struct buf text;
    struct jw w;

    buf_init(&text, RECORDS_TEXT_MAX);
    jw_init(&w, &text);
    jw_array(&w);
    for (size_t i = 0; i < out->n; i++)
        write_record(&w, &out->records[i]);
    jw_array_end(&w);
    json = arena_copy(a, buf_bytes(&text));
    buf_clear(&text);
    return json;
}

void domain_judge(struct arena *a, const struct domain_view *v, struct lookups *book, struct publish_out *out)
{
    struct publish_domain d;

    describe(a, v, &d);
    publish_judge(&d, book, a, out);
}

static bool judge_seen(struct arena *a, const struct domain_view *v, struct publish_out *out, struct err *e)
{
    struct lookups book;

    lookups_init(&book, a);
    if (!lookups_read(&book, v->row.seen, e))
        return false;
    domain_judge(a, v, &book, out);
    return true;
}

/* A page may show a hundred domains: of each the text alone stays. */
bool domain_records(struct call *c, struct domain_view *v)
{
    struct arena *a = arena_new(JUDGE_ARENA);
    struct publish_out *out = arena_alloc(a, sizeof *out);
    bool ok = judge_seen(a, v, out, &c->err);

    if (ok)
        v->records = arena_copy(c->arena, write_records(a, out));
    arena_free(&a);
    v->verified_at = v->row.lost_at ? 0 : v->row.verified_at;
    v->sends_until = v->row.lost_at ? v->row.lost_at + PARAM_INT(domain, grace) : 0;
    return ok;
}

/* ---- who may not send ---- */

/* The first that is to be published: whose it is comes before who may send. */
static const struct publish_record *first_missing(const struct publish_out *out)
{
    bool ours = false;

    for (size_t i = 0; i < out->n; i++)
        ours = ours || (out->records[i].purpose <= PUBLISH_DKIM && out->records[i].status == PUBLISH_OK);
    for (size_t i = 0; i < out->n; i++)
        if (out->records[i].status != PUBLISH_OK && !(ours && out->records[i].purpose <= PUBLISH_DKIM))
            return &out->records[i];
    return &out->records[0];
}

bool domain_unverified(struct call *c, struct bytes name)
{
    struct publish_out *out = arena_alloc(c->arena, sizeof *out);
    struct domain_view v = { 0 };
    const struct publish_record *first;

    if (!domain_of_account(c, name, &v.row) || !dkim_list(c, &v.row.id, 1, &v.dkim, &v.n_dkim) ||
        !judge_seen(c->arena, &v, out, &c->err))
        return false;
    first = first_missing(out);
    return err_set(&c->err, ERR_UNVERIFIED,
                   "%.*s is not verified, so its mail cannot leave: publish the %s record of %.*s "
                   "(postrider domain records %.*s), then: postrider domain check %.*s",
                   SHOW(v.row.name), first->type, SHOW(first->name), SHOW(v.row.name), SHOW(v.row.name));
}
