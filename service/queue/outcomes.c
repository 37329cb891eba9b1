/* service/queue/outcomes.c - see outcomes.h.
 *
 * A line that is cut off (we died while it was written) or makes no sense is passed over: the delivery is then tried
 * again, marked as ambiguous, as if nothing had been noted. */
#include "service/queue/outcomes.h"
#include "base/clock.h"
#include "base/log.h"
#include "service/core/state.h"
#include "service/queue/ending.h"
#include "service/queue/outcome.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define LINE_MAX_BYTES ((size_t)32 * 1024)
#define NOTES_ARENA    ((size_t)16 * 1024 * 1024)

static const char *path_of(struct service *svc, char path[1024])
{
    snprintf(path, 1024, "%s/outcomes.log", svc->data_dir);
    return path;
}

/* ---- writing ---- */

struct writing {
    const char *path;
    struct bytes text;
    bool ok;
};

/* On a worker: the disk may take its time. */
static void append(void *arg)
{
    struct writing *w = arg;
    int fd = open(w->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    w->ok = fd >= 0 && write(fd, w->text.p, w->text.n) == (ssize_t)w->text.n && fdatasync(fd) == 0;
    if (fd >= 0)
        close(fd);
}

static void add_line(const struct done *d, struct arena *a, struct buf *out)
{
    const struct delivery_row *row = &d->work->row;
    struct jw w;

    jw_init(&w, out);
    jw_object(&w);
    jw_key_id(&w, "id", delivery_kind.prefix, row->id);
    jw_key_int(&w, "token", row->token);
    jw_key_text(&w, "status", bytes_of(outcome_row(d->verdict.outcome)->status));
    jw_key_int(&w, "next_at", d->verdict.next_at);
    jw_key_bool(&w, "ambiguous", d->ambiguous);
    jw_key_bool(&w, "dsn", d->verdict.attempt && d->verdict.attempt->dsn);
    jw_key_raw(&w, "last", d->verdict.attempt ? attempt_json(d->verdict.attempt, clock_wall(), a) : NO_BYTES);
    jw_object_end(&w);
    buf_addc(out, '\n');
}

bool outcomes_note(struct service *svc, const struct done *each, size_t n)
{
    struct arena *a = arena_new(NOTES_ARENA);
    char path[1024];
    struct writing w = { .path = path_of(svc, path) };
    struct err e = { 0 };
    struct buf text;

    buf_init(&text, n * LINE_MAX_BYTES);
    for (size_t i = 0; i < n; i++)
        if (!each[i].work->lost)
            add_line(&each[i], a, &text);
    w.text = buf_bytes(&text);
    if (text.overflowed || !offload(POOL_STORE, append, &w, &e) || !w.ok)
        log_error("delivery", LOG_TEXT("result", "outcomes.log not written"), LOG_TEXT("reason", strerror(errno)));
    buf_clear(&text);
    arena_free(&a);
    return w.ok;
}

/* ---- reading ---- */

static struct bytes copied(struct arena *a, struct json_object *o, const char *name)
{
    return arena_copy(a, json_text(o, name));
}

static int64_t number(struct json_object *o, const char *name)
{
    struct json_object *v = json_member(o, name);

    return v ? json_object_get_int64(v) : 0;
}

static void read_attempt(struct arena *a, struct json_object *last, struct attempt *out)
{
    struct json_object *tls = json_member(last, "tls");

    *out = (struct attempt){ .mx = copied(a, last, "mx"),
                             .ip = copied(a, last, "ip"),
                             .source = copied(a, last, "source"),
                             .tls = tls ? json_tree_text(a, tls) : NO_BYTES,
                             .command = copied(a, last, "command"),
                             .code = (int)number(last, "code"),
                             .enhanced = copied(a, last, "enhanced"),
                             .text = copied(a, last, "text"),
                             .cause = copied(a, last, "cause"),
                             .permanence = copied(a, last, "permanence"),
                             .rule = copied(a, last, "rule") };
    if (!clock_parse_rfc3339(json_text(last, "at"), &out->at))
        out->at = 0;
}

static bool outcome_of(struct bytes status, enum outcome *out)
{
    for (int o = 0; o < OUTCOMES; o++)
        if (bytes_equal(status, bytes_of(outcome_row((enum outcome)o)->status))) {
            *out = (enum outcome)o;
            return true;
        }
    return false;
}

/* Does the store still wait for this outcome? */
static bool awaits(const struct delivery_row *row, int64_t token)
{
    return row->token == token && row->lease_until && row->flow.p &&
           (bytes_equal(row->status, BYTES("queued")) || bytes_equal(row->status, BYTES("deferred")));
}

/* False for a failure of the store alone. */
static bool apply(struct service *svc, struct arena *a, struct json_object *line, struct err *e)
{
    struct message_row m = { 0 };
    struct work work = { .message = &m };
    struct done done = { .work = &work };
    struct attempt *attempt = arena_alloc(a, sizeof *attempt);
    bool there = false;
    struct id id;

    if (!id_parse(delivery_kind.prefix, json_text(line, "id"), &id) ||
        !outcome_of(json_text(line, "status"), &done.verdict.outcome))
        return true;
    if (!store_look(svc->store, &delivery_kind, id, a, &work.row, &there, e))
        return false;
    if (!there || !awaits(&work.row, number(line, "token")))
        return true;
    if (!message_of(svc, &work.row, a, &m, &work.message_gone, e))
        return false;
    if (json_member(line, "last")) {
        read_attempt(a, json_member(line, "last"), attempt);
        attempt->dsn = json_object_get_boolean(json_member(line, "dsn"));
        done.verdict.attempt = attempt;
    }
    done.verdict.next_at = number(line, "next_at");
    done.ambiguous = json_object_get_boolean(json_member(line, "ambiguous"));
    return queue_finish(svc, a, &done, 1, e);
}

static bool apply_text(struct service *svc, struct arena *a, struct bytes text, struct err *e)
{
    struct json_object *tree = NULL;
    struct err no_json = { 0 };
    bool ok = true;

    arena_reset(a);
    if (!json_read(text, &tree, &no_json))
        return true;
    if (json_object_is_type(tree, json_type_object))
        ok = apply(svc, a, tree, e);
    json_object_put(tree);
    return ok;
}

bool outcomes_replay(struct service *svc, struct err *e)
{
    struct arena *a = arena_new(NOTES_ARENA);
    char path[1024], *line = NULL;
    FILE *f = fopen(path_of(svc, path), "re"); /* short, and once at a start */
    size_t room = 0, n_lines = 0;
    bool ok = true;
    ssize_t n;

    while (ok && f && (n = getline(&line, &room, f)) > 0) {
        ok = apply_text(svc, a, bytes_trim((struct bytes){ line, (size_t)n }), e);
        n_lines++;
    }
    free(line);
    if (f)
        fclose(f);
    if (ok && f)
        unlink(path);
    if (n_lines)
        log_info("delivery", LOG_TEXT("result", "outcomes.log read"), LOG_INT("lines", n_lines));
    arena_free(&a);
    return ok;
}
