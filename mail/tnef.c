/* mail/tnef.c - a list of attributes (MS-OXTNEF 2.1.3), two of which hold lists of properties (MS-OXCDATA 2.11).
 *
 * Every length is a stranger's: each read asks what is left and ends the list when it is too little. Embedded messages
 * (a TNEF in a TNEF) stay files, so there is no recursion. */
#include "mail/tnef.h"
#include "mail/address_form.h"
#include "mail/chars.h"
#include "mail/charset.h"
#include "mail/header.h"
#include "mail/mime.h"

enum { SIGNATURE = 0x223E9F78, NAME_MOST = 512, TEXT_MOST = 1 << 20 };

enum attribute {
    ATT_BODY = 0x0002800C,
    ATT_TITLE = 0x00018010,
    ATT_DATA = 0x0006800F,
    ATT_RENDER = 0x00069002,
    ATT_MESSAGE_PROPS = 0x00069003,
    ATT_FILE_PROPS = 0x00069005,
    ATT_CODEPAGE = 0x00069007
};

enum property {
    PR_BODY = 0x1000,
    PR_HTML = 0x1013,
    PR_DISPLAY_NAME = 0x3001,
    PR_FILE_DATA = 0x3701,
    PR_FILENAME = 0x3704,
    PR_LONG_FILENAME = 0x3707,
    PR_MIME_TAG = 0x370E,
    PR_CONTENT_ID = 0x3712
};

enum type {
    PT_SHORT = 2,
    PT_LONG = 3,
    PT_FLOAT = 4,
    PT_DOUBLE = 5,
    PT_CURRENCY = 6,
    PT_TIME = 7,
    PT_ERROR = 10,
    PT_BOOLEAN = 11,
    PT_OBJECT = 13,
    PT_LONGLONG = 20,
    PT_STRING = 30,
    PT_UNICODE = 31,
    PT_SYSTIME = 64,
    PT_CLSID = 72,
    PT_BINARY = 258,
    PT_MANY = 0x1000
};

struct reader {
    struct bytes in;
    bool broken;
};

static struct bytes take(struct reader *r, size_t n)
{
    struct bytes out = bytes_head(r->in, n);

    r->broken |= n > r->in.n;
    r->in = bytes_from(r->in, n);
    return r->broken ? NO_BYTES : out;
}

static uint32_t number(struct reader *r, size_t n)
{
    struct bytes b = take(r, n);
    uint32_t out = 0;

    for (size_t i = b.n; i-- > 0;)
        out = out << 8 | (unsigned char)b.p[i];
    return out;
}

/* A length, what it measures, and filling up to four. */
static struct bytes take_counted(struct reader *r)
{
    size_t n = number(r, 4);
    struct bytes out = take(r, n);

    take(r, r->in.n ? (4 - n % 4) % 4 : 0);
    return out;
}

struct opening {
    struct arena *a;
    struct tnef *out;
    size_t most, room;
    struct tnef_file *file; /* the one that is being read */
    enum charset codepage;
};

/* ---- texts ---- */

static struct bytes text_of(struct opening *o, enum charset charset, struct bytes raw)
{
    struct buf text;
    struct bytes done;

    buf_init(&text, TEXT_MOST);
    charset_read(charset, raw, &text);
    while (text.n && text.p[text.n - 1] == '\0')
        text.n--;
    done = address_copy(o->a, buf_bytes(&text));
    buf_clear(&text);
    return done;
}

static struct bytes name_of(struct opening *o, struct bytes text)
{
    struct buf name;
    struct bytes done;

    buf_init(&name, NAME_MOST);
    mime_filename(text, NAME_MOST, &name);
    done = name.n ? address_copy(o->a, buf_bytes(&name)) : NO_BYTES;
    buf_clear(&name);
    return done;
}

/* ---- properties ---- */

static size_t fixed_size(unsigned type)
{
    switch (type) {
    case PT_SHORT:
    case PT_LONG:
    case PT_FLOAT:
    case PT_ERROR:
    case PT_BOOLEAN: return 4;
    case PT_DOUBLE:
    case PT_CURRENCY:
    case PT_TIME:
    case PT_LONGLONG:
    case PT_SYSTIME: return 8;
    case PT_CLSID: return 16;
    default: return 0;
    }
}

/* A property with a name of its own (id 0x8000 and above): the name is passed over. */
static void skip_name(struct reader *r)
{
    take(r, 16);
    if (number(r, 4) == 0)
        take(r, 4);
    else
        take_counted(r);
}

static void file_property(struct opening *o, unsigned id, enum charset charset, struct bytes value)
{
    struct tnef_file *f = o->file;

    switch (id) {
    case PR_LONG_FILENAME: f->filename = name_of(o, text_of(o, charset, value)); break;
    case PR_FILENAME:
    case PR_DISPLAY_NAME:
        if (!f->filename.n)
            f->filename = name_of(o, text_of(o, charset, value));
        break;
    case PR_MIME_TAG: f->content_type = arena_lower(o->a, text_of(o, charset, value)); break;
    case PR_CONTENT_ID: f->content_id = text_of(o, charset, value); break;
    case PR_FILE_DATA:
        if (!f->content.n)
            f->content = value;
        break;
    default: break;
    }
}

