#include "tests/store/place.h"
#include "base/err.h"
#include "tests/store/mongod.h"
#include <mongoc/mongoc.h>
#include <stdlib.h>
#include <unistd.h>

static struct mongod mongod;
static bool borrowed;

static bool is_mongo(void)
{
    const char *store = getenv("POSTRIDER_TEST_STORE");

    if (!store || strcmp(store, "sqlite") == 0)
        return false;
    if (strcmp(store, "mongo") != 0)
        die("POSTRIDER_TEST_STORE is sqlite or mongo");
    return true;
}

static void stop(void)
{
    mongod_stop(&mongod);
}

static void started(void)
{
    if (mongod.script || borrowed)
        return;
    borrowed = mongod_borrow(&mongod);
    if (!borrowed && !mongod_start(&mongod, 1))
        exit(MONGOD_NONE);
    atexit(stop);
}

/* ---- databases given back ----
 *
 * Emptied: making one anew takes mongod half a second. On a mongod that is lent, those of all programs stand in a
 * collection. */

enum { FREE_MAX = 4 };
static char freed[FREE_MAX][PLACE_URL];
static size_t n_freed;

static char *on_lent(bson_t *command)
{
    char *json = bson_as_canonical_extended_json(command, NULL), *reply = mongod_run(&mongod, "lent", json);

    bson_free(json);
    bson_destroy(command);
    return reply;
}

static bool take_lent(char url[PLACE_URL])
{
    char *reply = on_lent(BCON_NEW("findAndModify", "freed", "query", "{", "}", "remove", BCON_BOOL(true)));
    const char *at = strstr(reply, "\"_id\" : \"");
    char name[64] = "";

    if (at && sscanf(at, "\"_id\" : \"%63[^\"]", name) == 1)
        snprintf(url, PLACE_URL, "%s/%s%s", mongod.base, name, mongod.options);
    bson_free(reply);
    return *name;
}

static void give_to_all(const char *url)
{
    const char *name = strrchr(url, '/') + 1;
    char *only = strndup(name, strcspn(name, "?"));

    bson_free(on_lent(BCON_NEW("insert", "freed", "documents", "[", "{", "_id", BCON_UTF8(only), "}", "]")));
    free(only);
}

static bool take_freed(char url[PLACE_URL])
{
    if (borrowed)
        return take_lent(url);
    if (!n_freed)
        return false;
    snprintf(url, PLACE_URL, "%s", freed[--n_freed]);
    return true;
}

static void give_back(const char *url)
{
    if (borrowed)
        give_to_all(url);
    else if (n_freed < FREE_MAX)
        snprintf(freed[n_freed++], PLACE_URL, "%s", url);
}

/* ---- places ---- */

void place_make(char url[PLACE_URL], const char *folder, const char *name)
{
    static int number;

    if (!is_mongo()) {
        snprintf(url, PLACE_URL, "sqlite:%s/%s.db", folder, name);
        return;
    }
    started();
    if (!take_freed(url))
        snprintf(url, PLACE_URL, "%s/%s%d_%d%s", mongod.base, name, (int)getpid(), ++number, mongod.options);
}

void place_copied(char url[PLACE_URL], const char *original, const char *folder)
{
    if (is_mongo())
        snprintf(url, PLACE_URL, "%s", original);
    else
        snprintf(url, PLACE_URL, "sqlite:%s%s", folder, strrchr(original, '/'));
}

static bool file_holds(const char *path, struct bytes text)
{
    FILE *f = fopen(path, "rb");
    struct buf all;
    char part[65536];
    size_t n;
    bool holds;

    buf_init(&all, (size_t)1 << 30);
    while (f && (n = fread(part, 1, sizeof part, f)) > 0)
        buf_add(&all, (struct bytes){ part, n });
    if (f)
        fclose(f);
    holds = all.n && memmem(all.p, all.n, text.p, text.n);
    buf_clear(&all);
    return holds;
}

/* Calls `each` for every collection, until it says true. */
static bool any_collection(const char *url, bool (*each)(mongoc_collection_t *c, struct bytes text), struct bytes text)
{
    mongoc_client_t *client = mongoc_client_new(url);
    mongoc_database_t *database = mongoc_client_get_default_database(client);
    bson_error_t why;
    char **names = mongoc_database_get_collection_names_with_opts(database, NULL, &why);
    bool any = false;

    if (!names)
        die("mongod: %s", why.message);
    for (size_t i = 0; !any && names[i]; i++) {
        mongoc_collection_t *c = mongoc_database_get_collection(database, names[i]);

        any = each(c, text);
        mongoc_collection_destroy(c);
    }
    bson_strfreev(names);
    mongoc_database_destroy(database);
    mongoc_client_destroy(client);
    return any;
}

static bool holds(mongoc_collection_t *c, struct bytes text)
{
    bson_t everything = BSON_INITIALIZER;
    mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(c, &everything, NULL, NULL);
    const bson_t *row;
    bson_error_t why;
    bool found = false;

    while (!found && mongoc_cursor_next(cursor, &row))
        found = memmem(bson_get_data(row), row->len, text.p, text.n);
    if (mongoc_cursor_error(cursor, &why))
        die("mongod: %s", why.message);
    mongoc_cursor_destroy(cursor);
    bson_destroy(&everything);
    return found;
}

bool place_holds(const char *url, struct bytes text)
{
    char wal[PLACE_URL];

    if (is_mongo())
        return any_collection(url, holds, text);
    url += strlen("sqlite:");
    snprintf(wal, sizeof wal, "%s-wal", url);
    return file_holds(url, text) || file_holds(wal, text);
}

static bool empty(mongoc_collection_t *c, struct bytes nothing)
{
    bson_t everything = BSON_INITIALIZER;
    bson_error_t why;

    (void)nothing;
    if (!mongoc_collection_delete_many(c, &everything, NULL, NULL, &why))
        die("mongod: %s", why.message);
    bson_destroy(&everything);
    return false;
}

void place_drop(const char *url)
{
    if (!is_mongo())
        return;
    any_collection(url, empty, NO_BYTES);
    give_back(url);
}
