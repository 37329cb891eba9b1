/* service/box/entry_private.h - what the files about entries share. */
#ifndef SERVICE_ENTRY_PRIVATE_H
#define SERVICE_ENTRY_PRIVATE_H
#include "base/crypt.h"
#include "mail/tnef.h"
#include "service/box/entry.h"

/* The content key of an entry, through its user's. */
bool entry_key(struct call *c, const struct entry_row *row, struct crypt_key *content);
/* What entry_append made, as it is now, for whoever may write there. */
bool entry_again(struct call *c, struct id id, struct entry_view *out);
/* Rows of one user with what their summaries hold. */
bool entry_show(struct call *c, struct id user_id, const struct entry_row *rows, size_t n, struct entry_view *out);
/* The row and its summary, as a list shows them; no audit. */
bool entry_summary(struct call *c, struct bytes id, struct entry_view *out);

/* A mail whose parts are known, while it is read. */
struct entry_parts {
    const struct entry_row *row;
    const struct crypt_key *key;
    const struct mime_index *index;
    const struct mime_view *view;
    struct arena *arena;
};
/* Adds what a part holds, decoded; *out may overflow. */
bool entry_part_read(struct call *c, const struct entry_parts *e, const struct mime_part *part, struct buf *out);
/* Shows each file that stands in an attachment, in the order of their numbers. It lies in memory for that call alone.
 */
struct entry_unpacked {
    void (*each)(struct entry_unpacked *u, const struct tnef_file *file);
    size_t n; /* that were shown */
};
bool entry_unpack(struct call *c, const struct entry_parts *e, struct entry_unpacked *u);

/* Of a view that is full but for it: html_safe, stripped_text. */
void entry_make(struct call *c, struct entry_view *v);
/* The page of api/mailboxes.c: images that are parts stand in it. */
void entry_make_page(struct call *c, const struct entry_parts *e, const struct entry_view *v, bool remote,
                     struct buf *out);
#endif
