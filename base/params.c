/* base/params.c - values that readers see without a lock.
 *
 * A value is never changed nor freed, so a reader needs nothing but the pointer. Each source keeps what it said: taking
 * one back brings the next one into force. What is not LIVE keeps, from params_started on, what was in force then.
 * Watchers are told outside the lock, so they may read and set parameters themselves. */
#include "base/params.h"
#include "base/param_value.h"
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>

enum { SOURCES = PARAM_FROM_FLAG + 1 };

static const struct param_row rows[PARAMS] = {
#define PARAM(group, name, type, standard, least, most, when, text)                                                    \
    { #group "." #name, PARAM_TYPE_##type, standard, least, most, PARAM_##when, text },
#include "base/params.def"
#undef PARAM
};

/* A value once seen is kept for good: a reader may hold its text. Equal values are one, so that a knob turned to and
 * fro costs no memory. */
struct value {
    struct value *next;
    int64_t number;
    size_t n;
    char text[];
};

/* `said` is what each source wants and belongs to the lock; `in_force` is what readers see. */
static struct state {
    const struct value *said[SOURCES];
    _Atomic(const struct value *) in_force;
    _Atomic int source;
} states[PARAMS];

struct watcher {
    struct watcher *next;
    enum param p;
    void (*changed)(enum param p, void *ctx);
    void *ctx;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct value *values[PARAMS];
static struct watcher *watchers; /* grows at its head only: whoever has seen that goes on without the lock */
static bool started;

static const struct value *value_keep(enum param p, const struct param_value *v)
{
    struct value *kept = NULL;

    for (kept = values[p]; kept; kept = kept->next)
        if (bytes_equal((struct bytes){ kept->text, kept->n }, v->text))
            return kept;
    kept = malloc(sizeof *kept + v->text.n + 1);
    if (!kept)
        die("out of memory: parameter %s", rows[p].name);
    kept->number = v->number;
    kept->n = v->text.n;
    memcpy(kept->text, v->text.p, v->text.n);
    kept->text[v->text.n] = '\0';
    kept->next = values[p];
    values[p] = kept;
    return kept;
}

static int winner(const struct state *s)
{
    int source = PARAM_FROM_FLAG;

    while (source > PARAM_FROM_DEFAULT && !s->said[source])
        source--;
    return source;
}

/* True when readers now see another value. */
static bool publish(enum param p)
{
    struct state *s = &states[p];
    int source = winner(s);
    const struct value *before = atomic_load(&s->in_force);

    if (started && before != s->said[source] && rows[p].when != PARAM_LIVE)
        return false;
    atomic_store(&s->source, source);
    atomic_store(&s->in_force, s->said[source]);
    return before != s->said[source];
}

void params_free(void)
{
    pthread_mutex_lock(&lock);
    for (enum param p = 0; p < PARAMS; p++) {
        atomic_store(&states[p].in_force, NULL);
        memset(states[p].said, 0, sizeof states[p].said);
        while (values[p]) {
            struct value *next = values[p]->next;

            free(values[p]);
            values[p] = next;
        }
    }
    while (watchers) {
        struct watcher *next = watchers->next;

        free(watchers);
        watchers = next;
    }
    started = false;
    pthread_mutex_unlock(&lock);
}

void params_init(void)
{
    struct err e = { 0 };

    params_free();
    for (enum param p = 0; p < PARAMS; p++)
        if (!param_set(p, PARAM_FROM_DEFAULT, bytes_of(rows[p].standard), &e))
            die("base/params.def: %s", e.message);
}

void params_started(void)
{
    pthread_mutex_lock(&lock);
    started = true;
    pthread_mutex_unlock(&lock);
}

const struct param_row *param_row(enum param p)
{
    assert(p < PARAMS);
    return &rows[p];
}

bool param_find(struct bytes name, enum param *out)
{
    for (enum param p = 0; p < PARAMS; p++)
        if (bytes_equal(name, bytes_of(rows[p].name))) {
            *out = p;
            return true;
        }
    return false;
}

static const struct value *in_force(enum param p)
{
    const struct value *v = atomic_load_explicit(&states[p].in_force, memory_order_acquire);

    assert(v); /* params_init comes first */
    return v;
}

int64_t param_int(enum param p)
{
    assert(rows[p].type <= PARAM_TYPE_BOOL);
    return in_force(p)->number;
}

struct bytes param_text(enum param p)
{
    const struct value *v = in_force(p);

    assert(rows[p].type > PARAM_TYPE_BOOL);
    return (struct bytes){ v->text, v->n };
}

enum param_source param_source(enum param p)
{
    return (enum param_source)atomic_load(&states[p].source);
}

bool param_waits(enum param p)
{
    bool waits = false;

    pthread_mutex_lock(&lock);
    waits = states[p].said[winner(&states[p])] != atomic_load(&states[p].in_force);
    pthread_mutex_unlock(&lock);
    return waits;
}

bool param_check(enum param p, struct bytes value, struct err *e)
{
    struct param_value v;

    return param_value_read(param_row(p), value, &v, e);
}

static void tell(enum param p)
{
    const struct watcher *w;

    pthread_mutex_lock(&lock);
    w = watchers;
    pthread_mutex_unlock(&lock);
    for (; w; w = w->next) /* without the lock: a watcher may read and set parameters itself */
        if (w->p == p || w->p == PARAMS)
            w->changed(p, w->ctx);
}

bool param_set(enum param p, enum param_source from, struct bytes value, struct err *e)
{
    struct param_value v;
    bool changed = false;

    assert(value.p || from != PARAM_FROM_DEFAULT);
    if (value.p && !param_value_read(param_row(p), value, &v, e))
        return false;
    pthread_mutex_lock(&lock);
    states[p].said[from] = value.p ? value_keep(p, &v) : NULL;
    changed = publish(p);
    pthread_mutex_unlock(&lock);
    if (changed)
        tell(p);
    return true;
}

struct bytes param_show(enum param p, struct arena *a)
{
    const struct value *v = in_force(p);

    return arena_copy(a, (struct bytes){ v->text, v->n });
}

struct bytes param_show_next(enum param p, struct arena *a)
{
    const struct value *v = NULL;

    pthread_mutex_lock(&lock);
    v = states[p].said[winner(&states[p])];
    pthread_mutex_unlock(&lock);
    return arena_copy(a, (struct bytes){ v->text, v->n });
}

struct bytes param_show_default(enum param p, struct arena *a)
{
    const struct value *v = NULL;

    pthread_mutex_lock(&lock);
    v = states[p].said[PARAM_FROM_DEFAULT];
    pthread_mutex_unlock(&lock);
    assert(v);
    return arena_copy(a, (struct bytes){ v->text, v->n });
}

/* "smtp.recipients_max" is POSTRIDER_SMTP_RECIPIENTS_MAX. */
void param_env_name(enum param p, char out[PARAM_ENV_NAME])
{
    int n = snprintf(out, PARAM_ENV_NAME, "POSTRIDER_%s", param_row(p)->name);

    assert(n > 0 && n < PARAM_ENV_NAME);
    for (char *c = out; *c; c++) {
        if (*c >= 'a' && *c <= 'z')
            *c = (char)(*c - ('a' - 'A'));
        else if (*c == '.')
            *c = '_';
    }
}

bool params_from_env(struct err *e)
{
    for (enum param p = 0; p < PARAMS; p++) {
        char name[PARAM_ENV_NAME];
        const char *value = NULL;

        param_env_name(p, name);
        value = getenv(name);
        if (value && !param_set(p, PARAM_FROM_ENV, bytes_of(value), e))
            return false;
    }
    return true;
}

void param_on_change(enum param p, void (*changed)(enum param p, void *ctx), void *ctx)
{
    struct watcher *w, *made = malloc(sizeof *made);

    assert(p <= PARAMS && changed);
    if (!made)
        die("out of memory: a watcher");
    pthread_mutex_lock(&lock);
    for (w = watchers; w && (w->p != p || w->changed != changed || w->ctx != ctx);)
        w = w->next;
    *made = (struct watcher){ watchers, p, changed, ctx };
    if (!w)
        watchers = made;
    pthread_mutex_unlock(&lock);
    if (w)
        free(made);
}
