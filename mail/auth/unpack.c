/* mail/auth/unpack.c - a stranger's gzip or zip: nothing of what it says of its sizes is believed.
 *
 * What comes out is counted while it comes, so that a bomb costs no more than the limit. Of a zip the local header of
 * each file is read in order, until the first that is no folder; its list at the end, which may say something else, is
 * not looked at. */
#include "mail/auth/unpack.h"
#include <zlib.h>

enum { ZIP_HEADER = 30, ZIP_STORED = 0, ZIP_DEFLATED = 8, ZIP_ENCRYPTED = 1, ZIP_SIZES_LATER = 8, PIECE = 4096 };
enum { FORM_GZIP = MAX_WBITS + 16, FORM_RAW = -MAX_WBITS };

bool report_is_packed(struct bytes data)
{
    return bytes_starts(data, BYTES("\x1F\x8B")) || bytes_starts(data, BYTES("PK\x03\x04"));
}

static size_t most_of(size_t packed, const struct unpack_limits *limits)
{
    size_t by_ratio = packed < SIZE_MAX / limits->ratio ? packed * limits->ratio : SIZE_MAX;

    by_ratio = by_ratio > UNPACK_FREE ? by_ratio : UNPACK_FREE;
    return by_ratio < limits->size ? by_ratio : limits->size;
}

static bool inflate_to(z_stream *z, struct buf *out, struct err *e)
{
    unsigned char piece[PIECE];
    int r = Z_OK;

    while (r == Z_OK) {
        z->next_out = piece;
        z->avail_out = sizeof piece;
        r = inflate(z, Z_NO_FLUSH);
        buf_add(out, (struct bytes){ (char *)piece, sizeof piece - z->avail_out });
        if (out->overflowed)
            return err_set(e, ERR_TOO_LARGE, "What is packed there is larger than %zu bytes", out->max);
    }
    return r == Z_STREAM_END || err_set(e, ERR_INVALID, "What is packed there is damaged, or cut off");
}

static bool inflate_all(struct bytes packed, int form, const struct unpack_limits *limits, struct arena *a,
                        struct bytes *out, struct err *e)
{
    z_stream z = { .next_in = (unsigned char *)packed.p, .avail_in = (uInt)packed.n };
    struct buf made;
    bool ok;

    if (packed.n > UINT32_MAX)
        return err_set(e, ERR_TOO_LARGE, "The report is larger than any");
    if (inflateInit2(&z, form) != Z_OK)
        die("zlib does not begin");
    buf_init(&made, most_of(packed.n, limits));
    ok = inflate_to(&z, &made, e);
    inflateEnd(&z);
    *out = ok ? arena_copy(a, buf_bytes(&made)) : NO_BYTES;
    if (ok && !out->p)
        *out = BYTES("");
    buf_clear(&made);
    return ok;
}

static size_t number(struct bytes data, size_t at, int n)
{
    size_t value = 0;

    while (n--)
        value = value << 8 | (unsigned char)data.p[at + (size_t)n];
    return value;
}

static bool unzip(struct bytes data, const struct unpack_limits *limits, struct arena *a, struct bytes *out,
                  struct err *e)
{
    while (data.n >= ZIP_HEADER && bytes_starts(data, BYTES("PK\x03\x04"))) {
        size_t flags = number(data, 6, 2), method = number(data, 8, 2), size = number(data, 18, 4);
        size_t name = number(data, 26, 2), extra = number(data, 28, 2);
        struct bytes file = bytes_from(data, ZIP_HEADER + name + extra);
        bool folder = name && data.n >= ZIP_HEADER + name && data.p[ZIP_HEADER + name - 1] == '/';

        if (folder) {
            data = bytes_from(file, size);
            continue;
        }
        if (flags & ZIP_ENCRYPTED)
            return err_set(e, ERR_INVALID, "The zip is encrypted");
        if (method == ZIP_DEFLATED)
            return inflate_all(file, FORM_RAW, limits, a, out, e);
        if (method != ZIP_STORED || flags & ZIP_SIZES_LATER || size > file.n)
            return err_set(e, ERR_INVALID, "The zip is cut off, or packed in a way that is not known");
        if (size > limits->size)
            return err_set(e, ERR_TOO_LARGE, "What is packed there is larger than %zu bytes", limits->size);
        *out = bytes_head(file, size);
        return true;
    }
    return err_set(e, ERR_INVALID, "There is no file in the zip");
}

bool report_unpack(struct bytes data, const struct unpack_limits *limits, struct arena *a, struct bytes *out,
                   struct err *e)
{
    if (bytes_starts(data, BYTES("\x1F\x8B")))
        return inflate_all(data, FORM_GZIP, limits, a, out, e);
    if (report_is_packed(data))
        return unzip(data, limits, a, out, e);
    if (data.n > limits->size)
        return err_set(e, ERR_TOO_LARGE, "The report is larger than %zu bytes", limits->size);
    *out = data;
    return true;
}
