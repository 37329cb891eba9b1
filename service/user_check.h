/* service/user_check.h - what a user's fields must be, and the row they make. */
#ifndef SERVICE_USER_CHECK_H
#define SERVICE_USER_CHECK_H
#include "service/domain.h"
#include "service/user.h"

/* Writes what is set into the row, noting every fault; the password is hashed only when there is none. */
bool user_apply(struct call *c, const struct user_change *in, struct user_row *row);
/* The address of a new user or alias: *plain in the form that is kept, its domain in *domain. Notes faults at /address;
 * false only for errors of the store. */
bool user_address_check(struct call *c, struct bytes address, struct bytes *plain, struct domain_row *domain);
#endif
