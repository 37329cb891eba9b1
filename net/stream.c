/* net/stream.c - buffers over a transport, and the rule when output leaves.
 *
 * Output leaves before the stream waits for input, so two ends that pipeline cannot wait for one another's buffers,
 * and answers to commands that came together are one write. Buffers are given back at each wait: ten thousand idle
 * sessions hold none. Reading and writing fail separately, because a peer that closed its side may still want our
 * last answer. */
#include "base/clock.h"
#include "base/params.h"
#include "net/loop.h"
#include "net/stream_inner.h"
#include <assert.h>
#include <errno.h>
#include <sys/socket.h>

#define IN_STEP   ((size_t)4096)
#define IN_GROWN  ((size_t)65536) /* a peer that sends in bulk is read in pieces of this size */
#define OUT_STEP  ((size_t)1024)
#define FAREWELL  65536 /* bytes read and dropped at most, so that closing does not reset our last answer */
#define MIN(a, b) ((a) < (b) ? (a) : (b))

struct stream *stream_make(const struct transport *t, const struct stream_options *o)
{
    struct stream *s = calloc(1, sizeof *s);

    if (!s)
        die("out of memory");
    assert(o->in_max > 0 && o->out_max > 0);
    s->transport = t;
    s->watch.fd = -1;
    s->max = *o;
    s->in_hint = IN_STEP;
    s->deadline = CLOCK_NEVER;
    return s;
}

void stream_free(struct stream **s)
{
    if (!*s)
        return;
    stream_tls_free(*s);
    watch_close(&(*s)->watch);
    free((*s)->in);
    free((*s)->out);
    free(*s);
    *s = NULL;
}

void stream_deadline(struct stream *s, int64_t monotonic_ms)
{
    s->deadline = monotonic_ms;
}

void stream_drains(struct stream *s, bool on)
{
    s->drains = on;
}

const struct peer *stream_peer(const struct stream *s)
{
    return &s->peer;
}

uint16_t stream_local_port(const struct stream *s)
{
    return s->local_port;
}

int stream_fd(const struct stream *s)
{
    return s->watch.fd;
}

bool stream_wait(struct stream *s, long answer, int64_t deadline, struct err *e)
{
    bool for_read = answer == IO_WAIT_READ;

    return watch_wait(&s->watch, for_read, deadline,
                      PARK_ENDS_AT_STOP | (for_read && s->drains ? PARK_ENDS_AT_DRAIN : 0), e);
}

/* --- input --- */

struct bytes stream_peek(const struct stream *s)
{
    return (struct bytes){ s->in ? s->in + s->in_start : "", s->in_end - s->in_start };
}

void stream_skip(struct stream *s, size_t n)
{
    assert(n <= s->in_end - s->in_start);
    s->in_start += n;
    s->in_seen = s->in_seen > n ? s->in_seen - n : 0;
}

static void in_release(struct stream *s)
{
    free(s->in);
    s->in = NULL;
    s->in_start = s->in_end = s->in_cap = s->in_seen = 0;
}

static void in_resize(struct stream *s, size_t cap)
{
    char *in = realloc(s->in, cap);

    if (!in)
        die("out of memory");
    s->in = in;
    s->in_cap = cap;
}

/* Makes room behind the input; false when in_max bytes are there. Bytes move only when half the buffer is free or
 * nothing else helps, so each moves a bounded number of times. */
static bool in_room(struct stream *s)
{
    size_t held = s->in_end - s->in_start;

    if (held >= s->max.in_max)
        return false;
    if (s->in_start > 0 && (held <= s->in_cap / 2 || s->in_end == s->in_cap)) {
        memmove(s->in, s->in + s->in_start, held);
        s->in_start = 0;
        s->in_end = held;
    }
    if (held == 0 && s->in_cap < MIN(s->in_hint, s->max.in_max))
        in_resize(s, MIN(s->in_hint, s->max.in_max));
    else if (s->in_end == s->in_cap)
        in_resize(s, MIN(2 * s->in_cap, s->max.in_max));
    return true;
}

static bool in_end_with(struct stream *s, enum err_code code, struct err *e)
{
    s->in_failed = code;
    return err_set(e, code, code == ERR_TIMEOUT ? "%s sent nothing in time" : "%s closed the connection", s->peer.text);
}

