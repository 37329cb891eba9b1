/* service/body/body_write.c - a body on its way in, small until it has outgrown its row.
 *
 * Up to BODY_INLINE bytes wait in memory and cost the store nothing before the accept batch. Then chunks leave as they
 * fill, under a row that expires if nobody comes back, and the next is filled meanwhile. They are lazy: the accept
 * batch requires them, and its one sync makes them durable. One chunk is always kept back, since the last one is sealed
 * as the last; it goes with the accept batch. Whether compressing is worth it is decided once, by the first 256 KiB. */
#include "base/clock.h"
#include "base/params.h"
#include "service/body/body.h"
#include "service/core/state.h"
#include <assert.h>
#include <zstd.h>

/* The window bounds what a compressor of large bodies holds: 270 KiB at level 1. */
#define WINDOW_LOG 16
/* Chunks are cut from the compressed stream; the tag comes on top. */
#define SEALED_CHUNK (BODY_CHUNK + CRYPT_CHUNK_EXTRA)
/* Bytes that are added to it at a time. */
#define STEP ((size_t)32 * 1024)
/* What a chunk's batch needs. */
#define CHUNK_ARENA ((size_t)16 * 1024)
/* Of a large body this much is kept for what lists show of it. */
#define LARGE_PREVIEW ((size_t)64 * 1024)

struct body_writer {
    struct service *svc;
    struct id id;
    struct crypt_key key;
    struct buf plain; /* the first BODY_INLINE bytes */
    struct buf chunk; /* stream: what waits to become a chunk; inline: the sealed data */
    ZSTD_CCtx *stream;
    bool large, stored_plain, finished;
    unsigned chunks; /* that have left, or are leaving */
    int64_t mark;    /* store_lazy_mark */
    int64_t size;
    /* Of the chunk that is leaving, while more comes; of the last one, which goes with the accept batch. */
    struct buf sealed;
    struct arena *arena;
    struct commit *leaving;
};

static _Thread_local ZSTD_CCtx *thread_context;
static pthread_key_t context_key;
static pthread_once_t context_once = PTHREAD_ONCE_INIT;

static void context_free(void *p)
{
    ZSTD_freeCCtx(p);
}

static void context_make_key(void)
{
    if (pthread_key_create(&context_key, context_free) != 0)
        die("out of thread keys");
}

/* A compressor is 100 KiB and costs more to make than to use: each thread keeps one. It is never held over a wait. */
static ZSTD_CCtx *own_context(void)
{
    pthread_once(&context_once, context_make_key);
    if (!thread_context) {
        thread_context = ZSTD_createCCtx();
        if (!thread_context)
            die("out of memory");
        pthread_setspecific(context_key, thread_context);
    }
    return thread_context;
}

struct body_writer *body_begin(struct service *svc)
{
    struct body_writer *w = calloc(1, sizeof *w);

    if (!w)
        die("out of memory");
    w->svc = svc;
    w->id = id_new();
    crypt_key_new(&w->key);
    buf_init(&w->plain, BODY_INLINE);
    buf_init(&w->chunk, BODY_CHUNK + CRYPT_CHUNK_EXTRA + STEP);
    buf_init(&w->sealed, SEALED_CHUNK);
    return w;
}

/* The one that is leaving has left. */
static bool has_left(struct body_writer *w, struct err *e)
{
    return !w->leaving || store_commit_end(&w->leaving, e);
}

void body_free(struct body_writer **w)
{
    struct err ignored;

    if (!*w)
        return;
    has_left(*w, &ignored); /* until then the store reads what we hold */
    buf_clear(&(*w)->sealed);
    if ((*w)->arena)
        arena_free(&(*w)->arena);
    buf_clear(&(*w)->plain);
    buf_clear(&(*w)->chunk);
    ZSTD_freeCCtx((*w)->stream);
    crypt_wipe(&(*w)->key, sizeof(*w)->key);
    free(*w);
    *w = NULL;
}

struct id body_id(const struct body_writer *w)
{
    return w->id;
}

const struct crypt_key *body_key(const struct body_writer *w)
{
    return &w->key;
}

int64_t body_size(const struct body_writer *w)
{
    return w->size;
}

struct bytes body_preview(const struct body_writer *w)
{
    return buf_bytes(&w->plain);
}

