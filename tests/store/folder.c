#include "tests/store/folder.h"
#include "base/err.h"
#include <dirent.h>
#include <unistd.h>

static char path[256];

const char *folder(void)
{
    const char *tmp = getenv("TMPDIR");

    if (!path[0]) {
        snprintf(path, sizeof path, "%s/postrider-store-XXXXXX", tmp ? tmp : "/tmp");
        if (!mkdtemp(path))
            die("cannot make %s", path);
    }
    return path;
}

const char *folder_path(const char *name)
{
    static char out[8][512];
    static int next;
    char *p = out[next++ % 8];

    snprintf(p, sizeof out[0], "%s/%s", folder(), name);
    return p;
}

void folder_empty(void)
{
    DIR *d = opendir(folder());
    const struct dirent *entry;

    while (d && (entry = readdir(d)))
        if (entry->d_name[0] != '.')
            unlink(folder_path(entry->d_name));
    if (d)
        closedir(d);
}

void folder_fresh(char *url, size_t n)
{
    folder_empty();
    snprintf(url, n, "sqlite:%s", folder_path("test.db"));
}

void folder_remove(void)
{
    folder_empty();
    rmdir(folder());
    path[0] = 0;
}
