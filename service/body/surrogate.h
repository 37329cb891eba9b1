/* service/body/surrogate.h - a mail with the headers of all its parts made fit for a client that knows no UTF-8 in them
 * (RFC 6858). The body is read twice, since only its structure tells where headers are; its bytes stay what they were.
 */
#ifndef SERVICE_SURROGATE_H
#define SERVICE_SURROGATE_H
#include "base/budget.h"
#include "service/body/body.h"

/* The trace, then the body in pieces; `each` as for maildrop_read. Memory: mime.h's limits and one header, of `b`
 * (ERR_MEMORY). */
bool surrogate_read(struct body_reader *r, struct budget *b, struct bytes trace,
                    bool (*each)(void *ctx, struct bytes piece, struct err *e), void *ctx, struct err *e);
#endif
