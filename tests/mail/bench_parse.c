/* What taking a mail apart costs: 100 KB in eight parts, as a newsletter with attachments is.
 *   mail_bench_parse [ROUNDS [FILE]]
 * Prints microseconds a mail, the best and the middle one of ROUNDS (2,000) after a warm-up: the structure and what is
 * body and attachment; and the same with every part decoded. FILE: the mail is written there, for bench/peers/gmime.c.
 */
#include "bench/rounds.h"
#include "mail/build.h"
#include "mail/mime.h"

enum { WARM = 100, ATTACHMENTS = 4, SIZE_OF_ONE = 16 * 1024 };

static const struct mime_limits limits = { .depth = 100,
                                           .parts = 1000,
                                           .part_header = 65536,
                                           .top_header = 1 << 20,
                                           .fields = { 65536, 1 << 20 },
                                           .inner_files = true };

static void write_mail(struct buf *out)
{
    struct attachment files[ATTACHMENTS];
    struct compose c = { .subject = BYTES("Grüße aus Köln: 40 new things"),
                         .message_id = BYTES("<1@example.org>"),
                         .attachments = files,
                         .n_attachments = ATTACHMENTS,
                         .date = 1764324720000,
                         .limits = limits.fields };
    static const char *const types[ATTACHMENTS] = { "image/png", "application/pdf", "application/zip", "text/csv" };
    struct address to = { .name = BYTES("Bo"), .email = BYTES("bo@example.org") };
    struct buf text, html, data;
    struct err e = { 0 };

    c.from = (struct address){ .name = BYTES("Ana López"), .email = BYTES("ana@example.org") };
    c.to = &to;
    c.n_to = 1;
    buf_init(&text, 1 << 20);
    buf_init(&html, 1 << 20);
    buf_init(&data, 1 << 20);
    while (text.n < 3000)
        buf_adds(&text, "Words that stand in every mail of this kind, and some more.\n");
    while (html.n < 12000)
        buf_adds(&html, "<p style=\"color:#333\">Words that stand in every mail of this kind – and some more.</p>\n");
    for (uint32_t i = 1; data.n < SIZE_OF_ONE; i = i * 1664525 + 1013904223)
        buf_addc(&data, (char)(i >> 24));
    for (size_t i = 0; i < ATTACHMENTS; i++)
        files[i] = (struct attachment){ .filename = BYTES("a file with a name.bin"),
                                        .content_type = bytes_of(types[i]),
                                        .content_id = i ? NO_BYTES : BYTES("logo@example.org"),
                                        .content = buf_bytes(&data) };
    c.text = buf_bytes(&text);
    c.html = buf_bytes(&html);
    if (!compose_write(&c, out, &e))
        die("%s", e.message);
    buf_clear(&text);
    buf_clear(&html);
    buf_clear(&data);
}

static double parse_once(struct bytes mail, bool decode, struct arena *a, struct buf *out)
{
    double began = now_us();
    struct mime *m = NULL;
    const struct mime_index *x = NULL;
    struct mime_view v;

    arena_reset(a);
    m = mime_begin(&limits, a);
    mime_feed(m, mail);
    x = mime_end(m);
    mime_view(x, a, &v);
    for (size_t i = 0; decode && i < x->n; i++) {
        const struct mime_part *p = &x->parts[i];
        struct mime_decoder d;

        if (i + 1 < x->n && x->parts[i + 1].parent == (int)i)
            continue;
        buf_reset(out);
        mime_decode_begin(&d, p->encoding);
        mime_decode(&d, bytes_head(bytes_from(mail, p->body_at), p->end_at - p->body_at), out);
        mime_decode_end(&d, out);
    }
    if (x->n < 8)
        die("%zu parts", x->n);
    return now_us() - began;
}

static void measure(const char *what, struct bytes mail, bool decode, size_t rounds)
{
    struct arena *a = arena_new(64 << 20);
    double *times = calloc(rounds, sizeof *times);
    struct buf out;

    buf_init(&out, 1 << 20);
    for (size_t i = 0; times && i < rounds + WARM; i++) {
        double one = parse_once(mail, decode, a, &out);

        if (i >= WARM)
            times[i - WARM] = one;
    }
    rounds_sort(times, rounds);
    printf("postrider %s: %.1f us, best %.1f us (%zu bytes)\n", what, times[rounds / 2], times[0], mail.n);
    free(times);
    buf_clear(&out);
    arena_free(&a);
}

int main(int argc, char **argv)
{
    size_t rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 2000;
    FILE *file = argc > 2 ? fopen(argv[2], "wb") : NULL;
    struct buf mail;

    if (!rounds)
        die("mail_bench_parse [ROUNDS [FILE]]");
    buf_init(&mail, 1 << 20);
    write_mail(&mail);
    if (file) {
        fwrite(mail.p, 1, mail.n, file);
        fclose(file);
    }
    measure("parse", buf_bytes(&mail), false, rounds);
    measure("parse and decode", buf_bytes(&mail), true, rounds);
    buf_clear(&mail);
    return 0;
}
