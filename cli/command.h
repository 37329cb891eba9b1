/* cli/command.h - what every subcommand shares: flags, output for people or programs, exit codes.
 * Runs on the main thread only. */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H
#include "base/arena.h"
#include "base/err.h"
#include <json-c/json_object.h>

/* `postrider help exit-codes` lists these. */
enum exit_code { EXIT_FINE, EXIT_FAILED, EXIT_USAGE, EXIT_TIMEOUT, EXIT_AUTH, EXIT_UNREACHABLE, EXIT_PARTIAL };

enum flag_type {
    FLAG_TEXT,
    FLAG_NUMBER,
    FLAG_SWITCH,
    FLAG_TEXTS,
    FLAG_FILE,  /* the first line of a file, "-": standard input */
    FLAG_WHOLE, /* all of it */
    FLAG_JSON,  /* the same, read as JSON */
    FLAG_NAMED  /* name=value, one member of an object */
};

/* One --flag of a command. `field` is where it goes in the request (JSON member, or query parameter with `query`);
 * NULL: the command reads it itself. */
struct flag {
    const char *name;
    enum flag_type type;
    const char *field;
    bool query;
    const char *help;
};

#define FLAG_VALUES 64
struct flag_value {
    const struct flag *flag;
    const char *text;
};

/* A parsed command line: the words that are no flags, and the flags given. */
struct command_line {
    const char *program;
    char **words;
    size_t n_words;
    struct flag_value values[FLAG_VALUES];
    size_t n_values;
};

/* Reads argv against the tables (NULL-terminated list of flag tables that end with a NULL name). Prints what is wrong
 * with how to mend it to standard error. "--" ends flags; --name=value and --name value are both taken. */
bool command_parse(int argc, char **argv, const struct flag *const *tables, struct command_line *out);
/* What a flag says, as JSON; `before`: what the same field has already. False, after a word to the user, when it says
 * nothing that could be sent. */
bool command_flag_json(const struct command_line *l, const struct flag_value *v, struct json_object *before,
                       struct json_object **out);
const char *command_value(const struct command_line *l, const char *name); /* the last one given, or NULL */
bool command_switch(const struct command_line *l, const char *name);

/* Flags that every client command takes: --url --key --profile --data --json --dry-run --yes --timeout --account. */
extern const struct flag client_flags[];

struct client; /* cli/client.h */

/* True when answers are printed as JSON: --json, or standard output is no terminal. */
bool output_json(const struct command_line *l);
/* "error: …" for people, {"error": …} for programs, to standard error. */
void output_error(const struct command_line *l, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* An API answer: JSON as it is, or for people a table (a list, by the columns of its resource) or lines (an object). */
struct members;
void output_answer(const struct command_line *l, struct json_object *answer, const struct members *m);

int serve_main(int argc, char **argv);
int resource_main(int argc, char **argv);
int template_main(int argc, char **argv); /* template samples; else as resource_main */
int batch_main(int argc, char **argv);    /* batch send; else as resource_main */
int send_main(int argc, char **argv);
int sendmail_main(int argc, char **argv);
int mail_main(int argc, char **argv);
int mail_help(void); /* is EXIT_FINE */
int check_main(int argc, char **argv);
int store_main(int argc, char **argv);
void store_help(void);
int sync_main(int argc, char **argv);
void sync_help(void);
void resource_help(const char *noun);
extern const struct flag serve_flags[], check_flags[], batch_send_flags[];
#endif
