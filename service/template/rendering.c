/* service/template/rendering.c - templates rendered on a worker, with what was noticed told as warnings.
 *
 * All parts of one mail share a report, so that a name which is missing in html and text is told once. A part that
 * passes its bounds is a fault of that part; the others are not rendered then. Most mails are rendered in less time
 * than it takes to wake a worker: so each is tried at once, within bounds that nobody notices, and only what passes
 * them is a worker's, from its beginning. */
#include "service/template/rendering.h"
#include "base/params.h"
#include "base/zone.h"
#include "net/fiber.h"
#include "service/core/member.h"
#include "service/template/declared.h"
#include "service/template/link_warnings.h"
#include <json-c/linkhash.h>

/* What is tried at once: some 0.1 ms of a loop, and no deep stack. */
#define TRIED_STEPS  4000
#define TRIED_DEPTH  6
#define TRIED_OUTPUT ((size_t)128 * 1024)
#define TRIED_NAMES  10000 /* values times names of the template: what telling the unused costs */

#define CLIPPED (102 * 1024) /* of html: what is longer, Gmail cuts */

struct work {
    struct call *c;
    const struct compiled_view *v;
    struct json_object *variables;
    struct bytes unsubscribe_url;
    const char *prefix;
    bool sends;
    bool tried; /* at once: what fails is none of the template's faults */
    bool failed;
    struct rendering *out;
    struct template_limits limits;
    struct template_report report;
    struct template_job job;
};

static bool part(struct work *w, const char *member, const struct template *body, const struct template *layout,
                 const struct compiled_partials *partials, struct bytes *out)
{
    struct template_fault fault = { 0 };
    struct buf text;
    bool good;

    *out = NO_BYTES;
    if (!body)
        return true;
    w->job.body = body;
    w->job.layout = layout;
    w->job.partials = partials->list;
    w->job.n_partials = partials->n;
    buf_init(&text, w->limits.output + 65536);
    good = template_render(&w->job, &w->limits, w->c->arena, &text, &w->report, &fault);
    if (good)
        *out = arena_copy(w->c->arena, text.n ? buf_bytes(&text) : BYTES(""));
    else if (w->tried)
        w->failed = true;
    else
        call_fault(w->c, arena_printf(w->c->arena, "%s/%s", w->prefix, member), "template_rendering",
                   "Line %u, column %u: %s", fault.line, fault.column, fault.message);
    buf_clear(&text);
    return good;
}

static bool headers(struct work *w)
{
    const struct compiled_view *v = w->v;
    struct arena *a = w->c->arena;
    bool good = true;

    w->out->headers = arena_array(a, v->n_headers + 1, sizeof *w->out->headers);
    for (size_t i = 0; i < v->n_headers && good; i++) {
        struct named_value *h = &w->out->headers[i];

        h->name = arena_copy(a, v->headers[i].name);
        if (v->headers[i].program)
            good = part(w, arena_printf(a, "headers/%.*s", SHOW(h->name)), v->headers[i].program, NULL,
                        &v->partials_text, &h->value);
        else
            h->value = arena_copy(a, v->headers[i].value);
    }
    w->out->n_headers = v->n_headers;
    return good;
}

static void warn(struct rendering *out, const char *code, struct bytes message)
{
    if (out->n_warnings < RENDERING_WARNINGS)
        out->warnings[out->n_warnings++] = (struct rendering_warning){ code, message };
}

static void add_name(struct bytes *list, size_t *n, struct bytes name)
{
    for (size_t i = 0; i < *n; i++)
        if (bytes_equal(list[i], name))
            return;
    if (*n < RENDERING_NAMES)
        list[(*n)++] = name;
}

/* Does any part ask for that name, or for all of them at once? */
static bool asks_for(const struct template *t, struct bytes name)
{
    bool all = false;
    size_t n = 0;
    const struct bytes *names = t ? template_names(t, &n, &all) : NULL;

    for (size_t i = 0; i < n && !all; i++)
        all = bytes_equal(names[i], name);
    return all;
}