static long read_once(struct stream *s)
{
    size_t room = s->in_cap - s->in_end;
    long n = s->transport->read(s, s->in + s->in_end, room);

    if (n <= 0)
        return n;
    s->in_end += (size_t)n;
    if ((size_t)n == room && s->in_hint < IN_GROWN)
        s->in_hint *= 2;
    return n;
}

/* Nothing has come: our answers leave, an empty buffer goes, and the fiber sleeps. */
static bool wait_for_input(struct stream *s, long answer, struct err *e)
{
    if (!stream_flush(s, e))
        return false;
    if (s->in_start == s->in_end)
        in_release(s);
    free(s->out);
    s->out = NULL;
    s->out_cap = 0;
    if (stream_wait(s, answer, s->deadline, e))
        return true;
    return e->code == ERR_TIMEOUT ? in_end_with(s, ERR_TIMEOUT, e) : false;
}

bool stream_fill(struct stream *s, struct err *e)
{
    if (s->in_failed)
        return in_end_with(s, s->in_failed, e);
    for (;;) {
        long n = IO_WAIT_READ;
        struct err ignored = { 0 };

        if (s->transport->may_read(s)) {
            if (!in_room(s))
                return err_set(e, ERR_TOO_LARGE, "more than %zu bytes at once", s->max.in_max);
            n = read_once(s);
        }
        if (n > 0)
            return true;
        if (n == IO_END || n == IO_FAILED) {
            stream_flush(s, &ignored); /* the peer may have closed its side only */
            return in_end_with(s, ERR_CLOSED, e);
        }
        if (s->in_end - s->in_start >= s->max.in_max)
            return err_set(e, ERR_TOO_LARGE, "more than %zu bytes at once", s->max.in_max);
        if (!wait_for_input(s, n, e))
            return false;
    }
}

bool stream_await(struct stream *s, int64_t until, struct err *e)
{
    int64_t deadline = s->deadline;
    bool came;

    s->deadline = until;
    came = stream_fill(s, e);
    s->deadline = deadline;
    if (!came && s->in_failed == ERR_TIMEOUT && !s->out_failed)
        s->in_failed = ERR_NONE;
    return came;
}

bool stream_has_input(struct stream *s)
{
    if (s->in_start < s->in_end)
        return true;
    if (s->transport == &transport_memory || s->in_failed || !s->transport->may_read(s))
        return false;
    return in_room(s) && read_once(s) > 0;
}

/* Offset behind the next LF in what has come, or 0. Bytes looked at once are not looked at again. */
static size_t line_end(struct stream *s)
{
    struct bytes have = stream_peek(s);
    const char *lf = memchr(have.p + s->in_seen, '\n', have.n - s->in_seen);

    s->in_seen = have.n;
    return lf ? (size_t)(lf - have.p) + 1 : 0;
}

bool stream_line(struct stream *s, size_t max, struct bytes *line, struct err *e)
{
    for (;;) {
        size_t n = line_end(s);

        if (n > max || (n == 0 && s->in_end - s->in_start >= max)) {
            s->in_seen = 0;
            return err_set(e, ERR_TOO_LARGE, "line over %zu bytes", max);
        }
        if (n > 0) {
            *line = (struct bytes){ s->in + s->in_start, n };
            s->in_start += n;
            s->in_seen = 0;
            return true;
        }
        if (!stream_fill(s, e))
            return false;
    }
}

bool stream_skip_line(struct stream *s, size_t max, struct err *e)
{
    for (size_t skipped = 0;;) {
        struct bytes have = stream_peek(s);
        const char *end = have.n ? memmem(have.p, have.n, "\r\n", 2) : NULL;
        /* A CR at the end may be half of the CRLF that is looked for: it stays. */
        size_t drop = end ? (size_t)(end - have.p) + 2 : have.n - bytes_ends(have, BYTES("\r"));

        stream_skip(s, drop);
        s->in_seen = 0;
        skipped += drop;
        if (end)
            return true;
        if (skipped > max)
            return err_set(e, ERR_TOO_LARGE, "line over %zu bytes", max);
        if (!stream_fill(s, e))
            return false;
    }
}

/* --- output --- */

static bool out_end_with(struct stream *s, enum err_code code, struct err *e)
{
    s->in_failed = s->out_failed = code;
    s->out_n = 0;
    return err_set(e, code, code == ERR_TIMEOUT ? "%s took nothing in time" : "%s closed the connection", s->peer.text);
}

