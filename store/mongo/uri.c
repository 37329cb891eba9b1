/* The store's URI. What is durable and how long anything takes is not its business; what it says of that is told and
 * not heeded. No text of ours shows a part of it that could be a secret. */
#include "base/log.h"
#include "base/params.h"
#include "store/mongo/mongo.h"
#include <errno.h>
#include <unistd.h>

/* ---- options as they are written ---- */

enum { NAME_MAX_BYTES = 64 };

/* Calls `each` for every name=value behind the '?', until it says false. */
static bool options_each(const char *url, bool (*each)(void *arg, struct bytes name, struct bytes value), void *arg)
{
    const char *query = strchr(url, '?');
    struct bytes rest = query ? bytes_of(query + 1) : NO_BYTES, one, name, value;

    while (rest.n) {
        bytes_cut(rest, '&', &one, &rest);
        bytes_cut(one, '=', &name, &value);
        if (name.n && !each(arg, name, value))
            return false;
    }
    return true;
}

/* ---- what is not heeded ---- */

static const struct {
    const char *name, *same; /* a value that asks for nothing else */
} ours[] = {
    { "w", "majority" },
    { "journal", "true" },
    { "wtimeoutms", NULL },
    { "safe", "true" },
    { "readconcernlevel", "majority" },
    { "readpreference", "primary" },
    { "readpreferencetags", NULL },
    { "maxstalenessseconds", NULL },
    { "retryreads", "true" },
    { "retrywrites", "true" },
    { "sockettimeoutms", NULL },
    { "serverselectiontimeoutms", NULL },
    { "serverselectiontryonce", NULL },
    { "maxpoolsize", NULL },
    { "minpoolsize", NULL },
    { "waitqueuetimeoutms", NULL },
};

static bool note_unheeded(void *arg, struct bytes name, struct bytes value)
{
    struct buf *names = arg;

    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (bytes_equal_nocase(name, bytes_of(ours[i].name)) &&
            !(ours[i].same && bytes_equal_nocase(value, bytes_of(ours[i].same))))
            buf_addf(names, "%s%s", buf_bytes(names).n ? " " : "", ours[i].name);
    return true;
}

static void tell_unheeded(const char *url)
{
    struct buf names;

    buf_init(&names, 1024);
    options_each(url, note_unheeded, &names);
    if (buf_bytes(&names).n)
        log_warn("store", LOG_TEXT("result", "options of the URI are not heeded"),
                 LOG_BYTES("options", buf_bytes(&names)),
                 LOG_TEXT("why", "writes are w:majority and journaled, reads are of the majority and the primary, and "
                                 "times are parameters of the store"));
    buf_clear(&names);
}

/* ---- what cannot be read ---- */

/* Kept by the library elsewhere than among the options. */
static const char *const elsewhere[] = { "authsource",         "authmechanism",    "authmechanismproperties",
                                         "readpreferencetags", "readconcernlevel", "compressors",
                                         "gssapiservicename" };

struct unknown {
    const mongoc_uri_t *uri;
    char name[NAME_MAX_BYTES];
};

static bool is_known(void *arg, struct bytes name, struct bytes value)
{
    struct unknown *u = arg;

    (void)value;
    for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++)
        if (bytes_equal_nocase(name, bytes_of(elsewhere[i])))
            return true;
    snprintf(u->name, sizeof u->name, "%.*s", (int)(name.n < sizeof u->name ? name.n : sizeof u->name - 1), name.p);
    return mongoc_uri_has_option(u->uri, u->name);
}

static bool drop_secrets(void *arg, struct bytes name, struct bytes value)
{
    static const char *const secrets[] = { "tlscertificatekeyfilepassword", "sslclientcertificatekeypassword",
                                           "authmechanismproperties" };

    for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++)
        if (bytes_equal_nocase(name, bytes_of(secrets[i])))
            return true;
    buf_addf(arg, "%.*s=%.*s&", SHOW(name), SHOW(value));
    return true;
}

/* The URI with another user and without what else is secret: what the library says of it can be shown. */
static void without_secrets(const char *url, struct buf *out)
{
    const char *start = strstr(url, "://"), *at = strrchr(url, '@'), *query;

    start = start ? start + 3 : url;
    buf_addf(out, "%.*s%s", (int)(start - url), url, at ? "x:x@" : "");
    start = at ? at + 1 : start;
    query = strchr(start, '?');
    buf_addf(out, "%.*s?", (int)(query ? query - start : (ptrdiff_t)strlen(start)), start);
    options_each(start, drop_secrets, out);
    buf_add(out, (struct bytes){ "", 1 });
}

