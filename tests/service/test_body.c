/* Bodies as they are kept: in a row or in frames, read from any place, and those of older builds. */
#include "house.h"
#include "service/body/body.h"
#include "store/engine.h"
#include <zstd.h>

#define SLICE ((size_t)384 * 1024)

/* What compresses to some three fourths, as mail in base64 does. */
static struct bytes text_make(struct house *h, size_t n)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *p = arena_alloc(h->arena, n + 1);
    uint64_t x = 88172645463325252u + n;

    for (size_t i = 0; i < n; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        p[i] = i % 78 == 76 ? '\r' : i % 78 == 77 ? '\n' : letters[x >> 58];
    }
    return (struct bytes){ p, n };
}

static struct id keep(struct house *h, struct bytes text, struct crypt_key *key)
{
    struct body_writer *w = body_begin(h->svc);
    struct batch *b = batch_new(h->arena);
    int64_t deadline = clock_monotonic() + 30000;
    struct id id = body_id(w);
    struct bytes rest = text;

    *key = *body_key(w);
    for (; rest.n; rest = bytes_from(rest, 100000))
        must(h, body_write(w, bytes_head(rest, 100000), deadline, &h->c.err));
    must(h, body_finish(w, deadline, &h->c.err));
    assert_int_equal(body_size(w), text.n);
    assert_true(bytes_starts(text, body_preview(w)) && body_preview(w).n >= (text.n < 65536 ? text.n : 65536));
    body_put(w, b, h->arena);
    must(h, store_commit(h->svc->store, b, deadline, &h->c.err));
    body_free(&w);
    return id;
}

/* So many bytes from `at` on, or up to the end. */
static void reads(struct house *h, struct body_reader *r, struct bytes text, size_t at, size_t most)
{
    struct bytes piece, want = bytes_head(bytes_from(text, at), most);

    body_seek(r, (int64_t)at);
    while (want.n) {
        must(h, body_next(r, &piece, &h->c.err));
        assert_true(piece.n > 0 && piece.n <= BODY_PIECE);
        piece = bytes_head(piece, want.n);
        assert_memory_equal(piece.p, want.p, piece.n);
        want = bytes_from(want, piece.n);
    }
    if (most >= text.n) {
        must(h, body_next(r, &piece, &h->c.err));
        assert_int_equal(piece.n, 0);
    }
}

static struct body_reader *reader(struct house *h, struct id id, const struct crypt_key *key)
{
    struct body_reader *r;

    must(h, body_open(h->svc->store, id, key, &r, &h->c.err));
    return r;
}

static void reads_from_everywhere(struct house *h, struct id id, const struct crypt_key *key, struct bytes text)
{
    size_t places[] = {
        0, text.n, text.n / 2, 0, text.n - 1, 1, BODY_FRAME - 1, BODY_FRAME, BODY_FRAME + 1, text.n + 9
    };
    struct body_reader *r = reader(h, id, key);

    assert_int_equal(body_reader_size(r), text.n);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        reads(h, r, text, places[i] <= text.n + 9 ? places[i] : 0, text.n + 1);
    body_rewind(r);
    reads(h, r, text, 0, 1000);
    reads(h, r, text, text.n / 3, 1000);
    body_close(&r);
}

static void bodies_of_every_length_come_back(void **state)
{
    static const size_t sizes[] = {
        0, 1, 5000, BODY_INLINE, BODY_INLINE + 1, BODY_FRAME, BODY_FRAME + 1, 3 * BODY_FRAME, 3 * BODY_FRAME + 1000
    };
    struct house *h = *state;

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct bytes text = text_make(h, sizes[i]);
        struct crypt_key key;
        struct id id = keep(h, text, &key);
        struct body_row row;

        must(h, store_get(h->svc->store, &body_kind, id, h->arena, &row, &h->c.err));
        assert_int_equal(row.chunks, sizes[i] <= BODY_INLINE ? 0 : (sizes[i] - 1) / BODY_FRAME + 1);
        same(row.codec, row.chunks ? "zframe" : sizes[i] < 2 ? "plain" : "zstd");
        assert_int_equal(row.expires_at, 0);
        reads_from_everywhere(h, id, &key, text);
    }
}

/* ---- what a slice costs ---- */

static struct {
    const struct engine *inner;
    int chunks;
    size_t bytes;
} read_so_far;

