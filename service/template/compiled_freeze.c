/* service/template/compiled_freeze.c - what a draft uses, gathered: its layout, and the partials that are named in it,
 * in the layout, or in one another.
 *
 * Names are found by compiling: each round compiles what the round before brought (on a worker), and reads the partials
 * that are named there for the first time. Rounds end since each partial is read once, and there is a most. What is no
 * template says so later, when all of it is compiled together. */
#include "base/params.h"
#include "net/fiber.h"
#include "service/template/compiled.h"
#include <json-c/linkhash.h>

struct gathering {
    struct call *c;
    enum template_dialect dialect;
    struct partial_row *rows; /* in the order in which they were named */
    struct bytes *names;
    size_t n, most, read;    /* named; the first that are not read yet begin at `read` */
    struct bytes texts[128]; /* of this round */
    size_t n_texts, bytes;
};

static void add_text(struct gathering *g, struct bytes text)
{
    g->bytes += text.n;
    if (text.p && g->n_texts < sizeof g->texts / sizeof *g->texts)
        g->texts[g->n_texts++] = text;
}

/* The values of a list of {name, value}, or of a map. */
static void add_headers(struct gathering *g, struct bytes json)
{
    struct json_object *given = NULL;
    struct err ignored = { 0 };

    if (!json.p || !json_read(json, &given, &ignored))
        return;
    if (json_object_is_type(given, json_type_array)) {
        for (size_t i = 0; i < json_object_array_length(given); i++)
            add_text(g, arena_copy(g->c->arena, json_text(json_object_array_get_idx(given, i), "value")));
    } else {
        json_object_object_foreach(given, name, value)
        {
            (void)name;
            add_text(g, arena_copy(g->c->arena, json_bytes(value)));
        }
    }
    json_object_put(given);
}

static void add_name(struct gathering *g, struct bytes name)
{
    for (size_t i = 0; i < g->n; i++)
        if (bytes_equal(g->names[i], name))
            return;
    if (g->n <= g->most) /* one more than may be, which tells that there are too many */
        g->names[g->n++] = arena_copy(g->c->arena, name);
}

static void names_work(void *arg)
{
    struct gathering *g = arg;
    struct template_limits limits = compiled_limits();

    for (size_t i = 0; i < g->n_texts; i++) {
        struct template_source source = { .text = g->texts[i], .dialect = g->dialect };
        struct template_fault ignored = { 0 };
        struct template *t = NULL;
        const struct bytes *names;
        bool all;
        size_t n;

        if (!template_compile(&source, &limits, &t, &ignored))
            continue;
        names = template_partials(t, &n, &all);
        for (size_t k = 0; k < n; k++)
            add_name(g, names[k]);
        template_free(&t);
    }
    g->n_texts = 0;
}

/* The partials that were named and not read yet. One that is not there is left out: who compiles says so. */
static bool read_named(struct gathering *g)
{
    struct call *c = g->c;

    for (; g->read < g->n; g->read++) {
        const struct value values[] = { V_ID(c->account), V_TEXT(g->names[g->read]) };
        struct partial_row *row = &g->rows[g->read];

        if (!store_get_by(c->store, &partial_kind, "name", values, 2, c->arena, row, &c->err)) {
            if (!call_was_missing(c))
                return false;
            *row = (struct partial_row){ .name = NO_BYTES };
            continue;
        }
        add_text(g, row->html);
        add_text(g, row->text);
    }
    return true;
}

static bool check_bounds(struct gathering *g)
{
    int64_t bytes = PARAM_INT(template, used_bytes);

    if (g->n > g->most)
        call_fault(g->c, "", "limit_reached", "At most %zu partials are used", g->most);
    else if (g->bytes > (size_t)bytes)
        call_fault(g->c, "", "limit_reached", "Layout and partials have at most %lld bytes together", (long long)bytes);
    return call_check(g->c);
}

static bool gather(struct gathering *g)
{
    do {
        if (!offload(POOL_CPU, names_work, g, &g->c->err) || !check_bounds(g) || !read_named(g) || !check_bounds(g))
            return false;
    } while (g->n_texts);
    return true;
}

static struct bytes partials_json(struct gathering *g)
{
    struct bytes json;
    struct buf out;
    struct jw w;

    buf_init(&out, 16 << 20);
    jw_init(&w, &out);
    jw_array(&w);
    for (size_t i = 0; i < g->n; i++) {
        if (!g->rows[i].name.p)
            continue;
        jw_object(&w);
        jw_key_text(&w, "name", g->rows[i].name);
        jw_key_text(&w, "html", g->rows[i].html);
        jw_key_text(&w, "text", g->rows[i].text);
        jw_object_end(&w);
    }
    jw_array_end(&w);
    json = g->n ? arena_copy(g->c->arena, buf_bytes(&out)) : NO_BYTES;
    buf_clear(&out);
    return json;
}

static bool read_layout(struct call *c, struct template_version_row *out)
{
    struct layout_row layout;

    if (id_is_none(out->layout_id))
        return true;
    if (!store_get(c->store, &layout_kind, out->layout_id, c->arena, &layout, &c->err)) {
        if (!call_was_missing(c))
            return false;
        call_fault(c, "/layout_id", "not_found", "No such layout");
        return call_check(c);
    }
    out->layout_html = layout.html;
    out->layout_text = layout.text;
    return true;
}

bool compiled_freeze(struct call *c, struct template_version_row *out)
{
    struct gathering *g = arena_alloc(c->arena, sizeof *g);

    if (!read_layout(c, out))
        return false;
    g->c = c;
    if (!template_dialect_of(out->dialect, &g->dialect))
        g->dialect = TEMPLATE_HANDLEBARS;
    g->most = (size_t)PARAM_INT(template, used_max);
    g->rows = arena_array(c->arena, g->most + 1, sizeof *g->rows);
    g->names = arena_array(c->arena, g->most + 1, sizeof *g->names);
    add_text(g, out->layout_html);
    add_text(g, out->layout_text);
    if (!check_bounds(g))
        return false;
    add_text(g, out->subject);
    add_text(g, out->html);
    add_text(g, out->text);
    add_text(g, out->amp_html);
    add_headers(g, out->headers);
    g->bytes = out->layout_html.n + out->layout_text.n; /* the template's own have another bound */
    if (!gather(g))
        return false;
    out->partials = partials_json(g);
    return true;
}