static void property(struct opening *o, bool file, unsigned id, unsigned type, struct bytes value)
{
    enum charset charset = type == PT_UNICODE ? CHARSET_UTF_16LE : o->codepage;

    if (type == PT_OBJECT) /* behind the id of an interface (MS-OXTNEF 2.1.3.4) */
        value = bytes_from(value, 16);
    if (file)
        file_property(o, id, charset, value);
    else if (id == PR_HTML)
        o->out->html = value;
    else if (id == PR_BODY)
        o->out->text = text_of(o, charset, value);
}

static void properties(struct opening *o, bool file, struct bytes data)
{
    struct reader r = { .in = data };
    uint32_t n = number(&r, 4);

    for (uint32_t i = 0; i < n && !r.broken && r.in.n; i++) {
        unsigned type = number(&r, 2), id = number(&r, 2), kind = type & ~(unsigned)PT_MANY;
        uint32_t values = 1;

        if (id >= 0x8000)
            skip_name(&r);
        if (fixed_size(kind) == 0 || type & PT_MANY)
            values = number(&r, 4);
        for (uint32_t k = 0; k < values && !r.broken; k++) {
            size_t size = fixed_size(kind);
            struct bytes value = size ? take(&r, size) : take_counted(&r);

            if (k == 0 && !r.broken && !size)
                property(o, file, id, kind, value);
            r.broken |= r.in.n == 0 && k + 1 < values;
        }
    }
}

/* ---- attributes ---- */

static bool file_add(struct opening *o)
{
    struct tnef *t = o->out;

    o->file = NULL;
    if (t->n == o->room) {
        size_t room = o->room ? o->room * 2 : 8;
        struct tnef_file *more = t->n < o->most ? arena_try(o->a, room * sizeof *more) : NULL;

        if (!more)
            return false;
        if (t->n)
            memcpy(more, t->files, t->n * sizeof *more);
        t->files = more;
        o->room = room;
    }
    if (t->n >= o->most)
        return false;
    o->file = &t->files[t->n++];
    *o->file = (struct tnef_file){ .filename = NO_BYTES };
    return true;
}

static enum charset codepage_of(struct bytes data)
{
    struct reader r = { .in = data };
    char label[16];

    snprintf(label, sizeof label, "cp%u", (unsigned)number(&r, 4));
    return charset_find(bytes_of(label));
}

/* False: nothing more is read. */
static bool attribute(struct opening *o, unsigned level, uint32_t id, struct bytes data)
{
    switch (id) {
    case ATT_CODEPAGE: o->codepage = codepage_of(data); break;
    case ATT_RENDER: return file_add(o);
    case ATT_TITLE:
        if (o->file && level == 2)
            o->file->filename = name_of(o, text_of(o, o->codepage, data));
        break;
    case ATT_DATA:
        if (o->file)
            o->file->content = data;
        break;
    case ATT_BODY: o->out->text = text_of(o, o->codepage, data); break;
    case ATT_MESSAGE_PROPS: properties(o, false, data); break;
    case ATT_FILE_PROPS:
        if (o->file)
            properties(o, true, data);
        break;
    default: break;
    }
    return true;
}

static void finish(struct tnef *t)
{
    for (size_t i = 0; i < t->n; i++) {
        struct tnef_file *f = &t->files[i];

        if (!media_type_ok(f->content_type))
            f->content_type = bytes_of(media_type_by_name(f->filename));
        if (f->content_id.n == 0 || !bytes_is_utf8(f->content_id))
            f->content_id = NO_BYTES;
        if (!f->content.p)
            f->content = BYTES("");
    }
}

bool tnef_read(struct bytes data, size_t most, struct arena *a, struct tnef *out)
{
    struct reader r = { .in = data };
    struct opening o = { .a = a, .out = out, .most = most };

    *out = (struct tnef){ .files = NULL };
    if (number(&r, 4) != SIGNATURE)
        return false;
    take(&r, 2);
    while (r.in.n && !r.broken) {
        unsigned level = number(&r, 1);
        uint32_t id = number(&r, 4);
        struct bytes value = take(&r, number(&r, 4));

        take(&r, 2); /* a check sum: what it would find shows anyway */
        if (level < 1 || level > 2 || r.broken || !attribute(&o, level, id, value)) {
            r.broken = true;
            break;
        }
    }
    out->cut = r.broken;
    finish(out);
    return true;
}

bool tnef_is(struct bytes type, struct bytes filename)
{
    return bytes_equal(type, BYTES("application/ms-tnef")) || bytes_equal(type, BYTES("application/vnd.ms-tnef")) ||
           (bytes_equal(type, BYTES("application/octet-stream")) && bytes_equal_nocase(filename, BYTES("winmail.dat")));
}
