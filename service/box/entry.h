/* service/box/entry.h - messages in mailboxes. An entry's id survives a move; its content is decrypted for whoever may
 * read it. */
#ifndef SERVICE_ENTRY_H
#define SERVICE_ENTRY_H
#include "mail/build.h"
#include "service/body/content.h"

struct entry_attachment {
    int64_t index, size;
    struct bytes filename, content_type, content_id, disposition;
};

/* The row and what its sealed summary holds; `full` only from entry_get. */
struct entry_view {
    struct entry_row row;
    struct bytes header_message_id, subject, snippet;
    struct bytes from, to, cc, reply_to; /* JSON: from {email,name} or null, others lists */
    int64_t attachment_count;
    bool full;
    const struct named_value *headers; /* in order, decoded */
    size_t n_headers;
    struct bytes text, html;             /* all parts of that type one after the other; NO_BYTES where there is none */
    bool text_truncated, html_truncated; /* there was more than entry.text_max */
    struct bytes html_safe;              /* of html, to be shown (mail/html_safe.h) */
    int64_t html_blocked;                /* images of other servers that it was left without */
    struct bytes stripped_text;          /* what the author wrote (mail/reply.h) */
    const struct entry_attachment *attachments;
    size_t n_attachments;
};

struct entry_list_in {
    struct bytes mailbox_id;
    struct page page;
};
struct entry_list_out {
    struct entry_view *rows;
    size_t n;
    struct page_out page;
};
bool entry_list(struct call *c, const struct entry_list_in *in, struct entry_list_out *out);
#define ENTRY_THREAD "thr" /* prefix of the ids of threads */
struct entry_find_in {
    struct bytes thread_id;
    struct page page;
};
/* The entries of a thread, in all mailboxes of its user, the newest first. A thread that whoever asks may not see is an
 * empty one. */
bool entry_find(struct call *c, const struct entry_find_in *in, struct entry_list_out *out);
struct entry_append_in {
    struct bytes mailbox_id;
    struct source raw;
    int64_t flags; /* of enum entry_flag */
};
bool entry_append(struct call *c, const struct entry_append_in *in, struct entry_view *out);
struct entry_get_in {
    struct bytes id;
};
bool entry_get(struct call *c, const struct entry_get_in *in, struct entry_view *out);
struct entry_page_in {
    struct bytes id;
    bool remote; /* images of other servers load */
};
struct entry_page_out {
    struct bytes html; /* a document: html_safe, or the text; images that are parts of the mail stand in it */
};
bool entry_page(struct call *c, const struct entry_page_in *in, struct entry_page_out *out);
struct entry_update_in {
    struct bytes id;
    struct entry_row given; /* keywords: at most 32 of 64 characters */
    uint64_t named;         /* of entry_members */
};
bool entry_update(struct call *c, const struct entry_update_in *in, struct entry_view *out);
struct entry_delete_in {
    struct bytes id;
};
bool entry_delete(struct call *c, const struct entry_delete_in *in, void *out);

struct entry_raw_in {
    struct bytes id;
};
bool entry_raw(struct call *c, const struct entry_raw_in *in, struct content_out *out); /* trace lines and body */
struct entry_attachment_in {
    struct bytes id;
    int64_t index;
};
/* Numbers are those of entry_get: parts of the mail, and behind them the files in a winmail.dat. */
bool entry_attachment(struct call *c, const struct entry_attachment_in *in, struct content_out *out);
#endif
