#include "service/body/structure.h"
#include "base/params.h"
#include "net/fiber.h"

/* Handled at once: with the dearest headers that fit in, some milliseconds. */
#define SLICE ((size_t)64 * 1024)

struct mail_limits mail_limits_now(void)
{
    return (struct mail_limits){ .header_value = (size_t)PARAM_INT(message, header_value_max),
                                 .html = (size_t)PARAM_INT(html, text_max) };
}

struct mime_limits structure_limits(void)
{
    return (struct mime_limits){ .depth = (unsigned)PARAM_INT(message, mime_depth_max),
                                 .parts = (unsigned)PARAM_INT(message, mime_parts_max),
                                 .part_header = (size_t)PARAM_INT(message, part_header_max),
                                 .top_header = (size_t)PARAM_INT(message, header_max),
                                 .fields = mail_limits_now() };
}

struct mime *structure_begin(struct arena *a)
{
    struct mime_limits limits = structure_limits();

    limits.inner_files = true;
    return mime_begin(&limits, a);
}

void structure_feed(struct mime *m, struct bytes piece)
{
    for (; piece.n; piece = bytes_from(piece, SLICE)) {
        mime_feed(m, bytes_head(piece, SLICE));
        fiber_turn();
    }
}

bool structure_read(struct body_reader *r, struct arena *a, const struct mime_index **out, struct err *e)
{
    struct mime *m = structure_begin(a);
    struct bytes piece;

    do {
        if (!body_next(r, &piece, e))
            return false;
        structure_feed(m, piece);
    } while (piece.n);
    *out = mime_end(m);
    body_rewind(r);
    return true;
}