static bool count_blob_get(struct store *st, struct id id, unsigned n, struct arena *a, struct bytes *out,
                           struct err *e)
{
    bool ok = read_so_far.inner->blob_get(st, id, n, a, out, e);

    read_so_far.chunks++;
    read_so_far.bytes += ok ? out->n : 0;
    return ok;
}

static void costs(struct house *h, struct body_reader *r, struct bytes text, size_t at, int most)
{
    read_so_far.chunks = 0;
    read_so_far.bytes = 0;
    reads(h, r, text, at, SLICE);
    assert_in_range(read_so_far.chunks, 0, most);
    assert_true(read_so_far.bytes <= (size_t)most * (BODY_FRAME + 4096));
}

/* A frame is a chunk: what is not fetched is not inflated either. */
static void a_slice_costs_a_slice(void **state)
{
    struct house *h = *state;
    struct bytes text = text_make(h, (size_t)20 << 20);
    struct crypt_key key;
    struct id id = keep(h, text, &key);
    struct body_reader *r = reader(h, id, &key);
    struct engine counted = *h->svc->store->engine;
    int all = 0;

    read_so_far.inner = h->svc->store->engine;
    counted.blob_get = count_blob_get;
    h->svc->store->engine = &counted;
    costs(h, r, text, text.n - SLICE, 1);
    costs(h, r, text, text.n - 10, 0); /* the frame is still there */
    costs(h, r, text, text.n - BODY_FRAME - 10, 2);
    costs(h, r, text, 0, 1);
    for (size_t at = 0; at < text.n; at += SLICE) { /* as a telephone fetches an attachment: no frame twice */
        costs(h, r, text, at, 2);
        all += read_so_far.chunks;
    }
    assert_int_equal(all, text.n / BODY_FRAME - 1); /* the first one was there */
    h->svc->store->engine = read_so_far.inner;
    body_close(&r);
}

/* ---- what never becomes a mail ---- */

static bool writes(struct house *h, struct body_writer *w, size_t n)
{
    return body_write(w, text_make(h, n), clock_monotonic() + 30000, &h->c.err);
}

/* A begun body, of which some frames are in the store or on their way there. */
static struct body_writer *begun(struct house *h)
{
    struct body_writer *w = body_begin(h->svc);

    set_param("body.upload_grace", "1m");
    must(h, writes(h, w, 3 * BODY_FRAME + 1));
    return w;
}

static void apply(struct house *h, struct batch *b)
{
    must(h, store_commit(h->svc->store, b, clock_monotonic() + 30000, &h->c.err));
}

/* Neither the row nor one of its first chunks. */
static void nothing_is_left(struct house *h, struct id id)
{
    struct body_row row = { .id = id_new(), .codec = BYTES("plain"), .created_at = 1 };
    struct batch *b = batch_new(h->arena);
    struct bytes chunk;
    bool there;

    batch_insert(b, &body_kind, &row, NULL, 0); /* reads see what was lazy once something else is durable */
    apply(h, b);
    must(h, store_look(h->svc->store, &body_kind, id, h->arena, &row, &there, &h->c.err));
    assert_false(there);
    for (unsigned i = 0; i < 6; i++)
        wont(h, store_blob_get(h->svc->store, id, i, h->arena, &chunk, &h->c.err), ERR_MISSING);
}

static void an_upload_that_ends_takes_its_frames_along(void **state)
{
    struct house *h = *state;
    struct body_writer *w = begun(h);
    struct id id = body_id(w);

    body_free(&w);
    nothing_is_left(h, id);
    w = begun(h); /* whole, but refused */
    id = body_id(w);
    must(h, body_finish(w, clock_monotonic() + 30000, &h->c.err));
    body_free(&w);
    nothing_is_left(h, id);
}

/* Raised beyond what the row was given, the grace is nearly over. */
static void a_row_lives_while_frames_come(void **state)
{
    struct house *h = *state;
    struct body_writer *w = begun(h);
    struct cond renewed = COND("expires_at", ABOVE, V_TIME(clock_wall() + INT64_C(23) * 3600000));
    struct batch *b = batch_new(h->arena);

    set_param("body.upload_grace", "24h");
    must(h, writes(h, w, 10));
    must(h, body_finish(w, clock_monotonic() + 30000, &h->c.err));
    batch_require(b, &body_kind, body_id(w), &renewed, 1);
    apply(h, b);
    body_free(&w);
}

