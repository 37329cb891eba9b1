/* service/template/layout.h - what stands around the bodies of templates: html and text with {{{content}}}. A version
 * of a template keeps its layout as it was; a change reaches drafts alone. One that a draft names is not removed. */
#ifndef SERVICE_LAYOUT_H
#define SERVICE_LAYOUT_H
#include "service/core/call.h"

struct layout_list_in {
    struct page page;
};
struct layout_list_out {
    struct layout_row *rows;
    size_t n;
    struct page_out page;
};
bool layout_list(struct call *c, const struct layout_list_in *in, struct layout_list_out *out);
struct layout_create_in {
    struct layout_row given;
    uint64_t named; /* of layout_members */
};
/* At most template.layouts_max an account. */
bool layout_create(struct call *c, const struct layout_create_in *in, struct layout_row *out);
struct layout_get_in {
    struct bytes id;
};
bool layout_get(struct call *c, const struct layout_get_in *in, struct layout_row *out);
struct layout_update_in {
    struct bytes id;
    struct layout_row given;
    uint64_t named;
    struct bytes if_match;
}; /* ERR_PRECONDITION */
bool layout_update(struct call *c, const struct layout_update_in *in, struct layout_row *out);
struct layout_delete_in {
    struct bytes id, if_match;
}; /* ERR_IN_USE, ERR_PRECONDITION */
bool layout_delete(struct call *c, const struct layout_delete_in *in, void *out);
#endif
