#include "base/thread_own.h"
#include "base/err.h"

static void make_key(struct thread_own *o)
{
    pthread_mutex_lock(&o->lock);
    if (!atomic_load(&o->has_key)) {
        if (pthread_key_create(&o->key, o->free) != 0)
            die("out of thread keys");
        atomic_store(&o->has_key, true);
    }
    pthread_mutex_unlock(&o->lock);
}

void *thread_own(struct thread_own *o)
{
    void *object;

    if (!atomic_load_explicit(&o->has_key, memory_order_acquire))
        make_key(o);
    object = pthread_getspecific(o->key);
    if (!object) {
        object = o->make();
        if (pthread_setspecific(o->key, object) != 0)
            die("out of memory: an object of a thread");
    }
    return object;
}
