/* service/template/compiled.c - compiling, and a cache in front of it: to compile a template costs some hundred times
 * what rendering it does.
 *
 * A version never changes, so what was made of one is right for ever, on every node, and nothing need be told when a
 * new one is published. A version asked for by many fibers at once may be compiled more than once: the first one stays.
 * What is rendered meanwhile holds what it renders. */
#include "service/template/compiled.h"
#include "base/params.h"
#include "net/fiber.h"
#include "service/core/state.h"
#include <json-c/linkhash.h>
#define uthash_fatal(message) die("out of memory: templates")
#include <uthash.h>

struct version_key {
    struct id template;
    int64_t number;
};

struct compiled {
    UT_hash_handle hh;
    struct version_key key;
    atomic_int holders;
    struct arena *arena;
    struct template_version_row row;
    struct template *programs[6];
    struct template **partials; /* of both lists */
    size_t n_partials, weight;
    struct compiled_view view;
};

struct compiled_cache {
    pthread_mutex_t mutex;
    struct compiled *all; /* the one that was looked for longest ago first */
    size_t weight;
};

struct compiled_cache *compiled_cache_new(void)
{
    struct compiled_cache *k = calloc(1, sizeof *k);

    if (!k)
        die("out of memory: templates");
    pthread_mutex_init(&k->mutex, NULL);
    return k;
}

void compiled_put(struct compiled **k)
{
    struct compiled *it = *k;

    *k = NULL;
    if (!it || atomic_fetch_sub(&it->holders, 1) != 1)
        return;
    for (size_t i = 0; i < sizeof it->programs / sizeof *it->programs; i++)
        template_free(&it->programs[i]);
    for (size_t i = 0; i < it->n_partials; i++)
        template_free(&it->partials[i]);
    for (size_t i = 0; i < it->view.n_headers; i++)
        template_free(&it->view.headers[i].program);
    json_object_put(it->view.declared);
    arena_free(&it->arena);
    free(it);
}

static void forget(struct compiled_cache *cache, struct compiled *k)
{
    HASH_DEL(cache->all, k);
    cache->weight -= k->weight;
    compiled_put(&k);
}

void compiled_cache_free(struct compiled_cache **cache)
{
    struct compiled *k, *next;

    if (!*cache)
        return;
    HASH_ITER (hh, (*cache)->all, k, next)
        forget(*cache, k);
    pthread_mutex_destroy(&(*cache)->mutex);
    free(*cache);
    *cache = NULL;
}

const struct compiled_view *compiled_view(const struct compiled *k)
{
    return &k->view;
}

struct template_limits compiled_limits(void)
{
    return (struct template_limits){ .source = (size_t)PARAM_INT(template, size_max),
                                     .output = (size_t)PARAM_INT(template, output_max),
                                     .tags = (size_t)PARAM_INT(template, tags_max),
                                     .steps = (unsigned)PARAM_INT(template, steps_max),
                                     .depth = (unsigned)PARAM_INT(template, depth_max) };
}

/* ---- the cache ---- */

static struct compiled *cached(struct compiled_cache *cache, const struct version_key *key)
{
    struct compiled *k;

    pthread_mutex_lock(&cache->mutex);
    HASH_FIND(hh, cache->all, key, sizeof *key, k);
    if (k) {
        HASH_DEL(cache->all, k); /* to the end: used last */
        HASH_ADD(hh, cache->all, key, sizeof k->key, k);
        atomic_fetch_add(&k->holders, 1);
    }
    pthread_mutex_unlock(&cache->mutex);
    return k;
}

static void cache_add(struct compiled_cache *cache, struct compiled *k)
{
    size_t most = (size_t)PARAM_INT(template, cache);
    struct compiled *there;

    pthread_mutex_lock(&cache->mutex);
    HASH_FIND(hh, cache->all, &k->key, sizeof k->key, there);
    if (!there && k->weight <= most) {
        atomic_fetch_add(&k->holders, 1);
        HASH_ADD(hh, cache->all, key, sizeof k->key, k);
        cache->weight += k->weight;
    }
    while (cache->weight > most && cache->all)
        forget(cache, cache->all);
    pthread_mutex_unlock(&cache->mutex);
}

