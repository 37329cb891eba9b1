/* SMTP: one message is a piece of work; the connection is kept or made anew for each. */
#include "load.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define END_OF_DATA ".\r\n"

/* One whole reply begins with `want` (a digit or three). */
static bool reply(struct worker *w, const char *want)
{
    const char *line;
    size_t n;

    do {
        if (!connection_line(w, &line, &n))
            return false;
    } while (n > 3 && line[3] == '-');
    if (n >= strlen(want) && strncmp(line, want, strlen(want)) == 0)
        return true;
    if (opt.verbose)
        fprintf(stderr, "wanted %s, got: %.*s\n", want, (int)n, line);
    return false;
}

static bool login(struct worker *w)
{
    unsigned char plain[512], coded[1024];
    int n = snprintf((char *)plain, sizeof plain, "%c%s%c%s", 0, opt.user, 0, opt.password);

    if (n < 0 || (size_t)n >= sizeof plain)
        return false;
    EVP_EncodeBlock(coded, plain, n);
    return connection_printf(w, "AUTH PLAIN %s\r\n", (const char *)coded) && reply(w, "235");
}

static bool greet(struct worker *w)
{
    const char *hello = opt.lmtp ? "LHLO load.test\r\n" : "EHLO load.test\r\n";

    if (!connection_open(w) || !reply(w, "220") || !connection_printf(w, "%s", hello) || !reply(w, "250"))
        return false;
    if (opt.starttls && (!connection_printf(w, "STARTTLS\r\n") || !reply(w, "220") || !connection_tls(w) ||
                         !connection_printf(w, "%s", hello) || !reply(w, "250")))
        return false;
    return !opt.user || login(w);
}

static void recipient(char *out, size_t size, long id, int i)
{
    template_fill(out, size, opt.to, (int)((id * opt.recipients + i) % opt.range));
}

static bool envelope_step_by_step(struct worker *w, long id)
{
    char to[256];

    if (!connection_printf(w, "MAIL FROM:<%s>\r\n", opt.from) || !reply(w, "250"))
        return false;
    for (int i = 0; i < opt.recipients; i++) {
        recipient(to, sizeof to, id, i);
        if (!connection_printf(w, "RCPT TO:<%s>\r\n", to) || !reply(w, "25"))
            return false;
    }
    return connection_printf(w, "DATA\r\n") && reply(w, "354");
}

static bool envelope_at_once(struct worker *w, long id)
{
    char text[ENVELOPE_MAX], to[256];
    size_t n = (size_t)snprintf(text, sizeof text, "MAIL FROM:<%s>\r\n", opt.from);

    for (int i = 0; i < opt.recipients && n < sizeof text; i++) {
        recipient(to, sizeof to, id, i);
        n += (size_t)snprintf(text + n, sizeof text - n, "RCPT TO:<%s>\r\n", to);
    }
    if (n < sizeof text)
        n += (size_t)snprintf(text + n, sizeof text - n, "DATA\r\n");
    if (n >= sizeof text || !connection_write(w, text, n) || !reply(w, "250"))
        return false;
    for (int i = 0; i < opt.recipients; i++)
        if (!reply(w, "25"))
            return false;
    return reply(w, "354");
}

static size_t header(char *out, size_t size, long id)
{
    time_t t = time(NULL);
    struct tm parts;
    char date[64], to[256];

    gmtime_r(&t, &parts);
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S +0000", &parts);
    recipient(to, sizeof to, id, 0);
    return (size_t)snprintf(out, size,
                            "From: Sender <%s>\r\nTo: <%s>\r\nSubject: bench message %ld\r\nDate: %s\r\n"
                            "Message-ID: <%ld.%d.%ld@load.test>\r\nMIME-Version: 1.0\r\n"
                            "Content-Type: text/plain; charset=us-ascii\r\n\r\n",
                            opt.from, to, id, date, id, getpid(), (long)t);
}

/* The generator's own cost is kept low: in clear, the text is sent from where it lies. */
static bool send_clear(struct worker *w, char *head, size_t head_size, size_t body_size)
{
    struct iovec parts[] = { { head, head_size }, { opt.text, body_size }, { END_OF_DATA, 3 } };
    struct msghdr message = { .msg_iov = parts, .msg_iovlen = 3 };
    ssize_t sent = sendmsg(w->fd, &message, MSG_NOSIGNAL);
    size_t skip = (size_t)sent;

    if (sent < 0)
        return false;
    for (int i = 0; i < 3; i++) {
        size_t cut = skip < parts[i].iov_len ? skip : parts[i].iov_len;

        skip -= cut;
        if (!connection_write(w, (char *)parts[i].iov_base + cut, parts[i].iov_len - cut))
            return false;
    }
    return true;
}

static bool send_tls(struct worker *w, const char *head, size_t head_size, size_t body_size)
{
    memcpy(w->work, head, head_size);
    memcpy(w->work + head_size, opt.text, body_size);
    memcpy(w->work + head_size + body_size, END_OF_DATA, 3);
    return connection_write(w, w->work, head_size + body_size + 3);
}

static bool message(struct worker *w, long id)
{
    char head[COMMAND_MAX];
    size_t head_size, body_size;

    if (!(opt.pipeline ? envelope_at_once(w, id) : envelope_step_by_step(w, id)))
        return false;
    head_size = header(head, sizeof head, id);
    if (head_size >= sizeof head)
        return false;
    body_size = opt.size > head_size ? opt.size - head_size : 0;
    body_size -= body_size % 78; /* whole lines */
    if (!(w->ssl ? send_tls(w, head, head_size, body_size) : send_clear(w, head, head_size, body_size)))
        return false;
    w->bytes += (long)(head_size + body_size);
    for (int i = opt.lmtp ? opt.recipients : 1; i > 0; i--) /* LMTP answers for each recipient (RFC 2033 section 4.2) */
        if (!reply(w, "250"))
            return false;
    return true;
}

size_t smtp_work_size(void)
{
    return opt.size + COMMAND_MAX + sizeof END_OF_DATA;
}

void smtp_leave(struct worker *w)
{
    if (w->fd >= 0 && connection_printf(w, "QUIT\r\n"))
        reply(w, "221");
}

bool smtp_work(struct worker *w, long id)
{
    double start = now();

    if ((w->fd < 0 && !greet(w)) || !message(w, id))
        return false;
    note(w, start);
    if (!opt.keep) {
        smtp_leave(w);
        connection_close(w);
    }
    return true;
}
