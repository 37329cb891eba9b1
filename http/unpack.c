#include "http/unpack.h"
#include <stdlib.h>
#include <zlib.h>

#define PIECE  ((size_t)16 * 1024)
#define WINDOW (15 + 16) /* zlib's number for gzip alone */

struct unpack {
    z_stream z;
    size_t ratio, free_size;
    uint64_t packed, whole;
    bool between; /* members: an end is allowed here */
    unsigned char piece[PIECE];
};

struct unpack *unpack_new(size_t ratio, size_t free_size)
{
    struct unpack *u = calloc(1, sizeof *u);

    if (!u || inflateInit2(&u->z, WINDOW) != Z_OK)
        die("out of memory: a packed body");
    u->ratio = ratio;
    u->free_size = free_size;
    return u;
}

void unpack_free(struct unpack **u)
{
    if (*u)
        inflateEnd(&(*u)->z);
    free(*u);
    *u = NULL;
}

static bool step(struct unpack *u, struct bytes *in, size_t *made, struct err *e)
{
    size_t given = in->n < UINT32_MAX ? in->n : UINT32_MAX;
    int result;

    *made = 0;
    if (u->between && !in->n)
        return true;
    u->z.next_in = (unsigned char *)(uintptr_t)in->p;
    u->z.avail_in = (unsigned)given;
    u->z.next_out = u->piece;
    u->z.avail_out = PIECE;
    result = inflate(&u->z, Z_NO_FLUSH);
    u->packed += given - u->z.avail_in;
    *in = bytes_from(*in, given - u->z.avail_in);
    *made = PIECE - u->z.avail_out;
    u->whole += *made;
    u->between = result == Z_STREAM_END;
    if (u->between)
        inflateReset(&u->z); /* another member may follow (RFC 1952 2.2) */
    return result == Z_OK || result == Z_STREAM_END || result == Z_BUF_ERROR ||
           err_set(e, ERR_BAD_JSON, "The body is not packed by gzip as Content-Encoding says");
}

bool unpack_next(struct unpack *u, struct bytes *in, struct bytes *piece, struct err *e)
{
    size_t made = 0;
    bool more = true;

    while (more && !made) {
        size_t before = in->n;

        if (!step(u, in, &made, e))
            return false;
        more = in->n && in->n < before;
    }
    *piece = (struct bytes){ (const char *)u->piece, made };
    return u->whole <= u->free_size || u->whole / u->ratio <= u->packed ||
           err_set(e, ERR_TOO_LARGE, "The body unpacks to more than %zu times its size", u->ratio);
}

bool unpack_end(const struct unpack *u, struct err *e)
{
    return u->between || err_set(e, ERR_BAD_JSON, "The packed body ends too early");
}
