/* POP3: a piece of work is a whole session: login, nothing or UIDL and RETR of each message, QUIT. Worker n reads
 * user n's maildrop only: a maildrop is locked for one session. */
#include "load.h"
#include <stdio.h>
#include <string.h>

static bool ok(struct worker *w)
{
    const char *line;
    size_t n;

    if (!connection_line(w, &line, &n))
        return false;
    if (n && line[0] == '+')
        return true;
    if (opt.verbose)
        fprintf(stderr, "wanted +OK, got: %.*s\n", (int)n, line);
    return false;
}

static bool rest_of_answer(struct worker *w)
{
    const char *line;
    size_t n;

    while (connection_line(w, &line, &n)) {
        w->bytes += (long)n + 1;
        if (line[0] == '.' && n <= 2)
            return true;
    }
    return false;
}

static bool login(struct worker *w)
{
    char user[256];

    template_fill(user, sizeof user, opt.user, w->number % opt.range);
    if (!connection_open(w) || !ok(w))
        return false;
    if (opt.starttls && (!connection_printf(w, "STLS\r\n") || !ok(w) || !connection_tls(w)))
        return false;
    return connection_printf(w, "USER %s\r\n", user) && ok(w) && connection_printf(w, "PASS %s\r\n", opt.password) &&
           ok(w);
}

/* Commands until `depth` are on their way, in one write. */
static bool ask(struct worker *w, int *sent, int until)
{
    char text[COMMAND_MAX];
    size_t n = 0;

    while (*sent < until && n + 32 < sizeof text)
        n += (size_t)snprintf(text + n, sizeof text - n, "RETR %d\r\n", ++*sent);
    return connection_write(w, text, n);
}

static bool retrieve(struct worker *w)
{
    int sent = 0, depth = opt.pipeline > 1 ? opt.pipeline : 1;

    for (int got = 0; got < opt.retrieve;) {
        double start = now();
        int until = got + depth < opt.retrieve ? got + depth : opt.retrieve;

        if (!ask(w, &sent, until))
            return false;
        for (int k = depth > 1 ? (sent - got + 1) / 2 : 1; k > 0; k--, got++) { /* half a window, then more */
            if (!ok(w) || !rest_of_answer(w))
                return false;
            note(w, start);
        }
    }
    return true;
}

bool pop3_work(struct worker *w, long id)
{
    double start = now();

    (void)id;
    if (!login(w))
        return false;
    if (opt.retrieve && (!connection_printf(w, "UIDL\r\n") || !ok(w) || !rest_of_answer(w) || !retrieve(w)))
        return false;
    if (!connection_printf(w, "QUIT\r\n") || !ok(w))
        return false;
    connection_close(w);
    if (!opt.retrieve)
        note(w, start);
    return true;
}