/* ---- compiling, on a worker ---- */

struct work {
    struct call *c;
    const struct template_version_row *row;
    const char *prefix;
    bool alone; /* without its partials */
    struct compiled *k;
    struct template_limits limits;
};

static void note(struct call *c, const char *pointer, const struct template_fault *f)
{
    call_fault(c, pointer, "template_syntax", "Line %u, column %u: %s", f->line, f->column, f->message);
}

static struct template *one(struct work *w, const char *member, struct bytes text, enum template_part part, bool layout)
{
    struct template_fault fault = { 0 };
    struct template *t = NULL;
    struct template_source source = { .text = text,
                                      .dialect = w->k->view.dialect,
                                      .part = part,
                                      .layout = layout,
                                      .label = layout ? BYTES("layout") : NO_BYTES };

    if (text.p && !template_compile(&source, &w->limits, &t, &fault))
        note(w->c, arena_printf(w->c->arena, "%s/%s", w->prefix, member), &fault);
    w->k->weight += t ? template_weight(t) : 0;
    return t;
}

/* A value without a tag is one already. */
static void header(struct work *w, const char *member, struct bytes name, struct json_object *value)
{
    struct compiled_view *v = &w->k->view;
    struct compiled_header *h = &v->headers[v->n_headers];

    if (!json_object_is_type(value, json_type_string))
        return;
    *h = (struct compiled_header){ .name = arena_copy(w->k->arena, name),
                                   .value = arena_copy(w->k->arena, json_bytes(value)) };
    if (memmem(h->value.p, h->value.n, "{{", 2))
        h->program = one(w, member, h->value, TEMPLATE_LINE, false);
    v->n_headers++;
}

/* A list of {name, value}, or a map. */
static void headers(struct work *w)
{
    struct arena *a = w->c->arena;
    struct json_object *given = NULL;
    struct err ignored = { 0 };
    size_t n;
    bool list;

    if (!w->row->headers.p || !json_read(w->row->headers, &given, &ignored))
        return;
    list = json_object_is_type(given, json_type_array);
    n = list ? json_object_array_length(given) : (size_t)json_object_object_length(given);
    w->k->view.headers = arena_array(w->k->arena, n + 1, sizeof *w->k->view.headers);
    for (size_t i = 0; list && i < n; i++) {
        struct json_object *field = json_object_array_get_idx(given, i);

        header(w, arena_printf(a, "headers/%zu/value", i), json_text(field, "name"), json_member(field, "value"));
    }
    if (!list) {
        json_object_object_foreach(given, name, value)
        {
            header(w, arena_printf(a, "headers/%s", name), bytes_of(name), value);
        }
    }
    json_object_put(given);
}

static void one_partial(struct work *w, struct compiled_partials *to, struct bytes name, struct bytes text,
                        enum template_part part)
{
    struct compiled *k = w->k;
    struct template_fault fault = { 0 };
    struct template_source source = { .text = text,
                                      .dialect = k->view.dialect,
                                      .part = part,
                                      .label = arena_bytesf(k->arena, "partial %.*s", SHOW(name)) };
    struct template *t = NULL;

    if (!text.p)
        return;
    if (!template_compile(&source, &w->limits, &t, &fault)) {
        note(w->c, w->prefix, &fault);
        return;
    }
    k->weight += template_weight(t);
    k->partials[k->n_partials++] = t;
    to->list[to->n++] = (struct template_partial){ arena_copy(k->arena, name), t };
}

static void partials(struct work *w)
{
    struct compiled *k = w->k;
    struct json_object *list = NULL;
    struct err ignored = { 0 };
    size_t n;

    if (!w->row->partials.p || !json_read(w->row->partials, &list, &ignored))
        return;
    n = json_object_array_length(list);
    k->partials = arena_array(k->arena, 2 * n + 1, sizeof(struct template *));
    k->view.partials_html.list = arena_array(k->arena, n + 1, sizeof(struct template_partial));
    k->view.partials_text.list = arena_array(k->arena, n + 1, sizeof(struct template_partial));
    for (size_t i = 0; i < n; i++) {
        struct json_object *p = json_object_array_get_idx(list, i);

        one_partial(w, &k->view.partials_html, json_text(p, "name"), json_text(p, "html"), TEMPLATE_HTML);
        one_partial(w, &k->view.partials_text, json_text(p, "name"), json_text(p, "text"), TEMPLATE_TEXT);
    }
    json_object_put(list);
}

