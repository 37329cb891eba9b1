/* cli/command.c - flags and words, by the tables of the subcommand.
 *
 * An unknown flag ends the program: a misspelt --dry-run must not send. Of a flag given twice the last one counts,
 * unless its reader walks the values. Nothing is copied; what is read lies in argv. */
#include "cli/command.h"

const struct flag client_flags[] = {
    { "url", FLAG_TEXT, NULL, false, "API to talk to (POSTRIDER_URL); default: the socket in the data folder" },
    { "key", FLAG_TEXT, NULL, false, "API key (POSTRIDER_KEY)" },
    { "profile", FLAG_TEXT, NULL, false, "url and key from ~/.config/postrider/profiles.json (POSTRIDER_PROFILE)" },
    { "data", FLAG_TEXT, NULL, false, "data folder of a server on this machine (POSTRIDER_DATA; default ./data)" },
    { "account", FLAG_TEXT, NULL, false, "act in this account (operators)" },
    { "timeout", FLAG_NUMBER, NULL, false, "seconds to wait for an answer (60)" },
    { "json", FLAG_SWITCH, NULL, false, "print JSON (standard when not on a terminal)" },
    { "dry-run", FLAG_SWITCH, NULL, false, "print the request, send nothing" },
    { "yes", FLAG_SWITCH, NULL, false, "do not ask before deleting" },
    { NULL, FLAG_TEXT, NULL, false, NULL },
};

static const struct flag *flag_find(const struct flag *const *tables, struct bytes name)
{
    for (; *tables; tables++)
        for (const struct flag *f = *tables; f->name; f++)
            if (bytes_equal(name, bytes_of(f->name)))
                return f;
    return NULL;
}

static bool flag_keep(struct command_line *l, const struct flag *f, const char *text)
{
    int64_t number;

    if (f->type == FLAG_NUMBER && !bytes_to_int(bytes_of(text), &number)) {
        fprintf(stderr, "%s: --%s wants a whole number, not \"%s\"\n", l->program, f->name, text);
        return false;
    }
    if (l->n_values == FLAG_VALUES) {
        fprintf(stderr, "%s: more than %d flags\n", l->program, FLAG_VALUES);
        return false;
    }
    l->values[l->n_values++] = (struct flag_value){ f, text };
    return true;
}

/* One "--name[=value]"; *next is the argument behind it (NULL at the end), *used says whether it was taken. */
static bool take_flag(struct command_line *l, const struct flag *const *tables, const char *arg, const char *next,
                      bool *used)
{
    struct bytes name, value;
    bool has_value = bytes_cut(bytes_of(arg + 2), '=', &name, &value);
    const struct flag *f = flag_find(tables, name);

    *used = false;
    if (!f) {
        fprintf(stderr, "%s: unknown flag --%.*s; see `postrider help`\n", l->program, SHOW(name));
        return false;
    }
    if (f->type == FLAG_SWITCH && has_value) {
        fprintf(stderr, "%s: --%s takes no value\n", l->program, f->name);
        return false;
    }
    if (f->type == FLAG_SWITCH)
        return flag_keep(l, f, "");
    if (!has_value && !next) {
        fprintf(stderr, "%s: --%s wants a value: %s\n", l->program, f->name, f->help);
        return false;
    }
    *used = !has_value;
    return flag_keep(l, f, has_value ? value.p : next);
}

bool command_parse(int argc, char **argv, const struct flag *const *tables, struct command_line *out)
{
    bool flags = true, used;

    *out = (struct command_line){ .program = "postrider", .words = argv };
    for (int i = 0; i < argc; i++) {
        if (flags && strcmp(argv[i], "--") == 0) {
            flags = false;
        } else if (flags && argv[i][0] == '-' && argv[i][1] == '-') {
            if (!take_flag(out, tables, argv[i], i + 1 < argc ? argv[i + 1] : NULL, &used))
                return false;
            i += used;
        } else if (flags && argv[i][0] == '-' && argv[i][1]) {
            fprintf(stderr, "%s: unknown flag %s; flags have two dashes, see `postrider help`\n", out->program,
                    argv[i]);
            return false;
        } else {
            argv[out->n_words++] = argv[i]; /* words move to the front: never past what was read */
        }
    }
    return true;
}

const char *command_value(const struct command_line *l, const char *name)
{
    for (size_t i = l->n_values; i-- > 0;)
        if (strcmp(l->values[i].flag->name, name) == 0)
            return l->values[i].text;
    return NULL;
}

bool command_switch(const struct command_line *l, const char *name)
{
    return command_value(l, name) != NULL;
}
