/* service/message/batches.h - many messages by one request, each with its own outcome.
 *
 * All of them are judged first: with `strict` every fault of every message is told, and nothing is taken; with
 * `permissive` those that are faulty are rejected, each with its error. Then they are accepted in order, several dozen
 * by one commit of the store. Their ids are made of the batch and their place in it, and the batch is found again by
 * its Idempotency-Key until it is complete: so the same request after a crash takes only what is not there yet, and
 * nothing twice. Without a key nothing goes on: what was taken is sent, and the batch stays incomplete. */
#ifndef SERVICE_BATCHES_H
#define SERVICE_BATCHES_H
#include "service/message/message.h"

struct batch_item {
    bool accepted;
    struct intake_out out; /* accepted */
    struct err err;        /* rejected: why; its faults have pointers from the request on ("/messages/3/to/0") */
    const struct fault *faults;
    size_t n_faults;
};

/* A batch, and of one that was just made what became of each message. */
struct batch_view {
    struct batch_row row;
    struct bytes counts; /* JSON: how many messages have each status */
    const struct batch_item *items;
    size_t n;
};

struct batch_create_in {
    size_t n;
    bool permissive;
    /* The i-th message; may be asked for twice. Its faults are the call's, with pointers into the message. False: no
     * such text, or the server's own trouble. What it has made stays until `forget`. */
    bool (*read)(void *ctx, struct call *c, size_t i, struct message_send_in *out);
    void (*forget)(void *ctx);
    void *ctx;
};
/* ERR_INVALID with all faults (strict), ERR_TOO_LARGE past batch.built_max. */
bool batch_create(struct call *c, const struct batch_create_in *in, struct batch_view *out);

struct batch_list_in {
    struct page page;
};
struct batch_list_out {
    struct batch_view *rows;
    size_t n;
    struct page_out page;
};
bool batch_list(struct call *c, const struct batch_list_in *in, struct batch_list_out *out);
struct batch_get_in {
    struct bytes id;
};
bool batch_get(struct call *c, const struct batch_get_in *in, struct batch_view *out);
struct batch_message_list_in {
    struct bytes id;
    struct page page;
};
/* Newest first: the last message of the batch comes first. */
bool batch_message_list(struct call *c, const struct batch_message_list_in *in, struct message_list_out *out);
struct batch_cancel_in {
    struct bytes id;
}; /* what still waits of it; ERR_NOT_CANCELLABLE when nothing does, and nothing was cancelled before */
bool batch_cancel(struct call *c, const struct batch_cancel_in *in, struct batch_view *out);
#endif
