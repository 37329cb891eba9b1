/* service/service.c - the order in which the parts open and end.
 *
 * A store that is half a copy, a node that runs already and a key of another store are refused before the service
 * writes to the store. Our earlier process's locks and leases end only when it is certain that it is gone. At the end
 * background fibers stop first, while store and caches are still there. */
#include "service/service.h"
#include "mail/charset.h"
#include "net/wait.h"
#include "service/box/reading.h"
#include "service/box/snapshot.h"
#include "service/core/limits.h"
#include "service/core/node.h"
#include "service/core/retry.h"
#include "service/core/secret_file.h"
#include "service/core/secrets.h"
#include "service/core/setting.h"
#include "service/core/state.h"
#include "service/identity/auth.h"
#include "service/identity/auth_turn.h"
#include "service/identity/directory.h"
#include "service/identity/dkim_signer.h"
#include "service/identity/domain_watch.h"
#include "service/identity/first_start.h"
#include "service/identity/stream.h"
#include "service/identity/stream_day.h"
#include "service/keep/copy.h"
#include "service/keep/past.h"
#include "service/keep/sweep.h"
#include "service/keep/upgrade.h"
#include "service/message/feed.h"
#include "service/message/letter.h"
#include "service/message/release.h"
#include "service/message/tracked.h"
#include "service/queue/action.h"
#include "service/queue/due.h"
#include "service/queue/nudges.h"
#include "service/queue/own_rules.h"
#include "service/queue/poke.h"
#include "service/queue/routing.h"
#include "service/queue/suppression_import.h"
#include "service/queue/suspension.h"
#include "service/template/compiled.h"
#include <assert.h>
#include <unistd.h>

/* The parts that need a store, in the order in which they rest on each other. */
static bool open_parts(struct service *svc, const struct service_options *o, struct err *e)
{
    return copy_is_whole(svc->store, e) && node_alone(svc, e) && secrets_open(svc, e) && settings_load(svc, e) &&
           suspensions_load(svc, e) && upgrade_run(svc, e) && node_claim(svc, e) && due_begin(svc, e) &&
           release_begin(svc, e) && first_start(svc, o, e);
}

static bool has_file(const struct service *svc, const char *name)
{
    char path[1024];

    snprintf(path, sizeof path, "%s/%s", svc->data_dir, name);
    return access(path, F_OK) == 0;
}

/* Was this folder's store filled before? The key comes after the store, so that a first start that dies in between
 * begins anew. Beside a store of several nodes it may have been put there in advance; who has run there has a node.id.
 */
static bool was_filled(const struct service *svc, const char *url)
{
    return has_file(svc, "server.key") && (!store_is_shared(url) || has_file(svc, "node.id"));
}

/* ERR_MISSING: with the key of a store that is gone, or not the one that is named. */
static bool missed(const struct err *why, struct err *e)
{
    return err_set(
        e, ERR_INVALID,
        "server.key is there, but not its store: put that back from its backup, name it with --store, or begin "
        "anew without it: --accept-loss (%.110s)",
        why->message);
}

static bool open_store(struct service *svc, const struct service_options *o, struct err *e)
{
    struct err why = { 0 };
    struct store_options s = {
        .url = o->store_url,
        .kinds = all_kinds,
        .schema = SCHEMA_VERSION,
        .node = svc->node,
        .readers = (unsigned)PARAM_INT(pool, store_workers),
        .existing = !o->accept_loss && was_filled(svc, o->store_url),
        .accept_loss = o->accept_loss,
    };

    if (store_open(&s, &svc->store, &why))
        return true;
    if (s.existing && why.code == ERR_MISSING)
        return missed(&why, e);
    *e = why;
    return false;
}

