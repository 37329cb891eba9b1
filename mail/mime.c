/* mail/mime.c - the structure of a mail, found line by line as its bytes go by.
 *
 * Of a line that comes in several chunks only its start is kept, enough to tell a boundary, an empty line or a header
 * name. Boundaries that are open form a stack; the innermost one that matches wins, so that parts which were never
 * closed end with their parent. Parts inside a message/rfc822 belong to that message: it stays whole here. */
#include "mail/mime.h"
#include "mail/address_form.h"
#include "mail/chars.h"
#include "mail/charset.h"
#include "mail/mime_part.h"
#include "mail/mime_uu.h"
#include <assert.h>

enum { HEAD_MAX = MIME_BOUNDARY_MAX + 2 + 2 + 64 };
_Static_assert((int)HEAD_MAX > (int)HEADER_NAME_MAX, "a field is known by the start of its line");

enum state { IN_HEADER, IN_BODY };

struct open {
    struct bytes boundary;
    int part;
};

struct growing {
    char *p;
    size_t n, room, max;
    bool cut;
};

struct mime {
    struct mime_limits limits;
    struct arena *arena;
    struct mime_index index;
    struct open *stack;
    size_t room, depth, stack_room; /* of parts; open multiparts */
    int current;                    /* the part whose header or body this is; a multipart in its preamble or epilogue */
    enum state state;
    bool looks; /* for uuencoded files, in the text that goes by */
    struct uu_finder finder;
    int text;              /* the part that was cut up for one, -1: none */
    bool opaque;           /* a limit was passed: the rest is looked at no more */
    struct growing header; /* of the message, then of each part in turn */
    bool begun;            /* it has had a field */
    struct bytes charset;  /* the first one named: that of raw 8-bit text in headers */
    size_t at;             /* offset behind the last whole line */
    size_t text_end;       /* end of the last line, without its line end */
    size_t line_header;    /* bytes of header kept before this line, and whether some were cut */
    bool line_cut;
    char head[HEAD_MAX];   /* the start of an unfinished line */
    size_t head_n, line_n; /* kept of it; its length so far */
    char line_last;        /* its last byte so far */
};

static bool grow(struct mime *m, void **p, size_t *room, size_t size)
{
    size_t more = *room ? *room * 2 : 4;
    void *larger = arena_try(m->arena, more * size);

    if (!larger)
        return false;
    if (*room)
        memcpy(larger, *p, *room * size);
    *p = larger;
    *room = more;
    return true;
}

static void header_keep(struct mime *m, struct bytes text)
{
    struct growing *h = &m->header;

    if (text.n > h->max - h->n) {
        h->cut = true;
        text.n = h->max - h->n;
    }
    while (text.n > h->room - h->n) {
        size_t room = h->room ? h->room * 2 : 1024;
        char *p = NULL;

        while (room < h->n + text.n)
            room *= 2;
        p = arena_try(m->arena, room);
        if (!p) {
            h->cut = true;
            return;
        }
        if (h->n)
            memcpy(p, h->p, h->n);
        h->p = p;
        h->room = room;
    }
    if (text.n)
        memcpy(h->p + h->n, text.p, text.n);
    h->n += text.n;
}

static bool parts_room(struct mime *m, size_t n)
{
    void *parts = m->index.parts;

    if (m->index.n + n > m->limits.parts)
        return false;
    while (m->index.n + n > m->room)
        if (!grow(m, &parts, &m->room, sizeof *m->index.parts))
            return false;
    m->index.parts = parts;
    return true;
}

static bool part_add(struct mime *m, int parent, size_t at)
{
    struct mime_part *p = NULL;

    if (!parts_room(m, 1))
        return false;
    p = &m->index.parts[m->index.n];
    *p = (struct mime_part){ .header_at = at, .body_at = at, .parent = parent };
    p->depth = parent < 0 ? 0 : m->index.parts[parent].depth + 1;
    m->current = (int)m->index.n++;
    m->state = IN_HEADER;
    m->begun = false;
    return true;
}

