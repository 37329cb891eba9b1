/* service/body/body_read.c - a body, piece by piece: chunk fetched, opened, decompressed.
 *
 * A small body, or a frame of a large one, is one read and one call of zstd, with the thread's own context. Large ones
 * of older builds are one stream over all chunks, and need a context of their own. The loop gets its turn after each
 * frame or piece, and what a frame was made of is not held. Where a body is not what its row says it is damaged, and no
 * byte of the wrong piece leaves: each chunk is authenticated before it is used. Frames with larger windows than ours
 * are refused, so memory is bounded whatever the store holds. */
#include "base/thread_own.h"
#include "net/fiber.h"
#include "service/body/body.h"
#include "service/core/state.h"
#include <zstd.h>

/* Larger frames than our own writer makes are refused: memory is bounded whatever the store holds. */
#define WINDOW_LOG_MAX 23
#define FRAME_MAX      ((int64_t)1024 * 1024)

struct body_reader {
    struct store *store;
    struct body_row row;
    struct crypt_key key;
    struct arena *arena; /* the row, when it was read here; then one sealed chunk at a time */
    struct arena *chunk_arena;
    struct buf chunk; /* opened, still compressed */
    struct buf piece; /* a frame, or what has come of the stream */
    ZSTD_DCtx *stream;
    unsigned next_chunk;
    size_t at;    /* in chunk */
    size_t given; /* of the frame */
    int64_t pos;  /* in the body, of the next piece */
    int64_t skip; /* bytes to be left out before it */
    bool done;
};

static void *context_make(void)
{
    ZSTD_DCtx *c = ZSTD_createDCtx();

    if (!c)
        die("out of memory");
    return c;
}

static void context_free(void *c)
{
    ZSTD_freeDCtx(c);
}

static struct thread_own contexts = THREAD_OWN(context_make, context_free);

static bool damaged(const struct body_reader *r, struct err *e)
{
    char text[ID_TEXT + 1];

    id_format(body_kind.prefix, r->row.id, text);
    return err_set(e, ERR_INTERNAL, "The body %s is damaged", text);
}

static struct body_reader *reader_new(struct store *st, const struct crypt_key *key)
{
    struct body_reader *r = calloc(1, sizeof *r);

    if (!r)
        die("out of memory");
    r->store = st;
    r->key = *key;
    buf_init(&r->chunk, STORE_CHUNK);
    buf_init(&r->piece, FRAME_MAX);
    return r;
}

bool body_open(struct store *st, struct id id, const struct crypt_key *key, struct body_reader **out, struct err *e)
{
    struct body_reader *r = reader_new(st, key);

    r->arena = arena_new(4 * BODY_INLINE);
    if (!store_get(st, &body_kind, id, r->arena, &r->row, e)) {
        body_close(&r);
        return e->code == ERR_MISSING ? err_set(e, ERR_GONE, "The content is no longer kept") : false;
    }
    *out = r;
    return true;
}

bool body_open_row(struct store *st, const struct body_row *row, const struct crypt_key *key, struct body_reader **out,
                   struct err *e)
{
    if (id_is_none(row->id))
        return err_set(e, ERR_GONE, "The content is no longer kept");
    *out = reader_new(st, key);
    (*out)->row = *row;
    return true;
}

int64_t body_reader_size(const struct body_reader *r)
{
    return r->row.size;
}

bool body_is_large(const struct body_reader *r)
{
    return r->row.chunks > 0;
}

/* Opens the next sealed chunk into r->chunk. */
static bool load_chunk(struct body_reader *r, struct err *e)
{
    struct crypt_chunk at = { r->next_chunk, r->row.chunks == 0 || r->next_chunk + 1 == r->row.chunks };
    struct bytes sealed = r->row.data;

    if (r->row.chunks) {
        if (!r->chunk_arena)
            r->chunk_arena = arena_new(2 * STORE_CHUNK);
        arena_reset(r->chunk_arena);
        if (!store_blob_get(r->store, r->row.id, r->next_chunk, r->chunk_arena, &sealed, e))
            return e->code == ERR_MISSING ? err_set(e, ERR_GONE, "The content is no longer kept") : false;
    }
    buf_reset(&r->chunk);
    r->at = 0;
    if (!crypt_body_open(&r->key, at, sealed, &r->chunk))
        return damaged(r, e);
    r->next_chunk++;
    return true;
}

static bool all_loaded(const struct body_reader *r)
{
    return r->next_chunk >= (r->row.chunks ? (unsigned)r->row.chunks : 1);
}

static bool next_plain(struct body_reader *r, struct bytes *piece, struct err *e)
{
    while (r->at == r->chunk.n) {
        if (all_loaded(r)) {
            *piece = BYTES("");
            return true;
        }
        if (!load_chunk(r, e))
            return false;
    }
    *piece = bytes_head(bytes_from(buf_bytes(&r->chunk), r->at), BODY_PIECE);
    r->at += piece->n;
    return true;
}

/* The whole of a body that lies in its row. */
static bool inflate_inline(struct body_reader *r, struct bytes *piece, struct err *e)
{
    size_t room = (size_t)r->row.size, n;

    if (r->done) {
        *piece = BYTES("");
        return true;
    }
    if (!load_chunk(r, e))
        return false;
    if (room > BODY_INLINE)
        return damaged(r, e);
    buf_reset(&r->piece);
    n = ZSTD_decompressDCtx(thread_own(&contexts), buf_room(&r->piece, room), room, r->chunk.p, r->chunk.n);
    if (ZSTD_isError(n) || n != room)
        return damaged(r, e);
    buf_filled(&r->piece, n);
    r->done = true;
    *piece = buf_bytes(&r->piece);
    return true;
}

