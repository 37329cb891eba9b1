#include "store/sqlite/sqlite.h"

/* A stack: the connection used last has the warmest cache. Store workers are as many as connections, so that only plain
 * threads beside them ever wait here. */
struct conn *reader_take(struct sqlite_store *s, struct err *e)
{
    struct conn *c;

    pthread_mutex_lock(&s->readers_lock);
    while (!s->readers && s->n_readers >= s->max_readers)
        pthread_cond_wait(&s->readers_free, &s->readers_lock);
    c = s->readers;
    if (c)
        s->readers = c->next;
    else
        s->n_readers++;
    pthread_mutex_unlock(&s->readers_lock);
    if (c)
        return c;
    c = calloc(1, sizeof *c);
    if (!c)
        die("out of memory: a connection");
    if (conn_open(s->path, false, c, e))
        return c;
    free(c);
    pthread_mutex_lock(&s->readers_lock);
    s->n_readers--;
    pthread_cond_signal(&s->readers_free);
    pthread_mutex_unlock(&s->readers_lock);
    return NULL;
}

void reader_give(struct sqlite_store *s, struct conn *c)
{
    pthread_mutex_lock(&s->readers_lock);
    c->next = s->readers;
    s->readers = c;
    pthread_cond_signal(&s->readers_free);
    pthread_mutex_unlock(&s->readers_lock);
}

void readers_close(struct sqlite_store *s)
{
    while (s->readers) {
        struct conn *c = s->readers;

        s->readers = c->next;
        conn_close(c);
        free(c);
    }
}
