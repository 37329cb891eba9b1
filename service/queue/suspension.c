/* service/queue/suspension.c - suspensions as each node knows them: a copy in memory of a kind that is small, made anew
 * when it changes.
 *
 * Who looks has a copy of its own, and asks the version alone (one atomic) whether that still holds. Rows are read
 * under the lane, by one after the other: of two at once the older view could come last, and stay. */
#include "service/queue/suspension.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/params.h"
#include "service/core/state.h"
#include "service/queue/suspension_private.h"

#define END_MS      1000
#define KNOWN_ARENA ((size_t)16 * 1024 * 1024)

struct suspensions {
    struct fiber_mutex *lane; /* of who reads */
    pthread_mutex_t mutex;
    _Atomic uint64_t version;
    struct arena *arena; /* of the list */
    struct suspension *list;
    size_t n;
    struct stream_pace *paces;
    size_t n_paces;
};

struct suspensions *suspensions_new(void)
{
    struct suspensions *s = calloc(1, sizeof *s);

    if (!s)
        die("out of memory: suspensions");
    s->lane = fiber_mutex_new();
    pthread_mutex_init(&s->mutex, NULL);
    atomic_store(&s->version, 1);
    return s;
}

void suspensions_free(struct suspensions **s)
{
    if (!*s)
        return;
    arena_free(&(*s)->arena);
    fiber_mutex_free(&(*s)->lane);
    pthread_mutex_destroy(&(*s)->mutex);
    free(*s);
    *s = NULL;
}

/* ---- rows ---- */

static int64_t limit_of(struct json_object *limits, const char *name)
{
    return json_object_get_int64(json_member(limits, name));
}

static bool read_row(const struct suspension_row *row, struct suspension *out)
{
    struct json_object *limits = NULL;
    struct err ignored = { 0 };

    *out = (struct suspension){ .id = row->id,
                                .account = row->account_id,
                                .match = row->match,
                                .reason = row->reason,
                                .slow = bytes_equal(row->effect, BYTES("slow")),
                                .expires_at = row->expires_at };
    if (!suspension_scope_read(row->scope, &out->scope)) /* a newer build's */
        return false;
    if (out->scope == SUSPEND_ACCOUNT && !id_parse("acc", row->match, &out->account))
        return false;
    if (row->limits.p && json_read(row->limits, &limits, &ignored)) {
        out->connections = limit_of(limits, "connections");
        out->per_minute = limit_of(limits, "per_minute");
        json_object_put(limits);
    }
    return true;
}

/* What is known from now on; the arena it lies in is that of `known`. */
static void replace(struct suspensions *s, const struct suspensions *known)
{
    struct arena *old;

    pthread_mutex_lock(&s->mutex);
    old = s->arena;
    s->arena = known->arena;
    s->list = known->list;
    s->n = known->n;
    s->paces = known->paces;
    s->n_paces = known->n_paces;
    atomic_fetch_add(&s->version, 1);
    pthread_mutex_unlock(&s->mutex);
    arena_free(&old);
}

static bool find_disabled(struct service *svc, struct arena *a, struct account_row **rows, size_t *n, struct err *e)
{
    static const char *const only[] = { "id", "disabled", NULL };
    struct query q = {
        .kind = &account_kind, .index = "disabled", .n_conds = 1, .limit = (size_t)DISABLED_MOST, .only = only
    };
    void *found;

    q.conds[0] = COND("disabled", IS, V_BOOL(true));
    if (!store_find(svc->store, &q, a, &found, n, e))
        return false;
    *rows = found;
    return true;
}

/* Streams in which `field` says something. */
static bool find_streams(struct service *svc, const char *index, const char *field, struct arena *a,
                         struct stream_row **rows, size_t *n, struct err *e)
{
    static const char *const only[] = { "id", "account_id", "slug", "recipients_per_second", "paused_at", NULL };
    struct query q = {
        .kind = &stream_kind, .index = index, .n_conds = 1, .limit = (size_t)STREAMS_MOST, .only = only
    };
    void *found;

    q.conds[0] = strcmp(field, "paused_at") == 0 ? COND(field, IS_NOT, V_TIME(0)) : COND(field, ABOVE, V_INT(0));
    if (!store_find(svc->store, &q, a, &found, n, e))
        return false;
    *rows = found;
    return true;
}

struct found {
    struct suspension_row *rows;
    struct account_row *disabled;
    struct stream_row *paused, *paced;
    size_t n, n_disabled, n_paused, n_paced;
};

static bool find_all(struct service *svc, struct arena *a, struct found *f, struct err *e)
{
    struct query q = { .kind = &suspension_kind, .limit = (size_t)SUSPENSIONS_MOST };
    void *rows;

    if (!store_find(svc->store, &q, a, &rows, &f->n, e))
        return false;
    f->rows = rows;
    return find_disabled(svc, a, &f->disabled, &f->n_disabled, e) &&
           find_streams(svc, "paused", "paused_at", a, &f->paused, &f->n_paused, e) &&
           find_streams(svc, "paced", "recipients_per_second", a, &f->paced, &f->n_paced, e);
}

static void make_paces(const struct found *f, struct suspensions *known)
{
    known->paces = arena_array(known->arena, f->n_paced + 1, sizeof *known->paces);
    known->n_paces = f->n_paced;
    for (size_t i = 0; i < f->n_paced; i++)
        known->paces[i] =
            (struct stream_pace){ id_text(known->arena, "", f->paced[i].id), f->paced[i].recipients_per_second };
}

