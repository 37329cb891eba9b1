/* base/id.h - TypeIDs: `msg_01h455vb4pex5vsknk084sn02q`, a prefix and a UUIDv7 (RFC 9562) in base32, kept as 16 bytes.
 * An all-zero id means "none". Ids of one process rise strictly; across processes they sort by time only roughly. */
#ifndef BASE_ID_H
#define BASE_ID_H
#include "base/arena.h"

struct id {
    uint8_t b[16];
};

#define NO_ID     ((struct id){ { 0 } })
#define ID_PREFIX 63                   /* longest prefix */
#define ID_TEXT   (ID_PREFIX + 1 + 26) /* longest text, without NUL */

struct id id_new(void); /* any thread */
bool id_is_none(struct id id);
bool id_equal(struct id a, struct id b);
int id_compare(struct id a, struct id b); /* as memcmp; older first */
/* Writes prefix, '_' and 26 characters (no '_' when the prefix is empty) and a NUL; returns out as bytes. */
struct bytes id_format(const char *prefix, struct id id, char out[ID_TEXT + 1]);
struct bytes id_text(struct arena *a, const char *prefix, struct id id); /* the same into an arena */
/* True for exactly `prefix` and a valid suffix (lower case, no overflow). */
bool id_parse(const char *prefix, struct bytes text, struct id *out);
/* Splits any TypeID by the specification: out_prefix must hold ID_PREFIX + 1. */
bool id_parse_any(struct bytes text, char *out_prefix, struct id *out);
/* An id that is made of a hash's first 16 bytes (UUIDv8, RFC 9562 section 5.8): it says no time. */
struct id id_of_hash(const uint8_t *hash);
/* The same of a time: a UUIDv7 with those milliseconds and the first 10 bytes of the hash. */
struct id id_of_hash_at(const uint8_t *hash, int64_t wall);
int64_t id_time(struct id id); /* the UUIDv7's milliseconds */
#endif
