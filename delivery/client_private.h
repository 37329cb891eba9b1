/* delivery/client_private.h - what the files of the client share: one connection, one step of its dialogue. */
#ifndef DELIVERY_CLIENT_PRIVATE_H
#define DELIVERY_CLIENT_PRIVATE_H
#include "delivery/client.h"

struct client {
    struct stream *stream;
    struct arena *arena;   /* of the answers */
    struct script *script; /* NULL: nobody wants to know */
    struct offer offer;
    char ehlo[256], greeted_as[256], named_as[256];
    size_t messages;
    const struct envelope *said; /* ahead: its answers are still to come */
    bool broken;                 /* nothing more is said on it */
    bool told_data;              /* DATA was answered 354 and no dot was sent */
    struct err err;              /* of the stream or the content */
};

/* Says a line, which ends with CRLF. False: the connection is gone, and *out says so. */
bool client_say(struct client *c, struct bytes line, enum step at, struct answer *out);
/* The next reply within `ms`. True for a reply of any code; the connection is broken after everything else. */
bool client_hear(struct client *c, enum step at, int64_t ms, struct answer *out);
/* A reply that cannot be here. */
void client_confused(struct client *c, struct answer *out);
/* 2 for 2xx and so on; 0: no reply. */
int answer_class(const struct answer *x);
/* Notes what is not said in words. */
void client_note(struct client *c, enum script_who who, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Why the stream failed. */
void client_failed(struct client *c, enum step at, struct answer *out);
#endif
