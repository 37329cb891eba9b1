/* loadgen: bounded load for mail servers on this machine; one thread a session, blocking sockets. Prints one JSON line.
 *
 *   loadgen smtp -a HOST:PORT [-s sessions] [-m messages | -t seconds] [-l bytes] [-r recipients] [-d] [-P 1] [-T | -S]
 *                [-u user -p password] [-f from] [-c recipient-template] [-R range] [-L]
 *   loadgen pop3 -a HOST:PORT [-s sessions] [-m sessions-in-all | -t seconds] [-k retr-per-session] [-P depth] [-T |
 * -S] -u user-template -p password [-R users] loadgen http -a HOST:PORT {-U path -b template-file | -G file-of-paths}
 * [-s connections] [-m requests | -t seconds]
 *                [-l text-bytes] [-H 'Name: value']... [-R range] [-B messages] [-d] [-S]
 *
 * -d keeps the connection for all of a session's messages; -P pipelines; -T STARTTLS or STLS, -S TLS from the start; -L
 * speaks LMTP; -v tells why something failed, -v -v the whole conversation. %d in a template is a number below -R. In
 * the template of an HTTP body that is posted @N@ is a running number, @R@ one below -R, @PAD@ text of -l bytes; with
 * -B the body is a batch of so many messages, each of the template, and each is counted; -G gets the paths of a file
 * (one a line) in turn. The text is lines of random words (always the same) that compress about as real text does. Only
 * loopback addresses are taken, at most 1,000 sessions and 600 s; a session gives up after 20 failures in a row. The
 * exit status is 1 when nothing at all was done. */
#include "load.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SESSIONS_MAX      1000
#define SECONDS_MAX       600
#define SIZE_MAX_BYTES    (64L << 20)
#define FAILURES_IN_A_ROW 20
#define FORM_MAX          (1 << 20)
#define STACK_SIZE        (512 << 10)

struct options opt = { .sessions = 10,
                       .recipients = 1,
                       .range = 1,
                       .retrieve = 1000,
                       .size = 10240,
                       .from = "sender@source.test",
                       .to = "user%d@bench.test",
                       .path = "/" };

static const struct protocol {
    const char *name;
    bool (*work)(struct worker *w, long id);
    size_t (*work_size)(void);
    void (*leave)(struct worker *w);
} protocols[] = { { "smtp", smtp_work, smtp_work_size, smtp_leave },
                  { "pop3", pop3_work, NULL, NULL },
                  { "http", http_work, http_work_size, NULL } };

static const struct protocol *protocol;
static atomic_long issued;
static double end_at;

static void fail(const char *what)
{
    fprintf(stderr, "loadgen: %s\n", what);
    exit(2);
}

static void *must(void *p)
{
    if (!p)
        fail("out of memory");
    return p;
}

double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void note(struct worker *w, double since)
{
    struct times *t = &w->times;

    if (t->n == t->room) {
        t->room = t->room ? t->room * 2 : 4096;
        t->seconds = must(realloc(t->seconds, t->room * sizeof *t->seconds));
    }
    t->seconds[t->n++] = now() - since;
    w->done++;
}

static bool take(long *id)
{
    if (opt.seconds > 0 && now() >= end_at)
        return false;
    *id = issued++;
    return !opt.total || *id < opt.total;
}

static void *run(void *p)
{
    struct worker *w = p;
    int in_a_row = 0;
    long id;

    while (in_a_row < FAILURES_IN_A_ROW && take(&id)) {
        if (protocol->work(w, id)) {
            in_a_row = 0;
            continue;
        }
        if (opt.verbose)
            fprintf(stderr, "number %ld failed, errno %d\n", id, errno);
        connection_close(w);
        w->failed++;
        in_a_row++;
        usleep(2000);
    }
    if (protocol->leave)
        protocol->leave(w);
    connection_close(w);
    return NULL;
}

/* ---- the text ---- */

static unsigned random_below(unsigned n)
{
    static unsigned long state = 42;

    state = state * 6364136223846793005UL + 1442695040888963407UL;
    return (unsigned)(state >> 33) % n;
}

