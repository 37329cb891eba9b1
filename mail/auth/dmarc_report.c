/* mail/auth/dmarc_report.c - XML as it goes by (SAX): an element's text goes where a table says, by its parent's name
 * and its own.
 *
 * No tree is made, so memory is what is kept. Names count without their namespace and wherever the report stands in the
 * document, since some wrap it in a schema. A document type is refused as soon as it begins: nothing is expanded that
 * the report did not spell out. */
#include "mail/auth/dmarc_report.h"
#include "mail/chars.h"
#include <expat.h>
#include <string.h>

enum where { REPORT, ROW, REASON, DKIM, SPF };
enum form { TEXT, WORD, NUMBER, TIME };

static const struct place {
    const char *parent, *name;
    enum where where;
    enum form form;
    size_t at;
} places[] = {
#define PLACE(parent, name, where, form, type, field)                                                                  \
    {                                                                                                                  \
        parent, name, where, form, offsetof(struct type, field)                                                        \
    }
    PLACE("feedback", "version", REPORT, TEXT, dmarc_report, version),
    PLACE("report_metadata", "org_name", REPORT, TEXT, dmarc_report, org_name),
    PLACE("report_metadata", "email", REPORT, TEXT, dmarc_report, email),
    PLACE("report_metadata", "extra_contact_info", REPORT, TEXT, dmarc_report, extra_contact_info),
    PLACE("report_metadata", "report_id", REPORT, TEXT, dmarc_report, report_id),
    PLACE("report_metadata", "generator", REPORT, TEXT, dmarc_report, generator),
    PLACE("date_range", "begin", REPORT, TIME, dmarc_report, begin),
    PLACE("date_range", "end", REPORT, TIME, dmarc_report, end),
    PLACE("policy_published", "domain", REPORT, WORD, dmarc_report, domain),
    PLACE("policy_published", "p", REPORT, WORD, dmarc_report, p),
    PLACE("policy_published", "sp", REPORT, WORD, dmarc_report, sp),
    PLACE("policy_published", "np", REPORT, WORD, dmarc_report, np),
    PLACE("policy_published", "adkim", REPORT, WORD, dmarc_report, adkim),
    PLACE("policy_published", "aspf", REPORT, WORD, dmarc_report, aspf),
    PLACE("policy_published", "pct", REPORT, WORD, dmarc_report, pct),
    PLACE("policy_published", "fo", REPORT, WORD, dmarc_report, fo),
    PLACE("policy_published", "testing", REPORT, WORD, dmarc_report, testing),
    PLACE("policy_published", "discovery_method", REPORT, WORD, dmarc_report, discovery_method),
    PLACE("row", "source_ip", ROW, TEXT, dmarc_report_row, source_ip),
    PLACE("row", "count", ROW, NUMBER, dmarc_report_row, count),
    PLACE("policy_evaluated", "disposition", ROW, WORD, dmarc_report_row, disposition),
    PLACE("policy_evaluated", "dkim", ROW, WORD, dmarc_report_row, dkim),
    PLACE("policy_evaluated", "spf", ROW, WORD, dmarc_report_row, spf),
    PLACE("identifiers", "header_from", ROW, TEXT, dmarc_report_row, header_from),
    PLACE("identifiers", "envelope_from", ROW, TEXT, dmarc_report_row, envelope_from),
    PLACE("identifiers", "envelope_to", ROW, TEXT, dmarc_report_row, envelope_to),
    PLACE("reason", "type", REASON, WORD, dmarc_report_reason, type),
    PLACE("reason", "comment", REASON, TEXT, dmarc_report_reason, comment),
    PLACE("dkim", "domain", DKIM, TEXT, dmarc_report_dkim, domain),
    PLACE("dkim", "selector", DKIM, TEXT, dmarc_report_dkim, selector),
    PLACE("dkim", "result", DKIM, WORD, dmarc_report_dkim, result),
    PLACE("dkim", "human_result", DKIM, TEXT, dmarc_report_dkim, human_result),
    PLACE("spf", "domain", SPF, TEXT, dmarc_report_spf, domain),
    PLACE("spf", "scope", SPF, WORD, dmarc_report_spf, scope),
    PLACE("spf", "result", SPF, WORD, dmarc_report_spf, result),
    PLACE("spf", "human_result", SPF, TEXT, dmarc_report_spf, human_result),
#undef PLACE
};

struct reading {
    XML_Parser parser;
    struct arena *a;
    struct dmarc_report *out;
    struct dmarc_report_row *row; /* NULL: none, or beyond the limit */
    void *item;                   /* of the list that is open: a reason, a signature; NULL: left out */
    enum where item_of;
    size_t rows_max, room;
    struct buf text;
    struct buf names; /* of the elements that are open, with a NUL behind each */
    size_t starts[DMARC_REPORT_DEPTH];
    int depth;
    bool found;
    const char *refused;
};

