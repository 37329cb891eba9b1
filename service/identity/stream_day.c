/* service/identity/stream_day.c - see stream_day.h. What is counted is taken out of memory before it is written, and
 * put back where it could not be: so nothing is counted twice, and a complaint is judged by what has been written. */
#include "service/identity/stream_day.h"
#include "base/clock.h"
#include "service/core/state.h"
#include "service/identity/stream.h"
#define uthash_fatal(message) die("out of memory: mail of streams")
#include <uthash.h>

#define DAY_MS    86400000
#define KEEP_DAYS 40 /* complaints come within days */
#define WRITE_MS  2000
#define COMMIT_MS 10000
#define SLICE     500
#define ARENA     ((size_t)4 * 1024 * 1024)

struct count {
    UT_hash_handle hh;
    struct stream_day_row row; /* with what is to be added */
};

struct stream_counts {
    pthread_mutex_t mutex;
    struct count *all;
};

struct stream_counts *stream_counts_new(void)
{
    struct stream_counts *s = calloc(1, sizeof *s);

    if (!s)
        die("out of memory: mail of streams");
    pthread_mutex_init(&s->mutex, NULL);
    return s;
}

static struct count *take_first(struct stream_counts *s)
{
    struct count *first = s->all;

    if (first)
        HASH_DEL(s->all, first);
    return first;
}

void stream_counts_free(struct stream_counts **s)
{
    struct count *c;

    if (!*s)
        return;
    while ((c = take_first(*s)))
        free(c);
    pthread_mutex_destroy(&(*s)->mutex);
    free(*s);
    *s = NULL;
}

/* ---- rows ---- */

static struct stream_day_row row_of(struct id account, struct id stream, int64_t at)
{
    struct stream_day_row row = { .account_id = account, .stream_id = stream, .day = at - at % DAY_MS };
    uint8_t hash[CRYPT_HASH];
    char text[sizeof stream.b + sizeof row.day];

    memcpy(text, stream.b, sizeof stream.b);
    memcpy(text + sizeof stream.b, &row.day, sizeof row.day);
    crypt_hash((struct bytes){ text, sizeof text }, hash);
    row.id = id_of_hash(hash);
    row.expires_at = row.day + (int64_t)KEEP_DAYS * DAY_MS;
    return row;
}

static void add_to_day(struct batch *b, struct arena *a, const struct stream_day_row *more)
{
    struct stream_day_row *row = arena_alloc(a, sizeof *row);
    struct set *sets = arena_array(a, 2, sizeof *sets);

    *row = *more;
    sets[0] = ADD("mails", more->mails);
    sets[1] = ADD("complaints", more->complaints);
    batch_raise(b, &stream_day_kind, row, NULL, sets, 2);
}

/* ---- mails ---- */

static void add(struct stream_counts *s, const struct stream_day_row *row)
{
    struct count *c;

    pthread_mutex_lock(&s->mutex);
    HASH_FIND(hh, s->all, row->id.b, sizeof row->id.b, c);
    if (!c) {
        c = calloc(1, sizeof *c);
        if (!c)
            die("out of memory: mail of streams");
        c->row = *row;
        c->row.mails = 0;
        HASH_ADD_KEYPTR(hh, s->all, c->row.id.b, sizeof c->row.id.b, c);
    }
    c->row.mails += row->mails;
    pthread_mutex_unlock(&s->mutex);
}

void stream_counts_add(struct service *svc, const struct message_row *m, int64_t recipients)
{
    struct stream_day_row row = row_of(m->account_id, m->stream_id, m->created_at);

    row.mails = recipients;
    add(svc->stream_counts, &row);
}

