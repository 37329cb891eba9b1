/* cli/resource.c - domain, user, key, message, delivery, queue, mailbox, suppression, config: a row of verbs.c makes
 * one request.
 *
 * No subcommand has code of its own: words and flags become the path, the query and the body by the row, and the answer
 * is printed by the resource's table. What cannot be read or sent ends before anything is sent; deleting asks first. */
#include "base/json.h"
#include "cli/client.h"
#include "cli/domain.h"
#include "cli/verbs.h"
#include <json-c/json.h>
#include <unistd.h>

static const struct verb *find_verb(const char *noun, const char *name)
{
    for (const struct verb *v = verbs; v->noun; v++)
        if (strcmp(v->noun, noun) == 0 && name && strcmp(v->verb, name) == 0)
            return v;
    return NULL;
}

static void print_flags(const struct flag *flags)
{
    for (; flags->name; flags++)
        printf("      --%-16s %s\n", flags->name, flags->help);
}

void resource_help(const char *noun)
{
    for (const struct verb *v = verbs; v->noun; v++)
        if (!noun || strcmp(v->noun, noun) == 0) {
            printf("  %s %s  %s\n", v->noun, v->verb, v->help);
            if (noun)
                print_flags(v->flags);
        }
}

/* A parameter's value in the type the API wants. */
static struct json_object *setting_value(const char *text)
{
    int64_t number;

    if (bytes_to_int(bytes_of(text), &number))
        return json_object_new_int64(number);
    if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
        return json_object_new_boolean(text[0] == 't');
    return json_object_new_string(text);
}

static struct json_object *word_json(const struct verb *v, bool is_list, const char *word)
{
    struct json_object *list;

    if (strcmp(v->noun, "config") == 0)
        return word ? setting_value(word) : NULL;
    if (!is_list)
        return json_object_new_string(word);
    list = json_object_new_array();
    json_object_array_add(list, json_object_new_string(word));
    return list;
}

/* Of "target.user_id" the member `target`, which a word may have made; *name is then what it is called there. */
static struct json_object *holder_of(struct json_object *body, const char **name)
{
    const char *dot = strchr(*name, '.');
    struct json_object *holder;
    char outer[64];

    if (!dot)
        return body;
    snprintf(outer, sizeof outer, "%.*s", (int)(dot - *name), *name);
    *name = dot + 1;
    if (!json_object_object_get_ex(body, outer, &holder)) {
        holder = json_object_new_object();
        json_object_object_add(body, outer, holder);
    }
    return holder;
}

/* One field of a row, "name", "outer.name", "name[]" for a list of one, or "name=value", which takes no word. */
static void add_field(struct json_object *body, const struct verb *v, struct bytes field, const char *word)
{
    struct json_object *value, *holder;
    struct bytes fixed;
    char text[64];
    const char *name = text;
    bool is_list;

    bytes_cut(field, '=', &field, &fixed);
    is_list = bytes_ends(field, BYTES("[]"));
    snprintf(text, sizeof text, "%.*s", SHOW(bytes_head(field, field.n - (is_list ? 2 : 0))));
    value = fixed.p ? json_object_new_string_len(fixed.p, (int)fixed.n) : word_json(v, is_list, word);
    holder = holder_of(body, &name);
    json_object_object_add(holder, name, value);
}

static void add_words(struct json_object *body, const struct verb *v, const struct command_line *l)
{
    struct bytes rest = bytes_of(v->fields), field;
    size_t at = 2;

    while (rest.p) {
        if (!bytes_cut(rest, ',', &field, &rest))
            rest = NO_BYTES;
        if (field.p[0] != '-')
            add_field(body, v, field, at < l->n_words ? l->words[at] : NULL);
        at += bytes_find(field, '=') == field.n;
    }
}

/* An act on many, which the verb names; --dry-run is a question to the server. */
static bool is_action(const struct verb *v)
{
    return v->method[0] == 'P' && strcmp(v->path, "/v1/actions") == 0;
}

static void add_action(struct json_object *body, const struct verb *v, const struct command_line *l)
{
    json_object_object_add(body, "do", json_object_new_string(v->verb));
    json_object_object_add(body, "filter", json_object_new_object());
    if (command_switch(l, "dry-run"))
        json_object_object_add(body, "dry_run", json_object_new_boolean(true));
}