static const char *local(const char *name)
{
    const char *colon = strrchr(name, ':');

    return colon ? colon + 1 : name;
}

static const char *name_at(const struct reading *r, int level)
{
    return level >= 0 && level < r->depth ? r->names.p + r->starts[level] : "";
}

static void refuse(struct reading *r, const char *why)
{
    r->refused = why;
    XML_StopParser(r->parser, XML_FALSE);
}

/* ---- lists ---- */

static void begin_row(struct reading *r)
{
    struct dmarc_report *o = r->out;

    r->row = NULL;
    if (o->n == r->rows_max) {
        o->left_out++;
        return;
    }
    if (o->n == r->room)
        o->rows = arena_more(r->a, o->rows, o->n, r->room = r->room ? 2 * r->room : 16, sizeof *o->rows);
    r->row = &o->rows[o->n++];
    *r->row = (struct dmarc_report_row){ .count = 0 };
}

/* One more in a list of a row, which has room for the next power of two: most have one or two. */
static void *add_item(struct reading *r, void *list, size_t *n, size_t size)
{
    char *longer = list;

    if (*n == DMARC_REPORT_LIST_MAX)
        return list;
    if ((*n & (*n - 1)) == 0)
        longer = arena_more(r->a, list, *n, *n ? 2 * *n : 1, size);
    memset(longer + *n * size, 0, size);
    r->item = longer + *n * size;
    ++*n;
    return longer;
}

static void begin_item(struct reading *r, const char *parent, const char *name)
{
    struct dmarc_report_row *row = r->row;

    if (!row)
        return;
    if (strcmp(parent, "policy_evaluated") == 0 && strcmp(name, "reason") == 0) {
        r->item_of = REASON;
        row->reasons = add_item(r, row->reasons, &row->n_reasons, sizeof *row->reasons);
    } else if (strcmp(parent, "auth_results") == 0 && strcmp(name, "dkim") == 0) {
        r->item_of = DKIM;
        row->auth_dkim = add_item(r, row->auth_dkim, &row->n_dkim, sizeof *row->auth_dkim);
    } else if (strcmp(parent, "auth_results") == 0 && strcmp(name, "spf") == 0) {
        r->item_of = SPF;
        row->auth_spf = add_item(r, row->auth_spf, &row->n_spf, sizeof *row->auth_spf);
    }
}

static void add_error(struct reading *r, struct bytes text)
{
    struct dmarc_report *o = r->out;

    if (o->n_errors == DMARC_REPORT_LIST_MAX)
        return;
    o->errors = arena_more(r->a, o->errors, o->n_errors, o->n_errors + 1, sizeof *o->errors);
    o->errors[o->n_errors++] = arena_copy(r->a, text);
}

/* ---- elements ---- */

static void begin_element(void *ctx, const char *full, const char **attributes)
{
    struct reading *r = ctx;
    const char *name = local(full);

    (void)attributes;
    if (r->depth == DMARC_REPORT_DEPTH || r->names.overflowed) {
        refuse(r, "it is deeper than any report");
        return;
    }
    if (strcmp(name, "feedback") == 0)
        r->found = true;
    if (strcmp(name, "record") == 0)
        begin_row(r);
    begin_item(r, name_at(r, r->depth - 1), name);
    r->starts[r->depth++] = r->names.n;
    buf_add(&r->names, (struct bytes){ name, strlen(name) + 1 });
    buf_reset(&r->text);
    if (arena_full(r->a))
        refuse(r, "it is larger than there is room for");
}

static void *base_of(struct reading *r, enum where where)
{
    if (where == REPORT)
        return r->out;
    if (where == ROW)
        return r->row;
    return r->item && r->item_of == where ? r->item : NULL;
}

static void put(struct reading *r, const struct place *p, struct bytes text)
{
    char *base = base_of(r, p->where);
    int64_t number = 0;

    if (!base || !text.n)
        return;
    if (p->form == TEXT || p->form == WORD) {
        *(struct bytes *)(void *)(base + p->at) = p->form == WORD ? arena_lower(r->a, text) : arena_copy(r->a, text);
        return;
    }
    if (!bytes_to_int(text, &number) || number < 0 || (p->form == TIME && number > INT64_MAX / 1000))
        return;
    *(int64_t *)(void *)(base + p->at) = p->form == TIME ? number * 1000 : number;
}

