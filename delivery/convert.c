/* delivery/convert.c - runs the edits of a plan over the source, piece by piece.
 *
 * What is kept goes out as it came. What is encoded passes small machines, one for each encoding, that hold back only
 * what the next byte decides: a blank that may end a line, a CR that may be half a line end, the bytes of a line of
 * base64 that is not full. A header is read line by line as far as the name of its fields. */
#include "delivery/convert.h"
#include "mail/build_body.h"

enum { STEP = 16 * 1024, OUT_MAX = 4 * STEP + 4096, QUOTED_LINE = 75, BASE64_BYTES = 57 };

static void enter(struct convert *c)
{
    c->held_n = c->column = 0;
    c->state = CONVERT_START;
    c->dropping = c->encoding_seen = c->line_open = false;
}

void convert_begin(struct convert *c, const struct convert_plan *plan, struct wire_source source)
{
    *c = (struct convert){ .source = source, .plan = *plan };
    buf_init(&c->out, OUT_MAX);
}

void convert_end(struct convert *c)
{
    buf_clear(&c->out);
}

static bool is_name(const struct convert *c, struct bytes name)
{
    return bytes_equal_nocase(bytes_trim((struct bytes){ c->held, c->held_n }), name);
}

/* ---- header ---- */

static void flush_held(struct convert *c)
{
    if (!c->dropping)
        buf_add(&c->out, (struct bytes){ c->held, c->held_n });
    c->held_n = 0;
}

static void insert_fields(struct convert *c, const struct convert_edit *e)
{
    if (e->top && !c->version_seen)
        buf_adds(&c->out, "MIME-Version: 1.0\r\n");
    if (e->insert || c->encoding_seen)
        buf_addf(&c->out, "Content-Transfer-Encoding: %s\r\n", e->encoding);
}

/* The name has ended, with its colon. */
static void judge_name(struct convert *c)
{
    c->held_n--;
    c->dropping = is_name(c, BYTES("Content-Transfer-Encoding"));
    c->encoding_seen |= c->dropping;
    c->version_seen |= is_name(c, BYTES("MIME-Version"));
    c->held_n++;
    flush_held(c);
    c->state = CONVERT_REST;
}

static void line_starts(struct convert *c, const struct convert_edit *e, char ch)
{
    if (ch == ' ' || ch == '\t') { /* folded: goes with its field */
        c->state = CONVERT_REST;
        flush_held(c);
        return;
    }
    c->dropping = false;
    c->state = CONVERT_NAME;
    if (ch == '\r' || ch == '\n') {
        insert_fields(c, e);
        flush_held(c);
        c->state = CONVERT_PAST;
    }
}

static void header_byte(struct convert *c, const struct convert_edit *e, char ch)
{
    c->held[c->held_n++] = ch;
    switch (c->state) {
    case CONVERT_START: line_starts(c, e, ch); break;
    case CONVERT_NAME:
        if (ch == ':')
            judge_name(c);
        else if (ch == '\n' || c->held_n == sizeof c->held)
            c->state = CONVERT_REST;
        break;
    case CONVERT_REST:
    case CONVERT_PAST: break;
    }
    if (c->state >= CONVERT_REST)
        flush_held(c);
    if (c->state == CONVERT_REST && ch == '\n')
        c->state = CONVERT_START;
}

/* A header that ends without an empty line gets one, if anything was to be said. */
static void header_ended(struct convert *c, const struct convert_edit *e)
{
    flush_held(c);
    if (c->state == CONVERT_PAST || !e->insert)
        return;
    if (c->state != CONVERT_START)
        buf_adds(&c->out, "\r\n");
    insert_fields(c, e);
    buf_adds(&c->out, "\r\n");
}

/* ---- quoted-printable (RFC 2045 6.7) ---- */

static void quoted_add(struct convert *c, char ch, bool literal)
{
    size_t n = literal ? 1 : 3;

    if (c->column + n > QUOTED_LINE) {
        buf_adds(&c->out, "=\r\n");
        c->column = 0;
    }
    if (literal)
        buf_addc(&c->out, ch);
    else
        buf_addf(&c->out, "=%02X", (unsigned char)ch);
    c->column += n;
}

static void quoted_held(struct convert *c, bool literal)
{
    for (size_t i = 0; i < c->held_n; i++)
        quoted_add(c, c->held[i], literal && c->held[i] != '\r');
    c->held_n = 0;
}

/* Held are a blank, a CR, or a blank and a CR. A dot or an F ("From ") that begins a line is encoded: servers on the
 * way touch such lines. */
