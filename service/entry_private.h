/* service/entry_private.h - what the files about entries share. */
#ifndef SERVICE_ENTRY_PRIVATE_H
#define SERVICE_ENTRY_PRIVATE_H
#include "base/crypt.h"
#include "service/entry.h"

/* The content key of an entry, through its user's. */
bool entry_key(struct call *c, const struct entry_row *row, struct crypt_key *content);
#endif