/* Up to SLICE of them; *n: how many. What could not be written is counted again later. */
static bool write_some(struct service *svc, size_t *n, struct err *e)
{
    struct stream_counts *s = svc->stream_counts;
    struct arena *a = arena_new(ARENA);
    struct stream_day_row *rows = arena_array(a, SLICE, sizeof *rows);
    struct batch *b = batch_new(a);
    struct count *c;
    bool ok;

    pthread_mutex_lock(&s->mutex);
    for (*n = 0; *n < SLICE && (c = take_first(s)); free(c))
        rows[(*n)++] = c->row;
    pthread_mutex_unlock(&s->mutex);
    for (size_t i = 0; i < *n; i++)
        add_to_day(b, a, &rows[i]);
    ok = !*n || store_commit(svc->store, b, clock_monotonic() + COMMIT_MS, e);
    for (size_t i = 0; i < *n && !ok; i++)
        add(s, &rows[i]);
    arena_free(&a);
    return ok;
}

bool stream_counts_write(struct service *svc, struct err *e)
{
    size_t n = SLICE;
    bool ok = true;

    while (ok && n == SLICE)
        ok = write_some(svc, &n, e);
    return ok;
}

void stream_counts_run(struct service *svc)
{
    bool goes_on;

    do {
        struct err e = { 0 };

        goes_on = service_sleep(svc, WRITE_MS);
        if (!stream_counts_write(svc, &e))
            log_warn("streams", LOG_TEXT("error", e.message), LOG_TEXT("where", e.where));
    } while (goes_on);
}

/* ---- complaints ---- */

void stream_day_complain(struct batch *b, struct arena *a, const struct message_row *m)
{
    struct stream_day_row row = row_of(m->account_id, m->stream_id, m->created_at);

    row.complaints = 1;
    add_to_day(b, a, &row);
}

void stream_day_reset(struct batch *b, struct arena *a, const struct stream_row *stream)
{
    struct stream_day_row *row = arena_alloc(a, sizeof *row);
    struct set *sets = arena_array(a, 2, sizeof *sets);

    *row = row_of(stream->account_id, stream->id, clock_wall());
    sets[0] = SET("mails", V_INT(0));
    sets[1] = SET("complaints", V_INT(0));
    batch_raise(b, &stream_day_kind, row, NULL, sets, 2);
}

static bool is_too_much(const struct stream_day_row *row)
{
    int64_t rate = PARAM_INT(stream, complaints_rate);

    return rate && row->mails && row->complaints >= PARAM_INT(stream, complaints_least) &&
           row->complaints * 1000 > row->mails * rate;
}

static struct bytes numbers(struct arena *a, const struct stream_day_row *row)
{
    char day[CLOCK_TEXT];

    return arena_bytesf(a, "{\"day\":\"%.*s\",\"mails\":%lld,\"complaints\":%lld}",
                        SHOW(bytes_head(clock_rfc3339(row->day, day), 10)), (long long)row->mails,
                        (long long)row->complaints);
}

bool stream_day_judge(struct call *c, const struct message_row *m)
{
    struct stream_day_row row = row_of(m->account_id, m->stream_id, m->created_at);
    struct batch *b = batch_new(c->arena);
    struct stream_row stream;
    bool there;

    if (!stream_counts_write(c->svc, &c->err) ||
        !store_look(c->store, &stream_day_kind, row.id, c->arena, &row, &there, &c->err))
        return false;
    if (!there || !is_too_much(&row))
        return true;
    if (!store_look(c->store, &stream_kind, m->stream_id, c->arena, &stream, &there, &c->err))
        return false;
    if (!there || stream.paused_at || m->created_at < stream.resumed_at)
        return true;
    stream_pause_add(b, c->arena, &stream, BYTES("postrider"), BYTES("Too much of its mail is called spam"),
                     numbers(c->arena, &row));
    log_warn("streams", LOG_BYTES("stream", id_text(c->arena, stream_kind.prefix, stream.id)),
             LOG_TEXT("result", "paused"), LOG_INT("mails", row.mails), LOG_INT("complaints", row.complaints));
    if (!store_commit(c->store, b, clock_monotonic() + COMMIT_MS, &c->err))
        return c->err.code == ERR_CONFLICT; /* somebody else was faster */
    streams_changed(c->svc);
    return true;
}
