/* store/mongo/check.c - what is wrong with the server, in words that say what to do.
 *
 * Asked at the opening, and whenever nothing answers. The library only says that nothing fits; so the first hosts of
 * the URI are asked one by one, without a login, in TLS and in clear, until the difference tells where the fault lies.
 * Rights are looked at before they are needed: a missing one would show only when an index changes. */
#include "store/mongo/mongo.h"

enum { LOOK_MS = 2000 };

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

bool mongo_not_allowed(const struct mongo_store *s, const char *what, struct err *e)
{
    if (!mongoc_uri_get_username(s->uri) && !mongoc_uri_get_auth_mechanism(s->uri))
        return err_set(e, ERR_INVALID, "MongoDB wants a login: put user and password in the store's URI (%.100s)",
                       what);
    return err_set(e, ERR_INVALID,
                   "the store's user has not the rights it needs: grant it readWrite and dbAdmin on the database %.64s "
                   "(%.60s)",
                   s->database, what);
}

/* ---- one server asked by itself, without a login ---- */

enum manner { AS_SAID, IN_CLEAR, IN_TLS_UNCHECKED };

static void copy_tls(const struct mongo_store *s, mongoc_uri_t *uri)
{
    static const char *const texts[] = { MONGOC_URI_TLSCAFILE, MONGOC_URI_TLSCERTIFICATEKEYFILE,
                                         MONGOC_URI_TLSCERTIFICATEKEYFILEPASSWORD };
    static const char *const switches[] = { MONGOC_URI_TLS, MONGOC_URI_TLSINSECURE,
                                            MONGOC_URI_TLSALLOWINVALIDCERTIFICATES,
                                            MONGOC_URI_TLSALLOWINVALIDHOSTNAMES };

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (mongoc_uri_has_option(s->uri, texts[i]))
            mongoc_uri_set_option_as_utf8(uri, texts[i], mongoc_uri_get_option_as_utf8(s->uri, texts[i], ""));
    for (size_t i = 0; i < sizeof switches / sizeof *switches; i++)
        if (mongoc_uri_has_option(s->uri, switches[i]))
            mongoc_uri_set_option_as_bool(uri, switches[i], mongoc_uri_get_option_as_bool(s->uri, switches[i], false));
}

static mongoc_uri_t *uri_of(const struct mongo_store *s, const mongoc_host_list_t *host, enum manner manner)
{
    mongoc_uri_t *uri = mongoc_uri_new_for_host_port(host->host, host->port);

    mongoc_uri_set_option_as_bool(uri, MONGOC_URI_DIRECTCONNECTION, true);
    mongoc_uri_set_option_as_int32(uri, MONGOC_URI_SERVERSELECTIONTIMEOUTMS, LOOK_MS);
    mongoc_uri_set_option_as_int32(uri, MONGOC_URI_CONNECTTIMEOUTMS, LOOK_MS);
    mongoc_uri_set_option_as_int32(uri, MONGOC_URI_SOCKETTIMEOUTMS, LOOK_MS);
    if (manner != IN_CLEAR)
        copy_tls(s, uri);
    if (manner == IN_TLS_UNCHECKED) {
        mongoc_uri_set_option_as_bool(uri, MONGOC_URI_TLS, true);
        mongoc_uri_set_option_as_bool(uri, MONGOC_URI_TLSINSECURE, true);
    }
    return uri;
}

static bool answers(const struct mongo_store *s, const mongoc_host_list_t *host, enum manner manner, bson_t *reply,
                    bson_error_t *why)
{
    mongoc_uri_t *uri = uri_of(s, host, manner);
    mongoc_client_t *c = mongoc_client_new_from_uri(uri);
    bool ok = hello(c, reply, why);

    mongoc_client_destroy(c);
    mongoc_uri_destroy(uri);
    return ok;
}

static bool answers_to(const struct mongo_store *s, const mongoc_host_list_t *host, enum manner manner)
{
    bson_t reply;
    bson_error_t why;
    bool ok = answers(s, host, manner, &reply, &why);

    bson_destroy(&reply);
    return ok;
}