/* Writes all of b, waiting as needed. */
static bool send_all(struct stream *s, struct bytes b, struct err *e)
{
    while (b.n) {
        long n = s->transport->write(s, b.p, b.n);

        if (n > 0)
            b = bytes_from(b, (size_t)n);
        else if (n == IO_END || n == IO_FAILED)
            return out_end_with(s, ERR_CLOSED, e);
        else if (!stream_wait(s, n, s->deadline, e))
            return out_end_with(s, e->code, e);
    }
    return true;
}

bool stream_flush(struct stream *s, struct err *e)
{
    struct bytes all = { s->out, s->out_n };

    if (s->out_failed)
        return out_end_with(s, s->out_failed, e);
    if (!all.n)
        return true;
    s->out_n = 0;
    return send_all(s, all, e);
}

size_t stream_queued(const struct stream *s)
{
    return s->out_n;
}

static void out_add(struct stream *s, struct bytes b)
{
    size_t cap = s->out_cap ? s->out_cap : OUT_STEP;

    while (cap < s->out_n + b.n)
        cap *= 2;
    if (cap != s->out_cap) {
        char *out = realloc(s->out, cap);

        if (!out)
            die("out of memory");
        s->out = out;
        s->out_cap = cap;
    }
    memcpy(s->out + s->out_n, b.p, b.n);
    s->out_n += b.n;
}

bool stream_write(struct stream *s, struct bytes b, struct err *e)
{
    size_t high = MIN((size_t)PARAM_INT(net, write_high), s->max.out_max);

    if (s->out_failed)
        return out_end_with(s, s->out_failed, e);
    if (s->out_n + b.n > high && !stream_flush(s, e))
        return false;
    if (b.n >= high)
        return send_all(s, b, e);
    if (b.n)
        out_add(s, b);
    return true;
}

/* *n becomes what of b was taken. */
static bool send_some(struct stream *s, struct bytes b, size_t *n, struct err *e)
{
    *n = 0;
    while (*n < b.n) {
        long put = s->transport->write(s, b.p + *n, b.n - *n);

        if (put == IO_END || put == IO_FAILED)
            return out_end_with(s, ERR_CLOSED, e);
        if (put < 0)
            return true;
        *n += (size_t)put;
    }
    return true;
}

bool stream_offer(struct stream *s, struct bytes b, size_t *taken, struct err *e)
{
    size_t queued;

    *taken = 0;
    if (s->out_failed)
        return out_end_with(s, s->out_failed, e);
    if (!send_some(s, (struct bytes){ s->out, s->out_n }, &queued, e))
        return false;
    s->out_n -= queued;
    if (s->out_n) {
        memmove(s->out, s->out + queued, s->out_n);
        return true;
    }
    return send_some(s, b, taken, e);
}

bool stream_await_room(struct stream *s, int64_t until, struct err *e)
{
    if (s->out_failed)
        return out_end_with(s, s->out_failed, e);
    return watch_wait(&s->watch, false, until, PARK_ENDS_AT_STOP, e);
}

void stream_shutdown(struct stream *s)
{
    struct err e = { 0 };
    char drop[2048];

    if (!s->out_failed)
        stream_flush(s, &e);
    if (s->watch.fd < 0)
        return;
    if (!s->out_failed)
        stream_tls_goodbye(s);
    shutdown(s->watch.fd, SHUT_WR);
    for (int i = 0; i < FAREWELL / (int)sizeof drop; i++)
        if (recv(s->watch.fd, drop, sizeof drop, MSG_DONTWAIT) <= 0)
            break;
}

void stream_linger(struct stream *s, int64_t silence, int64_t until, size_t most)
{
    size_t total = 0, room = IN_GROWN;
    char *sink = malloc(room);
    struct err ignored = { 0 };

    if (!sink)
        die("out of memory");
    while (s->watch.fd >= 0 && total < most) {
        long n = watch_read(&s->watch, sink, room);
        int64_t end = clock_monotonic() + silence;

        if (n > 0)
            total += (size_t)n;
        else if (n == 0 || errno != EAGAIN ||
                 !watch_wait(&s->watch, true, end < until ? end : until, PARK_ENDS_AT_STOP | PARK_ENDS_AT_DRAIN,
                             &ignored))
            break;
        if (clock_monotonic() >= until)
            break;
    }
    free(sink);
}

bool stream_cut(struct stream *s)
{
    if (s->watch.fd < 0 || s->watch.sleeper)
        return false;
    watch_close(&s->watch);
    s->in_failed = s->out_failed = ERR_CLOSED;
    s->out_n = 0;
    return true;
}
