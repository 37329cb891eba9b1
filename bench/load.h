/* bench/load.h - what the files of the load generator share. loadgen.c is the driver and holds the manual.
 *
 * A worker is one session of the load: a thread with one blocking connection. A protocol is one function that does the
 * next piece of work and notes how long it took; the driver calls it until the time or the count is used up. What a
 * worker holds belongs to its thread; struct options is only read once the threads run. */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#define LINE_BUFFER  65536 /* longest reply line; what does not fit fails the connection */
#define COMMAND_MAX  4096  /* longest command or HTTP header we write */
#define ENVELOPE_MAX 65536 /* MAIL, RCPT …, DATA in one piece */
#define HEADER_MAX   4096  /* header lines given for HTTP requests, all together */
#define PATHS_MAX    1024  /* paths that GET takes in turn */

struct options {
    struct sockaddr_in server;
    int sessions, recipients, pipeline, range, retrieve, verbose;
    int batch;      /* messages of one POST, each of the template; 0: the template is the whole body */
    long total;     /* pieces of work, 0: until the time is over */
    double seconds; /* of work, 0: until all are done */
    size_t size;
    bool keep, starttls, tls, lmtp;
    const char *from, *to, *user, *password, *path;
    char headers[HEADER_MAX];
    char *text, *form; /* `size` bytes of CRLF lines; the HTTP body's template, NUL at its end */
    size_t text_size, form_size;
    char *paths[PATHS_MAX]; /* of GET, in turn; none: POST */
    size_t n_paths;
};
extern struct options opt;

struct times {
    double *seconds;
    size_t n, room;
};

struct worker {
    pthread_t thread;
    int number, fd; /* fd: -1 while not connected */
    SSL *ssl;
    long done, failed, connections, bytes;
    struct times times;
    char *work; /* the protocol's own buffer */
    size_t work_size, in_start, in_end;
    char in[LINE_BUFFER];
};

/* Do the next piece of work (its number is id); on false the connection cannot be used any more. */
bool smtp_work(struct worker *w, long id);
bool pop3_work(struct worker *w, long id);
bool http_work(struct worker *w, long id);
void smtp_leave(struct worker *w); /* says goodbye on a kept connection */
size_t smtp_work_size(void);       /* what `work` must hold */
size_t http_work_size(void);

double now(void);
void note(struct worker *w, double since); /* one piece done: counted and timed */

/* load_connection.c: all return false when the server went away, answered too late or too long. */
bool connection_open(struct worker *w);
bool connection_tls(struct worker *w);
void connection_close(struct worker *w);
bool connection_write(struct worker *w, const char *p, size_t n);
bool connection_line(struct worker *w, const char **line, size_t *n); /* without the LF; good until the next read */
bool connection_skip(struct worker *w, size_t n);
bool connection_printf(struct worker *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* "user%d@bench.test" with the number put in. */
void template_fill(char *out, size_t size, const char *template, int number);
#endif
