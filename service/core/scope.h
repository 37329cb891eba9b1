/* service/core/scope.h - what a credential may do, by name. The list itself stands in call.h. */
#ifndef SERVICE_SCOPE_H
#define SERVICE_SCOPE_H
#include "service/core/call.h"

/* Bits of a scope's name, 0 when unknown; and back. */
unsigned scope_of(struct bytes name);
const char *scope_name(enum scope_number n);
void scopes_show(struct jw *w, unsigned scopes); /* a list of their names */
#endif