static void stream_begin(struct body_reader *r)
{
    if (r->stream)
        return;
    r->stream = ZSTD_createDCtx();
    if (!r->stream)
        die("out of memory");
    ZSTD_DCtx_setParameter(r->stream, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
}

static bool next_streamed(struct body_reader *r, struct bytes *piece, struct err *e)
{
    ZSTD_outBuffer out = { NULL, BODY_PIECE, 0 };
    ZSTD_inBuffer in;
    size_t left;

    stream_begin(r);
    buf_reset(&r->piece);
    out.dst = buf_room(&r->piece, BODY_PIECE);
    while (out.pos < out.size && !r->done) {
        if (r->at == r->chunk.n && !all_loaded(r) && !load_chunk(r, e))
            return false;
        in = (ZSTD_inBuffer){ r->chunk.p, r->chunk.n, r->at };
        left = ZSTD_decompressStream(r->stream, &out, &in);
        r->at = in.pos;
        if (ZSTD_isError(left) || (left != 0 && r->at == r->chunk.n && all_loaded(r) && out.pos < out.size))
            return damaged(r, e);
        r->done = left == 0;
    }
    buf_filled(&r->piece, out.pos);
    *piece = buf_bytes(&r->piece);
    if (piece->n == 0)
        *piece = BYTES("");
    if (fiber_self())
        fiber_yield();
    return true;
}

static bool is_framed(const struct body_reader *r)
{
    return bytes_equal(r->row.codec, BYTES("zframe"));
}

static bool frames_fit(const struct body_row *row)
{
    return row->frame > 0 && row->frame <= FRAME_MAX && row->size > 0 &&
           row->chunks == (row->size - 1) / row->frame + 1;
}

/* The frame that has just been loaded, into r->piece. */
static bool inflate_frame(struct body_reader *r, struct err *e)
{
    int64_t left = r->row.size - (int64_t)(r->next_chunk - 1) * r->row.frame;
    size_t room = (size_t)(left < r->row.frame ? left : r->row.frame), n;

    buf_reset(&r->piece);
    r->given = 0;
    n = ZSTD_decompressDCtx(thread_own(&contexts), buf_room(&r->piece, room), room, r->chunk.p, r->chunk.n);
    if (ZSTD_isError(n) || n != room)
        return damaged(r, e);
    buf_filled(&r->piece, n);
    return true;
}

static bool next_frame(struct body_reader *r, struct err *e)
{
    bool ok;

    if (!frames_fit(&r->row))
        return damaged(r, e);
    ok = load_chunk(r, e);
    if (r->chunk_arena)
        arena_free(&r->chunk_arena);
    ok = ok && inflate_frame(r, e);
    buf_clear(&r->chunk);
    buf_init(&r->chunk, STORE_CHUNK);
    if (fiber_self())
        fiber_yield();
    return ok;
}

static bool next_framed(struct body_reader *r, struct bytes *piece, struct err *e)
{
    if (r->given == r->piece.n && !all_loaded(r) && !next_frame(r, e))
        return false;
    *piece = bytes_head(bytes_from(buf_bytes(&r->piece), r->given), BODY_PIECE);
    r->given += piece->n;
    if (piece->n == 0)
        *piece = BYTES("");
    return true;
}

static bool next_piece(struct body_reader *r, struct bytes *piece, struct err *e)
{
    if (is_framed(r))
        return next_framed(r, piece, e);
    if (!bytes_equal(r->row.codec, BYTES("zstd")))
        return next_plain(r, piece, e);
    return r->row.chunks ? next_streamed(r, piece, e) : inflate_inline(r, piece, e);
}

bool body_next(struct body_reader *r, struct bytes *piece, struct err *e)
{
    do {
        if (!next_piece(r, piece, e))
            return false;
        if ((int64_t)piece->n > r->skip)
            break;
        r->skip -= (int64_t)piece->n;
    } while (piece->n);
    if (piece->n) {
        *piece = bytes_from(*piece, (size_t)r->skip);
        r->skip = 0;
    }
    r->pos += (int64_t)piece->n;
    return true;
}

/* Where slices follow one another, the frame at hand often has the next one too. */
static void seek_frame(struct body_reader *r, int64_t at)
{
    int64_t frame = at / r->row.frame;

    if (frame > r->row.chunks)
        frame = r->row.chunks;
    if (!r->piece.n || frame + 1 != r->next_chunk) {
        body_rewind(r);
        r->next_chunk = (unsigned)frame;
    }
    r->given = 0;
    r->skip = at - frame * r->row.frame;
}

void body_seek(struct body_reader *r, int64_t at)
{
    if (is_framed(r) && frames_fit(&r->row)) {
        seek_frame(r, at);
    } else {
        if (at < r->pos)
            body_rewind(r);
        r->skip += at - r->pos;
    }
    r->pos = at;
}

void body_rewind(struct body_reader *r)
{
    buf_reset(&r->chunk);
    buf_reset(&r->piece);
    r->next_chunk = 0;
    r->at = r->given = 0;
    r->skip = r->pos = 0;
    r->done = false;
    if (r->stream)
        ZSTD_DCtx_reset(r->stream, ZSTD_reset_session_only);
}

void body_close(struct body_reader **r)
{
    if (!*r)
        return;
    buf_clear(&(*r)->chunk);
    buf_clear(&(*r)->piece);
    ZSTD_freeDCtx((*r)->stream);
    if ((*r)->chunk_arena)
        arena_free(&(*r)->chunk_arena);
    if ((*r)->arena)
        arena_free(&(*r)->arena);
    crypt_wipe(&(*r)->key, sizeof(*r)->key);
    free(*r);
    *r = NULL;
}
