/* service/core/path_name.h - names that stand for an id in paths of the API: a template's alias, a stream's slug. Pure.
 */
#ifndef SERVICE_PATH_NAME_H
#define SERVICE_PATH_NAME_H
#include "base/bytes.h"

#define PATH_NAME_MAX 64
/* Small letters, digits, - _ and .; not the form of an id with that prefix, and no word of a path. */
bool path_name_ok(struct bytes name, const char *prefix);
#define PATH_NAME_RULE "1 to 64 small letters, digits, - _ and .; not the form of an id, not render, check or remove"
#endif
