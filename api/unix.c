/* The socket for root and the owner: requests on it need no credential but the peer's uid. */
#include "api/private.h"
#include "base/clock.h"
#include "base/log.h"
#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define PAUSE_MS 100 /* without descriptors, before the next try */

/* An old socket that nobody listens on is removed: the data folder's lock says that its server is gone. */
bool unix_open(struct api *a, const char *path, struct err *e)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    if (strlen(path) >= sizeof address.sun_path)
        return err_set(e, ERR_INVALID, "The path of the socket is longer than %zu bytes: %s",
                       sizeof address.sun_path - 1, path);
    memcpy(address.sun_path, path, strlen(path));
    unlink(path);
    a->unix_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (a->unix_fd < 0 || bind(a->unix_fd, (struct sockaddr *)&address, sizeof address) < 0)
        return err_set(e, ERR_INVALID, "%s: %s", path, strerror(errno));
    a->socket_path = strdup(path);
    if (chmod(path, 0600) < 0 || listen(a->unix_fd, 128) < 0)
        return err_set(e, ERR_INVALID, "%s: %s", path, strerror(errno));
    return true;
}

struct caller {
    struct api *api;
    int fd;
};

static void caller_run(void *arg)
{
    struct caller c = *(struct caller *)arg;

    free(arg);
    line_session(c.fd, c.api);
}

static void admit(struct api *a, int fd)
{
    struct caller *c = malloc(sizeof *c);
    struct err e = { 0 };

    if (!c)
        die("out of memory: a connection");
    *c = (struct caller){ a, fd };
    if (fiber_start(FIBER_ANY, caller_run, c, &e))
        return;
    log_warn("api", LOG_TEXT("result", "refused"), LOG_TEXT("error", e.message));
    close(fd);
    free(c);
}

void unix_accept(void *api)
{
    struct api *a = api;
    struct err e = { 0 };

    while (!atomic_load(&a->stopping) && fiber_wait_readable(a->unix_fd, CLOCK_NEVER, &e)) {
        int fd = accept4(a->unix_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0)
            admit(a, fd);
        else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED && errno != EINVAL)
            fiber_sleep_until(clock_monotonic() + PAUSE_MS);
    }
}

/* Whoever waits for a connection is woken by it. */
void unix_stop(struct api *a)
{
    if (a->unix_fd >= 0)
        shutdown(a->unix_fd, SHUT_RDWR);
}
