/* service/box/summary.h - what lists show of a message, from its MIME index: sender, recipients, subject, the first
 * words, attachment names. Kept sealed as one JSON text of at most SUMMARY_MAX bytes. RFC 5322 3.6. */
#ifndef SERVICE_SUMMARY_H
#define SERVICE_SUMMARY_H
#include "mail/address.h"
#include "mail/mime.h"
#include "service/box/entry.h"

#define SUMMARY_MAX      (32 * 1024)
#define SUMMARY_PEOPLE   20  /* addresses of a list */
#define SUMMARY_SUBJECT  998 /* bytes */
#define SUMMARY_SNIPPET  200
#define SUMMARY_NAMES    20 /* attachments named */
#define SUMMARY_NAME_MAX 200

struct summary {
    struct bytes header_message_id, subject;
    struct bytes thread_root; /* the first id in References, else in In-Reply-To; NO_BYTES: it answers nothing */
    int64_t sent_at;          /* the Date field, 0 when there is none */
    struct bytes json;
};

/* `preview`: the first bytes of the message. Waits when the first words must be picked from HTML. */
void summary_make(const struct mime_index *x, struct bytes preview, struct arena *a, struct summary *out);
/* Fills the fields of a view from the opened JSON; an empty or broken one leaves them empty. */
void summary_read(struct bytes json, struct arena *a, struct entry_view *out);

/* The decoded value of a field, cut at `max` bytes; NO_BYTES when it is absent. */
struct bytes summary_field(struct bytes header, const char *name, size_t max, struct arena *a);
/* The id of the message in brackets, where one can be read: white space and what else stands in the field fall away,
 * and a word without brackets gets them. */
struct bytes summary_message_id(struct bytes header, struct arena *a);
/* The addresses of all fields of that name, as the API shows them. */
void summary_people(struct bytes header, const char *name, size_t max, struct arena *a, struct jw *w);
void summary_address(struct jw *w, const struct address *address);
/* {"from","reply_to","to","cc","bcc"} of a header. */
struct bytes summary_people_json(struct bytes header, struct arena *a);
#endif