/* False: something on this side failed, and nothing may be sent. */
static bool make_body(const struct verb *v, const struct command_line *l, struct json_object *body)
{
    add_words(body, v, l);
    if (is_action(v))
        add_action(body, v, l);
    for (size_t i = 0; i < l->n_values; i++) {
        const struct flag *f = l->values[i].flag;
        struct json_object *value = NULL, *holder;
        const char *name = f->field;

        if (!f->field || f->query)
            continue;
        holder = holder_of(body, &name);
        if (!command_flag_json(l, &l->values[i], json_object_object_get(holder, name), &value))
            return false;
        json_object_object_add(holder, name, value);
    }
    return true;
}

static void make_path(const struct verb *v, const struct command_line *l, struct buf *out)
{
    for (const char *p = v->path; *p; p++)
        if (p[0] == '{') {
            client_escape(out, l->words[1 + (p[1] - '0')]);
            p += 2;
        } else {
            buf_addc(out, *p);
        }
    for (size_t i = 0; i < l->n_values; i++) {
        const struct flag *f = l->values[i].flag;

        if (!f->field || !f->query)
            continue;
        buf_addc(out, memchr(out->p, '?', out->n) ? '&' : '?');
        buf_addf(out, "%s=", f->field);
        client_escape(out, f->type == FLAG_SWITCH ? "true" : l->values[i].text);
    }
    buf_addc(out, '\0');
}

/* To end a suspension is harmless. */
static bool destroys(const struct verb *v)
{
    return strcmp(v->method, "DELETE") == 0 && strcmp(v->verb, "resume") != 0;
}

/* Deleting wants the name typed again on a terminal, --yes elsewhere. */
static bool confirmed(const struct verb *v, const struct command_line *l)
{
    char answer[512];

    if (!destroys(v) || command_switch(l, "yes"))
        return true;
    if (!isatty(STDIN_FILENO)) {
        output_error(l, "this deletes %s: say --yes to do it from a script", l->words[2]);
        return false;
    }
    fprintf(stderr, "This deletes %s. Type it again to do it: ", l->words[2]);
    if (!fgets(answer, sizeof answer, stdin))
        return false;
    answer[strcspn(answer, "\r\n")] = '\0';
    return strcmp(answer, l->words[2]) == 0;
}

/* Puts the further pages of a list behind its first: what is too long for one answer is still one list to people. */
static int take_pages(const struct command_line *l, const char *path, struct json_object *list)
{
    struct json_object *data = json_member(list, "data"), *next;
    int result = EXIT_FINE;

    while (result == EXIT_FINE && (next = json_member(list, "next")) != NULL) {
        struct client_answer a;
        struct json_object *rows;
        struct buf more;

        buf_init(&more, 16384);
        buf_addf(&more, "%s&after=", path);
        client_escape(&more, json_object_get_string(next));
        buf_addc(&more, '\0');
        client_call(l, &(struct client_request){ .method = "GET", .path = more.p }, &a);
        result = client_result(l, &a);
        rows = json_member(a.json, "data");
        for (size_t i = 0; rows && i < json_object_array_length(rows); i++)
            json_object_array_add(data, json_object_get(json_object_array_get_idx(rows, i)));
        json_object_object_add(list, "next", json_object_get(json_member(a.json, "next")));
        buf_clear(&more);
        client_answer_clear(&a);
    }
    json_object_object_add(list, "has_more", json_object_new_boolean(result != EXIT_FINE));
    return result;
}

/* Without a filter it is all that waits: that wants --yes. */
static bool is_meant(const struct verb *v, const struct command_line *l)
{
    if (!is_action(v) || command_switch(l, "yes") || command_switch(l, "dry-run"))
        return true;
    for (size_t i = 0; i < l->n_values; i++)
        if (l->values[i].flag->field && strncmp(l->values[i].flag->field, "filter.", 7) == 0)
            return true;
    output_error(l, "this is about all that waits: say --yes, or which (--domain, --status, --tag ...)");
    return false;
}

#define POLL_US 100000

