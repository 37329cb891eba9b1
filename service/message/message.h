/* service/message/message.h - what applications and submission sent, and what came in: the message, its sending by JSON
 * or as raw mail, its content while it is kept. */
#ifndef SERVICE_MESSAGE_H
#define SERVICE_MESSAGE_H
#include "mail/build.h"
#include "service/box/entry.h"
#include "service/message/intake.h"

/* One address of a request with the pointer to name in a fault ("/to/0"). */
struct send_address {
    struct address address;
    const char *pointer;
};

/* What is rendered instead of html and text: service/template/rendering.h. */
struct send_template {
    struct bytes name, version;    /* id or alias, NO_BYTES: no template; a number or NO_BYTES: the published one */
    struct json_object *variables; /* an object, or NULL */
    bool drafts;                   /* a draft may be sent, whoever sends it */
};

/* How whoever gets it says that it was the last: service/message/send_unsubscribe.c. */
struct send_unsubscribe {
    bool given;
    bool one_click, refused; /* `one_click` was given, as true or as false */
    struct bytes url, mailto, topic;
};

/* What a request says of tracking; its stream says the rest. */
struct tracking_said {
    bool opens_said, opens;
    struct bytes clicks; /* none|html|text|both; NO_BYTES: not said */
};

struct message_send_in {
    struct send_address from;
    const struct send_address *to, *cc, *bcc, *reply_to;
    size_t n_to, n_cc, n_bcc, n_reply_to;
    struct bytes subject, text, html, amp_html;
    struct calendar calendar;
    struct send_template template;
    const struct attachment *attachments;
    size_t n_attachments;
    const struct named_value *headers;
    size_t n_headers;
    bool header_map; /* they came as a map: a fault names the field, not a place */
    const struct named_value *tags;
    size_t n_tags;
    /* Where each of these stood in the list that was sent, for faults; NULL: nothing was left out there. */
    const size_t *attachment_at, *header_at, *tag_at;
    size_t n_listed;          /* of the attachments; those behind them came as parts of a form: /attachment/0 */
    struct bytes metadata;    /* JSON object of strings or NO_BYTES */
    struct bytes in_reply_to; /* one of our ids or a Message-ID */
    struct send_address envelope_from; /* pointer NULL: not given */
    bool dsn, save_to_sent, no_store, require_tls;
    int64_t expires_after; /* seconds, 0: not given */
    struct bytes priority; /* high|normal|bulk: of which class its flow is */
    struct bytes stream;   /* by slug or id; NO_BYTES: the default one */
    struct send_unsubscribe unsubscribe;
    int64_t scheduled_at; /* when it begins (release.h), 0: now */
    struct tracking_said tracking;
    unsigned bypass; /* suppressions that are passed over: bits of suppression_bypass; needs that scope */
    /* Instead of all above: a whole mail. Envelope from `raw_from`, `raw_to` where given, else from its header. */
    bool is_raw;
    struct source raw;
    struct bytes raw_from;
    const struct bytes *raw_to;
    size_t n_raw_to;
};
bool message_send(struct call *c, const struct message_send_in *in, struct intake_out *out);

struct message_view {
    struct message_row row;
    struct bytes status;                      /* derived */
    struct bytes subject;                     /* opened; NO_BYTES once gone */
    struct bytes from, reply_to, to, cc, bcc; /* JSON; NO_BYTES for an inbound one */
    bool content_kept;
};

struct message_list_in {
    struct page page;
    struct bytes email, status, direction, source, key_id;
    struct bytes tag; /* "name=value" or a name */
    int64_t since, until;
};
struct message_list_out {
    struct message_view *rows;
    size_t n;
    struct page_out page;
};
bool message_list(struct call *c, const struct message_list_in *in, struct message_list_out *out);
struct message_get_in {
    struct bytes id;
};
bool message_get(struct call *c, const struct message_get_in *in, struct message_view *out);
struct message_delete_in {
    struct bytes id;
}; /* erases the content of a finished one; ERR_IN_USE before */
bool message_delete(struct call *c, const struct message_delete_in *in, void *out);
struct message_raw_in {
    struct bytes id;
};
bool message_raw(struct call *c, const struct message_raw_in *in, struct content_out *out);
struct message_update_in {
    struct bytes id;
    bool moves;           /* scheduled_at is given */
    int64_t scheduled_at; /* 0: now */
};                        /* of one that waits for its time; ERR_IN_FLIGHT once it begins */
bool message_update(struct call *c, const struct message_update_in *in, struct message_view *out);
struct message_cancel_in {
    struct bytes id;
}; /* what is still queued or deferred; ERR_NOT_CANCELLABLE when nothing is */
bool message_cancel(struct call *c, const struct message_cancel_in *in, struct message_view *out);
#endif
