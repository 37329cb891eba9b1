/* mail/mime_part.c - the fields of one part's header, as a mail client would understand them.
 *
 * What cannot be right gets the type that shows most: a multipart without a boundary is text (RFC 2045 5.2), an unknown
 * disposition an attachment. All texts are gathered on the stack and only the result goes to the arena, so that a mail
 * of many parts keeps no rubbish of reading them. */
#include "mail/mime_part.h"
#include "mail/chars.h"
#include "mail/charset.h"
#include <assert.h>

struct fields {
    struct bytes type, encoding, disposition, id;
};

static void gather(struct bytes header, struct fields *f)
{
    struct header h;

    while (header_next(&header, &h)) {
        struct bytes *to = NULL;

        if (char_lower(h.name.p[0]) != 'c')
            continue;
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

/* What is kept of a part: most bytes of each text. */
enum { TYPE_MAX = 127, FILENAME_MAX_OCTETS = 512, ID_MAX = 256, ALL_MAX = 2048 };
_Static_assert(TYPE_MAX + CHARSET_LABEL_MAX + FILENAME_MAX_OCTETS + ID_MAX + MIME_BOUNDARY_MAX <= ALL_MAX, "keep");

/* The texts of a part gather here, so that all that was made on the way to them can be forgotten. */
struct keeping {
    struct mail_limits limits;
    char text[ALL_MAX];
    size_t n;
};

static struct bytes text_keep(struct keeping *k, struct bytes b)
{
    struct bytes kept = { k->text + k->n, b.n };

    if (b.n == 0)
        return NO_BYTES;
    assert(b.n <= sizeof k->text - k->n);
    memcpy(k->text + k->n, b.p, b.n);
    k->n += b.n;
    return kept;
}

static bool type_ok(struct bytes type)
{
    struct bytes main, sub;

    if (!bytes_cut(type, '/', &main, &sub) || main.n == 0 || sub.n == 0 || type.n > TYPE_MAX)
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
    if (bytes_equal(name, BYTES("x-uuencode")) || bytes_equal(name, BYTES("x-uue")) ||
        bytes_equal(name, BYTES("uuencode")) || bytes_equal(name, BYTES("uue")))
        return MIME_UU;
    return bytes_equal(name, BYTES("quoted-printable")) ? MIME_QUOTED : MIME_IDENTITY;
}

/* One id, without its brackets. Half of one would name something else. */
static struct bytes id_of(struct bytes value)
{
    struct bytes id = bytes_trim(value);

    if (id.n && id.p[0] == '<')
        id = bytes_head(bytes_from(id, 1), bytes_find(bytes_from(id, 1), '>'));
    return id.n <= ID_MAX && bytes_is_utf8(id) ? id : NO_BYTES;
}

static struct bytes disposition_of(struct bytes value, struct arena *a)
{
    struct bytes token = value.p ? header_token(value, a) : NO_BYTES;

    if (token.n == 0)
        return NO_BYTES;
    return bytes_equal(token, BYTES("inline")) ? BYTES("inline") : BYTES("attachment"); /* RFC 2183 2.8 */
}

static struct bytes parameter(struct bytes value, const char *name, struct mail_limits limits, struct arena *a)
{
    return value.p ? header_parameter(value, name, limits, a) : NO_BYTES;
}

static struct bytes filename_of(const struct fields *f, struct keeping *k, struct arena *a)
{
    struct bytes kept;
    struct buf name;

    buf_init(&name, FILENAME_MAX_OCTETS);
    mime_filename(parameter(f->disposition, "filename", k->limits, a), FILENAME_MAX_OCTETS, &name);
    if (name.n == 0)
        mime_filename(parameter(f->type, "name", k->limits, a), FILENAME_MAX_OCTETS, &name);
    kept = text_keep(k, buf_bytes(&name));
    buf_clear(&name);
    return kept;
}

static struct bytes charset_label(struct bytes type, struct mail_limits limits, struct arena *a)
{
    struct bytes label = header_token(bytes_head(parameter(type, "charset", limits, a), CHARSET_LABEL_MAX), a);

    return bytes_is_utf8(label) ? label : NO_BYTES;
}

bool mime_is_multipart(const struct mime_part *p)
{
    return bytes_starts(p->type, BYTES("multipart/"));
}

static void read_boundary(struct mime_part *p, struct bytes type, struct keeping *k, struct arena *a)
{
    struct bytes boundary = parameter(type, "boundary", k->limits, a);

    while (boundary.n && char_is_blank(boundary.p[boundary.n - 1]))
        boundary.n--;
    p->encoding = MIME_IDENTITY; /* RFC 2045 6.4 */
    if (boundary.n && boundary.n <= MIME_BOUNDARY_MAX)
        p->boundary = text_keep(k, boundary);
    else
        p->type = BYTES("text/plain");
}

/* Few types name a format, and every text would pay for the search. */
static void read_flow(struct mime_part *p, struct bytes type, struct keeping *k, struct arena *a)
{
    if (!memmem(type.p, type.n, "lowed", 5) && !memmem(type.p, type.n, "LOWED", 5))
        return;
    p->flowed = bytes_equal_nocase(parameter(type, "format", k->limits, a), BYTES("flowed"));
    p->delsp = p->flowed && bytes_equal_nocase(parameter(type, "delsp", k->limits, a), BYTES("yes"));
}

static void read_fields(struct mime_part *p, const struct fields *f, bool digest, struct keeping *k, struct arena *a)
{
    struct bytes type = f->type.p ? header_token(f->type, a) : NO_BYTES;

    if (type_ok(type))
        p->type = text_keep(k, type);
    else
        p->type = digest ? BYTES("message/rfc822") : BYTES("text/plain");
    p->encoding = encoding_of(f->encoding, a);
    p->disposition = disposition_of(f->disposition, a);
    p->content_id = text_keep(k, id_of(f->id));
    p->filename = filename_of(f, k, a);
    if (bytes_starts(p->type, BYTES("text/")))
        p->charset = text_keep(k, charset_label(f->type, k->limits, a));
    if (f->type.n && bytes_equal(p->type, BYTES("text/plain")))
        read_flow(p, f->type, k, a);
    if (mime_is_multipart(p))
        read_boundary(p, f->type, k, a);
}

/* From k to the arena. Without room there the part is a file of which nothing is known. */
static void settle(struct mime_part *p, const struct keeping *k, struct arena *a)
{
    struct bytes *texts[] = { &p->type, &p->charset, &p->filename, &p->content_id, &p->boundary };
    char *to = k->n ? arena_try(a, k->n) : NULL;

    if (to)
        memcpy(to, k->text, k->n);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i]->p >= k->text && texts[i]->p < k->text + sizeof k->text)
            *texts[i] = to ? (struct bytes){ to + (texts[i]->p - k->text), texts[i]->n } : NO_BYTES;
    if (!p->type.p)
        p->type = BYTES("application/octet-stream");
}

void mime_part_read(struct mime_part *p, struct bytes header, struct bytes charset, bool digest,
                    struct mail_limits limits, struct arena *a)
{
    struct arena_mark before = arena_mark(a);
    struct keeping k = { .limits = limits };
    struct fields f = { .type = NO_BYTES };

    gather(header, &f);
    if (!bytes_is_utf8(f.type) || !bytes_is_utf8(f.disposition) || !bytes_is_utf8(f.id)) {
        struct bytes own = charset_label(f.type, limits, a);

        f = (struct fields){ .type = NO_BYTES };
        gather(header_mend(header, own.n ? own : charset, a), &f);
    }
    read_fields(p, &f, digest, &k, a);
    arena_rewind(a, before);
    settle(p, &k, a);
}
