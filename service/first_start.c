/* service/first_start.c - a store without accounts gets the operator's account and its admin key. Nobody becomes
 * operator by coming first: the key is in a file that only the owner of the data folder can read. */
#include "service/secret_file.h"
#include "service/service_private.h"

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

static bool make_operator(struct service *svc, struct arena *a, const struct key_secret *secret, struct err *e)
{
    struct batch *b = batch_new(a);
    struct account_row account = {
        .id = id_new(), .name = BYTES("operator"), .operator= true, .created_at = clock_wall()
    };
    struct key_row key;

    key_row_make(&key, account.id, BYTES("admin"), SCOPE_ALL, false, secret);
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

/* The file comes before the row: a crash between them leaves a key that opens nothing, and the next start makes
 * another. */
bool first_start(struct service *svc, const struct service_options *o, struct err *e)
{
    struct arena *a = arena_new(1024 * 1024);
    const char *path = o->admin_key_file ? o->admin_key_file : arena_printf(a, "%s/admin.key", svc->data_dir);
    struct key_secret secret;
    bool found, ok = find_operator(svc, a, &found, e);

    if (ok && !found) {
        key_secret_make(false, a, &secret);
        ok = secret_write(path, arena_bytesf(a, "%.*s\n", SHOW(secret.text)), e) && make_operator(svc, a, &secret, e);
        if (ok)
            tell(o, path, secret.text);
    }
    arena_free(&a);
    return ok;
}
