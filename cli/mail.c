/* cli/mail.c - postrider mail VERB: one case from the command line, or one for each line of a batch.
 *
 * Flags become members of the case by their tables, so that a verb reads the same whichever way it was asked. In a
 * batch each line is a case of its own: what one cannot answer is told on its line, and the next is taken. */
#include "cli/mail.h"
#include "base/clock.h"
#include "base/crypt.h"
#include "base/log.h"
#include "base/params.h"
#include <json-c/json.h>
#include <unistd.h>

static const struct mail_verb *const verbs_of_mail[] = {
    &mail_verb_parse, &mail_verb_address, &mail_verb_html,   &mail_verb_verify, &mail_verb_spf,      &mail_verb_dmarc,
    &mail_verb_arc,   &mail_verb_bounce,  &mail_verb_report, &mail_verb_sign,   &mail_verb_dkim_key,
};
enum { VERBS = sizeof verbs_of_mail / sizeof *verbs_of_mail };

static const struct flag mail_flags[] = {
    { "zone", FLAG_TEXT, NULL, false, "FILE (JSON) with the answers of the DNS; without it the DNS is asked" },
    { "now", FLAG_TEXT, NULL, false, "TIME that it is: RFC 3339, or seconds since 1970" },
    { "batch", FLAG_SWITCH, NULL, false, "standard input has a case on each line (JSON), as has the answer" },
    { "help", FLAG_SWITCH, NULL, false, "" },
    { NULL, FLAG_TEXT, NULL, false, NULL },
};

struct shell {
    const struct command_line *line;
    const struct mail_verb *verb;
    struct json_object *flags; /* members that flags gave */
    struct json_object *zone;  /* of --zone */
    int64_t now;
};

static void print(const struct buf *out)
{
    struct json_object *tree = NULL;
    struct err e = { 0 };

    if (isatty(STDOUT_FILENO) && json_read(buf_bytes(out), &tree, &e)) {
        puts(json_object_to_json_string_ext(tree, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE |
                                                      JSON_C_TO_STRING_SPACED));
        json_object_put(tree);
        return;
    }
    fwrite(out->p, 1, out->n, stdout);
    putchar('\n');
}

static void add_members(struct json_object *to, struct json_object *from)
{
    json_object_object_foreach(from, name, value) json_object_object_add(to, name, json_object_get(value));
}

/* `in`: the members that the input brought, or NULL. They stand before those of flags. */
static bool one(const struct shell *s, struct json_object *in, struct bytes value)
{
    struct mail_case c = {
        .a = arena_new(MAIL_ARENA_MAX), .in = json_object_new_object(), .value = value, .now = s->now
    };
    struct buf out;
    bool ok;

    add_members(c.in, s->flags);
    if (in)
        add_members(c.in, in);
    buf_init(&out, MAIL_OUTPUT_MAX + 4096);
    ok = mail_case_run(s->verb, s->zone, &c, &out);
    print(&out);
    buf_clear(&out);
    json_object_put(c.in);
    arena_free(&c.a);
    return ok;
}

/* ---- what is read ---- */

static bool read_input(struct buf *out, struct err *e)
{
    char piece[65536];
    size_t n;

    while ((n = fread(piece, 1, sizeof piece, stdin)) > 0)
        buf_add(out, (struct bytes){ piece, n });
    if (ferror(stdin))
        return err_set(e, ERR_INVALID, "Standard input cannot be read");
    return !out->overflowed || err_set(e, ERR_TOO_LARGE, "The input is larger than %zu bytes", MAIL_INPUT_MAX);
}

static bool fault(struct bytes text)
{
    struct err e = { 0 };
    struct buf out;
    struct jw w;

    err_set(&e, ERR_BAD_JSON, "%.*s", SHOW(text));
    buf_init(&out, 65536);
    jw_init(&w, &out);
    jw_object(&w);
    mail_write_error(&w, &e);
    jw_object_end(&w);
    print(&out);
    buf_clear(&out);
    return false;
}

static bool one_line(const struct shell *s, struct bytes line)
{
    struct json_object *in = NULL;
    struct err e = { 0 };
    bool ok;

    if (!json_read(line, &in, &e) || !json_object_is_type(in, json_type_object)) {
        json_object_put(in);
        return fault(e.code ? bytes_of(e.message) : BYTES("A case is an object"));
    }
    ok = one(s, in, NO_BYTES);
    json_object_put(in);
    return ok;
}

static int run_batch(const struct shell *s)
{
    char *line = NULL;
    size_t room = 0, failed = 0, done = 0;
    ssize_t n;

    while ((n = getline(&line, &room, stdin)) > 0) {
        struct bytes text = bytes_trim((struct bytes){ line, (size_t)n });

        if (!text.n)
            continue;
        done++;
        failed += text.n > MAIL_INPUT_MAX ? !fault(BYTES("The line is too long")) : !one_line(s, text);
        fflush(stdout);
    }
    free(line);
    return !failed ? EXIT_FINE : failed < done ? EXIT_PARTIAL : EXIT_FAILED;
}

