/* Renders cases for test_template_peers.py: each line of standard input is {"template", "data", "partials": {name:
 * text}, "dialect", "part": html|text}, each line of standard output a JSON text, or {"fault"}. mail_tool_template */
#include "base/json.h"
#include "base/params.h"
#include "base/zone.h"
#include "mail/template/template.h"
#include <json-c/linkhash.h>

static const struct template_limits limits = {
    .source = 512 << 10, .output = 5 << 20, .tags = 10000, .steps = 300000, .depth = 32
};

enum { PARTIALS_MAX = 32 };

static struct template *compiled(struct json_object *c, struct bytes text, struct template_fault *fault)
{
    struct template *t = NULL;
    struct template_source source = { .text = text, .part = TEMPLATE_HTML };

    if (bytes_equal(json_text(c, "part"), BYTES("text")))
        source.part = TEMPLATE_TEXT;
    if (json_text(c, "dialect").p && !template_dialect_of(json_text(c, "dialect"), &source.dialect))
        die("no such dialect");
    template_compile(&source, &limits, &t, fault);
    return t;
}

struct made {
    struct template *body, *partials[PARTIALS_MAX];
    struct template_partial named[PARTIALS_MAX];
    size_t n;
};

static void make(struct json_object *c, struct made *m, struct template_fault *fault)
{
    m->body = compiled(c, json_text(c, "template"), fault);
    if (!json_member(c, "partials"))
        return;
    json_object_object_foreach(json_member(c, "partials"), name, text)
    {
        if (m->n == PARTIALS_MAX)
            die("too many partials");
        m->partials[m->n] = compiled(c, bytes_of(json_object_get_string(text)), fault);
        m->named[m->n] = (struct template_partial){ bytes_of(name), m->partials[m->n] };
        m->n++;
    }
}

static void unmake(struct made *m)
{
    template_free(&m->body);
    while (m->n)
        template_free(&m->partials[--m->n]);
}

static enum template_zone zone(struct bytes name, int64_t wall, int *offset)
{
    return zone_offset(name, wall, offset) ? TEMPLATE_ZONE_FOUND : TEMPLATE_ZONE_NONE;
}

static void render(struct json_object *c, struct jw *w)
{
    struct template_fault fault = { 0 };
    struct template_report report = { .n_missing = 0 };
    struct made m = { .n = 0 };
    struct arena *a = arena_new(64 << 20);
    struct buf out;

    make(c, &m, &fault);
    buf_init(&out, limits.output + 65536);
    if (!fault.message[0] && template_render(&(struct template_job){ .body = m.body,
                                                                     .partials = m.named,
                                                                     .n_partials = m.n,
                                                                     .zone = zone,
                                                                     .variables = json_member(c, "data") },
                                             &limits, a, &out, &report, &fault)) {
        jw_text(w, out.n ? buf_bytes(&out) : BYTES(""));
    } else {
        jw_object(w);
        jw_key_text(w, "fault", bytes_of(fault.message));
        jw_object_end(w);
    }
    buf_clear(&out);
    arena_free(&a);
    unmake(&m);
}

int main(void)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t n;

    params_init();
    while ((n = getline(&line, &room, stdin)) > 0) {
        struct json_object *c = NULL;
        struct err e = { 0 };
        struct buf out;
        struct jw w;

        if (!json_read(bytes_trim((struct bytes){ line, (size_t)n }), &c, &e))
            die("%s", e.message);
        buf_init(&out, 16 << 20);
        jw_init(&w, &out);
        render(c, &w);
        printf("%.*s\n", SHOW(buf_bytes(&out)));
        buf_clear(&out);
        json_object_put(c);
    }
    free(line);
    return 0;
}