/* Who was silent until the sweep came is told, and what he sends after it goes too. */
static void an_upload_that_was_swept_stops(void **state)
{
    struct house *h = *state;
    struct body_writer *w = begun(h);
    struct batch *b = batch_new(h->arena);
    struct id id = body_id(w);

    batch_delete(b, &body_kind, id, NULL, 0);
    batch_blob_delete(b, id);
    apply(h, b);
    must(h, writes(h, w, BODY_FRAME));
    set_param("body.upload_grace", "24h");
    must(h, writes(h, w, 10));
    wont(h, writes(h, w, BODY_FRAME), ERR_BUSY);
    body_free(&w);
    nothing_is_left(h, id);
}

/* ---- of older builds ---- */

/* Bytes in chunks of one length, as the row says without a frame. */
static struct id keep_chunks(struct house *h, struct bytes bytes, size_t chunk, struct body_row row,
                             struct crypt_key *key)
{
    struct batch *b = batch_new(h->arena);

    crypt_key_new(key);
    row.id = id_new();
    row.chunks = (int64_t)((bytes.n - 1) / chunk + 1);
    for (unsigned i = 0; i < row.chunks; i++) {
        struct bytes piece = bytes_head(bytes_from(bytes, i * chunk), chunk);
        struct buf sealed;

        buf_init(&sealed, STORE_CHUNK);
        assert_true(crypt_body_seal(key, (struct crypt_chunk){ i, i + 1 == row.chunks }, piece, &sealed));
        batch_blob_put(b, row.id, i, arena_copy(h->arena, buf_bytes(&sealed)));
        buf_clear(&sealed);
    }
    batch_insert(b, &body_kind, &row, NULL, 0);
    must(h, store_commit(h->svc->store, b, clock_monotonic() + 30000, &h->c.err));
    return row.id;
}

static void bodies_of_older_builds_are_read(void **state)
{
    static const size_t chunks[] = { (size_t)1024 * 1024, (size_t)256 * 1024 };
    struct house *h = *state;
    struct bytes text = text_make(h, 3000000);
    size_t bound = ZSTD_compressBound(text.n);
    char *packed = arena_alloc(h->arena, bound);
    size_t n = ZSTD_compress(packed, bound, text.p, text.n, 1);
    struct crypt_key key;
    struct id id;

    for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++) {
        id = keep_chunks(h, (struct bytes){ packed, n }, chunks[i],
                         (struct body_row){ .size = (int64_t)text.n, .codec = BYTES("zstd"), .created_at = 1 }, &key);
        reads_from_everywhere(h, id, &key, text);
        id = keep_chunks(h, text, chunks[i],
                         (struct body_row){ .size = (int64_t)text.n, .codec = BYTES("plain"), .created_at = 1 }, &key);
        reads_from_everywhere(h, id, &key, text);
    }
}

/* ---- what is not as its row says ---- */

static void is_damaged(struct house *h, struct bytes bytes, struct body_row row, int64_t at)
{
    struct crypt_key key;
    struct id id = keep_chunks(h, bytes, 1000, row, &key);
    struct body_reader *r = reader(h, id, &key);
    struct bytes piece;

    body_seek(r, at);
    wont(h, body_next(r, &piece, &h->c.err), ERR_INTERNAL);
    body_close(&r);
}

static void frames_that_are_none_are_refused(void **state)
{
    struct house *h = *state;
    struct body_row row = { .size = 4000, .codec = BYTES("zframe"), .frame = 1000, .created_at = 1 };
    struct bytes text = text_make(h, 4000);

    is_damaged(h, text, row, 0); /* four chunks, none of them a frame */
    is_damaged(h, text, row, 3500);
    row.frame = 999;
    is_damaged(h, text, row, 0);
    row.frame = 0;
    is_damaged(h, text, row, 10);
    row.frame = INT64_MAX;
    is_damaged(h, text, row, 0);
    row.frame = -1000;
    is_damaged(h, text, row, 2000);
    row.frame = 1000;
    row.size = 5000;
    is_damaged(h, text, row, 4500);
    row.size = -1;
    is_damaged(h, text, row, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(bodies_of_every_length_come_back),
        TEST(a_slice_costs_a_slice),
        TEST(an_upload_that_ends_takes_its_frames_along),
        TEST(a_row_lives_while_frames_come),
        TEST(an_upload_that_was_swept_stops),
        TEST(bodies_of_older_builds_are_read),
        TEST(frames_that_are_none_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