static int run_one(const struct shell *s)
{
    const struct command_line *l = s->line;
    struct json_object *in = NULL;
    struct bytes value;
    struct err e = { 0 };
    struct buf text;
    bool ok = true;

    buf_init(&text, MAIL_INPUT_MAX);
    if (l->n_words > 2)
        buf_adds(&text, l->words[2]);
    else if (!(s->verb->optional && isatty(STDIN_FILENO)))
        ok = read_input(&text, &e);
    value = buf_bytes(&text);
    if (ok && !s->verb->message && !s->verb->raw)
        value = bytes_trim(value);
    if (ok && s->verb->members && bytes_starts(value, BYTES("{"))) {
        ok = json_read(value, &in, &e);
        value = NO_BYTES;
    }
    if (!ok)
        output_error(l, "%s", e.message);
    ok = ok && one(s, in, value.n || !in ? (struct bytes){ value.p ? value.p : "", value.n } : NO_BYTES);
    json_object_put(in);
    buf_clear(&text);
    return ok ? EXIT_FINE : EXIT_FAILED;
}

/* ---- the command line ---- */

static bool read_flags(struct shell *s)
{
    const struct command_line *l = s->line;

    s->flags = json_object_new_object();
    for (size_t i = 0; i < l->n_values; i++) {
        const struct flag_value *v = &l->values[i];
        struct json_object *out = NULL;

        if (!v->flag->field)
            continue;
        if (!command_flag_json(l, v, json_member(s->flags, v->flag->field), &out))
            return false;
        json_object_object_add(s->flags, v->flag->field, out);
    }
    return true;
}

static bool read_zone(struct shell *s)
{
    const char *path = command_value(s->line, "zone");
    struct buf text;
    struct err e = { 0 };
    char piece[65536];
    bool ok;
    size_t n;
    FILE *f;

    if (!path)
        return true;
    f = fopen(path, "rb");
    buf_init(&text, MAIL_INPUT_MAX);
    while (f && (n = fread(piece, 1, sizeof piece, f)) > 0)
        buf_add(&text, (struct bytes){ piece, n });
    ok = f && json_read(buf_bytes(&text), &s->zone, &e);
    if (!ok)
        output_error(s->line, "%s: %s", path, f ? e.message : "it cannot be read");
    if (f)
        fclose(f);
    buf_clear(&text);
    return ok;
}

static bool read_shell(struct shell *s)
{
    const char *now = command_value(s->line, "now");
    struct err e = { 0 };

    s->now = clock_wall();
    if (now && !mail_now(bytes_of(now), &s->now, &e)) {
        output_error(s->line, "--now: %s", e.message);
        return false;
    }
    return read_flags(s) && read_zone(s);
}

static void print_flags_of(const struct flag *f)
{
    for (; f && f->name; f++)
        if (*f->help)
            printf("      --%-18s %s\n", f->name, f->help);
}

int mail_help(void)
{
    puts(
        "usage: postrider mail VERB [VALUE] …\n\n"
        "What mail is made of, taken apart without a server. Reads VALUE or standard input, prints JSON; docs/mail.md\n"
        "has the members of each answer, of a case (--batch) and of a zone.\n");
    for (size_t i = 0; i < VERBS; i++) {
        printf("  %-9s %s\n", verbs_of_mail[i]->name, verbs_of_mail[i]->help);
        print_flags_of(verbs_of_mail[i]->flags);
    }
    puts("\n  of every verb");
    print_flags_of(mail_flags);
    puts("\nA zone: [{\"name\": \"example.org\", \"type\": \"TXT\", \"answers\": [\"v=spf1 -all\"]},\n"
         "         {\"name\": \"slow.example.org\", \"type\": \"A\", \"fault\": \"timeout\"}]\n"
         "Faults: timeout, servfail, refused, bogus, nxdomain, nodata. A name that is not there does not exist.");
    return EXIT_FINE;
}

static const struct mail_verb *find_verb(const char *name)
{
    for (size_t i = 0; i < VERBS; i++)
        if (strcmp(name, verbs_of_mail[i]->name) == 0)
            return verbs_of_mail[i];
    return NULL;
}

int mail_main(int argc, char **argv)
{
    static const struct flag none[] = { { NULL, FLAG_TEXT, NULL, false, NULL } };
    const struct mail_verb *verb = argc > 1 ? find_verb(argv[1]) : NULL;
    const struct flag *tables[] = { mail_flags, verb && verb->flags ? verb->flags : none, NULL };
    struct command_line l;
    struct shell s = { .line = &l, .verb = verb };
    int result = EXIT_USAGE;

    if (!verb) {
        bool asked = argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0);

        mail_help();
        return asked ? EXIT_FINE : EXIT_USAGE;
    }
    if (!command_parse(argc, argv, tables, &l))
        return EXIT_USAGE;
    if (command_switch(&l, "help"))
        return mail_help();
    params_init();
    crypt_init();
    log_set(LOG_ERROR, LOG_LOGFMT);
    if (read_shell(&s))
        result = command_switch(&l, "batch") ? run_batch(&s) : run_one(&s);
    json_object_put(s.flags);
    json_object_put(s.zone);
    params_free();
    return result;
}
