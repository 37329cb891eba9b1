/* store/sqlite/page_cache.c - SQLite's own page cache, which is told less often to look for pages that are not there.
 *
 * When a B-tree is balanced, two pages may change their numbers by way of a third (balance_nonroot): that of the lock
 * byte at 1 GiB, which no page ever has. The cache remembers it as its highest number, so that the truncation at the
 * end of the transaction, which is meant for pages behind the end of the file, walks all pages it holds: a third of the
 * CPU of a commit with 64 MiB of them. So the highest number is counted here without that one, and a truncation that
 * can find nothing is not handed on. A file of more than 1 GiB has pages behind it, and never paid for this. */
#include "store/sqlite/sqlite.h"
#include <stdlib.h>

#define LOCK_BYTE 0x40000000 /* https://www.sqlite.org/fileformat2.html, 1.6 */

struct page_cache {
    sqlite3_pcache *inner;
    unsigned lock_page, highest; /* highest: no page of a higher number is there, but perhaps the lock page */
};

static sqlite3_pcache_methods2 inner;

static void note(struct page_cache *c, unsigned key)
{
    if (key > c->highest && key != c->lock_page)
        c->highest = key;
}

static sqlite3_pcache *cache_create(int page, int extra, int purgeable)
{
    struct page_cache *c = calloc(1, sizeof *c);

    if (!c)
        return NULL;
    c->lock_page = LOCK_BYTE / (unsigned)page + 1;
    c->inner = inner.xCreate(page, extra, purgeable);
    if (c->inner)
        return (sqlite3_pcache *)c;
    free(c);
    return NULL;
}

static void cache_size(sqlite3_pcache *p, int pages)
{
    inner.xCachesize(((struct page_cache *)p)->inner, pages);
}

static int cache_count(sqlite3_pcache *p)
{
    return inner.xPagecount(((struct page_cache *)p)->inner);
}

static sqlite3_pcache_page *cache_fetch(sqlite3_pcache *p, unsigned key, int create)
{
    struct page_cache *c = (struct page_cache *)p;

    if (create)
        note(c, key);
    return inner.xFetch(c->inner, key, create);
}

static void cache_unpin(sqlite3_pcache *p, sqlite3_pcache_page *page, int discard)
{
    inner.xUnpin(((struct page_cache *)p)->inner, page, discard);
}

static void cache_rekey(sqlite3_pcache *p, sqlite3_pcache_page *page, unsigned from, unsigned to)
{
    struct page_cache *c = (struct page_cache *)p;

    note(c, to);
    inner.xRekey(c->inner, page, from, to);
}

/* Drops the pages from `limit` on. */
static void cache_truncate(sqlite3_pcache *p, unsigned limit)
{
    struct page_cache *c = (struct page_cache *)p;

    if (limit > c->highest)
        return;
    inner.xTruncate(c->inner, limit);
    c->highest = limit ? limit - 1 : 0;
}

static void cache_destroy(sqlite3_pcache *p)
{
    inner.xDestroy(((struct page_cache *)p)->inner);
    free(p);
}

static void cache_shrink(sqlite3_pcache *p)
{
    inner.xShrink(((struct page_cache *)p)->inner);
}

void page_cache_set(void)
{
    static sqlite3_pcache_methods2 ours;

    if (sqlite3_config(SQLITE_CONFIG_GETPCACHE2, &inner) != SQLITE_OK)
        return;
    ours = inner;
    ours.xCreate = cache_create;
    ours.xCachesize = cache_size;
    ours.xPagecount = cache_count;
    ours.xFetch = cache_fetch;
    ours.xUnpin = cache_unpin;
    ours.xRekey = cache_rekey;
    ours.xTruncate = cache_truncate;
    ours.xDestroy = cache_destroy;
    ours.xShrink = cache_shrink;
    sqlite3_config(SQLITE_CONFIG_PCACHE2, &ours);
}