/* Lines of 76 letters and CRLF, words drawn from 1,024: a bit over ten bits a word, as in real text. */
static void make_text(void)
{
    static char words[1024][12];
    size_t column = 0;

    for (unsigned i = 0; i < 1024; i++)
        for (unsigned k = 2 + random_below(9); k > 0; k--)
            words[i][k - 1] = (char)('a' + random_below(26));
    opt.text_size = opt.size + 256;
    opt.text = must(malloc(opt.text_size));
    for (size_t n = 0; n < opt.text_size;) {
        for (const char *word = words[random_below(1024)]; *word && column < 75 && n < opt.text_size; column++)
            opt.text[n++] = *word++;
        if (column < 75 && n < opt.text_size)
            opt.text[n++] = ' ', column++;
        if (column == 75) {
            for (const char *end = ".\r\n"; *end && n < opt.text_size;)
                opt.text[n++] = *end++;
            column = 0;
        }
    }
}

/* ---- the command line ---- */

static void set_server(const char *text)
{
    const char *colon = strrchr(text, ':');
    char host[64];
    long port;

    if (!colon || (size_t)(colon - text) >= sizeof host)
        fail("-a wants HOST:PORT");
    snprintf(host, sizeof host, "%.*s", (int)(colon - text), text);
    port = strtol(colon + 1, NULL, 10);
    opt.server.sin_family = AF_INET;
    opt.server.sin_port = htons((unsigned short)port);
    if (port < 1 || port > 65535 || inet_pton(AF_INET, host, &opt.server.sin_addr) != 1 ||
        ntohl(opt.server.sin_addr.s_addr) >> 24 != 127)
        fail("only a port of a loopback address (127.x.y.z) is loaded");
}

static void read_form(const char *file)
{
    FILE *f = fopen(file, "r");

    if (!f)
        fail("cannot read the template file");
    opt.form = must(malloc(FORM_MAX + 1));
    opt.form_size = fread(opt.form, 1, FORM_MAX, f);
    fclose(f);
    while (opt.form_size && opt.form[opt.form_size - 1] == '\n')
        opt.form_size--;
    opt.form[opt.form_size] = '\0';
}

static void read_paths(const char *file)
{
    FILE *f = fopen(file, "r");
    char line[COMMAND_MAX / 2];

    if (!f)
        fail("cannot read the file of paths");
    while (fgets(line, sizeof line, f)) {
        size_t n = strcspn(line, "\n");

        if (line[0] != '/' || line[n] != '\n' || opt.n_paths == PATHS_MAX)
            fail("a file of paths has at most 1,024 lines, each a path");
        line[n] = '\0';
        opt.paths[opt.n_paths++] = must(strdup(line));
    }
    fclose(f);
}

static void add_header(const char *text)
{
    size_t n = strlen(opt.headers);

    if ((size_t)snprintf(opt.headers + n, sizeof opt.headers - n, "%s\r\n", text) >= sizeof opt.headers - n)
        fail("too many header lines");
}

static long number(const char *text, long least, long most)
{
    char *end;
    long n = strtol(text, &end, 10);

    if (*end || end == text || n < least || n > most) {
        fprintf(stderr, "loadgen: %s is not a number from %ld to %ld\n", text, least, most);
        exit(2);
    }
    return n;
}

static bool take_number(int letter, const char *value)
{
    switch (letter) {
    case 's': opt.sessions = (int)number(value, 1, SESSIONS_MAX); return true;
    case 'm': opt.total = number(value, 1, 1L << 40); return true;
    case 't': opt.seconds = strtod(value, NULL); return true;
    case 'l': opt.size = (size_t)number(value, 0, SIZE_MAX_BYTES); return true;
    case 'r': opt.recipients = (int)number(value, 1, 1000); return true;
    case 'P': opt.pipeline = (int)number(value, 0, 100); return true;
    case 'R': opt.range = (int)number(value, 1, 1L << 30); return true;
    case 'B': opt.batch = (int)number(value, 1, 1000); return true;
    case 'k': opt.retrieve = (int)number(value, 0, 1L << 30); return true;
    default: return false;
    }
}

static bool take_word(int letter, const char *value)
{
    switch (letter) {
    case 'a': set_server(value); return true;
    case 'u': opt.user = value; return true;
    case 'p': opt.password = value; return true;
    case 'f': opt.from = value; return true;
    case 'c': opt.to = value; return true;
    case 'U': opt.path = value; return true;
    case 'b': read_form(value); return true;
    case 'G': read_paths(value); return true;
    case 'H': add_header(value); return true;
    case 'd': opt.keep = true; return true;
    case 'L': opt.lmtp = true; return true;
    case 'T': opt.starttls = true; return true;
    case 'S': opt.tls = true; return true;
    case 'v': opt.verbose++; return true;
    default: return false;
    }
}

