/* service/core/node.c - which process this is: node.id in the data folder, and its row in the store.
 *
 * Locks and leases are held in the name of the node id, and are void when it starts. So two processes must never run
 * under one id: a folder that was copied from one whose server still runs is refused. The row says where the folder lay
 * (`load`: host and folder; and what name and addresses the node has, see service/queue/ourselves.h). On this host that
 * one's `lock` file tells whether its server lives; of another host the heartbeat does, which is younger than
 * NODE_ALIVE_MS and not the last one of a server that ended. A process that finds its row taken over says so in the
 * log: it holds no lock any more, since those are fenced. */
#include "service/core/node.h"
#include "net/interfaces.h"
#include "service/core/secret_file.h"
#include "service/core/state.h"
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
    if (ok && !found)
        svc->node = id_new();
    arena_free(&a);
    return ok;
}

bool node_keep(struct service *svc, struct err *e)
{
    struct arena *a = arena_new(64 * 1024);
    const char *path = arena_printf(a, "%s/node.id", svc->data_dir);
    bool ok =
        access(path, F_OK) == 0 || secret_write(path, arena_bytesf(a, "%.*s\n", SHOW(id_text(a, "nod", svc->node))), e);

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

/* ---- its addresses ---- */

/* "127.0.0.1:25", "[::1]:25"; a name or "*" says no more than the interfaces do. */
static bool listens_on(struct bytes item, struct network *out)
{
    struct bytes host = bytes_head(item, bytes_find_last(item, ':'));

    if (host.n > 2 && *host.p == '[')
        host = bytes_head(bytes_from(host, 1), host.n - 2);
    return network_parse_address(host, out);
}

static size_t add_list(struct bytes list, bool doors, struct network *out, size_t n, size_t most)
{
    struct bytes item;

    while (list.n && n < most) {
        bytes_cut(list, ',', &item, &list);
        item = bytes_trim(item);
        n += doors ? listens_on(item, &out[n]) : network_parse(item, &out[n]);
    }
    return n;
}

size_t node_addresses(struct network *out, size_t most)
{
    size_t n = add_list(PARAM_TEXT(delivery, own_addresses), false, out, 0, most);

    n = add_list(PARAM_TEXT(smtp, listen), true, out, n, most);
    n = add_list(PARAM_TEXT(submission, listen), true, out, n, most);
    n = add_list(PARAM_TEXT(submissions, listen), true, out, n, most);
    return n + interfaces_list(out + n, most - n);
}

/* Those of one machine alone, as loopback, say nothing to others. */
static void add_addresses(struct jw *w, struct arena *a)
{
    struct network *list = arena_array(a, NODE_ADDRESSES_MOST, sizeof *list);
    size_t n = node_addresses(list, NODE_ADDRESSES_MOST),
           named = add_list(PARAM_TEXT(delivery, own_addresses), false, list, 0, NODE_ADDRESSES_MOST);
    char text[NETWORK_TEXT];

    jw_key(w, "addresses");
    jw_array(w);
    for (size_t i = 0; i < n; i++)
        if (i < named || interfaces_is_global(&list[i]))
            jw_text(w, network_show(&list[i], text));
    jw_array_end(w);
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
    jw_key_text(&w, "hostname", PARAM_TEXT(server, hostname));
    add_addresses(&w, a);
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

static bool is_alive(const struct service *svc, const struct node_row *row)
{
    return !row->draining && row->seen_at > store_now(svc->store) - NODE_ALIVE_MS;
}

/* Does another process run under our id? False fills e. `there` says where the row's process ran. */
static bool is_alone(const struct service *svc, const struct node_row *row, struct json_object *there, struct arena *a,
                     struct err *e)
{
    struct bytes folder = json_text(there, "folder"), host = json_text(there, "host");

    if (!folder.p || !host.p)
        return true;
    if (!bytes_equal(host, host_name(a)))
        return !is_alive(svc, row) ||
               err_set(e, ERR_INVALID,
                       "%s/node.id is that of a server that runs on %.*s in %.*s: stop that one, or remove node.id "
                       "here. One that was killed is forgotten after %d s",
                       svc->data_dir, SHOW(host), SHOW(folder), NODE_ALIVE_MS / 1000);
    return bytes_equal(folder, where_we_are(svc, a)) || !lives_in(svc, folder, a) ||
           err_set(e, ERR_INVALID,
                   "%s is a copy of %.*s, whose server runs with the same node id: stop that one, or remove node.id "
                   "here",
                   svc->data_dir, SHOW(folder));
}

static bool check_row(const struct service *svc, const struct node_row *row, struct arena *a, struct err *e)
{
    struct json_object *there = NULL;
    struct err unreadable = { 0 };
    bool ok;

    if (!row->load.p || !json_read(row->load, &there, &unreadable))
        return true;
    ok = is_alone(svc, row, there, a, e);
    json_object_put(there);
    return ok;
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

enum row { ROW_NEW, ROW_OTHERS, ROW_OURS };

/* ERR_CONFLICT when a row that should be ours is another process's. */
static bool row_write(struct service *svc, enum row was, bool draining, struct arena *a, struct err *e)
{
    struct cond ours = COND("started_at", IS, V_TIME(svc->started_at));
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

    if (was == ROW_NEW)
        batch_insert(b, &node_kind, &row, NULL, 0);
    else
        batch_update(b, &node_kind, svc->node, &ours, was == ROW_OURS ? 1 : 0, sets, sizeof sets / sizeof *sets);
    return store_commit(svc->store, b, clock_monotonic() + START_DEADLINE_MS, e);
}

bool node_alone(struct service *svc, struct err *e)
{
    struct arena *a = arena_new(1024 * 1024);
    struct node_row row = { 0 };
    bool there, ok = store_look(svc->store, &node_kind, svc->node, a, &row, &there, e) &&
                     (!there || check_row(svc, &row, a, e));

    arena_free(&a);
    if (ok)
        store_end_earlier(svc->store);
    return ok;
}

bool node_claim(struct service *svc, struct err *e)
{
    struct arena *a = arena_new(1024 * 1024);
    struct node_row row = { 0 };
    bool there, ok = store_look(svc->store, &node_kind, svc->node, a, &row, &there, e) &&
                     row_write(svc, there ? ROW_OTHERS : ROW_NEW, false, a, e);

    arena_free(&a);
    return ok;
}

static void beat(struct service *svc, bool draining)
{
    struct arena *a = arena_new(1024 * 1024);
    struct err e = { 0 };

    if (row_write(svc, ROW_OURS, draining, a, &e)) {
        arena_free(&a);
        return;
    }
    if (e.code == ERR_CONFLICT)
        log_error("node", LOG_TEXT("result", "another process runs under our node id"),
                  LOG_TEXT("reason", "stop one of them, and remove node.id in its data folder"));
    else
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
