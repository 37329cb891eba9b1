#include "mail/mime_part.h"
#include "mail/address_form.h"
#include "mail/chars.h"

struct fields {
    struct bytes type, encoding, disposition, id;
};

static void gather(struct bytes header, struct fields *f)
{
    struct header h;

    while (header_next(&header, &h)) {
        struct bytes *to = NULL;

        if (bytes_equal_nocase(h.name, BYTES("Content-Type")))
            to = &f->type;
        else if (bytes_equal_nocase(h.name, BYTES("Content-Transfer-Encoding")))
            to = &f->encoding;
        else if (bytes_equal_nocase(h.name, BYTES("Content-Disposition")))
            to = &f->disposition;
        else if (bytes_equal_nocase(h.name, BYTES("Content-ID")))
            to = &f->id;
        if (to && !to->p) /* the first one counts */
            *to = h.value;
    }
}

static bool type_ok(struct bytes type)
{
    struct bytes main, sub;

    if (!bytes_cut(type, '/', &main, &sub) || main.n == 0 || sub.n == 0)
        return false;
    for (size_t i = 0; i < type.n; i++)
        if (!char_is_token(type.p[i]) && i != main.n)
            return false;
    return true;
}

static enum mime_encoding encoding_of(struct bytes value, struct arena *a)
{
    struct bytes name = value.p ? header_token(value, a) : NO_BYTES;

    if (bytes_equal(name, BYTES("base64")) || bytes_equal(name, BYTES("base-64")))
        return MIME_BASE64;
    return bytes_equal(name, BYTES("quoted-printable")) ? MIME_QUOTED : MIME_IDENTITY;
}

static struct bytes id_of(struct bytes value, struct arena *a)
{
    struct bytes id = bytes_trim(value);

    if (id.n && id.p[0] == '<')
        id = bytes_head(bytes_from(id, 1), bytes_find(bytes_from(id, 1), '>'));
    return id.n ? address_copy(a, id) : NO_BYTES;
}

static struct bytes disposition_of(struct bytes value, struct arena *a)
{
    struct bytes token = value.p ? header_token(value, a) : NO_BYTES;

    if (token.n == 0)
        return NO_BYTES;
    return bytes_equal(token, BYTES("inline")) ? BYTES("inline") : BYTES("attachment"); /* RFC 2183 2.8 */
}

/* A copy that outlives the header buffer, which the next part reuses. */
static struct bytes parameter(struct bytes value, const char *name, struct arena *a)
{
    struct bytes text = value.p ? header_parameter(value, name, a) : NO_BYTES;

    return text.n ? text : NO_BYTES;
}

bool mime_is_multipart(const struct mime_part *p)
{
    return bytes_starts(p->type, BYTES("multipart/"));
}

static void read_boundary(struct mime_part *p, struct bytes type, struct arena *a)
{
    p->boundary = parameter(type, "boundary", a);
    while (p->boundary.n && char_is_blank(p->boundary.p[p->boundary.n - 1]))
        p->boundary.n--;
    p->encoding = MIME_IDENTITY; /* RFC 2045 6.4 */
    if (p->boundary.n && p->boundary.n <= MIME_BOUNDARY_MAX)
        return;
    p->boundary = NO_BYTES;
    p->type = BYTES("text/plain");
}

void mime_part_read(struct mime_part *p, struct bytes header, bool digest, struct arena *a)
{
    struct fields f = { .type = NO_BYTES };
    struct bytes type;

    gather(header, &f);
    type = f.type.p ? header_token(f.type, a) : NO_BYTES;
    if (!type_ok(type))
        type = digest ? BYTES("message/rfc822") : BYTES("text/plain");
    p->type = type;
    p->encoding = encoding_of(f.encoding, a);
    p->disposition = disposition_of(f.disposition, a);
    p->content_id = f.id.p ? id_of(f.id, a) : NO_BYTES;
    p->filename = parameter(f.disposition, "filename", a);
    if (!p->filename.p)
        p->filename = parameter(f.type, "name", a);
    if (bytes_starts(type, BYTES("text/"))) {
        p->charset = parameter(f.type, "charset", a);
        p->charset = p->charset.p ? header_token(p->charset, a) : NO_BYTES;
    }
    if (mime_is_multipart(p))
        read_boundary(p, f.type, a);
}
