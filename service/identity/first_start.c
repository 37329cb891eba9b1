/* service/identity/first_start.c - a store without accounts gets the operator's account and its admin key. Nobody
 * becomes operator by coming first: the key is in a file that only the owner of the data folder can read. Of several
 * nodes that start on an empty store at once one makes them: the hidden setting FIRST_START commits with the account,
 * once. */
#include "service/identity/first_start.h"
#include "service/core/secret_file.h"
#include "service/core/state.h"
#include "service/identity/key_secret.h"
#include <unistd.h>

#define FIRST_START "server.first_start"

static bool find_operator(struct service *svc, struct arena *a, bool *found, struct err *e)
{
    struct query q = {
        .kind = &account_kind, .conds = { COND("operator", IS, V_BOOL(true)) }, .n_conds = 1, .limit = 1
    };
    struct account_row *rows;
    size_t n;

    if (!store_find(svc->store, &q, a, (void **)&rows, &n, e))
        return false;
    *found = n > 0;
    if (n)
        svc->operator_account = rows[0].id;
    return true;
}

/* False with ERR_CONFLICT when another node was faster. */
static bool make_operator(struct service *svc, struct arena *a, const struct key_secret *secret, struct err *e)
{
    struct batch *b = batch_new(a);
    struct account_row account = {
        .id = id_new(), .name = BYTES("operator"), .operator= true, .created_at = clock_wall()
    };
    struct setting_row mark = {
        .id = id_new(), .name = BYTES(FIRST_START), .value = BYTES("done"), .updated_at = clock_wall()
    };
    struct key_row key;

    key_row_make(&key, account.id, BYTES("admin"), SCOPE_ALL, false, secret);
    batch_insert(b, &setting_kind, &mark, NULL, 0);
    batch_insert(b, &account_kind, &account, NULL, 0);
    batch_insert(b, &key_kind, &key, NULL, 0);
    if (!store_commit(svc->store, b, clock_monotonic() + START_DEADLINE_MS, e))
        return false;
    svc->operator_account = account.id;
    return true;
}

static void tell(const struct service_options *o, const char *path, struct bytes secret)
{
    log_info("service", LOG_TEXT("result", "first start"), LOG_TEXT("admin_key", path));
    if (!o->may_print_admin_key)
        return;
    printf("The admin key, also in %s:\n\n    %.*s\n\n", path, SHOW(secret));
    fflush(stdout);
}

/* Nothing is overwritten, not even the key of a store that is gone. */
static bool set_aside(const char *path, struct arena *a, struct err *e)
{
    return rename(path, arena_printf(a, "%s.lost-%lld", path, (long long)clock_wall())) == 0 ||
           err_set(e, ERR_INVALID, "%s cannot be renamed: move it away", path);
}

static bool make(struct service *svc, const struct service_options *o, const char *path, struct arena *a, struct err *e)
{
    struct key_secret secret;
    struct err why = { 0 };
    bool found;

    key_secret_make(false, a, &secret);
    if (o->accept_loss && access(path, F_OK) == 0 && !set_aside(path, a, e))
        return false;
    if (!secret_write(path, arena_bytesf(a, "%.*s\n", SHOW(secret.text)), e))
        return false;
    if (make_operator(svc, a, &secret, &why)) {
        tell(o, path, secret.text);
        return true;
    }
    if (why.code != ERR_CONFLICT) {
        *e = why;
        return false;
    }
    unlink(path); /* it opens nothing: the key is in the folder of the node that was faster */
    return find_operator(svc, a, &found, e) &&
           (found || err_set(e, ERR_INTERNAL, "The store has been started before, but has no operator's account"));
}

/* The file comes before the row: a crash between them leaves a key that opens nothing, and the next start makes
 * another. */
bool first_start(struct service *svc, const struct service_options *o, struct err *e)
{
    struct arena *a = arena_new(1024 * 1024);
    const char *path = o->admin_key_file ? o->admin_key_file : arena_printf(a, "%s/admin.key", svc->data_dir);
    bool found, ok = find_operator(svc, a, &found, e) && (found || make(svc, o, path, a, e));

    arena_free(&a);
    return ok;
}
