/* api/large.c - answers larger than API_UNSENT.
 *
 * They are never whole in memory: as they are made they leave, piece by piece. Once their client takes no more, the
 * piece at hand is kept, and what it was made of is dropped; when the piece has left, the answer is made again and goes
 * on from there. So a client makes us hold little, and pays by reading for what we do again. Only GET is repeated so,
 * for it changes nothing. Of a mail's bytes what was sent is left out instead. A row that changed meanwhile and was
 * sent already makes another beginning than the client has: the connection then ends.
 *
 * Pieces end at the same places each time (base/bytes.h), so a hash chained from piece to piece tells whether two
 * beginnings are the same. */
#include "api/private.h"
#include "api/request.h"
#include "base/budget.h"
#include "base/clock.h"

/* ---- while it is made ---- */

/* The client is waited for a little, but only so many at once: what such answers are made of is held. */
static bool offer(struct request *r, struct bytes piece, size_t *taken)
{
    struct api *api = r->x->api;
    struct large *l = &r->large;
    bool good = exchange_offer(r->x, piece, taken, &l->err);

    if (!good || *taken == piece.n)
        return good;
    if (atomic_fetch_add(&api->patient, 1) < API_PATIENT) {
        size_t more;

        good = exchange_offer_more(r->x, bytes_from(piece, *taken), clock_monotonic() + API_PATIENCE, &more, &l->err);
        *taken += more;
    }
    atomic_fetch_sub(&api->patient, 1);
    return good;
}

static void piece_send(struct request *r, struct bytes piece)
{
    struct large *l = &r->large;
    size_t taken = 0;

    if (!l->begun)
        answer_begin(r, -1);
    l->begun = true;
    if (!offer(r, piece, &taken))
        return;
    l->at = l->made;
    l->sent_hash = l->made_hash;
    l->stalled = taken < piece.n;
    if (l->stalled) {
        buf_init(&l->rest, API_UNSENT);
        buf_add(&l->rest, bytes_from(piece, taken));
    }
}

/* The next piece was made: is it one that the client has, one to be sent, or only counted? */
static void piece_made(struct request *r, struct bytes piece)
{
    struct large *l = &r->large;
    struct crypt_key before = l->made_hash;

    crypt_keyed_hash(&before, piece, l->made_hash.b);
    l->made += piece.n;
    if (l->err.code || l->stalled || bytes_equal(r->x->head.method, BYTES("HEAD")))
        return;
    if (l->made > l->at)
        piece_send(r, piece);
    else if (l->made == l->at && memcmp(&l->made_hash, &l->sent_hash, sizeof l->sent_hash) != 0)
        err_set(&l->err, ERR_CLOSED, "The answer has changed while it was sent");
}

static void drain(struct buf *out)
{
    struct request *r = out->ctx;

    if (out->max < API_UNSENT) {
        out->max = API_UNSENT;
        r->large.counted = budget_take(&budget_api, API_UNSENT);
        if (!r->large.counted)
            err_set(&r->large.err, ERR_MEMORY, "The memory of the API is used up");
        return;
    }
    piece_made(r, buf_bytes(out));
    buf_reset(out);
}

/* ---- the whole ---- */

void large_init(struct request *r)
{
    buf_init_drained(&r->out, API_ANSWER_FREE, drain, r);
}

bool large_check(const struct request *r, struct err *e)
{
    const struct large *l = &r->large;

    return l->begun || !l->err.code || err_set(e, l->err.code, "%s", l->err.message);
}

/* Waits until the rest of the piece has left, and holds nothing else meanwhile. */
static bool rest_send(struct request *r, struct err *e)
{
    struct large *l = &r->large;
    bool good;

    buf_clear(&r->out);
    request_forget(r);
    atomic_store(&r->x->api->trim, true);
    good = exchange_offer_rest(r->x, buf_bytes(&l->rest), e);
    buf_clear(&l->rest);
    return good;
}

static bool again(struct request *r, struct err *e)
{
    struct large *l = &r->large;

    l->stalled = false;
    l->made = 0;
    l->made_hash = (struct crypt_key){ 0 };
    buf_init_drained(&r->out, API_UNSENT, drain, r);
    return request_repeat(r) || err_set(e, ERR_CLOSED, "The answer could not be made again");
}

/* Makes what is streamed, until its client takes no more. A mail never changes: what the client has of it is not read
 * again. */
static void content_make(struct request *r)
{
    struct large *l = &r->large;
    struct bytes piece = NO_BYTES;

    if (l->at && content_skip(r->content.content, (int64_t)l->at)) {
        l->made = l->at;
        l->made_hash = l->sent_hash;
    }
    while (!l->stalled && !l->err.code && content_next(r->content.content, &piece, &l->err) && piece.n) {
        if (!auth_current(&r->call))
            l->err = r->call.err;
        for (; piece.n && !l->stalled && !l->err.code; piece = bytes_from(piece, API_UNSENT))
            piece_made(r, bytes_head(piece, API_UNSENT));
    }
    content_close(&r->content.content);
}

static void make(struct request *r)
{
    if (r->content.content)
        content_make(r);
    else if (r->out.n)
        piece_made(r, buf_bytes(&r->out));
}

bool large_send(struct request *r, struct err *e)
{
    struct large *l = &r->large;
    bool last;

    for (;;) {
        make(r);
        if (l->made < l->at && !l->err.code)
            err_set(&l->err, ERR_CLOSED, "The answer has become shorter while it was sent");
        if (l->err.code)
            return err_set(e, l->err.code, "%s", l->err.message);
        if (!l->stalled)
            return true;
        last = (int64_t)l->at == (r->content.size > 0 ? r->content.size : (int64_t)l->made);
        if (!rest_send(r, e))
            return false;
        if (last || !again(r, e))
            return last;
    }
}

void large_clear(struct request *r)
{
    buf_clear(&r->large.rest);
    if (r->large.counted)
        budget_give(&budget_api, API_UNSENT);
    r->large.counted = false;
}
