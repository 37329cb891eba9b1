#include "api/exchange.h"
#include "api/private.h"
#include "api/request.h"
#include "base/clock.h"
#include "base/params.h"

#define OUT_STEP ((size_t)256 * 1024) /* a streamed answer's bytes that wait for the client */
#define OUT_MOST ((size_t)4 * 1024 * 1024)

struct exchange *exchange_new(struct api *api, const char *target)
{
    struct exchange *x = calloc(1, sizeof *x);
    char *copy = strdup(target);

    if (!x || !copy)
        die("out of memory: a request");
    x->api = api;
    x->target = bytes_of(copy);
    x->holders = 1;
    pthread_mutex_init(&x->lock, NULL);
    return x;
}

void exchange_drop(struct exchange *x)
{
    if (atomic_fetch_sub(&x->holders, 1) > 1)
        return;
    if (x->response)
        MHD_destroy_response(x->response);
    request_free(&x->request);
    atomic_fetch_sub(&x->api->body_memory, (int64_t)x->counted);
    buf_clear(&x->in);
    buf_clear(&x->out);
    pthread_mutex_destroy(&x->lock);
    free((char *)x->target.p);
    free(x);
}

/* ---- both sides, with the lock held ---- */

static void wake(struct exchange *x)
{
    struct waiter *w = x->waiting;

    x->waiting = NULL;
    if (w)
        waiter_wake(w);
}

static void resume(struct exchange *x)
{
    if (!x->suspended)
        return;
    x->suspended = false;
    MHD_resume_connection(x->mhd);
}

static void suspend(struct exchange *x)
{
    x->suspended = true;
    MHD_suspend_connection(x->mhd);
}

static enum MHD_Result queue(struct exchange *x)
{
    struct MHD_Response *response = x->response;
    enum MHD_Result result;

    x->response = NULL;
    x->queued = true;
    atomic_store(&x->line->reading, false);
    atomic_store(&x->line->due, clock_monotonic() + PARAM_INT(api, answer_deadline));
    result = MHD_queue_response(x->mhd, x->status, response);
    MHD_destroy_response(response);
    return result;
}

/* ---- libmicrohttpd's side ---- */

static void start(struct exchange *x)
{
    struct err e = { 0 };

    x->started = true;
    atomic_fetch_add(&x->holders, 1);
    atomic_fetch_add(&x->api->running, 1);
    if (fiber_start(FIBER_ANY, request_run, x->request, &e))
        return;
    request_refuse(x->request, &e); /* sets x->response; the body is dropped */
    api_request_ended(x->api);
    atomic_fetch_sub(&x->holders, 1);
}

enum MHD_Result exchange_head(struct exchange *x, const char *method)
{
    enum MHD_Result result = MHD_YES;

    x->plan = request_begin(x, method);
    pthread_mutex_lock(&x->lock);
    if (x->plan == BODY_REFUSE) {
        atomic_store(&x->line->unread, true);
        result = queue(x);
    } else if (x->plan == BODY_WAIT) {
        start(x);
    }
    pthread_mutex_unlock(&x->lock);
    return result;
}

/* Counts against the memory of all bodies together. */
static bool memory_take(struct exchange *x, size_t n)
{
    struct api *api = x->api;

    if (atomic_fetch_add(&api->body_memory, (int64_t)n) + (int64_t)n > PARAM_INT(api, body_memory)) {
        atomic_fetch_sub(&api->body_memory, (int64_t)n);
        return false;
    }
    x->counted += n;
    return true;
}

static void body_fails(struct exchange *x, enum err_code why)
{
    struct err e = { 0 };

    x->in_error = why;
    if (x->plan == BODY_COLLECT && !x->started) {
        x->plan = BODY_DROP;
        if (why == ERR_TOO_LARGE)
            err_set(&e, why, "The body is larger than %zu bytes", x->in_max);
        else
            err_set(&e, why, "Too many large requests at once; try again later");
        request_refuse(x->request, &e);
    }
}

static void keep(struct exchange *x, struct bytes data)
{
    if (x->in_total + data.n > x->in_max) {
        body_fails(x, ERR_TOO_LARGE);
    } else if (!x->in_step && !memory_take(x, data.n)) {
        body_fails(x, ERR_BUSY);
    } else {
        x->in_total += data.n;
        buf_add(&x->in, data);
    }
}

enum MHD_Result exchange_bytes(struct exchange *x, const char *data, size_t *n)
{
    enum MHD_Result result = MHD_YES;

    pthread_mutex_lock(&x->lock);
    if (x->plan == BODY_DROP || x->in_error || x->response || x->queued) {
        x->in_total += *n;
        result = x->in_total > x->in_max + API_DROP_MOST ? MHD_NO : MHD_YES;
        *n = 0;
    } else if (x->plan == BODY_WAIT || (x->in_step && x->in.n >= x->in_step)) {
        suspend(x);
    } else {
        keep(x, (struct bytes){ data, *n });
        *n = 0;
    }
    wake(x);
    pthread_mutex_unlock(&x->lock);
    return result;
}

enum MHD_Result exchange_complete(struct exchange *x)
{
    enum MHD_Result result = MHD_YES;