struct mime *mime_begin(const struct mime_limits *limits, struct arena *a)
{
    struct mime *m = arena_alloc(a, sizeof *m);

    assert(limits->parts > 0 && limits->top_header > 0 && limits->part_header > 0);
    m->limits = *limits;
    m->arena = a;
    m->header.max = limits->top_header;
    m->text = -1;
    part_add(m, -1, 0);
    return m;
}

static void push(struct mime *m, int part)
{
    void *stack = m->stack;
    const struct mime_part *p = &m->index.parts[part];

    if (p->depth >= m->limits.depth ||
        (m->depth == m->stack_room && !grow(m, &stack, &m->stack_room, sizeof *m->stack)))
        return;
    m->stack = stack;
    m->stack[m->depth++] = (struct open){ .boundary = p->boundary, .part = part };
}

/* The line that was just kept is none of the header. */
static void header_rollback(struct mime *m)
{
    m->header.n = m->line_header;
    m->header.cut = m->line_cut;
}

/* The header of the current part is complete; its body starts at `body`. */
static void header_done(struct mime *m, size_t body)
{
    struct mime_part *p = &m->index.parts[m->current];
    bool digest = p->parent >= 0 && bytes_equal(m->index.parts[p->parent].type, BYTES("multipart/digest"));

    p->body_at = body;
    mime_part_read(p, (struct bytes){ m->header.p, m->header.n }, m->charset, digest, m->limits.fields, m->arena);
    if (m->charset.n == 0 && charset_find(p->charset) > CHARSET_UTF_8)
        m->charset = p->charset;
    if (p->parent < 0) {
        m->index.header = (struct bytes){ m->header.p ? m->header.p : "", m->header.n };
        m->index.header_cut = m->header.cut;
        m->header = (struct growing){ .max = m->limits.part_header };
    }
    m->header.n = 0;
    m->header.cut = false;
    m->state = IN_BODY;
    m->looks = m->limits.inner_files && p->encoding == MIME_IDENTITY && !p->filename.n &&
               bytes_equal(p->type, BYTES("text/plain")) && !bytes_equal(p->disposition, BYTES("attachment"));
    m->finder = (struct uu_finder){ .name_n = 0 };
    if (mime_is_multipart(p))
        push(m, m->current);
}

/* Ends every part that is open inside `above`: each is the current one or over it. A body without a byte ends where it
 * starts, behind the line end that belongs to the boundary, and its parents no sooner. */
static void end_inside(struct mime *m, int above, size_t end)
{
    for (int part = m->current; part != above; part = m->index.parts[part].parent) {
        struct mime_part *p = &m->index.parts[part];

        end = end > p->body_at ? end : p->body_at;
        p->end_at = end;
    }
}

/* A piece of a text that holds a file: a part without a header. There is room for it. */
static struct mime_part *piece_add(struct mime *m, size_t at)
{
    const struct mime_part *text = &m->index.parts[m->text];
    struct mime_part *p = &m->index.parts[m->index.n];

    *p = *text;
    p->header_at = p->body_at = at;
    p->parent = m->text;
    p->depth = text->depth + 1;
    m->current = (int)m->index.n++;
    return p;
}

/* What of a text was read so far ends at `end`; a piece of it without a byte is none. */
static void piece_end(struct mime *m, size_t end)
{
    struct mime_part *p = &m->index.parts[m->current];

    p->end_at = end;
    if (end > p->body_at)
        return;
    m->index.n--;
    m->current = m->text;
}

static void file_opens(struct mime *m)
{
    struct bytes name = { m->finder.name, m->finder.name_n };
    struct mime_part *p = NULL;
    struct buf shown;

    m->looks = parts_room(m, 3); /* with the text on either side */
    if (!m->looks)
        return;
    if (m->text < 0) {
        m->text = m->current;
        piece_add(m, m->index.parts[m->text].body_at);
    }
    piece_end(m, m->finder.begin);
    p = piece_add(m, m->finder.begin);
    buf_init(&shown, sizeof m->finder.name);
    mime_filename(name, shown.max, &shown);
    *p = (struct mime_part){ .type = bytes_of(media_type_by_name(buf_bytes(&shown))),
                             .filename = shown.n ? address_copy(m->arena, buf_bytes(&shown)) : NO_BYTES,
                             .disposition = BYTES("attachment"),
                             .encoding = MIME_UU,
                             .header_at = p->header_at,
                             .body_at = p->body_at,
                             .parent = p->parent,
                             .depth = p->depth };
    buf_clear(&shown);
}

