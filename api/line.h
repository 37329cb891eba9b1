/* api/line.h - inside api/: one HTTP connection, its fiber, and what is looked at from outside of it.
 *
 * A connection is one fiber: it reads a request, runs it, answers, and waits for the next. While its request is at work
 * elsewhere (a store call, a worker) nobody reads the socket, so a fiber on each loop looks at those connections four
 * times a second: the descriptor of a client that hung up is closed within API_HUNG_UP ms, and the request finds that
 * out when it wants to answer. A client that shut only its sending side down looks the same, and has that long. */
#ifndef API_LINE_H
#define API_LINE_H
#include "net/stream.h"

#define API_HUNG_UP 1250

struct api;

struct line {
    struct api *api;
    struct stream *stream;
    struct line *before, *after; /* the others that are at work on this loop */
    bool is_unix;
    bool reading;    /* a body: its end, or the connection's, is found by reading */
    unsigned uid;    /* of the unix socket's peer */
    int64_t hung_up; /* when that was seen, monotonic ms; 0: it was not */
};

/* The whole connection: fits struct door's `session`; `api` is a struct api. */
void line_session(int fd, void *api);
/* What a connection past net.sessions_max gets; fits struct door's `busy`. */
size_t line_busy(char *to, size_t most);

/* ---- api/lines.c ---- */
void line_works(struct line *l, bool on); /* its request is being worked on */
/* The fiber that looks for those who hung up; one on each loop, until the door has stopped and nothing runs. */
void lines_watch(void *api);
#endif
