/* smtp/text.c - a small machine over chunks, by memchr.
 *
 * What is not changed is handed on in the longest runs there are. The first fault decides the reply, and from then on
 * nothing is handed on, yet the text is read to its true end: whoever stops earlier takes the rest of a mail for
 * commands. */
#include "smtp/text.h"
#include <string.h>

void text_init(struct text *t, bool dotted, size_t line_max, bool (*each)(void *ctx, struct bytes piece), void *ctx)
{
    *t = (struct text){ .dotted = dotted, .line_max = line_max, .each = each, .ctx = ctx, .at = TEXT_LINE_START };
}

static void fault(struct text *t, enum text_fault f)
{
    if (t->fault == TEXT_OK)
        t->fault = f;
    t->deaf = true;
}

static void hand_on(struct text *t, const char *p, size_t n)
{
    if (n && !t->deaf && memchr(p, '\0', n))
        fault(t, TEXT_NUL);
    if (n && !t->deaf && !t->each(t->ctx, (struct bytes){ p, n }))
        t->deaf = true;
}

static void count(struct text *t, size_t n)
{
    t->line += n;
    if (t->line > t->line_max)
        fault(t, TEXT_LONG);
}

static const char *look(char c, const char *p, const char *end)
{
    return memchr(p, c, (size_t)(end - p));
}

/* Within a line: up to its CR, or to the end of the chunk. */
static const char *in_line(struct text *t, const char *p, const char *end)
{
    const char *cr = look('\r', p, end);
    const char *stop = cr ? cr : end;

    if (!t->mend && look('\n', p, stop))
        fault(t, TEXT_BARE);
    count(t, (size_t)(stop - p));
    if (!cr)
        return end;
    t->at = TEXT_CR;
    return cr + 1;
}

static void line_begins(struct text *t, bool soft)
{
    t->at = TEXT_LINE_START;
    t->line = 0;
    t->soft = soft;
}

/* The same where a bare LF ends a line too; *from is where what was not yet handed on begins. LF is looked for first:
 * text of many short lines must not be searched to its end for each. */
static const char *in_line_mending(struct text *t, const char **from, const char *p, const char *end)
{
    const char *lf = look('\n', p, end);
    const char *stop = lf ? lf : end;

    if (t->deaf || look('\r', p, stop))
        return in_line(t, p, end);
    count(t, (size_t)(stop - p));
    if (!lf)
        return end;
    hand_on(t, *from, (size_t)(lf - *from));
    hand_on(t, "\r\n", 2);
    line_begins(t, true);
    *from = lf + 1;
    return lf + 1;
}

/* A line of one dot that is not the end. */
static void lone_dot(struct text *t)
{
    hand_on(t, ".\r\n", 3);
    line_begins(t, true);
}

/* Behind a CR. Another character than LF is looked at again, as part of the line. */
static const char *after_cr(struct text *t, const char *p)
{
    if (*p == '\n') {
        line_begins(t, false);
        return p + 1;
    }
    fault(t, TEXT_BARE);
    t->at = TEXT_IN_LINE;
    return p;
}

size_t text_read(struct text *t, struct bytes chunk)
{
    const char *p = chunk.p, *end = chunk.p + chunk.n, *from = p; /* from: the first byte not yet handed on */

    while (p < end && !t->ended) {
        switch (t->at) {
        case TEXT_LINE_START:
            if (t->dotted && *p == '.') {
                hand_on(t, from, (size_t)(p - from));
                from = ++p; /* the dot goes, whatever follows */
                t->at = TEXT_DOT;
            } else {
                t->at = TEXT_IN_LINE;
            }
            break;
        case TEXT_DOT: /* ".\r" may be the end: its CR is held back */
            if (*p == '\r') {
                from = ++p;
                t->at = TEXT_DOT_CR;
            } else if (*p == '\n' && t->mend) {
                from = ++p;
                lone_dot(t);
            } else {
                t->at = TEXT_IN_LINE;
            }
            break;
        case TEXT_DOT_CR:
            if (*p == '\n' && !t->soft) {
                t->ended = true;
                from = ++p;
            } else if (*p == '\n') {
                from = ++p;
                lone_dot(t);
                t->soft = false; /* this one did end in CRLF */
            } else {
                fault(t, TEXT_BARE);
                t->at = TEXT_IN_LINE;
            }
            break;
        case TEXT_IN_LINE: p = t->mend ? in_line_mending(t, &from, p, end) : in_line(t, p, end); break;
        case TEXT_CR: p = after_cr(t, p); break;
        }
    }
    hand_on(t, from, (size_t)(p - from));
    return (size_t)(p - chunk.p);
}

void text_end(struct text *t)
{
    if (t->at == TEXT_CR)
        fault(t, TEXT_BARE);
    if (t->at == TEXT_IN_LINE)
        hand_on(t, "\r\n", 2);
    t->at = TEXT_LINE_START;
}