static bool has(const struct compiled_partials *p, struct bytes name)
{
    for (size_t i = 0; i < p->n; i++)
        if (bytes_equal(p->list[i].name, name))
            return true;
    return false;
}

static bool inlines(const struct template *t, struct bytes name)
{
    size_t n = 0;
    const struct bytes *names = t ? template_inlines(t, &n) : NULL;

    for (size_t i = 0; i < n; i++)
        if (bytes_equal(names[i], name))
            return true;
    return false;
}

/* Is it defined where it is used, by any of them? Which runs within which is not told before it does. */
static bool is_inlined(const struct work *w, struct bytes name)
{
    const struct compiled *k = w->k;

    for (size_t i = 0; i < sizeof k->programs / sizeof *k->programs; i++)
        if (inlines(k->programs[i], name))
            return true;
    for (size_t i = 0; i < k->n_partials; i++)
        if (inlines(k->partials[i], name))
            return true;
    return false;
}

/* Every partial that a part names is there, in its form. */
static void check_partials(struct work *w, const char *member, const struct template *t,
                           const struct compiled_partials *of, const char *form)
{
    const char *pointer = arena_printf(w->c->arena, "%s/%s", w->prefix, member);
    bool all = false;
    size_t n = 0;
    const struct bytes *names = t ? template_partials(t, &n, &all) : NULL;

    if (all)
        call_fault(w->c, pointer, "partial_dynamic",
                   "A partial is named as it is: a version is kept with its partials");
    for (size_t i = 0; i < n; i++)
        if (!has(of, names[i]) && !template_partial_may_lack(t, i) && !is_inlined(w, names[i]))
            call_fault(w->c, pointer, "partial_missing", "There is no %s of a partial %.*s", form, SHOW(names[i]));
}

static void check_all(struct work *w)
{
    const struct compiled_view *v = &w->k->view;

    check_partials(w, "subject", v->subject, &v->partials_text, "text");
    check_partials(w, "html", v->html, &v->partials_html, "html");
    check_partials(w, "text", v->text, &v->partials_text, "text");
    check_partials(w, "amp_html", v->amp_html, &v->partials_html, "html");
    check_partials(w, "layout_id", v->layout_html, &v->partials_html, "html");
    check_partials(w, "layout_id", v->layout_text, &v->partials_text, "text");
    for (size_t i = 0; i < v->n_headers; i++)
        check_partials(w, "headers", v->headers[i].program, &v->partials_text, "text");
    for (size_t i = 0; i < v->partials_html.n; i++)
        check_partials(w, "html", v->partials_html.list[i].body, &v->partials_html, "html");
    for (size_t i = 0; i < v->partials_text.n; i++)
        check_partials(w, "text", v->partials_text.list[i].body, &v->partials_text, "text");
}

static void compile_work(void *arg)
{
    struct work *w = arg;
    const struct template_version_row *r = w->row;
    struct compiled *k = w->k;

    w->limits = compiled_limits();
    k->view.subject = k->programs[0] = one(w, "subject", r->subject, TEMPLATE_LINE, false);
    k->view.html = k->programs[1] = one(w, "html", r->html, TEMPLATE_HTML, false);
    k->view.text = k->programs[2] = one(w, "text", r->text, TEMPLATE_TEXT, false);
    k->view.amp_html = k->programs[3] = one(w, "amp_html", r->amp_html, TEMPLATE_HTML, false);
    k->view.layout_html = k->programs[4] = one(w, "layout_id", r->layout_html, TEMPLATE_HTML, true);
    k->view.layout_text = k->programs[5] = one(w, "layout_id", r->layout_text, TEMPLATE_TEXT, true);
    headers(w);
    partials(w);
    if (!w->alone && !w->c->n_faults)
        check_all(w);
}

