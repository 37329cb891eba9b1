#include "mail/calendar.h"

/* The next line without its end: CRLF, or LF alone as many libraries write it. */
static bool next_line(struct bytes *rest, struct bytes *line)
{
    if (!rest->n)
        return false;
    *line = bytes_head(*rest, bytes_find(*rest, '\n'));
    *rest = bytes_from(*rest, line->n + 1);
    if (bytes_ends(*line, BYTES("\r")))
        line->n--;
    return true;
}

static bool is(struct bytes line, const char *text)
{
    return bytes_equal_nocase(bytes_trim(line), bytes_of(text));
}

/* The value of METHOD of the calendar itself, which stands before its components (RFC 5545 3.4); NO_BYTES: none. */
static struct bytes method_of(struct bytes content)
{
    struct bytes line;

    while (next_line(&content, &line) && (is(line, "BEGIN:VCALENDAR") || !bytes_starts_nocase(line, BYTES("BEGIN:"))))
        if (bytes_starts_nocase(line, BYTES("METHOD:")) || bytes_starts_nocase(line, BYTES("METHOD;")))
            return bytes_trim(bytes_from(line, bytes_find_last(line, ':') + 1));
    return NO_BYTES;
}

const char *calendar_fault(struct bytes content, struct bytes method)
{
    struct bytes rest = content, line = NO_BYTES, said = method_of(content);
    bool begins = next_line(&rest, &line) && is(line, "BEGIN:VCALENDAR"), ends = false;

    while (next_line(&rest, &line))
        ends = line.n ? is(line, "END:VCALENDAR") : ends;
    if (!begins || !ends)
        return "An iCalendar object, from BEGIN:VCALENDAR to END:VCALENDAR";
    if (said.p && !bytes_equal_nocase(said, method))
        return "The calendar says another METHOD";
    return NULL;
}

void calendar_write(struct bytes content, struct bytes method, struct buf *out)
{
    bool says = method_of(content).p, first = true;
    struct bytes line;

    while (next_line(&content, &line)) {
        buf_add(out, line);
        buf_adds(out, "\r\n");
        if (first && !says)
            buf_addf(out, "METHOD:%.*s\r\n", SHOW(method));
        first = false;
    }
}
