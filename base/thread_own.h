/* base/thread_own.h - one object for each thread, made when the thread first asks for it and freed when it ends: what
 * is dear to make and may not be shared (a compressor, a cipher). A fiber may move to no other thread, but others run
 * in its own whenever it waits: such an object is never held over a wait. */
#ifndef BASE_THREAD_OWN_H
#define BASE_THREAD_OWN_H
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct thread_own {
    void *(*make)(void); /* ends the process where it cannot: no NULL */
    void (*free)(void *object);
    pthread_mutex_t lock;
    pthread_key_t key;
    atomic_bool has_key;
};

/* `static struct thread_own compressors = THREAD_OWN(make, free);` */
#define THREAD_OWN(m, f)                                                                                               \
    {                                                                                                                  \
        .make = (m), .free = (f), .lock = PTHREAD_MUTEX_INITIALIZER, .key = 0, .has_key = false                        \
    }

void *thread_own(struct thread_own *o); /* this thread's, which stays ours */
#endif
