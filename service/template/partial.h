/* service/template/partial.h - pieces that templates share, {{> name}}: html where html is made, text in texts and
 * subjects. A version of a template keeps those it uses as they were. */
#ifndef SERVICE_PARTIAL_H
#define SERVICE_PARTIAL_H
#include "service/core/call.h"

struct partial_list_in {
    struct page page;
};
struct partial_list_out {
    struct partial_row *rows;
    size_t n;
    struct page_out page;
};
bool partial_list(struct call *c, const struct partial_list_in *in, struct partial_list_out *out);
struct partial_get_in {
    struct bytes name;
};
bool partial_get(struct call *c, const struct partial_get_in *in, struct partial_row *out);
/* Makes it, or takes the place of the one of that name. At most template.partials_max an account. */
struct partial_put_in {
    struct bytes name, html, text, if_match;
}; /* ERR_PRECONDITION */
bool partial_put(struct call *c, const struct partial_put_in *in, struct partial_row *out);
struct partial_delete_in {
    struct bytes name, if_match;
}; /* ERR_PRECONDITION */
bool partial_delete(struct call *c, const struct partial_delete_in *in, void *out);
#endif
