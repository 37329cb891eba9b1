/* api/form.h - inside api/: a send as multipart/form-data (RFC 7578): a part `message` with the JSON, and parts
 * `attachment`, whose order is that of the mail's. Files need no base64 so, and no tree.
 *
 * Parts are taken out of the body while it comes; what is kept of it in memory (r->x->in, as of any body that is
 * collected) is what is in them. Whatever is wrong with one is told at /message, or at /attachment/0 and so on. */
#ifndef API_FORM_H
#define API_FORM_H
#include "base/bytes.h"

struct request;

struct form_part {
    struct bytes filename, content_type, content_id; /* NO_BYTES where it has none */
    size_t at, n;                                    /* its content in r->x->in */
};

struct form {
    struct form_part *parts; /* attachments */
    size_t n;
};

/* Reads the body: r->form, and r->json (NO_BYTES, and a fault, where there is none). With an Idempotency-Key r->x->in
 * then says all that requests are compared by, whatever boundary was chosen. ERR_BAD_JSON (malformed), ERR_TOO_LARGE,
 * ERR_VALIDATION where there is no sense in reading on, and those of exchange_piece and exchange_keep. */
bool form_read(struct request *r);
struct bytes form_content(const struct request *r, const struct form_part *p);
#endif