static void text_line(struct mime *m, struct bytes line, size_t next)
{
    switch (uu_find(&m->finder, line, m->at)) {
    case UU_OPENS: file_opens(m); break;
    case UU_CLOSES:
        m->index.parts[m->current].end_at = next;
        piece_add(m, next);
        break;
    case UU_BREAKS:
        m->index.parts[m->current].end_at = m->at;
        piece_add(m, m->at);
        break;
    case UU_NOTHING: break;
    }
}

/* The end of a text, whether it held files or not. */
static void text_done(struct mime *m)
{
    if (m->text >= 0 && m->finder.state != UU_IN_FILE)
        piece_end(m, m->text_end);
    m->text = -1;
    m->looks = false;
}

static void boundary_found(struct mime *m, size_t level, bool closing, size_t next)
{
    int parent = m->stack[level].part;

    if (m->state == IN_HEADER) {
        header_rollback(m);
        header_done(m, m->at);
    }
    text_done(m);
    end_inside(m, parent, m->text_end);
    m->current = parent;
    m->depth = closing ? level : level + 1;
    if (!closing && !part_add(m, parent, next))
        m->opaque = true;
}

/* 0: none; 1: "--boundary"; 2: "--boundary--". Only white space may follow (RFC 2046 5.1.1). */
static int boundary_match(struct bytes line, struct bytes boundary)
{
    struct bytes rest = bytes_from(line, 2);

    if (rest.n < boundary.n || memcmp(rest.p, boundary.p, boundary.n) != 0)
        return 0;
    rest = bytes_from(rest, boundary.n);
    if (bytes_trim(rest).n == 0)
        return 1;
    return bytes_starts(rest, BYTES("--")) && bytes_trim(bytes_from(rest, 2)).n == 0 ? 2 : 0;
}

static bool try_boundary(struct mime *m, struct bytes line, size_t next)
{
    if (line.n < 3 || line.p[0] != '-' || line.p[1] != '-')
        return false;
    for (size_t level = m->depth; level-- > 0;) {
        int match = boundary_match(line, m->stack[level].boundary);

        if (match) {
            boundary_found(m, level, match == 2, next);
            return true;
        }
    }
    return false;
}

static bool is_received(struct bytes line)
{
    return char_lower(line.p[0]) == 'r' && bytes_starts_nocase(line, BYTES("Received")) &&
           bytes_trim(bytes_head(line, bytes_find(line, ':'))).n == 8;
}

/* A line of the header. True: it belongs to the body already, since the empty line was forgotten. */
static bool header_line(struct mime *m, struct bytes line, size_t next)
{
    enum header_line what = header_line_of(line, m->begun);

    bool top = m->index.parts[m->current].parent < 0;

    m->begun |= what == HEADER_FIELD;
    if (top && what == HEADER_FIELD) {
        m->index.header_fields++;
        m->index.received += is_received(line);
    }
    if ((top || what != HEADER_MAILBOX) && header_passes(what, line, m->at == 0))
        return false;
    header_rollback(m);
    header_done(m, what == HEADER_EMPTY ? next : m->at);
    return what != HEADER_EMPTY;
}

/* A whole line: its start (all of it when shorter than HEAD_MAX), its length and that of its line end. */
static void take_line(struct mime *m, struct bytes line, size_t length, size_t ending)
{
    size_t next = m->at + length;
    bool done = m->opaque || (m->depth && try_boundary(m, line, next));

    if (!done && m->state == IN_HEADER && header_line(m, line, next) && m->depth)
        done = try_boundary(m, line, next);
    if (m->looks && !done && m->state == IN_BODY)
        text_line(m, line, next);
    m->text_end = next - ending;
    m->at = next;
    m->line_n = m->head_n = 0;
    m->line_header = m->header.n;
    m->line_cut = m->header.cut;
}

