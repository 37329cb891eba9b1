/* delivery/convert_plan.c - what has to be done to a mail, so that it goes through a host of seven bits.
 *
 * First its parts are found, and those of the messages within it, level by level: a pass over the source each. One pass
 * more counts what is in each of them. Then every part says what is to become of its header and body, the runs are
 * put in order, and what stands between them (boundaries, text that nobody is shown) is kept. */
#include "delivery/convert.h"

enum { UNITS_MAX = 4096, MESSAGES_MAX = 256 };

struct unit { /* a part of the mail, or of a message within it */
    struct mime_part part;
    int64_t header_at, body_at, end_at;
    int parent;
    bool parted;               /* other parts lie in it */
    bool sealed;               /* signed or encrypted as it is */
    bool seals;                /* what lies in it is */
    enum convert_what encoded; /* what becomes of its body; KEEP: nothing */
};

struct region {
    int64_t from, to;
    int unit; /* -1: between the parts */
    bool header;
    int64_t high, bytes, line, longest;
};

struct planning {
    struct wire_source source;
    const struct mime_limits *limits;
    struct arena *arena;
    struct err *e;
    struct unit *units; /* moved when it grows: no pointer into it is kept */
    int n, room;
    struct region *regions;
    int n_regions;
    int64_t size;
    bool impossible;
};

/* ---- the parts ---- */

struct looked_into {
    struct mime *mime;
    int64_t from, to;
    int unit; /* -1: the mail itself */
};

static bool is_type(const struct unit *u, const char *prefix)
{
    return bytes_starts_nocase(u->part.type, bytes_of(prefix));
}

static bool has_room(struct planning *p)
{
    if (p->n < p->room)
        return true;
    if (p->room >= UNITS_MAX)
        return false;
    p->room = p->room ? 2 * p->room : 32;
    p->units = arena_more(p->arena, p->units, (size_t)p->n, (size_t)p->room, sizeof *p->units);
    return !arena_full(p->arena);
}

static void add_part(struct planning *p, const struct looked_into *m, const struct mime_index *x, size_t i, int first)
{
    const struct mime_part *part = &x->parts[i];
    struct unit *u = &p->units[p->n++];

    u->part = *part;
    u->header_at = m->from + (int64_t)part->header_at;
    u->body_at = m->from + (int64_t)part->body_at;
    u->end_at = m->from + (int64_t)part->end_at;
    u->parent = part->parent < 0 ? m->unit : first + part->parent;
    u->seals = is_type(u, "multipart/signed") || is_type(u, "multipart/encrypted");
    if (u->parent >= 0) {
        p->units[u->parent].parted = true;
        u->sealed = p->units[u->parent].sealed || p->units[u->parent].seals;
    }
}

static void add_parts(struct planning *p, struct looked_into *m)
{
    const struct mime_index *x = mime_end(m->mime);
    int first = p->n;

    for (size_t i = 0; i < x->n && !p->impossible; i++) {
        p->impossible = !has_room(p);
        if (!p->impossible)
            add_part(p, m, x, i, first);
    }
}

static void feed(struct looked_into *list, int n, int64_t at, struct bytes piece)
{
    for (int i = 0; i < n; i++) {
        int64_t from = list[i].from > at ? list[i].from : at;
        int64_t to = list[i].to < at + (int64_t)piece.n ? list[i].to : at + (int64_t)piece.n;

        if (from < to)
            mime_feed(list[i].mime, (struct bytes){ piece.p + (from - at), (size_t)(to - from) });
    }
}

/* Reads the source from its first byte to its last. */
static bool read_all(struct planning *p, void (*each)(struct planning *, void *, int64_t, struct bytes), void *ctx)
{
    struct bytes piece;

    if (!p->source.rewind(p->source.ctx, p->e))
        return false;
    for (p->size = 0;; p->size += (int64_t)piece.n) {
        if (!p->source.next(p->source.ctx, &piece, p->e))
            return false;
        if (!piece.n)
            return true;
        each(p, ctx, p->size, piece);
    }
}

