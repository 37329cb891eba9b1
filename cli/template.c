/* cli/template.c - template samples: five mails to begin with, and the layout around them. They lie in the program as
 * one JSON text (mail/template/samples.json), in which long texts are lists of lines; --add makes them over the API
 * like anybody's, as drafts, and leaves those alone whose alias is there already. Everything else of `template` is a
 * row of verbs.c. */
#include "base/json.h"
#include "cli/client.h"
#include <json-c/json.h>

#include "template_samples.inc" /* made from mail/template/samples.json */

static const struct flag samples_flags[] = {
    { "add", FLAG_SWITCH, NULL, false, "put them into the account, as drafts with a layout of their own" },
    { NULL, FLAG_TEXT, NULL, false, NULL },
};

/* Lists of lines become texts. */
static void join_lines(struct json_object *o, const char *name)
{
    struct json_object *lines = json_member(o, name);
    struct buf text;

    buf_init(&text, 1 << 20);
    for (size_t i = 0; i < json_object_array_length(lines); i++)
        buf_addf(&text, "%s%s", i ? "\n" : "", json_object_get_string(json_object_array_get_idx(lines, i)));
    json_object_object_add(o, name, json_object_new_string_len(text.p, (int)text.n));
    buf_clear(&text);
}

static struct json_object *samples(void)
{
    struct json_object *all = NULL, *list;
    struct err e = { 0 };

    if (!json_read((struct bytes){ (const char *)template_samples, sizeof template_samples }, &all, &e))
        die("samples.json: %s", e.message);
    list = json_member(all, "templates");
    for (size_t i = 0; i <= json_object_array_length(list); i++) {
        struct json_object *one = i ? json_object_array_get_idx(list, i - 1) : json_member(all, "layout");

        join_lines(one, "html");
        join_lines(one, "text");
    }
    return all;
}

static int make(const struct command_line *l, const char *path, struct json_object *body, struct client_answer *a)
{
    struct bytes text = bytes_of(json_object_to_json_string_ext(body, JSON_C_TO_STRING_PLAIN));

    client_call(l, &(struct client_request){ .method = "POST", .path = path, .body = text }, a);
    return a->status == 409 ? EXIT_FINE : client_result(l, a);
}

static int add_layout(const struct command_line *l, struct json_object *layout, struct json_object **id)
{
    struct client_answer a;
    int result = make(l, "/v1/layouts", layout, &a);

    *id = result == EXIT_FINE ? json_object_get(json_member(a.json, "id")) : NULL;
    client_answer_clear(&a);
    return result;
}

static int add_one(const struct command_line *l, struct json_object *one, struct json_object *layout)
{
    struct client_answer a;
    int result;

    json_object_object_add(one, "layout_id", json_object_get(layout));
    result = make(l, "/v1/templates", one, &a);
    if (result == EXIT_FINE)
        printf("%s  %s\n", json_object_get_string(json_member(one, "alias")),
               a.status == 409 ? "is there already" : json_object_get_string(json_member(a.json, "id")));
    client_answer_clear(&a);
    return result;
}

static int add_all(const struct command_line *l, struct json_object *all)
{
    struct json_object *list = json_member(all, "templates"), *layout = NULL;
    int result = add_layout(l, json_member(all, "layout"), &layout);

    for (size_t i = 0; result == EXIT_FINE && i < json_object_array_length(list); i++)
        result = add_one(l, json_object_array_get_idx(list, i), layout);
    json_object_put(layout);
    return result;
}

/* Their names, or all of one as JSON. */
static int show(const struct command_line *l, struct json_object *all)
{
    struct json_object *list = json_member(all, "templates");
    const char *name = l->n_words > 2 ? l->words[2] : NULL;

    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *one = json_object_array_get_idx(list, i);
        const char *alias = json_object_get_string(json_member(one, "alias"));

        if (!name)
            printf("%-16s %s\n", alias, json_object_get_string(json_member(one, "subject")));
        else if (strcmp(name, alias) == 0)
            puts(json_object_to_json_string_ext(one, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
    }
    if (!name)
        puts("template samples NAME shows one, --add puts them into the account");
    return EXIT_FINE;
}

int template_main(int argc, char **argv)
{
    const struct flag *tables[] = { client_flags, samples_flags, NULL };
    struct command_line l;
    struct json_object *all;
    int result;

    if (argc < 2 || strcmp(argv[1], "samples") != 0)
        return resource_main(argc, argv);
    if (!command_parse(argc, argv, tables, &l))
        return EXIT_USAGE;
    all = samples();
    result = command_switch(&l, "add") ? add_all(&l, all) : show(&l, all);
    json_object_put(all);
    return result;
}
