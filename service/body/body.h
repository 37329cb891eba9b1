/* service/body/body.h - the raw bytes of a mail: compressed, encrypted under a key of their own, written once.
 *
 *     struct body_writer *w = body_begin(c->svc);
 *     body_write(w, piece, deadline, e)        as often as bytes arrive
 *     body_finish(w, deadline, e)
 *     body_put(w, batch, arena)                what makes it kept, into the accept batch; again when that is built anew
 *     body_kept(w)                             after that has committed
 *     body_free(&w)                            deletes what is in the store of one that was not kept, as far as it can
 *
 * Up to BODY_INLINE bytes lie in the row and enter with the accept batch. Of more, each BODY_FRAME bytes are a frame
 * and one chunk in the store, which leaves when it is full, in a lazy batch of its own, one at a time while more comes;
 * the row then has an expiry (body.upload_grace after the last bytes came), which body_put clears on condition that it
 * is still there: sweep and accept cannot both win. zstd (body.compression_level), left out of a small body where it
 * gains nothing. A writer holds two frames at most (tests/e2e/test_limits.py) and belongs to one fiber.
 *
 * Reading is a pull of pieces of at most BODY_PIECE bytes, from any place: what lies before it costs nothing, but in
 * large bodies of older builds, which are one stream and are read from their start.
 *
 * Whoever removes the last way to a body marks it (body_mark); the sweep makes sure and deletes. */
#ifndef SERVICE_BODY_H
#define SERVICE_BODY_H
#include "base/crypt.h"
#include "service/core/call.h"

#define BODY_INLINE ((size_t)256 * 1024)
#define BODY_FRAME  ((size_t)512 * 1024)
#define BODY_PIECE  ((size_t)256 * 1024)

struct body_writer;
struct body_writer *body_begin(struct service *svc);
/* ERR_BUSY, ERR_STORAGE_FULL of the store; ERR_BUSY also where it was silent for so long that its beginning was swept.
 */
bool body_write(struct body_writer *w, struct bytes piece, int64_t deadline, struct err *e);
bool body_finish(struct body_writer *w, int64_t deadline, struct err *e);
void body_put(struct body_writer *w, struct batch *b, struct arena *a);
void body_kept(struct body_writer *w);
void body_free(struct body_writer **w);

/* A body that was kept before, for who asks a writer about it: nothing is written. Its first bytes are told piece by
 * piece. */
struct body_writer *body_again(struct service *svc, struct id id, const struct crypt_key *key, int64_t size);
void body_again_seen(struct body_writer *w, struct bytes piece);

struct id body_id(const struct body_writer *w);
const struct crypt_key *body_key(const struct body_writer *w);
int64_t body_size(const struct body_writer *w);
struct bytes body_preview(const struct body_writer *w); /* its first bytes, at most BODY_INLINE; of a large one fewer */

struct body_reader;
/* ERR_GONE when the body is no more. */
bool body_open(struct store *st, struct id id, const struct crypt_key *key, struct body_reader **out, struct err *e);
/* Of a row that was read already (a read-ahead); it and its bytes stay valid until body_close. */
bool body_open_row(struct store *st, const struct body_row *row, const struct crypt_key *key, struct body_reader **out,
                   struct err *e);
int64_t body_reader_size(const struct body_reader *r);
bool body_is_large(const struct body_reader *r); /* in chunks */
/* *piece is valid until the next call, and empty at the end. */
bool body_next(struct body_reader *r, struct bytes *piece, struct err *e);
/* The next piece begins at that byte of the body; behind its end there is none. */
void body_seek(struct body_reader *r, int64_t at);
void body_rewind(struct body_reader *r);
void body_close(struct body_reader **r);

/* The body mark: a way to the body is gone, and the sweep (the garbage collector) shall look at it after body.grace. */
void body_mark(struct batch *b, struct id body, struct arena *a);
#endif
