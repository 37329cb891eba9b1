/* base/sasl.h - the PLAIN mechanism as the server reads it (RFC 4616): [authzid] NUL authcid NUL password. Pure. */
#ifndef BASE_SASL_H
#define BASE_SASL_H
#include "base/bytes.h"
#include "base/err.h"

struct sasl_plain {
    struct bytes name, password; /* views of the buffer that was decoded into */
};

/* Decodes a response ("=" is the empty one, RFC 4954 section 4) into *decoded, which the caller wipes with sasl_wipe.
 * ERR_SYNTAX: no base64. */
bool sasl_decode(struct bytes response, struct buf *decoded, struct err *e);
/* ERR_SYNTAX: not base64 or not of three parts; ERR_AUTH: an empty name, or somebody else's authzid. */
bool sasl_plain_read(struct bytes response, struct buf *decoded, struct sasl_plain *out, struct err *e);
/* Zeros what was decoded and frees it. */
void sasl_wipe(struct buf *decoded);
#endif
