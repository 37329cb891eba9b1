/* service/message/send_stream.c - the stream of a send, and what that decides: how long it is tried, of which class it
 * is.
 *
 * Mail of applications is of a stream, the default one unless another is named; what users send is of none unless one
 * is named. */
#include "service/identity/stream.h"
#include "service/message/message_private.h"

/* Nobody's broadcast goes before what somebody waits for. */
static void be_bulk(struct call *c, struct message_send_in *in)
{
    if (in->priority.p && !bytes_equal(in->priority, BYTES("bulk")))
        call_fault(c, "/priority", "not_allowed", "Mail of a broadcast stream is bulk");
    in->priority = BYTES("bulk");
}

static bool find(struct call *c, struct sending *s)
{
    if (c->who->kind == WHO_USER && !s->in->stream.p)
        return true;
    if (stream_known(c, s->in->stream, &s->stream))
        return true;
    if (!call_was_missing(c))
        return false;
    s->stream = (struct stream_row){ .id = NO_ID };
    call_fault(c, "/stream", "not_found", "No such stream");
    return true;
}

bool send_stream(struct call *c, struct sending *s)
{
    const struct stream_row *stream = &s->stream;
    struct message_send_in *in;

    if (!find(c, s))
        return false;
    if (!stream_is_broadcast(stream) && (s->in->expires_after || !stream->expires_after))
        return true;
    in = arena_alloc(c->arena, sizeof *in);
    *in = *s->in;
    s->in = in;
    if (!in->expires_after)
        in->expires_after = stream->expires_after;
    if (stream_is_broadcast(stream))
        be_bulk(c, in);
    return true;
}