/* Nobody is there, or says nothing: how we speak makes no difference. */
static bool is_silent(const bson_error_t *why)
{
    return strstr(why->message, "refused") || strstr(why->message, "timeout") ||
           strstr(why->message, "Failed to resolve");
}

/* Somebody is there who ends what we say: TLS is spoken on one side, or not trusted on one. */
static bool check_tls(const struct mongo_store *s, const mongoc_host_list_t *host, struct err *e)
{
    const char *where = host->host_and_port;
    bool certificate = mongoc_uri_has_option(s->uri, MONGOC_URI_TLSCERTIFICATEKEYFILE);

    if (!mongoc_uri_get_tls(s->uri))
        return err_set(e, ERR_INVALID,
                       "the MongoDB server at %s ends the connection: it seems to want TLS. Add tls=true to the "
                       "store's URI, tlsCAFile=PATH for a CA of your own, tlsCertificateKeyFile=PATH if it wants "
                       "one of us",
                       where);
    if (answers_to(s, host, IN_TLS_UNCHECKED))
        return err_set(e, ERR_INVALID,
                       "the certificate of the MongoDB server at %s is not trusted, or is for another name: give the "
                       "CA that signed it as tlsCAFile in the store's URI, and the host as it is in the certificate",
                       where);
    if (answers_to(s, host, IN_CLEAR))
        return err_set(e, ERR_INVALID, "the MongoDB server at %s speaks no TLS: take tls out of the store's URI",
                       where);
    return err_set(e, ERR_INVALID,
                   certificate ? "the MongoDB server at %s ends the TLS connection: does it trust the certificate of "
                                 "tlsCertificateKeyFile in the store's URI?"
                               : "the MongoDB server at %s ends the TLS connection: it seems to want a certificate of "
                                 "us. Give it as tlsCertificateKeyFile in the store's URI",
                   where);
}

