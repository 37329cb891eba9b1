/* delivery/outgo.c - the bytes of a message as they go over the wire: from the store, converted where the host takes no
 * 8 bits, dots doubled. Other fibers get turns meanwhile: a large mail is read some times for its conversion. */
#include "base/params.h"
#include "delivery/engine_private.h"
#include "service/body/structure.h"

/* ".\r\n" ends the last piece of a wire, and is the client's to send. */
#define DOT 3

static bool outgo_read(void *ctx, struct bytes *piece, struct err *e)
{
    struct outgo *x = ctx;

    fiber_turn();
    return content_next(x->content, piece, e);
}

static bool outgo_rewind(void *ctx, struct err *e)
{
    struct outgo *x = ctx;
    struct content_out again = { 0 };

    content_close(&x->content);
    if (!(x->bare ? queue_open_bare : queue_open)(x->turn->engine->svc, x->turn->arena, x->work, &again, e))
        return false;
    x->content = again.content;
    return true;
}

/* The message behind its signatures, converted if it is to be. */
static bool outgo_open(struct outgo *x, struct turn *t, struct wire_source *source, struct err *e)
{
    *source = (struct wire_source){ outgo_read, outgo_rewind, x };
    if (!outgo_rewind(x, e))
        return false;
    if (t->needs.converted) {
        convert_begin(&x->convert, &t->plan, *source);
        *source = convert_source(&x->convert);
    }
    return true;
}

bool outgo_begin(struct outgo *x, struct turn *t, bool chunked, struct err *e)
{
    struct wire_source source;

    *x = (struct outgo){ .turn = t, .work = t->fates[0].work, .bare = t->signatures.p != NULL };
    if (!outgo_open(x, t, &source, e))
        return false;
    (chunked ? wire_begin_chunked : wire_begin)(&x->wire, t->signatures, source);
    return true;
}

bool outgo_next(void *ctx, struct bytes *piece, struct err *e)
{
    struct outgo *x = ctx;

    if (!wire_next(&x->wire, piece, e))
        return false;
    if (x->wire.done && piece->n && !x->wire.chunked)
        *piece = bytes_head(*piece, piece->n - DOT);
    return true;
}

void outgo_end(struct outgo *x)
{
    if (x->turn->needs.converted)
        convert_end(&x->convert);
    content_close(&x->content);
}

static bool feed_all(struct queue_signing *s, struct wire_source source, int64_t *size, struct err *e)
{
    struct bytes piece;

    *size = 0;
    do {
        if (!source.next(source.ctx, &piece, e) || !queue_sign_feed(s, piece, e))
            return false;
        *size += (int64_t)piece.n;
    } while (piece.n);
    return true;
}

bool outgo_sign(struct turn *t, struct err *e)
{
    struct outgo x = { .turn = t, .work = t->fates[0].work, .bare = true };
    struct queue_signing *s = NULL;
    struct wire_source source;
    int64_t size = 0;
    bool ok = outgo_open(&x, t, &source, e);

    if (ok) {
        queue_sign_begin(&s);
        ok = feed_all(s, source, &size, e) && queue_sign_end(&s, t->engine->svc, t->arena, x.work, &t->signatures, e);
        queue_sign_drop(&s);
        outgo_end(&x);
    }
    if (ok)
        t->needs.size = size + (int64_t)t->signatures.n;
    return ok;
}

enum convert_result outgo_convert(struct turn *t, struct err *e)
{
    struct mime_limits limits = structure_limits();
    struct outgo x = { .turn = t, .work = t->fates[0].work };
    struct wire_source source = { outgo_read, outgo_rewind, &x };
    enum convert_result result = CONVERT_FAILED;

    x.bare = queue_is_signed(x.work->message);
    if (outgo_rewind(&x, e))
        result = convert_plan(source, &limits, t->arena, &t->plan, e);
    content_close(&x.content);
    if (result != CONVERT_OK)
        return result;
    t->needs.converted = true;
    t->needs.size = t->plan.size;
    return x.bare && !outgo_sign(t, e) ? CONVERT_FAILED : CONVERT_OK;
}
