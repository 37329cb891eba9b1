/* cli/datadir.h - the server's folder: 0700, one server at a time. */
#ifndef CLI_DATADIR_H
#define CLI_DATADIR_H
#include "base/err.h"

struct datadir {
    char path[512];
    int lock;          /* descriptor of the locked `lock` file, -1 without */
    unsigned uid, gid; /* who the server becomes (run_as), or who it is */
};

/* Makes the folder if it is not there, gives it to `run_as` ("" for nobody else), and locks it. ERR_IN_USE names the
 * process that has it; ERR_INVALID when others may read it, or run_as is no user. */
bool datadir_open(struct datadir *d, const char *path, const char *run_as, struct err *e);
void datadir_close(struct datadir *d);
/* path/name in a buffer of the caller. */
const char *datadir_file(const struct datadir *d, const char *name, char *out, size_t size);
/* For good: from root to run_as. */
bool datadir_drop_root(const struct datadir *d, struct err *e);
#endif
