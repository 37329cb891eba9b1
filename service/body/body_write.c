/* service/body/body_write.c - a body on its way in, small until it has outgrown its row.
 *
 * Up to BODY_INLINE bytes wait in memory and cost the store nothing before the accept batch. Of more, each BODY_FRAME
 * bytes are a frame: compressed and sealed by itself, so that whoever wants a slice opens only what that lies in.
 * Frames leave as they fill, under a row that expires if nothing comes any more, and the next is filled meanwhile. They
 * are lazy: the accept batch requires them, and its one sync makes them durable. One is always kept back, since the
 * last one is sealed as the last; it goes with the accept batch. The frame is its own window for zstd, so a session
 * holds no compressor, only the frame that fills and the one that leaves. */
#include "base/clock.h"
#include "base/params.h"
#include "base/thread_own.h"
#include "service/body/body.h"
#include "service/core/state.h"
#include <assert.h>
#include <zstd.h>

/* What a frame's batch needs. */
#define FRAME_ARENA ((size_t)16 * 1024)
/* Of a large body this much is kept for what lists show of it. */
#define LARGE_PREVIEW ((size_t)64 * 1024)
/* The row's time is renewed so many times in it. */
#define RENEWALS 4
/* How long the end of a session waits to delete what it has left in the store. */
#define DROP_MS 5000

struct body_writer {
    struct service *svc;
    struct id id;
    struct crypt_key key;
    struct buf plain;   /* the frame that is being filled; of a small body all of it */
    struct buf preview; /* once the first frame has left */
    struct buf sealed; /* what was made of the frame before, until the store has it; of the last one, or a small body */
    bool finished, kept, stored_plain;
    unsigned chunks; /* that have left, or are leaving */
    int64_t mark;    /* store_lazy_mark */
    int64_t expires; /* the row, by the wall clock */
    int64_t size;
    struct arena *arena; /* of the batch that is leaving */
    struct commit *leaving;
};

static void *context_make(void)
{
    ZSTD_CCtx *c = ZSTD_createCCtx();

    if (!c)
        die("out of memory");
    return c;
}

static void context_free(void *c)
{
    ZSTD_freeCCtx(c);
}

/* A compressor is 100 KiB and costs more to make than to use. */
static struct thread_own contexts = THREAD_OWN(context_make, context_free);

struct body_writer *body_begin(struct service *svc)
{
    struct body_writer *w = calloc(1, sizeof *w);

    if (!w)
        die("out of memory");
    w->svc = svc;
    w->id = id_new();
    crypt_key_new(&w->key);
    buf_init(&w->plain, BODY_FRAME);
    buf_init(&w->preview, LARGE_PREVIEW);
    return w;
}

struct body_writer *body_again(struct service *svc, struct id id, const struct crypt_key *key, int64_t size)
{
    struct body_writer *w = body_begin(svc);

    w->id = id;
    w->key = *key;
    w->size = size;
    w->finished = w->kept = true;
    return w;
}

void body_again_seen(struct body_writer *w, struct bytes piece)
{
    buf_add(&w->plain, bytes_head(piece, BODY_INLINE - (w->plain.n < BODY_INLINE ? w->plain.n : BODY_INLINE)));
}

/* The one that is leaving has left. */
static bool has_left(struct body_writer *w, struct err *e)
{
    if (!w->leaving || store_commit_end(&w->leaving, e))
        return true;
    if (e->code == ERR_CONFLICT) { /* of a renewal: the sweep was faster */
        *e = (struct err){ 0 };
        err_set(e, ERR_BUSY, "The mail came so slowly that its beginning has expired");
    }
    return false;
}

static struct batch *new_batch(struct body_writer *w)
{
    struct batch *b;

    if (!w->arena)
        w->arena = arena_new(FRAME_ARENA);
    arena_reset(w->arena);
    b = batch_new(w->arena);
    batch_lazy(b);
    return b;
}

