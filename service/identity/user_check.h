/* service/identity/user_check.h - what a user's fields must be, and the row they make. */
#ifndef SERVICE_USER_CHECK_H
#define SERVICE_USER_CHECK_H
#include "service/core/member.h"
#include "service/identity/domain.h"
#include "service/identity/user.h"

/* Hashes the password, where one is named: once there is no fault in the others. For struct patch. */
bool user_finish(struct call *c, const void *given, uint64_t named, void *row);
/* The address of a new user or alias: *plain in the form that is kept, its domain in *domain. Notes faults at /address;
 * false only for errors of the store. */
bool user_address_check(struct call *c, struct bytes address, struct bytes *plain, struct domain_row *domain);
/* ERR_SCOPE when a credential that is bound to domains does not reach all that the user is and may send as: whoever
 * sets a password can log in with it. */
bool user_within_reach(struct call *c, const struct user_row *row);
#endif
