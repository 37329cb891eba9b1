/* cli/boot.c - flags, environment and boot file.
 *
 * Each source says what it says to base/params.h, which knows whose word counts. A path or URL that does not fit is
 * refused and never cut. SIGHUP reads the file again: what it does not name any more goes back to what stands behind
 * it. */
#include "cli/boot.h"
#include "base/json.h"
#include "base/params.h"
#include <json-c/json.h>
#include <unistd.h>

#define BOOT_FILE_MAX (1024 * 1024)

const struct flag serve_flags[] = {
    { "data", FLAG_TEXT, NULL, false, "data folder (POSTRIDER_DATA; ./data)" },
    { "store", FLAG_TEXT, NULL, false,
      "sqlite:PATH or mongodb://… (POSTRIDER_STORE; postrider.db in the data folder)" },
    { "config", FLAG_TEXT, NULL, false, "boot file (POSTRIDER_CONFIG; postrider.json in the data folder)" },
    { "set", FLAG_TEXTS, NULL, false, "NAME=VALUE: a parameter, may be repeated" },
    { "ephemeral", FLAG_SWITCH, NULL, false, "free loopback ports for every door" },
    { "accept-loss", FLAG_SWITCH, NULL, false,
      "go on with what is left of a store that is missing, or damaged; copies are kept" },
    { "ready-file", FLAG_TEXT, NULL, false, "written (0600) as JSON once all doors are open" },
    { NULL, FLAG_TEXT, NULL, false, NULL },
};

static const char *const doors[] = { "api.listen",         "smtp.listen", "submission.listen",
                                     "submissions.listen", "pop3.listen", "pop3s.listen" };

static bool find_param(struct bytes name, enum param *p, struct err *e)
{
    return param_find(name, p) ||
           err_set(e, ERR_INVALID, "there is no parameter \"%.*s\"; docs/parameters.md lists them", SHOW(name));
}

static bool set_param(struct bytes name, struct bytes value, enum param_source from, struct err *e)
{
    enum param p;

    return find_param(name, &p, e) && param_set(p, from, value, e);
}

static bool read_file(const char *path, struct arena *a, struct bytes *out, struct err *e)
{
    FILE *f = fopen(path, "r");
    char *text = arena_alloc(a, BOOT_FILE_MAX);
    size_t n;

    if (!f)
        return err_set(e, ERR_MISSING, "cannot read the boot file %s", path);
    n = fread(text, 1, BOOT_FILE_MAX, f);
    fclose(f);
    *out = (struct bytes){ text, n };
    return n < BOOT_FILE_MAX || err_set(e, ERR_INVALID, "the boot file %s is over 1 MiB", path);
}

static bool take_params(struct boot *b, struct json_object *params, struct err *e)
{
    enum param p;

    json_object_object_foreach(params, name, value)
    {
        if (!find_param(bytes_of(name), &p, e) ||
            !param_set(p, PARAM_FROM_FILE, bytes_of(json_object_get_string(value)), e))
            return false;
        b->named[p] = true;
    }
    return true;
}

/* Never half a path. What it is may be a secret, and is not shown. */
static bool copy_text(char *out, size_t size, const char *value, const char *name, struct err *e)
{
    if (strlen(value) >= size)
        return err_set(e, ERR_INVALID, "%s is longer than %zu bytes", name, size - 1);
    snprintf(out, size, "%s", value);
    return true;
}

static bool take_tree(struct boot *b, struct json_object *tree, struct err *e)
{
    json_object_object_foreach(tree, name, value)
    {
        if (strcmp(name, "store") == 0 && json_object_is_type(value, json_type_string)) {
            if (!copy_text(b->store, sizeof b->store, json_object_get_string(value), "\"store\"", e))
                return false;
        } else if (strcmp(name, "parameters") == 0 && json_object_is_type(value, json_type_object)) {
            if (!take_params(b, value, e))
                return false;
        } else
            return err_set(e, ERR_INVALID,
                           "the boot file knows \"store\" (a text) and \"parameters\" (an object), not \"%s\"", name);
    }
    return true;
}

static bool take_file(struct boot *b, bool must, struct err *e)
{
    struct arena *a;
    struct json_object *tree = NULL;
    struct bytes text = NO_BYTES;
    struct err why = { 0 };
    bool ok = true;

    if (access(b->config, F_OK) != 0 && !must)
        return true;
    a = arena_new(2 * BOOT_FILE_MAX);
    if (!read_file(b->config, a, &text, &why) || !json_read(text, &tree, &why) ||
        !json_object_is_type(tree, json_type_object) || !take_tree(b, tree, &why))
        ok = err_set(e, ERR_INVALID, "%s: %s", b->config, why.message[0] ? why.message : "not a JSON object");
    json_object_put(tree);
    arena_free(&a);
    return ok;
}

/* The flag or the variable, where one is given. */
static bool choose(char *out, size_t size, const char *flag, const char *environment, struct err *e)
{
    const char *value = flag ? flag : getenv(environment);

    return !value || !*value || copy_text(out, size, value, environment, e);
}

static bool take_flags(const struct command_line *l, struct err *e)
{
    struct bytes name, value;

    if (command_switch(l, "ephemeral"))
        for (size_t i = 0; i < sizeof doors / sizeof *doors; i++)
            if (!set_param(bytes_of(doors[i]), BYTES("127.0.0.1:0"), PARAM_FROM_FLAG, e))
                return false;
    for (size_t i = 0; i < l->n_values; i++)
        if (strcmp(l->values[i].flag->name, "set") == 0) {
            if (!bytes_cut(bytes_of(l->values[i].text), '=', &name, &value))
                return err_set(e, ERR_INVALID, "--set wants NAME=VALUE, not \"%s\"", l->values[i].text);
            if (!set_param(name, value, PARAM_FROM_FLAG, e))
                return false;
        }
    return true;
}

bool boot_read(const struct command_line *l, struct boot *out, struct err *e)
{
    const char *config = command_value(l, "config") ? command_value(l, "config") : getenv("POSTRIDER_CONFIG");

    memset(out, 0, sizeof *out);
    snprintf(out->data, sizeof out->data, "data");
    if (!choose(out->data, sizeof out->data, command_value(l, "data"), "POSTRIDER_DATA", e))
        return false;
    snprintf(out->config, sizeof out->config, "%s/postrider.json", out->data);
    if (!choose(out->config, sizeof out->config, config, "POSTRIDER_CONFIG", e) || !take_file(out, config != NULL, e) ||
        !params_from_env(e) || !take_flags(l, e) ||
        !choose(out->store, sizeof out->store, command_value(l, "store"), "POSTRIDER_STORE", e) ||
        !choose(out->ready_file, sizeof out->ready_file, command_value(l, "ready-file"), "POSTRIDER_READY_FILE", e) ||
        !choose(out->admin_key_file, sizeof out->admin_key_file, NULL, "POSTRIDER_ADMIN_KEY_FILE", e))
        return false;
    if (!out->store[0])
        snprintf(out->store, sizeof out->store, "sqlite:%s/postrider.db", out->data);
    out->accept_loss = command_switch(l, "accept-loss");
    out->ephemeral = command_switch(l, "ephemeral");
    return true;
}

/* What the file no longer says goes back to what stands behind it. */
bool boot_reload(const struct boot *b, struct err *e)
{
    struct boot again = *b;

    memset(again.named, 0, sizeof again.named);
    if (!take_file(&again, false, e))
        return false;
    for (enum param p = 0; p < PARAMS; p++)
        if (!again.named[p])
            param_set(p, PARAM_FROM_FILE, NO_BYTES, e);
    return true;
}