static bool is_used(const struct compiled_view *v, struct bytes name)
{
    const struct template *all[] = { v->subject, v->html, v->text, v->amp_html, v->layout_html, v->layout_text };
    bool used = false;

    for (size_t i = 0; i < sizeof all / sizeof *all && !used; i++)
        used = asks_for(all[i], name);
    for (size_t i = 0; i < v->n_headers && !used; i++)
        used = asks_for(v->headers[i].program, name);
    for (size_t i = 0; i < v->partials_html.n && !used; i++)
        used = asks_for(v->partials_html.list[i].body, name);
    for (size_t i = 0; i < v->partials_text.n && !used; i++)
        used = asks_for(v->partials_text.list[i].body, name);
    return used;
}

static void tell_unused(struct work *w)
{
    struct arena *a = w->c->arena;

    if (!json_object_is_type(w->variables, json_type_object))
        return;
    for (struct lh_entry *e = json_object_get_object(w->variables)->head; e && w->out->n_unused < RENDERING_NAMES;
         e = e->next) {
        struct bytes name = arena_copy(a, bytes_of(e->k));

        if (is_used(w->v, name))
            continue;
        add_name(w->out->unused, &w->out->n_unused, name);
        warn(w->out, "variable_unused", arena_bytesf(a, "Nothing asks for the variable %.*s", SHOW(name)));
    }
}

static void tell_links(struct work *w)
{
    struct rendering_warning links[LINK_WARNINGS];
    size_t n = link_warnings(w->out->html, w->c->arena, links);

    for (size_t i = 0; i < n; i++)
        warn(w->out, links[i].code, links[i].message);
}

static void tell(struct work *w)
{
    struct rendering *out = w->out;
    struct arena *a = w->c->arena;
    struct bytes required[TEMPLATE_MISSING_MAX];
    size_t n = declared_missing(w->v->declared, w->variables, required, TEMPLATE_MISSING_MAX);

    for (size_t i = 0; i < n; i++)
        add_name(out->missing, &out->n_missing, arena_copy(a, required[i]));
    for (size_t i = 0; i < w->report.n_missing; i++)
        add_name(out->missing, &out->n_missing, w->report.missing[i]);
    for (size_t i = 0; i < out->n_missing; i++)
        warn(out, "variable_missing", arena_bytesf(a, "The variable %.*s has no value", SHOW(out->missing[i])));
    for (size_t i = 0; i < w->report.n_unsafe; i++)
        warn(out, "value_unsafe",
             arena_bytesf(a, "The value of %.*s may not stand where it was put, and was left out",
                          SHOW(w->report.unsafe[i])));
    for (size_t i = 0; i < w->report.n_odd; i++)
        warn(out, "value_unreadable",
             arena_bytesf(a, "%.*s got a value that it cannot read, and printed it as it is", SHOW(w->report.odd[i])));
    tell_unused(w);
    if (out->html.n > CLIPPED)
        warn(out, "html_clipped", BYTES("The html is over 102 KB: some readers are shown its beginning only"));
    if (out->html.p && !out->text.p)
        warn(out, "no_text", BYTES("There is no text: one is made of the html"));
    if (!w->sends)
        tell_links(w);
    out->size = (int64_t)(out->subject.n + out->html.n + out->text.n + out->amp_html.n);
}

static void render_all(struct work *w)
{
    const struct compiled_view *v = w->v;
    struct rendering *out = w->out;
    struct arena *a = w->c->arena;

    w->job.variables = w->variables;
    w->job.fixed =
        declared_reserved(v->dialect, w->unsubscribe_url, declared_defaults(v->declared, w->variables, a), a);
    if (part(w, "subject", v->subject, NULL, &v->partials_text, &out->subject) &&
        part(w, "html", v->html, v->layout_html, &v->partials_html, &out->html) &&
        part(w, "text", v->text, v->layout_text, &v->partials_text, &out->text) &&
        part(w, "amp_html", v->amp_html, NULL, &v->partials_html, &out->amp_html) && headers(w))
        tell(w);
}

