/* sink: an SMTP server that takes mail and forgets it: where workload B ends. One epoll loop, loopback only.
 *
 *   sink PORT COUNTERS [ADDRESS [REPLY]]
 *
 * ADDRESS: 127.0.0.1 unless said. REPLY: its answer to RCPT, "451 4.7.1 later", where it is to say no.
 * COUNTERS is a file of four numbers of 64 bits, for who polls it (meter.py): messages, connections, bytes of content,
 * DKIM-Signature fields seen. It says yes to every other command, offers PIPELINING, 8BITMIME and SIZE, and ends by a
 * signal. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#define ROOM   65536 /* of a connection, each way; no line of a mail is longer */
#define EVENTS 128

enum { MESSAGES, CONNECTIONS, BYTES, SIGNATURES, COUNTERS };

struct connection {
    int fd;
    bool data, header;
    size_t in_n, out_n;
    char in[ROOM], out[ROOM];
};

static volatile uint64_t *counters;
static int poller;
static const char *refusal; /* NULL: none */

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void say(struct connection *c, const char *text)
{
    size_t n = strlen(text);

    if (c->out_n + n > sizeof c->out)
        return;
    memcpy(c->out + c->out_n, text, n);
    c->out_n += n;
}

static bool begins(const char *line, size_t n, const char *word)
{
    return n >= strlen(word) && strncasecmp(line, word, strlen(word)) == 0;
}

/* A line without its CRLF. */
static void take_content(struct connection *c, const char *line, size_t n)
{
    counters[BYTES] += n + 2;
    c->header = c->header && n;
    if (c->header && begins(line, n, "DKIM-Signature:"))
        counters[SIGNATURES]++;
    if (n != 1 || line[0] != '.')
        return;
    c->data = false;
    counters[MESSAGES]++;
    say(c, "250 2.0.0 taken\r\n");
}

/* False: it said goodbye. */
static bool take_command(struct connection *c, const char *line, size_t n)
{
    if (begins(line, n, "EHLO"))
        say(c, "250-sink.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250 SIZE 104857600\r\n");
    else if (begins(line, n, "DATA"))
        say(c, refusal ? "554 5.5.1 no recipients\r\n" : "354 go on\r\n");
    else if (refusal && begins(line, n, "RCPT"))
        say(c, refusal), say(c, "\r\n");
    else if (!begins(line, n, "QUIT"))
        say(c, "250 2.0.0 yes\r\n");
    c->data = c->header = begins(line, n, "DATA") && !refusal;
    return !begins(line, n, "QUIT");
}

static bool take_lines(struct connection *c)
{
    char *at = c->in, *end = c->in + c->in_n, *lf;
    bool stays = true;

    while (stays && (lf = memchr(at, '\n', (size_t)(end - at)))) {
        size_t n = (size_t)(lf - at);

        n -= n && at[n - 1] == '\r';
        if (c->data)
            take_content(c, at, n);
        else
            stays = take_command(c, at, n);
        at = lf + 1;
    }
    c->in_n = (size_t)(end - at);
    memmove(c->in, at, c->in_n);
    return stays && c->in_n < sizeof c->in;
}

static void read_some(struct connection *c)
{
    ssize_t n = read(c->fd, c->in + c->in_n, sizeof c->in - c->in_n);
    bool stays = n > 0;

    if (stays) {
        c->in_n += (size_t)n;
        stays = take_lines(c);
    }
    if (c->out_n && write(c->fd, c->out, c->out_n) != (ssize_t)c->out_n)
        stays = false;
    c->out_n = 0;
    if (stays)
        return;
    close(c->fd);
    free(c);
}

static void watch(int fd, void *with)
{
    struct epoll_event e = { .events = EPOLLIN, .data.ptr = with };

    if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e) != 0)
        fail("epoll_ctl");
}

static void greet(int listener)
{
    int fd = accept(listener, NULL, NULL), on = 1;
    struct connection *c;

    if (fd < 0)
        return;
    c = calloc(1, sizeof *c);
    if (!c)
        fail("calloc");
    c->fd = fd;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    counters[CONNECTIONS]++;
    if (dprintf(fd, "220 sink.test ESMTP\r\n") < 0)
        fail("write");
    watch(fd, c);
}

static void count_in(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
    void *p;

    if (fd < 0 || ftruncate(fd, COUNTERS * sizeof *counters) != 0)
        fail(path);
    p = mmap(NULL, COUNTERS * sizeof *counters, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        fail("mmap");
    counters = p;
}

static int listen_at(const char *address, int port)
{
    struct sockaddr_in at = { .sin_family = AF_INET,
                              .sin_port = htons((uint16_t)port),
                              .sin_addr.s_addr = inet_addr(address) };
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, 1024) != 0)
        fail("listen");
    return fd;
}

int main(int argc, char **argv)
{
    struct epoll_event events[EVENTS];
    int listener;

    if (argc < 3 || argc > 5) {
        fprintf(stderr, "usage: sink PORT COUNTERS [ADDRESS [REPLY]]\n");
        return 2;
    }
    refusal = argc == 5 ? argv[4] : NULL;
    signal(SIGPIPE, SIG_IGN);
    count_in(argv[2]);
    poller = epoll_create1(0);
    listener = listen_at(argc > 3 ? argv[3] : "127.0.0.1", atoi(argv[1]));
    watch(listener, NULL);
    for (;;) {
        int n = epoll_wait(poller, events, EVENTS, -1);

        for (int i = 0; i < n; i++)
            if (events[i].data.ptr)
                read_some(events[i].data.ptr);
            else
                greet(listener);
    }
}
