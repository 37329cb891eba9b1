/* base/log.c - a line is built in memory of its thread and leaves with one write(2).
 *
 * So lines of several threads never mix, and nobody waits for a lock. A line that cannot be written is lost: a full
 * disk under the log must not stop the mail. errno is left as it was, so a failed call may be logged before it is
 * looked at. */
#include "base/log.h"
#include "base/clock.h"
#include "base/mask.h"
#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

static const char *const level_names[] = { "debug", "info", "warn", "error" };
static _Atomic int least_level = LOG_INFO;
static _Atomic int line_format = LOG_LOGFMT;
static _Atomic int target = 2;

enum { TAIL_MAX = sizeof ",\"cut\":true}\n", UTF8_MAX = 4 };

void log_set(enum log_level least, enum log_format format)
{
    least_level = (int)least;
    line_format = (int)format;
}

void log_to(int fd)
{
    target = fd;
}

bool log_wants(enum log_level level)
{
    return (int)level >= atomic_load_explicit(&least_level, memory_order_relaxed);
}

/* What must not reach a terminal or split a line: C0, DEL, C1, line and paragraph separator, and the marks that turn
 * the writing direction around. Gives the code point, or 0 for a character that may pass. */
static unsigned forbidden(struct bytes c)
{
    const unsigned char *p = (const unsigned char *)c.p;
    unsigned point = p[0];

    if (c.n == 1)
        return point < 0x20 || point == 0x7F ? point | 0x10000u : 0;
    if (c.n == 2)
        point = (p[0] & 0x1Fu) << 6 | (p[1] & 0x3Fu);
    else if (c.n == 3)
        point = (p[0] & 0x0Fu) << 12 | (p[1] & 0x3Fu) << 6 | (p[2] & 0x3Fu);
    else
        return 0;
    if (point < 0xA0 || (point >= 0x2028 && point <= 0x202E) || (point >= 0x2066 && point <= 0x2069))
        return point | 0x10000u;
    return 0;
}

static void add_escaped_character(struct buf *line, struct bytes c)
{
    static const char names[][3] = { "\"\"", "\\\\", "\nn", "\rr", "\tt" };
    unsigned point = forbidden(c);

    for (size_t i = 0; c.n == 1 && i < sizeof names / sizeof *names; i++)
        if (c.p[0] == names[i][0]) {
            buf_addc(line, '\\');
            buf_addc(line, names[i][1]);
            return;
        }
    if (point)
        buf_addf(line, "\\u%04x", point & 0xFFFFu);
    else
        buf_add(line, c);
}

/* Between quotes, in the escapes of JSON; both forms of a line use it. Cuts at LOG_VALUE_MAX, between characters. */
static void add_quoted(struct buf *line, struct bytes text)
{
    size_t used = 0;

    buf_addc(line, '"');
    while (text.n) {
        size_t n = bytes_utf8_length(text);

        if (used + (n ? n : 1) > LOG_VALUE_MAX) {
            buf_adds(line, "…");
            break;
        }
        if (n)
            add_escaped_character(line, bytes_head(text, n));
        else
            buf_adds(line, "\xEF\xBF\xBD");
        n = n ? n : 1;
        used += n;
        text = bytes_from(text, n);
    }
    buf_addc(line, '"');
}

static bool is_plain(struct bytes text)
{
    if (text.n == 0 || text.n > LOG_VALUE_MAX)
        return false;
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];

        if (c <= ' ' || c >= 0x7F || c == '"' || c == '=' || c == '\\')
            return false;
    }
    return true;
}

/* The part of a value that may be shown, without secrets; `room` is where it lies when there were some. */
static struct bytes shown(struct bytes text, char room[LOG_VALUE_MAX + UTF8_MAX])
{
    struct bytes head = bytes_head(text, LOG_VALUE_MAX + UTF8_MAX);

    if (!mask_wanted(head))
        return text;
    memcpy(room, head.p, head.n);
    return (struct bytes){ room, mask_text(room, head.n) };
}

static void add_text(struct buf *line, enum log_format format, struct bytes text)
{
    char room[LOG_VALUE_MAX + UTF8_MAX];

    text = shown(text, room);
    if (format == LOG_LOGFMT && is_plain(text))
        buf_add(line, text);
    else
        add_quoted(line, text);
}

static void add_field(struct buf *line, enum log_format format, const struct log_field *f)
{
    if (format == LOG_JSON) {
        buf_addf(line, ",\"%s\":", f->name);
    } else {
        buf_addf(line, " %s=", f->name);
    }
    if (f->type == LOG_F_INT)
        buf_addf(line, "%lld", (long long)f->number);
    else
        add_text(line, format, f->text);
}

/* A field that no longer fits is left out whole, so that the line stays readable by machines; cut=true tells. */
static void add_fields(struct buf *line, enum log_format format, const struct log_field *fields, size_t n)
{
    bool cut = false;

    line->max -= TAIL_MAX;
    for (size_t i = 0; i < n; i++) {
        size_t before = line->n;

        if (fields[i].type == LOG_F_TEXT && !fields[i].text.p)
            continue;
        add_field(line, format, &fields[i]);
        if (line->overflowed) {
            line->n = before;
            line->overflowed = false;
            cut = true;
        }
    }
    line->max += TAIL_MAX;
    if (cut)
        buf_adds(line, format == LOG_JSON ? ",\"cut\":true" : " cut=true");
}

static void write_line(const struct buf *line)
{
    ssize_t n = 0;

    do
        n = write(target, line->p, line->n);
    while (n < 0 && errno == EINTR);
}

void log_write(enum log_level level, const char *component, const struct log_field *fields, size_t n)
{
    static _Thread_local char memory[LOG_LINE_MAX]; /* not on a fiber's small stack */
    struct buf line = { .p = memory, .cap = sizeof memory, .max = sizeof memory };
    enum log_format format = (enum log_format)line_format;
    char now[CLOCK_TEXT];
    int saved = errno;

    assert(level <= LOG_ERROR);
    clock_rfc3339(clock_wall(), now);
    buf_addf(&line, format == LOG_JSON ? "{\"time\":\"%s\",\"level\":\"%s\",\"component\":\"%s\"" : "%s %s %s", now,
             level_names[level], component);
    add_fields(&line, format, fields, n);
    buf_adds(&line, format == LOG_JSON ? "}\n" : "\n");
    write_line(&line);
    errno = saved;
}