static void seal_chunk(struct body_writer *w, struct bytes piece, bool last)
{
    buf_reset(&w->sealed);
    if (!crypt_body_seal(&w->key, (struct crypt_chunk){ w->chunks, last }, piece, &w->sealed))
        die("a chunk of %zu bytes cannot be sealed", piece.n);
}

/* The row that the first chunk brings; the sweep takes it if nobody comes back. */
static void insert_row(struct body_writer *w, struct batch *b)
{
    struct body_row *row = arena_alloc(w->arena, sizeof *row);

    *row = (struct body_row){ .id = w->id, .created_at = clock_wall(), .codec = BYTES("plain") };
    row->expires_at = row->created_at + PARAM_INT(body, upload_grace);
    batch_insert(b, &body_kind, row, NULL, 0);
    w->mark = store_lazy_mark(w->svc->store);
}

/* One chunk in a batch of its own, which need not be durable before the accept batch, nor waited for before the next.
 */
static bool put_chunk(struct body_writer *w, struct bytes piece, int64_t deadline, struct err *e)
{
    struct batch *b;

    if (!has_left(w, e))
        return false;
    if (!w->arena)
        w->arena = arena_new(CHUNK_ARENA);
    arena_reset(w->arena);
    b = batch_new(w->arena);
    batch_lazy(b);
    if (w->chunks == 0)
        insert_row(w, b);
    seal_chunk(w, piece, false);
    batch_blob_put(b, w->id, w->chunks, buf_bytes(&w->sealed));
    w->chunks++;
    return store_commit_begin(w->svc->store, b, deadline, &w->leaving, e);
}

/* Full chunks leave; one is kept back, since the last must be marked as such. */
static bool put_full_chunks(struct body_writer *w, int64_t deadline, struct err *e)
{
    while (w->chunk.n > BODY_CHUNK) {
        if (!put_chunk(w, bytes_head(buf_bytes(&w->chunk), BODY_CHUNK), deadline, e))
            return false;
        buf_drop_front(&w->chunk, BODY_CHUNK);
    }
    return true;
}

static void compress_piece(struct body_writer *w, ZSTD_inBuffer *in, ZSTD_EndDirective end, size_t *left)
{
    ZSTD_outBuffer out = { buf_room(&w->chunk, STEP), STEP, 0 };

    *left = ZSTD_compressStream2(w->stream, &out, in, end);
    if (ZSTD_isError(*left))
        die("zstd: %s", ZSTD_getErrorName(*left));
    buf_filled(&w->chunk, out.pos);
}

static bool stream_write(struct body_writer *w, struct bytes piece, int64_t deadline, struct err *e)
{
    ZSTD_inBuffer in = { piece.p, piece.n, 0 };
    size_t left;

    if (w->stored_plain) {
        while (piece.n) {
            struct bytes part = bytes_head(piece, STEP);
            buf_add(&w->chunk, part);
            piece = bytes_from(piece, part.n);
            if (!put_full_chunks(w, deadline, e))
                return false;
        }
        return true;
    }
    while (in.pos < in.size) {
        compress_piece(w, &in, ZSTD_e_continue, &left);
        if (!put_full_chunks(w, deadline, e))
            return false;
    }
    return true;
}

static void shorten_preview(struct body_writer *w)
{
    struct buf all = w->plain;

    buf_init(&w->plain, LARGE_PREVIEW);
    buf_add(&w->plain, bytes_head(buf_bytes(&all), LARGE_PREVIEW));
    buf_clear(&all);
}

/* The body has outgrown its row. Whether compressing is worth it is judged by what is there so far. */
static bool become_large(struct body_writer *w, int64_t deadline, struct err *e)
{
    struct bytes so_far = buf_bytes(&w->plain);
    int level = (int)PARAM_INT(body, compression_level);
    size_t bound = ZSTD_compressBound(so_far.n), n;
    char *room = buf_room(&w->chunk, bound);

    n = ZSTD_compressCCtx(own_context(), room, bound, so_far.p, so_far.n, level < 1 ? level : 1);
    w->stored_plain = ZSTD_isError(n) || n >= so_far.n;
    w->large = true;
    if (!w->stored_plain) {
        w->stream = ZSTD_createCCtx();
        if (!w->stream)
            die("out of memory");
        ZSTD_CCtx_setParameter(w->stream, ZSTD_c_compressionLevel, level);
        ZSTD_CCtx_setParameter(w->stream, ZSTD_c_windowLog, WINDOW_LOG);
    }
    if (!stream_write(w, so_far, deadline, e))
        return false;
    shorten_preview(w);
    return true;
}