static void quoted_byte(struct convert *c, char ch)
{
    bool cr = c->held_n && c->held[c->held_n - 1] == '\r';

    if (cr && ch == '\n') {
        c->held_n--;
        quoted_held(c, false);
        buf_adds(&c->out, "\r\n");
        c->column = 0;
        c->line_open = false;
        return;
    }
    if (cr || (c->held_n && ch != '\r'))
        quoted_held(c, true);
    if (ch == ' ' || ch == '\t' || ch == '\r')
        c->held[c->held_n++] = ch;
    else
        quoted_add(c, ch, ch > ' ' && ch < 0x7F && ch != '=' && (c->line_open || (ch != '.' && ch != 'F')));
    c->line_open = true;
}

/* ---- base64 ---- */

static void base64_line(struct convert *c)
{
    if (!c->held_n)
        return;
    if (c->line_open)
        buf_adds(&c->out, "\r\n");
    body_write_base64((struct bytes){ c->held, c->held_n }, &c->out);
    c->out.n -= 2; /* its line end comes before the next line, or is the boundary's */
    c->held_n = 0;
    c->line_open = true;
}

static void base64_bytes(struct convert *c, struct bytes chunk)
{
    while (chunk.n) {
        size_t room = BASE64_BYTES - c->held_n, n = chunk.n < room ? chunk.n : room;

        memcpy(c->held + c->held_n, chunk.p, n);
        c->held_n += n;
        chunk = bytes_from(chunk, n);
        if (c->held_n == BASE64_BYTES)
            base64_line(c);
    }
}

/* ---- all of it ---- */

static void edit_bytes(struct convert *c, const struct convert_edit *e, struct bytes chunk)
{
    switch (e->what) {
    case CONVERT_KEEP: buf_add(&c->out, chunk); break;
    case CONVERT_BASE64: base64_bytes(c, chunk); break;
    case CONVERT_HEADER:
        for (size_t i = 0; i < chunk.n; i++)
            header_byte(c, e, chunk.p[i]);
        break;
    case CONVERT_QUOTED:
        for (size_t i = 0; i < chunk.n; i++)
            quoted_byte(c, chunk.p[i]);
        break;
    case CONVERT_MASK:
        for (size_t i = 0; i < chunk.n; i++)
            buf_addc(&c->out, (unsigned char)chunk.p[i] < 0x80 ? chunk.p[i] : '?');
        break;
    }
}

/* The run has ended; `last`: so has the mail, which ends in a line end. */
static void edit_ended(struct convert *c, const struct convert_edit *e, bool last)
{
    switch (e->what) {
    case CONVERT_HEADER: header_ended(c, e); break;
    case CONVERT_QUOTED: quoted_held(c, false); break;
    case CONVERT_BASE64: base64_line(c); break;
    case CONVERT_KEEP:
    case CONVERT_MASK: break;
    }
    if (last && c->line_open && (e->what == CONVERT_QUOTED || e->what == CONVERT_BASE64))
        buf_adds(&c->out, "\r\n");
    enter(c);
}

static bool refill(struct convert *c, struct err *e)
{
    if (c->rest.n || c->ended)
        return true;
    if (!c->source.next(c->source.ctx, &c->rest, e))
        return false;
    c->ended = c->rest.n == 0;
    return true;
}

/* One step: at most STEP bytes of the source. Empty runs end at once. */
static void step(struct convert *c)
{
    const struct convert_edit *e = &c->plan.edits[c->edit];
    struct bytes chunk = bytes_head(c->rest, STEP);

    if (c->ended) { /* shorter than it was: what is open is closed */
        edit_ended(c, e, true);
        c->edit = c->plan.n;
        return;
    }
    if ((int64_t)chunk.n > e->to - c->at)
        chunk.n = (size_t)(e->to - c->at);
    edit_bytes(c, e, chunk);
    c->rest = bytes_from(c->rest, chunk.n);
    c->at += (int64_t)chunk.n;
    if (c->at == e->to)
        edit_ended(c, e, ++c->edit == c->plan.n);
}

static bool next(void *ctx, struct bytes *piece, struct err *e)
{
    struct convert *c = ctx;

    buf_reset(&c->out);
    while (c->out.n == 0 && c->edit < c->plan.n) {
        if (!refill(c, e))
            return false;
        step(c);
    }
    *piece = buf_bytes(&c->out);
    return true;
}

static bool again(void *ctx, struct err *e)
{
    struct convert *c = ctx;

    if (!c->source.rewind(c->source.ctx, e))
        return false;
    enter(c);
    c->rest = NO_BYTES;
    c->edit = 0;
    c->at = 0;
    c->ended = c->version_seen = false;
    return true;
}

struct wire_source convert_source(struct convert *c)
{
    return (struct wire_source){ next, again, c };
}
