/* service/keep/copy_private.h - what the two halves of a copy share. */
#ifndef SERVICE_COPY_PRIVATE_H
#define SERVICE_COPY_PRIVATE_H
#include "service/keep/copy.h"
#include "service/keep/walk.h"

/* ERR_CONFLICT names the first difference. */
bool copy_check(struct store *from, struct store *to, const struct copy_options *o, struct copy_report *out,
                struct err *e);
/* Puts "FROM: " or "TO: " before what is wrong; false. */
bool copy_at(const char *side, const struct err *why, struct err *e);
#endif
