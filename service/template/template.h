/* service/template/template.h - templates of mails, with layouts (layout.h) and partials (partial.h).
 *
 * What is changed is the draft. Publishing makes a version of it, with layout and partials as they are then; a version
 * is never changed, and sends use published ones (test keys drafts, too). In a path the alias may stand for the id. A
 * draft that does not compile is refused (ERR_INVALID with line and column); partials it names need to be there only
 * when it is published or rendered. A change may be on condition of a version of the draft:
 * service/core/precondition.h. Of the whole account: keys that are bound to domains see the same. */
#ifndef SERVICE_TEMPLATE_H
#define SERVICE_TEMPLATE_H
#include "service/core/call.h"

struct template_change {
    struct template_row row;
    struct bytes if_match;
};

struct template_list_in {
    struct page page;
};
struct template_list_out {
    struct template_row *rows;
    size_t n;
    struct page_out page;
};
bool template_list(struct call *c, const struct template_list_in *in, struct template_list_out *out);
struct template_create_in {
    struct template_change given;
    uint64_t named; /* of template_members */
};
/* At most template.templates_max an account. */
bool template_create(struct call *c, const struct template_create_in *in, struct template_row *out);
/* `version`: NO_BYTES or "draft", "published", or a number: what that says instead of the draft. */
struct template_get_in {
    struct bytes id, version;
};
bool template_get(struct call *c, const struct template_get_in *in, struct template_row *out);
struct template_update_in {
    struct bytes id;
    struct template_change given;
    uint64_t named;
}; /* ERR_PRECONDITION */
bool template_update(struct call *c, const struct template_update_in *in, struct template_row *out);
struct template_delete_in {
    struct bytes id, if_match;
}; /* with its versions */
bool template_delete(struct call *c, const struct template_delete_in *in, void *out);

/* Makes the next version of the draft. Older ones than template.versions_max go. */
struct template_publish_in {
    struct bytes id;
};
bool template_publish(struct call *c, const struct template_publish_in *in, struct template_row *out);
struct template_version_list_in {
    struct bytes id;
    struct page page;
};
struct template_version_list_out {
    struct template_version_row *rows; /* without what they say but name, dialect and subject */
    size_t n;
    struct page_out page;
};
bool template_version_list(struct call *c, const struct template_version_list_in *in,
                           struct template_version_list_out *out);
struct template_version_get_in {
    struct bytes id, version;
};
bool template_version_get(struct call *c, const struct template_version_get_in *in, struct template_version_row *out);
/* The draft says again what that version did. */
bool template_version_restore(struct call *c, const struct template_version_get_in *in, struct template_row *out);
struct template_duplicate_in {
    struct bytes id, alias, name; /* of the new one; NO_BYTES: none, and the same */
};
bool template_duplicate(struct call *c, const struct template_duplicate_in *in, struct template_row *out);

/* ---- for other files of service/ ---- */

/* By id or alias, in the call's account. ERR_MISSING. */
bool template_find(struct call *c, struct bytes name, void *row);
/* The same without what it says: for sends. */
bool template_find_short(struct call *c, struct bytes name, struct template_row *row);
bool template_may(struct call *c);
/* What a draft says, as a version of it would. */
struct template_version_row template_draft(const struct template_row *row);
/* A number, or 0 with *draft for the draft; "published" is the last one. ERR_MISSING when it was never published. */
bool template_version_named(struct call *c, const struct template_row *row, struct bytes version, int64_t *number,
                            bool *draft);
/* The version's row. */
bool template_version_find(struct call *c, struct id template, int64_t number, struct template_version_row *out);
/* Fills the id and times of a new draft, and puts it into the account. */
bool template_add(struct call *c, struct template_row *row);
#endif
