/* A template in any dialect, its partial, a layout and variables, divided by NULs: compiling and rendering end, within
 * their bounds, and where a template is refused there is a reason and a place. */
#include "base/json.h"
#include "mail/template/template.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct template_limits limits = {
    .source = 1 << 16, .output = 1 << 18, .tags = 10000, .steps = 20000, .depth = 16
};

static struct template *compiled(uint8_t how, struct bytes text, bool layout)
{
    struct template_source source = { .text = text,
                                      .dialect = (enum template_dialect)(how % TEMPLATE_DIALECT_COUNT),
                                      .part = (enum template_part)(how / 8 % 3),
                                      .layout = layout,
                                      .label = NO_BYTES };
    struct template_fault fault = { 0 };
    struct template *t = NULL;

    if (!template_compile(&source, &limits, &t, &fault))
        assert(!t && fault.message[0] && fault.line && fault.column);
    return t;
}

static void render(const struct template_job *job)
{
    struct template_report report = { .n_missing = 0 };
    struct template_fault fault = { 0 };
    struct arena *a = arena_new(16 << 20);
    struct buf out;

    buf_init(&out, limits.output + 4096);
    if (!template_render(job, &limits, a, &out, &report, &fault))
        assert(fault.message[0]);
    else if (job->body && out.n)
        assert(out.n <= limits.output);
    buf_clear(&out);
    arena_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = { size ? (const char *)data + 1 : "", size ? size - 1 : 0 }, body, partial, layout, variables;
    struct json_object *tree = NULL;
    struct err e = { 0 };
    struct template *b, *p, *l = NULL;
    uint8_t how = size ? data[0] : 0;

    bytes_cut(in, '\0', &body, &in);
    bytes_cut(in, '\0', &partial, &in);
    bytes_cut(in, '\0', &layout, &variables);
    b = compiled(how, body, false);
    p = compiled(how, partial, false);
    if (layout.n)
        l = compiled(how, layout, true);
    if (!variables.n || !json_read_most(variables, 10000, &tree, &e))
        tree = NULL;
    if (b)
        render(&(struct template_job){ .body = b,
                                       .layout = l,
                                       .partials = &(struct template_partial){ BYTES("p"), p },
                                       .n_partials = p ? 1 : 0,
                                       .variables = tree,
                                       .fixed = NULL });
    json_object_put(tree);
    template_free(&b);
    template_free(&p);
    template_free(&l);
    return 0;
}