static enum template_zone zone_read(struct bytes name, int64_t wall, int *offset)
{
    return zone_offset(name, wall, offset) ? TEMPLATE_ZONE_FOUND : TEMPLATE_ZONE_NONE;
}

/* On a loop no file is read. */
static enum template_zone zone_known(struct bytes name, int64_t wall, int *offset)
{
    return zone_offset_known(name, wall, offset) ? TEMPLATE_ZONE_FOUND : TEMPLATE_ZONE_LATER;
}

static void render_work(void *arg)
{
    struct work *w = arg;

    w->job.zone = zone_read;
    w->limits = compiled_limits();
    render_all(w);
}

static size_t names_of(const struct template *t)
{
    bool all;
    size_t n = 0;

    if (t)
        template_names(t, &n, &all);
    return n;
}

static bool is_small(const struct work *w)
{
    const struct compiled_view *v = w->v;
    size_t names = names_of(v->subject) + names_of(v->html) + names_of(v->text) + names_of(v->amp_html) +
                   names_of(v->layout_html) + names_of(v->layout_text);
    size_t values = w->variables ? (size_t)json_object_object_length(w->variables) : 0;

    return v->partials_html.n + v->partials_text.n + v->n_headers < 10 && names * values < TRIED_NAMES;
}

/* True when all of it was rendered at once. */
static bool render_at_once(struct work *w)
{
    struct arena_mark clean = arena_mark(w->c->arena);

    if (!is_small(w))
        return false;
    w->limits = (struct template_limits){ .output = TRIED_OUTPUT, .steps = TRIED_STEPS, .depth = TRIED_DEPTH };
    w->job.zone = zone_known;
    w->tried = true;
    render_all(w);
    w->tried = false;
    if (!w->failed)
        return true;
    arena_rewind(w->c->arena, clean);
    *w->out = (struct rendering){ .subject = NO_BYTES };
    w->report = (struct template_report){ .n_missing = 0 };
    return false;
}

/* What a send of dialect resend lacks, which has no empty values. */
static void resend_faults(struct call *c, const struct compiled_view *v, const struct rendering *out,
                          const char *prefix)
{
    if (v->dialect != TEMPLATE_RESEND)
        return;
    for (size_t i = 0; i < out->n_missing; i++)
        call_fault(c, arena_printf(c->arena, "%s/variables/%.*s", prefix, SHOW(out->missing[i])), "required",
                   "The variable %.*s is required", SHOW(out->missing[i]));
}

bool rendering_make(struct call *c, const struct compiled *k, const struct rendering_values *given, const char *prefix,
                    bool sends, struct rendering *out)
{
    struct work *w = arena_alloc(c->arena, sizeof *w);

    *out = (struct rendering){ .subject = NO_BYTES };
    w->c = c;
    w->v = compiled_view(k);
    w->variables = given->variables;
    w->unsubscribe_url = given->unsubscribe_url;
    w->prefix = prefix;
    w->out = out;
    if (sends)
        declared_faults(c, w->v->declared, w->variables, arena_printf(c->arena, "%s/variables", prefix));
    if (!call_check(c) || (!render_at_once(w) && !offload(POOL_CPU, render_work, w, &c->err)))
        return false;
    if (sends && !c->n_faults)
        resend_faults(c, w->v, out, prefix);
    return call_check(c);
}

/* ---- the members ---- */

static void show_names(struct jw *w, const struct bytes *names, size_t n)
{
    jw_array(w);
    for (size_t i = 0; i < n; i++)
        jw_text(w, names[i]);
    jw_array_end(w);
}

static void show_headers(struct jw *w, const void *row)
{
    const struct rendering *r = row;

    jw_array(w);
    for (size_t i = 0; i < r->n_headers; i++) {
        jw_object(w);
        jw_key_text(w, "name", r->headers[i].name);
        jw_key_text(w, "value", r->headers[i].value);
        jw_object_end(w);
    }
    jw_array_end(w);
}

static void show_missing(struct jw *w, const void *row)
{
    show_names(w, ((const struct rendering *)row)->missing, ((const struct rendering *)row)->n_missing);
}

