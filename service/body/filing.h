/* service/body/filing.h - putting one message into one mailbox: the entry, the mailbox's counters and the user's quota,
 * as operations of a batch.
 *
 * A mail is found by keyed hashes, under an index key that each user has: what is kept does not tell who answered whom,
 * and one mail has nothing in common in the mailboxes of two users. thread_id is made of the thread's root, the first
 * id in References, else in In-Reply-To, else the mail's own, else the entry's: no mail is looked up for it, so it is
 * the same whatever comes first, and never changes (RFC 8474 section 5.2). */
#ifndef SERVICE_FILING_H
#define SERVICE_FILING_H
#include "mail/mime.h"
#include "service/body/seal.h"

struct filing {
    const struct directory_user *user;
    struct id mailbox_id, entry_id, message_id, body_id;
    const struct crypt_key *content;
    struct bytes trace, summary;
    struct bytes auth; /* JSON or NO_BYTES */
    /* What ties it to others; either may be NO_BYTES. thread_root: the oldest of its ancestors, by id. */
    struct bytes header_message_id, thread_root;
    int64_t body_size, flags, sent_at, received_at;
    struct bytes keywords;
    bool header_8bit;
};

/* The operations of a filing, in order: which one failed tells why. */
enum filing_op { FILING_USER, FILING_MAILBOX, FILING_ENTRY, FILING_OPS };

/* Adds them; *first is the number of the first. The bound is the quota plus message.size_max: two mails that arrive at
 * once may pass it together, once. False when the user's key does not open. *row (may be NULL) is the entry; its uid
 * and modseq come from the slots. */
struct filed {
    int first, uid_slot, modseq_slot;
    struct entry_row *row;
};
bool filing_add(struct service *svc, struct batch *b, struct arena *a, const struct filing *f, struct filed *out,
                struct err *e);
/* The mailbox of mail that is laid into Junk: *mailbox becomes that of the user, where there is one. */
bool filing_junk(struct service *svc, struct arena *a, struct id user_id, struct id *mailbox, struct err *e);
/* "Return-Path: <…>" before the message's own trace line (RFC 5321 4.4). */
struct bytes filing_trace(struct bytes envelope_from, struct bytes trace, struct arena *a);
bool has_8bit(struct bytes b);
/* RFC 6856 speaks of all headers of a message, those of its parts too; of these, what lies in the preview. */
bool headers_have_8bit(const struct mime_index *x, struct bytes preview);
#endif