    pthread_mutex_lock(&x->lock);
    x->in_end = true;
    atomic_store(&x->line->reading, false);
    atomic_store(&x->line->due, CLOCK_NEVER);
    if (!x->response && !x->started)
        start(x);
    if (x->response)
        result = x->queued ? MHD_YES : queue(x);
    else
        suspend(x);
    wake(x);
    pthread_mutex_unlock(&x->lock);
    return result;
}

void exchange_gone(struct exchange *x)
{
    pthread_mutex_lock(&x->lock);
    x->gone = true;
    wake(x);
    pthread_mutex_unlock(&x->lock);
    exchange_drop(x);
}

/* ---- the fiber's side ---- */

/* Sleeps until the other side has done something. */
static void wait_locked(struct exchange *x)
{
    struct waiter w;

    waiter_init(&w);
    x->waiting = &w;
    pthread_mutex_unlock(&x->lock);
    waiter_wait(&w);
    pthread_mutex_lock(&x->lock);
}

void exchange_accept(struct exchange *x, size_t max, size_t step)
{
    pthread_mutex_lock(&x->lock);
    if (x->plan == BODY_WAIT) {
        x->plan = BODY_COLLECT;
        x->in_max = max;
        x->in_step = step;
        buf_init(&x->in, step ? step + API_CHUNK_MOST : max);
    }
    resume(x);
    pthread_mutex_unlock(&x->lock);
}

static bool body_error(const struct exchange *x, struct err *e)
{
    if (x->in_error == ERR_TOO_LARGE)
        return err_set(e, ERR_TOO_LARGE, "The body is larger than %zu bytes", x->in_max);
    if (x->in_error)
        return err_set(e, x->in_error, "Too many large requests at once; try again later");
    if (x->gone && !x->in_end)
        return err_set(e, ERR_CLOSED, "The client went away");
    return true;
}

bool exchange_collect(struct exchange *x, struct err *e)
{
    bool whole;

    pthread_mutex_lock(&x->lock);
    while (!x->in_end && !x->gone && !x->in_error)
        wait_locked(x);
    whole = body_error(x, e);
    pthread_mutex_unlock(&x->lock);
    return whole;
}

bool exchange_piece(struct exchange *x, struct buf *piece, struct err *e)
{
    bool good;

    buf_reset(piece);
    pthread_mutex_lock(&x->lock);
    while (!x->in.n && !x->in_end && !x->gone && !x->in_error)
        wait_locked(x);
    good = body_error(x, e);
    if (good) {
        struct buf taken = x->in;

        x->in = *piece;
        *piece = taken;
        if (!x->in.max)
            buf_init(&x->in, taken.max);
        if (!x->in_end)
            resume(x);
    }
    pthread_mutex_unlock(&x->lock);
    return good;
}

void exchange_forget_body(struct exchange *x)
{
    pthread_mutex_lock(&x->lock);
    buf_clear(&x->in);
    atomic_fetch_sub(&x->api->body_memory, (int64_t)x->counted);
    x->counted = 0;
    pthread_mutex_unlock(&x->lock);
}

void exchange_answer(struct exchange *x, unsigned status, struct MHD_Response *response)
{
    pthread_mutex_lock(&x->lock);
    x->status = status;
    x->response = response;
    resume(x);
    pthread_mutex_unlock(&x->lock);
}

/* ---- streamed answers ---- */

static ssize_t read_out(void *ctx, uint64_t at, char *to, size_t most)
{
    struct exchange *x = ctx;
    ssize_t n = 0;

    (void)at;
    pthread_mutex_lock(&x->lock);
    if (x->out_at < x->out.n) {
        n = (ssize_t)(x->out.n - x->out_at < most ? x->out.n - x->out_at : most);
        memcpy(to, x->out.p + x->out_at, (size_t)n);
        x->out_at += (size_t)n;
        if (x->out_at == x->out.n) {
            x->out_at = 0;
            buf_reset(&x->out);
        }
        wake(x);
    } else if (x->out_failed) {
        n = MHD_CONTENT_READER_END_WITH_ERROR;
    } else if (x->out_end) {
        n = MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        suspend(x);
    }
    pthread_mutex_unlock(&x->lock);
    return n;
}

static void read_out_free(void *ctx)
{
    exchange_drop(ctx);
}

struct MHD_Response *exchange_stream(struct exchange *x, int64_t size)
{
    buf_init(&x->out, OUT_MOST);
    atomic_fetch_add(&x->holders, 1);
    return MHD_create_response_from_callback(size < 0 ? MHD_SIZE_UNKNOWN : (uint64_t)size, 16384, read_out, x,
                                             read_out_free);
}

bool exchange_write(struct exchange *x, struct bytes piece, struct err *e)
{
    bool gone;

    pthread_mutex_lock(&x->lock);
    while (x->out.n >= OUT_STEP && !x->gone)
        wait_locked(x);
    gone = x->gone;
    if (!gone) {
        buf_add(&x->out, piece);
        resume(x);
    }
    pthread_mutex_unlock(&x->lock);
    if (x->out.overflowed)
        return err_set(e, ERR_INTERNAL, "A piece of %zu bytes is too large to stream", piece.n);
    return !gone || err_set(e, ERR_CLOSED, "The client went away");
}

void exchange_write_end(struct exchange *x, bool failed)
{
    pthread_mutex_lock(&x->lock);
    x->out_end = true;
    x->out_failed = failed;
    resume(x);
    pthread_mutex_unlock(&x->lock);
}
