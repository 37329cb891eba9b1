/* service/template/declared.h - inside service/template/: the variables that a template declares, [{name, type,
 * required, default, description}], and values given for them. */
#ifndef SERVICE_DECLARED_H
#define SERVICE_DECLARED_H
#include "mail/template/template.h"
#include "service/core/call.h"

/* Notes the faults of a declaration (JSON, may be NO_BYTES). False for an error only. */
bool declared_check(struct call *c, struct bytes json);
/* The same for what the dialect says: how many there may be, and which names are not its authors'. */
bool declared_check_dialect(struct call *c, struct bytes json, struct bytes dialect);
/* Notes each required variable that is missing, and each of another type than it is declared, below `prefix`. Any
 * thread. */
void declared_faults(struct call *c, struct json_object *declared, struct json_object *values, const char *prefix);
/* Those that are required and missing, by name, into a list. */
size_t declared_missing(struct json_object *declared, struct json_object *values, struct bytes *list, size_t most);
/* Names that are the server's in that dialect, whoever gives a value: those by which one unsubscribes. They print
 * nothing where there is no such link (NO_BYTES). */
const struct datum_member *declared_reserved(enum template_dialect dialect, struct bytes unsubscribe_url,
                                             const struct datum_member *next, struct arena *a);
/* Their defaults where no value was given, as members that stand before the values; what they say lies in `declared`.
 */
const struct datum_member *declared_defaults(struct json_object *declared, struct json_object *values, struct arena *a);
#endif
