#include "base/sasl.h"
#include "base/crypt.h"

bool sasl_decode(struct bytes response, struct buf *decoded, struct err *e)
{
    /* How an empty response is written (RFC 4954 4, RFC 5034 4). */
    if (bytes_equal(response, BYTES("=")))
        return true;
    if (!crypt_from_base64(response, CRYPT_BASE64, decoded))
        return err_set(e, ERR_SYNTAX, "The response is not base64");
    return true;
}

bool sasl_plain_read(struct bytes response, struct buf *decoded, struct sasl_plain *out, struct err *e)
{
    struct bytes authzid, rest;

    if (!sasl_decode(response, decoded, e))
        return false;
    if (!bytes_cut(buf_bytes(decoded), '\0', &authzid, &rest) || !bytes_cut(rest, '\0', &out->name, &out->password) ||
        bytes_find(out->password, '\0') != out->password.n)
        return err_set(e, ERR_SYNTAX, "The response is not authzid NUL name NUL password");
    /* Nobody acts as another here: an authzid may only repeat the name (RFC 4616 2). */
    if (!out->name.n || (authzid.n && !bytes_equal_nocase(authzid, out->name)))
        return err_set(e, ERR_AUTH, "Authentication failed");
    return true;
}

void sasl_wipe(struct buf *decoded)
{
    if (decoded->p)
        crypt_wipe(decoded->p, decoded->cap);
    buf_clear(decoded);
}
