/* What is wrong with the server, in words that say what to do. */
#include "store/mongo/mongo.h"

enum { LOOK_MS = 2000, AUTHENTICATION_FAILED = 18, UNAUTHORIZED = 13 };

static bool has_true(const bson_t *doc, const char *name)
{
    bson_iter_t at;

    return bson_iter_init_find(&at, doc, name) && bson_iter_as_bool(&at);
}

static bool text_is(const bson_t *doc, const char *name, const char *text)
{
    bson_iter_t at;

    return bson_iter_init_find(&at, doc, name) && BSON_ITER_HOLDS_UTF8(&at) &&
           strcmp(bson_iter_utf8(&at, NULL), text) == 0;
}

static bool check_hello(const bson_t *hello, const char *where, struct err *e)
{
    bson_iter_t at;

    if (!bson_iter_init_find(&at, hello, "maxWireVersion") || bson_iter_as_int64(&at) < OLDEST_WIRE)
        return err_set(e, ERR_INVALID,
                       "the MongoDB server at %s is too old: " OLDEST_NAME " or newer is needed. Upgrade it", where);
    if (text_is(hello, "msg", "isdbgrid"))
        return err_set(e, ERR_INVALID, "%s is a router of a sharded cluster: name a replica set in the store's URI",
                       where);
    if (has_true(hello, "isreplicaset"))
        return err_set(e, ERR_INVALID,
                       "the replica set of the MongoDB server at %s has not been initiated: run rs.initiate() there",
                       where);
    if (!bson_has_field(hello, "setName"))
        return err_set(e, ERR_INVALID,
                       "the MongoDB server at %s is not a replica set, and a single server has no transactions: start "
                       "mongod with --replSet rs0 and run rs.initiate() once (one member is enough)",
                       where);
    return true;
}

static bool hello(mongoc_client_t *c, bson_t *reply, bson_error_t *why)
{
    bson_t *command = BCON_NEW("hello", BCON_INT32(1));
    bool ok = mongoc_client_command_simple(c, "admin", command, NULL, reply, why);

    bson_destroy(command);
    return ok;
}

static bool is_login(const bson_error_t *why)
{
    return why->code == AUTHENTICATION_FAILED ||
           (why->domain == MONGOC_ERROR_CLIENT && why->code == MONGOC_ERROR_CLIENT_AUTHENTICATE);
}

static bool login_failed(const struct mongo_store *s, struct err *e)
{
    const char *user = mongoc_uri_get_username(s->uri), *source = mongoc_uri_get_auth_source(s->uri);

    return err_set(e, ERR_INVALID,
                   "MongoDB refuses user %s: check name and password in the store's URI, and that authSource (now %s) "
                   "names the database the user was made in",
                   user ? user : "(none)", source ? source : "admin");
}

/* One server asked by itself, without a login: is anybody there, and what is it? */
static bool look_at(const struct mongo_store *s, const mongoc_host_list_t *host, bool *answers, struct err *e)
{
    mongoc_uri_t *uri = mongoc_uri_new_for_host_port(host->host, host->port);
    mongoc_client_t *c;
    bson_t reply;
    bson_error_t why;
    bool ok = true;

    mongoc_uri_set_option_as_bool(uri, MONGOC_URI_DIRECTCONNECTION, true);
    mongoc_uri_set_option_as_int32(uri, MONGOC_URI_SERVERSELECTIONTIMEOUTMS, LOOK_MS);
    mongoc_uri_set_option_as_int32(uri, MONGOC_URI_CONNECTTIMEOUTMS, LOOK_MS);
    mongoc_uri_set_option_as_int32(uri, MONGOC_URI_SOCKETTIMEOUTMS, LOOK_MS);
    c = mongoc_client_new_from_uri(uri);
    if (mongoc_uri_get_tls(s->uri))
        mongoc_client_set_ssl_opts(c, mongoc_ssl_opt_get_default());
    *answers = hello(c, &reply, &why);
    if (*answers)
        ok = check_hello(&reply, host->host_and_port, e);
    bson_destroy(&reply);
    mongoc_client_destroy(c);
    mongoc_uri_destroy(uri);
    return ok;
}

/* Of a set whose name the URI gives wrongly the library says only that nothing fits. */
bool mongo_diagnose(struct mongo_store *s, const bson_error_t *why, struct err *e)
{
    const mongoc_host_list_t *host = mongoc_uri_get_hosts(s->uri);
    const char *set = mongoc_uri_get_replica_set(s->uri);
    bool any = false;

    if (is_login(why))
        return login_failed(s, e);
    if (why->code == UNAUTHORIZED)
        return err_set(e, ERR_INVALID, "MongoDB wants a login: put user and password in the store's URI (%.100s)",
                       why->message);
    for (int i = 0; host && i < 3; host = host->next, i++) {
        bool answers;

        if (!look_at(s, host, &answers, e))
            return false;
        any = any || answers;
    }
    if (any)
        return err_set(e, ERR_BUSY,
                       "MongoDB answers, but has no primary%s%s: look at rs.status(), and at replicaSet in the store's "
                       "URI (%.80s)",
                       set ? " in set " : "", set ? set : "", why->message);
    return err_set(e, ERR_BUSY,
                   "MongoDB cannot be reached: is it running, and are host, port and tls in the store's URI right? "
                   "(%.120s)",
                   why->message);
}

bool mongo_check_server(struct mongo_store *s, mongoc_client_t *c, struct err *e)
{
    bson_t reply;
    bson_error_t why;
    bool ok = hello(c, &reply, &why);

    ok = ok ? check_hello(&reply, mongoc_uri_get_hosts(s->uri) ? mongoc_uri_get_hosts(s->uri)->host_and_port : "SRV", e)
            : mongo_diagnose(s, &why, e);
    bson_destroy(&reply);
    return ok;
}