static struct cond *still_there(struct arena *a)
{
    struct cond *c = arena_alloc(a, sizeof *c);

    *c = COND("expires_at", IS_NOT, V_TIME(0));
    return c;
}

/* What nobody will ask for goes at once, unless it was kept after all (a commit of which nobody has heard). The row may
 * be gone: frames behind it have no other way to be found. What fails here is left to the sweep. */
static void drop(struct body_writer *w)
{
    int64_t until = clock_monotonic() + DROP_MS;
    struct batch *b = new_batch(w);
    struct err e = { 0 };

    batch_delete(b, &body_kind, w->id, still_there(w->arena), 1);
    batch_blob_delete(b, w->id);
    if (store_commit(w->svc->store, b, until, &e) || e.code != ERR_CONFLICT || batch_failure(b).fault != FAULT_MISSING)
        return;
    b = new_batch(w);
    batch_blob_delete(b, w->id);
    e = (struct err){ 0 };
    store_commit(w->svc->store, b, until, &e);
}

void body_free(struct body_writer **w)
{
    struct err ignored = { 0 };

    if (!*w)
        return;
    has_left(*w, &ignored); /* until then the store reads what we hold */
    if ((*w)->chunks && !(*w)->kept && !(*w)->svc->stopping)
        drop(*w);
    if ((*w)->arena)
        arena_free(&(*w)->arena);
    buf_clear(&(*w)->plain);
    buf_clear(&(*w)->preview);
    buf_clear(&(*w)->sealed);
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
    return bytes_head(buf_bytes(w->chunks ? &w->preview : &w->plain), BODY_INLINE);
}

static bool is_large(const struct body_writer *w)
{
    return w->size > (int64_t)BODY_INLINE;
}

/* Compressed, unless that gains nothing, and sealed. A frame takes some two milliseconds at the standard level, short
 * enough for a loop thread. */
static void pack(struct body_writer *w, bool last)
{
    struct bytes plain = buf_bytes(&w->plain);
    struct crypt_chunk at = { w->chunks, last };
    struct buf packed;
    size_t bound = ZSTD_compressBound(plain.n), n = 0;

    buf_init(&packed, bound + 1);
    if (plain.n)
        n = ZSTD_compressCCtx(thread_own(&contexts), buf_room(&packed, bound), bound, plain.p, plain.n,
                              (int)PARAM_INT(body, compression_level));
    w->stored_plain = !is_large(w) && (plain.n == 0 || ZSTD_isError(n) || n >= plain.n);
    if (!w->stored_plain) {
        if (ZSTD_isError(n))
            die("zstd: %s", ZSTD_getErrorName(n));
        buf_filled(&packed, n);
        plain = buf_bytes(&packed);
    }
    buf_clear(&w->sealed);
    buf_init(&w->sealed, plain.n + CRYPT_CHUNK_EXTRA);
    if (!crypt_body_seal(&w->key, at, plain, &w->sealed))
        die("%zu bytes of a body cannot be sealed", plain.n);
    buf_clear(&packed);
}

/* The row that the first frame brings; the sweep takes it if nobody comes back. */
static void insert_row(struct body_writer *w, struct batch *b)
{
    struct body_row *row = arena_alloc(w->arena, sizeof *row);

    *row = (struct body_row){ .id = w->id, .created_at = clock_wall(), .codec = BYTES("zframe"), .frame = BODY_FRAME };
    w->expires = row->expires_at = row->created_at + PARAM_INT(body, upload_grace);
    batch_insert(b, &body_kind, row, NULL, 0);
    w->mark = store_lazy_mark(w->svc->store);
}

