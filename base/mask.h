/* base/mask.h - secrets in what people will read: log lines and error messages pass through here, nowhere else.
 *
 * Known by their shape, whatever the case: our keys (pr_live_…, pr_test_…, whsec_…: the first four characters stay, as
 * in a key's hint), what follows "Bearer" and "Basic", the password in a URL (scheme://user:password@), and the value
 * behind password=, secret:, token=, "api_key":" and the like. The rest of the text stays. Pure. */
#ifndef BASE_MASK_H
#define BASE_MASK_H
#include "base/bytes.h"

/* A key of ours by its shape: as a user name it is in the wrong place. */
bool mask_is_key(struct bytes text);
/* Is there anything to hide? */
bool mask_wanted(struct bytes text);
/* Hides it in place; the new length, never more than n. */
size_t mask_text(char *text, size_t n);
#endif
