/* net/listener.h - doors: listening sockets on every loop thread, with limits.
 *
 * A door is bound on every address its host gives (dual stack), once for each loop: the first socket with SO_REUSEADDR
 * only, so that a port already taken is refused, then it gets SO_REUSEPORT and the others are bound. listener_open
 * binds; nothing is accepted before listener_serve. Past net.sessions_max (all doors) or net.sessions_per_address the
 * new connection gets `busy_line` (if any) and is closed; listener_open returns ERR_IN_USE and names the holder (pid
 * and program, from /proc) when the port is taken. */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H
#include "base/bytes.h"
#include "base/err.h"

struct listener;

struct door {
    const char *name;                      /* "smtp", for logs and errors */
    struct bytes host;                     /* "127.0.0.1", "::1", "localhost", "*" (dual stack any) */
    uint16_t port;                         /* 0: a free one */
    struct bytes busy_line;                /* "421 4.3.2 …\r\n" */
    size_t (*busy)(char *to, size_t most); /* instead: makes it, on the loop thread; its length */
    void (*session)(int fd, void *ctx);    /* runs as a fiber on the accepting loop; owns fd */
    void *ctx;
};

/* All of these after net_start, and not on a loop thread; open, serve, stop and close of one listener by one thread.
 * ERR_INVALID: no such host or address, no right to the port. */
bool listener_open(const struct door *d, struct listener **out, struct err *e);
uint16_t listener_port(const struct listener *l);
bool listener_serve(struct listener *l, struct err *e);
void listener_stop(struct listener *l);   /* accepts no more; sessions go on */
void listener_close(struct listener **l); /* after net_stop or listener_stop */
#endif