static bool look_at(const struct mongo_store *s, const mongoc_host_list_t *host, bool *there, struct err *e)
{
    bson_t reply;
    bson_error_t why;
    bool ok = true;

    *there = answers(s, host, AS_SAID, &reply, &why);
    if (*there)
        ok = check_hello(&reply, host->host_and_port, e);
    else if (!is_silent(&why))
        ok = check_tls(s, host, e);
    bson_destroy(&reply);
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
        return mongo_not_allowed(s, why->message, e);
    for (int i = 0; host && i < 3; host = host->next, i++) {
        bool there;

        if (!look_at(s, host, &there, e))
            return false;
        any = any || there;
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

/* ---- what its user may do ---- */

/* dbAdmin adds collMod to readWrite. */
static const char *const rights[] = { "find",        "insert",    "update",          "remove",      "createCollection",
                                      "createIndex", "dropIndex", "listCollections", "listIndexes", "collMod" };

#define RIGHTS (sizeof rights / sizeof *rights)

static unsigned rights_in(bson_iter_t *actions)
{
    unsigned bits = 0;

    while (bson_iter_next(actions))
        for (unsigned i = 0; i < RIGHTS; i++)
            if (BSON_ITER_HOLDS_UTF8(actions) && strcmp(bson_iter_utf8(actions, NULL), rights[i]) == 0)
                bits |= 1U << i;
    return bits;
}

/* Is a privilege's resource all of our database, or all of any? */
static bool is_ours(const struct mongo_store *s, const bson_t *privilege)
{
    bson_iter_t at, db, collection;

    if (bson_iter_init(&at, privilege) && bson_iter_find_descendant(&at, "resource.anyResource", &db))
        return true;
    if (!bson_iter_init(&at, privilege) || !bson_iter_find_descendant(&at, "resource.db", &db) ||
        !bson_iter_init(&at, privilege) || !bson_iter_find_descendant(&at, "resource.collection", &collection) ||
        !BSON_ITER_HOLDS_UTF8(&db) || !BSON_ITER_HOLDS_UTF8(&collection))
        return false;
    return !*bson_iter_utf8(&collection, NULL) &&
           (!*bson_iter_utf8(&db, NULL) || strcmp(bson_iter_utf8(&db, NULL), s->database) == 0);
}

static unsigned rights_of(const struct mongo_store *s, bson_iter_t *privileges)
{
    unsigned bits = 0;

    while (bson_iter_next(privileges)) {
        uint32_t n = 0;
        const uint8_t *data = NULL;
        bson_t one;
        bson_iter_t actions;

        if (!BSON_ITER_HOLDS_DOCUMENT(privileges))
            continue;
        bson_iter_document(privileges, &n, &data);
        if (bson_init_static(&one, data, n) && is_ours(s, &one) && bson_iter_init_find(&actions, &one, "actions") &&
            bson_iter_recurse(&actions, &actions))
            bits |= rights_in(&actions);
    }
    return bits;
}

static bool has_user(const bson_t *status)
{
    bson_iter_t at, users, first;

    return bson_iter_init(&at, status) && bson_iter_find_descendant(&at, "authInfo.authenticatedUsers", &users) &&
           bson_iter_recurse(&users, &first) && bson_iter_next(&first);
}

static bool check_rights(struct mongo_store *s, mongoc_client_t *c, struct err *e)
{
    bson_t *command = BCON_NEW("connectionStatus", BCON_INT32(1), "showPrivileges", BCON_BOOL(true)), reply;
    bson_error_t why;
    bson_iter_t at, list, privileges;
    bool ok = mongoc_client_command_simple(c, "admin", command, NULL, &reply, &why) || mongo_err(s, &why, e);
    unsigned missing = 0;

    if (ok && has_user(&reply) && bson_iter_init(&at, &reply) &&
        bson_iter_find_descendant(&at, "authInfo.authenticatedUserPrivileges", &list) &&
        bson_iter_recurse(&list, &privileges))
        missing = ((1U << RIGHTS) - 1) & ~rights_of(s, &privileges);
    for (unsigned i = 0; missing && i < RIGHTS; i++)
        if (missing >> i & 1) {
            ok = mongo_not_allowed(s, rights[i], e);
            break;
        }
    bson_destroy(&reply);
    bson_destroy(command);
    return ok;
}

bool mongo_check_server(struct mongo_store *s, mongoc_client_t *c, struct err *e)
{
    bson_t reply;
    bson_error_t why;
    bool ok = hello(c, &reply, &why);

    ok = ok ? check_hello(&reply, mongoc_uri_get_hosts(s->uri) ? mongoc_uri_get_hosts(s->uri)->host_and_port : "SRV", e)
            : mongo_diagnose(s, &why, e);
    bson_destroy(&reply);
    return ok && check_rights(s, c, e);
}

/* ---- a look without changing anything ---- */

static bool count(struct mongo_store *s, mongoc_client_t *c, const char *collection, int64_t *n, struct err *e)
{
    mongoc_collection_t *rows = mongo_collection(s, c, collection);
    bson_error_t why;

    *n = mongoc_collection_estimated_document_count(rows, NULL, NULL, NULL, &why);
    mongoc_collection_destroy(rows);
    if (*n < 0)
        return why.code == UNAUTHORIZED ? mongo_not_allowed(s, why.message, e) : mongo_err(s, &why, e);
    return true;
}

bool mongo_probe(struct mongo_store *s, char *found, size_t n, struct err *e)
{
    mongoc_client_t *c = mongo_client(s);
    const char *set = mongoc_uri_get_replica_set(s->uri);
    int64_t made = 0, messages = 0;
    bool ok = mongo_check_server(s, c, e) && count(s, c, "_meta", &made, e) && count(s, c, "message", &messages, e);

    if (ok && !made)
        ok = err_set(e, ERR_MISSING, "the server answers, its database %s holds nothing of ours", s->database);
    if (ok)
        snprintf(found, n, "MongoDB%s%s answers, database %s, %lld messages", set ? " set " : "", set ? set : "",
                 s->database, (long long)messages);
    mongo_client_back(s, c);
    return ok;
}
