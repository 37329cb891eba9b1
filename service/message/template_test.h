/* service/message/template_test.h - a template sent to somebody who looks at it: its draft, with the values that are
 * given or its sample. A mail like any other, and counted as one. */
#ifndef SERVICE_TEMPLATE_TEST_H
#define SERVICE_TEMPLATE_TEST_H
#include "service/message/message.h"

struct template_test_in {
    struct bytes id;
    const struct send_address *to;
    size_t n_to;
    struct send_address from;      /* pointer NULL: the template's */
    struct json_object *variables; /* NULL: its sample */
};                                 /* needs the scope `send`, too */
bool template_test(struct call *c, const struct template_test_in *in, struct intake_out *out);
#endif
