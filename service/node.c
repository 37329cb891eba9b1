/* service/node.c - which process this is: node.id in the data folder, and its row in the store.
 *
 * Locks and leases are held in the name of the node id, and are void when it starts. So two processes must never run
 * under one id: a folder that was copied from one whose server still runs is refused. The row says where the folder lay
 * (`load`: host and folder); that one's `lock` file tells whether its server lives. */
#include "service/secret_file.h"
#include "service/service_private.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

bool node_open(struct service *svc, struct err *e)
{
    struct arena *a = arena_new(64 * 1024);
    const char *path = arena_printf(a, "%s/node.id", svc->data_dir);
    struct bytes text;
    bool found, ok;

    ok = secret_read(path, a, &text, &found, e);
    if (ok && found && !id_parse("nod", bytes_trim(text), &svc->node))
        ok = err_set(e, ERR_INVALID, "%s holds no node id: remove it, and the server makes a new one", path);
    if (ok && !found) {
        svc->node = id_new();
        ok = secret_write(path, arena_bytesf(a, "%.*s\n", SHOW(id_text(a, "nod", svc->node))), e);
    }
    arena_free(&a);
    return ok;
}

static struct bytes host_name(struct arena *a)
{
    char name[256] = "";

    if (gethostname(name, sizeof name - 1) != 0)
        return BYTES("unknown");
    return arena_copy(a, bytes_of(name));
}

static struct bytes where_we_are(const struct service *svc, struct arena *a)
{
    char *real = realpath(svc->data_dir, NULL);
    struct bytes folder = arena_copy(a, bytes_of(real ? real : svc->data_dir));

    free(real);
    return folder;
}

static struct bytes load_text(const struct service *svc, struct arena *a)
{
    struct buf out;
    struct jw w;
    struct bytes text;

    buf_init(&out, 64 * 1024);
    jw_init(&w, &out);
    jw_object(&w);
    jw_key_text(&w, "host", host_name(a));
    jw_key_text(&w, "folder", where_we_are(svc, a));
    jw_key_text(&w, "boot", bytes_of(svc->boot));
    jw_object_end(&w);
    text = arena_copy(a, buf_bytes(&out));
    buf_clear(&out);
    return text;
}

/* Does a server hold the lock of this folder, and has it our node id? */
static bool lives_in(const struct service *svc, struct bytes folder, struct arena *a)
{
    struct err ignored = { 0 };
    struct bytes text;
    struct id other;
    bool found, locked;
    int fd;

    if (!secret_read(arena_printf(a, "%.*s/node.id", SHOW(folder)), a, &text, &found, &ignored) || !found ||
        !id_parse("nod", bytes_trim(text), &other) || !id_equal(other, svc->node))
        return false;
    fd = open(arena_printf(a, "%.*s/lock", SHOW(folder)), O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    locked = flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    close(fd);
    return locked;
}

static bool is_copy(const struct service *svc, const struct node_row *row, struct arena *a, struct err *e)
{
    struct json_object *load = NULL;
    struct bytes folder;
    bool copy;

    if (!row->load.p || !json_read(row->load, &load, e))
        return false;
    folder = json_text(load, "folder");
    copy = folder.p && !bytes_equal(folder, where_we_are(svc, a)) &&
           bytes_equal(json_text(load, "host"), host_name(a)) && lives_in(svc, folder, a);
    if (copy)
        err_set(e, ERR_INVALID,
                "%s is a copy of %.*s, whose server runs with the same node id: stop that one, or remove node.id here",
                svc->data_dir, SHOW(folder));
    json_object_put(load);
    return copy;
}

static struct node_row row_now(const struct service *svc, struct arena *a, bool draining)
{
    struct bytes name = PARAM_TEXT(server, node_name);

    return (struct node_row){
        .id = svc->node,
        .name = name.n ? name : host_name(a),
        .version = BYTES(POSTRIDER_VERSION),
        .started_at = svc->started_at,
        .seen_at = store_now(svc->store),
        .draining = draining,
        .load = load_text(svc, a),
    };
}

static bool row_write(struct service *svc, bool there, bool draining, struct arena *a, struct err *e)
{
    struct batch *b = batch_new(a);
    struct node_row row = row_now(svc, a, draining);
    struct set sets[] = {
        SET("name", V_TEXT(row.name)),
        SET("version", V_TEXT(row.version)),
        SET("started_at", V_TIME(row.started_at)),
        SET("seen_at", V_TIME(row.seen_at)),
        SET("load", V_JSON(row.load)),
        SET("draining", V_BOOL(draining)),
    };

    if (there)
        batch_update(b, &node_kind, svc->node, NULL, 0, sets, sizeof sets / sizeof *sets);
    else
        batch_insert(b, &node_kind, &row, NULL, 0);
    return store_commit(svc->store, b, clock_monotonic() + START_DEADLINE_MS, e);
}

bool node_claim(struct service *svc, struct err *e)
{
    struct arena *a = arena_new(1024 * 1024);
    struct node_row row = { 0 };
    struct err missing = { 0 }, copied = { 0 };
    bool there = store_get(svc->store, &node_kind, svc->node, a, &row, &missing), ok = false;

    if (!there && missing.code != ERR_MISSING)
        *e = missing;
    else if (there && is_copy(svc, &row, a, &copied))
        *e = copied;
    else
        ok = row_write(svc, there, false, a, e);
    arena_free(&a);
    return ok;
}

static void beat(struct service *svc, bool draining)
{
    struct arena *a = arena_new(1024 * 1024);
    struct err e = { 0 };

    if (!row_write(svc, true, draining, a, &e))
        log_warn("node", LOG_TEXT("result", "no heartbeat"), LOG_TEXT("reason", e.message));
    arena_free(&a);
}

void node_heartbeat(struct service *svc)
{
    while (service_sleep(svc, HEARTBEAT_MS))
        beat(svc, false);
}

void node_leave(struct service *svc)
{
    beat(svc, true);
}