struct level {
    struct looked_into list[MESSAGES_MAX];
    int n;
};

static void feed_level(struct planning *p, void *ctx, int64_t at, struct bytes piece)
{
    struct level *level = ctx;

    (void)p;
    feed(level->list, level->n, at, piece);
}

static void look_into(struct planning *p, struct level *level, int unit, int64_t from, int64_t to)
{
    if (level->n == MESSAGES_MAX || arena_full(p->arena))
        return; /* stays closed: a leaf that cannot be encoded */
    level->list[level->n++] = (struct looked_into){ mime_begin(p->limits, p->arena), from, to, unit };
}

/* The messages among the parts from `from` on. Nothing in what is sealed is to be changed. */
static void find_messages(struct planning *p, struct level *level, int from)
{
    level->n = 0;
    for (int i = from; i < p->n; i++) {
        const struct unit *u = &p->units[i];

        if (!u->sealed && !u->parted && u->part.encoding == MIME_IDENTITY && is_type(u, "message/rfc822"))
            look_into(p, level, i, u->body_at, u->end_at);
    }
}

static bool find_parts(struct planning *p)
{
    struct level *level = arena_alloc(p->arena, sizeof *level);

    look_into(p, level, -1, 0, INT64_MAX);
    for (int depth = 0; depth <= CONVERT_LEVELS && level->n && !p->impossible; depth++) {
        int first = p->n;

        if (!read_all(p, feed_level, level))
            return false;
        for (int i = 0; i < level->n; i++)
            add_parts(p, &level->list[i]);
        find_messages(p, level, first);
    }
    return true;
}

/* ---- what is in them ---- */

static void add_region(struct planning *p, int unit, bool header, int64_t from, int64_t to)
{
    if (from < to)
        p->regions[p->n_regions++] = (struct region){ .from = from, .to = to, .unit = unit, .header = header };
}

static int by_place(const void *x, const void *y)
{
    const struct region *a = x, *b = y;

    return a->from < b->from ? -1 : a->from > b->from;
}

/* Headers and leaves in order, and what is between them. */
static void find_regions(struct planning *p)
{
    int64_t at = 0;
    int n = 0;

    p->regions = arena_array(p->arena, 4 * (size_t)p->n + 2, sizeof *p->regions);
    for (int i = 0; i < p->n; i++) {
        struct unit *u = &p->units[i];

        if (u->end_at > p->size)
            u->end_at = p->size;
        add_region(p, i, true, u->header_at, u->body_at);
        if (!u->parted)
            add_region(p, i, false, u->body_at, u->end_at);
    }
    qsort(p->regions, (size_t)p->n_regions, sizeof *p->regions, by_place);
    n = p->n_regions;
    for (int i = 0; i < n; i++) {
        if (p->regions[i].from < at) {
            p->impossible = true;
            return;
        }
        add_region(p, -1, false, at, p->regions[i].from);
        at = p->regions[i].to;
    }
    add_region(p, -1, false, at, p->size);
    qsort(p->regions, (size_t)p->n_regions, sizeof *p->regions, by_place);
}

static void count(struct region *r, struct bytes text)
{
    r->bytes += (int64_t)text.n;
    for (size_t i = 0; i < text.n; i++) {
        r->high += (unsigned char)text.p[i] >= 0x80;
        r->line = text.p[i] == '\n' ? 0 : r->line + (text.p[i] != '\r');
        if (r->line > r->longest)
            r->longest = r->line;
    }
}

static void count_piece(struct planning *p, void *ctx, int64_t at, struct bytes piece)
{
    int *i = ctx;

    while (piece.n && *i < p->n_regions) {
        struct region *r = &p->regions[*i];
        size_t n = (int64_t)piece.n < r->to - at ? piece.n : (size_t)(r->to - at);

        count(r, bytes_head(piece, n));
        piece = bytes_from(piece, n);
        at += (int64_t)n;
        *i += at == r->to;
    }
}

/* ---- what becomes of them ---- */

static bool in_sealed(const struct planning *p, int64_t at)
{
    for (int i = 0; i < p->n; i++)
        if (p->units[i].seals && at >= p->units[i].body_at && at < p->units[i].end_at)
            return true;
    return false;
}

