/* service/queue/action_filter.c - which deliveries an action means, and along which index they are found.
 *
 * The way is chosen so that acting moves no row to a place that is still to be met: what is held or ended leaves the
 * index or the status that is walked, and what is tried at once moves towards its beginning. */
#include "service/queue/action_private.h"

unsigned action_statuses(enum act act)
{
    switch (act) {
    case ACT_RELEASE: return FIT_HELD;
    case ACT_BOUNCE: return FIT_QUEUED | FIT_DEFERRED | FIT_HELD;
    default: return FIT_QUEUED | FIT_DEFERRED;
    }
}

static const struct {
    unsigned bit;
    const char *name;
} statuses[] = { { FIT_QUEUED, "queued" }, { FIT_DEFERRED, "deferred" }, { FIT_HELD, "held" } };
#define STATUSES (sizeof statuses / sizeof *statuses)

static unsigned status_bit(struct bytes name)
{
    for (size_t i = 0; i < STATUSES; i++)
        if (bytes_equal(name, bytes_of(statuses[i].name)))
            return statuses[i].bit;
    return 0;
}

static const struct id *read_ids(struct json_object *list, const char *prefix, struct arena *a, size_t *n)
{
    size_t all;
    struct bytes *texts = json_texts(a, list, &all);
    struct id *ids = arena_array(a, all ? all : 1, sizeof *ids);

    *n = 0;
    for (size_t i = 0; i < all; i++)
        *n += id_parse(prefix, texts[i], &ids[*n]);
    return ids;
}

static struct bytes kept(struct arena *a, struct json_object *o, const char *name)
{
    struct bytes text = json_text(o, name);

    return text.p ? arena_copy(a, text) : NO_BYTES;
}

static void read_members(struct json_object *o, const struct action_row *row, struct arena *a,
                         struct action_filter *out)
{
    int64_t older = json_object_get_int64(json_member(o, "older"));
    unsigned bit = status_bit(json_text(o, "status"));

    out->domain = kept(a, o, "domain");
    out->email = kept(a, o, "email");
    out->tag = kept(a, o, "tag");
    (void)id_parse("acc", json_text(o, "account_id"), &out->account);
    (void)id_parse("msg", json_text(o, "message_id"), &out->message);
    (void)id_parse("sus", json_text(o, "suspension_id"), &out->suspension);
    out->before = older ? row->created_at - older * 1000 : 0;
    out->statuses &= bit ? bit : ~0u;
    if (json_member(o, "ids"))
        out->ids = read_ids(json_member(o, "ids"), "dlv", a, &out->n_ids);
}

bool action_filter_read(const struct action_row *row, struct arena *a, struct action_filter *out)
{
    struct json_object *o = NULL, *domains = NULL;
    struct err ignored = { 0 };
    enum act act;

    *out = (struct action_filter){ .test = row->test };
    if (!act_read(row->act, &act) || !row->filter.p || !json_read(row->filter, &o, &ignored))
        return false;
    out->statuses = action_statuses(act);
    read_members(o, row, a, out);
    json_object_put(o);
    if (!row->everywhere)
        out->account = row->account_id;
    if (row->domain_ids.p && json_read(row->domain_ids, &domains, &ignored))
        out->domains = read_ids(domains, "dom", a, &out->n_domains);
    json_object_put(domains);
    return true;
}

static bool reaches(const struct action_filter *f, struct id domain)
{
    for (size_t i = 0; i < f->n_domains; i++)
        if (id_equal(f->domains[i], domain))
            return true;
    return f->n_domains == 0;
}

bool action_fits(const struct action_filter *f, const struct delivery_row *d)
{
    return (id_is_none(f->account) || id_equal(f->account, d->account_id)) &&
           (id_is_none(f->message) || id_equal(f->message, d->message_id)) &&
           (id_is_none(f->suspension) || id_equal(f->suspension, d->held_by)) &&
           (!f->domain.p || bytes_equal(f->domain, d->site)) && (!f->email.p || bytes_equal(f->email, d->email)) &&
           (!f->before || d->created_at < f->before) && (f->statuses & status_bit(d->status)) &&
           (!f->test || bytes_equal(d->mode, BYTES("test"))) && reaches(f, d->domain_id);
}

/* ---- the way ---- */

static bool step_of_account(const struct action_filter *f, int64_t step, struct query *q)
{
    for (size_t i = 0; i < STATUSES; i++)
        if (f->statuses & statuses[i].bit && step-- == 0) {
            q->index = "status";
            q->conds[q->n_conds++] = COND("account_id", IS, V_ID(f->account));
            q->conds[q->n_conds++] = COND("status", IS, V_TEXT(bytes_of(statuses[i].name)));
            return true;
        }
    return false;
}

/* All that is open, in the order of bodies: the index is small, for it holds nothing that is over. */
static bool step_of_open(unsigned which, struct arena *a, struct query *q)
{
    struct value *list = arena_array(a, STATUSES, sizeof *list);
    size_t n = 0;

    for (size_t i = 0; i < STATUSES; i++)
        if (which & statuses[i].bit)
            list[n++] = V_TEXT(bytes_of(statuses[i].name));
    q->index = "body";
    q->conds[q->n_conds++] = COND_ONE_OF("status", list, n);
    return n > 0;
}

static bool step_of_domain(const struct action_filter *f, int64_t step, struct arena *a, struct query *q)
{
    bool flows = f->statuses & (FIT_QUEUED | FIT_DEFERRED);

    if (flows && step-- == 0) {
        q->index = "flow";
        q->conds[q->n_conds++] = COND("flow", AT_LEAST, V_TEXT(arena_bytesf(a, "%.*s/", SHOW(f->domain))));
        q->conds[q->n_conds++] = COND("flow", BELOW, V_TEXT(arena_bytesf(a, "%.*s0", SHOW(f->domain))));
        return true;
    }
    return f->statuses & FIT_HELD && step == 0 && step_of_open(FIT_HELD, a, q);
}

bool action_step(const struct action_filter *f, int64_t step, struct arena *a, struct query *q)
{
    *q = (struct query){ .kind = &delivery_kind, .limit = ACTION_SLICE };
    if (!id_is_none(f->message)) {
        q->index = "message";
        q->conds[q->n_conds++] = COND("message_id", IS, V_ID(f->message));
        return step == 0;
    }
    if (!id_is_none(f->account))
        return step_of_account(f, step, q);
    if (f->domain.p)
        return step_of_domain(f, step, a, q);
    return step == 0 && step_of_open(f->statuses, a, q);
}
