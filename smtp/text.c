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

/* Within a line: up to its CR, or to the end of the chunk. */
static const char *in_line(struct text *t, const char *p, const char *end)
{
    const char *cr = memchr(p, '\r', (size_t)(end - p));
    const char *stop = cr ? cr : end;

    if (memchr(p, '\n', (size_t)(stop - p)))
        fault(t, TEXT_BARE);
    count(t, (size_t)(stop - p));
    if (!cr)
        return end;
    t->at = TEXT_CR;
    return cr + 1;
}

/* Behind a CR. Another character than LF is looked at again, as part of the line. */
static const char *after_cr(struct text *t, const char *p)
{
    if (*p == '\n') {
        t->at = TEXT_LINE_START;
        t->line = 0;
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
            } else {
                t->at = TEXT_IN_LINE;
            }
            break;
        case TEXT_DOT_CR:
            if (*p == '\n') {
                t->ended = true;
                from = ++p;
            } else {
                fault(t, TEXT_BARE);
                t->at = TEXT_IN_LINE;
            }
            break;
        case TEXT_IN_LINE: p = in_line(t, p, end); break;
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
