#include "net/holder.h"
#include <dirent.h>
#include <unistd.h>

#define LISTENING 0x0A /* TCP_LISTEN in /proc/net/tcp */

static unsigned long inode_in(const char *table, uint16_t port)
{
    FILE *f = fopen(table, "r");
    char line[512];
    unsigned long found = 0;

    while (f && !found && fgets(line, sizeof line, f)) {
        unsigned long inode;
        unsigned local, state;

        if (sscanf(line, " %*d: %*[0-9A-F]:%4X %*s %2X %*s %*s %*s %*s %*s %lu", &local, &state, &inode) == 3 &&
            local == port && state == LISTENING)
            found = inode;
    }
    if (f)
        fclose(f);
    return found;
}

static bool holds(const char *pid, const char *socket_name)
{
    char path[300], target[64];
    bool found = false;
    DIR *fds;

    snprintf(path, sizeof path, "/proc/%s/fd", pid);
    fds = opendir(path);
    for (struct dirent *d; fds && !found && (d = readdir(fds));) {
        ssize_t n = readlinkat(dirfd(fds), d->d_name, target, sizeof target - 1);

        target[n > 0 ? n : 0] = '\0';
        found = strcmp(target, socket_name) == 0;
    }
    if (fds)
        closedir(fds);
    return found;
}

static void name_process(const char *pid, struct buf *out)
{
    char path[300], comm[64] = "?";
    FILE *f;

    snprintf(path, sizeof path, "/proc/%s/comm", pid);
    f = fopen(path, "r");
    if (f) {
        if (fgets(comm, sizeof comm, f))
            comm[strcspn(comm, "\n")] = '\0';
        fclose(f);
    }
    buf_addf(out, "pid %s (%s)", pid, comm);
}

void holder_of_port(uint16_t port, struct buf *out)
{
    unsigned long inode = inode_in("/proc/net/tcp", port);
    char socket_name[64];
    bool found = false;
    DIR *proc;

    if (!inode)
        inode = inode_in("/proc/net/tcp6", port);
    snprintf(socket_name, sizeof socket_name, "socket:[%lu]", inode);
    proc = inode ? opendir("/proc") : NULL;
    for (struct dirent *d; proc && !found && (d = readdir(proc));) {
        found = d->d_name[0] >= '1' && d->d_name[0] <= '9' && holds(d->d_name, socket_name);
        if (found)
            name_process(d->d_name, out);
    }
    if (proc)
        closedir(proc);
    if (!found)
        buf_adds(out, "another program");
}