/* Adds to the unfinished line. */
static void carry(struct mime *m, struct bytes piece)
{
    size_t room = sizeof m->head - m->head_n;

    if (m->state == IN_HEADER && !m->opaque)
        header_keep(m, piece);
    if (m->head_n < sizeof m->head) {
        memcpy(m->head + m->head_n, piece.p, piece.n < room ? piece.n : room);
        m->head_n += piece.n < room ? piece.n : room;
    }
    m->line_n += piece.n;
    m->line_last = piece.p[piece.n - 1];
}

static void carried_line(struct mime *m, struct bytes piece)
{
    char before = piece.n > 1 ? piece.p[piece.n - 2] : m->line_last;

    carry(m, piece);
    take_line(m, (struct bytes){ m->head, m->head_n }, m->line_n, before == '\r' ? 2 : 1);
}

static void whole_line(struct mime *m, struct bytes line)
{
    if (m->state == IN_HEADER && !m->opaque)
        header_keep(m, line);
    take_line(m, bytes_head(line, HEAD_MAX), line.n, line.n > 1 && line.p[line.n - 2] == '\r' ? 2 : 1);
}

/* Start of the next line that could be a boundary, or of the last line when it is not whole: what stands before it is
 * body. A body in base64 has no '-', and is passed over as quick as memory is read. */
static size_t skip_length(struct bytes in)
{
    size_t i = 0, dash = 0, end = 0;

    while (i < in.n && in.p[i] != '-') {
        dash = i + bytes_find(bytes_from(in, i), '-');
        if (dash < in.n && in.p[dash - 1] == '\n')
            return dash;
        end = dash < in.n ? dash + bytes_find(bytes_from(in, dash), '\n') : in.n;
        if (end == in.n) {
            struct bytes rest = bytes_from(bytes_head(in, dash), i);
            size_t last = bytes_find_last(rest, '\n');

            return last < rest.n ? i + last + 1 : i;
        }
        i = end + 1;
    }
    return i;
}

static struct bytes skip_body(struct mime *m, struct bytes chunk)
{
    size_t n = skip_length(chunk);

    if (!n)
        return chunk;
    m->at += n;
    m->text_end = m->at - (n > 1 && chunk.p[n - 2] == '\r' ? 2 : 1);
    return bytes_from(chunk, n);
}

void mime_feed(struct mime *m, struct bytes chunk)
{
    m->index.size += chunk.n;
    while (chunk.n) {
        size_t n = 0;

        if (m->opaque || (m->state == IN_BODY && m->depth == 0 && !m->looks)) { /* no boundary can come any more */
            m->at += m->line_n + chunk.n;
            m->line_n = m->head_n = 0;
            return;
        }
        if (m->state == IN_BODY && !m->looks && !m->line_n) {
            chunk = skip_body(m, chunk);
            if (!chunk.n)
                return;
        }
        n = bytes_find(chunk, '\n');
        if (n == chunk.n) {
            carry(m, chunk);
            return;
        }
        if (m->line_n)
            carried_line(m, bytes_head(chunk, n + 1));
        else
            whole_line(m, bytes_head(chunk, n + 1));
        chunk = bytes_from(chunk, n + 1);
    }
}

const struct mime_index *mime_end(struct mime *m)
{
    if (m->line_n)
        take_line(m, (struct bytes){ m->head, m->head_n }, m->line_n, 0);
    if (m->state == IN_HEADER)
        header_done(m, m->index.size);
    text_done(m);
    end_inside(m, -1, m->index.size);
    m->index.header = header_mend(m->index.header, m->charset, m->arena);
    if (m->index.n > 1 && m->index.parts[m->index.n - 1].header_at == m->index.size)
        m->index.n--; /* a boundary as the last line opens nothing */
    return &m->index;
}
