/* service/box/entry_private.h - what the files about entries share. */
#ifndef SERVICE_ENTRY_PRIVATE_H
#define SERVICE_ENTRY_PRIVATE_H
#include "base/crypt.h"
#include "mail/html_safe.h"
#include "service/box/entry.h"

/* The content key of an entry, through its user's. */
bool entry_key(struct call *c, const struct entry_row *row, struct crypt_key *content);
/* What entry_append made, as it is now, for whoever may write there. */
bool entry_again(struct call *c, struct id id, struct entry_view *out);
/* Rows of one user with what their summaries hold. */
bool entry_show(struct call *c, struct id user_id, const struct entry_row *rows, size_t n, struct entry_view *out);
/* The row and its summary, as a list shows them; no audit. */
bool entry_summary(struct call *c, struct bytes id, struct entry_view *out);
/* Of a view that is full but for it: html_safe, stripped_text. */
void entry_make(struct call *c, struct entry_view *v);
/* html.* and entry.*, without parts. */
struct html_safe entry_safe_limits(void);
/* The attachment that a cid: URL names, NULL when none does. */
const struct entry_attachment *entry_part(const struct entry_view *v, struct bytes cid);
#endif