/* An action goes on after its answer: it is asked for until it is over. What could not be done makes it partial. */
static int await_action(const struct command_line *l, struct client_answer *a)
{
    char path[128];
    int result = EXIT_FINE;

    snprintf(path, sizeof path, "/v1/actions/%s", json_object_get_string(json_member(a->json, "id")));
    while (result == EXIT_FINE && bytes_equal(json_text(a->json, "status"), BYTES("running"))) {
        usleep(POLL_US);
        client_answer_clear(a);
        client_call(l, &(struct client_request){ .method = "GET", .path = path }, a);
        result = client_result(l, a);
    }
    if (result != EXIT_FINE || json_object_get_int64(json_member(a->json, "failed")) == 0)
        return result;
    output_answer(l, a->json, NULL);
    return EXIT_PARTIAL;
}

static int run(const struct verb *v, const struct command_line *l, const struct client_request *r)
{
    struct client_answer a;
    int result;

    if (command_switch(l, "dry-run") && !is_action(v)) {
        printf("%s %s %.*s\n", r->method, r->path, SHOW(r->body));
        return EXIT_FINE;
    }
    if (!confirmed(v, l) || !is_meant(v, l))
        return EXIT_USAGE;
    client_call(l, r, &a);
    result = client_result(l, &a);
    if (result == EXIT_FINE && is_action(v))
        result = await_action(l, &a);
    if (result == EXIT_FINE && v->members && !v->flags->name)
        result = take_pages(l, r->path, a.json);
    if (result == EXIT_FINE && a.json && domain_answer(v, l, a.json, &result))
        goto out;
    if (result == EXIT_FINE && a.json)
        output_answer(l, a.json, v->members);
    else if (result == EXIT_FINE)
        fwrite(a.body.p ? a.body.p : "", 1, a.body.n, stdout);
out:
    client_answer_clear(&a);
    return result;
}

static struct bytes body_text(const struct verb *v, struct json_object *body)
{
    if (v->method[0] != 'P')
        return NO_BYTES;
    return bytes_of(json_object_to_json_string_ext(body, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
}

/* A file sent, or an answer written to standard output, however large. */
static int run_media(const struct verb *v, const struct command_line *l, const char *path)
{
    struct client_request r = { .method = v->method, .path = path };
    const char *name = v->n_words ? l->words[2] : NULL;
    int result = EXIT_USAGE;

    if (name) {
        r.content_type = v->fields + 1;
        r.from = strcmp(name, "-") == 0 ? stdin : fopen(name, "rb");
        if (!r.from) {
            output_error(l, "cannot read %s", name);
            return EXIT_USAGE;
        }
    } else {
        r.accept = v->fields + 1;
        r.to = stdout;
    }
    result = run(v, l, &r);
    if (r.from && r.from != stdin)
        fclose(r.from);
    return result;
}

int resource_main(int argc, char **argv)
{
    const struct verb *v = argc > 1 ? find_verb(argv[0], argv[1]) : NULL;
    const struct flag *tables[] = { client_flags, v ? v->flags : client_flags, NULL };
    struct command_line l;
    struct json_object *body;
    struct buf path;
    int result = EXIT_USAGE;

    if (!v) {
        fprintf(stderr, "usage: postrider %s VERB …\n", argv[0]);
        resource_help(argv[0]);
        return EXIT_USAGE;
    }
    if (!command_parse(argc, argv, tables, &l))
        return EXIT_USAGE;
    if (l.n_words != v->n_words + 2) {
        fprintf(stderr, "usage: postrider %s %s %s\n", v->noun, v->verb, v->help);
        return EXIT_USAGE;
    }
    buf_init(&path, 8000);
    make_path(v, &l, &path);
    if (path.overflowed) {
        output_error(&l, "that is too long for a path");
        buf_clear(&path);
        return EXIT_USAGE;
    }
    body = json_object_new_object();
    if (v->fields && v->fields[0] == '@')
        result = run_media(v, &l, path.p);
    else if (make_body(v, &l, body))
        result =
            run(v, &l, &(struct client_request){ .method = v->method, .path = path.p, .body = body_text(v, body) });
    json_object_put(body);
    buf_clear(&path);
    return result;
}
