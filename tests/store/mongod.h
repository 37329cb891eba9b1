/* tests/store/mongod.h - a replica set of this test's own (script/mongod); it ends with the test, however that ends. */
#ifndef TESTS_STORE_MONGOD_H
#define TESTS_STORE_MONGOD_H
#include <stdbool.h>
#include <sys/types.h>

#define MONGOD_MEMBERS 8
struct mongod {
    char uri[512]; /* with a database of its own, see mongod_fresh */
    int n;
    int ports[MONGOD_MEMBERS];
    pid_t pids[MONGOD_MEMBERS];
    char command[MONGOD_MEMBERS][2048]; /* of those that were killed, arguments divided by NUL */
    bool restarted[MONGOD_MEMBERS];
    pid_t script;
    int hold, told;
    char base[400]; /* what is before the database, and the options behind it */
    char options[64];
    int databases;
};

/* False when there is no mongod on this machine: says so, and the program should end with MONGOD_NONE, which ctest
 * shows as skipped. With POSTRIDER_NEED_MONGOD in the environment (script/test) that ends the program as a failure, and
 * so does all else that fails. */
#define MONGOD_NONE 77
bool mongod_start(struct mongod *m, int members);
void mongod_stop(struct mongod *m); /* one never started is accepted */
/* One that script/mongod lends to all programs of a run ($POSTRIDER_LENT_MONGOD): there are databases to be had, and
 * nothing that others would notice may be done to it. False when none is lent. */
bool mongod_borrow(struct mongod *m);
/* mongod_start, and then parameters and a network with that many store workers: all that a program of tests needs. */
bool mongod_world(struct mongod *m, int members, unsigned store_workers);
void mongod_world_end(struct mongod *m);
double mongod_cpu(const struct mongod *m); /* seconds that all members have used */
/* Drops the database that the URI names and puts another, new one there. */
void mongod_fresh(struct mongod *m);
/* Number of the member that is primary; waits for one. */
int mongod_primary(struct mongod *m);
void mongod_settled(struct mongod *m); /* waits until all members are well */
/* SIGSTOP is waited for: kill(2) returns before the threads have stopped, and until then they may answer a call. */
void mongod_signal(struct mongod *m, int member, int signal);
void mongod_kill(struct mongod *m, int member);    /* with -9 */
void mongod_restart(struct mongod *m, int member); /* after mongod_kill */
/* Runs a command (extended JSON) on a database, "admin" or NULL for the URI's; dies when it fails. The answer as JSON
 * is to be freed. */
char *mongod_run(struct mongod *m, const char *database, const char *json);
#endif
