#include "api/private.h"
#include "api/request.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/params.h"

/* The headers that we read; each may come once (RFC 9110 5.3: they are no lists). */
struct reader {
    struct request *r;
    struct bytes length, transfer, expect, host;
};

static const struct known {
    const char *name;
    size_t offset; /* in struct reader or, with `of_request`, in struct request */
    bool of_request, many;
} headers[] = {
    { "Content-Length", offsetof(struct reader, length), false, false },
    { "Transfer-Encoding", offsetof(struct reader, transfer), false, false },
    { "Host", offsetof(struct reader, host), false, false },
    { "Authorization", offsetof(struct request, authorization), true, false },
    { "Content-Type", offsetof(struct request, content_type), true, false },
    { "Idempotency-Key", offsetof(struct request, key), true, false },
    { "Postrider-Account", offsetof(struct request, other_account), true, false },
    { "X-Forwarded-For", offsetof(struct request, forwarded_for), true, true },
    { "X-Forwarded-Proto", offsetof(struct request, forwarded_proto), true, true },
};

static enum MHD_Result read_one(void *ctx, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct reader *h = ctx;
    struct request *r = h->r;
    struct arena *a = r->call.arena;

    (void)kind;
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        char *base = headers[i].of_request ? (char *)r : (char *)h;
        struct bytes *to = (struct bytes *)(void *)(base + headers[i].offset);

        if (!bytes_equal_nocase(bytes_of(name), bytes_of(headers[i].name)))
            continue;
        if (to->p && !headers[i].many)
            r->malformed = true;
        *to = to->p ? arena_bytesf(a, "%.*s, %s", SHOW(*to), value) : arena_copy(a, bytes_of(value ? value : ""));
    }
    return MHD_YES;
}

/* RFC 9112 6.3: two lengths, or one beside a coding, is how requests are smuggled past a proxy. */
static void framing(struct request *r, const struct reader *h)
{
    r->length = -1;
    r->chunked = h->transfer.p != NULL;
    if (h->length.p &&
        (h->transfer.p || !bytes_to_int(h->length, &r->length) || r->length < 0 || h->length.p[0] == '+'))
        r->malformed = true;
    if (h->transfer.p && !bytes_equal_nocase(h->transfer, BYTES("chunked")))
        r->malformed = true;
}

void head_read(struct request *r)
{
    struct reader h = { .r = r };

    MHD_get_connection_values(r->x->mhd, MHD_HEADER_KIND, read_one, &h);
    framing(r, &h);
}