/* Types that may never be encoded (RFC 2045 6.4, RFC 2046 5.2.1). */
static bool may_be_encoded(const struct unit *u)
{
    return u->part.encoding == MIME_IDENTITY && !u->sealed && !is_type(u, "multipart/") && !is_type(u, "message/");
}

static bool leaf_needs(const struct region *r)
{
    return r->high > 0 || r->longest > CONVERT_LINE_MAX;
}

/* 3 for 1 against 4 for 3. */
static enum convert_what encoding_of(const struct unit *u, const struct region *r)
{
    return is_type(u, "text/") && r->high * 6 <= r->bytes ? CONVERT_QUOTED : CONVERT_BASE64;
}

static void judge_leaf(struct planning *p, const struct region *r, struct convert_edit *edit, struct unit *u)
{
    if (!leaf_needs(r) || (r->high == 0 && u->part.encoding != MIME_IDENTITY))
        return;
    if (!may_be_encoded(u)) {
        p->impossible = true;
        return;
    }
    edit->what = encoding_of(u, r);
    u->encoded = edit->what;
}

static void judge_between(struct planning *p, const struct region *r, struct convert_edit *edit)
{
    if (r->high == 0)
        return;
    p->impossible = p->impossible || in_sealed(p, r->from);
    edit->what = CONVERT_MASK;
}

static void judge_header(struct planning *p, const struct region *r, struct convert_edit *edit)
{
    const struct unit *u = &p->units[r->unit];

    if (u->sealed || u->part.encoding != MIME_IDENTITY)
        return;
    edit->what = CONVERT_HEADER;
    edit->encoding = !u->encoded ? "7bit" : u->encoded == CONVERT_QUOTED ? "quoted-printable" : "base64";
    edit->insert = u->encoded != CONVERT_KEEP;
    edit->top = r->from == 0;
}

static void judge_all(struct planning *p, struct convert_plan *out)
{
    struct convert_edit *edits = arena_array(p->arena, (size_t)p->n_regions + 1, sizeof *edits);
    bool any = false;

    for (int i = 0; i < p->n_regions; i++) {
        const struct region *r = &p->regions[i];

        edits[i].from = r->from;
        edits[i].to = r->to;
        if (r->unit < 0)
            judge_between(p, r, &edits[i]);
        else if (r->header)
            p->impossible = p->impossible || r->high > 0;
        else
            judge_leaf(p, r, &edits[i], &p->units[r->unit]);
        any = any || edits[i].what != CONVERT_KEEP;
    }
    for (int i = 0; i < p->n_regions && any; i++) /* headers say what became of their bodies */
        if (p->regions[i].unit >= 0 && p->regions[i].header)
            judge_header(p, &p->regions[i], &edits[i]);
    out->edits = edits;
    out->n = (size_t)p->n_regions;
}

static bool measure(struct planning *p, struct convert_plan *out)
{
    struct convert c;
    bool ok = p->source.rewind(p->source.ctx, p->e);

    convert_begin(&c, out, p->source);
    ok = ok && wire_measure(NO_BYTES, convert_source(&c), &out->size, p->e);
    convert_end(&c);
    return ok;
}

enum convert_result convert_plan(struct wire_source source, const struct mime_limits *limits, struct arena *a,
                                 struct convert_plan *out, struct err *e)
{
    struct planning p = { .source = source, .limits = limits, .arena = a, .e = e };
    int at = 0;

    *out = (struct convert_plan){ 0 };
    if (!find_parts(&p))
        return CONVERT_FAILED;
    if (!p.impossible)
        find_regions(&p);
    if (p.impossible || arena_full(a))
        return CONVERT_IMPOSSIBLE;
    if (!read_all(&p, count_piece, &at))
        return CONVERT_FAILED;
    judge_all(&p, out);
    if (p.impossible || arena_full(a))
        return CONVERT_IMPOSSIBLE;
    return measure(&p, out) ? CONVERT_OK : CONVERT_FAILED;
}
