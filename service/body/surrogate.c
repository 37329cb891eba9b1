/* service/body/surrogate.c - headers changed, everything else passed on as it comes.
 *
 * The bytes of a header gather until it is whole; a header over message.header_max passes as it is, since nobody could
 * show it either. The arena is emptied behind each header: a mail of many parts needs no more than its longest one. */
#include "service/body/surrogate.h"
#include "base/params.h"
#include "mail/surrogate.h"
#include "service/body/structure.h"

#define INDEX_ARENA  ((size_t)16 * 1024 * 1024)
#define HEADER_ARENA ((size_t)4 * 1024 * 1024)
/* Encoded words triple a text; a short address becomes one that is long. */
#define GROWS ((size_t)32)

struct reading {
    const struct mime_index *index;
    size_t part;       /* whose header is next, or passes by */
    size_t at;         /* offset of the next byte in the body */
    struct buf header; /* what has come of it */
    struct arena *arena;
    struct budget *budget;
    bool (*each)(void *ctx, struct bytes piece, struct err *e);
    void *ctx;
};

/* What is too much for an arena is left out of a surrogate. Where others hold the memory, the client comes again. */
static bool had_memory(const struct arena *a, struct err *e)
{
    struct err why = { 0 };

    if (arena_check(a, &why) || why.code != ERR_MEMORY)
        return true;
    *e = why;
    return false;
}

static bool pass_on(struct reading *g, const struct buf *out, struct err *e)
{
    bool ok;

    if (!budget_take(g->budget, out->cap)) /* a client may be slow to take it */
        return err_set(e, ERR_MEMORY, "The memory of %s is used up", g->budget->name);
    ok = !out->n || g->each(g->ctx, buf_bytes(out), e);
    budget_give(g->budget, out->cap);
    return ok;
}

/* A whole header, of a part or of the trace. */
static bool send_header(struct reading *g, struct bytes header, struct err *e)
{
    struct buf out;
    bool ok;

    buf_init(&out, GROWS * header.n + 4096);
    surrogate_header(header, mail_limits_now(), g->arena, &out);
    ok = had_memory(g->arena, e) && pass_on(g, &out, e);
    buf_clear(&out);
    arena_reset(g->arena);
    return ok;
}

/* Past headers that are behind us, empty, or longer than what a header may have: those are not looked at. */
static const struct mime_part *next_header(struct reading *g)
{
    size_t most = (size_t)PARAM_INT(message, header_max);

    for (; g->part < g->index->n; g->part++) {
        const struct mime_part *p = &g->index->parts[g->part];

        if (p->header_at >= g->at - g->header.n && p->body_at > g->at && p->body_at - p->header_at <= most)
            return p;
    }
    return NULL;
}

/* The next stretch that is all header or no header; takes it off *piece. */
static bool send_some(struct reading *g, struct bytes *piece, struct err *e)
{
    const struct mime_part *p = next_header(g);
    bool inside = p && g->at >= p->header_at;
    struct bytes some = p ? bytes_head(*piece, (inside ? p->body_at : p->header_at) - g->at) : *piece;
    bool ok = true;

    *piece = bytes_from(*piece, some.n);
    g->at += some.n;
    if (!inside)
        return !some.n || g->each(g->ctx, some, e);
    buf_add(&g->header, some);
    if (g->at == p->body_at) {
        ok = send_header(g, buf_bytes(&g->header), e);
        buf_reset(&g->header);
    }
    return ok;
}

static bool send_body(struct reading *g, struct body_reader *r, struct err *e)
{
    struct bytes piece, all;

    do {
        if (!body_next(r, &piece, e))
            return false;
        all = piece;
        while (piece.n)
            if (!send_some(g, &piece, e))
                return false;
    } while (all.n);
    return !g->header.n || send_header(g, buf_bytes(&g->header), e);
}

bool surrogate_read(struct body_reader *r, struct budget *b, struct bytes trace,
                    bool (*each)(void *ctx, struct bytes piece, struct err *e), void *ctx, struct err *e)
{
    struct arena *parts = arena_new_in(b, INDEX_ARENA);
    struct reading g = { .arena = arena_new_in(b, HEADER_ARENA), .budget = b, .each = each, .ctx = ctx };
    bool ok;

    buf_init(&g.header, (size_t)PARAM_INT(message, header_max));
    ok = structure_read(r, parts, &g.index, e) && had_memory(parts, e) && (!trace.n || send_header(&g, trace, e)) &&
         send_body(&g, r, e);
    buf_clear(&g.header);
    arena_free(&g.arena);
    arena_free(&parts);
    return ok;
}
