/* What GMime needs for the mail of tests/mail/bench_parse.c: gmime FILE [ROUNDS]. Built by script/bench -w M alone. */
#include "../rounds.h"
#include <gmime/gmime.h>
#include <stdio.h>

enum { WARM = 100 };

static void decode(GMimeObject *parent, GMimeObject *part, gpointer to)
{
    GMimeDataWrapper *content = GMIME_IS_PART(part) ? g_mime_part_get_content(GMIME_PART(part)) : NULL;

    (void)parent;
    if (content) {
        g_mime_stream_reset(to);
        g_mime_data_wrapper_write_to_stream(content, to);
    }
}

static double parse_once(const char *mail, size_t n, int with_content)
{
    double began = now_us();
    GMimeStream *stream = g_mime_stream_mem_new_with_buffer(mail, n);
    GMimeParser *parser = g_mime_parser_new_with_stream(stream);
    GMimeMessage *message = g_mime_parser_construct_message(parser, NULL);

    if (with_content) {
        GMimeStream *to = g_mime_stream_mem_new();

        g_mime_message_foreach(message, decode, to);
        g_object_unref(to);
    }
    g_object_unref(message);
    g_object_unref(parser);
    g_object_unref(stream);
    return now_us() - began;
}

static void measure(const char *what, const char *mail, size_t n, int with_content, size_t rounds)
{
    double *times = calloc(rounds, sizeof *times);

    for (size_t i = 0; times && i < rounds + WARM; i++) {
        double one = parse_once(mail, n, with_content);

        if (i >= WARM)
            times[i - WARM] = one;
    }
    rounds_sort(times, rounds);
    printf("gmime     %s: %.1f us, best %.1f us\n", what, times[rounds / 2], times[0]);
    free(times);
}

int main(int argc, char **argv)
{
    size_t rounds = argc > 2 ? strtoul(argv[2], NULL, 10) : 2000;
    gchar *mail = NULL;
    gsize n = 0;

    if (argc < 2 || !rounds || !g_file_get_contents(argv[1], &mail, &n, NULL))
        return 2;
    g_mime_init();
    measure("parse", mail, n, 0, rounds);
    measure("parse and decode", mail, n, 1, rounds);
    g_free(mail);
    return 0;
}
