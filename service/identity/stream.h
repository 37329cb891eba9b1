/* service/identity/stream.h - streams: kinds of mail that an account sends, kept apart from each other. Each has its
 * own pace, expiry, tracking, and unsubscriptions; it is paused by itself, and others go on.
 *
 * Every account has a default one, `transactional`, for what names no stream. Its id has the account's number, so that
 * whoever needs no more than the id asks nobody. It is made with the first look at the account's streams: accounts of
 * before there were any, and of older builds beside this one, get theirs the same way. It is never removed.
 *
 * kind `broadcast`: mail to many who have agreed to it. It is bulk, whatever a send says, and each mail carries the
 * means to unsubscribe by one click (RFC 8058). `transactional`: what people wait for.
 *
 * What is paused is kept from leaving (service/queue/suspension.h); mail for mailboxes of this server is not held up.
 * Nodes hear of changes by a nudge. */
#ifndef SERVICE_STREAM_H
#define SERVICE_STREAM_H
#include "service/core/call.h"

/* ---- for sends ---- */

/* The account's stream of that slug or id; NO_BYTES: the default one. As it was within the last second, or since it was
 * changed here. Its texts lie in the call's arena. ERR_MISSING. */
bool stream_known(struct call *c, struct bytes name, struct stream_row *out);
/* The id of the default one. */
struct id stream_default_id(struct id account);
bool stream_is_broadcast(const struct stream_row *row);

struct stream_tracking {
    bool opens, clicks_html, clicks_text;
};
struct stream_tracking stream_tracking_of(const struct stream_row *row);

struct stream_cache;
struct stream_cache *stream_cache_new(void);
void stream_cache_free(struct stream_cache **s);
/* Some stream was changed: nothing that is known counts any more. */
void streams_changed(struct service *svc);

/* ---- paused by itself ---- */

/* Adds to the batch that the stream is paused, on condition that it is not, with the event `stream.paused`. `author`
 * and `reason` are for people; `more`: JSON members of the event's data, or NO_BYTES. */
void stream_pause_add(struct batch *b, struct arena *a, const struct stream_row *row, struct bytes author,
                      struct bytes reason, struct bytes more);

/* ---- the resource ---- */

struct stream_list_in {
    struct page page;
};
struct stream_list_out {
    struct stream_row *rows;
    size_t n;
    struct page_out page;
};
bool stream_list(struct call *c, const struct stream_list_in *in, struct stream_list_out *out);
struct stream_create_in {
    struct stream_row given;
    uint64_t named; /* of stream_members */
};
/* At most stream.streams_max an account. */
bool stream_create(struct call *c, const struct stream_create_in *in, struct stream_row *out);
struct stream_get_in {
    struct bytes id; /* or slug, in all of these */
};
bool stream_get(struct call *c, const struct stream_get_in *in, struct stream_row *out);
struct stream_update_in {
    struct bytes id;
    struct stream_row given;
    uint64_t named;
};
bool stream_update(struct call *c, const struct stream_update_in *in, struct stream_row *out);
struct stream_delete_in {
    struct bytes id;
}; /* ERR_IN_USE: the default one, and one that is paused, whose mail may wait */
bool stream_delete(struct call *c, const struct stream_delete_in *in, void *out);
/* One that is paused already stays so; and the other way round. */
struct stream_pause_in {
    struct bytes id, reason;
};
bool stream_pause(struct call *c, const struct stream_pause_in *in, struct stream_row *out);
struct stream_resume_in {
    struct bytes id, reason;
};
bool stream_resume(struct call *c, const struct stream_resume_in *in, struct stream_row *out);
#endif
