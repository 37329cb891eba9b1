/* mail/auth/report.c - a report found in what it came in.
 *
 * What a text is, is told by how it begins: reporters name their types and files as they like. One layer of packing is
 * taken off, of the whole or of a part of a mail; what is packed in that again is none. */
#include "mail/auth/report.h"
#include "mail/chars.h"

static const char *const kinds[] = { "none", "dmarc", "tls", "failure", "sts_record", "sts_policy" };

const char *report_kind_name(enum report_kind kind)
{
    return kinds[kind];
}

bool report_kind_of(struct bytes name, enum report_kind *out)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (bytes_equal(name, bytes_of(kinds[i]))) {
            *out = (enum report_kind)i;
            return true;
        }
    return false;
}

static bool begins_with_version(struct bytes text)
{
    struct bytes name, rest;

    return bytes_cut(bytes_head(text, 40), ':', &name, &rest) && bytes_equal(bytes_trim(name), BYTES("version"));
}

static enum report_kind look(struct bytes text)
{
    struct bytes t = bytes_starts(text, BYTES("\xEF\xBB\xBF")) ? bytes_from(text, 3) : text;

    while (t.n && char_is_blank(t.p[0]))
        t = bytes_from(t, 1);
    if (bytes_starts(t, BYTES("<")) || bytes_starts(t, BYTES("\xFF\xFE")) || bytes_starts(t, BYTES("\xFE\xFF")))
        return REPORT_DMARC;
    if (bytes_starts(t, BYTES("{")))
        return REPORT_TLS;
    if (bytes_starts(t, BYTES("v=STSv")))
        return REPORT_STS_RECORD;
    return begins_with_version(t) ? REPORT_STS_POLICY : REPORT_NONE;
}

/* ---- mails ---- */

static struct bytes decoded(const struct mime_part *p, struct bytes message, struct arena *a)
{
    struct bytes raw = bytes_head(bytes_from(message, p->body_at), p->end_at - p->body_at), out;
    struct mime_decoder d;
    struct buf text;

    buf_init(&text, raw.n + 64);
    mime_decode_begin(&d, p->encoding);
    mime_decode(&d, raw, &text);
    mime_decode_end(&d, &text);
    out = arena_copy(a, buf_bytes(&text));
    buf_clear(&text);
    return out.p ? out : BYTES("");
}

static bool may_hold(const struct mime_part *p)
{
    static const char *const endings[] = { ".xml", ".gz", ".zip", ".json" };
    static const char *const types[] = { "application/", "text/xml" };

    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (bytes_ends_nocase(p->filename, bytes_of(endings[i])))
            return true;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (bytes_starts(p->type, bytes_of(types[i])))
            return true;
    return false;
}

static bool open_part(const struct mime_part *p, struct bytes message, const struct report_limits *limits,
                      struct arena *a, struct report_text *out, struct err *e)
{
    if (bytes_equal(p->type, BYTES("message/feedback-report"))) {
        *out = (struct report_text){ REPORT_FAILURE, decoded(p, message, a) };
        return true;
    }
    if (!may_hold(p))
        return true;
    if (!report_unpack(decoded(p, message, a), &limits->unpack, a, &out->text, e))
        return false;
    out->kind = look(out->text);
    if (out->kind != REPORT_DMARC && out->kind != REPORT_TLS)
        out->kind = REPORT_NONE;
    return true;
}

static bool open_mail(struct bytes message, const struct report_limits *limits, struct arena *a,
                      struct report_text *out, struct err *e)
{
    struct mime *m = mime_begin(&limits->mime, a);
    const struct mime_index *x;

    mime_feed(m, message);
    x = mime_end(m);
    for (size_t i = 0; i < x->n && out->kind == REPORT_NONE; i++)
        if (!open_part(&x->parts[i], message, limits, a, out, e))
            return false;
    return true;
}

bool report_open(struct bytes data, const struct report_limits *limits, struct arena *a, struct report_text *out,
                 struct err *e)
{
    bool packed = report_is_packed(data);

    *out = (struct report_text){ .text = data };
    if (packed && !report_unpack(data, &limits->unpack, a, &out->text, e))
        return false;
    out->kind = look(out->text);
    return packed || out->kind != REPORT_NONE || open_mail(data, limits, a, out, e);
}
