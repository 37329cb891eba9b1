/* What rendering a template costs: 20 KB of HTML with 50 variables, the size of a usual newsletter.
 *   mail_bench_template [ROUNDS]
 * Prints microseconds a rendering: the best and the middle one of ROUNDS (2,000) after a warm-up. */
#include "base/json.h"
#include "bench/rounds.h"
#include "mail/template/template.h"

enum { VARIABLES = 50, BYTES_OF_IT = 20480 };

static const struct template_limits limits = {
    .source = 512 << 10, .output = 5 << 20, .tags = 10000, .steps = 300000, .depth = 32
};

static void write_template(struct buf *out, struct json_object *data)
{
    char name[32];

    for (int i = 0; i < VARIABLES; i++) {
        snprintf(name, sizeof name, "variable_%d", i);
        json_object_object_add(data, name, json_object_new_string("Ana & Bo <ana@example.org>"));
        buf_addf(out,
                 i % 5 ? "<tr><td style=\"padding:8px 16px\">{{%s}}</td></tr>\n"
                       : "<tr><td><a href=\"https://example.org/?v={{%s}}\">Words</a></td></tr>\n",
                 name);
        while (out->n < (size_t)(i + 1) * BYTES_OF_IT / VARIABLES)
            buf_adds(out, "<p>Words that stand in every mail of this kind.</p>\n");
    }
}

static double render_once(const struct template_job *job, struct arena *a, struct buf *out)
{
    struct template_report report = { .n_missing = 0 };
    struct template_fault fault = { 0 };
    double began = now_us();

    buf_reset(out);
    arena_reset(a);
    if (!template_render(job, &limits, a, out, &report, &fault))
        die("%s", fault.message);
    return now_us() - began;
}

int main(int argc, char **argv)
{
    size_t rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 2000;
    struct json_object *data = json_object_new_object();
    struct template_job job = { .variables = data };
    struct template_fault fault = { 0 };
    struct template *t = NULL;
    struct arena *a = arena_new(32 << 20);
    double *took = calloc(rounds + 1, sizeof *took);
    struct buf text, out;

    if (!took || rounds == 0)
        die("mail_bench_template [ROUNDS]");
    buf_init(&text, 1 << 20);
    buf_init(&out, 1 << 20);
    write_template(&text, data);
    if (!template_compile(&(struct template_source){ .text = buf_bytes(&text) }, &limits, &t, &fault))
        die("%s", fault.message);
    job.body = t;
    for (size_t i = 0; i < rounds / 10 + 1; i++)
        render_once(&job, a, &out);
    for (size_t i = 0; i < rounds; i++)
        took[i] = render_once(&job, a, &out);
    rounds_sort(took, rounds);
    printf("template of %zu bytes, %d variables, %zu bytes rendered: best %.1f us, middle %.1f us\n", text.n, VARIABLES,
           out.n, took[0], took[rounds / 2]);
    free(took);
    template_free(&t);
    arena_free(&a);
    buf_clear(&text);
    buf_clear(&out);
    json_object_put(data);
    return 0;
}