static void end_element(void *ctx, const char *full)
{
    struct reading *r = ctx;
    const char *name = local(full), *parent = name_at(r, r->depth - 2);
    struct bytes text = bytes_trim(buf_bytes(&r->text));

    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (strcmp(places[i].name, name) == 0 && strcmp(places[i].parent, parent) == 0)
            put(r, &places[i], text);
    if (strcmp(name, "error") == 0 && strcmp(parent, "report_metadata") == 0 && text.n)
        add_error(r, text);
    if (strcmp(name, "record") == 0)
        r->row = NULL;
    if (r->item && (strcmp(name, "reason") == 0 || strcmp(parent, "auth_results") == 0))
        r->item = NULL;
    r->depth--;
    r->names.n = r->starts[r->depth];
    buf_reset(&r->text);
}

static void take_text(void *ctx, const char *p, int n)
{
    struct reading *r = ctx;

    buf_add(&r->text, (struct bytes){ p, (size_t)n });
}

static void refuse_doctype(void *ctx, const char *name, const char *system, const char *public, int internal)
{
    (void)name;
    (void)system;
    (void)public;
    (void)internal;
    refuse(ctx, "it has a document type");
}

/* Names of code pages that expat does not know: their ASCII half is what reports are made of. */
static int half_known(void *ctx, const char *name, XML_Encoding *info)
{
    (void)ctx;
    (void)name;
    for (int i = 0; i < 256; i++)
        info->map[i] = i;
    info->data = NULL;
    info->convert = NULL;
    info->release = NULL;
    return XML_STATUS_OK;
}

/* ---- the document ---- */

static bool names_encoding(struct bytes xml)
{
    struct bytes first = bytes_head(xml, bytes_find(xml, '>'));

    return bytes_starts(xml, BYTES("\xFE\xFF")) || bytes_starts(xml, BYTES("\xFF\xFE")) ||
           (bytes_starts(xml, BYTES("<?xml")) && memmem(first.p, first.n, "encoding", 8) &&
            !memmem(first.p, first.n, "UTF-8", 5) && !memmem(first.p, first.n, "utf-8", 5));
}

/* '?' for each octet that is no UTF-8, where it should be that. */
static struct bytes mended(struct bytes xml, struct arena *a)
{
    char *out;

    if (names_encoding(xml) || bytes_is_utf8(xml))
        return xml;
    out = arena_array(a, xml.n, 1);
    for (size_t i = 0; i < xml.n;) {
        size_t n = bytes_utf8_length(bytes_from(xml, i));

        if (n)
            memcpy(out + i, xml.p + i, n);
        else
            out[i] = '?';
        i += n ? n : 1;
    }
    return (struct bytes){ out, xml.n };
}

static void begin(struct reading *r)
{
    r->parser = XML_ParserCreate(NULL);
    if (!r->parser)
        die("out of memory");
    XML_SetUserData(r->parser, r);
    XML_SetElementHandler(r->parser, begin_element, end_element);
    XML_SetCharacterDataHandler(r->parser, take_text);
    XML_SetStartDoctypeDeclHandler(r->parser, refuse_doctype);
    XML_SetUnknownEncodingHandler(r->parser, half_known, NULL);
    buf_init(&r->text, DMARC_REPORT_TEXT_MAX);
    buf_init(&r->names, (size_t)DMARC_REPORT_DEPTH * 256);
}

static void feed(struct reading *r, struct bytes xml)
{
    enum { PIECE = 1 << 20 };
    bool ok = true;

    while (ok && xml.n) {
        struct bytes piece = bytes_head(xml, PIECE);

        xml = bytes_from(xml, piece.n);
        ok = XML_Parse(r->parser, piece.p, (int)piece.n, xml.n == 0) == XML_STATUS_OK;
    }
    if (!ok && !r->refused)
        r->out->damaged = arena_bytesf(r->a, "line %lu: %s", (unsigned long)XML_GetCurrentLineNumber(r->parser),
                                       XML_ErrorString(XML_GetErrorCode(r->parser)));
}

bool dmarc_report_read(struct bytes xml, size_t rows_max, struct arena *a, struct dmarc_report *out, struct err *e)
{
    struct reading r = { .a = a, .out = out, .rows_max = rows_max };
    const char *refused;

    *out = (struct dmarc_report){ .n = 0 };
    if (bytes_starts(xml, BYTES("\xEF\xBB\xBF")))
        xml = bytes_from(xml, 3);
    while (xml.n && char_is_blank(xml.p[0]))
        xml = bytes_from(xml, 1);
    begin(&r);
    feed(&r, mended(xml, a));
    XML_ParserFree(r.parser);
    buf_clear(&r.text);
    buf_clear(&r.names);
    refused = r.refused ? r.refused : r.found ? NULL : "there is no report in it";
    return !refused || err_set(e, ERR_INVALID, "This is no report about DMARC: %s", refused);
}
