/* cli/domain.h - domain check, records and rotate: the records of a domain, shown as people and zone files have them.
 */
#ifndef CLI_DOMAIN_H
#define CLI_DOMAIN_H
#include "cli/verbs.h"

/* Shows the answer of one of these; false: the verb is another. *result is the exit code: of `check` EXIT_FINE when
 * nothing is left to be mended, EXIT_PARTIAL when the domain is verified all the same. */
bool domain_answer(const struct verb *v, const struct command_line *l, struct json_object *domain, int *result);
#endif
