/* service/message/tracked_tell.c - opens and clicks as events of their mails.
 *
 * Mails are looked up some at a time, and what is told of those commits as one batch, or of each alone where another
 * change was faster. Of a mail with one recipient the event is that delivery's; of one with several nobody knows whose
 * it was. A mail that is gone is told nothing of. */
#include "base/network.h"
#include "service/core/state.h"
#include "service/message/tracked_private.h"
#include "service/queue/outcome.h"

#define AT_ONCE 50 /* mails looked up and told of in one batch */

/* What is kept of where a reader was. */
static struct bytes shown_address(struct bytes address, struct arena *a)
{
    struct bytes how = PARAM_TEXT(tracking, address);
    struct network n;
    char text[NETWORK_TEXT];

    if (bytes_equal(how, BYTES("none")) || !network_parse_address(address, &n))
        return NO_BYTES;
    if (bytes_equal(how, BYTES("network")))
        n = network_wide(&n);
    return arena_copy(a, network_show(&n, text));
}

static struct bytes data_of(const struct noted *n, struct arena *a)
{
    struct buf out;
    struct jw w;

    buf_init(&out, 128 * 1024);
    jw_init(&w, &out);
    jw_object(&w);
    if (n->hit.kind == PUBLIC_CLICK)
        jw_key_text(&w, "url", n->hit.url);
    jw_key_bool(&w, "machine", n->machine);
    jw_key_text(&w, "user_agent", n->hit.agent.n ? n->hit.agent : NO_BYTES);
    jw_key_text(&w, "ip", shown_address(n->hit.address, a));
    jw_object_end(&w);
    return arena_take(a, &out);
}

/* The delivery of a mail with one recipient, the first there is: those that it is sent on to come behind it. */
static bool only_delivery(struct service *svc, struct id message, struct arena *a, struct delivery_row *out,
                          bool *there, struct err *e)
{
    static const char *const only[] = { "id", "email", "domain_id", "user_id", NULL };
    struct query q = { .kind = &delivery_kind, .index = "message", .n_conds = 1, .limit = 1, .only = only };
    void *rows;
    size_t n;

    q.conds[0] = COND("message_id", IS, V_ID(message));
    if (!store_find(svc->store, &q, a, &rows, &n, e))
        return false;
    *there = n > 0;
    if (n)
        *out = *(struct delivery_row *)rows;
    return true;
}

/* One mail's. */
struct told {
    const struct message_row *m;
    struct delivery_row *d; /* NULL: nobody knows whose */
    struct noted **hits;
    size_t n;
};

/* How many more of a kind it may have. */
static int64_t left_of(const struct message_row *m, bool several, int64_t had)
{
    int64_t recipients =
        several ? m->n_open + m->n_held + m->n_delivered + m->n_captured + m->n_failed + m->n_cancelled : 1;

    return PARAM_INT(tracking, events_max) * recipients - had;
}

static void add_events(struct batch *b, struct arena *a, const struct told *t)
{
    int64_t opens = 0, clicks = 0;
    struct set *sets = arena_array(a, 2, sizeof *sets);

    for (size_t i = 0; i < t->n; i++) {
        const struct noted *n = t->hits[i];
        bool open = n->hit.kind == PUBLIC_OPEN;
        int64_t *count = open ? &opens : &clicks;
        struct event_row *row;

        if (left_of(t->m, n->hit.several, (open ? t->m->opens : t->m->clicks) + *count) <= 0)
            continue;
        ++*count;
        row = event_make(a, t->m, t->d, open ? "email.opened" : "email.clicked", NO_BYTES, n->hit.at);
        row->data = data_of(n, a);
        batch_insert(b, &event_kind, row, NULL, 0);
    }
    sets[0] = ADD("opens", opens);
    sets[1] = ADD("clicks", clicks);
    if (opens || clicks)
        batch_update(b, &message_kind, t->m->id, NULL, 0, sets, 2);
}

static bool commit(struct service *svc, const struct told *list, size_t n, struct arena *a, struct err *e)
{
    struct batch *b = batch_new(a);

    for (size_t i = 0; i < n; i++)
        add_events(b, a, &list[i]);
    return !batch_count(b) || store_commit(svc->store, b, clock_monotonic() + START_DEADLINE_MS, e);
}

/* A mail that went meanwhile makes a batch fail, and then each has one of its own. */
static bool commit_all(struct service *svc, const struct told *list, size_t n, struct arena *a, struct err *e)
{
    struct err why = { 0 };

    if (commit(svc, list, n, a, &why))
        return true;
    for (size_t i = 0; n > 1 && why.code == ERR_CONFLICT && i < n; i++) {
        struct err one = { 0 };

        if (!commit(svc, &list[i], 1, a, &one) && one.code != ERR_CONFLICT)
            why = one;
    }
    return why.code == ERR_CONFLICT || err_set(e, why.code, "%s", why.message);
}

bool tracked_tell(struct service *svc, struct noted **list, size_t n, struct arena *a, size_t *used, struct err *e)
{
    struct message_row *rows = arena_array(a, AT_ONCE, sizeof *rows);
    struct told *told = arena_array(a, AT_ONCE, sizeof *told);
    struct id ids[AT_ONCE];
    size_t mails = 0, kept = 0, i = 0;

    for (; i < n && mails <= AT_ONCE; i++) {
        if (i && id_equal(list[i]->hit.message, list[i - 1]->hit.message)) {
            told[mails - 1].n++;
            continue;
        }
        if (mails == AT_ONCE)
            break;
        ids[mails] = list[i]->hit.message;
        told[mails++] = (struct told){ .hits = &list[i], .n = 1 };
    }
    *used = i;
    if (!store_get_many(svc->store, &message_kind, ids, mails, a, rows, e))
        return false;
    for (size_t k = 0; k < mails; k++) {
        struct told *t = &told[kept];
        bool there = true;

        *t = told[k];
        t->m = &rows[k];
        if (!id_equal(rows[k].id, ids[k]) || !id_equal(rows[k].account_id, t->hits[0]->hit.account))
            continue;
        t->d = t->hits[0]->hit.several ? NULL : arena_alloc(a, sizeof *t->d);
        if (t->d && !only_delivery(svc, t->m->id, a, t->d, &there, e))
            return false;
        kept += there;
    }
    return commit_all(svc, told, kept, a, e);
}
