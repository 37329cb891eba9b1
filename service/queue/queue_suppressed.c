/* service/queue/queue_suppressed.c - suppressions and mail that leaves: who is suppressed by what a server said, and
 * what is not sent since its recipient was suppressed after acceptance.
 *
 * Acceptance has judged each recipient. What leaves within seconds of it is not judged again, or each mail would pay
 * twice for what differs by moments; what has been tried before, or has waited longer (a backlog, a limit, a time to be
 * sent at), is. So a suppression is late for mail that is on its way by WAITED_MS at most. */
#include "base/log.h"
#include "service/core/state.h"
#include "service/queue/queue_private.h"

#define WAITED_MS 10000

/* ---- what has waited ---- */

/* As at acceptance: applications keep to the account's list, users write to whom they like. */
static bool is_judged(const struct work *w, int64_t now)
{
    const struct message_row *m = w->message;

    return !w->message_gone && !w->row.via.p && bytes_equal(m->direction, BYTES("outbound")) &&
           id_is_none(m->user_id) && (w->row.attempts > 0 || now - w->row.created_at > WAITED_MS);
}

static struct suppression_scope scope_of(const struct work *w)
{
    const struct message_row *m = w->message;

    return (struct suppression_scope){ w->row.account_id, m->stream_id, m->topic, (unsigned)m->bypass };
}

static bool is_same(const struct suppression_scope *a, const struct suppression_scope *b)
{
    return id_equal(a->account, b->account) && id_equal(a->stream, b->stream) && bytes_equal(a->topic, b->topic) &&
           a->bypass == b->bypass;
}

/* NULL for those that may leave. They are of several accounts and streams: one look for each run of what is alike. */
static bool judge(struct service *svc, struct arena *a, const struct work *const *each, size_t n,
                  const struct verdict **out, struct err *e)
{
    struct suppression_row *rows = arena_array(a, n, sizeof *rows);
    struct bytes *emails = arena_array(a, n, sizeof *emails);

    for (size_t i = 0; i < n; i++)
        emails[i] = each[i]->row.email;
    for (size_t i = 0, end; i < n; i = end) {
        const struct suppression_scope scope = scope_of(each[i]);

        for (end = i + 1; end < n; end++) {
            const struct suppression_scope next = scope_of(each[end]);

            if (!is_same(&scope, &next))
                break;
        }
        if (!suppression_find(svc, a, &scope, &emails[i], end - i, &rows[i], e))
            return false;
    }
    for (size_t i = 0; i < n; i++)
        out[i] = id_is_none(rows[i].id) ? NULL : suppression_verdict(a, &rows[i]);
    return true;
}

/* Those of one message end together. */
static bool end_them(struct service *svc, struct arena *a, struct work *const *each, const struct verdict *const *why,
                     size_t n, struct err *e)
{
    struct done *done = arena_array(a, n, sizeof *done);

    for (size_t i = 0, many; i < n; i += many) {
        for (many = 0; i + many < n && id_equal(each[i + many]->row.message_id, each[i]->row.message_id); many++)
            done[many] = (struct done){ .work = each[i + many], .verdict = *why[i + many] };
        if (!queue_finish(svc, a, done, many, e))
            return false;
        for (size_t j = 0; j < many; j++)
            log_info("delivery", LOG_BYTES("id", id_text(a, delivery_kind.prefix, done[j].work->row.id)),
                     LOG_BYTES("message", id_text(a, message_kind.prefix, done[j].work->row.message_id)),
                     LOG_BYTES("rcpt", done[j].work->row.email), LOG_TEXT("result", "suppressed"));
    }
    return true;
}

static void take_out(struct work *all, size_t *n, struct work *const *gone, size_t n_gone)
{
    size_t kept = 0, next = 0;

    for (size_t i = 0; i < *n; i++)
        if (next < n_gone && gone[next] == &all[i])
            next++;
        else
            all[kept++] = all[i];
    *n = kept;
}

bool queue_drop_suppressed(struct service *svc, struct arena *a, struct work *all, size_t *n, struct err *e)
{
    struct work **each = arena_array(a, *n ? *n : 1, sizeof *each);
    const struct verdict **why = arena_array(a, *n ? *n : 1, sizeof *why);
    int64_t now = store_now(svc->store);
    size_t found = 0, n_gone = 0;

    for (size_t i = 0; i < *n; i++)
        if (is_judged(&all[i], now))
            each[found++] = &all[i];
    if (!found)
        return true;
    if (!judge(svc, a, (const struct work *const *)each, found, why, e))
        return false;
    for (size_t i = 0; i < found; i++)
        if (why[i]) {
            each[n_gone] = each[i];
            why[n_gone++] = why[i];
        }
    if (n_gone && !end_them(svc, a, each, why, n_gone, e))
        return false;
    take_out(all, n, each, n_gone);
    return true;
}

/* ---- who is suppressed from now on ---- */

/* Only what a remote host has said of the recipient for good counts: what we say ourselves (by DNS, say) names no host.
 */
static bool suppresses(const struct done *d)
{
    static const char *const causes[] = { "unknown_user", "inactive_user", "unknown_domain" };
    const struct attempt *t = d->verdict.attempt;
    bool such = false;

    for (size_t i = 0; t && i < sizeof causes / sizeof *causes; i++)
        such = such || bytes_equal(t->cause, bytes_of(causes[i]));
    return such && d->verdict.outcome == OUTCOME_BOUNCED && bytes_equal(t->permanence, BYTES("permanent")) && t->mx.p &&
           t->code >= 500 && bytes_equal(d->work->row.mode, BYTES("live"));
}

static struct suppressing suppressing_of(struct arena *a, const struct done *d)
{
    const struct attempt *t = d->verdict.attempt;

    return (struct suppressing){ .account_id = d->work->row.account_id,
                                 .email = d->work->row.email,
                                 .reason = SUPPRESSED_BOUNCE,
                                 .delivery_id = d->work->row.id,
                                 .message_id = d->work->row.message_id,
                                 .text = arena_bytesf(a, "%d %.*s %.*s", t->code, SHOW(t->enhanced), SHOW(t->text)) };
}

/* One look for those that there are: nearly always nobody. */
bool queue_find_suppressed(struct service *svc, struct arena *a, const struct done *each, struct ending *ends, size_t n,
                           struct err *e)
{
    struct suppressing *list = NULL;
    size_t found = 0;

    for (size_t i = 0; i < n; i++)
        if (!ends[i].lost && suppresses(&each[i])) {
            list = list ? list : arena_array(a, n, sizeof *list);
            ends[i].suppresses = &list[found];
            list[found++] = suppressing_of(a, &each[i]);
        }
    return !found || suppression_look(svc, a, list, found, e);
}
