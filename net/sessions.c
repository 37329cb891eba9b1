#include "net/sessions.h"
#include "base/params.h"
#include <assert.h>
#include <pthread.h>

#define BUCKETS 4096

struct origin {
    struct origin *next;
    int64_t n;
    char net[64];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct origin *buckets[BUCKETS];
static int64_t total;

/* FNV-1a: the keys are addresses that have completed a handshake, and their number is bounded by sessions_max. */
static size_t bucket_of(const char *net)
{
    uint32_t h = 2166136261U;

    for (; *net; net++)
        h = (h ^ (uint8_t)*net) * 16777619U;
    return h % BUCKETS;
}

static struct origin **origin_find(const char *net)
{
    struct origin **at = &buckets[bucket_of(net)];

    while (*at && strcmp((*at)->net, net) != 0)
        at = &(*at)->next;
    return at;
}

static struct origin *origin_new(const char *net)
{
    struct origin *o = calloc(1, sizeof *o);

    if (!o)
        die("out of memory");
    memcpy(o->net, net, strnlen(net, sizeof o->net - 1));
    return o;
}

static const char *admit(const struct peer *p)
{
    int64_t most = PARAM_INT(net, sessions_per_address);
    struct origin **at = origin_find(p->net);

    if (total >= PARAM_INT(net, sessions_max))
        return "net.sessions_max";
    /* This machine may speak for many: a proxy, a webmail. */
    if (*at && most > 0 && !p->loopback && (*at)->n >= most)
        return "net.sessions_per_address";
    if (!*at)
        *at = origin_new(p->net);
    (*at)->n++;
    total++;
    return NULL;
}

const char *session_admit(const struct peer *p)
{
    const char *why;

    pthread_mutex_lock(&lock);
    why = admit(p);
    pthread_mutex_unlock(&lock);
    return why;
}

void session_ended(const char *net_text)
{
    struct origin **at, *o;

    pthread_mutex_lock(&lock);
    at = origin_find(net_text);
    o = *at;
    assert(o);
    total--;
    if (--o->n == 0) {
        *at = o->next;
        free(o);
    }
    pthread_mutex_unlock(&lock);
}