bool body_write(struct body_writer *w, struct bytes piece, int64_t deadline, struct err *e)
{
    struct bytes head;

    w->size += (int64_t)piece.n;
    if (!w->large) {
        head = bytes_head(piece, BODY_INLINE - w->plain.n);
        buf_add(&w->plain, head);
        piece = bytes_from(piece, head.n);
        if (piece.n == 0)
            return true;
        if (!become_large(w, deadline, e))
            return false;
    }
    return stream_write(w, piece, deadline, e);
}

/* At most 256 KiB: 0.6 ms at the standard level, short enough for a loop thread. */
static void seal_inline(struct body_writer *w)
{
    struct bytes plain = buf_bytes(&w->plain);
    struct buf packed;
    size_t bound = ZSTD_compressBound(plain.n), n = 0;
    struct crypt_chunk only = { 0, true };

    buf_init(&packed, bound + 1);
    if (plain.n)
        n = ZSTD_compressCCtx(own_context(), buf_room(&packed, bound), bound, plain.p, plain.n,
                              (int)PARAM_INT(body, compression_level));
    w->stored_plain = plain.n == 0 || ZSTD_isError(n) || n >= plain.n;
    if (!w->stored_plain) {
        buf_filled(&packed, n);
        plain = buf_bytes(&packed);
    }
    if (!crypt_body_seal(&w->key, only, plain, &w->chunk))
        die("a body of %zu bytes cannot be sealed", plain.n);
    buf_clear(&packed);
}

bool body_finish(struct body_writer *w, int64_t deadline, struct err *e)
{
    ZSTD_inBuffer nothing = { NULL, 0, 0 };
    size_t left = w->stored_plain ? 0 : 1;

    assert(!w->finished);
    w->finished = true;
    if (!w->large) {
        seal_inline(w);
        return true;
    }
    while (left) {
        compress_piece(w, &nothing, ZSTD_e_end, &left);
        if (!put_full_chunks(w, deadline, e))
            return false;
    }
    if (!has_left(w, e))
        return false;
    seal_chunk(w, buf_bytes(&w->chunk), true);
    buf_clear(&w->chunk);
    return true;
}

static struct bytes codec_of(const struct body_writer *w)
{
    return w->stored_plain ? BYTES("plain") : BYTES("zstd");
}

/* Of which nothing is in the store yet. */
static void put_new(struct body_writer *w, struct batch *b, struct arena *a)
{
    struct body_row *row = arena_alloc(a, sizeof *row);

    *row = (struct body_row){ .id = w->id, .size = w->size, .codec = codec_of(w), .created_at = clock_wall() };
    if (w->large)
        row->chunks = 1;
    else
        row->data = buf_bytes(&w->chunk);
    batch_insert(b, &body_kind, row, NULL, 0);
}

static void put_begun(struct body_writer *w, struct batch *b, struct arena *a)
{
    struct cond *still_there = arena_alloc(a, sizeof *still_there);
    struct set *sets = arena_array(a, 4, sizeof *sets);

    *still_there = COND("expires_at", IS_NOT, V_TIME(0));
    sets[0] = SET("expires_at", V_TIME(0));
    sets[1] = SET("size", V_INT(w->size));
    sets[2] = SET("chunks", V_INT(w->chunks + 1));
    sets[3] = SET("codec", V_TEXT(codec_of(w)));
    batch_update(b, &body_kind, w->id, still_there, 1, sets, 4);
    batch_blob_require(b, w->id, w->chunks, w->mark);
}

void body_put(struct body_writer *w, struct batch *b, struct arena *a)
{
    assert(w->finished);
    if (w->chunks == 0)
        put_new(w, b, a);
    else
        put_begun(w, b, a);
    if (w->large)
        batch_blob_put(b, w->id, w->chunks, buf_bytes(&w->sealed));
}

void body_mark(struct batch *b, struct id body, struct arena *a)
{
    struct set *when = arena_alloc(a, sizeof *when);

    *when = SET("expires_at", V_TIME(clock_wall() + PARAM_INT(body, grace)));
    batch_update(b, &body_kind, body, NULL, 0, when, 1);
}
