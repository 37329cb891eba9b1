#include "base/params.h"
#include "net/fiber.h"
#include "tests/store/conformance.h"
#include "tests/store/folder.h"

int main(void)
{
    struct net_options o = { .loops = 2, .store_workers = 4, .cpu_workers = 1, .fibers_max = 1000 };
    struct engine_under_test sqlite = { .empty = folder_empty };
    char url[512];
    struct err e;
    int failed;

    params_init();
    if (!net_start(&o, &e))
        die("%s", e.message);
    snprintf(url, sizeof url, "sqlite:%s", folder_path("test.db"));
    sqlite.url = url;
    failed = engine_conformance(&sqlite);
    net_stop();
    folder_remove();
    return failed;
}