/* A full frame leaves, in a batch that need not be durable before the accept batch, nor waited for before the next. */
static bool put_frame(struct body_writer *w, int64_t deadline, struct err *e)
{
    struct batch *b;

    if (!has_left(w, e))
        return false;
    b = new_batch(w);
    if (w->chunks == 0) {
        insert_row(w, b);
        buf_add(&w->preview, bytes_head(buf_bytes(&w->plain), LARGE_PREVIEW));
    }
    pack(w, false);
    buf_reset(&w->plain);
    batch_blob_put(b, w->id, w->chunks, buf_bytes(&w->sealed));
    w->chunks++;
    return store_commit_begin(w->svc->store, b, deadline, &w->leaving, e);
}

/* A mail may be hours on its way: while any of it comes the row stays. */
static bool renew(struct body_writer *w, int64_t deadline, struct err *e)
{
    int64_t now = clock_wall(), grace = PARAM_INT(body, upload_grace);
    struct batch *b;
    struct set *later;

    if (!w->chunks || now < w->expires - grace + grace / RENEWALS)
        return true;
    if (!has_left(w, e))
        return false;
    w->expires = now + grace;
    b = new_batch(w);
    later = arena_alloc(w->arena, sizeof *later);
    *later = SET("expires_at", V_TIME(w->expires));
    batch_update(b, &body_kind, w->id, still_there(w->arena), 1, later, 1);
    return store_commit_begin(w->svc->store, b, deadline, &w->leaving, e);
}

bool body_write(struct body_writer *w, struct bytes piece, int64_t deadline, struct err *e)
{
    w->size += (int64_t)piece.n;
    while (piece.n) {
        struct bytes head;

        if (w->plain.n == BODY_FRAME && !put_frame(w, deadline, e))
            return false;
        head = bytes_head(piece, BODY_FRAME - w->plain.n);
        buf_add(&w->plain, head);
        piece = bytes_from(piece, head.n);
    }
    return renew(w, deadline, e);
}

bool body_finish(struct body_writer *w, int64_t deadline, struct err *e)
{
    (void)deadline;
    assert(!w->finished);
    w->finished = true;
    if (!has_left(w, e))
        return false;
    pack(w, true);
    if (w->chunks)
        buf_clear(&w->plain);
    return true;
}

/* Of which nothing is in the store yet. */
static void put_new(struct body_writer *w, struct batch *b, struct arena *a)
{
    struct body_row *row = arena_alloc(a, sizeof *row);

    *row = (struct body_row){ .id = w->id, .size = w->size, .created_at = clock_wall() };
    if (is_large(w)) {
        row->codec = BYTES("zframe");
        row->frame = BODY_FRAME;
        row->chunks = 1;
    } else {
        row->codec = w->stored_plain ? BYTES("plain") : BYTES("zstd");
        row->data = buf_bytes(&w->sealed);
    }
    batch_insert(b, &body_kind, row, NULL, 0);
}

static void put_begun(struct body_writer *w, struct batch *b, struct arena *a)
{
    struct set *sets = arena_array(a, 3, sizeof *sets);

    sets[0] = SET("expires_at", V_TIME(0));
    sets[1] = SET("size", V_INT(w->size));
    sets[2] = SET("chunks", V_INT(w->chunks + 1));
    batch_update(b, &body_kind, w->id, still_there(a), 1, sets, 3);
    batch_blob_require(b, w->id, w->chunks, w->mark);
}

void body_put(struct body_writer *w, struct batch *b, struct arena *a)
{
    assert(w->finished);
    if (w->chunks == 0)
        put_new(w, b, a);
    else
        put_begun(w, b, a);
    if (is_large(w))
        batch_blob_put(b, w->id, w->chunks, buf_bytes(&w->sealed));
}

void body_kept(struct body_writer *w)
{
    w->kept = true;
}

void body_mark(struct batch *b, struct id body, struct arena *a)
{
    struct set *when = arena_alloc(a, sizeof *when);

    *when = SET("expires_at", V_TIME(clock_wall() + PARAM_INT(body, grace)));
    batch_update(b, &body_kind, body, NULL, 0, when, 1);
}