bool service_open(const struct service_options *o, struct service **out, struct err *e)
{
    struct service *svc = calloc(1, sizeof *svc);

    if (!svc || !(svc->data_dir = strdup(o->data_dir)))
        die("out of memory: the service");
    crypt_init();
    id_format("", id_new(), svc->boot);
    svc->started_at = clock_wall();
    svc->directory = directory_new();
    svc->streams = stream_cache_new();
    svc->stream_counts = stream_counts_new();
    svc->dkim = dkim_cache_new();
    svc->limits = limits_new();
    svc->retries = retries_new();
    svc->past = past_places_new();
    svc->readings = readings_new();
    svc->suspensions = suspensions_new();
    svc->rules = own_rules_new();
    svc->acting = signal_new();
    svc->releasing = signal_new();
    svc->ending = signal_new();
    svc->feed = feed_new();
    svc->tracked = tracked_new();
    svc->routing = routing_new();
    svc->templates = compiled_cache_new();
    if (store_is_shared(o->store_url))
        svc->pokes = pokes_new();
    svc->snapshots = snapshots_new();
    svc->auth = auth_new();
    svc->letters = &letters_filed;
    if (secret_folder(svc->data_dir, e) && node_open(svc, e) && open_store(svc, o, e) && node_keep(svc, e) &&
        open_parts(svc, o, e)) {
        *out = svc;
        return true;
    }
    service_close(&svc);
    return false;
}

void service_close(struct service **svc)
{
    struct service *s = *svc;

    if (!s)
        return;
    auth_free(&s->auth);
    limits_free(&s->limits);
    retries_free(&s->retries);
    past_places_free(&s->past);
    turns_free(&s->readings);
    suspensions_free(&s->suspensions);
    own_rules_free(&s->rules);
    signal_free(&s->acting);
    signal_free(&s->releasing);
    signal_free(&s->ending);
    feed_free(&s->feed);
    tracked_free(&s->tracked);
    routing_free(&s->routing);
    compiled_cache_free(&s->templates);
    pokes_free(&s->pokes);
    snapshots_free(&s->snapshots);
    directory_free(&s->directory);
    stream_cache_free(&s->streams);
    stream_counts_free(&s->stream_counts);
    dkim_cache_free(&s->dkim);
    store_close(&s->store);
    crypt_wipe(&s->wrap_key, sizeof s->wrap_key);
    crypt_wipe(&s->idempotency_key, sizeof s->idempotency_key);
    crypt_wipe(&s->answer_key, sizeof s->answer_key);
    crypt_wipe(&s->secret_key, sizeof s->secret_key);
    crypt_wipe(&s->token_key, sizeof s->token_key);
    crypt_wipe(&s->srs_key, sizeof s->srs_key);
    crypt_wipe(&s->public_key, sizeof s->public_key);
    crypt_wipe(&s->remember_key, sizeof s->remember_key);
    free(s->data_dir);
    free(s);
    *svc = NULL;
}

bool service_start(struct service *svc, struct err *e)
{
    charset_load(); /* no loop is to wait for the disk in the middle of a mail */
    own_rules_follow(svc);
    return service_spawn(svc, node_heartbeat, e) && service_spawn(svc, settings_follow, e) &&
           service_spawn(svc, nudges_follow, e) && service_spawn(svc, actions_run, e) &&
           service_spawn(svc, auth_background, e) && service_spawn(svc, feed_run, e) &&
           (!svc->pokes || service_spawn(svc, pokes_run, e)) && due_start(svc, e) && releases_start(svc, e) &&
           tracked_start(svc, e) && sweep_start(svc, e) && service_spawn(svc, domain_watch, e) &&
           service_spawn(svc, stream_counts_run, e);
}

void service_stop(struct service *svc)
{
    atomic_store(&svc->stopping, true);
    signal_raise(svc->ending);
    store_end_waits(svc->store);
    feed_poke(svc);
    due_poke(svc);
    suppression_import_poke(svc);
    actions_poke(svc);
    release_poke(svc);
    tracked_poke(svc);
    pokes_end(svc);
    while (atomic_load(&svc->fibers) > 0)
        usleep(5000); /* a plain thread */
    due_stop(svc);
    node_leave(svc);
}

/* ---- what the doors ask ---- */

bool service_probe_store(const char *url, char *found, size_t n, struct err *e)
{
    return store_probe(url, found, n, e);
}

void service_show_store(const char *url, char out[SERVICE_STORE_SHOWN])
{
    static_assert(SERVICE_STORE_SHOWN == STORE_SHOWN, "one length");
    store_url_show(url, out);
}