/* The row as it is kept beside the programs, which have the texts. */
static void row_keep(struct compiled *k, const struct template_version_row *row)
{
    struct arena *a = k->arena;
    struct err ignored = { 0 };

    k->row = (struct template_version_row){ .id = row->id,
                                            .account_id = row->account_id,
                                            .template_id = row->template_id,
                                            .number = row->number,
                                            .sender = arena_copy(a, row->sender),
                                            .reply_to = arena_copy(a, row->reply_to) };
    k->view.row = &k->row;
    if (row->variables.p && !json_read(row->variables, &k->view.declared, &ignored))
        k->view.declared = NULL;
    if (!template_dialect_of(row->dialect, &k->view.dialect))
        k->view.dialect = TEMPLATE_HANDLEBARS;
}

static bool make(struct call *c, struct work *w, struct compiled **out)
{
    const struct template_version_row *row = w->row;
    struct compiled *k = calloc(1, sizeof *k);

    if (!k)
        die("out of memory: templates");
    w->c = c;
    w->k = k;
    atomic_init(&k->holders, 1);
    k->key = (struct version_key){ row->template_id, row->number };
    k->arena = arena_new((size_t)32 << 20);
    row_keep(k, row);
    if (!offload(POOL_CPU, compile_work, w, &c->err) || !call_check(c)) {
        compiled_put(&k);
        return false;
    }
    k->weight += sizeof *k + arena_used(k->arena);
    *out = k;
    return true;
}

bool compiled_make(struct call *c, const struct template_version_row *row, const char *prefix, struct compiled **out)
{
    return make(c, &(struct work){ .row = row, .prefix = prefix }, out);
}

bool compiled_make_alone(struct call *c, const struct template_version_row *row, struct compiled **out)
{
    return make(c, &(struct work){ .row = row, .prefix = "", .alone = true }, out);
}

/* Whoever asks has just read the template's row, which says that it is there. */
bool compiled_find(struct call *c, struct id template, int64_t number, struct compiled **out)
{
    const struct value values[] = { V_ID(template), V_INT(number) };
    const struct version_key key = { template, number };
    struct template_version_row row;

    *out = cached(c->svc->templates, &key);
    if (*out)
        return true;
    if (!store_get_by(c->store, &template_version_kind, "number", values, 2, c->arena, &row, &c->err))
        return call_was_missing(c) && err_set(&c->err, ERR_MISSING, "No such version of the template");
    if (!compiled_make(c, &row, "/template", out))
        return false;
    cache_add(c->svc->templates, *out);
    return true;
}

/* ---- texts alone ---- */

struct check {
    struct bytes text;
    enum template_part part;
    bool layout, takes_body;
    struct template_fault fault;
};

static void check_work(void *arg)
{
    static const enum template_dialect dialects[] = { TEMPLATE_MUSTACHE, TEMPLATE_MUSTACHIO, TEMPLATE_HANDLEBARS };
    struct check *k = arg;
    struct template_limits limits = compiled_limits();
    struct template *t = NULL;

    for (size_t i = 0; !t && i < sizeof dialects / sizeof *dialects; i++) {
        struct template_source source = {
            .text = k->text, .dialect = dialects[i], .part = k->part, .layout = k->layout
        };

        if (template_compile(&source, &limits, &t, &k->fault))
            k->fault = (struct template_fault){ 0 };
    }
    k->takes_body = t && template_takes_body(t);
    template_free(&t);
}

bool compiled_check(struct call *c, const char *pointer, struct bytes text, enum template_part part, bool layout)
{
    struct check k = { .text = text, .part = part, .layout = layout };

    if (!text.p)
        return true;
    if (!offload(POOL_CPU, check_work, &k, &c->err))
        return false;
    if (k.fault.message[0])
        note(c, pointer, &k.fault);
    else if (layout && !k.takes_body)
        call_fault(c, pointer, "content_missing", "A layout says where the body stands: {{{content}}}");
    return true;
}