static void show_unused(struct jw *w, const void *row)
{
    show_names(w, ((const struct rendering *)row)->unused, ((const struct rendering *)row)->n_unused);
}

static void show_warnings(struct jw *w, const void *row)
{
    const struct rendering *r = row;

    jw_array(w);
    for (size_t i = 0; i < r->n_warnings; i++) {
        jw_object(w);
        jw_key_text(w, "code", bytes_of(r->warnings[i].code));
        jw_key_text(w, "message", r->warnings[i].message);
        jw_object_end(w);
    }
    jw_array_end(w);
}

static const struct member rendering_list_[] = {
    MEMBER(TEXT, rendering, subject),
    MEMBER(TEXT, rendering, html),
    MEMBER(TEXT, rendering, text),
    MEMBER(TEXT, rendering, amp_html),
    { .name = "headers", .type = MEMBER_OWN, .show = show_headers },
    { .name = "missing", .type = MEMBER_OWN, .show = show_missing },
    { .name = "unused", .type = MEMBER_OWN, .show = show_unused },
    MEMBER(INT, rendering, size),
    { .name = "warnings", .type = MEMBER_OWN, .show = show_warnings },
};
MEMBERS(rendering, .object = "rendering");

/* ---- which ---- */

static bool compile_draft(struct call *c, struct template_version_row *v, struct compiled **k, const char *prefix)
{
    return compiled_freeze(c, v) && compiled_make(c, v, prefix, k);
}

bool rendering_find(struct call *c, const struct rendering_of *of, struct compiled **k, struct id *template,
                    int64_t *version)
{
    struct template_row row;
    struct template_version_row v;
    bool draft = false;

    if (!template_find_short(c, of->name, &row))
        return false;
    *template = row.id;
    *version = row.published_version;
    if (of->version.p) {
        if (!template_version_named(c, &row, of->version, version, &draft))
            return false;
    } else if (!row.published_version) {
        draft = true;
    }
    if (!draft)
        return compiled_find(c, row.id, *version, k);
    if (!c->who->test && !of->drafts)
        return err_set(&c->err, ERR_MISSING, "The template has no published version");
    if (!template_find(c, of->name, &row))
        return false;
    *version = row.draft_version;
    v = template_draft(&row);
    return compile_draft(c, &v, k, "/template");
}

/* ---- the operations ---- */

static bool show(struct call *c, struct compiled *k, struct bytes sample, struct json_object *given,
                 struct rendering *out)
{
    struct json_object *values = NULL;
    bool good;

    if (!given && sample.p && !json_read(sample, &values, &c->err)) {
        compiled_put(&k);
        return false;
    }
    good = rendering_make(c, k, &(struct rendering_values){ .variables = given ? given : values }, "", false, out) &&
           (!c->idempotency || call_commit(c, batch_new(c->arena), out, NO_ID));
    json_object_put(values);
    compiled_put(&k);
    return good;
}

bool rendering_create(struct call *c, const struct rendering_create_in *in, struct rendering *out)
{
    struct template_row row;
    struct template_version_row v;
    struct compiled *k = NULL;
    int64_t number = 0;
    bool draft = true;

    if (!template_may(c) || !template_find(c, in->id, &row) ||
        !template_version_named(c, &row, in->version, &number, &draft))
        return false;
    if (!draft && !template_version_find(c, row.id, number, &v))
        return false;
    if (draft)
        v = template_draft(&row);
    if (draft ? !compile_draft(c, &v, &k, "") : !compiled_find(c, row.id, number, &k))
        return false;
    return show(c, k, v.sample, in->variables, out);
}

bool rendering_try(struct call *c, const struct rendering_try_in *in, struct rendering *out)
{
    struct template_row row = { .dialect = BYTES("handlebars"), .name = BYTES(""), .account_id = c->account };
    struct template_version_row v;
    struct compiled *k = NULL;

    if (!template_may(c) || !members_apply(c, &template_members, &in->given, in->named, &row) || !call_check(c))
        return false;
    v = template_draft(&row);
    return compile_draft(c, &v, &k, "") && show(c, k, NO_BYTES, in->variables, out);
}