static bool cannot_read(const char *url, struct err *e)
{
    struct buf shown;
    bson_error_t why;
    mongoc_uri_t *uri;

    buf_init(&shown, 2 * strlen(url) + 16);
    without_secrets(url, &shown);
    uri = mongoc_uri_new_with_error(buf_bytes(&shown).p, &why);
    buf_clear(&shown);
    if (!uri)
        return err_set(e, ERR_INVALID, "the store's URI cannot be read: %.150s", why.message);
    mongoc_uri_destroy(uri);
    return err_set(e, ERR_INVALID,
                   "the store's URI cannot be read: user, password or authMechanismProperties. Special characters in "
                   "them are written as %%XX (@ is %%40, : is %%3A, / is %%2F)");
}

static bool can_open(const mongoc_uri_t *uri, const char *option, struct err *e)
{
    const char *path = mongoc_uri_get_option_as_utf8(uri, option, NULL);

    return !path || access(path, R_OK) == 0 ||
           err_set(e, ERR_INVALID, "%s of the store's URI: %.120s cannot be read: %s", option, path, strerror(errno));
}

static bool check(const mongoc_uri_t *uri, const char *url, struct err *e)
{
    struct unknown u = { .uri = uri };

    if (!options_each(url, is_known, &u))
        return err_set(e, ERR_INVALID, "the store's URI has an option that is not known: %s", u.name);
    return can_open(uri, MONGOC_URI_TLSCAFILE, e) && can_open(uri, MONGOC_URI_TLSCERTIFICATEKEYFILE, e);
}

/* ---- what holds instead ---- */

static void set_default(mongoc_uri_t *uri, const char *option, int32_t value)
{
    if (!mongoc_uri_has_option(uri, option))
        mongoc_uri_set_option_as_int32(uri, option, value);
}

/* One host alone would be spoken to as it is: told not to, the library finds the primary through it. Trying again is
 * ours: the library does so after a timeout too, and for as long once more. */
static void set_options(mongoc_uri_t *uri, const struct mongo_store *s)
{
    mongoc_read_prefs_t *primary = mongoc_read_prefs_new(MONGOC_READ_PRIMARY);

    mongoc_uri_set_option_as_int32(uri, MONGOC_URI_SERVERSELECTIONTIMEOUTMS, (int32_t)PARAM_INT(store, read_timeout));
    set_default(uri, MONGOC_URI_CONNECTTIMEOUTMS, MONGO_CONNECT_MS);
    set_default(uri, MONGOC_URI_HEARTBEATFREQUENCYMS, MONGO_HEARTBEAT_MS);
    mongoc_uri_set_option_as_int32(uri, MONGOC_URI_WAITQUEUETIMEOUTMS, 0);
    mongoc_uri_set_option_as_bool(uri, MONGOC_URI_RETRYREADS, false);
    mongoc_uri_set_option_as_bool(uri, MONGOC_URI_RETRYWRITES, false);
    if (!mongoc_uri_has_option(uri, MONGOC_URI_DIRECTCONNECTION) && !mongoc_uri_get_srv_hostname(uri))
        mongoc_uri_set_option_as_bool(uri, MONGOC_URI_DIRECTCONNECTION, false);
    mongoc_uri_set_write_concern(uri, s->majority);
    mongoc_uri_set_read_concern(uri, s->reading);
    mongoc_uri_set_read_prefs_t(uri, primary);
    mongoc_read_prefs_destroy(primary);
}

bool mongo_uri(struct mongo_store *s, const char *url, struct err *e)
{
    bson_error_t why;
    const char *database;

    s->uri = mongoc_uri_new_with_error(url, &why); /* `why` may show the password */
    if (!s->uri)
        return cannot_read(url, e);
    if (!check(s->uri, url, e))
        return false;
    tell_unheeded(url);
    set_options(s->uri, s);
    database = mongoc_uri_get_database(s->uri);
    s->database = strdup(database && *database ? database : "postrider");
    if (!s->database)
        die("out of memory: a name");
    return true;
}
