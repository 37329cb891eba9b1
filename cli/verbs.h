/* cli/verbs.h - the table of subcommands that are one API call each. */
#ifndef CLI_VERBS_H
#define CLI_VERBS_H
#include "cli/command.h"

struct verb {
    const char *noun, *verb, *method, *path;
    size_t n_words; /* words behind the verb */
    /* JSON member of each word: "name", "outer.name", "name[]" for a list of it, "-" for one that is only in the path;
     * "name=value" is no word's; NULL: none. "@text/csv": the word is a file, sent as this; without a word the answer
     * is asked for as this. */
    const char *fields;
    const struct flag *flags;
    const struct members *members; /* of a list: its columns; without flags for paging all of it is fetched */
    const char *help;
};
extern const struct verb verbs[]; /* ends with a NULL noun */
#endif