static void read_options(int argc, char **argv)
{
    int letter;

    for (size_t i = 0; argc > 1 && i < sizeof protocols / sizeof *protocols; i++)
        if (strcmp(argv[1], protocols[i].name) == 0)
            protocol = &protocols[i];
    if (!protocol)
        fail("the first word is smtp, pop3 or http; bench/loadgen.c has the manual");
    optind = 2;
    while ((letter = getopt(argc, argv, "a:s:m:t:l:r:dP:TSLu:p:f:c:R:k:U:b:B:G:H:v")) != -1)
        if (!take_number(letter, optarg) && !take_word(letter, optarg))
            exit(2);
    if (!opt.server.sin_port)
        fail("-a HOST:PORT is missing");
    if ((protocol->work == http_work && !opt.form && !opt.n_paths) || (protocol->work == pop3_work && !opt.user) ||
        (opt.user && !opt.password))
        fail("http wants -b or -G, pop3 wants -u; -u wants -p");
    if (!opt.total && opt.seconds <= 0)
        opt.seconds = 3;
    if (opt.seconds > SECONDS_MAX)
        opt.seconds = SECONDS_MAX;
}

/* ---- running and telling ---- */

static void start(struct worker *w, int number)
{
    pthread_attr_t attributes;

    w->number = number;
    w->fd = -1;
    w->work_size = protocol->work_size ? protocol->work_size() : 0;
    w->work = w->work_size ? must(malloc(w->work_size)) : NULL;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    if (pthread_create(&w->thread, &attributes, run, w) != 0)
        fail("cannot start a thread");
    pthread_attr_destroy(&attributes);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

/* Takes what w has done over into sum. */
static void add(struct worker *sum, struct worker *w)
{
    sum->done += w->done;
    sum->failed += w->failed;
    sum->connections += w->connections;
    sum->bytes += w->bytes;
    if (w->times.n) {
        sum->times.seconds = must(realloc(sum->times.seconds, (sum->times.n + w->times.n) * sizeof(double)));
        memcpy(sum->times.seconds + sum->times.n, w->times.seconds, w->times.n * sizeof(double));
        sum->times.n += w->times.n;
    }
    free(w->times.seconds);
    free(w->work);
}

static double at(const struct times *t, double part)
{
    return t->n ? t->seconds[(size_t)((double)(t->n - 1) * part)] * 1e3 : 0;
}

static void tell(const struct worker *sum, double seconds)
{
    struct timespec cpu;
    double n = sum->done ? (double)sum->done : 1;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    printf("{\"n\":%ld,\"failed\":%ld,\"conns\":%ld,\"secs\":%.3f,\"rate\":%.1f,\"MBps\":%.2f,"
           "\"p50_ms\":%.3f,\"p95_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.2f,\"gen_cpu_us\":%.1f}\n",
           sum->done, sum->failed, sum->connections, seconds, (double)sum->done / seconds,
           (double)sum->bytes / seconds / 1e6, at(&sum->times, .5), at(&sum->times, .95), at(&sum->times, .99),
           at(&sum->times, 1), ((double)cpu.tv_sec * 1e6 + (double)cpu.tv_nsec / 1e3) / n);
}

int main(int argc, char **argv)
{
    struct worker *workers, *sum;
    double begin;

    read_options(argc, argv);
    make_text();
    workers = must(calloc((size_t)opt.sessions, sizeof *workers));
    sum = must(calloc(1, sizeof *sum));
    begin = now();
    end_at = begin + opt.seconds;
    for (int i = 0; i < opt.sessions; i++)
        start(&workers[i], i);
    for (int i = 0; i < opt.sessions; i++)
        pthread_join(workers[i].thread, NULL);
    end_at = now();
    for (int i = 0; i < opt.sessions; i++)
        add(sum, &workers[i]);
    if (sum->times.n)
        qsort(sum->times.seconds, sum->times.n, sizeof(double), by_size);
    tell(sum, end_at - begin);
    return sum->done == 0;
}