static void make_list(const struct found *f, struct suspensions *known)
{
    struct arena *a = known->arena;
    struct suspension *list = arena_array(a, f->n + f->n_disabled + f->n_paused + 1, sizeof *list);
    size_t kept = 0;

    for (size_t i = 0; i < f->n; i++)
        kept += read_row(&f->rows[i], &list[kept]);
    for (size_t i = 0; i < f->n_disabled; i++)
        list[kept++] = (struct suspension){ .account = f->disabled[i].id,
                                            .scope = SUSPEND_ACCOUNT,
                                            .match = id_text(a, "acc", f->disabled[i].id),
                                            .reason = BYTES("the account is disabled") };
    for (size_t i = 0; i < f->n_paused; i++)
        list[kept++] =
            (struct suspension){ .account = f->paused[i].account_id,
                                 .scope = SUSPEND_STREAM,
                                 .match = id_text(a, stream_kind.prefix, f->paused[i].id),
                                 .reason = arena_bytesf(a, "the stream %.*s is paused", SHOW(f->paused[i].slug)) };
    known->list = list;
    known->n = kept;
}

static bool load(struct service *svc, struct err *e)
{
    struct suspensions known = { .arena = arena_new(KNOWN_ARENA) };
    struct found f;

    if (!find_all(svc, known.arena, &f, e)) {
        arena_free(&known.arena);
        return false;
    }
    make_list(&f, &known);
    make_paces(&f, &known);
    replace(svc->suspensions, &known);
    return true;
}

bool suspensions_load(struct service *svc, struct err *e)
{
    bool ok;

    fiber_mutex_lock(svc->suspensions->lane);
    ok = load(svc, e);
    fiber_mutex_unlock(svc->suspensions->lane);
    return ok;
}

uint64_t suspensions_version(struct service *svc)
{
    return atomic_load_explicit(&svc->suspensions->version, memory_order_acquire);
}

void suspensions_copy(struct service *svc, struct arena *a, struct suspension **list, size_t *n)
{
    struct suspensions *s = svc->suspensions;
    int64_t now = store_now(svc->store);

    pthread_mutex_lock(&s->mutex);
    *n = 0;
    *list = arena_array(a, s->n ? s->n : 1, sizeof **list);
    for (size_t i = 0; i < s->n; i++) {
        struct suspension *to = &(*list)[*n];

        if (s->list[i].expires_at && s->list[i].expires_at <= now)
            continue;
        *to = s->list[i];
        to->match = arena_copy(a, to->match);
        to->reason = to->reason.p ? arena_copy(a, to->reason) : NO_BYTES;
        (*n)++;
    }
    pthread_mutex_unlock(&s->mutex);
}

void suspensions_paces(struct service *svc, struct arena *a, struct stream_pace **list, size_t *n)
{
    struct suspensions *s = svc->suspensions;

    pthread_mutex_lock(&s->mutex);
    *n = s->n_paces;
    *list = arena_array(a, s->n_paces + 1, sizeof **list);
    for (size_t i = 0; i < s->n_paces; i++)
        (*list)[i] = (struct stream_pace){ arena_copy(a, s->paces[i].stream), s->paces[i].per_second };
    pthread_mutex_unlock(&s->mutex);
}

bool suspensions_disabled(struct service *svc, struct id account)
{
    struct suspensions *s = svc->suspensions;
    bool disabled = false;

    pthread_mutex_lock(&s->mutex);
    for (size_t i = 0; i < s->n && !disabled; i++)
        disabled =
            id_is_none(s->list[i].id) && s->list[i].scope == SUSPEND_ACCOUNT && id_equal(s->list[i].account, account);
    pthread_mutex_unlock(&s->mutex);
    return disabled;
}

/* ---- what changes elsewhere, and by time ---- */

static bool any_past(struct suspensions *s, int64_t now)
{
    bool any = false;

    pthread_mutex_lock(&s->mutex);
    for (size_t i = 0; i < s->n; i++)
        any = any || (s->list[i].expires_at && s->list[i].expires_at <= now);
    pthread_mutex_unlock(&s->mutex);
    return any;
}

/* Each node tries it; of those at once one has done it. */
bool suspensions_end_past(struct service *svc, struct arena *a, struct err *e)
{
    struct query q = { .kind = &suspension_kind, .limit = (size_t)SUSPENSIONS_MOST };
    int64_t now = store_now(svc->store);
    struct suspension_row *rows;
    void *found;
    size_t n;

    if (!any_past(svc->suspensions, now))
        return true;
    q.conds[q.n_conds++] = COND("expires_at", AT_MOST, V_TIME(now));
    if (!store_find(svc->store, &q, a, &found, &n, e))
        return false;
    rows = found;
    for (size_t i = 0; i < n; i++) {
        struct batch *b = batch_new(a);
        struct cond same = COND("expires_at", IS, V_TIME(rows[i].expires_at));

        suspension_end(b, a, &rows[i], &same);
        if (!store_commit(svc->store, b, clock_monotonic() + END_MS, e) && e->code != ERR_CONFLICT)
            return false;
        *e = (struct err){ 0 };
    }
    return suspensions_load(svc, e);
}
