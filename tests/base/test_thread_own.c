#include "base/thread_own.h"
#include "check.h"
#include <stdlib.h>

static atomic_int made, freed;

static void *make(void)
{
    atomic_fetch_add(&made, 1);
    return calloc(1, 1);
}

static void unmake(void *object)
{
    atomic_fetch_add(&freed, 1);
    free(object);
}

static struct thread_own objects = THREAD_OWN(make, unmake);

static void *run(void *arg)
{
    void *mine = thread_own(&objects);

    (void)arg;
    assert_ptr_equal(thread_own(&objects), mine);
    return NULL;
}

/* Each thread has one, and it goes with the thread; the first question may come from many at once. */
static void one_for_each_thread(void **state)
{
    enum { THREADS = 8 };
    pthread_t threads[THREADS];

    (void)state;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&made), THREADS);
    assert_int_equal(atomic_load(&freed), THREADS);
    run(NULL);
    assert_int_equal(atomic_load(&made), THREADS + 1);
}

int main(void)
{
    static const struct CMUnitTest tests[] = { cmocka_unit_test(one_for_each_thread) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
