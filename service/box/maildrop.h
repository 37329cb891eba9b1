/* service/box/maildrop.h - POP3's view of a user's INBOX: a locked snapshot (RFC 1939 4, 6).
 * 28-40 bytes a message; maildrop.messages_max bounds it. Contents come through a read-ahead of maildrop.read_ahead
 * (16) bodies, in POP3's budget: ERR_MEMORY. */
#ifndef SERVICE_MAILDROP_H
#define SERVICE_MAILDROP_H
#include "service/core/call.h"

struct maildrop;
struct maildrop_item {
    struct id entry_id;
    int64_t size; /* octets of the mail as it came; a surrogate has others (RFC 6858 section 4 lets it) */
    uint32_t uid;
};

/* ERR_IN_USE while another session holds it. */
bool maildrop_open(struct call *c, struct maildrop **out);
size_t maildrop_count(const struct maildrop *m);
struct maildrop_item maildrop_item(const struct maildrop *m, size_t i);
/* The message in pieces: trace lines, then the body; `each` returns false to stop early (TOP). Pieces are exact bytes,
 * whatever they are, of mail that came without SMTPUTF8; of the others a client that has not said UTF8 gets a surrogate
 * (RFC 6858). */
bool maildrop_read(struct maildrop *m, struct call *c, size_t i, bool utf8,
                   bool (*each)(void *ctx, struct bytes piece, struct err *e), void *ctx);
/* Is what `each` gets, or got, of that message a surrogate, whose length is not the item's? */
bool maildrop_is_surrogate(const struct maildrop *m, size_t i, bool utf8);
/* Deletes for good what is marked (bit i of `marked`), by batches of 10,000 at most, and of fewer where others change
 * the same mails. When one fails *deleted says how many are gone all the same; without it, none is (RFC 1939 6). */
bool maildrop_delete(struct maildrop *m, struct call *c, const uint8_t *marked, size_t n_marked, size_t *deleted);
/* Keeps the lock alive; call it at least every 60 s. ERR_IN_USE when it was lost. */
bool maildrop_keep(struct maildrop *m, struct call *c);
void maildrop_close(struct maildrop **m);
#endif
