/* The conformance suite on a real mongod. */
#include "base/params.h"
#include "net/fiber.h"
#include "tests/store/conformance.h"
#include "tests/store/mongod.h"

static struct mongod mongod;

static void empty(void)
{
    mongod_fresh(&mongod);
}

int main(void)
{
    struct net_options o = { .loops = 2, .store_workers = 4, .cpu_workers = 1, .fibers_max = 1000 };
    struct engine_under_test mongo = { .empty = empty, .url = mongod.uri };
    struct err e;
    int failed;

    if (!mongod_start(&mongod, 1))
        return MONGOD_NONE;
    params_init();
    if (!net_start(&o, &e))
        die("%s", e.message);
    failed = engine_conformance(&mongo);
    net_stop();
    mongod_stop(&mongod);
    return failed;
}
